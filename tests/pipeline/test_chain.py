"""Chain statistics: against enumeration of every regime path, and their own laws."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.chain import mean_durations, occupation_law, return_moments, second_eigenvalue, stationary_law

Floats = NDArray[np.float64]


@st.composite
def chains(draw: st.DrawFn) -> tuple[Floats, Floats]:
    """A transition matrix of two to four regimes without zeros, and an initial law."""
    size = draw(st.integers(2, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return rng.dirichlet(np.ones(size), size), rng.dirichlet(np.ones(size))


def every_path(transition: Floats, initial: Floats, steps: int) -> list[tuple[tuple[int, ...], float]]:
    """Every regime path of so many steps, with its probability."""
    paths = product(range(len(initial)), repeat=steps)
    return [
        (
            path,
            float(initial[path[0]] * np.prod([transition[i, j] for i, j in pairwise(path)])),
        )
        for path in paths
    ]


@given(chains())
def test_stationary_law__is_the_limit_of_every_start(chain: tuple[Floats, Floats]) -> None:
    transition, initial = chain
    law = stationary_law(transition)
    assert law @ transition == pytest.approx(law, abs=1e-12)
    assert initial @ np.linalg.matrix_power(transition, 4096) == pytest.approx(law, abs=1e-9)


def test_stationary_law__periodic_chain() -> None:
    assert stationary_law([[0, 1], [1, 0]]) == pytest.approx([0.5, 0.5])


def test_stationary_law__absorbing_regime() -> None:
    assert stationary_law([[0.5, 0.5], [0, 1]]) == pytest.approx([0, 1])


def test_stationary_law__refuses_two_closed_classes() -> None:
    with pytest.raises(ValueError, match="not unique"):
        stationary_law(np.eye(2))


def test_mean_durations__geometric_and_never_left() -> None:
    assert mean_durations([[0.75, 0.25], [0, 1]]) == pytest.approx([4, np.inf])


def test_second_eigenvalue__of_two_regimes_is_what_persistence_exceeds_one() -> None:
    assert second_eigenvalue([[0.97, 0.03], [0.1, 0.9]]) == pytest.approx(0.87, abs=1e-14)
    assert second_eigenvalue([[0.1, 0.9], [0.9, 0.1]]) == pytest.approx(-0.8, abs=1e-14)


def test_second_eigenvalue__edge_chains() -> None:
    assert second_eigenvalue([[1.0]]) == 0
    assert second_eigenvalue(np.eye(3)) == pytest.approx(1)
    # a cycle of three: the eigenvalues are the cube roots of one
    assert second_eigenvalue([[0, 1, 0], [0, 0, 1], [1, 0, 0]]) == pytest.approx(1)


@given(chains(), st.integers(0, 5))
@settings(deadline=None)
def test_occupation_law__by_enumeration(chain: tuple[Floats, Floats], steps: int) -> None:
    transition, initial = chain
    expected = np.zeros(steps + 1)
    if steps == 0:
        expected[0] = 1
    else:
        for path, probability in every_path(transition, initial, steps):
            expected[path.count(1)] += probability
    assert occupation_law(transition, initial, 1, steps) == pytest.approx(expected, abs=1e-13)


@given(chains(), st.integers(1, 5), st.integers(0, 2**32))
@settings(deadline=None)
def test_return_moments__by_enumeration(chain: tuple[Floats, Floats], steps: int, seed: int) -> None:
    transition, initial = chain
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=(len(initial), 2))
    root = rng.normal(size=(len(initial), 2, 2))
    covariance = root @ root.transpose(0, 2, 1)
    first, second = np.zeros(2), np.zeros((2, 2))
    for path, probability in every_path(transition, initial, steps):
        total = mean[list(path)].sum(axis=0)
        first += probability * total
        second += probability * (covariance[list(path)].sum(axis=0) + np.outer(total, total))
    found_mean, found_covariance = return_moments(transition, initial, mean, covariance, steps)
    assert found_mean == pytest.approx(first, abs=1e-12)
    assert found_covariance == pytest.approx(second - np.outer(first, first), abs=1e-10)


def test_return_moments__refuses_shapes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="don't fit"):
        return_moments(np.eye(2), [1, 0], np.zeros((3, 1)), np.zeros((3, 1, 1)))


@pytest.mark.parametrize("transition", [[[0.5, 0.6], [0, 1]], [[1.1, -0.1], [0, 1]], [[0.5, 0.5]]])
def test_mean_durations__refuses_what_is_no_transition_matrix(transition: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="rows sum to 1"):
        mean_durations(transition)


@pytest.mark.parametrize("initial", [[1.0], [0.5, 0.6], [1.5, -0.5]])
def test_occupation_law__refuses_what_is_no_law(initial: list[float]) -> None:
    with pytest.raises(ValueError, match="2 probabilities"):
        occupation_law(np.eye(2), initial, 0, 3)
