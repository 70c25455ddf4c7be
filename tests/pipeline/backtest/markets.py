"""Bars of a made-up market whose law is known: two regimes of Student-t returns, bridged within the hour."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.backtest.bars import Bars
from pipeline.history_file import Source
from pipeline.model import MarketModel

ASSETS = ("BTC", "ETH")
FIRST = np.datetime64("2030-01-01T00:00", "ms")
HOUR = np.timedelta64(3_600_000, "ms")
INSIDE = 12  # points within an hour: lows and highs are those seen there


def known_model(assets=ASSETS, stay=0.98, calm=0.5, wild=1.6, tail=5.0) -> MarketModel:
    """Two regimes, the wild one with tails; both with correlation 0.7."""
    size = len(assets)
    correlation = np.where(np.eye(size) > 0, 1.0, 0.7).tolist()
    regimes = {
        "calm": {"volatility": dict.fromkeys(assets, calm), "correlation": correlation, "tail": None},
        "wild": {"volatility": dict.fromkeys(assets, wild), "correlation": correlation, "tail": tail},
    }
    return MarketModel.model_validate(
        {
            "step": "1h",
            "assets": list(assets),
            "initial": "stationary",
            "regimes": regimes,
            "transitions": {
                "calm": {"calm": stay, "wild": 1 - stay},
                "wild": {"calm": 1 - stay, "wild": stay},
            },
        }
    )


def draw_bars(hours: int, seed: int, model: MarketModel | None = None) -> Bars:
    """Bars drawn from the model; both assets are at their lows at once as nearly as a bridge has it."""
    model = model or known_model()
    rng = np.random.default_rng(seed)
    regimes = list(model.regimes.values())
    transitions = model.transition_matrix()
    size = len(model.assets)
    k, level = 0, np.zeros(size)
    rows = []
    for _ in range(hours):
        regime = regimes[k]
        volatility = np.array([regime.volatility[a] for a in model.assets])
        factor = np.linalg.cholesky(np.array(regime.correlation)) * volatility[:, None]
        w = 1.0
        if regime.tail is not None:
            w = np.sqrt((regime.tail - 2) / rng.chisquare(regime.tail))
        steps = rng.standard_normal((INSIDE, size)) @ factor.T * w * np.sqrt(1 / 8760 / INSIDE)
        path = level + np.cumsum(steps, axis=0)
        rows.append((np.minimum(path.min(axis=0), level), np.maximum(path.max(axis=0), level), path[-1]))
        level = path[-1]
        k = int(rng.random() > transitions[k, 0]) if len(regimes) == 2 else 0
    low, high, close = (np.exp(np.array(figures)) for figures in zip(*rows, strict=True))
    times = FIRST + np.arange(hours) * HOUR
    return Bars(times, model.assets, low, high, close, Source("made-up", "0"))


def write_bars(bars: Bars, folder: Path) -> Path:
    """Write bars as a folder that the command reads."""
    import pyarrow as pa
    from pyarrow import parquet

    columns: dict[str, list] = {
        name: [] for name in ("ts", "symbol", "open", "high", "low", "close", "volume")
    }
    for position, asset in enumerate(bars.assets):
        there = ~np.isnan(bars.close[:, position])
        columns["ts"] += bars.times[there].tolist()
        columns["symbol"] += [asset] * int(there.sum())
        columns["volume"] += [1.0] * int(there.sum())
        columns["open"] += bars.close[there, position].tolist()
        for name in ("high", "low", "close"):
            columns[name] += getattr(bars, name)[there, position].tolist()
    table = pa.table({**columns, "ts": pa.array(columns["ts"], pa.timestamp("ms", tz="UTC"))})
    folder.mkdir(exist_ok=True)
    parquet.write_table(table, folder / "perp_1h.parquet")
    return folder
