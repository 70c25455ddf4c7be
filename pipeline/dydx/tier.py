"""A liquidity tier: the margin fractions that its markets share."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.dydx.errors import DydxError
from pipeline.dydx.units import MILLION, times_ppm


@dataclass(frozen=True, slots=True)
class Tier:
    """Base initial margin and maintenance as a share of it (ppm), open interest caps (quote quantums).

    `x/perpetuals/types/liquidity_tier.go`.
    """

    initial_margin_ppm: int
    maintenance_fraction_ppm: int
    open_interest_lower_cap: int = 0
    open_interest_upper_cap: int = 0

    @property
    def maintenance_margin_ppm(self) -> int:
        """Base initial margin x maintenance fraction, ppm, floor.

        Errors: DydxError where the maintenance fraction exceeds one.
        """
        if self.maintenance_fraction_ppm > MILLION:
            raise DydxError(f"a maintenance fraction of {self.maintenance_fraction_ppm} ppm exceeds one")
        return times_ppm(self.initial_margin_ppm, self.maintenance_fraction_ppm)

    def funding_clamp_ppm(self, factor_ppm: int) -> int:
        """The largest absolute premium or rate: factor x (initial - maintenance margin), ppm, floor."""
        return times_ppm(factor_ppm, self.initial_margin_ppm - self.maintenance_margin_ppm)

    def effective_initial_margin_ppm(self, open_interest_notional: int) -> int:
        """Initial margin scaled by open interest (quote quantums), in whole ppm.

        The base up to the lower cap, one from the upper cap on, between them the line, floored; an upper cap
        of zero means no scaling.
        """
        lower, upper = self.open_interest_lower_cap, self.open_interest_upper_cap
        if upper == 0:
            return self.initial_margin_ppm
        if open_interest_notional >= upper:
            return MILLION
        if open_interest_notional <= lower:
            return self.initial_margin_ppm
        rise = (MILLION - self.initial_margin_ppm) * (open_interest_notional - lower) // (upper - lower)
        return self.initial_margin_ppm + rise

    def initial_margin(self, notional: int, open_interest_notional: int, custom_imf_ppm: int = 0) -> int:
        """Initial margin of an absolute notional, ceil; a custom fraction of the account only raises it."""
        fraction = max(self.effective_initial_margin_ppm(open_interest_notional), custom_imf_ppm)
        return times_ppm(notional, fraction, up=True)

    def maintenance_margin(self, notional: int) -> int:
        """Maintenance margin of an absolute notional, from the base fraction only, rounded up twice."""
        base = times_ppm(notional, self.initial_margin_ppm, up=True)
        return times_ppm(base, self.maintenance_fraction_ppm, up=True)
