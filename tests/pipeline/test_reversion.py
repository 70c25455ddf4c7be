from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import PlanError
from pipeline.plan import plan_from_document
from tests.pipeline.moving_states import moving_document, process


def spoiled(change: dict[str, Any]) -> list[tuple[str, str]]:
    """Where and what is wrong with the moving plan, its calm regime changed."""
    document = moving_document()
    document["model"]["regimes"]["calm"] |= change
    with pytest.raises(PlanError) as error:
        plan_from_document(document)
    return [(problem.where.partition("calm.")[2], problem.expected) for problem in error.value.problems]


@pytest.mark.parametrize(
    ("change", "where", "expected"),
    [
        ({"funding_process": None}, "funding_process", "one in every regime"),
        ({"funding": None}, "funding", "the level that"),
        ({"funding_process": process(half_life={"BTC": "12h"})}, "funding_process.half_life.ETH", "a value"),
        ({"funding_process": process(deviation={})}, "funding_process.deviation.BTC", "a value"),
        ({"funding_process": process(correlation={"X": 0})}, "funding_process.correlation.X", "an asset"),
        (
            {"funding_process": process(correlation={"BTC": 2})},
            "funding_process.correlation.BTC",
            "at most 1",
        ),
        ({"funding_process": process(common=-0.1)}, "funding_process.common", "a number of at least 0"),
    ],
)
def test_find_reversion_faults__named(change: dict[str, Any], where: str, expected: str) -> None:
    found = spoiled(change)
    assert any(place == where and expected in text for place, text in found), found


def test_completed__in_the_model_s_order() -> None:
    document = moving_document(correlation={"ETH": 0.2}, half_life={"ETH": "1d", "BTC": "12h"})
    of = plan_from_document(document).model.regimes["calm"].funding_process
    assert of is not None
    assert of.correlation == {"BTC": 0.0, "ETH": 0.2}
    assert list(of.half_life) == ["BTC", "ETH"]
