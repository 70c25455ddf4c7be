"""The fit of the switching Student-t: what it recovers, what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal, multivariate_t

from pipeline.chain import stationary_law
from pipeline.errors import DataError
from pipeline.figures import Figures, Shortest
from pipeline.regime_choice import bayesian_information, choose_regimes
from pipeline.regime_fit import fit_regimes
from pipeline.regimes import filter_regimes, most_likely_path, smooth_regimes

Floats = NDArray[np.float64]

CALM = 0.005**2 * np.array([[1.0, 0.5, 0.5], [0.5, 1.0, 0.5], [0.5, 0.5, 1.0]])
CRISIS = 0.015**2 * np.array([[1.0, 0.9, 0.9], [0.9, 1.0, 0.9], [0.9, 0.9, 1.0]])
TRANSITIONS = np.array([[0.98, 0.02], [0.06, 0.94]])
NU = np.array([8.0, 4.0])


def draw_returns(steps: int, seed: int, covariances: tuple[Floats, ...] = (CALM, CRISIS)) -> Floats:
    """Returns (T, 3) of the switching Student-t of this module, without drift."""
    rng = np.random.default_rng(seed)
    regime, x = 0, np.empty((steps, 3))
    factors = [np.linalg.cholesky(covariance) for covariance in covariances]
    for t in range(steps):
        nu = NU[regime]
        x[t] = factors[regime] @ rng.normal(size=3) * np.sqrt((nu - 2.0) / rng.chisquare(nu))
        if len(covariances) > 1:
            regime = int(rng.random() > TRANSITIONS[regime, 0])
    return x


@pytest.fixture(scope="module")
def returns() -> Floats:
    return draw_returns(6000, 11)


def test_fit_regimes__recovers_what_was_simulated(returns: Floats) -> None:
    fit = fit_regimes(returns, 2, seed=1, starts=2)
    assert fit.converged
    # about four standard errors of 4,500 and 1,500 steps
    np.testing.assert_allclose(fit.figures.transitions, TRANSITIONS, atol=0.025)
    np.testing.assert_allclose(fit.figures.nu, NU, rtol=0.45)
    for found, true, rtol in zip(fit.covariances, (CALM, CRISIS), (0.1, 0.25), strict=True):
        np.testing.assert_allclose(np.diag(found), np.diag(true), rtol=rtol)
    deviations = np.sqrt(np.diagonal(fit.covariances, axis1=1, axis2=2))
    correlations = fit.covariances / (deviations[:, :, None] * deviations[:, None, :])
    assert correlations[0, 0, 1] == pytest.approx(0.5, abs=0.06)
    assert correlations[1, 0, 1] == pytest.approx(0.9, abs=0.03)
    assert np.abs(fit.figures.means).max() < 0.002


def test_fit_regimes__likelihood_never_falls(returns: Floats) -> None:
    for shortest in (1.0, 24.0):
        trace = np.array(fit_regimes(returns[:2000], 3, seed=3, starts=1, shortest=Shortest(shortest)).trace)
        assert len(trace) > 10
        assert np.diff(trace).min() > -1e-7


def test_fit_regimes__is_the_one_regime_student_t() -> None:
    from scipy.stats import t as student

    x = draw_returns(3000, 5)[:, :1]
    fit = fit_regimes(x, 1, seed=0, starts=1)
    nu, mean, scale = student.fit(x[:, 0])
    assert fit.figures.nu[0] == pytest.approx(nu, rel=0.01)
    assert fit.figures.means[0, 0] == pytest.approx(mean, abs=0.01 * scale)
    assert fit.figures.scatter[0, 0, 0] == pytest.approx(scale**2, rel=0.01)
    assert fit.log_likelihood == pytest.approx(student.logpdf(x[:, 0], nu, mean, scale).sum(), abs=0.01)


def test_fit_regimes__orders_by_volatility_whatever_the_start(returns: Floats) -> None:
    for seed in range(2):
        fit = fit_regimes(returns[:2000], 3, seed=seed, starts=1)
        traces = np.trace(fit.covariances, axis1=1, axis2=2)
        assert np.all(np.diff(traces) > 0.0)
        figures = fit.figures
        law = figures.initial[0], figures.transitions, figures.means, fit.covariances, figures.nu
        again = smooth_regimes(returns[:2000], *law)
        assert again[0] == pytest.approx(fit.log_likelihood, abs=1e-6)
        np.testing.assert_allclose(again[1], fit.smoothed[:, 0], atol=1e-9)


def test_fit_regimes__same_seed_same_bits(returns: Floats) -> None:
    one, two = (fit_regimes(returns[:1500], 2, seed=9, starts=2) for _ in range(2))
    assert one.log_likelihood == two.log_likelihood
    np.testing.assert_array_equal(one.figures.scatter, two.figures.scatter)


def test_fit_regimes__regimes_last(returns: Floats) -> None:
    fit = fit_regimes(returns[:2000], 2, seed=1, starts=1, shortest=Shortest(100.0))
    assert np.diag(fit.figures.transitions).min() >= 0.99
    np.testing.assert_allclose(fit.figures.transitions.sum(axis=-1), 1.0, atol=1e-12)


def test_fit_regimes__missing_steps_are_stepped_over(returns: Floats) -> None:
    holes = returns.copy()
    holes[np.random.default_rng(2).random(len(holes)) < 0.3] = np.nan
    fit = fit_regimes(holes, 2, seed=1, starts=1)
    # joined end to end, the rows that are left would switch more often than the chain does
    np.testing.assert_allclose(np.diag(fit.figures.transitions), np.diag(TRANSITIONS), atol=0.02)
    assert fit.filtered.shape == (len(holes), 1, 2)
    assert not np.isnan(fit.smoothed).any()


def test_fit_regimes__a_short_history_counts_as_far_as_it_goes(returns: Floats) -> None:
    """The third asset begins late and has holes: its figures are found, and the others' lose nothing."""
    partly = returns.copy()
    partly[:4000, 2] = np.nan
    partly[np.random.default_rng(2).random(len(partly)) < 0.1, 2] = np.nan
    fit, whole = (fit_regimes(x, 2, seed=1, starts=1) for x in (partly, returns))
    deviations = np.sqrt(np.diagonal(fit.covariances, axis1=1, axis2=2))
    np.testing.assert_allclose(
        deviations[:, :2], np.sqrt(np.diagonal(whole.covariances, axis1=1, axis2=2))[:, :2], rtol=0.05
    )
    # 2,000 steps, of which some 500 are wild
    np.testing.assert_allclose(deviations[:, 2], np.sqrt([CALM[2, 2], CRISIS[2, 2]]), rtol=0.15)
    correlation = fit.covariances[:, 0, 2] / deviations[:, 0] / deviations[:, 2]
    np.testing.assert_allclose(correlation, [0.5, 0.9], atol=0.08)
    # the chain is learnt from 6,000 steps, not from the 2,000 with all assets
    error = np.abs(fit.figures.transitions - TRANSITIONS).max()
    assert error < 0.02


def test_fit_regimes__likelihood_is_that_of_what_there_is() -> None:
    """One Gaussian regime with holes: every pattern by its own marginal density."""
    x = np.random.default_rng(4).multivariate_normal(np.full(3, 0.001), CRISIS, 2000)
    x[np.random.default_rng(5).random(x.shape) < 0.3] = np.nan
    fit = fit_regimes(x, 1, seed=0, starts=1)
    figures = fit.figures
    total = 0.0
    for row in x:
        there = np.flatnonzero(~np.isnan(row))
        if len(there):
            scatter = figures.scatter[0][np.ix_(there, there)]
            total += multivariate_t(figures.means[0][there], scatter, figures.nu[0]).logpdf(row[there])
    assert fit.log_likelihood == pytest.approx(total, abs=1e-6)
    np.testing.assert_allclose(fit.covariances[0], CRISIS, rtol=0.12)


LOUD = Figures(
    means=np.zeros((2, 3)),
    scatter=np.array([CALM, CRISIS]),
    nu=NU,
    transitions=TRANSITIONS,
    scales=np.array([0.6, 1.7]),
    level_transitions=np.array([[0.997, 0.003], [0.006, 0.994]]),
    initial=np.full((2, 2), 0.25),
)


def draw_states(steps: int, seed: int, figures: Figures) -> tuple[Floats, Floats]:
    """Returns (T, A) of a model with levels, and the level's scale in each step (T,)."""
    rng = np.random.default_rng(seed)
    level, regime = np.zeros(steps, int), np.zeros(steps, int)
    for t in range(1, steps):
        for state, chain in ((level, figures.level_transitions), (regime, figures.transitions)):
            state[t] = int(rng.random() > np.cumsum(chain[state[t - 1]])[0])
    nu = figures.nu[regime]
    size = figures.scales[level] * np.sqrt(nu / rng.chisquare(nu))
    roots = np.linalg.cholesky(figures.scatter)[regime]
    noise = rng.normal(size=(steps, figures.means.shape[1]))
    return size[:, None] * np.einsum("tab,tb->ta", roots, noise), figures.scales[level]


def test_fit_regimes__recovers_levels() -> None:
    x, scale = draw_states(12_000, 3, LOUD)
    fit = fit_regimes(x, 2, seed=1, starts=2, shortest=Shortest(level=24.0), levels=2)
    figures = fit.figures
    assert figures.scales[1] / figures.scales[0] == pytest.approx(1.7 / 0.6, rel=0.08)
    # two thirds of the steps are quiet: the mean square is 1
    assert np.array([2 / 3, 1 / 3]) @ figures.scales**2 == pytest.approx(1.0, abs=0.25)
    np.testing.assert_allclose(np.diag(figures.level_transitions), [0.997, 0.994], atol=0.004)
    np.testing.assert_allclose(np.diag(figures.transitions), np.diag(TRANSITIONS), atol=0.02)
    np.testing.assert_allclose(figures.nu, NU, rtol=0.45)
    found = fit.smoothed.sum(axis=2).argmax(axis=1) == (scale > 1.0)
    assert found.mean() > 0.97
    one = fit_regimes(x, 2, seed=1, starts=2)
    assert fit.log_likelihood > one.log_likelihood + 500.0


def test_fit_regimes__levels_and_holes_never_lower_the_likelihood() -> None:
    x, _ = draw_states(3000, 4, LOUD)
    x[:1500, 2] = np.nan
    x[np.random.default_rng(6).random(len(x)) < 0.05] = np.nan
    trace = np.array(fit_regimes(x, 2, 1, 1, Shortest(2.0, 48.0), levels=3).trace)
    assert len(trace) > 20
    assert np.diff(trace).min() > -1e-7


def test_fit_regimes__fewer_levels_where_one_dies_out() -> None:
    """A market of one level, with a short calm: four levels have nothing to hold on to."""
    x = np.random.default_rng(2).multivariate_normal(np.zeros(3), CALM, 3000)
    x[:60] *= 0.2
    fit = fit_regimes(x, 1, seed=1, starts=1, shortest=Shortest(level=24.0), levels=4)
    assert 1 <= len(fit.figures.scales) < 4
    np.testing.assert_allclose(fit.covariances[0], CALM, rtol=0.15)


def test_fit_regimes__mean_square_of_levels_is_one() -> None:
    figures = fit_regimes(draw_states(3000, 5, LOUD)[0], 1, seed=1, starts=1, levels=2).figures
    law = stationary_law(figures.level_transitions)
    assert law @ figures.scales**2 == pytest.approx(1.0, abs=1e-12)


def test_fit_regimes__correlations_are_pulled_to_their_average() -> None:
    x = draw_returns(250, 8, (CALM,))
    short, long = fit_regimes(x, 1, 0, 1), fit_regimes(draw_returns(6000, 8, (CRISIS,)), 1, 0, 1)
    assert 0.0 < short.shrinkage[0] <= 1.0
    deviations = np.sqrt(np.diagonal(long.figures.scatter, axis1=1, axis2=2))
    correlation = long.figures.scatter[0] / np.outer(deviations[0], deviations[0])
    np.testing.assert_allclose(np.diag(correlation), 1.0, atol=1e-12)
    assert np.linalg.eigvalsh(correlation)[0] > 0.0
    # the true correlations are equal, so the pull is nearly whole
    assert np.ptp(correlation[np.triu_indices(3, 1)]) < 0.01


def test_fit_regimes__refuses_too_few_steps(returns: Floats) -> None:
    with pytest.raises(DataError, match="at least 80 steps"):
        fit_regimes(returns[:79], 2, seed=0)


def test_fit_regimes__refuses_prices_that_stand_still(returns: Floats) -> None:
    x = returns[:500].copy()
    x[:, 2] = 0.0
    with pytest.raises(DataError, match="asset number 3"):
        fit_regimes(x, 2, seed=0)


def test_fit_regimes__refuses_assets_that_move_as_one(returns: Floats) -> None:
    x = returns[:500].copy()
    x[:, 2] = x[:, 0]
    with pytest.raises(DataError, match="move as one"):
        fit_regimes(x, 2, seed=0)


def test_choose_regimes__two_where_there_are_two() -> None:
    choice = choose_regimes(draw_returns(3000, 21), (1, 2, 3), seed=1, starts=1, folds=3)
    assert choice.regimes == 2
    assert choice.bic[2] < choice.bic[1]
    assert choice.held_out[2] > choice.held_out[1] + 50.0
    assert choice.fits[3].log_likelihood > choice.fits[2].log_likelihood


def test_choose_regimes__one_where_there_is_one() -> None:
    choice = choose_regimes(draw_returns(2500, 22, (CALM,)), (1, 2), seed=1, starts=1, folds=3)
    assert choice.regimes == 1
    assert choice.bic[1] < choice.bic[2]


def test_bayesian_information__counts_parameters(returns: Floats) -> None:
    fit = fit_regimes(returns[:1000], 2, seed=1, starts=1)
    # twice 3 means, 6 of scatter and nu; 2 transitions; 1 of the initial law
    assert bayesian_information(fit, 1000) == pytest.approx(-2.0 * fit.log_likelihood + 23 * np.log(1000.0))


def test_filter_regimes__single_gaussian_regime(returns: Floats) -> None:
    x = returns[:50]
    log_likelihood, filtered = filter_regimes(x, np.ones(1), np.ones((1, 1)), np.zeros((1, 3)), CALM[None])
    assert log_likelihood == pytest.approx(multivariate_normal(np.zeros(3), CALM).logpdf(x).sum(), abs=1e-9)
    np.testing.assert_array_equal(filtered, np.ones((50, 1)))


def test_filter_regimes__covariance_not_scatter(returns: Floats) -> None:
    law = (np.ones(1), np.ones((1, 1)), np.zeros((1, 3)), CALM[None], np.array([4.0]))
    expected = multivariate_t(np.zeros(3), CALM / 2.0, df=4.0).logpdf(returns[:50]).sum()
    assert filter_regimes(returns[:50], *law)[0] == pytest.approx(expected, abs=1e-9)


def test_most_likely_path__finds_the_crisis() -> None:
    rng = np.random.default_rng(3)
    calm, crisis = (rng.multivariate_normal(np.zeros(3), c, 40) for c in (CALM, 4.0 * CRISIS))
    x = np.vstack([calm, crisis])
    law = (np.array([0.5, 0.5]), TRANSITIONS, np.zeros((2, 3)), np.array([CALM, 4.0 * CRISIS]))
    path = most_likely_path(x, *law)
    assert np.all(path[:38] == 0)
    assert np.all(path[42:] == 1)
