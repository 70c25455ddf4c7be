import numpy as np
import pytest

from pipeline.backtest.scores import CLIP, block_interval, brier_parts, log_scores, reliability_table


def test_log_scores__by_hand_and_clipped():
    p, y = np.array([0.25, 0.25, 0.0, np.nan]), np.array([1.0, 0.0, 1.0, 1.0])
    found = log_scores(p, y)
    assert found[:3] == pytest.approx([np.log(0.25), np.log(0.75), np.log(CLIP)])
    assert np.isnan(found[3])
    assert np.isnan(log_scores(np.array([0.5]), np.array([np.nan]))).all()


def test_reliability_table__by_hand():
    p = np.array([0.0, 0.05, 0.09, 0.95, 1.0, np.nan])
    y = np.array([0.0, 1.0, 0.0, 1.0, 1.0, 1.0])
    table = reliability_table(p, y, (0.0, 0.03, 0.1, 0.9, 1.0))
    assert [(b.n, round(b.forecast, 6), b.realised) for b in table] == [
        (1, 0.0, 0.0),
        (2, 0.07, 0.5),
        (2, 0.975, 1.0),
    ]


def test_brier_parts__sum_to_the_score_and_are_murphys_for_equal_forecasts():
    rng = np.random.default_rng(3)
    p = rng.choice([0.02, 0.15, 0.6], 5000)
    y = (rng.random(5000) < p**1.3).astype(float)
    parts = brier_parts(p, y)
    assert parts.score == pytest.approx(np.mean((p - y) ** 2))
    assert parts.within == pytest.approx(0.0, abs=1e-12)
    assert parts.reliability - parts.resolution + parts.uncertainty == pytest.approx(parts.score)
    mixed = brier_parts(rng.random(5000), y)
    whole = mixed.reliability - mixed.resolution + mixed.uncertainty + mixed.within
    assert whole == pytest.approx(mixed.score)
    assert mixed.within != 0.0


def test_block_interval__of_a_constant_and_with_holes():
    assert block_interval(np.full(50, 2.0), 7) == (2.0, 2.0, 2.0)
    values = np.arange(10.0)
    values[3] = np.nan
    assert block_interval(values, 3)[0] == pytest.approx(np.nanmean(values))


def test_block_interval__is_wider_where_values_come_in_runs():
    rng = np.random.default_rng(5)
    runs = np.repeat(rng.standard_normal(100), 20)
    mean, low, high = block_interval(runs, 40)
    one_by_one = block_interval(runs, 1)
    assert low < mean < high
    assert high - low > 3 * (one_by_one[2] - one_by_one[1])
    # the error of the mean of 100 independent runs, at 95 %
    assert high - low == pytest.approx(2 * 1.96 * runs.std() / 10, rel=0.25)
