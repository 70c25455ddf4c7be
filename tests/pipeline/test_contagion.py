"""Contagion in a plan: what it asks for, what is refused, what it lowers to."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from pipeline import contagion
from pipeline.contagion import venues_shared
from pipeline.errors import PlanError, Problem
from pipeline.lower_book import lower_book
from pipeline.lower_desks import lower_desks
from pipeline.lower_market import lower_market
from pipeline.plan import plan_from_document
from pipeline.slabs import ACCOUNT_SLAB, plan_slabs
from tests.pipeline.crowded_market import crowded_document
from tests.pipeline.documents import small_document, tiered_document


def shared(document: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The document, its accounts in one market."""
    document["simulation"] |= {"monitoring": "close", "contagion": {"lasting": 0.5}, **changes}
    document["limits"] = []
    return document


def refused(document: dict[str, Any]) -> tuple[Problem, ...]:
    with pytest.raises(PlanError) as caught:
        plan_from_document(document)
    return tuple(caught.value.problems)


def test_plan__contagion_resolves_what_follows_and_is_left_out_where_nobody_asks() -> None:
    plan = plan_from_document(shared(small_document()))
    assert plan.simulation.resolve
    assert plan.document()["simulation"]["contagion"] == {"lasting": 0.5}
    assert plan_from_document(plan.document()) == plan
    for nothing in ({}, {"contagion": None}):
        plain = plan_from_document(shared(small_document()) | {"simulation": BARE | nothing})
        assert "contagion" not in plain.document()["simulation"]
        assert not plain.simulation.resolve


BARE = {**small_document()["simulation"]}


def test_find_contagion_faults__all_at_once() -> None:
    found = refused(shared(small_document(), monitoring="bridge", resolve=False, contagion={"lasting": 1}))
    assert [problem.where for problem in found] == ["plan: simulation.monitoring", "plan: simulation.resolve"]
    assert (found[0].got, found[0].expected) == ("`bridge`", "`close`, as contagion is worked out at closes")
    document = shared(small_document())
    del document["simulation"]["monitoring"]
    assert refused(document)[0].got == "nothing, which is `bridge`"


@pytest.mark.parametrize(
    ("asked", "where", "words"),
    [
        (True, "contagion", "a mapping"),
        (False, "contagion", "a mapping"),
        ({}, "contagion.lasting", "add `lasting:`"),
        ({"lasting": 1.5}, "contagion.lasting", "at most 1"),
        ({"lasting": -0.1}, "contagion.lasting", "at least 0"),
        ({"lasting": 1, "fund": 3}, "contagion.fund", "known key"),
    ],
)
def test_plan__refuses_other_ways_to_ask_for_contagion(asked: Any, where: str, words: str) -> None:
    (problem,) = refused(shared(small_document(), contagion=asked))
    assert problem.where == f"plan: simulation.{where}"
    assert words in problem.expected + problem.fix


def test_find_contagion_faults__a_book_too_large_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contagion, "MOST_STATES", 17)
    (problem,) = refused(shared(small_document()))
    assert problem.where == "plan: simulation.contagion"
    assert problem.got == "2 x 3 x 3 = 18"
    monkeypatch.setattr(contagion, "MOST_STATES", 18)
    plan_from_document(shared(small_document()))


def test_plan_slabs__one_where_accounts_share_a_market() -> None:
    document = shared(small_document(), leverage=[1])
    account = document["accounts"][1]
    document["accounts"] = [{**account, "name": f"a{i}"} for i in range(ACCOUNT_SLAB + 1)]
    assert plan_slabs(plan_from_document(document)) == (tuple(range(ACCOUNT_SLAB + 1)),)
    document["simulation"]["contagion"] = None
    assert len(plan_slabs(plan_from_document(document))) == 2


def test_venues_shared__by_name_in_the_order_of_the_accounts() -> None:
    assert venues_shared(plan_from_document(shared(tiered_document()))) == ("inline", "bracketed")
    assert venues_shared(plan_from_document(tiered_document())) == ()


def test_lower_contagion__venues_funds_and_the_prices_that_markets_move() -> None:
    document = shared(tiered_document())
    document["venue"]["insurance_fund"] = 1_000
    plan = plan_from_document(document)
    market = lower_market(plan)
    everyone = range(len(plan.accounts))
    desks = lower_desks(plan, market, lower_book(plan, market, everyone), everyone)
    found = desks.contagion
    assert found.lasting.tolist() == [0.5]
    assert found.venue.tolist() == [0, 1]
    assert found.fund.tolist() == [1_000, math.inf]
    columns = {name: number for number, name in enumerate(plan.model.assets)}
    traded = ["BTC", "ETH", "BTC", "ETH"]  # of the first venue, then of the second
    assert found.column.tolist() == [columns[name] for name in traded]
    scale = desks.holdings.gross[:, -1] + np.abs(desks.holdings.equity)
    assert np.all(found.quantum >= 2.0**-24 * scale)
    assert np.all(found.quantum < 2.0**-23 * scale)
    assert np.all(found.quantum == 2.0 ** np.round(np.log2(found.quantum)))


def test_lower_contagion__nothing_where_nobody_asks() -> None:
    document = tiered_document()
    document["simulation"]["resolve"] = True
    plan = plan_from_document(document)
    market = lower_market(plan)
    found = lower_desks(plan, market, lower_book(plan, market, [0]), [0]).contagion
    assert all(len(array) == 0 for array in found)


def test_find_desk_warnings__what_contagion_lacks() -> None:
    def told(document: dict[str, Any]) -> list[str]:
        return [
            text
            for text in plan_from_document(document).warnings()
            if "contagion" in text or "insurance fund" in text
        ]

    document = crowded_document()
    assert told(document) == ["the insurance fund of inline is not stated: it has all that is ever asked"]
    document["venue"]["insurance_fund"] = 1
    assert told(document) == []
    del document["venue"]["markets"]["A-USD"]["execution"]
    assert told(document) == ["contagion moves no price: no market held has `execution`"]
    del document["simulation"]["contagion"]
    assert told(document) == []
