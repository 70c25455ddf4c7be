"""One path told: that of the run's counts, whose money adds up."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from kernels.simulate import simulate_general_paths
from kernels.structs import (
    ACTED_PATHS,
    BANKRUPT_PATHS,
    CLOSED_PATHS,
    FORCED_PATHS,
    LIQUIDATION,
    NEEDLESS_PATHS,
    PARTIAL_PATHS,
    Tally,
    create_tally,
)
from pipeline.errors import InputError
from pipeline.lower_book import lower_book, lower_clock
from pipeline.lower_desks import lower_desks
from pipeline.lower_market import lower_market
from pipeline.margin_now import margin_now
from pipeline.path_replay import MARK_NAMES, PathReplay, replay_path
from pipeline.plan import Plan, plan_from_document
from tests.pipeline.desk_paths import PATHS, busy_document, pooled_document
from tests.pipeline.documents import drawn_document

COUNTS = {
    "forced_liquidations": FORCED_PATHS,
    "partial_liquidations": PARTIAL_PATHS,
    "closed_out": CLOSED_PATHS,
    "managed_bankruptcies": BANKRUPT_PATHS,
    "policy_fired": ACTED_PATHS,
    "policy_fired_needlessly": NEEDLESS_PATHS,
}
ACCOUNTS = ("basis", "directional", "left-alone")
BUSY = [(s, a, x) for s in ("baseline", "storm") for a in ACCOUNTS for x in (1, 2)]
LEGS = ["BTCUSDT long", "BTCUSDT short", "BTC (coin)", "ETHUSDT"]
POOLED = [("fall", "hedger", 1), ("fall", "hedger", 2)]


@cache
def plan_of(kind: str) -> Plan:
    return plan_from_document({"busy": busy_document, "pooled": pooled_document}[kind]())


@cache
def replays(kind: str, scenario: str, account: str, leverage: float) -> tuple[PathReplay, ...]:
    """Every path of the plan, told."""
    plan = plan_of(kind)
    return tuple(replay_path(plan, scenario, account, leverage, path) for path in range(PATHS))


@cache
def counted(kind: str) -> Tally:
    """What a run counts: all accounts and paths in one call, nobody reading along."""
    plan = plan_of(kind)
    everyone = range(len(plan.accounts))
    market = lower_market(plan)
    book = lower_book(plan, market, everyone)
    desks = lower_desks(plan, market, book, everyone)
    axes = plan.simulation
    tally = create_tally(
        len(plan.scenarios),
        len(plan.accounts),
        len(axes.leverage),
        len(axes.horizons),
        joint=False,
        several=int(book.several.max(initial=-1)) + 1,
        width=desks.holdings.width,
    )
    simulate_general_paths(axes.seed, 0, PATHS, market, book, lower_clock(plan), tally, desks)
    return tally


def place_of(plan: Plan, scenario: str, account: str, leverage: float) -> tuple[int, int, int]:
    names = [s.name for s in plan.scenarios], [a.name for a in plan.accounts]
    where = plan.simulation.leverage.index(leverage)
    return names[0].index(scenario), names[1].index(account), where


CELLS = [("busy", *cell) for cell in BUSY] + [("pooled", *cell) for cell in POOLED]


@pytest.mark.parametrize(("kind", "scenario", "account", "leverage"), CELLS)
def test_replay_path__adds_up_to_what_a_run_counts(
    kind: str, scenario: str, account: str, leverage: float
) -> None:
    plan, tally = plan_of(kind), counted(kind)
    place = place_of(plan, scenario, account, leverage)
    told = replays(kind, scenario, account, leverage)
    for name, row in COUNTS.items():
        assert sum(replay.counted[name] for replay in told) == tally.aftermath[(row, *place, -1)], name
    for mark, name in enumerate(MARK_NAMES):
        numbers = [replay.untouched[name] for replay in told]
        found = [numbers.count(horizon) for horizon in range(len(plan.simulation.horizons))]
        assert found == tally.hits[(mark, *place)].tolist(), name
    assert sum(replay.breached is not None for replay in told) == tally.hits[(LIQUIDATION, *place)].sum()
    forced = sum(any(e.kind in ("liquidated", "deleveraged") for e in replay.events) for replay in told)
    assert forced == tally.aftermath[(FORCED_PATHS, *place, -1)]


def test_replay_path__there_is_something_to_count() -> None:
    busy = [replay for cell in BUSY for replay in replays("busy", *cell)]
    kinds = {event.kind for replay in busy for event in replay.events}
    assert {"policy", "trade", "sent", "top_up", "gas", "liquidated", "shock", "halt", "deleveraged"} <= kinds
    assert any(replay.counted["partial_liquidations"] for replay in busy)
    assert any(replay.bridge.others > 0 for replay in busy)
    pooled = [replay for cell in POOLED for replay in replays("pooled", *cell)]
    assert any(replay.counted["closed_out"] for replay in pooled)
    assert all(replay.bridge.changed != 0 for replay in pooled)


@pytest.mark.parametrize(("kind", "scenario", "account", "leverage"), CELLS)
def test_replay_path__money_adds_up(kind: str, scenario: str, account: str, leverage: float) -> None:
    for replay in replays(kind, scenario, account, leverage):
        assert abs(replay.bridge.difference) < 1e-6, replay.path
        totals: dict[str, float] = {}
        for event in replay.events:
            for name, amount in event.money.items():
                totals[name] = totals.get(name, 0.0) + amount
        bridge = replay.bridge
        told = {
            "slippage": bridge.slippage,
            "fee": bridge.fees,
            "liquidation_fee": bridge.liquidation_fees,
            "others": bridge.others,
            "top_up": bridge.topped_up,
            "gas": bridge.gas,
        }
        for name, amount in told.items():
            assert totals.get(name, 0.0) == pytest.approx(amount, abs=1e-6), (replay.path, name)


def test_replay_path__first_row_is_the_book_as_it_stands() -> None:
    for kind, account in (("busy", "basis"), ("pooled", "hedger")):
        plan = plan_of(kind)
        replay = replay_path(plan, "baseline", account, 1, 3)
        now = margin_now(plan)[account]
        assert replay.equity[0].sum() - replay.haircuts[0].sum() == pytest.approx(now.equity)
        assert replay.maintenance[0].sum() == pytest.approx(now.maintenance_margin)
        assert replay.initial[0].sum() == pytest.approx(now.initial_margin)
        assert replay.free_collateral[0] == pytest.approx(now.free_collateral)
        assert replay.margin_ratio[0] == pytest.approx(now.margin_ratio)


def test_replay_path__names_of_legs_and_pools() -> None:
    replay = replay_path(plan_of("pooled"), "baseline", "hedger", 1, 0)
    assert [leg.name for leg in replay.legs] == LEGS
    assert str(replay.times[0]) == "2026-05-15T00:00:00"
    assert str(replay.times[-1]) == "2026-05-16T00:00:00"
    assert len(replay.regimes) == 24
    assert replay.marks.shape == replay.sizes.shape == (25, len(LEGS))


def test_replay_path__of_a_plan_that_does_not_resolve() -> None:
    document = busy_document()
    document["simulation"]["resolve"] = False
    for account in document["accounts"]:
        account["policies"] = []
    plain = plan_from_document(document)
    told = replay_path(plain, "storm", "left-alone", 1, 5)
    resolved = replay_path(plan_of("busy"), "storm", "left-alone", 1, 5)
    assert not told.resolved
    assert resolved.resolved
    np.testing.assert_array_equal(told.equity, resolved.equity)
    assert told.events == resolved.events


def test_replay_path__takes_the_draw_of_its_path() -> None:
    plan = plan_from_document(drawn_document(320))
    told = [replay_path(plan, "baseline", "basis", 1, path) for path in (0, 63, 64, 319)]
    assert [replay.draw for replay in told] == [0, 0, 1, 4]
    market = lower_market(plan, 4)
    book, clock = lower_book(plan, market, [0]), lower_clock(plan)
    counts = create_tally(len(plan.scenarios), 1, 3, 3, joint=False)
    simulate_general_paths(plan.simulation.seed, 319, 1, market, book, clock, counts)
    met = [np.flatnonzero(counts.hits[mark, 0, 0, 1]).tolist() for mark in range(3)]
    assert met == [[] if n is None else [n] for n in told[3].untouched.values()]


def test_replay_path__refuses_what_the_run_does_not_hold() -> None:
    with pytest.raises(InputError) as refused:
        replay_path(plan_of("busy"), "strom", "Basis", 3, PATHS)
    text = str(refused.value)
    assert "4 problems" in text
    assert f"a path of the run, 0 to {PATHS - 1}" in text
    assert "did you mean `storm`?" in text
    assert "did you mean `basis`?" in text
    assert "use one of: 1, 2" in text
    assert refused.value.exit_code == 2


def test_replay_path__a_position_moved_is_a_leg_of_its_own() -> None:
    document = busy_document()
    policy = {"kind": "isolate", "market": "ETH-USD", "above": 0.1, "collateral": 20_000}
    document["accounts"][0]["policies"].insert(0, policy)
    plan = plan_from_document(document)
    for leverage in (1, 2):
        told = replay_path(plan, "storm", "basis", leverage, 3)
        assert told.pools == ("cross", "ETH-USD moved")
        assert [leg.name for leg in told.legs] == ["BTC-USD", "ETH-USD", "ETH-USD moved"]
        (moved,) = (event for event in told.events if event.kind == "moved")
        assert moved.step == 0
        assert told.sizes[0].tolist() == [4 * leverage, -70 * leverage, 0]
        assert told.sizes[1, 1] == 0
        assert told.sizes[1, 2] != 0
        assert moved.money == {"moved": pytest.approx(20_000)}
        assert told.initial[1, 1] == pytest.approx(0.02 * abs(told.sizes[1, 2]) * told.marks[1, 2])
        assert told.maintenance[1, 1] == pytest.approx(0.012 * abs(told.sizes[1, 2]) * told.marks[1, 2])
        assert told.bridge.difference == pytest.approx(0, abs=1e-6)
