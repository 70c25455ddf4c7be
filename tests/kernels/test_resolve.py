"""Laws of what follows a breach: against the screen, against itself, and what money does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kernels import estate as rows
from kernels.aftermath import make_journal
from kernels.desks import Desks
from kernels.journal import DELEVERAGED, FILLED, LIQUIDATED, MOVED, Journal
from kernels.simulate import simulate_general_paths
from kernels.structs import (
    ACTED_PATHS,
    CLOSED_PATHS,
    FORCED_PATHS,
    LIQUIDATION,
    PARTIAL_PATHS,
    SHORTFALLS,
    Book,
    Clock,
    Market,
    Tally,
    create_tally,
)
from pipeline.lower_book import lower_book, lower_clock
from pipeline.lower_desks import lower_desks
from pipeline.lower_market import lower_market
from pipeline.plan import Plan, plan_from_document
from tests.kernels.problems import FULL
from tests.pipeline.documents import wick_document

PATHS = 320 if FULL else 24
Document = dict[str, Any]
Parts = tuple[Market, Book, Clock, Desks]

LADDER = {"kind": "ladder", "rungs": [{"below": 1.5, "close": 0.25}, {"below": 1.25, "close": 0.5}]}
TOP_UP = {"kind": "top_up", "below": 1.6, "amount": 2_000, "reserve": 5_000, "delay": "2h"}
STOP = {"kind": "stop", "drawdown": 0.5}
FREE = {"rules": "tiered", "taker_fee": 0.0, "liquidation": {"style": "full", "fee": 0.0}}


def document(monitoring: str, venue: Document, policies: tuple[Document, ...] = ()) -> Document:
    """A cross account, one with isolated positions, one on coins; two assets, eight hours of heavy tails."""
    steep = [
        {"up_to": 50_000, "maintenance_margin": 0.01, "max_leverage": 50},
        {"maintenance_margin": 0.03, "max_leverage": 20},
    ]
    plain = {"initial_margin": 0.05, "maintenance_margin": 0.03}
    tiered = venue["rules"] == "tiered"
    execution = {"depth": 200_000, "impact": 0.01, "law": "square_root"}
    markets = {
        f"{asset}-USD": {
            "asset": asset,
            **({"brackets": steep} if tiered else plain),
            **({} if venue is FREE else {"execution": execution}),
        }
        for asset in ("BTC", "ETH")
    }
    long, short = {"market": "BTC-USD", "size": 1.0}, {"market": "ETH-USD", "size": -12.0}
    accounts: list[Document] = [
        {
            "name": "cross",
            "collateral": {"USDC": 6_000},
            "positions": [long | {"entry": 59_000, "strategy": "trend"}, short | {"entry": 3_100}],
        },
        {
            "name": "isolated",
            "margin": "isolated",
            "positions": [
                long | {"entry": 60_000, "collateral": 3_000},
                short | {"entry": 3_000, "collateral": 2_000},
            ],
        },
    ]
    if tiered:
        accounts.append(
            {
                "name": "coins",
                "collateral": {"BTC": 0.1},
                "positions": [{"market": "BTC-USD", "size": 1.0, "entry": 60_000}],
            }
        )
        venue = venue | {"haircuts": {"BTC": 0.05}}
    for account in accounts:
        account["policies"] = list(policies)
    regime = {
        "volatility": {"BTC": 1.2, "ETH": 1.5},
        "correlation": [[1, 0.8], [0.8, 1]],
        "funding": {"BTC": 0.6, "ETH": -0.8},
        "tail": 4,
    }
    if monitoring == "wick":
        regime["wick"] = wick_document()
    gap = {
        "name": "gap",
        "narrative": "Apart at once, two hours from now.",
        "effects": [{"effect": "shock", "at": "2h", "moves": {"BTC": -0.04, "ETH": 0.03}}],
    }
    return {
        "name": "laws",
        "as_of": "2026-01-01T00:00:00Z",
        "simulation": {
            "seed": 5,
            "paths": PATHS,
            "step": "1h",
            "horizons": ["3h", "8h"],
            "leverage": [0.5, 1, 2],
            "monitoring": monitoring,
            "resolve": True,
        },
        "venue": {"name": "v", "as_of": "2026-01-01", "markets": markets, **venue},
        "prices": {"BTC": 60_000, "ETH": 3_000},
        "model": {
            "step": "1h",
            "assets": ["BTC", "ETH"],
            "initial": "stationary",
            "regimes": {"calm": regime},
            "transitions": {"calm": {"calm": 1.0}},
        },
        "scenarios": ["baseline", gap],
        "accounts": accounts,
    }


def lowered(plan: Plan) -> Parts:
    """A plan as the kernel takes it."""
    slab = range(len(plan.accounts))
    market = lower_market(plan)
    book = lower_book(plan, market, slab)
    return market, book, lower_clock(plan), lower_desks(plan, market, book, slab)


def empty_tally(plan: Plan, parts: Parts) -> Tally:
    """Room for what happens on a plan's paths."""
    _, book, _, desks = parts
    simulation = plan.simulation
    sizes = (len(plan.scenarios), len(plan.accounts), len(simulation.leverage), len(simulation.horizons))
    several = int(book.several.max(initial=-1)) + 1
    return create_tally(*sizes, True, several, len(book.members), desks.holdings.width)


def count(plan: Plan, *stretches: tuple[int, int]) -> Tally:
    """What happens on a plan's paths, in one call or in the stretches given."""
    parts = lowered(plan)
    market, book, clock, desks = parts
    tally = empty_tally(plan, parts)
    for first, paths in stretches or ((0, PATHS),):
        simulate_general_paths(plan.simulation.seed, first, paths, market, book, clock, tally, desks)
    return tally


@pytest.mark.parametrize("monitoring", ["close", "bridge", "wick"])
def test_move_estates__full_and_free_closes_at_the_screens_first_passages(monitoring: str) -> None:
    """No policies, no fees, books that take all: by every horizon as many as the screen, and whole."""
    tally = count(plan_from_document(document(monitoring, FREE)))
    passed = np.cumsum(tally.hits[LIQUIDATION], axis=-1)
    assert 0.05 * PATHS < passed[0, :, 1, -1].mean() < 0.95 * PATHS
    np.testing.assert_array_equal(tally.aftermath[FORCED_PATHS], passed)
    np.testing.assert_array_equal(tally.aftermath[CLOSED_PATHS][:, [0, 2]], passed[:, [0, 2]])
    if monitoring != "close":  # seen on the way there, at E = MM, all of it goes for what it is worth
        assert tally.aftermath[SHORTFALLS, 0].sum() == 0


@pytest.mark.parametrize("monitoring", ["close", "bridge", "wick"])
def test_look_within__an_outlier_closes_at_the_screens_first_passages(monitoring: str) -> None:
    """By the oracle's prices when, at the market's for how much: nobody is short of what it never moved."""
    data = document(monitoring, FREE)
    wrong = {"effect": "oracle", "multiply": {"BTC": 0.93}, "at": "2h", "for": "2h"}
    data["scenarios"][1]["effects"] = [wrong]
    tally = count(plan_from_document(data))
    passed = np.cumsum(tally.hits[LIQUIDATION], axis=-1)
    assert (passed[1, :, 1] > passed[0, :, 1]).any()
    np.testing.assert_array_equal(tally.aftermath[FORCED_PATHS], passed)
    if monitoring != "close":
        # between closes all goes at E = MM by the oracle, 7 % below the market: there is more left, not less
        assert tally.aftermath[SHORTFALLS].sum() == 0


@pytest.mark.parametrize("monitoring", ["bridge", "wick"])
def test_falls_within__what_a_jump_went_through_is_seen_where_it_ends(monitoring: str) -> None:
    """Two jumps an hour of a fifth: who is broke at the close has been jumped over, however watched."""
    counted = {}
    for watched in ("close", monitoring):
        data = document(watched, FREE)
        data["model"]["regimes"]["calm"]["jumps"] = {
            "intensity": 2 * 24 * 365,
            "mean": {"BTC": -0.2, "ETH": 0.2},
            "volatility": {"BTC": 0.05, "ETH": 0.05},
            "correlation": -0.9,
        }
        counted[watched] = count(plan_from_document(data))
    tally = counted[monitoring]
    np.testing.assert_array_equal(tally.aftermath[FORCED_PATHS], np.cumsum(tally.hits[LIQUIDATION], axis=-1))
    paid = tally.aftermath[SHORTFALLS, 0, :, 1, -1]
    assert (paid > 0.5 * counted["close"].aftermath[SHORTFALLS, 0, :, 1, -1]).all()
    assert (paid > 0).all()


@pytest.mark.parametrize("monitoring", ["close", "bridge"])
def test_falls_within__a_pool_that_nothing_filled_is_looked_for_again(monitoring: str) -> None:
    """Books stand empty for three hours: a top-up of next to nothing changes nothing."""
    tiny = {"kind": "top_up", "below": 50, "amount": 1e-6, "reserve": 1e-6}
    counted = []
    for policies in ((), (tiny,)):
        data = document(monitoring, {"rules": "dydx_v4"}, policies)
        data["scenarios"][1]["effects"].append(
            {"effect": "depth", "at": "0h", "for": "3h", "multiply": {"all": 0.0}}
        )
        counted.append(count(plan_from_document(data)).aftermath[FORCED_PATHS, 1])
    assert counted[0].sum() > 0
    np.testing.assert_array_equal(*counted)


@pytest.mark.parametrize("monitoring", ["close", "bridge"])
@pytest.mark.parametrize("rules", ["dydx_v4", "tiered"])
def test_wake__to_be_followed_from_the_start_changes_nothing(rules: str, monitoring: str) -> None:
    """A cap on a strategy that is never reached has its account followed from the first step on."""
    watchful = (LADDER, TOP_UP, STOP)
    venue = {"rules": rules, "gas_cost": 0.5}
    if rules == "tiered":
        venue |= {"taker_fee": 0.0005, "liquidation": {"style": "partial", "fee": 0.01}}
    asleep = plan_from_document(document(monitoring, venue, watchful))
    awake = document(monitoring, venue, watchful)
    awake["accounts"][0]["policies"].append({"kind": "strategy_cap", "strategy": "trend", "loss": 1e9})
    some, all_of_it = count(asleep), count(plan_from_document(awake))
    paths = slice(FORCED_PATHS, SHORTFALLS)
    assert some.aftermath[ACTED_PATHS].sum() > 0
    np.testing.assert_array_equal(some.aftermath[paths], all_of_it.aftermath[paths])
    np.testing.assert_array_equal(some.breach, all_of_it.breach)
    # cash is what the pool has paid in one sum, or each position in turn: a quantum may be rounded elsewhere
    apart = np.abs(some.aftermath[SHORTFALLS::3] - all_of_it.aftermath[SHORTFALLS::3])
    assert apart.max() <= PATHS


def test_wake__a_desk_sees_the_market_through_an_outlier() -> None:
    """The oracle is a tenth too high for three hours, in which rungs are met at the market's prices: desks
    act on the paths on which they do with an oracle that is right, and as soon."""
    acted = []
    for effects in ([], [{"effect": "oracle", "multiply": {"BTC": 1.1}, "at": "2h", "for": "3h"}]):
        data = document("close", FREE, (LADDER,))
        data["simulation"] |= {"horizons": ["2h", "3h", "4h", "5h"], "leverage": [1]}
        data["scenarios"][1]["effects"] = effects
        acted.append(count(plan_from_document(data)).aftermath[ACTED_PATHS, 1])
    assert (acted[0][:, :, -1] > acted[0][:, :, 1]).any()
    np.testing.assert_array_equal(*acted)


def test_move_estates__paths_may_be_cut_anywhere() -> None:
    plan = plan_from_document(document("bridge", {"rules": "dydx_v4"}, (LADDER, TOP_UP)))
    whole, parts = count(plan), count(plan, (0, 7), (7, PATHS - 7))
    np.testing.assert_array_equal(whole.aftermath, parts.aftermath)
    np.testing.assert_array_equal(whole.breach, parts.breach)
    np.testing.assert_array_equal(whole.hits, parts.hits)


def test_run_policies__a_ladder_that_never_triggers_changes_nothing() -> None:
    never = {"kind": "ladder", "rungs": [{"below": 1e-9, "close": 1.0}]}
    with_it, without = (
        count(plan_from_document(document("bridge", {"rules": "dydx_v4"}, policies)))
        for policies in ((never,), ())
    )
    assert without.aftermath[PARTIAL_PATHS].sum() > 0
    np.testing.assert_array_equal(with_it.aftermath, without.aftermath)


@pytest.mark.parametrize("monitoring", ["close", "bridge"])
@pytest.mark.parametrize("rules", ["dydx_v4", "tiered"])
def test_move_estate__what_came_in_is_there_or_was_paid(rules: str, monitoring: str) -> None:
    """On a path, by what is written down of it: fills at their marks make the profit, the rest are costs."""
    venue = {"rules": rules, "gas_cost": 0.5, "insurance_fund": 300.0}
    if rules == "tiered":
        venue |= {"taker_fee": 0.0005, "liquidation": {"style": "partial", "fee": 0.01}}
    plan = plan_from_document(document(monitoring, venue, (TOP_UP, LADDER)))
    parts = lowered(plan)
    market, book, clock, desks = parts
    found = 0
    for path in range(12 if FULL else 1):
        for cell in ((1, 0, 2), (1, 1, 1)):
            journal = make_journal(desks, clock.steps, len(market.spot), (*cell, 0), 2_000)
            tally = empty_tally(plan, parts)
            simulate_general_paths(plan.simulation.seed, path, 1, market, book, clock, tally, desks, journal)
            found += int(journal.written[0])
            assert_conserved(desks, journal, *cell[1:])
    assert found > 0


def assert_conserved(desks: Desks, journal: Journal, account: int, leverage: int) -> None:
    """Equity at `as_of`, top-ups, profit and what others paid are equity at the end and what was paid."""
    holdings = desks.holdings
    size, asset = np.zeros(holdings.width), np.zeros(holdings.width, np.int64)
    lead = np.zeros(holdings.width, np.int64)
    for pool in range(holdings.first[account], holdings.first[account + 1]):
        row = holdings.row[pool, leverage]
        multiple = holdings.multiple[leverage] if holdings.alone[row] < 0 else 1.0
        for n in range(holdings.start[row], holdings.start[row + 1]):
            place = holdings.place[pool] + n - holdings.start[row]
            size[place], asset[place] = multiple * holdings.size[n], holdings.asset[n]
            size[place] *= 1 - holdings.spare[pool]
            lead[place] = holdings.lead[n]
    profit = -float(size @ holdings.spot[asset])
    others_at_marks = 0.0
    for _, _, event, which, quantity, price, money in journal.events[: journal.written[0]]:
        if event in (FILLED, LIQUIDATED, DELEVERAGED):
            size[int(which)] += quantity
            profit -= quantity * price
        if event == MOVED:
            size[int(which)] += quantity
            size[lead[int(which)]] -= quantity
        if event == DELEVERAGED:  # at the bankruptcy price: what the other side gave is in the price
            others_at_marks += money
    np.testing.assert_allclose(size, journal.size[-1], atol=1e-9)
    profit += float(size @ journal.price[-1, asset])
    money = journal.money[-1]
    came = holdings.equity[account] + money[rows.PUT_IN] + profit + money[rows.OTHERS] - others_at_marks
    paid = sum(
        money[row] for row in (rows.FEES, rows.SLIPPAGE, rows.FUNDING_PAID, rows.LIQUIDATION_FEES, rows.GAS)
    )
    assert came == pytest.approx(journal.margin[-1, :, 0].sum() + paid, abs=1e-6)
