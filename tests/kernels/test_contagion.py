"""Accounts that share a market: figures worked by hand, and laws of what they do to one another."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

from kernels import estate as rows
from kernels.aftermath import make_journal
from kernels.journal import COUNTERED, DELEVERAGED, LIQUIDATED, Journal
from kernels.simulate import simulate_general_paths
from kernels.structs import (
    CASCADE_PATHS,
    CLOSED_NOTIONAL,
    DRAWN,
    EXHAUSTED_PATHS,
    FALL,
    FORCED_ACCOUNTS,
    FORCED_PATHS,
    LIQUIDATION,
    SHARE_QUANTUM,
    SHORTFALLS,
    SOCIALISED,
    Tally,
)
from pipeline.plan import Plan, plan_from_document
from tests.aftermath_cases import case, chain, long_a, short_b, tiered
from tests.kernels.aftermath_problems import document
from tests.kernels.contagion_problems import QUANTUM, empty_tally, lowered

Document = dict[str, Any]
INTERPRETED = bool(numba.config.DISABLE_JIT)
THIN = {"depth": 200_000, "impact": 0.02, "law": "linear"}
FREE = {"taker_fee": 0.0}
SHORTS = ((400.0, 10_000.0), (300.0, 3_000.0))  # size, collateral
TIERED = 5  # a seed


def book(
    *accounts: Document, venue: Document, falls: float = -0.08, steps: int = 3, dry: bool = False
) -> Plan:
    """Accounts like that of `tests.aftermath_cases.case`; prices fall in the second hour and stay.
    dry: books are empty."""
    effects: list[Document] = [{"effect": "shock", "at": "1h", "moves": {"A": falls}}]
    if dry:
        effects.append({"effect": "depth", "at": "0h", "for": "9h", "multiply": {"all": 0.0}})
    data = case(venue=venue, effects=effects, steps=steps).document()
    one = data["accounts"][0]
    data["accounts"] = [
        copy.deepcopy(one) | {"name": f"account-{i}"} | account for i, account in enumerate(accounts)
    ]
    return plan_from_document(data)


def count(plan: Plan, lasting: float | None, *stretches: tuple[int, int]) -> Tally:
    """What happens on a plan's paths."""
    parts = lowered(plan, lasting)
    market, book, clock, desks = parts
    tally = empty_tally(plan, parts)
    for first, paths in stretches or ((0, 1),):
        simulate_general_paths(plan.simulation.seed, first, paths, market, book, clock, tally, desks)
    return tally


def tell(plan: Plan, lasting: float, account: int) -> Journal:
    """What happens to one account, in the scenario in which prices fall."""
    parts = lowered(plan, lasting)
    market, book, clock, desks = parts
    journal = make_journal(desks, clock.steps, len(market.spot), (1, account, 0, 0), 1_000)
    tally = empty_tally(plan, parts)
    simulate_general_paths(plan.simulation.seed, 0, 1, market, book, clock, tally, desks, journal)
    return journal


def happened(journal: Journal, *kinds: int) -> list[Any]:
    """Step, quantity, price and money of events of some kinds."""
    written = journal.events[: journal.written[0]]
    return [(int(row[0]), row[4], row[5], row[6]) for row in written if int(row[2]) in kinds]


def cell(tally: Tally, row: int, horizon: int = -1, quantum: float = QUANTUM) -> float:
    """What is counted of the one venue, in the scenario in which prices fall."""
    return float(tally.venue[row, 1, 0, 0, horizon] * quantum)


def test_move_pits__one_liquidation_brings_another() -> None:
    """Two accounts of docs/after-the-breach.md: 92,000 of the first push the mark to where the second is."""
    accounts = {"collateral": {"USD": 10_000}}, {"collateral": {"USD": 12_000}}
    venue = tiered("full", execution=THIN, **FREE)
    plan = book(*accounts, venue=venue)
    first, second = (tell(plan, 0.25, account) for account in (0, 1))
    assert happened(first, LIQUIDATED) == [(1, -1_000.0, 92.0, 0.0)]
    assert happened(second, LIQUIDATED) == [(1, -1_000.0, 92.0, 0.0)]
    assert first.money[1, rows.SLIPPAGE] == pytest.approx(0.02 * 92_000**2 / 200_000)
    assert second.money[1, rows.SLIPPAGE] == pytest.approx(0.02 * (184_000**2 - 92_000**2) / 200_000)
    assert first.margin[1, 0, 0] == pytest.approx(10_000 - 8_000 - 846.4)
    assert second.margin[1, 0, 0] == pytest.approx(12_000 - 8_000 - 2_539.2)
    assert second.price[1, 0] == pytest.approx(92 * (1 - 0.04 * 0.92))
    assert second.price[2, 0] == pytest.approx(92 * (1 - 0.25 * 0.0368))
    page = (Path(__file__).parents[2] / "docs" / "after-the-breach.md").read_text()
    left, kept, mark, later = (
        first.margin[1, 0, 0],
        second.margin[1, 0, 0],
        *second.price[1:, 0],
    )
    assert f"| first closed | 92,000 | 90.3072 | {left:,.2f} | 2,307.20 < 2,709.22 |" in page
    assert f"| second closed | 184,000 | {mark:,.4f} | | {kept:,.2f} |" in page
    assert f"| next step | 0 | {later:,.4f} | | |" in page
    tally = count(plan, 0.25)
    assert cell(tally, CASCADE_PATHS, quantum=1) == 1
    assert cell(tally, FORCED_ACCOUNTS, quantum=1) == 2
    assert cell(tally, CLOSED_NOTIONAL) == 184_000
    assert cell(tally, FALL, quantum=SHARE_QUANTUM) == pytest.approx(0.0368, abs=SHARE_QUANTUM)
    assert cell(tally, SOCIALISED) == cell(tally, DRAWN) == cell(tally, EXHAUSTED_PATHS) == 0
    # the untouched book knows of the first alone, and so does one whose accounts don't touch one another
    assert tally.hits[LIQUIDATION, 1, :, 0].sum(axis=-1).tolist() == [1, 0]
    assert count(plan, None).aftermath[FORCED_PATHS, 1, :, 0, -1].tolist() == [1, 0]
    backwards = count(book(*accounts[::-1], venue=venue), 0.25)
    assert cell(backwards, CASCADE_PATHS, quantum=1) == 1
    assert cell(backwards, FALL, quantum=SHARE_QUANTUM) == pytest.approx(0.0368, abs=SHARE_QUANTUM)


def test_move_pits__a_desk_that_sells_brings_the_venue_to_another() -> None:
    """A stop at 92 sells 92,000 before the venue looks: the same push, by nobody's liquidation."""
    stop = {"kind": "stop", "market": "A-USD", "price": 92.5}
    desk = {"collateral": {"USD": 50_000}, "policies": [stop]}
    plan = book({"collateral": {"USD": 12_000}}, desk, venue=tiered("full", execution=THIN, **FREE))
    journal = tell(plan, 0.0, 0)
    assert happened(journal, LIQUIDATED) == [(1, -1_000.0, 92.0, 0.0)]
    assert journal.money[1, rows.SLIPPAGE] == pytest.approx(2_539.2)
    assert journal.price[2, 0] == 92.0  # nothing lasts
    assert cell(count(plan, 0.0), FORCED_ACCOUNTS, quantum=1) == 1


def test_look_around__the_fund_is_shared() -> None:
    """Both 2,000 short on a fund of 3,000, their market deep: the second finds 1,000 left."""
    venue = tiered("full", execution=None, insurance_fund=3_000, **FREE)
    plan = book({}, {}, venue=venue, falls=-0.12)
    paid = [tell(plan, 0.0, account).money[1, rows.OTHERS] for account in (0, 1)]
    assert paid == [pytest.approx(2_000), pytest.approx(1_000)]
    tally = count(plan, 0.0)
    assert cell(tally, EXHAUSTED_PATHS, quantum=1) == 1
    assert cell(tally, SOCIALISED) == pytest.approx(1_000, abs=QUANTUM)
    assert cell(tally, DRAWN) == pytest.approx(3_000, abs=QUANTUM)


@pytest.mark.parametrize("style", ["full", "partial"])
def test_close_against__in_line_by_profit_times_leverage(style: str) -> None:
    """1,000 A long at 88 are worth 2,000 less than nothing; empty books, 700 short stand against them.

    Of 400 entered at 100 on 10,000 and 300 on 3,000 the latter are more leveraged, and go first; 300 outside.
    """
    shorts = ({"positions": [long_a(-size)], "collateral": {"USD": cash}} for size, cash in SHORTS)
    venue = tiered(style, execution=THIN, **FREE)
    plan = book({}, *shorts, venue=venue, falls=-0.12, dry=True)
    told = tell(plan, 0.5, 0)
    assert happened(told, DELEVERAGED) == [(1, -1_000.0, pytest.approx(90.0), pytest.approx(2_000.0))]
    for account, (size, cash) in enumerate(SHORTS, start=1):
        journal = tell(plan, 0.5, account)
        expected = [(1, size, pytest.approx(90.0), pytest.approx(-2.0 * size))]
        assert happened(journal, COUNTERED) == expected
        assert journal.margin[1, 0, 0] == pytest.approx(cash + 10.0 * size)  # bought back at 90
        assert journal.state[1, rows.WAS_FORCED] == 0
    tally = count(plan, 0.5)
    assert cell(tally, SOCIALISED) == pytest.approx(2_000, abs=QUANTUM)
    assert cell(tally, FORCED_ACCOUNTS, quantum=1) == 1
    assert cell(tally, FALL, quantum=SHARE_QUANTUM) == 0.0
    assert tally.aftermath[SHORTFALLS, 1, 1:].sum() == 0


def test_close_against__who_is_in_line_is_closed_as_far_as_needed() -> None:
    """700 stand against 500: the 300 on less collateral wholly, 200 of the other 400."""
    shorts = ({"positions": [long_a(-size)], "collateral": {"USD": cash}} for size, cash in SHORTS)
    loser = {"positions": [long_a(500.0)], "collateral": {"USD": 5_000}}
    venue = tiered("full", execution=THIN, **FREE)
    plan = book(loser, *shorts, venue=venue, falls=-0.12, dry=True)
    closed = [[event[1] for event in happened(tell(plan, 0.5, i), COUNTERED)] for i in (1, 2)]
    assert closed == [[200.0], [300.0]]


def test_close_against__dydx_draws_until_it_is_matched() -> None:
    """Ten of 100 short stand against 500 long: five of them, one draw each, not the first five."""
    one = {"positions": [long_a(-100.0)], "collateral": {"USDC": 50_000}}
    loser = {"positions": [long_a(500.0)], "collateral": {"USDC": 5_000}}
    plan = book(loser, *([one] * 10), venue=chain(execution=THIN), falls=-0.12, dry=True)
    events = [happened(tell(plan, 0.5, account), COUNTERED) for account in range(1, 11)]
    assert sum(map(len, events)) == 5
    assert all(event[0][1] == 100.0 for event in events if event)
    assert [bool(event) for event in events] != [True] * 5 + [False] * 5


def test_count_pit__debt_of_who_is_still_open_is_nobodys_yet() -> None:
    """A followed account that a halt leaves open at 88, worth 2,000 less than nothing."""
    cap = {"kind": "strategy_cap", "strategy": "trend", "loss": 1e9}
    data = book(
        {"positions": [long_a(strategy="trend")], "policies": [cap]},
        venue=tiered("full", **FREE),
        falls=-0.12,
    ).document()
    data["scenarios"][1]["effects"].append({"effect": "halt", "at": "0h", "for": "9h"})
    plan = plan_from_document(data)
    assert tell(plan, 0.5, 0).margin[1, 0, 0] == pytest.approx(-2_000)
    assert cell(count(plan, 0.5), SOCIALISED) == 0.0


def far_apart(seed: int, accounts: int) -> Document:
    """Accounts without policies that hold one asset each, on one venue whose fund is endless."""
    data = document(seed, accounts=(4, 4))
    names = list(data["prices"])[:accounts]
    venue = data["venue"]
    for market in venue["markets"].values():
        market["execution"] = {"depth": 30_000, "impact": 0.05, "law": "linear"}
    venue["insurance_fund"] = None
    data["venues"] = {}
    name_of = {market["asset"]: name for name, market in venue["markets"].items()}
    data["accounts"] = [
        {
            "name": name,
            "collateral": {venue.get("quote", "USDC"): 3_000},
            "positions": [
                {
                    "market": name_of[name],
                    "size": 40_000 / data["prices"][name],
                    "entry": data["prices"][name],
                }
            ],
        }
        for name in names
    ]
    return data


@pytest.mark.parametrize("seed", [4] if INTERPRETED else [4, 5, 6, 9])
def test_move_pits__who_holds_other_assets_may_stand_anywhere(seed: int) -> None:
    data = far_apart(seed, 2)
    paths = (0, 4 if INTERPRETED else 200)
    one = count(plan_from_document(data), 0.5, paths)
    data["accounts"] = data["accounts"][::-1]
    other = count(plan_from_document(data), 0.5, paths)
    assert one.aftermath[FORCED_PATHS].sum() > 0
    np.testing.assert_array_equal(one.aftermath, other.aftermath[:, :, ::-1])
    np.testing.assert_array_equal(one.venue[:SOCIALISED], other.venue[:SOCIALISED])


@pytest.mark.parametrize("seed", [2, 6] if INTERPRETED else range(9))
def test_move_pits__nobody_is_touched_by_one_account_in_books_that_take_all(seed: int) -> None:
    """No execution and an endless fund: one account is as it is without the others, shared or not."""
    data = document(seed, accounts=(1, 1))
    for venue in (data["venue"], *data["venues"].values()):
        venue["insurance_fund"] = None
        for market in venue["markets"].values():
            market["execution"] = None
    plan = plan_from_document(data)
    paths = (0, 4 if INTERPRETED else 128)
    apart, together = count(plan, None, paths), count(plan, 0.5, paths)
    assert apart.aftermath.any()
    np.testing.assert_array_equal(together.aftermath[:SHORTFALLS], apart.aftermath[:SHORTFALLS])
    np.testing.assert_array_equal(together.breach, apart.breach)
    np.testing.assert_array_equal(together.hits, apart.hits)
    # cash is what the pool has paid in one sum, or each position in turn: a quantum may be rounded elsewhere
    differs = np.abs(together.aftermath[SHORTFALLS::3] - apart.aftermath[SHORTFALLS::3])
    assert differs.max() <= paths[1]
    assert together.venue[CASCADE_PATHS].sum() == together.venue[FALL].sum() == 0


def test_move_pits__many_accounts_in_books_that_take_all_are_as_if_alone() -> None:
    """Nothing moves, nobody is closed against: tiered, whose deleveraging comes of thin books alone."""
    data = far_apart(TIERED, 2)
    assert data["venue"]["rules"] == "tiered"
    for market in data["venue"]["markets"].values():
        market["execution"] = None
    plan = plan_from_document(data)
    paths = (0, 4 if INTERPRETED else 128)
    apart, together = count(plan, None, paths), count(plan, 0.5, paths)
    assert apart.aftermath[FORCED_PATHS].sum() > 0
    np.testing.assert_array_equal(together.aftermath[:SHORTFALLS], apart.aftermath[:SHORTFALLS])


def test_move_pits__paths_may_be_cut_anywhere() -> None:
    plan = plan_from_document(far_apart(4, 2))
    whole, parts = count(plan, 0.5, (0, 70)), count(plan, 0.5, (0, 3), (3, 67))
    np.testing.assert_array_equal(whole.venue, parts.venue)
    np.testing.assert_array_equal(whole.aftermath, parts.aftermath)


def test_simulate_paths__sharing_a_market_is_watched_at_closes() -> None:
    plan = book({}, {"positions": [short_b()]}, venue=tiered("full"))
    parts = lowered(plan, 0.5)
    market, holders, clock, desks = parts
    with pytest.raises(ValueError, match="watched at closes"):
        simulate_general_paths(
            0, 0, 1, market, holders, clock._replace(bridge=1), empty_tally(plan, parts), desks
        )
    with pytest.raises(ValueError, match="other venues"):
        simulate_general_paths(0, 0, 1, market, holders, clock, empty_tally(plan, lowered(plan, None)), desks)
