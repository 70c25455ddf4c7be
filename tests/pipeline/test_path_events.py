"""Every event in words, from a journal written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from kernels.desks import HALTED
from kernels.journal import (
    ACTED,
    AT_END,
    AT_START,
    BREACHED,
    DELEVERAGED,
    FILLED,
    LIQUIDATED,
    MOVED,
    PAID_BY_FUND,
    SENT,
    TOPPED_UP,
    WENT_BANKRUPT,
)
from kernels.structs import Floats
from pipeline.lower_book import lower_book
from pipeline.lower_desks import lower_desks
from pipeline.lower_market import lower_market
from pipeline.path_events import Event, Story, describe_policies, tell_events
from pipeline.plan import plan_from_document
from tests.pipeline.desk_paths import busy_document

STEPS = 24
POLICIES = [
    {"kind": "top_up", "below": 2, "amount": 20_000, "reserve": 30_000, "delay": "90m"},
    {"kind": "ladder", "rungs": [{"below": 1.5, "close": 0.25}, {"below": 1.2, "close": 0.5}]},
    {"kind": "ladder", "rungs": [{"below": 1.1, "close": 1}], "markets": ["BTC-USD", "ETH-USD"]},
    {"kind": "stop", "market": "BTC-USD", "price": 58_000},
    {"kind": "stop", "drawdown": 0.2, "delay": "1h"},
    {"kind": "strategy_cap", "strategy": "carry", "loss": 30_000},
    {"kind": "rebalance", "low": 1, "target": 2.5, "high": 3},
    {"kind": "override", "below": 1.05, "close": 0.5, "probability": 0.5},
    {"kind": "isolate", "market": "ETH-USD", "above": 0.6, "collateral": 5_000},
]


def story(scenario: int = 0, effects: Sequence[dict[str, Any]] = ()) -> Story:
    """The first account of the busy plan with every kind of policy; nothing happens by itself. `effects` in
    place of the second scenario's."""
    document = busy_document()
    document["accounts"][0]["policies"] = POLICIES
    if effects:
        document["scenarios"][1]["effects"] = list(effects)
    plan = plan_from_document(document)
    market = lower_market(plan)
    book = lower_book(plan, market, [0])
    return Story(
        plan=plan,
        cell=(scenario, 0),
        market=market,
        desks=lower_desks(plan, market, book, [0]),
        legs={
            0: ("BTC-USD", "BTC-USD"),
            1: ("ETH-USD", "ETH-USD"),
            2: ("ETH-USD moved", "ETH-USD"),
        },
        pools=("cross",),
        times=np.datetime64("2026-05-15T00:00:00") + np.arange(STEPS + 1) * np.timedelta64(1, "h"),
        regimes=np.zeros(STEPS, np.int64),
        gas=np.zeros(STEPS),
        changed=np.zeros(STEPS),
        orders=np.zeros((STEPS, 3)),
    )


def told(*rows: tuple[float, ...], by: Story | None = None) -> tuple[Event, ...]:
    return tell_events(np.array(rows, np.float64).reshape(-1, 7), story() if by is None else by)


def words(*rows: tuple[float, ...], by: Story | None = None) -> list[str]:
    return [event.words for event in told(*rows, by=by)]


def test_describe_policies__are_the_rows_of_the_kernel() -> None:
    about = story()
    described = list(describe_policies(about))
    assert len(described) == about.desks.policies.first[1] == 10
    step = about.plan.simulation.step
    assert [policy.delay // step for policy in described] == about.desks.policies.delay.tolist()


def test_tell_events__policies() -> None:
    about = story()
    about.desks.timeline.gas_delay[0, 4] = 1
    sent = (3, AT_END, SENT, 0, 0.0, 0.0, 20_000.0)
    acted = [(3, AT_END, ACTED, q, 0.0, 0.0, 0.0) for q in range(1, 9)]
    sent_late = (4, AT_END, SENT, 0, 0.0, 0.0, 10_000.0)
    arrived = (5, AT_END, TOPPED_UP, 0, 0.0, 0.0, 20_000.0)
    assert words(sent, *acted, sent_late, arrived, by=about) == [
        "top-up, margin ratio below 2: 20,000.00 sent, arrives after 2h",
        "ladder, rung below 1.5: closes 25 % of every position",
        "ladder, rung below 1.2: closes 50 % of every position",
        "ladder, rung below 1.1: closes 100 % of BTC-USD and ETH-USD",
        "stop, BTC-USD at 58,000.00 or worse: closes it",
        "stop, 20 % of equity lost: closes everything, after its delay of 1h",
        "cap of carry, more than 30,000 lost: closes its positions",
        "rebalance, leverage outside 1 to 3: trades every position to 2.5",
        "override, margin ratio below 1.05: closes 50 % of all",
        "top-up, margin ratio below 2: 10,000.00 sent, arrives after 3h",
        "top-up of 20,000.00 arrives",
    ]


def test_tell_events__trades_with_what_they_cost() -> None:
    """150,000 of depth at 2 %: 60,000 alone costs 0.02 x 60,000 x sqrt(0.4); the next what both do less."""
    alone = 0.02 * 60_000 * 0.4**0.5
    both = 0.02 * 120_000 * 0.8**0.5
    fee = 30.0
    sold = (0, AT_END, FILLED, 0, -1.0, 60_000.0, alone + fee)
    again = (0, AT_END, FILLED, 0, -1.0, 60_000.0, both - alone + fee)
    other = (0, AT_END, FILLED, 1, 20.0, 3_000.0, alone + fee)
    later = (1, AT_END, FILLED, 0, 1.0, 60_000.0, alone + fee)
    about = story()
    about.orders[1, 0] = 2.5
    events = told(sold, again, other, later, by=about)
    assert [event.words for event in events] == [
        f"the desk sells 1 BTC-USD at 60,000.00, slippage {alone:,.2f}, fee 30.00",
        f"the desk sells 1 BTC-USD at 60,000.00, slippage {both - alone:,.2f}, fee 30.00",
        f"the desk buys 20 ETH-USD at 3,000.00, slippage {alone:,.2f}, fee 30.00",
        f"the desk buys 1 BTC-USD at 60,000.00, slippage {alone:,.2f}, fee 30.00; "
        "2.5 wait for the next close",
    ]
    assert events[1].money == pytest.approx({"slippage": both - alone, "fee": 30.0})
    assert (events[0].subject, events[0].quantity, events[0].price) == ("BTC-USD", -1.0, 60_000.0)


def test_tell_events__what_the_venue_does() -> None:
    slipped = 0.02 * 30_000 * 0.2**0.5
    rows = (
        (2, AT_START, LIQUIDATED, 0, -0.5, 60_000.0, 427.0),
        (3, 4, LIQUIDATED, 0, -0.5, 60_000.0, -12.0),
        (4, AT_END, DELEVERAGED, 0, -0.5, 56_800.0, 1_204.0),
        (4, AT_END, DELEVERAGED, 1, 2.0, 3_000.0, -5.0),
        (5, AT_END, PAID_BY_FUND, 0, 0.0, 0.0, 99.5),
        (5, AT_END, WENT_BANKRUPT, 0, 0.0, 0.0, -31.5),
    )
    events = told(*rows)
    assert [event.when for event in events] == ["start", "within", "close", "close", "close", "close"]
    assert [event.words for event in events] == [
        f"the venue sells 0.5 BTC-USD at 60,000.00, slippage {slipped:,.2f}; "
        "fee to the insurance fund 427.00",
        f"the venue sells 0.5 BTC-USD at 60,000.00, slippage {slipped:,.2f}; the insurance fund pays 12.00",
        "closed against the other side (ADL): 0.5 BTC-USD at 56,800.00, where equity is used up; "
        "others pay 1,204.00",
        "closed against the other side (ADL): 2 ETH-USD at 3,000.00, where equity is used up; "
        "others gain 5.00",
        "nothing is left: the insurance fund pays 99.50",
        "equity is below zero: −31.50",
    ]
    pools = story()._replace(pools=("cross", "ETH-USD"))
    assert words(rows[-1], by=pools) == ["equity in cross is below zero: −31.50"]
    assert events[1].money["others"] == 12.0


def test_tell_events__a_position_moved() -> None:
    acted = (3, AT_END, ACTED, 9, 0.0, 0.0, 0.0)
    moved = (3, AT_END, MOVED, 2, -70.0, 3_020.0, 4_321.5)
    assert words(acted, moved) == [
        "isolate, ETH-USD above 60 % of maintenance margin: moves it to a pool of its own",
        "70 ETH-USD at 3,020.00 and 4,321.50 of cash go to a pool of their own",
    ]


def test_tell_events__the_untouched_book_comes_before_what_is_done() -> None:
    acted = (3, AT_END, ACTED, 1, 0.0, 0.0, 0.0)
    breached = (3, AT_END, BREACHED, 0, 0.0, 0.0, 0.0)
    said = words(acted, breached)
    assert said[0] == "the book that nobody touches meets the venue's liquidation condition"
    assert len(said) == 2
    pools = story()._replace(pools=("cross", "ETH-USD"))
    assert words(breached, by=pools)[0].endswith("condition in cross")


def test_tell_events__what_the_scenario_does() -> None:
    said = told(by=story(scenario=1))
    assert [(event.step, event.words) for event in said] == [
        (5, "the scenario moves prices: BTC −8 %, ETH −10 %"),
        (8, "trading is halted: nobody acts, nobody is liquidated"),
        (10, "the halt is over"),
    ]


def test_tell_events__an_outlier_is_not_a_move_of_the_market() -> None:
    wrong = {"effect": "oracle", "multiply": {"BTC": 0.75}, "at": "2h", "for": "2h"}
    fall = {"effect": "shock", "moves": {"BTC": -0.1, "ETH": -0.2}, "at": "2h"}
    said = told(by=story(1, [wrong, fall]))
    assert [(event.step, event.kind, event.words) for event in said] == [
        (2, "shock", "the scenario moves prices: BTC −10 %, ETH −20 %"),
        (2, "oracle", "the venue's prices are off: BTC −25 %"),
        (4, "oracle", "the venue's prices are the market's again"),
    ]


def test_tell_events__views_that_are_late_cash_and_gas() -> None:
    about = story()
    sees = np.arange(STEPS)[None, :].repeat(2, axis=0)
    sees[0, 4:6] = [3, 3]
    sees[0, 6] = HALTED
    timeline = about.desks.timeline._replace(sees=sees)
    changed, gas = np.zeros(STEPS), np.zeros(STEPS)
    changed[1], gas[2] = -1_500.0, 3.5
    about = about._replace(desks=about.desks._replace(timeline=timeline), changed=changed, gas=gas)
    assert words(by=about) == [
        "the scenario changes cash by −1,500.00",
        "gas for what the desk does: 3.50",
        "the venue judges by earlier prices, now those of 2026-05-15 04:00",
        "trading is halted: nobody acts, nobody is liquidated",
        "the venue has the prices of the moment again",
        "the halt is over",
    ]


def empty() -> Floats:
    return np.zeros((0, 7))


def test_tell_events__nothing_happened() -> None:
    assert tell_events(empty(), story()) == ()
