"""A position moved to a pool of its own: by hand, by its laws, and beside brackets of notional."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kernels import estate as rows
from kernels.journal import AT_END, AT_START, LIQUIDATED, MOVED, Journal
from kernels.structs import ACTED_PATHS
from pipeline.plan import Plan, plan_from_document
from tests.aftermath_cases import case, chain, long_a, short_b, tiered
from tests.kernels.test_resolve import LADDER, STOP, TOP_UP, assert_conserved, count, document, lowered
from tests.kernels.test_resolve_by_oracle import journal_of

Document = dict[str, Any]
BOOK = [long_a(), short_b(1_000)]
FALL = {"effect": "shock", "moves": {"A": 0.1, "B": -0.2}, "at": "1h"}


def isolate(market: str = "A-USD", above: float = 0.55, collateral: float = 5_000.0, **rest: Any) -> Document:
    return {"kind": "isolate", "market": market, "above": above, "collateral": collateral} | rest


def told(plan: Plan) -> Journal:
    """What is written down of the account in the second scenario."""
    return journal_of(plan, lowered(plan), 0, (1, 0, 0))


def moves(journal: Journal) -> list[tuple[float, ...]]:
    found = journal.events[: journal.written[0]]
    return [tuple(row[[0, 4, 5, 6]].tolist()) for row in found if row[2] == MOVED]


def test_move_apart__by_hand() -> None:
    # A at 110 and B at 80 need 3,300 of 5,700, 0.579. E = 12,000 + 10,000 + 20,000; 5,000 and 7 of gas go
    plan = case(isolate(), positions=BOOK, collateral=12_000, venue=chain(gas_cost=7), effects=[FALL])
    journal = told(plan)
    assert moves(journal) == [(1, 1_000, pytest.approx(110), 5_000)]
    assert journal.margin[0, :, 0] == pytest.approx([12_000, 0])
    assert journal.margin[1:, :, 0] == pytest.approx(np.array([[36_993, 5_000]] * 7))
    assert journal.margin[1, :, 1] == pytest.approx([2_400, 3_300])
    assert journal.size[1].tolist() == [0, -1_000, 1_000]
    assert journal.money[-1, rows.GAS] == 7


@pytest.mark.parametrize("above", [0.57, 0.58])
def test_outgrows__above_its_share_strictly(above: float) -> None:
    plan = case(isolate(above=above), positions=BOOK, collateral=12_000, effects=[FALL])
    assert len(moves(told(plan))) == (above < 3_300 / 5_700)


@pytest.mark.parametrize(
    ("equity", "moved", "left"), [(5_800, 0, 5_800), (6_000, 2_900, 3_000), (9_000, 5_000, 3_900)]
)
def test_move_apart__no_more_than_the_pool_it_leaves_can_spare(
    equity: float, moved: float, left: float
) -> None:
    """A at 92 and B at 100 need 2,760 and 3,000; gas is 100. 3,000 of E and the gas stay, or nothing goes."""
    fall = {"effect": "shock", "moves": {"A": -0.08}, "at": "1h"}
    late = isolate(above=0.45, delay="2h")
    venue = chain(gas_cost=100)
    plan = case(late, positions=BOOK, collateral=equity + 8_000, venue=venue, effects=[fall])
    journal = told(plan)
    assert [move[3] for move in moves(journal)] == ([pytest.approx(moved)] if moved else [])
    assert journal.margin[-1, :, 0] == pytest.approx([left, moved])
    assert journal.money[-1, rows.GAS] == (100 if moved else 0)
    assert journal.state[-1, rows.WAS_FORCED] == 0  # at its requirement it stands


def test_move_apart__falls_alone() -> None:
    """The long goes at 110 and is liquidated at 104.5, which costs the pool it left nothing."""
    effects = [FALL, {"effect": "shock", "moves": {"A": -0.05}, "at": "3h"}]
    plan = case(isolate(), positions=BOOK, collateral=12_000, venue=tiered("full"), effects=effects)
    journal = told(plan)
    assert journal.margin[-1, :, 0] == pytest.approx([37_000, 0])
    assert journal.money[-1, rows.OTHERS] == pytest.approx(500)  # 5,000 less 5,500
    assert journal.size[-1].tolist() == [0, -1_000, 0]


@pytest.mark.parametrize(("loss", "closes"), [(4_999, True), (5_001, False)])
def test_move_apart__what_a_strategy_has_lost_is_counted_through_it(loss: float, closes: bool) -> None:
    """A made 10,000 until it went at 110, and at 95 has lost 5,000 since `as_of`."""
    effects = [FALL, {"effect": "shock", "moves": {"A": 95 / 110 - 1}, "at": "3h"}]
    cap = {"kind": "strategy_cap", "strategy": "trend", "loss": loss}
    positions = [long_a(strategy="trend"), short_b(1_000)]
    apart = isolate(collateral=20_000)
    plan = case(apart, cap, positions=positions, collateral=12_000, venue=tiered("full"), effects=effects)
    journal = told(plan)
    assert journal.size[-1].tolist() == [0, -1_000, 0 if closes else 1_000]
    assert journal.margin[-1, :, 0].sum() == pytest.approx(27_000 - journal.money[-1, rows.FEES])
    assert journal.money[-1, rows.FORCED] == 0


def test_move_apart__the_new_pool_is_watched_between_closes() -> None:
    data = document("bridge", {"rules": "dydx_v4"}, (isolate("BTC-USD", 0.2, 4_000),))
    data["accounts"] = [data["accounts"][0]]
    plan = plan_from_document(data)
    parts, within = lowered(plan), 0
    place = parts[3].holdings.place[1]
    for path in range(8):
        journal = journal_of(plan, parts, path, (0, 0, 2))
        written = journal.events[: journal.written[0]]
        found = written[(written[:, 2] == LIQUIDATED) & (written[:, 3] == place)]
        within += int(len(found) > 0 and AT_START < found[0, 1] < AT_END)
    assert within > 0


@pytest.mark.parametrize("rules", ["dydx_v4", "tiered"])
def test_outgrows__one_that_never_does_changes_nothing(rules: str) -> None:
    venue: Document = {"rules": rules, "gas_cost": 0.5}
    if rules == "tiered":
        venue |= {"taker_fee": 0.0005, "liquidation": {"style": "partial", "fee": 0.01}}
    counted = []
    for never in ((), (isolate("BTC-USD", 0.999999),)):
        data = document("bridge", venue, (LADDER, TOP_UP, STOP))
        data["accounts"] = [data["accounts"][0]]
        # with a cap that is never reached it is followed from the start as well
        cap = {"kind": "strategy_cap", "strategy": "trend", "loss": 1e9}
        data["accounts"][0]["policies"] = [*never, *data["accounts"][0]["policies"], cap]
        counted.append(count(plan_from_document(data)))
    assert counted[0].aftermath[ACTED_PATHS].sum() > 0
    np.testing.assert_array_equal(counted[0].aftermath, counted[1].aftermath)
    np.testing.assert_array_equal(counted[0].hits, counted[1].hits)
    np.testing.assert_array_equal(counted[0].breach, counted[1].breach[..., : counted[0].breach.shape[-1]])


@pytest.mark.parametrize("rules", ["dydx_v4", "tiered"])
def test_move_apart__money_is_conserved(rules: str) -> None:
    """With brackets and between closes: equity is what came in, less what was paid, and no less by moving."""
    venue: Document = {"rules": rules, "gas_cost": 0.5, "insurance_fund": 300.0}
    if rules == "tiered":
        venue |= {"taker_fee": 0.0005, "liquidation": {"style": "partial", "fee": 0.01}}
    data = document("bridge", venue, (isolate("BTC-USD", 0.2, 2_500), LADDER, TOP_UP))
    data["accounts"] = [a for a in data["accounts"] if a["name"] != "isolated"]
    plan = plan_from_document(data)
    parts, moved = lowered(plan), 0
    for account in range(len(plan.accounts)):
        for leverage in (0, 1, 2):
            journal = journal_of(plan, parts, 0, (1, account, leverage))
            moved += len(moves(journal))
            assert_conserved(parts[3], journal, account, leverage)
    assert moved > 0
