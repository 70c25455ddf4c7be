"""Draws of fitted figures: repeatable, centred, numbered as the fit is, as far apart as fits really are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline import parameter_draws
from pipeline.errors import DataError
from pipeline.extrapolation import Extrapolation
from pipeline.figures import Shortest
from pipeline.panel import read_panel
from pipeline.parameter_draws import LEAST_BLOCKS, draw_fits, draw_weights
from pipeline.regime_climb import expect
from pipeline.regime_fit import RegimeFit, fit_regimes, renumber
from tests.pipeline.known_market import draw_history

Floats = NDArray[np.float64]

STAY = (0.98, 0.94)
LEVEL_STAY = (0.997, 0.997)
NU = np.array([8.0, 4.0])
DEVIATION = np.array([0.005, 0.015])
CORRELATION = np.array([0.5, 0.9])
SCALE = np.array([0.6, 1.3])
BLOCK = 300


def draw_chain(stay: tuple[float, float], steps: int, rng: np.random.Generator) -> NDArray[np.int64]:
    state, u = np.zeros(steps, np.int64), rng.random(steps)
    for t in range(1, steps):
        state[t] = state[t - 1] ^ (u[t] > stay[state[t - 1]])
    return state


def draw_returns(steps: int, seed: int, levels: int = 1) -> Floats:
    """Returns (T, 2) of two regimes, and of two levels if asked for."""
    rng = np.random.default_rng(seed)
    regime = draw_chain(STAY, steps, rng)
    scale = SCALE[draw_chain(LEVEL_STAY, steps, rng)] if levels > 1 else np.ones(steps)
    z = rng.standard_normal((steps, 2))
    rho = CORRELATION[regime]
    z[:, 1] = rho * z[:, 0] + np.sqrt(1.0 - rho**2) * z[:, 1]
    mixing = np.sqrt((NU[regime] - 2.0) / rng.chisquare(NU[regime]))
    return (scale * DEVIATION[regime] * mixing)[:, None] * z


def draw_storms(steps: int, seed: int) -> Floats:
    """Returns (T, 2) whose volatility wanders slowly: nothing that two regimes are right for."""
    rng = np.random.default_rng(seed)
    log_volatility, news = np.zeros(steps), 0.06 * rng.standard_normal(steps)
    for t in range(1, steps):
        log_volatility[t] = 0.995 * log_volatility[t - 1] + news[t]
    z = rng.standard_normal((steps, 2))
    z[:, 1] = 0.8 * z[:, 0] + 0.6 * z[:, 1]
    mixing = np.sqrt(4.0 / rng.chisquare(6.0, steps))
    return (0.005 * np.exp(log_volatility) * mixing)[:, None] * z


def figures_of(fit: RegimeFit) -> Floats:
    """The figures of a fit to two assets on scales where errors are near normal."""
    figures = fit.figures
    deviations = np.sqrt(np.diagonal(fit.covariances, axis1=1, axis2=2))
    correlation = fit.covariances[:, 0, 1] / deviations.prod(axis=1)
    chains = [figures.transitions] + [figures.level_transitions] * (len(figures.scales) > 1)
    leave = [1.0 - np.diag(chain) for chain in chains]
    return np.concatenate(
        [np.log(deviations).ravel(), np.arctanh(correlation), np.log(figures.nu), *np.log(leave)]
    )


@pytest.fixture(scope="module")
def returns() -> Floats:
    x = draw_returns(4000, 3, levels=2)
    x[500:600, 0] = np.nan
    x[2000:2010] = np.nan
    return x


@pytest.fixture(scope="module")
def fit(returns: Floats) -> RegimeFit:
    return fit_regimes(returns, 2, seed=1, starts=1, levels=2)


def draws(returns: Floats, fit: RegimeFit, number: int, seed: int = 7) -> list[RegimeFit]:
    return list(draw_fits(returns, fit, number, seed, BLOCK, Shortest()))


def test_draw_fits__depend_on_seed_and_number_alone(returns: Floats, fit: RegimeFit) -> None:
    few, many, other = draws(returns, fit, 2), draws(returns, fit, 3), draws(returns, fit, 1, seed=8)
    for one, two in zip(few, many, strict=False):
        np.testing.assert_array_equal(one.figures.scatter, two.figures.scatter)
        np.testing.assert_array_equal(one.filtered, two.filtered)
    found = {each.figures.scatter.tobytes() for each in (*many, *other, fit)}
    assert len(found) == 5


def test_draw_fits__with_equal_weights_stay_at_the_fit(
    returns: Floats, fit: RegimeFit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parameter_draws, "draw_weights", lambda panel, *_: np.ones(len(panel.returns)))
    (drawn,) = draws(returns, fit, 1)
    np.testing.assert_allclose(figures_of(drawn), figures_of(fit), atol=0.02)
    np.testing.assert_allclose(drawn.figures.scales, fit.figures.scales, rtol=0.01)
    assert drawn.log_likelihood == pytest.approx(fit.log_likelihood, abs=0.1)


def test_draw_fits__filter_is_that_of_the_returns(returns: Floats, fit: RegimeFit) -> None:
    (drawn,) = draws(returns, fit, 1)
    np.testing.assert_allclose(drawn.filtered.sum(axis=(1, 2)), 1.0)
    assert not np.isnan(drawn.smoothed).any()
    weights = draw_weights(read_panel(returns), BLOCK, np.random.default_rng((7, 0, 0)))
    np.testing.assert_allclose(drawn.smoothed.sum(axis=(1, 2)), weights)


def test_draw_fits__are_numbered_as_the_fit_whatever_its_order(returns: Floats, fit: RegimeFit) -> None:
    turned = replace(
        fit,
        figures=renumber(fit.figures, np.array([1, 0]), np.array([0, 1])),
        smoothed=fit.smoothed[:, :, ::-1],
    )
    (straight,), (back,) = draws(returns, fit, 1), draws(returns, turned, 1)
    np.testing.assert_allclose(back.figures.scatter[::-1], straight.figures.scatter, rtol=1e-6)
    np.testing.assert_allclose(back.figures.scales, straight.figures.scales, rtol=1e-6)


def test_draw_fits__regimes_that_changed_places_are_matched(returns: Floats, fit: RegimeFit) -> None:
    """A climb that begins with the labels exchanged ends with those of the fit."""
    exchanged = replace(fit, figures=renumber(fit.figures, np.array([1, 0]), np.array([1, 0])))
    (straight,), (back,) = draws(returns, fit, 1), draws(returns, exchanged, 1)
    np.testing.assert_allclose(back.figures.scatter, straight.figures.scatter, rtol=1e-6)
    np.testing.assert_allclose(back.figures.scales, straight.figures.scales, rtol=1e-6)


def test_draw_fits__says_where_a_regime_is_lost(
    returns: Floats, fit: RegimeFit, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = np.where(np.arange(len(returns)) < 3, 1.0, 1e-6)
    monkeypatch.setattr(parameter_draws, "draw_weights", lambda *_: weights)
    with pytest.raises(DataError, match="draw 1 lost a regime 5 times"):
        draws(returns, fit, 1)


def test_draw_fits__with_bursts_go_all_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a draw ends at is where many rounds more would lead to; else draws huddle around the fit."""
    bursty = draw_history(3_000, 5, bursts=True).prices.log_returns()
    start = fit_regimes(bursty, 2, seed=1, starts=1, levels=2, bursts=True)
    found = draws(bursty, start, 1)
    monkeypatch.setattr(Extrapolation, "leap", lambda *_: None)
    monkeypatch.setattr(parameter_draws, "ROUNDS", 600)
    monkeypatch.setattr(parameter_draws, "STILL", 1e-5)
    for one, end in zip(found, draws(bursty, start, 1), strict=True):
        bursts, last = one.figures.bursts, end.figures.bursts
        assert bursts is not None
        assert last is not None
        np.testing.assert_allclose(bursts.law, last.law, rtol=0.004)
        np.testing.assert_allclose(bursts.moves, last.moves, rtol=0.004)


def test_draw_weights__one_for_each_block_and_1_on_average(returns: Floats) -> None:
    panel = read_panel(returns)
    for block, length in ((50, 50), (BLOCK, 4000 // LEAST_BLOCKS)):
        weights = draw_weights(panel, block, np.random.default_rng(1))
        assert weights[panel.observed].mean() == pytest.approx(1.0)
        assert (weights > 0.0).all()
        cuts = np.flatnonzero(np.diff(weights))
        assert set(np.diff(cuts)) == {length}


def test_expect__counts_steps_and_moves_by_their_weights(returns: Floats, fit: RegimeFit) -> None:
    panel = read_panel(returns)
    weights = draw_weights(panel, BLOCK, np.random.default_rng(2))
    plain, weighted = expect(panel, fit.figures), expect(panel, fit.figures, weights)
    np.testing.assert_allclose(weighted.smoothed, plain.smoothed * weights[:, None, None])
    np.testing.assert_allclose(weighted.moves.sum(axis=(0, 1)), weighted.smoothed[1:].sum(axis=0))
    np.testing.assert_array_equal(weighted.filtered, plain.filtered)


@pytest.mark.slow
@pytest.mark.parametrize("levels", [1, 2])
def test_draw_fits__are_as_far_apart_as_fits_to_other_windows(levels: int) -> None:
    """The draws' deviation over the true one, each figure's: 0.76 to 1.14 when this was written."""
    windows = [draw_returns(6000, seed, levels) for seed in range(60)]
    fits = [fit_regimes(x, 2, seed=n, starts=2, levels=levels) for n, x in enumerate(windows)]
    true = np.std([figures_of(fit) for fit in fits], axis=0, ddof=1)
    found = [
        np.std([figures_of(each) for each in draw_fits(x, fit, 24, 1, BLOCK, Shortest())], axis=0, ddof=1)
        for x, fit in zip(windows[:6], fits, strict=False)
    ]
    ratio = np.mean(found, axis=0) / true
    assert ratio.min() > 0.7, ratio
    assert ratio.max() < 1.4, ratio
    assert 0.8 < np.exp(np.log(ratio).mean()) < 1.2, ratio


@pytest.mark.slow
def test_draw_fits__where_the_model_is_wrong_they_say_more_than_the_model_would() -> None:
    """Against a bootstrap that simulates the fitted model: on average 0.4 of the true deviations, not 0.6."""
    windows = [draw_storms(6000, seed) for seed in range(40)]
    fits = [fit_regimes(x, 2, seed=1, starts=2) for x in windows]
    true = np.std([figures_of(fit) for fit in fits], axis=0, ddof=1)
    blocks, model = [], []
    for x, fit in zip(windows[:4], fits, strict=False):
        drawn = [figures_of(each) for each in draw_fits(x, fit, 24, 1, BLOCK, Shortest())]
        blocks.append(np.std(drawn, axis=0, ddof=1))
        again = [fit_regimes(simulate(fit, 6000, seed), 2, seed=1, starts=1) for seed in range(16)]
        model.append(np.std([figures_of(each) for each in again], axis=0, ddof=1))
    by_blocks, by_model = (np.mean(each, axis=0) / true for each in (blocks, model))
    print(np.round(by_blocks, 2), np.round(by_model, 2))
    volatilities = slice(0, 4)
    assert (by_blocks > 2.0 * by_model)[volatilities].all()
    assert by_blocks.mean() > 1.3 * by_model.mean()
    assert by_blocks.max() < 1.5


def simulate(fit: RegimeFit, steps: int, seed: int) -> Floats:
    """Returns (T, 2) of a fitted model of two regimes."""
    rng, figures = np.random.default_rng(seed), fit.figures
    stay = figures.transitions.diagonal()
    regime = draw_chain((stay[0], stay[1]), steps, rng)
    noise = np.einsum(
        "tab,tb->ta", np.linalg.cholesky(figures.scatter)[regime], rng.standard_normal((steps, 2))
    )
    nu = figures.nu[regime]
    return np.asarray(figures.means[regime] + noise * np.sqrt(nu / rng.chisquare(nu))[:, None])
