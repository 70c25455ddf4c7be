"""What is said about plans that resolve what follows a breach."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.plan import plan_from_document
from tests.pipeline.documents import small_document, tiered_document

MARKETS = ("BTC-USD", "ETH-USD")


def resolved(*policies: dict[str, Any]) -> dict[str, Any]:
    """The small plan, resolved, with depth of all that is held."""
    document = small_document()
    document["simulation"]["resolve"] = True
    document["accounts"][0]["policies"] = list(policies)
    document["model"]["regimes"]["crisis"]["funding"] = {"BTC": 0, "ETH": 0}
    for name in MARKETS:
        document["venue"]["markets"][name]["execution"] = {"depth": 1e6, "impact": 0.01}
    return document


def told(document: dict[str, Any]) -> tuple[str, ...]:
    return plan_from_document(document).warnings()


def with_effect(document: dict[str, Any], **effect: Any) -> dict[str, Any]:
    document["scenarios"] = ["baseline", {"name": "storm", "narrative": "A storm.", "effects": [effect]}]
    document["limits"] = []
    return document


def test_find_desk_warnings__one_for_all_depths_not_stated() -> None:
    assert told(resolved()) == ()
    document = resolved()
    for name in MARKETS:
        del document["venue"]["markets"][name]["execution"]
    expected = "depth of BTC-USD, ETH-USD is not stated: orders there fill at their mark, without slippage"
    assert told(document) == (expected,)
    document["simulation"]["resolve"] = False
    assert told(document) == ()


def test_find_desk_warnings__liquidations_for_free() -> None:
    document = tiered_document()
    words = "liquidations by bracketed are free: `liquidation` has no fee there"
    assert words not in told(document)
    document["simulation"]["resolve"] = True
    assert words in told(document)
    document["venues"]["bracketed"]["liquidation"] = {"fee": 0.01}
    assert words not in told(document)


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (
            {"kind": "override", "below": 1, "close": 0.5},
            "policy 1 (override) waits for a margin ratio of 1: the venue liquidates below 1",
        ),
        (
            {"kind": "ladder", "rungs": [{"below": r, "close": 1} for r in (1.2, 0.9, 0.8)]},
            "policy 1 (ladder) waits for a margin ratio of 0.9, 0.8: the venue liquidates below 1",
        ),
        (
            {"kind": "stop", "drawdown": 0.2, "delay": "1d"},
            "policy 1 (stop) never acts: its delay of 1d reaches the last horizon",
        ),
        (
            {"kind": "top_up", "below": 30, "amount": 1, "reserve": 1},
            "policy 1 (top_up) acts at the first close: the margin ratio is 20.19 at as_of, below 30",
        ),
        (
            {"kind": "rebalance", "target": 2, "low": 1, "high": 3},
            "policy 1 (rebalance) acts at the first close: leverage is 4.13 at as_of, outside 1 to 3",
        ),
    ],
)
def test_find_desk_warnings__policies(policy: dict[str, Any], words: str) -> None:
    assert told(resolved(policy)) == (f"account basis: {words}",)


def test_find_desk_warnings__policies_in_order_have_none() -> None:
    policies: list[dict[str, Any]] = [
        {"kind": "top_up", "below": 2, "amount": 1, "reserve": 1, "delay": "23h"},
        {"kind": "override", "below": 1.1, "close": 1},
        {"kind": "rebalance", "target": 4, "low": 1, "high": 5},
        {"kind": "stop", "drawdown": 0.5},
    ]
    assert told(resolved(*policies)) == ()


def test_find_desk_warnings__nothing_to_act_on() -> None:
    document = resolved({"kind": "stop", "drawdown": 0.5})
    document["accounts"][0]["positions"] = []
    document["venue"]["markets"]["ETH-USD"].pop("execution")
    assert told(document) == ("account basis: its policies have no positions to act on",)


def test_depth_warning__where_nothing_is_filled_or_no_market_states_it() -> None:
    effect = {"effect": "depth", "multiply": 0.5}
    assert told(with_effect(resolved(), **effect)) == ()
    document = with_effect(resolved(), **effect)
    for name in MARKETS:
        del document["venue"]["markets"][name]["execution"]
    assert "scenario storm: depth changes nothing: no market held has `execution`" in told(document)
    document["simulation"]["resolve"] = False
    assert told(document) == (
        "scenario storm: depth changes what a liquidation costs, not its chance: "
        "`simulation: {resolve: true}` follows what comes after",
    )


def test_gas_warning__where_nobody_acts_or_nothing_is_paid() -> None:
    stop = {"kind": "stop", "drawdown": 0.5}
    (text,) = told(with_effect(resolved(), effect="gas", multiply=3))
    assert (
        text == "scenario storm: gas changes nothing: no account has policies, so that nobody acts on chain"
    )
    (text,) = told(with_effect(resolved(stop), effect="gas", multiply=3))
    assert (
        text == "scenario storm: gas changes nothing: no venue of an account with policies has a `gas_cost`"
    )
    assert told(with_effect(resolved(stop), effect="gas", delay="1h")) == ()
    document = with_effect(resolved(stop), effect="gas", multiply=3)
    document["venue"]["gas_cost"] = 0.1
    assert told(document) == ()
    document = with_effect(resolved(), effect="gas", delay="1h")
    document["simulation"]["resolve"] = False
    (text,) = told(document)
    assert text.startswith("scenario storm: gas changes nothing: nobody acts on chain; `simulation: {resolve")


def test_find_desk_warnings__a_position_that_is_too_large_already_or_cannot_go() -> None:
    # ETH: 0.012 x 70 x 3,020 = 2,537 of 5,477
    policy = {"kind": "isolate", "market": "ETH-USD", "above": 0.4, "collateral": 2_000}
    assert told(resolved(policy)) == (
        "account basis: policy 1 (isolate) acts at the first close: ETH-USD has 0.46 of maintenance margin "
        "at as_of, above 0.4",
        "account basis: policy 1 (isolate) moves nothing until it requires less: ETH-USD requires 2,537 at "
        "as_of, more than its collateral, 2,000",
    )
    assert told(resolved(policy | {"above": 0.5, "collateral": 5_000})) == ()
