"""What became of venues whose accounts share a market: variables of the cube, from sums over paths."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.structs import (
    CASCADE_PATHS,
    CLOSED_NOTIONAL,
    DRAWN,
    EXHAUSTED_PATHS,
    FALL,
    FORCED_ACCOUNTS,
    SHARE_QUANTUM,
    SOCIALISED,
)
from pipeline.aftermath import mean_of, moments_of
from pipeline.intervals import counted
from pipeline.tallies import Tallies
from pipeline.variable import LEVEL
from pipeline.venue_schema import VENUE_OUTCOMES

ROW_OF_COUNTS = {"fund_exhausted": EXHAUSTED_PATHS, "cascades": CASCADE_PATHS}


def summarise_venues(tallies: Tallies) -> dict[str, NDArray[Any]]:
    """Every variable of `pipeline.venue_schema`, each (scenario, venue, leverage, horizon), from tallies that
    have what it takes."""
    sums, paths = tallies.venue, tallies.paths
    assert sums is not None
    found: dict[str, NDArray[Any]] = {}
    for outcome in VENUE_OUTCOMES:
        counts = sums[ROW_OF_COUNTS[outcome.counts]]
        low, high = counted(counts, paths, LEVEL)
        p = outcome.probability
        found |= {outcome.counts: counts, p: counts / paths, f"{p}_low": low, f"{p}_high": high}
    money = tallies.venue_quantum[:, np.newaxis, np.newaxis]
    for name, row, unit in (
        ("accounts_liquidated_mean", FORCED_ACCOUNTS, 1.0),
        ("socialised_loss_mean", SOCIALISED, money),
        ("closed_notional_mean", CLOSED_NOTIONAL, money),
        ("fund_drawn_mean", DRAWN, money),
        ("price_pushed_mean", FALL, SHARE_QUANTUM),
    ):
        found |= mean_of(name, *moments_of(sums, row, unit, paths))
    return found
