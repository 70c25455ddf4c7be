"""What follows a breach, as arrays: three accounts, and timelines worked by hand."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from datetime import timedelta
from math import inf
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from kernels.desks import (
    CLOSE,
    DYDX,
    FULL,
    HALTED,
    PARTIAL,
    REBALANCE,
    STOP_DRAWDOWN,
    STOP_PRICE,
    STRATEGY_CAP,
    TOP_UP,
    Desks,
    nobody,
)
from kernels.structs import UNSEEN, Book
from pipeline.effects import Effect
from pipeline.lower_book import TIE, lower_book
from pipeline.lower_desks import find_gas, find_views, lower_desks
from pipeline.lower_market import lower_market
from pipeline.lower_timeline import find_sight
from pipeline.margin_now import margin_now
from pipeline.plan import Plan, plan_from_document
from pipeline.slabs import plan_slabs
from tests.pipeline.documents import small_document, tiered_document, tiered_venue

HOUR = timedelta(hours=1)
BTC, ETH = 61_250.0, 3_020.0


def desk_document() -> dict[str, Any]:
    """A cross account, an isolated one, and one in brackets with coins and an isolated position."""
    document = tiered_document()
    document["simulation"] |= {"horizons": ["4h"], "leverage": [0.5, 1, 2], "resolve": True}
    document["scenarios"] = ["baseline"]
    document["limits"] = []
    cross, hedger = document["accounts"]
    alone = {
        "name": "alone",
        "margin": "isolated",
        "collateral": {"USDC": 9_000},
        "positions": [
            {"market": "BTC-USD", "size": 1, "entry": 60_000, "collateral": 5_000},
            {"market": "ETH-USD", "size": 0, "entry": 3_000, "collateral": 1_000},
            {"market": "ETH-USD", "size": -10, "entry": 3_000, "collateral": 2_000},
        ],
    }
    document["accounts"] = [cross, alone, hedger]
    return document


def lowered(document: dict[str, Any], slab: tuple[int, ...] | None = None) -> tuple[Plan, Book, Desks]:
    """The plan, its book and its desks; of all accounts, if none is named."""
    plan = plan_from_document(document)
    market = lower_market(plan)
    accounts = tuple(range(len(plan.accounts))) if slab is None else slab
    book = lower_book(plan, market, accounts)
    return plan, book, lower_desks(plan, market, book, accounts)


def test_lower_desks__holdings() -> None:
    _, book, desks = lowered(desk_document())
    held = desks.holdings
    # pools: the cross one; BTC and ETH alone (cash that stands apart is at no risk); brackets and coins, ETH
    assert held.first.tolist() == [0, 1, 3, 5]
    assert held.row.tolist() == [[0, 0, 0], [1, 1, 1], [2, 2, 2], [3, 4, 5], [6, 6, 6]]
    assert np.diff(book.start).tolist() == [2, 2, 2, 4, 4, 4, 2]
    assert held.place.tolist() == [0, 0, 2, 0, 4]
    assert held.width == 6
    one = [1, 1, 0, 0]  # long and short of BTC, the coin, a filler
    assert held.closes.tolist() == [1, 1, 1, 0, 1, 0, *one, *one, *one, 1, 0]
    coins = [2, 2, 0, 0]
    assert held.market.tolist() == [0, 1, 0, 0, 1, 0, *coins, *coins, *coins, 3, 0]
    entries = [61_000, 60_000, 0, 0]
    assert held.entry.tolist() == [
        *(60_100, 3_105),
        *(60_000, 0, 3_000, 0),
        *(*entries, *entries, *entries, 3_000, 0),
    ]
    assert book.size[6:10].tolist() == [1.0, -0.5, 1.5, 0.0]


def test_lower_desks__notional_and_equity_at_as_of() -> None:
    _, _, desks = lowered(desk_document())
    held = desks.holdings
    once = [4 * BTC + 70 * ETH, BTC + 10 * ETH, 3 * BTC + 5 * ETH]  # coins are no positions
    assert held.gross == pytest.approx(np.outer(once, [0.5, 1, 2]))
    cross = 100_000 + 4 * (BTC - 60_100) - 70 * (ETH - 3_105)
    alone = 5_000 + (BTC - 60_000), 2_000 - 10 * (ETH - 3_000)
    hedger = 20_000 + 1.5 * BTC + 2 * (BTC - 61_000) - (BTC - 60_000), 2_000 + 5 * (ETH - 3_000)
    assert held.equity == pytest.approx([cross, sum(alone), sum(hedger)])
    leverages = np.array([0.5, 1, 2])
    assert held.tie == pytest.approx(
        TIE
        * np.array(
            [
                leverages * once[0] + cross,
                leverages * BTC + alone[0],
                leverages * 10 * ETH + alone[1],
                leverages * 3 * BTC + 1.5 * BTC + hedger[0],
                leverages * 5 * ETH + hedger[1],
            ]
        )
    )


def test_lower_desks__policies_look_at_cash_that_stands_apart() -> None:
    document = desk_document()
    document["accounts"][1]["policies"] = [{"kind": "stop", "drawdown": 0.5}]
    plan, _, desks = lowered(document)
    held = desks.holdings
    assert held.first.tolist() == [0, 1, 5, 7]  # cash, BTC, the position of size zero, ETH
    assert held.place[1:5].tolist() == [0, 0, 2, 2]
    assert held.equity[1] == pytest.approx(margin_now(plan)["alone"].equity)
    assert desks.policies.touches.tolist() == [[1, 0, 1, 0, 0, 0]]
    assert held.entry[held.closes > 0][2:4].tolist() == [60_000, 3_000]


def test_lower_desks__a_position_of_size_zero_has_no_leg() -> None:
    document = desk_document()
    document["accounts"] = document["accounts"][:1]
    document["accounts"][0]["positions"][0]["size"] = 0
    document["accounts"][0]["policies"] = [{"kind": "stop", "drawdown": 0.5}]
    _, _, desks = lowered(document)
    assert desks.holdings.closes.tolist() == [1, 0]  # ETH, and a filler
    assert desks.holdings.entry.tolist() == [3_105, 0]
    assert desks.policies.touches.tolist() == [[1, 0]]


def test_lower_desks__ties_are_the_thresholds() -> None:
    """At leverage l a pool is hit below level = -(C + tie) / l, in the book's own units."""
    _, book, desks = lowered(desk_document())
    for y, rows in enumerate(desks.holdings.row):
        for j, row in enumerate(rows):
            (rank,) = np.flatnonzero(book.leverage[row] == j) if book.alone[row] < 0 else (0,)
            of_row = book.multiple[j] if book.alone[row] < 0 else 1.0
            level = -(book.equity[row] + desks.holdings.tie[y, j]) / of_row
            assert level == pytest.approx(book.threshold[1, row, rank], rel=1e-15)


def test_lower_desks__a_slab_has_its_own_accounts() -> None:
    document = desk_document()
    document["accounts"][2]["policies"] = [{"kind": "stop", "drawdown": 0.5}]
    _, _, whole = lowered(document)
    _, _, part = lowered(document, (2,))
    assert part.holdings.first.tolist() == [0, 2]
    assert part.holdings.row.tolist() == [[0, 1, 2], [3, 3, 3]]
    assert part.holdings.market.max() == 1
    assert part.policies.first.tolist() == [0, 1]
    np.testing.assert_array_equal(part.holdings.gross, whole.holdings.gross[2:])
    np.testing.assert_array_equal(part.policies.touches, whole.policies.touches)


def test_lower_desks__execution() -> None:
    document = desk_document()
    btc = document["venue"]["markets"]["BTC-USD"]
    btc["execution"] = {"depth": 5e6, "impact": 0.01, "law": "linear"}
    bracketed = document["venues"]["bracketed"]["markets"]["BTCUSDT"]
    bracketed["execution"] = {"depth": 2e7, "impact": 0.004}
    document["model"]["regimes"]["crisis"]["depth"] = {"BTC": 0.25, "ETH": 0.5}
    thin = {"effect": "depth", "multiply": {"BTC": 0.4, "ETH": 0.1}, "at": "1h", "for": "2h"}
    document["scenarios"] = ["baseline", {"name": "thin", "narrative": "Thin.", "effects": [thin]}]
    _, _, desks = lowered(document)
    found = desks.execution
    assert found.fee.tolist() == [0.0005, 0.0005, 0.0003]  # the last one is in a fee tier
    assert found.depth.tolist() == [5e6, inf, 2e7, inf]  # BTC and ETH of either venue
    assert found.impact.tolist() == [0.01, 0, 0.004, 0]
    assert found.power.tolist() == [1.0, 0.5, 0.5, 0.5]
    assert found.regime_depth.tolist() == [[1, 1, 1, 1], [0.25, 1, 0.25, 1]]
    assert found.depth_factor[0].tolist() == [[1.0] * 4] * 4
    assert found.depth_factor[1, :, 0].tolist() == [1, 0.4, 0.4, 1]
    assert found.depth_factor[1, :, 1].tolist() == [1] * 4  # what takes everything goes on doing so
    assert found.depth_factor[1, :, 2].tolist() == [1, 0.4, 0.4, 1]


def test_lower_desks__rules() -> None:
    document = desk_document()
    document["venue"] |= {"gas_cost": 0.3, "insurance_fund": 1e6}
    document["venues"]["partly"] = tiered_venue() | {"name": "partly"}
    document["venues"]["partly"]["liquidation"] = {"style": "partial", "fee": 0.0125}
    document["accounts"].append(deepcopy(document["accounts"][2]) | {"name": "last", "venue": "partly"})
    _, _, desks = lowered(document)
    rules = desks.rules
    assert rules.family.tolist() == [DYDX, DYDX, FULL, PARTIAL]
    assert rules.fee.tolist() == [0.015, 0.015, 0, 0.0125]
    assert rules.adjustment.tolist() == [1, 1, 1, 1]
    assert rules.spread.tolist() == [1.5, 1.5, 0, 0]
    assert rules.least.tolist() == [1_000, 1_000, 0, 0]
    assert rules.portion.tolist() == [0.1, 0.1, 1, 1]
    assert rules.most.tolist() == [100_000, 100_000, inf, inf]
    assert rules.most_lost.tolist() == [1_000_000, 1_000_000, inf, inf]
    assert rules.fund.tolist() == [1e6, 1e6, inf, inf]
    assert rules.gas_cost.tolist() == [0.3, 0.3, 0, 0]
    assert rules.looks.tolist() == [3600] * 4


@pytest.mark.parametrize(("step", "looks"), [("1s", 1), ("15m", 900), ("1h", 3600), ("4h", 14_400)])
def test_lower_desks__looks_are_seconds_of_a_step(step: str, looks: int) -> None:
    document = small_document()
    document["model"]["step"] = "4h"
    document["simulation"] |= {"step": step, "horizons": [step if step == "1s" else "4h"], "resolve": True}
    document["scenarios"], document["limits"] = ["baseline"], []
    assert lowered(document)[2].rules.looks.tolist() == [looks, looks]


def test_lower_desks__policies() -> None:
    document = desk_document()
    first, alone, hedger = document["accounts"]
    first["policies"] = [
        {"kind": "top_up", "below": 1.6, "amount": 20_000, "reserve": 60_000, "delay": "90m"},
        {
            "kind": "ladder",
            "rungs": [{"below": 1.5, "close": 0.25}, {"below": 1.25, "close": 1}],
            "markets": ["ETH-USD"],
        },
        {"kind": "stop", "drawdown": 0.2, "probability": 0.5},
        {"kind": "strategy_cap", "strategy": "carry", "loss": 7_000},
    ]
    alone["policies"] = [
        {"kind": "rebalance", "target": 3, "low": 0, "high": 5, "delay": "1h"},
        {"kind": "override", "below": 1.1, "close": 0.5, "delay": "3601s", "probability": 0.9},
        {"kind": "stop", "market": "ETH-USD", "price": 3_100},
    ]
    hedger["policies"] = [
        {"kind": "stop", "market": "BTCUSDT", "price": 55_000},
        {"kind": "stop", "market": "BTCUSDT", "price": 65_000},
    ]
    _, _, desks = lowered(document)
    found = desks.policies
    assert found.first.tolist() == [0, 5, 8, 10]
    assert found.kind.tolist() == [
        *(TOP_UP, CLOSE, CLOSE, STOP_DRAWDOWN, STRATEGY_CAP),
        *(REBALANCE, CLOSE, STOP_PRICE, STOP_PRICE, STOP_PRICE),
    ]
    assert found.number.tolist() == [0, 1, 1, 2, 3, 0, 1, 2, 0, 1]
    assert found.below.tolist() == [1.6, 1.5, 1.25, 0.2, 7_000, 5, 1.1, 3_100, 55_000, 65_000]
    assert found.low.tolist() == [0] * 10
    assert found.amount.tolist() == [20_000, 0.25, 1, 1, 1, 3, 0.5, 1, 1, 1]
    assert found.reserve.tolist() == [60_000] + [0] * 9
    assert found.delay.tolist() == [2, 0, 0, 0, 0, 1, 2, 0, 0, 0]
    assert found.probability.tolist() == [1, 1, 1, 0.5, 1, 1, 0.9, 1, 1, 1]
    assert found.touches.tolist() == [
        [0, 0, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0],
        [1, 0, 1, 0, 0, 0],  # the isolated positions stand at the first and third leg
        [1, 0, 1, 0, 0, 0],
        [0, 0, 1, 0, 0, 0],
        [1, 0, 0, 0, 0, 0],  # below the mark: the long one
        [0, 1, 0, 0, 0, 0],  # above it: the short one
    ]
    assert found.most == 5


def fields_of(part: Any, name: str = "desks") -> Iterator[tuple[str, Any]]:
    """All arrays and numbers of a structure, its parts' included, by name."""
    if hasattr(part, "_asdict"):
        for key, value in part._asdict().items():
            yield from fields_of(value, f"{name}.{key}")
    else:
        yield name, part


def test_lower_desks__nothing_to_follow() -> None:
    document = desk_document()
    document["simulation"]["resolve"] = False
    _, _, desks = lowered(document)
    none = nobody()
    for (name, value), (_, empty) in zip(fields_of(desks), fields_of(none), strict=True):
        assert type(value) is type(empty), name
        assert np.shape(value) == np.shape(empty), name
    assert desks.holdings.first.tolist() == [0]


def test_lower_desks__what_is_not_followed_has_the_same_types() -> None:
    _, _, desks = lowered(desk_document())
    for (name, value), (_, empty) in zip(fields_of(desks), fields_of(nobody()), strict=True):
        if isinstance(value, int):
            assert isinstance(empty, int)
            continue
        assert (value.dtype, value.ndim) == (empty.dtype, empty.ndim), name
        assert value.flags.c_contiguous, name
        assert empty.flags.c_contiguous, name


def test_lower_desks__accounts_without_positions() -> None:
    document = small_document()
    document["simulation"]["resolve"] = True
    for account in document["accounts"]:
        account["positions"] = []
    _, _, desks = lowered(document)
    assert desks.holdings.row.tolist() == [[0] * 3, [1] * 3]
    assert desks.holdings.width == 0
    assert desks.holdings.gross.tolist() == [[0.0] * 3] * 2
    assert desks.execution.depth.tolist() == [inf]
    assert desks.policies.touches.shape == (0, 0)
    assert desks.policies.most == 0


def test_lower_desks__pools_of_every_slab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.slabs.ACCOUNT_SLAB", 1)
    document = desk_document()
    plan = plan_from_document(document)
    pools = [len(lowered(document, slab)[2].holdings.row) for slab in plan_slabs(plan)]
    assert pools == [1, 2, 2]


def effects(*given: dict[str, Any]) -> list[Effect]:
    return [TypeAdapter(Effect).validate_python(each) for each in given]


HALT = {"effect": "halt", "at": "2h"}
FREEZE = {"effect": "oracle", "freeze": True, "at": "2h"}
DELAY = {"effect": "oracle", "delay": "2h", "at": "2h"}


@pytest.mark.parametrize(
    ("given", "sees"),
    [
        ([], [0, 1, 2, 3, 4, 5, 6]),
        # at the window's last close all are looked at
        ([HALT | {"for": "3h"}], [0, 1, HALTED, HALTED, 4, 5, 6]),
        ([HALT | {"for": "5h"}], [0, 1, HALTED, HALTED, HALTED, HALTED, 6]),
        # one that lasts beyond the last horizon is never looked at
        ([HALT | {"for": "6h"}], [0, 1, HALTED, HALTED, HALTED, HALTED, HALTED]),
        ([HALT], [0, 1, HALTED, HALTED, HALTED, HALTED, HALTED]),
        ([HALT | {"at": "9h"}], [0, 1, 2, 3, 4, 5, 6]),
        ([FREEZE | {"for": "3h"}], [0, 1, 1, 1, 4, 5, 6]),
        ([FREEZE], [0, 1, 1, 1, 1, 1, 1]),
        ([FREEZE | {"at": 0, "for": "2h"}], [-1, 1, 2, 3, 4, 5, 6]),
        ([FREEZE | {"for": "1h"}], [0, 1, 2, 3, 4, 5, 6]),
        # what the venue has seen by then is not taken back: time stands for the first two steps
        ([DELAY], [0, 1, 1, 1, 2, 3, 4]),
        ([DELAY | {"for": "4h"}], [0, 1, 1, 1, 2, 5, 6]),
        ([DELAY | {"for": "1h"}], [0, 1, 2, 3, 4, 5, 6]),
        ([DELAY | {"at": 0, "for": "5h"}], [-1, -1, 0, 1, 4, 5, 6]),
        ([FREEZE | {"at": 0, "for": "2h"}, HALT | {"at": "4h", "for": "2h"}], [-1, 1, 2, 3, HALTED, 5, 6]),
        # seen wrongly, but at once
        ([{"effect": "oracle", "multiply": {"BTC": 0.9}, "at": "2h"}], [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_find_views__by_hand(given: list[dict[str, Any]], sees: list[int]) -> None:
    found = find_views(effects(*given), HOUR, 7)
    assert found.tolist() == sees
    # what the screen sees as it happens is what the venue sees at its close
    now = np.arange(7)
    watch, seen = find_sight(effects(*given), now, HOUR)
    np.testing.assert_array_equal(found == now, (watch != UNSEEN) & (seen == now))


def test_lower_desks__memory_reaches_back_as_far_as_the_venue_sees() -> None:
    document = desk_document()
    told = {"name": "late", "narrative": "Late."}
    _, _, desks = lowered(document)
    assert desks.timeline.memory == 1
    assert desks.timeline.sees.tolist() == [[0, 1, 2, 3]]
    document["scenarios"] = ["baseline", told | {"effects": [HALT | {"at": "1h"}]}]
    assert lowered(document)[2].timeline.memory == 1
    document["scenarios"][1]["effects"] = [DELAY | {"at": 0}]
    _, _, desks = lowered(document)
    assert desks.timeline.sees.tolist() == [[0, 1, 2, 3], [-1, -1, 0, 1]]
    assert desks.timeline.memory == 3


def test_lower_desks__an_outlier_is_what_the_venue_has_over_the_market() -> None:
    document = desk_document()
    wrong = {"effect": "oracle", "multiply": {"BTC": 0.8}, "at": "1h", "for": "1h"}
    document["scenarios"] = ["baseline", {"name": "off", "narrative": "Off.", "effects": [wrong]}]
    plan, _, desks = lowered(document)
    assert desks.timeline.outlier.tolist() == [[-1] * 4, [-1, 0, -1, -1]]
    off = np.where(lower_market(plan).number == plan.model.assets.index("BTC"), 0.8, 1.0)
    assert desks.timeline.outliers.tolist() == [off.tolist()]


def test_find_gas__factors_multiply_and_delays_add_up() -> None:
    given = effects(
        {"effect": "gas", "multiply": 4, "delay": "2h", "at": "1h", "for": "3h"},
        {"effect": "gas", "multiply": 0.5, "at": "2h"},
        {"effect": "gas", "delay": "90m", "at": "3h", "for": "1h"},
    )
    factor, delay = find_gas(given, HOUR, 5)
    assert factor.tolist() == [1, 4, 2, 2, 0.5]
    assert delay.tolist() == [0, 2, 2, 4, 0]
