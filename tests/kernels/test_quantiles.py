"""Where cells have been: bins held against what journals say of the same paths, money by money."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

from kernels import estate as rows
from kernels.aftermath import make_journal
from kernels.desks import Desks
from kernels.journal import Journal
from kernels.quanta import MOST_QUANTA
from kernels.quantiles import FLAT, find_bin, find_bin_above, find_ratio_bin
from kernels.simulate import simulate_general_paths
from kernels.structs import (
    AT_HORIZON,
    BINS,
    DRAWDOWN,
    LIQUIDATION,
    LOWEST_EQUITY,
    LOWEST_RATIO,
    PAID_FUNDING,
    RESULT,
    SHORT_OF,
    Tally,
    create_tally,
)
from kernels.trail import find_first_ratios, find_scales
from pipeline.plan import Plan, plan_from_document
from pipeline.quantiles import edges_of, ratio_edges
from tests.kernels.aftermath_problems import problems
from tests.kernels.contagion_problems import crowds
from tests.kernels.contagion_problems import lowered as lowered_together
from tests.kernels.problems import FULL
from tests.kernels.test_resolve import LADDER, STOP, TOP_UP, Parts, document, lowered

Floats = np.ndarray[Any, np.dtype[np.float64]]
TIERED = {"rules": "tiered", "taker_fee": 5e-4, "liquidation": {"style": "partial", "fee": 0.01}}
CHAIN = {"rules": "dydx_v4", "as_of": "2026-03-05", "taker_fee": 5e-4, "gas_cost": 1.0}
KINDS = (AT_HORIZON, LOWEST_EQUITY, RESULT, SHORT_OF, DRAWDOWN, LOWEST_RATIO)


def count(
    plan: Plan, parts: Parts, first: int, paths: int, journal: Journal | None = None, quantiles: bool = True
) -> Tally:
    """What happens on some of a plan's paths."""
    market, book, clock, desks = parts
    simulation = plan.simulation
    sizes = (len(plan.scenarios), len(plan.accounts), len(simulation.leverage), len(simulation.horizons))
    several = int(book.several.max(initial=-1)) + 1
    tally = create_tally(
        *(*sizes, True, several, len(book.members), desks.holdings.width),
        venues=len(desks.contagion.fund),
        quantiles=quantiles,
    )
    simulate_general_paths(simulation.seed, first, paths, market, book, clock, tally, desks, journal)
    return tally


class Walked(NamedTuple):
    """What a journal says of one cell on one path: at every close."""

    equity: Floats
    result: Floats
    short: Floats
    ratio: Floats
    funding: Floats


def walked(plan: Plan, parts: Parts, path: int, cell: tuple[int, int, int]) -> Walked:
    """By the story of the cell alone."""
    market, _, clock, desks = parts
    holdings, (_, account, leverage) = desks.holdings, cell
    journal = make_journal(desks, clock.steps, len(market.spot), (*cell, 0), 5_000)
    count(plan, parts, path, 1, journal, quantiles=False)
    first, last = holdings.first[account], holdings.first[account + 1]
    equity, maintenance, haircuts = np.moveaxis(journal.margin[:, : last - first], -1, 0)
    tie = holdings.tie[first:last, leverage]
    asks = maintenance > 0
    ratio = np.where(asks, (equity - haircuts) / np.where(asks, maintenance, 1.0), np.inf).min(axis=1)
    others = np.maximum(journal.money[:, rows.OTHERS], 0.0)
    total = equity.sum(axis=1)
    return Walked(
        equity=total,
        result=total - journal.money[:, rows.PUT_IN],
        short=others + np.where(equity < -tie, -equity, 0.0).sum(axis=1),
        ratio=ratio,
        funding=journal.money[:, rows.FUNDING_PAID],
    )


def by_hand(desks: Desks, cell: tuple[int, int, int], found: Walked, last: int) -> dict[int, float]:
    """Every kind by a horizon whose last step is `last`: money less what there was, or from zero."""
    _, account, leverage = cell
    began = float(desks.holdings.equity[account])
    result = np.concatenate([[began], found.result[: last + 1]])
    first = find_first_ratios(desks.holdings)[account, leverage]
    return {
        AT_HORIZON: found.equity[last] - began,
        LOWEST_EQUITY: min(began, found.equity[: last + 1].min()) - began,
        RESULT: found.result[last] - began,
        SHORT_OF: found.short[last],
        DRAWDOWN: (np.maximum.accumulate(result) - result).max(),
        LOWEST_RATIO: min(first, found.ratio[: last + 1].min()),
    }


def cells_of(plan: Plan, desks: Desks) -> Iterator[tuple[int, int, int]]:
    for s in range(len(plan.scenarios)):
        for account in np.flatnonzero(np.diff(desks.holdings.first)).tolist():
            for leverage in range(len(plan.simulation.leverage)):
                yield s, account, leverage


def assert_paths_are_told(plan: Plan, parts: Parts, paths: range) -> dict[int, set[int]]:
    """Each path alone: it lies in the bins where its journal puts it. Returns the bins met, by kind."""
    _, _, clock, desks = parts
    scale = find_scales(desks.holdings)
    ends = np.flatnonzero(clock.ends)
    met: dict[int, set[int]] = {kind: set() for kind in KINDS}
    for path in paths:
        tally = count(plan, parts, path, 1)
        for s, account, leverage in cells_of(plan, desks):
            found = walked(plan, parts, path, (s, account, leverage))
            for h, last in enumerate(ends):
                expected = by_hand(desks, (s, account, leverage), found, int(last))
                for kind, value in expected.items():
                    bins = tally.histogram[kind, s, account, leverage, h]
                    assert bins.sum() == 1
                    place = int(bins.argmax())
                    met[kind].add(place)
                    edges = edges_of(kind, scale[account, leverage])
                    near = 1e-9 * (scale[account, leverage] if kind != LOWEST_RATIO else 1.0)
                    assert edges[place] - near <= value <= edges[place + 1] + near, (kind, path, s, account)
                quantum = desks.rules.quantum[account]
                made = tally.results[s, account, leverage, h].sum() * quantum
                most = MOST_QUANTA * quantum
                assert made == pytest.approx(min(max(expected[RESULT], -most), most), abs=quantum)
                paid = tally.aftermath[PAID_FUNDING, s, account, leverage, h] * quantum
                assert paid == pytest.approx(found.funding[last], abs=quantum)
    return met


@pytest.mark.parametrize("seed", range(40) if FULL else (0, 1, 8, 38))
def test_follow_trail__bins_are_where_journals_say(seed: int) -> None:
    """Cross, isolated and coins, every policy, halts, shocks, cash taken."""
    plan = problems(seed)
    assert_paths_are_told(plan, lowered(plan), range(20, 23))


@pytest.mark.parametrize("venue", [TIERED, CHAIN])
@pytest.mark.parametrize("monitoring", ["close", "bridge"])
def test_follow_trail__a_desk_that_acts(venue: dict[str, Any], monitoring: str) -> None:
    plan = plan_from_document(document(monitoring, venue, (TOP_UP, LADDER, STOP)))
    met = assert_paths_are_told(plan, lowered(plan), range(4))
    assert all(len(met[kind]) > 3 for kind in KINDS if kind != SHORT_OF)
    assert BINS - 1 not in met[LOWEST_RATIO]


@pytest.mark.parametrize("seed", range(40 if FULL else 4))
def test_follow_trail__marks_pushed_by_others(seed: int) -> None:
    """Accounts that share a market: what they are worth is told at its marks."""
    plan = crowds(seed)
    assert_paths_are_told(plan, lowered_together(plan, 0.5), range(20, 22))


def test_follow_trail__cut_anywhere_counts_are_the_same() -> None:
    plan = plan_from_document(document("close", TIERED, (TOP_UP, LADDER)))
    parts = lowered(plan)
    whole = count(plan, parts, 0, 70)
    pieces = [count(plan, parts, *piece) for piece in ((0, 1), (1, 40), (41, 29))]
    for name in ("histogram", "results", "passages", "discordant", "aftermath"):
        np.testing.assert_array_equal(sum(getattr(p, name) for p in pieces), getattr(whole, name), name)
    assert (whole.histogram.sum(axis=-1) == 70).all()


def test_follow_trail__changes_nothing_else() -> None:
    plan = plan_from_document(document("bridge", CHAIN, (TOP_UP, LADDER)))
    parts = lowered(plan)
    with_bins, without = count(plan, parts, 0, 20), count(plan, parts, 0, 20, quantiles=False)
    for name in ("hits", "joint", "last_pool", "groups", "aftermath", "breach"):
        np.testing.assert_array_equal(getattr(with_bins, name), getattr(without, name), name)
    assert without.histogram.size == without.passages.size == 0


@pytest.mark.parametrize("monitoring", ["close", "bridge"])
def test_count_passages__each_liquidation_once(monitoring: str) -> None:
    """By stretches of the steps, so that those by a horizon are known: eight steps, a bin each."""
    plan = plan_from_document(document(monitoring, TIERED))
    parts = lowered(plan)
    tally = count(plan, parts, 0, 40)
    hits = np.cumsum(tally.hits[LIQUIDATION], axis=-1)
    assert hits.any()
    for h, last in enumerate(np.flatnonzero(parts[2].ends)):
        np.testing.assert_array_equal(tally.passages[..., : last + 1].sum(axis=-1), hits[..., h])


def test_count_discordant__against_each_path_by_itself() -> None:
    """A path alone is liquidated or not, in each scenario; the baseline need not come first."""
    plain = document("bridge", CHAIN)
    gap = {"effect": "shock", "moves": {"all": -0.03}, "at": "2h"}
    plain["scenarios"] = [{"name": "gap", "narrative": "A fall.", "effects": [gap]}, "baseline"]
    plan = plan_from_document(plain)
    parts = lowered(plan)
    together = count(plan, parts, 0, 30).discordant
    alone = np.array([np.cumsum(count(plan, parts, path, 1).hits[LIQUIDATION], -1) for path in range(30)])
    up = alone[:, 0] > alone[:, 1]
    down = alone[:, 0] < alone[:, 1]
    np.testing.assert_array_equal(together[0, 0], up.sum(axis=0))
    np.testing.assert_array_equal(together[1, 0], down.sum(axis=0))
    assert up.any()
    assert down.any()
    assert not together[:, 1].any()


def test_find_bin__edges_are_those_of_the_pipeline() -> None:
    scale = 1_000.0
    rng = np.random.default_rng(1)
    values = scale * rng.standard_cauchy(2_000)
    for kind, place in ((AT_HORIZON, find_bin), (SHORT_OF, find_bin_above)):
        edges = edges_of(kind, scale)
        assert edges.shape == (BINS + 1,)
        assert (np.diff(edges) >= 0).all()
        for value in values if kind == AT_HORIZON else abs(values):
            number = place(float(value), 1.0 / (FLAT * scale))
            assert edges[number] <= value <= edges[number + 1]
    edges = ratio_edges()
    for ratio in (-3.0, 0.0, 1e-9, 0.2, 1.0, 1.01, 7.7, 1e5, np.inf):
        number = find_ratio_bin(ratio)
        assert edges[number] <= ratio <= edges[number + 1]
    assert (find_ratio_bin(np.inf), find_ratio_bin(1e9), find_ratio_bin(0.0)) == (BINS - 1, BINS - 2, 0)
    assert find_bin_above(0.0, 1.0) == 0
    assert find_bin(0.0, 1.0) == BINS // 2
