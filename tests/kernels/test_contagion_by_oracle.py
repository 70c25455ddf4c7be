"""Accounts that share a market, in the kernel against their twin in plain Python, event by event."""

from __future__ import annotations

from functools import cache

import numba
import numpy as np
import pytest

from kernels import estate as rows
from kernels.aftermath import make_journal
from kernels.journal import COUNTERED, DELEVERAGED, FILLED, LIQUIDATED, PAID_BY_FUND, TOPPED_UP, Journal
from kernels.random import SLOT_ATTENDANCE, SLOT_COUNTER, SLOT_PICK, draw_uniform
from kernels.simulate import simulate_general_paths
from kernels.structs import (
    CASCADE_PATHS,
    CLOSED_NOTIONAL,
    DRAWN,
    EXHAUSTED_PATHS,
    FALL,
    FORCED_ACCOUNTS,
    SHARE_QUANTUM,
    SOCIALISED,
    Key,
    Tally,
)
from pipeline.plan import Plan
from tests.aftermath_estate import Event
from tests.aftermath_oracle import Record
from tests.aftermath_path import paths_of
from tests.contagion_oracle import Told, follow_book
from tests.kernels.contagion_problems import QUANTUM, Parts, crowds, empty_tally, lowered

INTERPRETED = bool(numba.config.DISABLE_JIT)
PATHS = 1 if INTERPRETED else 3
SEEDS = (2, 4, 5) if INTERPRETED else range(20)
LASTING = (0.0, 0.3, 1.0)
NEAR = 1e-9  # of what an account held and traded
# what the twin calls each event of the kernel
NAMES = {
    FILLED: "order",
    TOPPED_UP: "top_up",
    LIQUIDATED: "liquidation",
    DELEVERAGED: "deleveraging",
    PAID_BY_FUND: "fund",
    COUNTERED: "countered",
}


@cache
def book_of(seed: int) -> tuple[Plan, Parts]:
    """A plan and its arrays."""
    plan = crowds(seed)
    return plan, lowered(plan, LASTING[seed % len(LASTING)])


def told_by_oracle(seed: int, path: int, scenario: int, leverage: int) -> Told:
    """Everybody, by the twin."""
    plan, _ = book_of(seed)
    of = np.uint64(plan.simulation.seed), np.uint64(path)
    return follow_book(
        plan,
        plan.scenarios[scenario],
        plan.simulation.leverage[leverage],
        paths_of(plan, plan.scenarios[scenario], path, 1)[0],
        LASTING[seed % len(LASTING)],
        lambda step, look: draw_uniform(Key(*of, np.uint64(step)), SLOT_PICK + look),
        lambda policy: draw_uniform(Key(*of, np.uint64(0)), SLOT_ATTENDANCE + policy),
        lambda step, draw: draw_uniform(Key(*of, np.uint64(step)), SLOT_COUNTER + draw),
    )


def told_by_kernel(seed: int, path: int, cell: tuple[int, int, int]) -> tuple[Journal, Tally]:
    """One account, and what is counted on the path."""
    plan, parts = book_of(seed)
    journal = make_journal(parts.desks, parts.clock.steps, len(parts.market.spot), (*cell, 0), 5000)
    tally = empty_tally(plan, parts)
    market, book, clock, desks = parts
    simulate_general_paths(plan.simulation.seed, path, 1, market, book, clock, tally, desks, journal)
    return journal, tally


@pytest.mark.parametrize("seed", SEEDS)
def test_move_pits__as_its_twin_event_by_event(seed: int) -> None:
    """Orders, liquidations, who is closed against, funds; money at every horizon; counts of venues."""
    plan, _ = book_of(seed)
    sure = 0
    for path in range(PATHS):
        for scenario, leverage in np.ndindex(len(plan.scenarios), len(plan.simulation.leverage)):
            told = told_by_oracle(seed, path, scenario, leverage)
            if told.unsure:
                continue
            sure += 1
            tally = None
            for account in range(len(plan.accounts)):
                journal, tally = told_by_kernel(seed, path, (scenario, account, leverage))
                where = (path, scenario, account, leverage)
                assert_same_events(told.events[account], journal, told.scale[account], where)
                assert_same_money(told.records[account], journal, told.scale[account], where)
            assert tally is not None
            assert_same_counts(plan, told, tally, (scenario, leverage))
    assert sure > 0


def assert_same_events(
    events: tuple[Event, ...], journal: Journal, scale: float, where: tuple[int, ...]
) -> None:
    """The same events, in order."""
    told = [event for event in events if event.kind in NAMES.values()]
    written = [row for row in journal.events[: journal.written[0]] if int(row[2]) in NAMES]
    assert [(event.step, event.kind) for event in told] == [
        (int(row[0]), NAMES[int(row[2])]) for row in written
    ], where
    for event, row in zip(told, written, strict=True):
        if event.kind in ("order", "liquidation", "deleveraging", "countered"):
            assert row[4] == pytest.approx(event.quantity, rel=1e-6, abs=NEAR), (where, event)
        if event.kind in ("deleveraging", "countered"):
            assert row[5] == pytest.approx(event.price, rel=1e-6), (where, event)
        if event.kind in ("top_up", "fund", "countered", "deleveraging"):
            assert row[6] == pytest.approx(event.money, rel=1e-6, abs=NEAR * scale), (where, event)


def assert_same_money(
    records: tuple[Record, ...], journal: Journal, scale: float, where: tuple[int, ...]
) -> None:
    """The same money at every horizon."""
    for record in records:
        money = journal.money[record.step]
        for row, expected in (
            (rows.FEES, record.fees),
            (rows.SLIPPAGE, record.slippage),
            (rows.LIQUIDATION_FEES, record.liquidation_fees),
            (rows.GAS, record.gas),
            (rows.OTHERS, record.others),
            (rows.PUT_IN, record.put_in),
            (rows.FUNDING_PAID, record.funding),
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


def assert_same_counts(plan: Plan, told: Told, tally: Tally, where: tuple[int, int]) -> None:
    """The same of every venue at every horizon, to a quantum."""
    venues = list(dict.fromkeys(account.venue for account in plan.accounts))
    scenario, leverage = where
    for number, record in enumerate(told.venues):
        cell = tally.venue[:, scenario, venues.index(record.venue), leverage, number // len(venues)]
        assert (cell[EXHAUSTED_PATHS], cell[CASCADE_PATHS]) == (record.exhausted, record.cascade), where
        assert cell[FORCED_ACCOUNTS] == record.forced_accounts
        for row, expected, quantum in (
            (SOCIALISED, record.socialised, QUANTUM),
            (CLOSED_NOTIONAL, record.notional, QUANTUM),
            (DRAWN, record.drawn, QUANTUM),
            (FALL, record.fall, SHARE_QUANTUM),
        ):
            assert cell[row] * quantum == pytest.approx(expected, rel=1e-6, abs=quantum), (where, row)
