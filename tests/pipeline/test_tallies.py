"""Tallies: merging is exact, in any grouping and order."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from itertools import permutations

import numpy as np
import pytest

from kernels.structs import AFTERMATHS, MOMENTS
from pipeline.spread import Spread
from pipeline.tallies import Tallies

SHAPE = (2, 3, 2, 4)


def draw_tallies(seed: int, paths: int = 1_000) -> Tallies:
    generator = np.random.default_rng(seed)
    counts = [generator.integers(0, paths, SHAPE) for _ in range(3)]
    joint = generator.integers(0, paths, (2, 4, 3, 3))
    return Tallies(
        *counts,
        joint,
        np.zeros(SHAPE[:3], np.bool_),
        paths,
        all_pools=generator.integers(0, paths, SHAPE),
        groups=generator.integers(0, paths, (MOMENTS, 2, 5, 2, 4)),
        aftermath=generator.integers(0, paths, (AFTERMATHS, *SHAPE)),
        breach=generator.integers(0, paths, (*SHAPE[:3], 6)),
        money_quantum=np.ones(3),
        quantum=np.ones(5),
    )


def assert_equal(one: Tallies, other: Tallies) -> None:
    for name in Tallies.__dataclass_fields__:
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


def test_add__counts_and_paths_add_up() -> None:
    one, other = draw_tallies(1), draw_tallies(2, paths=500)
    both = one + other
    assert both.paths == 1_500
    assert both.joint is not None
    assert np.array_equal(both.liquidations - one.liquidations, other.liquidations)
    assert np.array_equal(both.margin_calls - one.margin_calls, other.margin_calls)
    assert np.array_equal(both.bankruptcies - one.bankruptcies, other.bankruptcies)
    assert np.array_equal(both.joint - one.joint, other.joint)
    assert both.all_pools is not None
    assert both.groups is not None
    assert np.array_equal(both.all_pools - one.all_pools, other.all_pools)
    assert np.array_equal(both.groups - one.groups, other.groups)


def test_add__any_order_and_grouping_is_the_same() -> None:
    parts = [draw_tallies(seed) for seed in range(4)]
    whole = reduce(Tallies.__add__, parts)
    assert_equal((parts[0] + parts[1]) + (parts[2] + parts[3]), whole)
    for order in permutations(parts):
        assert_equal(reduce(Tallies.__add__, order), whole)


def test_add__keeps_counts_beyond_32_bits() -> None:
    large = draw_tallies(1, paths=2**40)
    assert np.all((large + large).liquidations == 2 * large.liquidations)


@pytest.mark.parametrize("name", ["joint", "all_pools", "groups"])
def test_add__without_what_some_plans_keep(name: str) -> None:
    one = replace(draw_tallies(1), **{name: None})
    assert getattr(one + one, name) is None
    with pytest.raises(ValueError, match="only one keeps"):
        one + draw_tallies(2)


def test_add__refuses_another_plans_tallies() -> None:
    one = draw_tallies(1)
    with pytest.raises(ValueError, match="liquidatable_now"):
        one + replace(one, liquidatable_now=~one.liquidatable_now)
    with pytest.raises(ValueError, match="quantum"):
        one + replace(one, quantum=2.0 * one.quantum)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("liquidations", np.zeros(SHAPE[:3], np.int64)),
        ("margin_calls", np.zeros((2, 3, 2, 5), np.int64)),
        ("bankruptcies", np.zeros(SHAPE, np.int32)),
        ("joint", np.zeros((2, 4, 3, 2), np.int64)),
        ("liquidatable_now", np.zeros(SHAPE[:3], np.int8)),
    ],
)
def test_tallies__refuse_arrays_that_do_not_fit(name: str, array: np.ndarray) -> None:
    with pytest.raises(ValueError, match=name):
        replace(draw_tallies(1), **{name: array})


def test_add__refuses_runs_over_draws() -> None:
    over_draws = replace(draw_tallies(1), spread=Spread())
    with pytest.raises(ValueError, match="a draw would count as two"):
        over_draws + draw_tallies(2)
