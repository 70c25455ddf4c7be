"""A small plan, tallies and a cube of it, made by hand: what the engine would leave, without an engine."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import xarray as xr

from kernels.structs import (
    ACTED_PATHS,
    AFTERMATHS,
    ALL,
    ANY,
    BANKRUPT_PATHS,
    BINS,
    CASCADE_PATHS,
    CLOSED_NOTIONAL,
    CLOSED_PATHS,
    DRAWN,
    EXHAUSTED_PATHS,
    FALL,
    FORCED_ACCOUNTS,
    FORCED_PATHS,
    LIQUIDATED,
    LIQUIDATED_SQUARE,
    MARKS,
    MOMENTS,
    NEEDLESS_PATHS,
    PAID_FEES,
    PAID_SLIPPAGE,
    PAID_TO_FUND,
    PARTIAL_PATHS,
    RESULT,
    SHARES,
    SHORTFALLS,
    SOCIALISED,
    SPREADS,
    TIMES,
    VENUE_ROWS,
)
from pipeline.cube import Provenance, build_cube
from pipeline.plan import Plan, plan_from_document
from pipeline.spread import Spread
from pipeline.tallies import Tallies

PATHS = 200_000
PROVENANCE = Provenance(
    run_id="desk-0123456789",
    plan_hash="a" * 64,
    model_hash="b" * 64,
    venue_hash="c" * 64,
    versions={"seawall": "0.1.0", "numpy": "2.4"},
    created="2026-05-15T00:01:12Z",
)


def plan_document(**changes: Any) -> dict[str, Any]:
    """Three accounts, three scenarios, four leverages, three horizons; `changes` replace whole parts."""
    market = {
        "type": "perpetual",
        "initial_margin": 0.02,
        "maintenance_margin": 0.012,
        "funding_interval": "1h",
    }
    document: dict[str, Any] = {
        "name": "desk",
        "as_of": "2026-05-15T00:00:00Z",
        "simulation": {
            "seed": 7,
            "paths": PATHS,
            "step": "1h",
            "horizons": ["4h", "1d", "7d"],
            "leverage": [0.5, 1, 2, 5],
            "monitoring": "bridge",
        },
        "venue": {
            "rules": "dydx_v4",
            "as_of": "2026-03-05",
            "markets": {"BTC-USD": {"asset": "BTC", **market}, "ETH-USD": {"asset": "ETH", **market}},
        },
        "prices": {"BTC": 60_000, "ETH": 3_000},
        "model": {
            "step": "1h",
            "assets": ["BTC", "ETH"],
            "initial": "stationary",
            "regimes": {
                "calm": {"volatility": {"BTC": 0.45, "ETH": 0.6}, "correlation": [[1, 0.8], [0.8, 1]]},
                "crisis": {
                    "volatility": {"BTC": 1.3, "ETH": 1.6},
                    "correlation": [[1, 0.95], [0.95, 1]],
                    "funding": {"BTC": 0.1, "ETH": 0.08},
                    "tail": 4,
                },
            },
            "transitions": {
                "calm": {"calm": 0.995, "crisis": 0.005},
                "crisis": {"calm": 0.04, "crisis": 0.96},
            },
        },
        "scenarios": [
            {"name": "baseline", "narrative": "The market as it is."},
            {
                "name": "gap-down-10",
                "narrative": "Everything opens a tenth lower.",
                "effects": [{"effect": "shock", "moves": {"all": -0.1}}],
            },
            {
                "name": "storm",
                "narrative": "Volatility doubles.",
                "effects": [{"effect": "volatility", "multiply": 2, "for": "3d"}],
            },
        ],
        "accounts": [
            {
                "name": "basis",
                "collateral": {"USDC": 100_000},
                "positions": [
                    {"market": "BTC-USD", "size": 4.0, "entry": 59_000},
                    {"market": "ETH-USD", "size": -70.0, "entry": 3_100},
                ],
            },
            {
                "name": "directional",
                "collateral": {"USDC": 25_000},
                "positions": [{"market": "ETH-USD", "size": 50.0, "entry": 3_050}],
            },
            {"name": "idle & <cash>", "collateral": {"USDC": 1_000}, "positions": []},
        ],
    }
    return document | changes


def small_plan(**changes: Any) -> Plan:
    """The plan of `plan_document`."""
    return plan_from_document(plan_document(**changes))


def small_tallies() -> Tallies:
    """For `small_plan`: basis never liquidated at size 1, directional often, and at once at 5 in the gap."""
    liquidations = np.zeros((3, 3, 4, 3), np.int64)
    liquidations[:, 0, 2:] = [[0, 3, 150], [20, 900, 20_000]]
    liquidations[0, 1] = [[0, 0, 40], [0, 1_200, 12_140], [500, 9_000, 60_000], [9_000, 70_000, 150_000]]
    liquidations[1, 1] = 3 * liquidations[0, 1] // 2 + 7
    liquidations[1, 1, 3] = PATHS
    liquidations[2, 1] = liquidations[0, 1] + 1
    liquidatable_now = np.zeros((3, 3, 4), np.bool_)
    liquidatable_now[1, 1, 3] = True
    joint = np.zeros((3, 3, 3, 3), np.int64)
    joint[:, :, 1, 1] = liquidations[:, 1, 1]
    return Tallies(
        liquidations=liquidations,
        margin_calls=np.minimum(liquidations * 2, PATHS),
        bankruptcies=liquidations // 3,
        joint=joint,
        liquidatable_now=liquidatable_now,
        paths=PATHS,
    )


@cache
def small_cube() -> xr.Dataset:
    """The cube of `small_plan` and `small_tallies`; don't write into it."""
    return build_cube(small_tallies(), small_plan(), PROVENANCE)


def resolved_document() -> dict[str, Any]:
    """The plan of `plan_document`, with what follows a breach, and a policy of the second account."""
    document = plan_document()
    document["simulation"] |= {"resolve": True}
    document["accounts"][1]["policies"] = [{"kind": "ladder", "rungs": [{"below": 2, "close": 0.5}]}]
    return document


def resolved_tallies() -> Tallies:
    """`small_tallies`, and what followed: of those liquidated half are closed in part and half out, a third
    leave others to pay; each costs 4 in fees, 8 in slippage, 2 to the fund. Quanta: 0.25, of costs a 256th.

    What goes first is the account's first leg on all paths but one, and its second, where it has one, there.
    """
    tallies = small_tallies()
    hit = tallies.liquidations
    sums = np.zeros((AFTERMATHS, *hit.shape), np.int64)
    sums[FORCED_PATHS], sums[PARTIAL_PATHS] = hit, hit // 2
    sums[CLOSED_PATHS] = hit - hit // 2
    sums[BANKRUPT_PATHS] = hit // 3
    sums[ACTED_PATHS] = np.minimum(3 * hit, PATHS)
    sums[NEEDLESS_PATHS] = sums[ACTED_PATHS] - hit
    for row, paths, quanta in (
        (SHORTFALLS, hit // 3, 400),
        (SHARES, hit, 3 << 22),
        (PAID_FEES, hit, 16 * 256),
        (PAID_SLIPPAGE, hit, 32 * 256),
        (PAID_TO_FUND, hit, 8 * 256),
    ):
        sums[row], sums[row + 1] = paths * quanta, paths * (quanta**2 >> 32)
        sums[row + 2] = paths * (quanta**2 & 0xFFFFFFFF)
    breach = np.zeros((*hit.shape[:3], 4), np.int64)
    breach[..., 0] = hit[..., -1]
    breach[:, 0, :, 0] -= hit[:, 0, :, -1] > 0
    breach[:, 0, :, 1] += hit[:, 0, :, -1] > 0
    return replace(tallies, aftermath=sums, breach=breach, money_quantum=np.full(3, 0.25))


@cache
def resolved_cube() -> xr.Dataset:
    """The cube of `resolved_document` and `resolved_tallies`; don't write into it."""
    return build_cube(resolved_tallies(), plan_from_document(resolved_document()), PROVENANCE)


def shared_document() -> dict[str, Any]:
    """The plan of `resolved_document`, its accounts in one market."""
    document = resolved_document()
    document["simulation"] |= {"monitoring": "close", "contagion": {"lasting": 0.5}}
    return document


def shared_tallies() -> Tallies:
    """`resolved_tallies`, and what became of the venue: on every path on which directional is liquidated two
    accounts are closed, 4,000 of notional, 100 of the fund are drawn and a price is pushed by a quarter; on
    half of those liquidations follow liquidations; on a third the fund is exhausted and 20 are socialised.
    Quantum of its money: 0.5. At leverage 0.5 nothing happens.
    """
    tallies = resolved_tallies()
    hit = tallies.liquidations[:, 1:2].copy()
    hit[:, :, 0] = 0
    sums = np.zeros((VENUE_ROWS, *hit.shape), np.int64)
    sums[EXHAUSTED_PATHS], sums[CASCADE_PATHS] = hit // 3, hit // 2
    for row, paths, quanta in (
        (FORCED_ACCOUNTS, hit, 2),
        (SOCIALISED, hit // 3, 40),
        (CLOSED_NOTIONAL, hit, 8_000),
        (DRAWN, hit, 200),
        (FALL, hit, 1 << 22),
    ):
        sums[row], sums[row + 1] = paths * quanta, paths * (quanta**2 >> 32)
        sums[row + 2] = paths * (quanta**2 & 0xFFFFFFFF)
    return replace(tallies, venue=sums, venue_quantum=np.full(1, 0.5))


@cache
def shared_cube() -> xr.Dataset:
    """The cube of `shared_document` and `shared_tallies`; don't write into it."""
    return build_cube(shared_tallies(), plan_from_document(shared_document()), PROVENANCE)


def spread_out(tallies: Tallies) -> dict[str, Any]:
    """Counts that quantiles are read off: of each kind all paths evenly in ten bins from the fiftieth on; the
    third account holds nothing. Each has lost 250. Liquidated in three steps, on paths of scenarios' own."""
    shape = tallies.liquidations.shape
    histogram = np.zeros((SPREADS, *shape, BINS), np.int64)
    histogram[:, :, :2, ..., 50:60] = PATHS // 10
    passages = np.zeros((*shape[:3], TIMES), np.int64)
    passages[..., [1, 11, 83]] = np.diff(tallies.liquidations, prepend=0)
    more = tallies.liquidations - tallies.liquidations[:1]
    return {
        "histogram": histogram,
        "results": -1_000 * histogram[RESULT],
        "passages": passages,
        "discordant": np.stack([np.maximum(more, 0), np.maximum(-more, 0)]),
        "scale": np.full(shape[1:3], 1_000.0),
        "began": np.array([100_000.0, 25_000.0, 1_000.0]),
    }


@cache
def full_cube() -> xr.Dataset:
    """A cube with all that only some plans have: a group, an account of several pools, draws of the model,
    what follows a breach, a venue that accounts share."""
    document = shared_document()
    document["accounts"][0]["group"] = "desk"
    document["accounts"][0]["positions"][0] |= {"margin": "isolated", "collateral": 1_000}
    tallies = small_tallies()
    groups = np.zeros((MOMENTS, 3, 1, 4, 3), np.int64)
    groups[ANY] = groups[ALL] = groups[LIQUIDATED] = groups[LIQUIDATED_SQUARE] = tallies.liquidations[:, :1]
    spread = Spread()
    for share in (3, 4, 5):
        spread.add(
            np.diff(share * tallies.liquidations[np.newaxis], prepend=0).repeat(MARKS, axis=0), 4 * PATHS
        )
    full = replace(
        shared_tallies(),
        all_pools=tallies.liquidations // 2,
        groups=groups,
        quantum=np.ones(1),
        spread=spread,
        **spread_out(tallies),
    )
    return build_cube(full, plan_from_document(document), PROVENANCE)
