"""A subaccount: balances and positions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

USDC = 0


@dataclass(frozen=True, slots=True)
class Position:
    """A signed size in base quantums, the funding index last settled at, a quote balance (zero in use)."""

    quantums: int
    funding_index: int = 0
    quote_balance: int = 0


@dataclass(frozen=True)
class Account:
    """Quantums per asset (USDC is asset 0); per perpetual, positions and custom initial margin."""

    assets: Mapping[int, int] = field(default_factory=dict)
    positions: Mapping[int, Position] = field(default_factory=dict)
    custom_imf_ppm: Mapping[int, int] = field(default_factory=dict)

    @property
    def usdc(self) -> int:
        """The USDC balance, quote quantums; negative is normal."""
        return self.assets.get(USDC, 0)

    def size(self, perpetual_id: int) -> int:
        """Signed base quantums held of a perpetual; zero where there is no position."""
        position = self.positions.get(perpetual_id)
        return position.quantums if position else 0
