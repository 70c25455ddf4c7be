"""What is wrong between the parts of a plan; the rest is in the tests of the plan and of its parts."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import PlanError
from pipeline.plan import plan_from_document
from tests.pipeline.documents import small_document, spoil, two_sided_jumps, wicked_document


def test_find_plan_faults__wicks_want_the_step_of_the_model() -> None:
    document = spoil(wicked_document(), ("simulation", "step"), "15m")
    with pytest.raises(PlanError) as caught:
        plan_from_document(document)
    (problem,) = caught.value.problems
    assert problem.where == "plan: simulation.monitoring"
    assert "1h" in problem.expected
    assert "15m" in problem.got
    document["simulation"]["monitoring"] = "bridge"
    assert plan_from_document(document).simulation.monitoring == "bridge"


def test_find_plan_faults__too_many_double_exponential_jumps_in_a_step() -> None:
    document = small_document() | {"scenarios": ["baseline"], "limits": []}
    document["model"]["regimes"]["crisis"]["jumps"] = two_sided_jumps() | {"intensity": 1e5}
    plan_from_document(document)
    document["model"]["step"] = document["simulation"]["step"] = "2d"
    document["simulation"]["horizons"] = ["2d"]
    with pytest.raises(PlanError, match="at most 500 double-exponential jumps") as caught:
        plan_from_document(document)
    [problem] = caught.value.problems
    assert problem.where == "plan: model.regimes.crisis.jumps.intensity"
    assert problem.got == "547.9"


@pytest.mark.parametrize("target", [1, "two", {"BTC": 1}])
def test_find_plan_faults__target_of_a_correlation_in_plain_words(target: Any) -> None:
    document = small_document()
    effect = {"effect": "correlation", "target": target, "blend": 0.5}
    document["scenarios"] = ["baseline", {"name": "tied", "narrative": "Tied.", "effects": [effect]}]
    with pytest.raises(PlanError) as refused:
        plan_from_document(document)
    (problem,) = refused.value.problems
    assert problem.where.endswith("effects[0].target")
    assert problem.expected == "one, zero, or a matrix: a list of rows"
