"""Leaps: where a straight way ends, and when there are none."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from pipeline.extrapolation import DEPTH, FURTHEST, LEAST, Extrapolation
from pipeline.figures import Figures
from tests.pipeline.known_bursts import FIGURES


def near(figures: Figures, way: float, other: float = 0.0) -> Figures:
    """The figures off by so much along two ways; 0 is the end."""
    bursts = figures.bursts
    assert bursts is not None
    odds = bursts.law / (1.0 - bursts.law.sum()) * np.exp(np.array([way, 0.5 * other]))
    law = odds / (1.0 + odds.sum())
    moves = bursts.moves + 0.01 * other * (bursts.moves != 0.0)
    return replace(
        figures, scales=figures.scales * np.exp(-way), bursts=replace(bursts, law=law, moves=moves)
    )


def test_leap__ends_where_rounds_would() -> None:
    """Rounds that leave 95 and 80 % of two ways: with two differences known a leap is at the end."""
    ahead, rounds = Extrapolation(), [(0.3 * 0.95**n, -0.4 * 0.8**n) for n in range(5)]
    leaps = [ahead.leap(near(FIGURES, *one), near(FIGURES, *two)) for one, two in pairwise(rounds)]
    assert [leap is None for leap in leaps] == [True] * (LEAST - 1) + [False, False]
    found = leaps[LEAST - 1]
    assert found is not None
    assert found.bursts is not None
    assert FIGURES.bursts is not None
    np.testing.assert_allclose(found.scales, FIGURES.scales, rtol=4e-3)
    np.testing.assert_allclose(found.bursts.law, FIGURES.bursts.law, rtol=4e-3)
    np.testing.assert_allclose(found.bursts.moves, FIGURES.bursts.moves, rtol=4e-3)
    np.testing.assert_allclose(found.scatter, FIGURES.scatter, rtol=1e-12)
    np.testing.assert_allclose(found.means, FIGURES.means, rtol=1e-12)


def test_leap__leaves_chains_and_tails_to_the_round() -> None:
    ahead, found = Extrapolation(), None
    for n in range(4):
        after = replace(near(FIGURES, 0.3 * 0.9 ** (n + 1)), nu=np.array([5.0, 7.0 + n]))
        found = ahead.leap(near(FIGURES, 0.3 * 0.9**n), after)
    assert found is not None
    assert found.nu.tolist() == [5.0, 10.0]
    np.testing.assert_array_equal(found.transitions, FIGURES.transitions)


def test_leap__not_where_it_would_be_far_off() -> None:
    """Rounds that hardly slow down would meet far away."""
    ahead, rounds = Extrapolation(), [-0.3 * n + 0.001 * n * n for n in range(5)]
    for one, two in pairwise(rounds):
        assert ahead.leap(near(FIGURES, one), near(FIGURES, two)) is None
    assert FURTHEST < 0.3 / 0.002 * 0.3


def test_leap__begins_anew_where_a_burst_is_given_up() -> None:
    ahead, rounds = Extrapolation(), [0.3 * 0.9**n for n in range(DEPTH)]
    for one, two in pairwise(rounds):
        ahead.leap(near(FIGURES, one), near(FIGURES, two))
    bursts = FIGURES.bursts
    assert bursts is not None
    fewer = replace(FIGURES, bursts=bursts.only(np.array([True, False])))
    assert ahead.leap(FIGURES, fewer) is None
    assert ahead.last == float("inf")
    for _ in range(LEAST):
        assert ahead.leap(fewer, fewer) is None  # nothing moves: nothing to combine


def test_last__is_how_much_a_round_changed() -> None:
    ahead = Extrapolation()
    ahead.leap(near(FIGURES, 0.2), near(FIGURES, 0.1))
    assert ahead.last == pytest.approx(0.1 * np.sqrt(3.0))  # two scales, one rate
