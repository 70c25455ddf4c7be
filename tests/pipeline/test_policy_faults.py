"""Policies that are refused, and `resolve` beside them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pipeline.errors import PlanError, Problem
from pipeline.plan import json_schema, plan_from_document
from pipeline.policies import Ladder, Stop, TopUp
from tests.pipeline.documents import small_document, tiered_document

TOP_UP = {"kind": "top_up", "below": 1.6, "amount": 20_000, "reserve": 60_000}
LADDER = {"kind": "ladder", "rungs": [{"below": 1.5, "close": 0.25}, {"below": 1.25, "close": 0.5}]}
STOP = {"kind": "stop", "market": "BTC-USD", "price": 55_000}
CAP = {"kind": "strategy_cap", "strategy": "carry", "loss": 5_000}
REBALANCE = {"kind": "rebalance", "target": 3, "low": 2, "high": 5}
OVERRIDE = {"kind": "override", "below": 1.2, "close": 0.5}
ISOLATE = {"kind": "isolate", "market": "ETH-USD", "above": 0.5, "collateral": 20_000}
ALL = [TOP_UP, LADDER, STOP, CAP, REBALANCE, OVERRIDE, ISOLATE]


def desk(*policies: dict[str, Any]) -> dict[str, Any]:
    """The small plan, its first account (long BTC, short ETH) with these policies."""
    document = small_document()
    document["accounts"][0]["policies"] = list(policies)
    return document


def problems(document: dict[str, Any]) -> list[Problem]:
    with pytest.raises(PlanError) as caught:
        plan_from_document(document)
    return list(caught.value.problems)


def test_plan_from_document__policies_and_their_defaults() -> None:
    plan = plan_from_document(desk(*ALL))
    top_up, ladder, stop, *_ = plan.accounts[0].policies
    assert isinstance(top_up, TopUp)
    assert (top_up.delay, top_up.probability) == (timedelta(0), 1.0)
    assert isinstance(ladder, Ladder)
    assert ladder.markets is None
    assert isinstance(stop, Stop)
    assert stop.drawdown is None
    assert plan.accounts[1].policies == ()
    assert plan_from_document(plan.document()) == plan
    assert [policy["kind"] for policy in plan.document()["accounts"][0]["policies"]] == [
        *("top_up", "ladder", "stop", "strategy_cap", "rebalance", "override", "isolate")
    ]


@pytest.mark.parametrize(
    ("written", "policies", "found"),
    [({}, [], False), ({}, [CAP], True), ({"resolve": True}, [], True), ({"resolve": False}, [], False)],
)
def test_plan_from_document__resolves_where_some_account_has_policies(
    written: dict[str, bool], policies: list[dict[str, Any]], found: bool
) -> None:
    document = desk(*policies)
    document["simulation"] |= written
    plan = plan_from_document(document)
    assert plan.simulation.resolve is found
    assert plan.document()["simulation"]["resolve"] is found
    assert "resolve" not in small_document()["simulation"]


def test_find_resolve_faults__false_beside_policies() -> None:
    document = desk(CAP)
    document["simulation"]["resolve"] = False
    (problem,) = problems(document)
    assert problem.where == "plan: simulation.resolve"
    assert "`basis` has policies, which would do nothing" in problem.got
    assert problem.fix == "leave `resolve` out, or remove the policies"


@pytest.mark.parametrize(
    ("policy", "where", "words"),
    [
        ({"kind": "topup"}, "kind", "did you mean `top_up`?"),
        ({"below": 1.5}, "", "a mapping with a key `kind`"),
        ("ladder", "", "a mapping (key: value)"),
        (STOP | {"size": 1}, "size", "a known key: delay, probability, kind, market"),
        # every kind
        (TOP_UP | {"delay": "1 h"}, "delay", "a duration: a whole number and a unit"),
        (OVERRIDE | {"probability": 1.5}, "probability", "at most 1"),
        (OVERRIDE | {"probability": 0}, "probability", "a number above 0"),
        # top_up
        (TOP_UP | {"below": 0}, "below", "above 0"),
        (TOP_UP | {"amount": 0}, "amount", "above 0"),
        (TOP_UP | {"amount": 70_000}, "amount", "at most the reserve, 60,000"),
        ({"kind": "top_up", "below": 1.6, "amount": 1}, "reserve", "add `reserve:`"),
        # ladder
        (LADDER | {"rungs": []}, "rungs", "at least 1"),
        (LADDER | {"rungs": [{"below": 1.5, "close": 0}]}, "rungs[0].close", "above 0"),
        (LADDER | {"rungs": [{"below": 1.5, "close": 1.1}]}, "rungs[0].close", "at most 1"),
        (
            LADDER | {"rungs": [{"below": 1.5, "close": 1, "clos": 1}]},
            "rungs[0].clos",
            "did you mean `close`?",
        ),
        (LADDER | {"rungs": LADDER["rungs"][::-1]}, "rungs[1].below", "level down, each once: below 1.25"),
        (LADDER | {"rungs": LADDER["rungs"][:1] * 2}, "rungs[1].below", "below 1.5"),
        (LADDER | {"markets": []}, "markets", "at least 1"),
        (LADDER | {"markets": ["BTC-USD", "SOL-USD"]}, "markets[1]", "a market that the account holds"),
        (LADDER | {"markets": ["BTC-USD", "BTC-USD"]}, "markets[1]", "each market once"),
        # stop
        ({"kind": "stop"}, "", "with `market` and `price`, or with `drawdown` alone"),
        ({"kind": "stop", "price": 1}, "", "with `market` and `price`, or with `drawdown` alone"),
        ({"kind": "stop", "market": "BTC-USD"}, "", "give what is missing"),
        (STOP | {"drawdown": 0.1}, "", "two stops are two policies"),
        ({"kind": "stop", "market": "BTC-USD", "drawdown": 0.1}, "", "remove what is too much"),
        (STOP | {"market": "SOL-USD"}, "market", "use one of: BTC-USD, ETH-USD"),
        (STOP | {"price": 61_250}, "price", "below the mark, 61,250, as the position is long"),
        (STOP | {"price": 70_000}, "price", "70,000, which is reached already"),
        (
            STOP | {"market": "ETH-USD", "price": 3_000},
            "price",
            "above the mark, 3,020, as the position is short",
        ),
        ({"kind": "stop", "drawdown": 0}, "drawdown", "above 0"),
        ({"kind": "stop", "drawdown": 1.5}, "drawdown", "at most 1"),
        # strategy_cap
        (CAP | {"strategy": "cary"}, "strategy", "did you mean `carry`?"),
        (CAP | {"loss": -5_000}, "loss", "above 0"),
        # rebalance
        (REBALANCE | {"low": 3}, "low", "below the target, 3"),
        (REBALANCE | {"high": 3}, "high", "above the target, 3"),
        (REBALANCE | {"high": 2.5}, "high", "2.5"),
        # override
        (OVERRIDE | {"close": 0}, "close", "above 0"),
        # isolate
        (ISOLATE | {"market": "SOL-USD"}, "market", "use one of: BTC-USD, ETH-USD"),
        (ISOLATE | {"above": 1}, "above", "below 1"),
        (ISOLATE | {"collateral": 0}, "collateral", "above 0"),
        ({"kind": "isolate", "market": "ETH-USD", "above": 0.5}, "collateral", "add `collateral:`"),
    ],
)
def test_find_policy_faults__one_by_one(policy: Any, where: str, words: str) -> None:
    found = problems(desk(policy))
    place = f"plan: accounts[0].policies[0]{where and '.'}{where}"
    assert place in [problem.where for problem in found]
    assert words in "\n".join(map(str, found))
    assert len(found) == 1


def test_find_policy_faults__all_at_once() -> None:
    found = problems(desk(TOP_UP | {"amount": 1e9}, CAP | {"strategy": "none"}, REBALANCE | {"low": 9}))
    assert [problem.where for problem in found] == [
        "plan: accounts[0].policies[0].amount",
        "plan: accounts[0].policies[1].strategy",
        "plan: accounts[0].policies[2].low",
    ]


def test_find_policy_faults__drawdown_of_nothing() -> None:
    document = desk({"kind": "stop", "drawdown": 0.2})
    document["accounts"][0]["collateral"]["USDC"] = -20_000
    (problem,) = problems(document)
    assert problem.where == "plan: accounts[0].policies[0].drawdown"
    assert problem.got == "equity of -9,450"  # 4 x 1,150 on BTC, 70 x 85 on ETH


@pytest.mark.parametrize(("price", "refused"), [(55_000, False), (70_000, False), (61_250, True)])
def test_find_policy_faults__stop_of_a_market_held_both_ways(price: float, refused: bool) -> None:
    document = tiered_document()
    document["accounts"][1]["policies"] = [{"kind": "stop", "market": "BTCUSDT", "price": price}]
    if refused:
        assert [problem.where for problem in problems(document)] == ["plan: accounts[1].policies[0].price"]
    else:
        plan_from_document(document)


def test_find_policy_faults__a_position_of_size_zero_is_not_held() -> None:
    document = desk(LADDER | {"markets": ["ETH-USD"]})
    document["accounts"][0]["positions"][1]["size"] = 0
    (problem,) = problems(document)
    assert problem.fix == "did you mean `BTC-USD`?"


def test_find_policy_faults__what_is_not_known_is_not_judged() -> None:
    document = desk(STOP, {"kind": "stop", "drawdown": 0.2})
    del document["prices"]["BTC"]
    document["accounts"][0]["positions"][1]["size"] = "many"
    assert {problem.where for problem in problems(document)} == {
        "plan: prices.BTC",
        "plan: accounts[0].positions[1].size",
    }


def test_json_schema__knows_policies_and_execution() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json_schema())
    document = desk(*ALL)
    document["simulation"]["resolve"] = True
    document["venue"] |= {"gas_cost": 0.1, "insurance_fund": 1e6}
    document["venue"]["markets"]["BTC-USD"]["execution"] = {"depth": 1e6, "impact": 0.01}
    validator.validate(document)
    validator.validate(plan_from_document(document).document())
    assert not validator.is_valid(desk({"kind": "isolate"}))
    assert not validator.is_valid(desk(LADDER | {"rungs": []}))
    document["venue"]["markets"]["BTC-USD"]["execution"]["law"] = "cubic"
    assert not validator.is_valid(document)
    document = tiered_document()
    document["venues"]["bracketed"]["liquidation"] = {"style": "partial", "fee": 0.01}
    validator.validate(document)
    validator.validate(plan_from_document(document).document())


def test_find_policy_faults__isolates_what_shares_its_collateral_and_once() -> None:
    document = desk(ISOLATE, ISOLATE | {"above": 0.3})
    (problem,) = problems(document)
    assert problem.where == "plan: accounts[0].policies[1].market"
    assert problem.expected == "one `isolate` for a market"
    document = desk(ISOLATE)
    document["accounts"][0] |= {"margin": "mixed"}
    btc, eth = document["accounts"][0]["positions"]
    document["accounts"][0]["positions"] = [btc, eth | {"margin": "isolated", "collateral": 10_000}]
    (problem,) = problems(document)
    assert problem.expected == "a market that the account holds a position in that shares its collateral"
