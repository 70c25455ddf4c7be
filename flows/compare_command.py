"""`seawall margin --compare`: the book cross beside isolated, as tables or as one JSON object."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from flows.console import open_console, show_progress
from pipeline.compare import Comparison, EqualChance, HeldBook, compare_books, hold_book
from pipeline.errors import InputError, Problem
from pipeline.faults import nearest
from pipeline.margin_snapshot import margin_snapshot
from pipeline.plan import Plan, Scenario, load_plan
from pipeline.store import open_store
from pipeline.units import format_duration, parse_duration

if TYPE_CHECKING:
    import xarray as xr

INTERRUPTED = 130
USUAL = 0.01  # the probability where an account's own is none or one


class Wanted(NamedTuple):
    """The command's options: where the run is, and at which cell of its cube ways are made equal.

    None: the longest horizon, and each account's own probability.
    """

    store: str
    scenario: str
    horizon: str | None
    probability: float | None


def show_comparison(plan_path: str, as_json: bool, wanted: Wanted) -> int:
    """Print what each way of holding the accounts takes; returns the exit code. Raises SeawallError."""
    plan = load_plan(plan_path)
    scenario, horizon = _choose(plan, wanted)
    words = open_console(stderr=True)
    books = [hold_book(plan, account) for account in plan.accounts]
    try:
        equal = _simulate(plan, books, wanted, scenario, horizon)
    except KeyboardInterrupt:
        words.print("Interrupted.")
        return INTERRUPTED
    comparisons = compare_books(books, equal or [None] * len(books))
    if as_json:
        _print_json(plan, comparisons)
    else:
        from pipeline.compare_table import compare_table

        open_console(stderr=False).print(compare_table(comparisons))
    if equal is None:
        words.print(
            f"No finished run of this plan in {wanted.store}. For capital at equal P(liquidation) run it "
            f"first: seawall run {plan_path} --store {wanted.store}",
            highlight=False,
            soft_wrap=True,
        )
    return 0


def _print_json(plan: Plan, comparisons: Sequence[Comparison]) -> None:
    found = {
        "accounts": [account.document() for account in margin_snapshot(plan)],
        "comparison": [comparison.document() for comparison in comparisons],
    }
    sys.stdout.write(json.dumps(found, allow_nan=False) + "\n")


def _choose(plan: Plan, wanted: Wanted) -> tuple[Scenario, timedelta]:
    """The scenario and the horizon that are meant; InputError with all that is wrong with the options."""
    problems = list(_find_problems(plan, wanted))
    if problems:
        raise InputError(problems)
    scenario = next(each for each in plan.scenarios if each.name == wanted.scenario)
    horizon = plan.simulation.horizons[-1] if wanted.horizon is None else parse_duration(wanted.horizon)
    return scenario, horizon


def _find_problems(plan: Plan, wanted: Wanted) -> Iterator[Problem]:
    scenarios = [scenario.name for scenario in plan.scenarios]
    if wanted.scenario not in scenarios:
        fix = nearest(wanted.scenario, scenarios)
        yield Problem("--scenario", "a scenario of the plan", f"`{wanted.scenario}`", fix)
    if wanted.horizon is not None and not _is_horizon(plan, wanted.horizon):
        fix = f"use one of: {', '.join(map(format_duration, plan.simulation.horizons))}"
        yield Problem("--horizon", "a horizon of the plan", f"`{wanted.horizon}`", fix)
    if wanted.probability is not None and not 0 < wanted.probability < 1:
        expected = "a probability between 0 and 1, neither of them"
        yield Problem("--probability", expected, f"{wanted.probability:g}", "write 0.01 for 1 %")


def _is_horizon(plan: Plan, text: str) -> bool:
    with suppress(ValueError):
        return parse_duration(text) in plan.simulation.horizons
    return False


def _simulate(
    plan: Plan, books: Sequence[HeldBook], wanted: Wanted, scenario: Scenario, horizon: timedelta
) -> tuple[EqualChance | None, ...] | None:
    """What the ways take at equal probability, by account; None where the plan has not been run."""
    store = open_store(wanted.store)
    if not store.folders("runs"):  # nothing was ever run there: an answer at once
        return None
    from pipeline.run import load_cube, name_run

    run = name_run(plan, store)
    if not run.published:
        return None
    from pipeline.capital import find_capital

    probabilities = _probabilities(load_cube(run), wanted.probability, scenario, horizon)
    with show_progress(open_console(stderr=True), plan.name) as reporter:
        return find_capital(plan, books, scenario, horizon, probabilities, reporter)


def _probabilities(
    cube: xr.Dataset, given: float | None, scenario: Scenario, horizon: timedelta
) -> list[float]:
    """For each account the probability given, or its own in the cube, or the usual one."""
    import numpy as np

    cell = {"scenario": scenario.name, "leverage": 1.0, "horizon": np.timedelta64(horizon)}
    own = cube["p_liquidation"].sel(cell).values.tolist()
    return [given or (p if 0 < p < 1 else USUAL) for p in own]
