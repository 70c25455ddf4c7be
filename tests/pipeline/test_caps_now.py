"""Caps against the book as it stands."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from pipeline.caps_now import caps_now
from pipeline.errors import PlanError
from pipeline.plan import Plan, plan_from_document
from tests.pipeline.documents import small_document

# 1 BTC at 60,000 and 20 ETH short at 3,000, initial margin 2 %: 1,200 each, on 12,000 of equity
CAPS = {
    "concentration": 0.05,
    "leverage": 8,
    "buckets": {"tactical": {"notional": 0.4, "margin": 0.6}, "strategic": {"margin": 0.5}},
}


def plan_of(caps: dict[str, Any] | None = None, cash: float = 12_000, eth: float = -20.0) -> Plan:
    document = small_document()
    document["prices"] = {"BTC": 60_000, "ETH": 3_000}
    document["limits"] = []
    document["accounts"] = [
        {
            "name": "desk",
            "collateral": {"USDC": cash},
            "positions": [
                {"market": "BTC-USD", "size": 1, "entry": 60_000, "bucket": "strategic"},
                {"market": "ETH-USD", "size": eth, "entry": 3_000, "bucket": "tactical"},
            ],
            "caps": caps,
        }
    ]
    return plan_from_document(document)


def judged(plan: Plan) -> list[tuple[str, float, float, bool]]:
    return [(cap.what, cap.cap, cap.value, cap.is_broken) for cap in caps_now(plan, plan.accounts[0])]


def test_caps_now__by_hand() -> None:
    assert judged(plan_of(CAPS)) == [
        ("concentration of BTC-USD", 0.05, pytest.approx(0.1), True),
        ("concentration of ETH-USD", 0.05, pytest.approx(0.1), True),
        ("leverage", 8, pytest.approx(10), True),
        ("tactical: share of notional", 0.4, pytest.approx(0.5), True),
        ("tactical: share of initial margin", 0.6, pytest.approx(0.5), False),
        ("strategic: share of initial margin", 0.5, pytest.approx(0.5), False),  # equal is kept
    ]
    assert judged(plan_of(None)) == []


def test_caps_now__nothing_carries_the_book() -> None:
    found = judged(plan_of({"leverage": 8, "concentration": 0.2}, cash=-1))
    assert [(value, broken) for _, _, value, broken in found] == [(inf, True)] * 3
    assert any("leverage: no equity, above its cap of 8.00x" in text for text in plan_of(CAPS, -1).warnings())


def test_caps_now__haircuts_are_taken_off() -> None:
    document = small_document()
    document["venue"] |= {"haircuts": {"BTC": 0.5}}
    document["prices"] = {"BTC": 60_000, "ETH": 3_000}
    document["limits"] = []
    document["accounts"] = [
        {
            "name": "desk",
            "collateral": {"USDC": 0, "BTC": 0.4},
            "positions": [{"market": "ETH-USD", "size": 20, "entry": 3_000}],
            "caps": {"leverage": 5},
        }
    ]
    # 60,000 on 0.4 x 60,000 x 0.5
    assert judged(plan_from_document(document)) == [("leverage", 5, pytest.approx(5), False)]


def test_plan_warnings__name_what_is_broken_and_by_how_much() -> None:
    warned = [text for text in plan_of(CAPS).warnings() if "its cap" in text]
    assert warned == [
        "account desk, concentration of BTC-USD: 10.00 %, above its cap of 5.00 % by 5.00 %",
        "account desk, concentration of ETH-USD: 10.00 %, above its cap of 5.00 % by 5.00 %",
        "account desk, leverage: 10.00x, above its cap of 8.00x by 2.00x",
        "account desk, tactical: share of notional: 50.00 %, above its cap of 40.00 % by 10.00 %",
    ]


@pytest.mark.parametrize(
    ("caps", "words"),
    [
        ({"buckets": {"tactica": {"margin": 0.5}}}, "did you mean `tactical`?"),
        ({"buckets": {"tactical": {}}}, "`notional`, `margin` or both"),
        ({"buckets": {"tactical": {"margin": 1.5}}}, "at most 1"),
        ({"leverage": 0}, "above 0"),
        ({"concentration": "5"}, "caps"),
        ({"gross": 5}, "caps"),
    ],
)
def test_caps__refuses(caps: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanError) as caught:
        plan_of(caps)
    assert words in str(caught.value)
