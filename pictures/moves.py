"""What books gained and lost over an hour, a day, a week: in history, and in histories that the model makes.

The model is asked for many histories as long as the real one, by the product's own kernels, from the long
run's law. What the middle 95 % of them show is what a right model would allow; windows that overlap, and bad
days that come in a row, are in it as they are in the market.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pictures.canvas import HISTORY, MODEL, OFF, grid, open_sheet, svg_text
from pipeline.backtest.joint_falls import mean_tail_dependence
from pipeline.model import MarketModel
from pipeline.paths import simulate_paths
from pipeline.plan import Plan, plan_from_document
from pipeline.report.figures import FAINT
from pipeline.units import format_duration

Floats = NDArray[np.float64]

HISTORIES, BATCH, SEED = 320, 32, 11
CONFIDENCE = 0.95
HORIZONS = {"an hour": 1, "a day": 24, "a week": 168}  # hours
# how far out each horizon is looked at: beyond, the window holds next to nothing
LEVELS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5)
FURTHEST = (0.001, 0.005, 0.01)
TAIL = 0.01  # the worst and best so many are quoted
LAGS = (1, 3, 6, 12, 24, 48, 72, 120, 168, 336)  # hours
JOINT = (0.01, 0.02, 0.05, 0.1)


class Book(NamedTuple):
    """A book by its name and what it holds of each asset, per unit of gross notional."""

    name: str
    shares: dict[str, float]


class Band(NamedTuple):
    """A figure of history; its median and the ends of the middle 95 % over the model's histories."""

    history: Floats
    model: Floats
    low: Floats
    high: Floats

    def outside(self) -> NDArray[np.bool_]:
        """Where history is beyond what the model's histories show."""
        return np.asarray((self.history < self.low) | (self.history > self.high))


class Moves(NamedTuple):
    """What is compared. quantiles: by book and horizon, at `levels_of` the horizon; memory: autocorrelation
    of the equal book's hourly absolute moves at LAGS; falls, rises: mean over pairs of the chance that a coin
    has one of its worst (best) days given that the other has, at JOINT; years of history."""

    books: tuple[Book, ...]
    quantiles: tuple[tuple[Band, ...], ...]
    memory: Band
    falls: Band
    rises: Band


def standard_books(assets: tuple[str, ...]) -> tuple[Book, ...]:
    """The first asset alone; all in equal parts; the first, long, against the alts, short: the
    last half of them."""
    first, short = assets[0], assets[len(assets) // 2 :]
    against = {asset: -0.5 / len(short) for asset in short}
    return (
        Book(f"{first} alone", {first: 1.0}),
        Book(f"all {len(assets)}, equal parts", dict.fromkeys(assets, 1.0 / len(assets))),
        Book(f"{first} against alts", {first: 0.5, **against}),
    )


def levels_of(horizon: int) -> Floats:
    """Probabilities, ascending, at which the moves over the horizon of that number are compared."""
    lower = [level for level in LEVELS if level >= FURTHEST[horizon]]
    return np.array(lower + [1.0 - level for level in reversed(lower) if level < 0.5])


def moves_over(prices: Floats, hours: int) -> Floats:
    """Relative changes of prices (T, A) over so many rows, from every row on that has both ends."""
    moves = prices[hours:] / prices[:-hours] - 1.0
    return np.asarray(moves[~np.isnan(moves).any(axis=1)])


def measure_moves(model: MarketModel, close: Floats, histories: int = HISTORIES) -> Moves:
    """Compare closes (T, A), in the order of the model's assets, with the model's own histories."""
    books = standard_books(model.assets)
    real = _figures(model, books, close)
    made = [_figures(model, books, prices) for prices in simulate_histories(model, len(close), histories)]
    ends = (1.0 - CONFIDENCE) / 2.0, 0.5, 1.0 - (1.0 - CONFIDENCE) / 2.0
    bands = []
    for number, history in enumerate(real):
        low, middle, high = np.quantile([each[number] for each in made], ends, axis=0)
        bands.append(Band(history, middle, low, high))
    memory, falls, rises, *moves = bands
    each = len(HORIZONS)
    quantiles = tuple(tuple(moves[b * each : (b + 1) * each]) for b in range(len(books)))
    return Moves(books, quantiles, memory, falls, rises)


def simulate_histories(model: MarketModel, hours: int, histories: int) -> Iterator[Floats]:
    """Closes (hours, A) of histories that the model makes, starting at 1."""
    plan = _plan(model, hours - 1)
    for first in range(0, histories, BATCH):
        prices = simulate_paths(plan, min(BATCH, histories - first), first_path=first).price.values
        for path in prices:
            yield np.vstack([np.ones(path.shape[1]), path])


def _plan(model: MarketModel, steps: int) -> Plan:
    margin = {
        "initial_margin": 0.02,
        "maintenance_margin": 0.01,
    }  # nobody is liquidated: paths alone are asked for
    document = model.document() | {"initial": "stationary", "parameter_draws": None, "calibration": None}
    positions = [{"market": f"{asset}-USD", "size": 1.0, "entry": 1.0} for asset in model.assets]
    return plan_from_document(
        {
            "name": "pictures",
            "as_of": "2020-01-01T00:00:00Z",
            "simulation": {
                "seed": SEED,
                "paths": BATCH,
                "step": format_duration(model.step),
                "horizons": [format_duration(steps * model.step)],
                "leverage": [1.0],
                "monitoring": "close",
            },
            "venue": {
                "rules": "dydx_v4",
                "as_of": "2020-01-01",
                "taker_fee": 0.0,
                "markets": {f"{asset}-USD": {"asset": asset, **margin} for asset in model.assets},
            },
            "prices": dict.fromkeys(model.assets, 1.0),
            "model": {key: value for key, value in document.items() if value is not None},
            "scenarios": ["baseline"],
            "accounts": [{"name": "all", "collateral": {"USDC": 1e6}, "positions": positions}],
        }
    )


def _figures(model: MarketModel, books: tuple[Book, ...], prices: Floats) -> list[Floats]:
    """Memory, joint falls and rises, then quantiles by book and horizon: what is compared of one history."""
    moves = [moves_over(prices, hours) for hours in HORIZONS.values()]
    day = list(HORIZONS).index("a day")
    found = [
        autocorrelations(np.abs(moves[0].mean(axis=1)), LAGS),
        np.array([mean_tail_dependence(moves[day], level) for level in JOINT]),
        np.array([mean_tail_dependence(-moves[day], level) for level in JOINT]),
    ]
    for book in books:
        weights = np.array([book.shares.get(asset, 0.0) for asset in model.assets])
        found += [np.quantile(each @ weights, levels_of(h)) for h, each in enumerate(moves)]
    return found


def autocorrelations(series: Floats, lags: tuple[int, ...]) -> Floats:
    """Correlation of a series (T,) with itself so many steps later, by lag."""
    centred = series - series.mean()
    square = float(centred @ centred) / len(centred)
    return np.array([float(centred[lag:] @ centred[:-lag]) / (len(centred) - lag) / square for lag in lags])


def draw_quantiles(moves: Moves) -> str:
    """History's quantiles against the model's: a row for each book, a column for each horizon."""
    with open_sheet(7.6) as sheet:
        panels = sheet.subplots(len(moves.books), len(HORIZONS))
        for b, book in enumerate(moves.books):
            for h, horizon in enumerate(HORIZONS):
                axes, band = panels[b, h], moves.quantiles[b][h]
                _draw_band(axes, 100.0 * np.array(band))
                if b == 0:
                    axes.set_title(f"over {horizon}", loc="center")
                if h == 0:
                    axes.set_ylabel(f"{book.name}\nhistory, % of the book")
                if b == len(moves.books) - 1:
                    axes.set_xlabel("model, % of the book")
        handles = [
            *panels[0, 0].collections[:1],
            *(line for line in panels[0, 0].get_lines() if line.get_label()[0] != "_"),
        ]
        sheet.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
        outside = sum(int(band.outside().sum()) for row in moves.quantiles for band in row)
        count = sum(band.history.size for row in moves.quantiles for band in row)
        return svg_text(
            sheet,
            "Quantiles of moves: history against the model",
            f"{outside} of {count} quantiles of history lie outside what the model's histories show",
        )


def _draw_band(axes: Any, band: Floats) -> None:
    history, model, low, high = band
    axes.fill_between(
        model, low, high, color=MODEL, alpha=0.22, linewidth=0, label="95 % of the model's histories"
    )
    axes.plot(model, model, color=MODEL, linewidth=0.8, label="_line")
    off = (history < low) | (history > high)
    style = {"linestyle": "none", "markersize": 4.2}
    axes.plot(model[~off], history[~off], marker="o", color=HISTORY, label="history, inside", **style)
    axes.plot(model[off], history[off], marker="D", color=OFF, label="history, outside", **style)
    axes.axhline(0.0, color=FAINT, linewidth=0.5)
    axes.axvline(0.0, color=FAINT, linewidth=0.5)
    ends = np.array([min(low.min(), history.min()), max(high.max(), history.max())])
    axes.set_ylim(ends + 0.05 * np.ptp(ends) * np.array([-1, 1]))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
    grid(axes)


def draw_memory(moves: Moves) -> str:
    """How long a loud hour is remembered: autocorrelation against the lag."""
    band, at = moves.memory, np.arange(len(LAGS))
    with open_sheet(2.9) as sheet:
        axes = sheet.subplots()
        _draw_lines(axes, at, band)
        axes.set_xticks(at, [f"{lag} h" if lag < 24 else f"{lag / 24:g} d" for lag in LAGS])
        axes.set_xlabel("time between the two hours")
        axes.set_ylabel("correlation of the sizes\nof hourly moves")
        axes.set_ylim(min(0.0, 1.1 * float(band.low.min())), None)
        axes.legend(frameon=False)
        return svg_text(
            sheet, "How long the market remembers a loud hour", _said(band, [f"{x} h" for x in LAGS])
        )


def draw_joint(moves: Moves) -> str:
    """How often two coins have one of their worst, or best, days together."""
    at = np.arange(len(JOINT))
    with open_sheet(3.0) as sheet:
        panels = sheet.subplots(1, 2, sharey=True)
        for axes, band, word in zip(panels, (moves.falls, moves.rises), ("worst", "best"), strict=True):
            _draw_lines(axes, at, Band(*(100.0 * each for each in band)))
            axes.set_title(f"{word} days")
            axes.set_xticks(at, [f"{100 * level:g} %" for level in JOINT])
            axes.set_xlabel(f"what counts as one of a coin's {word} days")
        panels[0].set_ylim(0, 100)
        panels[0].set_yticks(range(0, 101, 25), [f"{tick} %" for tick in range(0, 101, 25)])
        panels[0].set_ylabel("chance that another coin\nhas one too")
        panels[0].legend(frameon=False, loc="lower right")
        return svg_text(
            sheet,
            "Do coins have their worst and best days together?",
            f"worst days: {_said(moves.falls, [f'{100 * x:g} %' for x in JOINT])}",
        )


def _draw_lines(axes: Any, at: NDArray[np.int64], band: Band) -> None:
    axes.fill_between(
        at, band.low, band.high, color=MODEL, alpha=0.22, linewidth=0, label="95 % of the model's histories"
    )
    axes.plot(at, band.model, color=MODEL, linewidth=1.0, label="_model")
    off = band.outside()
    axes.plot(at, band.history, color=HISTORY, linewidth=0.8, label="_history")
    style = {"linestyle": "none", "markersize": 4.5}
    axes.plot(at[~off], band.history[~off], marker="o", color=HISTORY, label="history, inside", **style)
    axes.plot(at[off], band.history[off], marker="D", color=OFF, label="history, outside", **style)
    grid(axes)


def _said(band: Band, words: list[str]) -> str:
    return "; ".join(
        f"{word}: history {value:.2f}, model {low:.2f} to {high:.2f}"
        for word, value, low, high in zip(words, band.history, band.low, band.high, strict=True)
    )
