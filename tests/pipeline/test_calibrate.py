"""From history to a model in a file; the shipped model against the history it was fitted to."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from numpy.typing import NDArray
from pyarrow import parquet

from pipeline.backtest.laws import figures_of
from pipeline.calibrate import calibrate, calibrate_files
from pipeline.correlation import smallest_eigenvalue
from pipeline.errors import DataError, StoreError
from pipeline.history import Funding, Prices, Settlements, load_funding, load_prices
from pipeline.history_file import Source
from pipeline.model import MarketModel, load_model, model_from_document
from pipeline.model_file import write_model
from pipeline.panel import read_panel
from pipeline.regime_climb import expect
from pipeline.regimes import filter_regimes, most_likely_path, smooth_regimes
from tests.pipeline.documents import drawn_document

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("SEAWALL_DATA", ROOT.parent / "shared" / "data"))
CONFORMANCE = Path(os.environ.get("SEAWALL_CONFORMANCE", ROOT.parent / "shared" / "conformance"))
HOUR = np.timedelta64(3_600_000, "ms")
START = np.datetime64("2024-03-01T00:00", "ms")

needs_data = pytest.mark.skipif(
    not (DATA / "perp_1h.parquet").exists(), reason=f"no market history in {DATA} (SEAWALL_DATA)"
)


# --- inference against golden cases ---------------------------------------------------------------


def load_cases() -> list[dict[str, Any]]:
    path = CONFORMANCE / "exact_cases.json"
    if not path.exists():
        return []
    cases = json.loads(path.read_text())["cases"]
    return [case for case in cases if case["family"] == "L_hmm_inference"]


CASES = load_cases()


@pytest.mark.skipif(not CASES, reason=f"no golden cases in {CONFORMANCE} (SEAWALL_CONFORMANCE)")
def test_filter_regimes__golden_cases(subtests: pytest.Subtests) -> None:
    for case in CASES:
        with subtests.test(case["id"]):
            inputs, expected = case["inputs"], case["expected"]
            if inputs["emission"] != "Gaussian":
                pytest.skip(f"{case['id']}: emission {inputs['emission']} is not known here")
            law = [
                np.array(inputs[key])
                for key in (
                    "observations",
                    "initial",
                    "transition_matrix",
                    "mean_by_regime",
                    "covariance_by_regime",
                )
            ]
            log_likelihood, filtered = filter_regimes(*law)
            smoothed = smooth_regimes(*law)[1]
            assert log_likelihood == pytest.approx(expected["loglik"], abs=1e-9)
            np.testing.assert_allclose(filtered[:, 1], expected["filtered_p2"], atol=1e-9)
            np.testing.assert_allclose(smoothed[:, 1], expected["smoothed_p2"], atol=1e-9)
            assert most_likely_path(*law).tolist() == expected["viterbi"]


# --- from history to a model ----------------------------------------------------------------------

VOLATILITY = np.array([[0.4, 0.6], [1.2, 2.0]])  # annualised, by regime and asset
RATES = np.array([0.0876, 0.438])  # annualised funding, by regime


def draw_history(steps: int, seed: int) -> tuple[Prices, Funding]:
    """Two Gaussian regimes of 50 h that switch volatility and correlation; funding of the regime, hourly."""
    rng = np.random.default_rng(seed)
    regime_of_step = (np.cumsum(rng.random(steps - 1) < 0.02) % 2).astype(int)
    rho = np.array([0.3, 0.9])[regime_of_step]
    z = rng.normal(size=(steps - 1, 2))
    z[:, 1] = rho * z[:, 0] + np.sqrt(1.0 - rho**2) * z[:, 1]
    log_price = np.vstack(
        [np.zeros(2), np.cumsum(z * VOLATILITY[regime_of_step] / math.sqrt(8760.0), axis=0)]
    )
    times = START + np.arange(steps) * HOUR
    prices = Prices(times, timedelta(hours=1), ("BTC", "ETH"), 100.0 * np.exp(log_price), ())
    rates = RATES[regime_of_step] / 8760.0
    settled = Settlements(times[1:] + HOUR, rates, np.full(steps - 1, HOUR))
    return prices, Funding({"BTC": settled, "ETH": settled}, (Source("funding.csv", "0" * 64),))


@pytest.fixture(scope="module")
def history() -> tuple[Prices, Funding]:
    return draw_history(5000, 5)


@pytest.fixture(scope="module")
def model(history: tuple[Prices, Funding]) -> MarketModel:
    return calibrate(*history, regimes=2, seed=3, starts=1, name="two", fitted_on=date(2026, 11, 21))


def held_out_likelihoods(model: MarketModel) -> dict[str, float]:
    assert model.calibration is not None
    figures: Any = model.calibration["held_out_log_likelihood"]
    return dict(figures)


def test_calibrate__recovers_annual_figures(model: MarketModel) -> None:
    assert model.regime_names == ("calm", "crisis")
    for k, (regime, rho) in enumerate(zip(model.regimes.values(), (0.3, 0.9), strict=True)):
        # four standard errors of about 2,500 steps are 6 %
        np.testing.assert_allclose(list(regime.volatility.values()), VOLATILITY[k], rtol=0.06)
        assert regime.correlation[0][1] == pytest.approx(rho, abs=0.08)
        assert regime.tail is not None
        assert regime.tail > 20.0
        assert regime.funding is not None
        # a week's weight of the mean over both regimes pulls it by some 7 %
        assert regime.funding["ETH"] == pytest.approx(RATES[k], rel=0.15, abs=0.03)
        assert regime.jumps is None
    np.testing.assert_allclose(np.diag(model.transition_matrix()), 0.98, atol=0.012)


def test_calibrate__drifts_are_pulled_to_zero(history: tuple[Prices, Funding], model: MarketModel) -> None:
    # five months of a volatility of 0.4 to 2 say next to nothing about the drift
    drifts = np.array([list(regime.drift.values()) for regime in model.regimes.values()])
    assert np.abs(drifts).max() < 1.0
    assert np.any(drifts != 0.0)


def test_calibrate__starts_where_the_next_step_does(
    history: tuple[Prices, Funding], model: MarketModel
) -> None:
    prices = history[0]
    assert model.filtered is not None
    assert model.filtered.as_of == prices.end
    assert model.initial == "filtered"
    filtered = filter_regimes(prices.log_returns(), *arrays(model))[1]  # seven months: no levels
    assert model.levels is None
    np.testing.assert_allclose(model.initial_law(), filtered[-1] @ model.transition_matrix(), atol=0.01)


def test_calibrate__tells_what_it_rests_on(model: MarketModel) -> None:
    notes = model.calibration
    assert notes is not None
    assert notes["fitted_on"] == "2026-11-21"
    assert notes["window"] == {"start": "2024-03-01T00:00:00Z", "end": "2024-09-25T08:00:00Z"}
    assert notes["returns"] == {"observed": 4999, "missing": 0}
    assert notes["funding"] == [{"file": "funding.csv", "sha256": "0" * 64}]
    assert notes["funding_days"] == {"BTC": 208.3, "ETH": 208.3}


def test_calibrate__funding_beside_levels_and_a_shorter_history() -> None:
    """A year and more, of another level each month; the second asset begins in the second month."""
    prices, funding = draw_history(8800, 5)
    loud = np.array([0.4, 0.8, 1.6, 3.2])[np.arange(8799) // 720 % 4]
    moves = prices.log_returns() * loud[:, None]
    close = 100.0 * np.exp(np.vstack([np.zeros(2), np.cumsum(moves, axis=0)]))
    close[:1000, 1] = np.nan
    model = calibrate(replace(prices, close=close), funding, regimes=2, seed=3, starts=1)
    assert model.levels is not None
    for k, regime in enumerate(model.regimes.values()):
        assert regime.funding == pytest.approx(dict.fromkeys(prices.assets, RATES[k]), rel=0.2, abs=0.03)
        assert regime.funding_process is not None
        assert regime.funding_process.half_life["BTC"] < timedelta(days=7)


def test_calibrate__without_funding_it_is_not_modelled(history: tuple[Prices, Funding]) -> None:
    model = calibrate(history[0], regimes=1, starts=1)
    assert model.regime_names == ("market",)
    assert model.regimes["market"].funding is None


def test_calibrate__wicks_where_there_are_highs_and_lows(history: tuple[Prices, Funding]) -> None:
    prices = history[0]
    assert calibrate(prices, regimes=1, starts=1).regimes["market"].wick is None
    rng = np.random.default_rng(1)
    wide = 1.0 + 0.02 * rng.random((2, *prices.close.shape))
    wide[1, 7, 0] = 10_000.0  # a print that is absurd, and real
    whole = replace(prices, high=prices.close * wide[0], low=prices.close / wide[1])
    model = calibrate(whole, regimes=1, starts=1)
    wick = model.regimes["market"].wick
    assert wick is not None
    assert set(wick.down.scale) == {"BTC", "ETH"}
    assert model.calibration is not None
    assert model.calibration["wicks"] == {"bars": 4999, "deeper_than": 0.6931, "cut_there": 1}


def test_calibrate__levels_from_a_year_on() -> None:
    """A year and a month, the second half twice as loud: levels find it, and the file reads back."""
    rng = np.random.default_rng(8)
    steps = 9500
    loud = np.where(np.arange(steps) < steps // 2, 0.4, 0.8)[:, None] / math.sqrt(8760.0)
    log_price = np.cumsum(np.vstack([np.zeros(2), loud * rng.normal(size=(steps, 2))]), axis=0)
    times = START + np.arange(steps + 1) * HOUR
    prices = Prices(times, timedelta(hours=1), ("BTC", "ETH"), np.exp(log_price), ())
    model = calibrate(prices, regimes=1, starts=1)
    assert model.levels is not None
    # two is all there is: each further one dies out, or splits one of them
    assert set(model.levels.scale) <= {"low", "usual", "high", "extreme"}
    assert model.stationary_variance() == pytest.approx(1.0, abs=0.01)  # chains are rounded
    assert np.diag(model.level_matrix()).min() >= 1.0 - 1.0 / 72 - 1e-5
    now = math.sqrt(float(model.initial_variance()[0])) * model.regimes["market"].volatility["BTC"]
    assert now == pytest.approx(0.8, rel=0.05)
    assert MarketModel.model_validate(model.document()) == model


def test_calibrate__missing_bars_are_counted(history: tuple[Prices, Funding]) -> None:
    prices = history[0]
    close = prices.close.copy()
    close[100:110, 0] = np.nan
    holes = Prices(prices.times, prices.step, prices.assets, close, ())
    notes = calibrate(holes, regimes=1, starts=1).calibration
    assert notes is not None
    assert notes["returns"] == {"observed": 4999, "missing": 0}
    assert notes["returns_of"] == {"BTC": 4988, "ETH": 4999}


def test_calibrate__chooses_the_number_of_regimes(history: tuple[Prices, Funding]) -> None:
    prices = history[0]
    short = Prices(prices.times[:2500], prices.step, prices.assets, prices.close[:2500], ())
    model = calibrate(short, seed=3, starts=1)
    held_out = held_out_likelihoods(model)
    assert set(held_out) == {"2", "3", "4"}
    assert str(len(model.regimes)) == max(held_out, key=held_out.__getitem__)


def test_calibrate__refuses(history: tuple[Prices, Funding]) -> None:
    prices, funding = history
    with pytest.raises(DataError, match="a number from 1 to 4"):
        calibrate(prices, regimes=5)
    settled = funding.settlements["BTC"]
    short = Settlements(settled.times[:100], settled.rates[:100], settled.intervals[:100])
    with pytest.raises(DataError, match=r"funding of ETH\n.*at least 7d.*\n.*4\.2 days"):
        calibrate(prices, Funding({"BTC": settled, "ETH": short}, ()), regimes=1, starts=1)


def test_calibrate_files__reports_problems_of_both_files(tmp_path: Path) -> None:
    times = pa.array(START + np.arange(3) * HOUR, pa.timestamp("ms", "UTC"))
    table = pa.table({"ts": times, "symbol": ["BTC"] * 3, "close": [1.0, -1.0, 1.0]})
    parquet.write_table(table, tmp_path / "prices.parquet")
    with pytest.raises(DataError) as refused:
        calibrate_files(tmp_path / "prices.parquet", tmp_path / "funding.parquet", ["BTC"])
    assert len(refused.value.problems) == 2


def test_calibrate__draws_stand_beside_the_model(history: tuple[Prices, Funding], model: MarketModel) -> None:
    told: list[str] = []
    drawn = calibrate(
        *history,
        regimes=2,
        seed=3,
        starts=1,
        name="two",
        fitted_on=date(2026, 11, 21),
        draws=6,
        progress=told.append,
    )
    assert drawn.model_copy(update={"parameter_draws": None, "calibration": None}) == model.model_copy(
        update={"calibration": None}
    )
    assert drawn.calibration is not None
    assert drawn.calibration["draws"] == {"number": 6, "block": "249h"}
    assert told[-1] == "draw 6 of 6"
    models = [drawn.drawn(number) for number in range(6)]
    volatility = np.array([[list(r.volatility.values()) for r in each.regimes.values()] for each in models])
    own = np.array([list(regime.volatility.values()) for regime in model.regimes.values()])
    np.testing.assert_allclose(volatility.mean(axis=0), own, rtol=0.05)
    assert (volatility.std(axis=0) > 0.005 * own).all()
    funding = {regime.funding["BTC"] for each in models if (regime := each.regimes["crisis"]).funding}
    assert len(funding) > 3
    laws = np.array([each.initial_law() for each in models])
    np.testing.assert_allclose(laws.mean(axis=0), model.initial_law(), atol=0.05)
    assert len(np.unique(laws[:, 0])) > 1


@pytest.mark.parametrize("draws", [-1, 1])
def test_calibrate__refuses_numbers_of_draws_that_say_nothing(
    history: tuple[Prices, Funding], draws: int
) -> None:
    with pytest.raises(DataError, match="0, or 2 and more"):
        calibrate(history[0], regimes=1, starts=1, draws=draws)


# --- the file -------------------------------------------------------------------------------------


def test_write_model__reads_back_equal(model: MarketModel, tmp_path: Path) -> None:
    write_model(model, tmp_path / "two.yaml")
    text = (tmp_path / "two.yaml").read_text()
    assert MarketModel.model_validate(yaml.safe_load(text)) == model
    assert text.startswith("# A market model")
    assert max(map(len, text.splitlines())) < 160


def test_write_model__draws_read_back_equal(tmp_path: Path) -> None:
    model = model_from_document(drawn_document()["model"])
    write_model(model, tmp_path / "drawn.yaml")
    text = (tmp_path / "drawn.yaml").read_text()
    assert MarketModel.model_validate(yaml.safe_load(text)) == model
    assert "\n# parameter_draws: " in text
    assert "null" not in text.partition("parameter_draws:\n")[2]


def test_write_model__keeps_jumps_and_gaussian_regimes(tmp_path: Path) -> None:
    document = {
        "step": "1h",
        "assets": ["BTC"],
        "initial": "stationary",
        "regimes": {
            "only": {
                "volatility": {"BTC": 0.123456},
                "correlation": [[1.0]],
                "tail": None,
                "jumps": {
                    "intensity": 12.0,
                    "mean": {"BTC": -0.04},
                    "volatility": {"BTC": 0.03},
                    "correlation": 0.9,
                },
            }
        },
    }
    model = MarketModel.model_validate(document)
    write_model(model, tmp_path / "jumps.yaml")
    assert MarketModel.model_validate(yaml.safe_load((tmp_path / "jumps.yaml").read_text())) == model


def test_write_model__says_where_it_cannot_write(model: MarketModel, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="can be written"):
        write_model(model, tmp_path / "nowhere" / "two.yaml")


# --- the shipped model ----------------------------------------------------------------------------


def arrays(model: MarketModel) -> tuple[NDArray[np.float64], ...]:
    """initial, transitions, means, covariances, nu of a model, per step."""
    dt = model.step / timedelta(days=365)
    regimes = model.regimes.values()
    volatility = np.array([list(regime.volatility.values()) for regime in regimes]) * math.sqrt(dt)
    correlation = np.array([regime.correlation for regime in regimes])
    return (
        model.stationary_law(),
        model.transition_matrix(),
        np.array([list(regime.drift.values()) for regime in regimes]) * dt,
        correlation * volatility[:, :, None] * volatility[:, None, :],
        np.array([regime.tail for regime in regimes]),
    )


WINDOW_START = datetime(2023, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def shipped() -> MarketModel:
    return load_model("crypto-majors")


def test_crypto_majors__figures_are_well_formed(shipped: MarketModel) -> None:
    assert len(shipped.assets) == 8
    for row in (*shipped.transitions.values(), shipped.filtered.law if shipped.filtered else {}):
        assert sum(Decimal(repr(value)) for value in row.values()) == 1
    for regime in shipped.regimes.values():
        matrix = np.array(regime.correlation)
        np.testing.assert_array_equal(matrix, matrix.T)
        assert smallest_eigenvalue(matrix) > 0.01
        assert set(regime.volatility) == set(regime.funding or {}) == set(shipped.assets)
    trace = [sum(v**2 for v in regime.volatility.values()) for regime in shipped.regimes.values()]
    assert trace == sorted(trace)


def test_crypto_majors__number_of_regimes_by_held_out_likelihood(shipped: MarketModel) -> None:
    held_out = held_out_likelihoods(shipped)
    assert str(len(shipped.regimes)) == max(held_out, key=held_out.__getitem__)


@needs_data
def test_crypto_majors__more_likely_than_one_gaussian(shipped: MarketModel) -> None:
    returns = load_prices(DATA / "perp_1h.parquet", shipped.assets, WINDOW_START).log_returns()
    gaussian = (
        np.ones(1),
        np.ones((1, 1)),
        returns.mean(axis=0, keepdims=True),
        np.cov(returns.T, bias=True)[None],
    )
    found = expect(read_panel(returns), figures_of(shipped)).log_likelihood
    better = found - filter_regimes(returns, *gaussian)[0]
    # 1.5 nats an hour; pulling the drifts to zero and rounding cost about 100 of what was fitted
    assert better > 1.5 * len(returns)
    assert shipped.calibration is not None
    fitted = shipped.calibration["log_likelihood"]
    assert isinstance(fitted, float)
    assert found == pytest.approx(fitted, abs=200.0)


@needs_data
@pytest.mark.slow
def test_crypto_majors__refit_gives_the_shipped_figures(shipped: MarketModel) -> None:
    prices = load_prices(DATA / "perp_1h.parquet", shipped.assets, WINDOW_START)
    funding = load_funding(DATA / "funding.parquet", shipped.assets)
    refit = calibrate(prices, funding, len(shipped.regimes), seed=7, name=shipped.name)
    for name, regime in shipped.regimes.items():
        again = refit.regimes[name]
        assert again.volatility == pytest.approx(regime.volatility, abs=1.1e-4)
        assert again.drift == pytest.approx(regime.drift, abs=1.1e-3)
        assert again.funding == pytest.approx(regime.funding, abs=1.1e-4)
        assert again.funding_process is not None
        assert regime.funding_process is not None
        tied = regime.funding_process.correlation
        assert again.funding_process.correlation == pytest.approx(tied, abs=2e-4)
        assert again.tail == pytest.approx(regime.tail, abs=0.011)
        np.testing.assert_allclose(again.correlation, regime.correlation, atol=1.1e-4)
        assert again.wick is not None
        assert regime.wick is not None
        for one, other in ((again.wick.down, regime.wick.down), (again.wick.up, regime.wick.up)):
            assert one.common == pytest.approx(other.common, abs=0.011)
            assert one.probability == pytest.approx(other.probability, abs=1e-3)
            assert one.scale == pytest.approx(other.scale, abs=4e-3)
            assert one.tail == pytest.approx(other.tail, abs=0.011)
            assert one.lean == pytest.approx(other.lean, abs=4e-3)
    np.testing.assert_allclose(refit.transition_matrix(), shipped.transition_matrix(), atol=2.1e-5)
    np.testing.assert_allclose(refit.state_law(), shipped.state_law(), atol=3e-4)
    np.testing.assert_allclose(refit.level_scales(), shipped.level_scales(), atol=1.1e-4)
    np.testing.assert_allclose(refit.level_matrix(), shipped.level_matrix(), atol=2.1e-5)
    for refitted, burst in zip(refit.bursts, shipped.bursts, strict=True):
        assert refitted.per_year == pytest.approx(burst.per_year, abs=0.11)
        assert refitted.move == pytest.approx(burst.move, abs=1.1e-5)
    assert refit.calibration is not None
    assert shipped.calibration is not None
    for key in ("prices", "funding", "window", "returns", "log_likelihood", "wicks"):
        assert refit.calibration[key] == shipped.calibration[key]
