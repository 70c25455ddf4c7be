from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import PlanError
from pipeline.plan import plan_from_document
from tests.pipeline.documents import small_document
from tests.pipeline.moving_states import moving_document


@pytest.mark.parametrize(
    ("state", "where", "got"),
    [
        ({"funding": {"DOGE": 0.1}}, "market_state.funding.DOGE", "DOGE"),
        ({"funding": {"BTC": "a lot"}}, "market_state.funding.BTC", "a lot"),
        ({"fundng": {"BTC": 0.1}}, "market_state.fundng", "fundng"),
    ],
)
def test_find_state_faults__named(state: dict[str, Any], where: str, got: str) -> None:
    with pytest.raises(PlanError) as error:
        plan_from_document(moving_document() | {"market_state": state})
    (problem,) = error.value.problems
    assert problem.where.endswith(where)
    assert got in f"{problem.got} {problem.where}"


def test_find_state_faults__a_constant_rate_has_no_state() -> None:
    with pytest.raises(PlanError) as error:
        plan_from_document(small_document() | {"market_state": {"funding": {"BTC": 0.1}}})
    (problem,) = error.value.problems
    assert "funding_process" in problem.expected


def test_market_state__as_of_must_not_be_old() -> None:
    state = {"as_of": "2026-05-13T00:00:00Z", "funding": {"BTC": 0.1}}
    warnings = plan_from_document(moving_document() | {"market_state": state}).warnings()
    assert "market_state is 2.0 days older than as_of" in warnings
