"""What groups of accounts did: the cube's group variables, from sums over paths."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kernels.structs import (
    ALL,
    ANY,
    EQUITY,
    EQUITY_HIGH,
    EQUITY_LOW,
    LIQUIDATED,
    LIQUIDATED_SQUARE,
    SHORTFALL,
    SHORTFALL_HIGH,
    SHORTFALL_LOW,
)
from pipeline.intervals import counted, of_mean
from pipeline.plan import Plan
from pipeline.schema import LEVEL
from pipeline.slabs import groups_of
from pipeline.tallies import Tallies

Floats = NDArray[np.float64]
WORD = 2.0**32


def summarise_groups(tallies: Tallies, plan: Plan) -> dict[str, NDArray[np.int64] | Floats]:
    """Every group variable of `pipeline.schema`, each (scenario, group, leverage, horizon)."""
    sums, paths = tallies.groups, tallies.paths
    assert sums is not None
    any_now, all_now, sizes = _known_already(tallies, plan)
    found: dict[str, NDArray[np.int64] | Floats] = {
        "group_any_liquidated": sums[ANY],
        "group_all_liquidated": sums[ALL],
        **_probability("p_group_any", sums[ANY], paths, any_now),
        **_probability("p_group_all", sums[ALL], paths, all_now),
    }
    quantum = tallies.quantum[:, np.newaxis, np.newaxis]
    moments: dict[str, tuple[Floats, Floats, Floats | float]] = {
        "group_liquidated_mean": (sums[LIQUIDATED] + 0.0, sums[LIQUIDATED_SQUARE] + 0.0, 1.0),
        "group_equity_mean": (sums[EQUITY] + 0.0, sums[EQUITY_HIGH] * WORD + sums[EQUITY_LOW], quantum),
        "group_shortfall_mean": (
            sums[SHORTFALL] + 0.0,
            sums[SHORTFALL_HIGH] * WORD + sums[SHORTFALL_LOW],
            quantum,
        ),
    }
    for name, (total, squares, unit) in moments.items():
        mean, low, high = (figure * unit for figure in of_mean(total, squares, paths, LEVEL))
        if name != "group_equity_mean":  # neither can be negative
            low = np.maximum(low, 0.0)
        found |= {name: mean, f"{name}_low": low, f"{name}_high": high}
    nobody = sums[LIQUIDATED] == 0
    most = np.asarray(found["p_group_any_high"]) * sizes
    found["group_liquidated_mean_high"] = np.where(nobody, most, found["group_liquidated_mean_high"])
    none = sums[SHORTFALL] == 0
    found["group_shortfall_mean_high"] = np.where(none, np.nan, found["group_shortfall_mean_high"])
    return found


def _known_already(tallies: Tallies, plan: Plan) -> tuple[NDArray[np.bool_], NDArray[np.bool_], Floats]:
    """Where any, and all, of a group are liquidatable at `as_of` (scenario, group, leverage, 1); sizes."""
    held = np.array([any(position.size for position in account.positions) for account in plan.accounts])
    now = tallies.liquidatable_now
    members: dict[str, list[int]] = {name: [] for name in groups_of(plan)}
    for i, account in enumerate(plan.accounts):
        if account.group is not None:
            members[account.group].append(i)
    some, every, sizes = [], [], []
    for mine in members.values():
        at_risk = [i for i in mine if held[i]]
        some.append(now[:, mine].any(axis=1))
        every.append(now[:, at_risk].all(axis=1) & bool(at_risk))
        sizes.append(float(len(mine)))
    return (
        np.stack(some, axis=1)[..., np.newaxis],
        np.stack(every, axis=1)[..., np.newaxis],
        np.array(sizes)[:, np.newaxis, np.newaxis],
    )


def _probability(
    name: str, counts: NDArray[np.int64], paths: int, certain: NDArray[np.bool_]
) -> dict[str, NDArray[np.int64] | Floats]:
    low, high = counted(counts, paths, LEVEL)
    figures = (counts / paths, low, high)
    p, low, high = (np.where(certain, 1.0, figure) for figure in figures)
    return {name: p, f"{name}_low": low, f"{name}_high": high}
