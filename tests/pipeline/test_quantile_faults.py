"""Quantiles that were asked for and can't be had."""

from __future__ import annotations

import pytest

from pipeline.errors import PlanError
from pipeline.plan import plan_from_document
from pipeline.quantile_faults import MOST_CELLS, find_quantile_faults, has_room
from tests.pipeline.documents import resolved_document, small_document


def test_find_quantile_faults__asks_for_resolve() -> None:
    document = small_document()
    document["simulation"] |= {"quantiles": True}
    with pytest.raises(PlanError) as caught:
        plan_from_document(document)
    (problem,) = caught.value.problems
    assert "quantiles" in problem.where
    assert "resolve: true" in problem.fix
    document["simulation"]["resolve"] = True
    assert plan_from_document(document).simulation.quantiles


def test_find_quantile_faults__not_where_accounts_move_each_others_prices() -> None:
    document = resolved_document()
    document["simulation"] |= {"quantiles": True, "resolve": True}
    assert not list(find_quantile_faults(document))
    document["simulation"]["contagion"] = {"shared": True}
    (fault,) = find_quantile_faults(document)
    assert fault.loc == ("simulation", "quantiles")
    assert "contagion" in fault.got


def test_find_quantile_faults__asks_for_room() -> None:
    document = resolved_document()
    document["simulation"] |= {"quantiles": True, "leverage": [1 + i / 1_000 for i in range(100)]}
    assert has_room(document)
    document["simulation"]["leverage"] = [1 + i / 1_000 for i in range(1 + MOST_CELLS // 36)]
    assert not has_room(document)
    with pytest.raises(PlanError) as caught:
        plan_from_document(document)
    (problem,) = caught.value.problems
    assert f"at most {MOST_CELLS:,} cells" in problem.expected
    assert "3 scenarios x 4 accounts" in problem.got
