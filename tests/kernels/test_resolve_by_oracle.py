"""The state machine of `kernels.resolve` against its twin in plain Python, event by event."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from kernels import estate as rows
from kernels.aftermath import make_journal
from kernels.desks import Desks
from kernels.journal import DELEVERAGED, FILLED, LIQUIDATED, MOVED, PAID_BY_FUND, TOPPED_UP, Journal
from kernels.random import SLOT_ATTENDANCE, SLOT_PICK, draw_uniform
from kernels.simulate import simulate_general_paths
from kernels.structs import Book, Clock, Key, Market, create_tally
from pipeline.lower_book import lower_book, lower_clock
from pipeline.lower_desks import lower_desks
from pipeline.lower_market import lower_market
from pipeline.plan import Plan
from tests.aftermath_oracle import Followed, follow
from tests.aftermath_path import paths_of
from tests.kernels.aftermath_problems import problems

INTERPRETED = bool(numba.config.DISABLE_JIT)
PATHS = 1 if INTERPRETED else 3
SEEDS = (0,) if INTERPRETED else (0, *range(3, 12))  # on three paths of 1 and 2 nothing happens
CELLS = 4 if INTERPRETED else None  # scenario, account, leverage
NEAR = 1e-9  # of what an account held and traded
# what the twin calls each event of the kernel, where it has one
NAMES = {
    FILLED: "order",
    TOPPED_UP: "top_up",
    LIQUIDATED: "liquidation",
    DELEVERAGED: "deleveraging",
    PAID_BY_FUND: "fund",
    MOVED: "moved",
}


def lowered(plan: Plan) -> tuple[Market, Book, Clock, Desks]:
    """A plan as the kernel takes it."""
    slab = range(len(plan.accounts))
    market = lower_market(plan)
    book = lower_book(plan, market, slab)
    return market, book, lower_clock(plan), lower_desks(plan, market, book, slab)


def journal_of(
    plan: Plan, parts: tuple[Market, Book, Clock, Desks], path: int, cell: tuple[int, int, int]
) -> Journal:
    """What the kernel writes down of one scenario, account and leverage on one path."""
    market, book, clock, desks = parts
    journal = make_journal(desks, clock.steps, len(market.spot), (*cell, 0), 5000)
    tally = create_tally(
        len(plan.scenarios),
        len(plan.accounts),
        len(plan.simulation.leverage),
        len(plan.simulation.horizons),
        True,
        int(book.several.max(initial=-1)) + 1,
        len(book.members),
        desks.holdings.width,
    )
    simulate_general_paths(plan.simulation.seed, path, 1, market, book, clock, tally, desks, journal)
    return journal


def followed_by_oracle(plan: Plan, path: int, cell: tuple[int, int, int]) -> Followed:
    """The same by the twin."""
    scenario, account, leverage = plan.scenarios[cell[0]], plan.accounts[cell[1]], cell[2]
    seed = np.uint64(plan.simulation.seed)

    def pick(step: int, look: int) -> float:
        return draw_uniform(Key(seed, np.uint64(path), np.uint64(step)), SLOT_PICK + look)

    def attends(policy: int) -> float:
        return draw_uniform(Key(seed, np.uint64(path), np.uint64(0)), SLOT_ATTENDANCE + policy)

    walked = paths_of(plan, scenario, path, 1)[0]
    return follow(plan, scenario, account, plan.simulation.leverage[leverage], walked, pick, attends)


@pytest.mark.parametrize("seed", SEEDS)
def test_move_estates__as_its_twin_event_by_event(seed: int) -> None:
    """Orders, top-ups, liquidations, ADL and the fund in order, with quantities; money at every horizon."""
    plan = problems(seed)
    parts = lowered(plan)
    events = 0
    for path in range(PATHS):
        axes = (len(plan.scenarios), len(plan.accounts), len(plan.simulation.leverage))
        for cell in list(np.ndindex(*axes))[-CELLS if CELLS else 0 :]:
            twin = followed_by_oracle(plan, path, cell)
            if twin.unsure:
                continue
            journal = journal_of(plan, parts, path, cell)
            assert_same(twin, journal, (path, *cell))
            events += len(twin.events)
    assert events > 0


def assert_same(twin: Followed, journal: Journal, where: tuple[int, ...]) -> None:
    """The same events, and the same money at every horizon."""
    told = [event for event in twin.events if event.kind in NAMES.values()]
    written = [row for row in journal.events[: journal.written[0]] if int(row[2]) in NAMES]
    assert [(event.step, event.kind) for event in told] == [
        (int(row[0]), NAMES[int(row[2])]) for row in written
    ], where
    scale = twin.scale
    for event, row in zip(told, written, strict=True):
        if event.kind in ("order", "liquidation", "deleveraging", "moved"):
            assert row[4] == pytest.approx(event.quantity, rel=1e-6, abs=NEAR), (where, event)
        if event.kind in ("top_up", "fund"):
            assert row[6] == pytest.approx(event.money, rel=1e-6, abs=NEAR * scale), (where, event)
    for record in twin.records:
        money = journal.money[record.step]
        for row, expected in (
            (rows.FEES, record.fees),
            (rows.SLIPPAGE, record.slippage),
            (rows.LIQUIDATION_FEES, record.liquidation_fees),
            (rows.GAS, record.gas),
            (rows.OTHERS, record.others),
            (rows.PUT_IN, record.put_in),
            (rows.FUNDING_PAID, record.funding),
            (rows.FORCED, record.share * twin.gross_before),
        ):
            assert money[row] == pytest.approx(expected, rel=1e-6, abs=NEAR * scale), (
                where,
                row,
                record.step,
            )
        equity = journal.margin[record.step, :, 0]
        assert equity.sum() == pytest.approx(sum(record.equity), rel=1e-6, abs=NEAR * scale), where
        state = journal.state[record.step]
        found = (state[rows.HAS_ACTED], state[rows.WAS_FORCED], state[rows.WAS_BANKRUPT])
        assert found == (record.fired, record.forced, record.bankrupt), (where, record.step)
