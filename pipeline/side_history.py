"""Prices beside those that a model is fitted to, brought onto their bars: spot, an index of volatility."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, Problem
from pipeline.funding_fit import PRIOR
from pipeline.history import Prices
from pipeline.history_file import Source
from pipeline.units import format_duration

Floats = NDArray[np.float64]

PERCENT = (3.0, 1000.0)  # an index of volatility in percent has its median in between


class SideHistory(NamedTuple):
    """Closes (T, A) on the bars of other prices, NaN where there is none, of these assets, and the files."""

    assets: tuple[str, ...]
    close: Floats
    sources: tuple[Source, ...]

    def days(self, step: timedelta) -> dict[str, float]:
        """How much there is of each asset, in days."""
        there = np.isfinite(self.close).sum(axis=0) * (step / timedelta(days=1))
        return {asset: round(float(count), 1) for asset, count in zip(self.assets, there, strict=True)}


def lay_beside(prices: Prices, other: Prices, what: str) -> SideHistory:
    """Closes of `other` on the bars of `prices`.

    Bars of `other` outside the window are left out. DataError where its bars are of another length or grid,
    or an asset has less than PRIOR within the window.
    """
    problems = []
    if other.step != prices.step or (other.times[0] - prices.times[0]) % (prices.times[1] - prices.times[0]):
        expected = f"bars of {format_duration(prices.step)} on the grid of the prices"
        got = f"bars of {format_duration(other.step)} from {other.start:%Y-%m-%dT%H:%M:%SZ} on"
        raise DataError([Problem(what, expected, got, "give bars of one length, opening at the same times")])
    close = np.full((len(prices.times), len(other.assets)), np.nan)
    row = (other.times - prices.times[0]) // (prices.times[1] - prices.times[0])
    inside = (row >= 0) & (row < len(close))
    close[row[inside]] = other.close[inside]
    found = SideHistory(other.assets, close, other.sources)
    for asset, days in found.days(prices.step).items():
        if timedelta(days=days) < PRIOR:
            expected = f"at least {format_duration(PRIOR)} of history within the window of the prices"
            fix = "give a longer history, leave out the asset, or fit without it"
            problems.append(Problem(f"{what} of {asset}", expected, f"{days} days", fix))
    if problems:
        raise DataError(problems)
    return found


def check_percent(index: SideHistory) -> SideHistory:
    """The index as a fraction, 0.55 for a quote of 55; DataError where it is not quoted in percent."""
    low, high = PERCENT
    problems = [
        Problem(
            f"implied volatility of {asset}",
            "an index in percent, 55 for 55 % a year",
            f"a median of {middle:g}",
            "write it in percent",
        )
        for asset, middle in zip(index.assets, np.nanmedian(index.close, axis=0), strict=True)
        if not low < middle < high
    ]
    if problems:
        raise DataError(problems)
    return index._replace(close=index.close / 100.0)
