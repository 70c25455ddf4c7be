"""Which paths are worth a look: the worst, the median of the liquidated, the nearest miss."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from kernels.estate import OTHERS, PUT_IN
from kernels.journal import DELEVERAGED, LIQUIDATED
from pipeline.blocks import draw_of
from pipeline.errors import InputError, Problem
from pipeline.lower_market import count_steps
from pipeline.path_walk import Cell, choose_cell, has_legs, lower_walk, resolving
from pipeline.plan import Plan
from pipeline.summary import BASELINE
from pipeline.units import format_duration
from pipeline.wording import money, ratio

FINDS = ("worst", "median", "nearest")
LOOKED_AT = 256  # paths, each walked by itself: a second or so
AT_ONCE = 64_512  # steps of paths that may be walked after a run, for all accounts named together
CROWD = 16  # accounts of a shared market that cost as much as walking one by itself
ROOM = 64  # events: the first forced close is among them, or none is


class Outcome(NamedTuple):
    """What became of one path: equity at the end less top-ups and what others paid, its lowest margin ratio
    at a close, and the step in which the venue first closed something, or None."""

    path: int
    ended: float
    lowest_ratio: float
    forced: int | None


class Found(NamedTuple):
    """A path, and why it is worth a look."""

    path: int
    sentence: str


def find_path(plan: Plan, scenario: str, account: str, leverage: float, what: str) -> Found:
    """The worst path, the median of the liquidated or the nearest miss among a plan's first.

    InputError where there is none.
    """
    found = find_paths(plan, scenario, account, leverage)
    if what not in found:
        looked = min(LOOKED_AT, plan.simulation.paths)
        expected = {
            "median": f"a path on which the venue liquidates among the first {looked:,}",
            "nearest": f"a path on which it does not among the first {looked:,}",
        }[what]
        fix = "try --find worst, another --leverage or --scenario, or name a path with --path"
        raise InputError([Problem("--find", expected, "none", fix)])
    return found[what]


def find_paths(
    plan: Plan, scenario: str, account: str, leverage: float, most: int = LOOKED_AT
) -> dict[str, Found]:
    """By what they are, the paths worth a look among a plan's first `most`; those that there are."""
    cell = choose_cell(plan, scenario, account, leverage)
    outcomes = list(follow_paths(plan, cell, min(most, plan.simulation.paths)))
    return choose_paths(outcomes, plan)


def name_paths(plan: Plan, accounts: Sequence[str]) -> dict[str, dict[str, Found]]:
    """Of accounts as they stand, in the baseline, the paths worth a look among as many as take a second."""
    moved = [account.name for account in plan.accounts if has_legs(plan, account)]
    asked = [name for name in accounts if name in moved]
    crowd = 1 if plan.simulation.contagion is None else -(-len(plan.accounts) // CROWD)
    each = max(AT_ONCE // (count_steps(plan) * max(len(asked), 1) * crowd), 1)
    return {name: find_paths(plan, BASELINE, name, 1.0, min(each, LOOKED_AT)) for name in asked}


def follow_paths(plan: Plan, cell: Cell, paths: int) -> Iterable[Outcome]:
    """What becomes of a cell on each of a plan's first paths.

    In a plan of its scenario alone, which has the same random numbers.
    """
    alone = {"scenarios": (plan.scenarios[cell.scenario],)}
    followed = resolving(plan).model_copy(update=alone)
    cell = cell._replace(scenario=0)
    count = plan.simulation.paths
    draws = [draw_of(path, count, plan.draws) if plan.draws else None for path in range(paths)]
    walks = {draw: lower_walk(followed, cell, draw) for draw in dict.fromkeys(draws)}
    for path, draw in enumerate(draws):
        journal, _ = walks[draw].follow(followed, cell, path, ROOM)
        written = journal.events[: journal.written[0]]
        forced = written[np.isin(written[:, 2], (LIQUIDATED, DELEVERAGED)), 0]
        required, equity = journal.margin[..., 1], journal.margin[..., 0] - journal.margin[..., 2]
        ratios = np.divide(equity, required, out=np.full_like(equity, np.inf), where=required > 0)
        yield Outcome(
            path,
            float(journal.margin[-1, :, 0].sum() - journal.money[-1, OTHERS] - journal.money[-1, PUT_IN]),
            float(ratios.min()),
            int(forced[0]) if len(forced) else None,
        )


def choose_paths(outcomes: list[Outcome], plan: Plan) -> dict[str, Found]:
    """The worst, the median of the liquidated by time, the lowest margin ratio of the others; ties go to the
    first."""
    step = plan.simulation.step
    among = f"of the first {len(outcomes):,} paths"
    worst = min(outcomes, key=lambda outcome: outcome.ended)
    found = {"worst": Found(worst.path, f"worst {among}: path {worst.path:,}, {_end(worst)}")}
    liquidated = sorted((o for o in outcomes if o.forced is not None), key=lambda o: o.forced or 0)
    if liquidated:
        median = liquidated[(len(liquidated) - 1) // 2]
        assert median.forced is not None
        after = format_duration((median.forced + 1) * step)
        said = f"median of {len(liquidated):,} liquidated {among}: path {median.path:,}, within {after}"
        found["median"] = Found(median.path, said)
    missed = [o for o in outcomes if o.forced is None and np.isfinite(o.lowest_ratio)]
    if missed:
        nearest = min(missed, key=lambda outcome: outcome.lowest_ratio)
        low = ratio(nearest.lowest_ratio)
        said = f"nearest miss {among}: path {nearest.path:,}, margin ratio down to {low}"
        found["nearest"] = Found(nearest.path, said)
    return found


def _end(outcome: Outcome) -> str:
    if round(outcome.ended) < 0:
        return f"{money(-outcome.ended)} short at the end, net of top-ups"
    return f"equity {money(outcome.ended)} at the end, net of top-ups"
