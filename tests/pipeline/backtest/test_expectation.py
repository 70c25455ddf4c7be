import numpy as np
import pytest

from pipeline.backtest.expectation import is_judged, share_interval


def test_share_interval__binomial_where_windows_do_not_overlap():
    low, high = share_interval(np.full(400, 0.2), np.arange(400), 1, 0.0, seed=1)
    half = 1.96 * np.sqrt(0.2 * 0.8 / 400)
    assert (low, high) == pytest.approx((0.2 - half, 0.2 + half), abs=0.006)


def test_share_interval__overlap_leaves_a_share_of_the_windows():
    alone = share_interval(np.full(2000, 0.2), np.arange(2000), 1, 0.0, seed=1)
    shared = share_interval(np.full(2000, 0.2), np.arange(2000), 16, 0.0, seed=1)
    # the variance of overlapping windows is that of a sixteenth of them
    assert (shared[1] - shared[0]) / (alone[1] - alone[0]) == pytest.approx(4.0, rel=0.1)


def test_share_interval__parameters_widen_it():
    sure = share_interval(np.full(5000, 0.1), np.arange(5000), 1, 0.0, seed=2)
    unsure = share_interval(np.full(5000, 0.1), np.arange(5000), 1, 0.5, seed=2)
    # 95 % of exp(0.5 z) / (9 + exp(0.5 z)), which is far wider than 5000 coins
    assert unsure == pytest.approx((0.040, 0.228), abs=0.01)
    assert unsure[0] < sure[0] < sure[1] < unsure[1]


def test_share_interval__covers_windows_over_shared_events():
    """A window is hit where one of the next 8 hours has an event: its exact law, many times over."""
    rng = np.random.default_rng(8)
    hours, span, p_hour = 1600, 8, 0.02
    inside = 0
    for seed in range(60):
        event = rng.random(hours + span) < p_hour
        hit = np.array([event[i : i + span].any() for i in range(hours)])
        p = np.full(hours, 1 - (1 - p_hour) ** span)
        low, high = share_interval(p, np.arange(hours), span, 0.0, seed)
        inside += low <= hit.mean() <= high
    assert inside >= 53  # 57 expected; fewer than 53 has a chance of 1 %


def test_is_judged__counts_independent_events():
    assert is_judged(0.0625, 400, 1)
    assert not is_judged(0.0624, 400, 1)
    assert not is_judged(0.0625, 400, 2)
