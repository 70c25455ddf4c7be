"""Inference against hmmlearn's, which is another project's, in the Gaussian case that both know."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.figures import Figures
from pipeline.panel import read_panel
from pipeline.regime_climb import expect
from pipeline.regimes import filter_regimes, most_likely_path, smooth_regimes
from tests.pipeline import known_market

Floats = NDArray[np.float64]

pytestmark = pytest.mark.skipif(sys.version_info >= (3, 14), reason="hmmlearn has no wheels for 3.14")

EXACT = 1e-8
MEANS = known_market.DRIFT * known_market.YEARS


def peer(initial: Floats, transitions: Floats, means: Floats, covariances: Floats) -> Any:
    """The same model as hmmlearn has it."""
    from hmmlearn.hmm import GaussianHMM

    model = GaussianHMM(n_components=len(initial), covariance_type="full")
    model.n_features = means.shape[1]
    model.startprob_, model.transmat_, model.means_ = initial, transitions, means
    model.covars_ = covariances
    return model


@pytest.fixture(scope="module")
def returns() -> Floats:
    return known_market.draw_history(2_000, 3).prices.log_returns()


@pytest.fixture(scope="module")
def covariances() -> Floats:
    deviations = known_market.VOLATILITY * np.sqrt(known_market.YEARS)
    return known_market.correlation_matrices() * deviations[:, :, None] * deviations[:, None, :]


def test_filter_regimes__agrees_with_hmmlearn(returns: Floats, covariances: Floats) -> None:
    law = np.array([0.7, 0.3]), known_market.TRANSITIONS, MEANS, covariances
    other = peer(*law)
    log_likelihood, filtered = filter_regimes(returns, *law)
    assert log_likelihood == pytest.approx(other.score(returns), abs=EXACT, rel=0.0)
    smoothed = smooth_regimes(returns, *law)[1]
    np.testing.assert_allclose(smoothed, other.predict_proba(returns), atol=EXACT, rtol=0.0)
    for t in (0, 1, 17, 400, 1_234, 1_999):  # what is filtered is what is smoothed at the end
        then = other.predict_proba(returns[: t + 1])[-1]
        np.testing.assert_allclose(filtered[t], then, atol=EXACT, rtol=0.0)
    np.testing.assert_array_equal(most_likely_path(returns, *law), other.predict(returns))


def test_expect__levels_agree_with_hmmlearn(returns: Floats, covariances: Floats) -> None:
    """Two levels and two regimes are four states of one chain."""
    figures = Figures(
        means=MEANS,
        scatter=covariances,
        nu=np.full(2, np.inf),
        transitions=known_market.TRANSITIONS,
        scales=known_market.SCALES,
        level_transitions=known_market.LEVEL_TRANSITIONS,
        initial=np.array([[0.4, 0.2], [0.3, 0.1]]),
    )
    of_states = np.concatenate([scale**2 * covariances for scale in known_market.SCALES])
    other = peer(figures.initial.ravel(), figures.chain(), np.tile(MEANS, (2, 1)), of_states)
    found = expect(read_panel(returns), figures)
    assert found.log_likelihood == pytest.approx(other.score(returns), abs=EXACT, rel=0.0)
    smoothed = found.smoothed.reshape(len(returns), 4)
    np.testing.assert_allclose(smoothed, other.predict_proba(returns), atol=EXACT, rtol=0.0)
    filtered = found.filtered.reshape(len(returns), 4)
    for t in (0, 250, 1_111):
        then = other.predict_proba(returns[: t + 1])[-1]
        np.testing.assert_allclose(filtered[t], then, atol=EXACT, rtol=0.0)
