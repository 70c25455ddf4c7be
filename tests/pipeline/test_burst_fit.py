"""The fit of bursts: what it recovers, that it climbs, and when it leaves them out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline import burst_fit
from pipeline.burst_fit import climb_with_bursts, find_worth, start_bursts
from pipeline.burst_round import maximise_bursts
from pipeline.extrapolation import Extrapolation
from pipeline.figures import FREE, Bursts, Figures
from pipeline.panel import read_panel
from pipeline.regime_choice import bayesian_information
from pipeline.regime_climb import FEWEST, Climb, climb, drop_rare, expect, maximise
from pipeline.regime_fit import fit_regimes
from tests.pipeline.known_bursts import FIGURES, draw_returns
from tests.pipeline.known_market import draw_history

Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def returns() -> Floats:
    x = draw_returns(FIGURES, 8_000, 3)[0]
    holes = np.random.default_rng(4).random(x.shape) < 0.03
    return np.where(holes, np.nan, x)


@pytest.fixture(scope="module")
def fitted(returns: Floats) -> Figures:
    return fit_regimes(returns, 2, seed=1, starts=1, levels=2, bursts=True).figures


def test_fit_regimes__recovers_bursts(fitted: Figures) -> None:
    assert fitted.bursts is not None
    assert FIGURES.bursts is not None
    moves, unit = fitted.bursts.moves, np.sqrt(np.prod(fitted.scales / FIGURES.scales))
    fall = int(np.argmin(moves.sum(axis=1)))
    alone = np.count_nonzero(moves, axis=1) == 1
    rise = int(np.flatnonzero(alone & (moves[:, 1] > 0.0))[0])
    np.testing.assert_allclose(moves[fall] * unit, FIGURES.bursts.moves[0], rtol=0.15)
    assert moves[rise, 1] * unit == pytest.approx(FIGURES.bursts.moves[1, 1], rel=0.15)
    np.testing.assert_allclose(fitted.bursts.law[[fall, rise]], FIGURES.bursts.law, rtol=0.25)
    assert len(moves) <= 3  # what the start has beside them is given up


def test_fit_regimes__bursts_leave_the_rest_as_it_is(fitted: Figures, returns: Floats) -> None:
    panel = read_panel(returns)
    assert expect(panel, fitted).log_likelihood > expect(panel, FIGURES).log_likelihood
    np.testing.assert_allclose(fitted.transitions, FIGURES.transitions, atol=0.05)
    np.testing.assert_allclose(np.log(fitted.nu / FIGURES.nu), 0.0, atol=0.7)  # of some 2,600 steps
    volume = fitted.scatter * np.prod(fitted.scales / FIGURES.scales)
    np.testing.assert_allclose(volume, FIGURES.scatter, rtol=0.25, atol=2e-5)


def test_maximise__bursts_and_holes_never_lower_the_likelihood(returns: Floats) -> None:
    panel, figures = read_panel(returns[:2500]), FIGURES
    trace = []
    for n in range(25):
        expected = expect(panel, figures)
        trace.append(expected.log_likelihood)
        figures = maximise(panel, figures, expected, with_nu=n % 3 == 0)
    assert np.diff(trace).min() > -1e-7


def test_climb__leaps_are_at_the_top_in_half_the_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bursts next to heavy tails, which they change places with."""
    panel = read_panel(draw_history(3_000, 5, bursts=True).prices.log_returns())
    plain = climb(panel, replace(FIGURES, scatter=0.3 * FIGURES.scatter, bursts=None), FREE)
    assert plain is not None
    start = replace(plain.figures, bursts=start_bursts(panel))
    leaping = climb(panel, start, FREE, 400, 1e-3)
    monkeypatch.setattr(Extrapolation, "leap", lambda *_: None)
    walking = climb(panel, start, FREE, 400, 1e-3)
    assert leaping is not None
    assert walking is not None
    assert np.diff(leaping.trace).min() >= 0.0
    assert len(leaping.trace) < 0.5 * len(walking.trace)
    assert leaping.trace[-1] > walking.trace[-1]


def test_climb__goes_back_where_a_leap_leads_astray(returns: Floats, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = read_panel(returns[:1500])
    monkeypatch.setattr(Extrapolation, "leap", lambda *_: None)
    walking = climb(panel, FIGURES, FREE, 12, 0.0)
    monkeypatch.setattr(
        Extrapolation, "leap", lambda _, before, after: replace(after, means=after.means + 1.0)
    )
    astray = climb(panel, FIGURES, FREE, 12, 0.0)
    assert walking is not None
    assert astray is not None
    assert astray.trace == walking.trace


def test_maximise_bursts__is_still_where_the_likelihood_is_highest(returns: Floats) -> None:
    """Slopes of the likelihood by finite differences, where rounds have ended: nil for moves and law."""
    panel = read_panel(returns[:3000])
    ended = climb(panel, FIGURES, FREE, 400, 1e-7)
    assert ended is not None
    assert ended.figures.bursts is not None
    best, bursts = ended.expected.log_likelihood, ended.figures.bursts

    def rise(changed: Bursts) -> float:
        return expect(panel, replace(ended.figures, bursts=changed)).log_likelihood - best

    for j, a in ((0, 0), (0, 2), (1, 1)):
        for side in (-1.0, 1.0):
            moves = bursts.moves.copy()
            moves[j, a] *= 1.0 + 0.02 * side
            assert rise(replace(bursts, moves=moves)) < 1e-4
    for j in range(2):
        for side in (-1.0, 1.0):
            law = bursts.law.copy()
            law[j] *= 1.0 + 0.02 * side
            assert rise(replace(bursts, law=law)) < 1e-4


def test_maximise_bursts__leaves_alone_what_a_burst_leaves_alone(returns: Floats) -> None:
    panel = read_panel(returns[:2000])
    found = maximise_bursts(panel, FIGURES, expect(panel, FIGURES).smoothed).bursts
    assert found is not None
    assert (found.moves[1] != 0.0).tolist() == [False, True, False]


def test_climb_with_bursts__leaves_them_out_where_there_are_none() -> None:
    plain = replace(FIGURES, bursts=None)
    panel = read_panel(draw_returns(plain, 3_000, 5)[0])
    ended = climb(panel, plain, FREE)
    assert ended is not None
    assert climb_with_bursts(panel, ended, FREE).figures.bursts is None


def test_climb_with_bursts__leaves_them_out_where_the_climb_falls_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the plain climb does: no rank left is no reason to end a calibration."""

    def fall_apart(*_: object) -> None:
        raise np.linalg.LinAlgError

    panel = read_panel(draw_returns(FIGURES, 500, 5)[0])
    plain = replace(FIGURES, bursts=None)
    ended = Climb(plain, expect(panel, plain), (), True)
    monkeypatch.setattr(burst_fit, "climb", fall_apart)
    assert climb_with_bursts(panel, ended, FREE) is ended


def test_fit_regimes__bursts_count_in_bic(returns: Floats) -> None:
    plain, with_bursts = (fit_regimes(returns[:4000], 2, 1, 1, levels=2, bursts=b) for b in (False, True))
    bursts = with_bursts.figures.bursts
    assert bursts is not None
    extra = len(bursts.law) + np.count_nonzero(bursts.moves)
    won = with_bursts.log_likelihood - plain.log_likelihood
    lower = bayesian_information(plain, 4000) - bayesian_information(with_bursts, 4000)
    assert lower == pytest.approx(2.0 * won - extra * np.log(4000))
    assert lower > 0.0


def test_find_worth__is_what_the_likelihood_loses(returns: Floats) -> None:
    """Against the likelihood without the burst, all else as it is."""
    panel = read_panel(returns)
    found = climb(panel, FIGURES, FREE, 10)
    assert found is not None
    bursts = found.figures.bursts
    assert bursts is not None
    for j, worth in enumerate(find_worth(panel, found)):
        without = bursts.only(np.arange(2) != j)
        left = expect(panel, replace(found.figures, bursts=without)).log_likelihood
        assert worth == pytest.approx(found.expected.log_likelihood - left, rel=0.1)


def test_find_worth__of_bursts_that_are_certain_is_a_number() -> None:
    """With light tails a burst far out has a share of 1 to the last bit."""
    moves = np.array([[0.3, 0.0, 0.0]])
    figures = replace(
        FIGURES, nu=np.array([50.0, 50.0]), bursts=Bursts(np.array([0.02]), moves, np.array([0.1]))
    )
    panel = read_panel(draw_returns(figures, 1_500, 6)[0])
    worth = find_worth(panel, Climb(figures, expect(panel, figures), (), True))
    assert np.isfinite(worth).all()
    assert worth[0] > 1_000.0


def test_climb__goes_on_after_a_burst_is_given_up(returns: Floats) -> None:
    """What it leaves has to settle: a fall of the likelihood is no standing still."""
    panel = read_panel(returns[:3000])
    bursts = FIGURES.bursts
    assert bursts is not None
    few = 1.001 * FEWEST / len(panel.observed)
    # nothing goes that far alone: it is given up in the first round
    far = Bursts(
        np.r_[bursts.law, few], np.vstack([bursts.moves, [0.0, 0.0, 1.0]]), np.r_[bursts.spread, 0.1]
    )
    found = climb(panel, replace(FIGURES, bursts=far), FREE, 400, 1e-3)
    assert found is not None
    assert found.figures.bursts is not None
    assert len(found.figures.bursts.law) == 2
    ended = climb(panel, FIGURES, FREE, 400, 1e-3)
    assert ended is not None
    assert found.trace[-1] == pytest.approx(ended.trace[-1], abs=0.1)


def test_drop_rare__gives_up_bursts_of_few_steps() -> None:
    assert FIGURES.bursts is not None
    rare = replace(FIGURES, bursts=replace(FIGURES.bursts, law=np.array([0.004, 0.006])))
    kept = drop_rare(rare, 1000).bursts
    assert kept is not None
    np.testing.assert_array_equal(kept.moves, FIGURES.bursts.moves[1:])
    assert drop_rare(rare, 100).bursts is None
    assert drop_rare(replace(FIGURES, bursts=None), 100).bursts is None


def test_start_bursts__one_asset_rises_and_falls() -> None:
    moves = start_bursts(read_panel(np.random.default_rng(0).standard_normal((500, 1)))).moves
    assert moves.shape == (2, 1)
    assert moves[0, 0] > 0.0 > moves[1, 0]
