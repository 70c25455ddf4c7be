"""What reaches the venue of an oracle's outlier."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter

from pipeline.effects import Oracle, Sources
from pipeline.lower_timeline import find_outliers
from pipeline.outliers import find_median_share, find_outlier
from pipeline.plan import plan_from_document
from tests.pipeline.documents import small_document

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("of", "wrong", "share"),
    [(1, 1, 1), (3, 1, 0), (3, 2, 1), (5, 2, 0), (5, 3, 1), (2, 1, 0.5), (4, 1, 0), (4, 2, 0.5), (4, 3, 1)],
)
def test_find_median_share__of_odd_and_even_numbers(of: int, wrong: int, share: float) -> None:
    assert find_median_share(Sources(of=of, wrong=wrong)) == share
    assert find_median_share(None) == 1


def outlier(**more: Any) -> list[float]:
    """BTC at 60 % for three hours from the second on, as the venue has it over eight."""
    model = plan_from_document(small_document()).model
    written = {"effect": "oracle", "multiply": {"BTC": 0.6}, "at": "2h", "for": "3h"} | more
    effect = TypeAdapter(Oracle).validate_python(written)
    found = find_outlier(effect, slice(2, 5), model, HOUR, 8)
    assert (found[:, 1:] == 1).all()
    return list(found[:, 0].tolist())


def test_find_outlier__by_hand() -> None:
    assert outlier() == [1, 1, 0.6, 0.6, 0.6, 1, 1, 1]
    assert outlier(confirm="1h") == [1, 1, 1, 0.6, 0.6, 1, 1, 1]
    assert outlier(confirm="3h") == [1] * 8
    assert outlier(sources={"of": 3, "wrong": 1}) == [1] * 8
    assert outlier(sources={"of": 2, "wrong": 1}) == pytest.approx([1, 1, 0.8, 0.8, 0.8, 1, 1, 1])
    # over one hour it is what it was; over two one half and all of it; over four three quarters at most
    assert outlier(average="1h") == outlier()
    assert outlier(average="2h") == pytest.approx([1, 1, 0.8, 0.6, 0.6, 0.8, 1, 1])
    assert outlier(average="4h") == pytest.approx([1, 1, 0.9, 0.8, 0.7, 0.7, 0.8, 0.9])
    assert outlier(average="4h", sources={"of": 2, "wrong": 1})[4] == pytest.approx(0.85)


def test_find_outliers__those_that_hold_together_multiply() -> None:
    model = plan_from_document(small_document()).model
    written = [
        {"effect": "oracle", "multiply": {"BTC": 0.8}, "at": "1h", "for": "2h"},
        {"effect": "oracle", "multiply": {"all": 0.5}, "at": "2h"},
    ]
    effects = [TypeAdapter(Oracle).validate_python(each) for each in written]
    found = find_outliers(effects, model, HOUR, 4)
    assert found[:, 0].tolist() == [1, 0.8, 0.4, 0.5]
    assert found[:, 1].tolist() == [1, 1, 0.5, 0.5]
