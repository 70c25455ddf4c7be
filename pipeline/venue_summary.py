"""Venues whose accounts share a market in the few numbers that a person can act on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.intervals import of_mean
from pipeline.summary import BASELINE
from pipeline.variable import LEVEL
from pipeline.venue_schema import VENUE_OUTCOMES
from pipeline.wording import Chance, average, chance, duration

if TYPE_CHECKING:
    import xarray as xr

ENDS = ("", "_low", "_high")
MEANS = (
    *("accounts_liquidated_mean", "socialised_loss_mean", "closed_notional_mean"),
    *("fund_drawn_mean", "price_pushed_mean"),
)


@dataclass(frozen=True)
class VenueSummary:
    """One venue under one scenario by the longest horizon, the book as it stands."""

    venue: str
    scenario: str
    accounts: int
    untouched: Chance
    """Accounts that met the liquidation condition, of a book that nobody touches: without contagion."""
    liquidated: Chance
    """Accounts of which the venue closed something, in the market that they share."""
    cascade: Chance
    exhausted: Chance
    pushed: Chance
    closed: Chance
    drawn: Chance
    socialised: Chance


def has_venues(cube: xr.Dataset) -> bool:
    """Whether accounts of the run shared a market."""
    return "accounts_liquidated_mean" in cube


def count_untouched(cube: xr.Dataset, venue: str) -> tuple[NDArray[np.float64], ...]:
    """Mean number of a venue's accounts liquidated without contagion, and the ends of its 95 % interval, each
    (scenario, horizon), at leverage 1. No ends (NaN) in books of too many accounts to count pairs of."""
    mine = [name for name, its in _venue_of_accounts(cube).items() if its == venue]
    cells = cube.sel(leverage=1.0, account=mine)
    total = cells["liquidations"].transpose("scenario", "horizon", "account").values.sum(axis=-1)
    paths = int(cube["paths"].max())
    if "joint_liquidations" not in cube:
        none = np.full(total.shape, np.nan)
        return total / paths, none, none
    pairs = cells["joint_liquidations"].sel(account_other=mine)
    squares = pairs.transpose("scenario", "horizon", "account", "account_other").values.sum(axis=(-2, -1))
    mean, low, high = of_mean(total, squares, paths, LEVEL)
    return mean, np.maximum(low, 0.0), high


def summarise_venues(cube: xr.Dataset) -> tuple[VenueSummary, ...]:
    """Each venue under each scenario, in the cube's order; none where accounts did not share a market."""
    if not has_venues(cube):
        return ()
    at_end = cube.sel(leverage=1.0).isel(horizon=-1)
    paths = int(cube["paths"].max())
    of_accounts = list(_venue_of_accounts(cube).values())

    def ends(name: str, scenario: str, venue: str) -> tuple[float, float, float]:
        mean, low, high = (float(at_end[f"{name}{e}"].sel(scenario=scenario, venue=venue)) for e in ENDS)
        return mean, low, high

    found = []
    for venue in cube["venue"].values.tolist():
        untouched = count_untouched(cube, venue)
        for s, scenario in enumerate(cube["scenario"].values.tolist()):
            liquidated, socialised, closed, drawn, pushed = (
                average(*ends(name, scenario, venue), paths, in_percent=name == "price_pushed_mean")
                for name in MEANS
            )
            exhausted, cascade = (
                chance(*ends(outcome.probability, scenario, venue), paths) for outcome in VENUE_OUTCOMES
            )
            mean, low, high = (float(figure[s, -1]) for figure in untouched)
            found.append(
                VenueSummary(
                    venue=venue,
                    scenario=scenario,
                    accounts=of_accounts.count(venue),
                    untouched=average(mean, low, high, paths),
                    liquidated=liquidated,
                    cascade=cascade,
                    exhausted=exhausted,
                    pushed=pushed,
                    closed=closed,
                    drawn=drawn,
                    socialised=socialised,
                )
            )
    return tuple(found)


def find_worst_scenario(cube: xr.Dataset) -> str:
    """The scenario beside the baseline that liquidates most accounts with contagion; of one alone that."""
    at_end = cube["accounts_liquidated_mean"].sel(leverage=1.0).isel(horizon=-1).sum("venue")
    stresses = [name for name in cube["scenario"].values.tolist() if name != BASELINE] or [BASELINE]
    return str(max(stresses, key=lambda name: float(at_end.sel(scenario=name))))


def venue_records(cube: xr.Dataset) -> list[dict[str, Any]]:
    """Every venue variable at leverage 1 by the longest horizon, JSON-able, by venue and scenario, and beside
    it how many accounts were liquidated without contagion. None where an interval has no such end."""
    if not has_venues(cube):
        return []
    at_end = cube.sel(leverage=1.0).isel(horizon=-1)
    of_accounts = list(_venue_of_accounts(cube).values())
    names = [outcome.counts for outcome in VENUE_OUTCOMES]
    names += [f"{outcome.probability}{end}" for outcome in VENUE_OUTCOMES for end in ENDS]
    names += [f"{name}{end}" for name in MEANS for end in ENDS]
    records = []
    for venue in cube["venue"].values.tolist():
        untouched = count_untouched(cube, venue)
        for s, scenario in enumerate(cube["scenario"].values.tolist()):
            cell = at_end.sel(scenario=scenario, venue=venue)
            figures = {name: cell[name].item() for name in names}
            figures |= {
                f"untouched_liquidated_mean{end}": float(figure[s, -1])
                for end, figure in zip(ENDS, untouched, strict=True)
            }
            records.append(
                {
                    "venue": venue,
                    "scenario": scenario,
                    "horizon": duration(cube["horizon"].values[-1]),
                    "leverage": 1.0,
                    "accounts": of_accounts.count(venue),
                    "paths": int(cube["paths"].max()),
                    **{name: None if isnan(figure) else figure for name, figure in figures.items()},
                }
            )
    return records


def _venue_of_accounts(cube: xr.Dataset) -> dict[str, str]:
    """The name of every account's venue, in the cube's order of accounts."""
    plan = json.loads(cube.attrs["plan"])
    return {
        account["name"]: (plan["venue"] if account["venue"] is None else plan["venues"][account["venue"]])[
            "name"
        ]
        for account in plan["accounts"]
    }
