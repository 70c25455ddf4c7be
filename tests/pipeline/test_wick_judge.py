"""What hourly steps with wicks find, against what 15-minute highs and lows show: two books.

A model is fitted to the hourly bars of the judged window. It is judged twice: simulated, as a plan has it,
and on the closes that really were, so that an error of the model's closes is told from one of its wicks.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr
from scipy.stats import genpareto, norm

from kernels.wicks import FURTHEST
from pipeline.blocks import Block
from pipeline.burst_densities import burst_shares
from pipeline.calibrate import MOST_LEVELS, SHORTEST_LEVEL, calibrate
from pipeline.engine import simulate_block
from pipeline.figures import Shortest
from pipeline.history import Prices, load_prices
from pipeline.model import MarketModel
from pipeline.panel import read_panel
from pipeline.plan import plan_from_document
from pipeline.regime_fit import RegimeFit, fit_regimes
from pipeline.wick_fit import WickFit, fit_wicks

DATA = Path(os.environ.get("SEAWALL_DATA", Path(__file__).parents[3] / "shared" / "data"))
ASSETS = ("BTC", "ETH", "SOL")
START = datetime(2024, 1, 1, tzinfo=UTC)  # when the 15-minute bars begin
REGIMES, SEED = 4, 7
HOURS, MAINTENANCE = 24, 0.01
BOOKS = {
    "long": ((1 / 3, 1 / 3, 1 / 3), (5, 10, 15, 20)),
    "long-short": ((0.5, -0.25, -0.25), (15, 20, 30, 40)),
}
PATHS = 1_000_000
DRAWS = 40  # of what lies between the real closes
BLOCK, RESAMPLES = 7 * 24, 2000  # hours in a bootstrap block

Floats = NDArray[np.float64]
Shares = dict[str, Floats]  # by book: one for each of its leverages


class Judgement(NamedTuple):
    """Shares liquidated by book and leverage, and the interval of what really was."""

    real_closes: Shares
    real_lows: Shares
    low: Shares
    high: Shares
    close: Shares
    bridge: Shares
    wick: Shares
    wick_on_real_closes: Shares


def find_hits(extremes: tuple[Floats, ...], closes: Floats, weights: Floats, leverages: Any) -> Floats:
    """(leverage, start): whether a book bought at a close was liquidated within a day.

    extremes: prices (T, A) at which it is looked at, T a multiple of that of the hourly closes; at each of
    them all assets are there at once.
    """
    hours = len(closes)
    each = len(extremes[0]) // hours
    starts = hours - HOURS
    lowest = np.full(starts, np.inf)
    for prices in extremes:
        for i in range(HOURS * each):
            at = prices[each : each * hours][np.arange(starts) * each + i]
            lowest = np.minimum(lowest, excess(at / closes[:starts], weights))
    return np.asarray(lowest < -1.0 / np.array(leverages)[:, None], np.float64)


def excess(ratio: Floats, weights: Floats) -> Floats:
    """Profit less maintenance margin, per unit of notional, at prices over those of entry."""
    return np.asarray((ratio - 1.0) @ weights - MAINTENANCE * ratio @ np.abs(weights))


def resample(hits: Floats) -> tuple[Floats, Floats]:
    """95 % of the shares when blocks of a week are drawn anew (circular block bootstrap)."""
    rng = np.random.default_rng(SEED)
    starts = hits.shape[1]
    first = rng.integers(starts, size=(RESAMPLES, -(-starts // BLOCK)))
    passed = np.cumsum(np.concatenate([np.zeros((len(hits), 1)), hits, hits[:, :BLOCK]], axis=1), axis=1)
    sums = (passed[:, first + BLOCK] - passed[:, first]).sum(axis=-1)
    low, high = np.quantile(sums / (first.shape[1] * BLOCK), [0.025, 0.975], axis=1)
    return low, high


def simulate(model: MarketModel, monitoring: str) -> Shares:
    """What a plan finds that starts from the stationary law."""

    def account(name: str) -> dict[str, Any]:
        positions = [
            {"market": f"{a}-USD", "size": 1000.0 * weight, "entry": 100}
            for a, weight in zip(ASSETS, BOOKS[name][0], strict=True)
        ]
        return {"name": name, "collateral": {"USDC": 100_000}, "positions": positions}

    leverages = sorted({1, *(level for _, levels in BOOKS.values() for level in levels)})
    rules = {"initial_margin": 2 * MAINTENANCE, "maintenance_margin": MAINTENANCE}
    plan = plan_from_document(
        {
            "name": "judge",
            "as_of": "2026-01-01T00:00:00Z",
            "simulation": {
                "seed": SEED,
                "paths": PATHS,
                "step": "1h",
                "horizons": ["1d"],
                "leverage": leverages,
                "monitoring": monitoring,
            },
            "venue": {
                "rules": "dydx_v4",
                "as_of": "2026-01-01",
                "taker_fee": 0.0005,
                "markets": {f"{asset}-USD": {"asset": asset, **rules} for asset in ASSETS},
            },
            "prices": dict.fromkeys(ASSETS, 100),
            "model": model.document() | {"initial": "stationary"},
            "scenarios": ["baseline"],
            "accounts": [account(name) for name in BOOKS],
        }
    )
    counts = simulate_block(json.dumps(plan.document()), Block(0, 0, PATHS, 0))
    shares = counts.hits[1, 0, :, :, 0] / PATHS
    return {
        name: np.array([shares[i, leverages.index(level)] for level in levels])
        for i, (name, (_, levels)) in enumerate(BOOKS.items())
    }


def replay(prices: Prices, fit: RegimeFit, wicks: WickFit) -> Shares:
    """Bridges and wicks drawn between the closes that really were, given state, burst and w as these tell."""
    rng = np.random.default_rng(SEED)
    closes, returns = prices.close, prices.log_returns()
    hours, assets = returns.shape
    starts = hours + 1 - HOURS
    factor = np.linalg.cholesky(fit.covariances)
    inverse = np.linalg.inv(fit.covariances)
    deviation = np.sqrt(np.diagonal(fit.covariances, axis1=1, axis2=2))
    bursts, shares = fit.figures.with_none(), burst_shares(read_panel(returns), fit.figures)
    total = {name: np.zeros(len(levels)) for name, (_, levels) in BOOKS.items()}
    for _ in range(DRAWS):
        states = fit.smoothed.reshape(hours, -1)
        state = (rng.random(hours)[:, None] > np.cumsum(states, axis=1)[:, :-1]).sum(axis=1)
        level, k = np.divmod(state, len(fit.figures.nu))
        kinds = np.cumsum(shares[k, np.arange(hours), level], axis=1)[:, :-1]
        kind = (rng.random(hours)[:, None] > kinds).sum(axis=1)
        nu, loud, move = fit.figures.nu[k], fit.figures.scales[level], bursts.moves[kind]
        off = (returns - fit.figures.means[k]) / loud[:, None] - move
        across, size = (np.einsum("ta,tab,tb->t", move, inverse[k], x) for x in (off, move))
        wider = bursts.spread[kind] ** 2 * nu / (nu - 2.0)
        distance = np.einsum("ta,tab,tb->t", off, inverse[k], off)
        distance -= wider * across**2 / (1.0 + wider * size)
        chi2 = 2.0 * rng.gamma((nu + assets) / 2.0) / (1.0 + distance / (nu - 2.0))
        w = loud * np.sqrt((nu - 2.0) / chi2)
        noise = np.einsum("tab,tb->ta", factor[k], rng.standard_normal((hours, assets)))
        shifts = []
        for way, side in ((0, -1.0), (1, 1.0)):
            common = wicks.common[k, way][:, None]
            shared = np.sqrt(common) * rng.standard_normal((hours, 1))
            normal = shared + np.sqrt(1.0 - common) * rng.standard_normal((hours, assets))
            p, scale, tail = (x[k, way] for x in (wicks.probability, wicks.scale, wicks.tail))
            size = np.where(
                norm.sf(normal) < p, genpareto.isf(np.minimum(ndtr(-normal) / p, 1.0), tail, scale=scale), 0.0
            )
            along = np.clip(side * returns / (loud[:, None] * deviation[k]), -FURTHEST, FURTHEST)
            lean = np.exp(wicks.lean[k, way] * along)
            shifts.append(np.exp(side * size * lean * w[:, None] * deviation[k]))
        for name, (weights, levels) in BOOKS.items():
            book = np.array(weights)
            lowest = np.full(starts, np.inf)
            for i in range(HOURS):
                j = np.arange(starts) + i
                first, last = closes[j] / closes[:starts], closes[j + 1] / closes[:starts]
                a, b = excess(first, book), excess(last, book)
                risk = (book - MAINTENANCE * np.abs(book)) * 0.5 * (first + last)
                variance = np.einsum("ta,tab,tb->t", risk, fit.covariances[k[j]], risk)
                depth = -log_ndtr((risk * noise[j]).sum(axis=1) / np.sqrt(variance))
                dip = 0.5 * (a + b - np.sqrt((a - b) ** 2 + 2.0 * variance * w[j] ** 2 * depth))
                lowest = np.minimum(lowest, dip)
                for shift in shifts:
                    lowest = np.minimum(lowest, excess(first * shift[j], book))
                    lowest = np.minimum(lowest, excess(last * shift[j], book))
            total[name] += (lowest < -1.0 / np.array(levels)[:, None]).mean(axis=1) / DRAWS
    return total


@pytest.fixture(scope="module")
def found() -> Judgement:
    """Everything."""
    hourly = load_prices(DATA / "perp_1h.parquet", ASSETS, START)
    quarters = load_prices(DATA / "perp_15m.parquet", ASSETS, START)
    assert quarters.start == hourly.start
    assert quarters.end == hourly.end
    assert quarters.high is not None
    assert quarters.low is not None
    model = calibrate(hourly, None, REGIMES, SEED)
    shortest = Shortest(level=SHORTEST_LEVEL / hourly.step)
    returns = hourly.log_returns()
    fit = fit_regimes(returns, REGIMES, SEED, shortest=shortest, levels=MOST_LEVELS, bursts=True)
    at_closes, at_lows, low, high = {}, {}, {}, {}
    for name, (weights, levels) in BOOKS.items():
        book = np.array(weights)
        at_closes[name] = find_hits((hourly.close,), hourly.close, book, levels).mean(axis=1)
        hits = find_hits((quarters.low, quarters.high), hourly.close, book, levels)
        at_lows[name] = hits.mean(axis=1)
        low[name], high[name] = resample(hits)
    simulated = [simulate(model, monitoring) for monitoring in ("close", "bridge", "wick")]
    replayed = replay(hourly, fit, fit_wicks(hourly, fit, SEED))
    return Judgement(at_closes, at_lows, low, high, *simulated, replayed)


@pytest.mark.slow
@pytest.mark.skipif(
    not (DATA / "perp_15m.parquet").exists(), reason=f"no market history in {DATA} (SEAWALL_DATA)"
)
def test_monitoring_wick__finds_what_quarter_hours_show(found: Judgement) -> None:
    head = ("real closes", "real 15 min", "95 %", "close", "bridge", "wick", "off", "on real closes", "off")
    print("\n| percent | " + " | ".join(head) + " |\n" + "|---" * (len(head) + 1) + "|")
    for name, (_, levels) in BOOKS.items():
        for i, level in enumerate(levels):
            shares = [100 * getattr(found, field)[name][i] for field in Judgement._fields]
            closes, real, low, high, close, bridge, wick, replayed = shares
            print(
                f"| {name} {level}x | {closes:.3f} | {real:.3f} | {low:.2f} to {high:.2f} | {close:.3f} |"
                f" {bridge:.3f} | {wick:.3f} | {wick / real - 1:+.0%} |"
                f" {replayed:.3f} | {replayed / real - 1:+.0%} |"
            )
    # the judge: simulated from the fitted model, within 15 % where more than a few events are all of it
    long, real = found.wick["long"], found.real_lows["long"]
    assert (np.abs(long / real - 1.0)[2:] < 0.15).all()
    assert ((found.low["long"] <= long) & (long <= found.high["long"])).all()
    assert (np.abs(long - real) < np.abs(found.bridge["long"] - real)).all()
    # the long-short book comes out too high, as its closes do: docs/calibration.md
    assert (np.abs(found.wick["long-short"] / found.real_lows["long-short"] - 1.0)[2:] < 0.3).all()


@pytest.mark.slow
@pytest.mark.skipif(
    not (DATA / "perp_15m.parquet").exists(), reason=f"no market history in {DATA} (SEAWALL_DATA)"
)
def test_monitoring_wick__the_long_book_at_10x_is_within_15_percent(found: Judgement) -> None:
    assert found.wick["long"][1] == pytest.approx(found.real_lows["long"][1], rel=0.15)


@pytest.mark.slow
@pytest.mark.skipif(
    not (DATA / "perp_15m.parquet").exists(), reason=f"no market history in {DATA} (SEAWALL_DATA)"
)
@pytest.mark.xfail(reason="the model's own closes of hedged books are too wild: +20 %; docs/calibration.md")
def test_monitoring_wick__the_long_short_book_is_within_15_percent(found: Judgement) -> None:
    off = found.wick["long-short"] / found.real_lows["long-short"] - 1.0
    assert (np.abs(off)[2:] < 0.15).all(), off


@pytest.mark.slow
@pytest.mark.skipif(
    not (DATA / "perp_15m.parquet").exists(), reason=f"no market history in {DATA} (SEAWALL_DATA)"
)
def test_monitoring_wick__on_real_closes_is_within_15_percent(found: Judgement) -> None:
    for name in BOOKS:
        off = found.wick_on_real_closes[name][1:] / found.real_lows[name][1:] - 1.0
        assert (np.abs(off) < 0.15).all(), (name, off)
