"""The books that are judged: signed shares of gross notional, held from the start of a window to its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

MAINTENANCE = 0.01  # of notional, flat: no tiers, no fees, no funding
LEVERAGES = (3.0, 5.0, 10.0, 15.0, 20.0)  # gross notional over equity when a window starts
HORIZONS = (timedelta(hours=4), timedelta(days=1), timedelta(days=3), timedelta(days=7))


@dataclass(frozen=True)
class StandardBook:
    """A book by its shares of gross notional: positive is long, and the absolute shares sum to 1."""

    name: str
    shares: Mapping[str, float]

    @property
    def assets(self) -> tuple[str, ...]:
        """What it holds, in the order of its shares."""
        return tuple(self.shares)

    def is_hedged(self) -> bool:
        """Whether it is long and short at once."""
        return min(self.shares.values()) < 0.0 < max(self.shares.values())

    def signed(self) -> NDArray[np.float64]:
        """The shares, (A,), in the order of `assets`."""
        return np.array(list(self.shares.values()), np.float64)


_ALTS = ("XRP", "DOGE", "ADA", "LINK")

BOOKS = (
    StandardBook("long-pair", {"BTC": 0.5, "ETH": 0.5}),
    StandardBook("long-majors", {"BTC": 1 / 3, "ETH": 1 / 3, "SOL": 1 / 3}),
    StandardBook("short-majors", {"BTC": -1 / 3, "ETH": -1 / 3, "SOL": -1 / 3}),
    StandardBook("alt-heavy", {"BTC": 0.1, "ETH": 0.1, **dict.fromkeys(_ALTS, 0.2)}),
    StandardBook("hedged-pair", {"BTC": 0.5, "ETH": -0.5}),
    StandardBook("hedged-alts", {"BTC": 0.25, "ETH": 0.25, **dict.fromkeys(_ALTS, -0.125)}),
)


def assets_of(books: tuple[StandardBook, ...]) -> tuple[str, ...]:
    """Every asset that some book holds, once, in the order they come."""
    return tuple(dict.fromkeys(asset for book in books for asset in book.assets))
