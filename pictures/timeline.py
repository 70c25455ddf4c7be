"""Which state the market was in, read off its history with the model's figures and with hindsight."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pictures.canvas import HISTORY, LEVELS, PAPER, STATES, open_sheet, patches, svg_text
from pipeline.backtest.bars import HOUR, Bars
from pipeline.backtest.laws import figures_of
from pipeline.model import MarketModel
from pipeline.panel import read_panel
from pipeline.regime_climb import weigh_states
from pipeline.regimes import filter_densities, smooth_densities
from pipeline.report.figures import INK

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Times = NDArray[np.datetime64]

DAY, WEEK = 24, 168  # hours
SEEN_THROUGH = 0.55  # of bands below a line that is to be seen in all of them
AROUND = 4 * DAY  # hours shown before and after the end of the worst day


class Timeline(NamedTuple):
    """Hourly, T bars: closing times (T,), price of the first asset (T,), P(regime | all history) (T, K) and
    P(level | all history) (T, M); the move that a bar closed is in its row. `worst` is the row at
    which the worst day ended: the lowest return over 24 hours, `fall`, of all assets in equal parts."""

    times: Times
    asset: str
    price: Floats
    regime: Floats
    level: Floats
    worst: int
    fall: float


def read_timeline(model: MarketModel, bars: Bars, first: int, last: int) -> Timeline:
    """Smoothed probabilities over the bars first .. last - 1; assets that are missing are left out."""
    close = bars.close[first:last, bars.columns(model.assets)]
    returns = np.diff(np.log(close), axis=0)
    figures = figures_of(model)
    densities = weigh_states(read_panel(returns), figures)[0]
    chain = figures.chain()
    flat = densities.reshape(len(returns), -1)
    _, predicted, filtered = filter_densities(flat, figures.initial.ravel(), chain)
    smoothed = smooth_densities(predicted, filtered, chain)[0].reshape(densities.shape)
    with np.errstate(invalid="ignore"):
        day = (close[DAY:] / close[:-DAY]).mean(axis=1)
    times = bars.times[first:last] + np.timedelta64(HOUR)
    worst = int(np.nanargmin(day))
    return Timeline(
        times[1:],
        model.assets[0],
        close[1:, 0],
        smoothed.sum(axis=1),
        smoothed.sum(axis=2),
        worst + DAY - 1,
        float(day[worst]) - 1.0,
    )


def runs_of(labels: Integers) -> list[tuple[int, int, int]]:
    """Stretches of equal labels: (label, first row, row after the last)."""
    cuts = np.flatnonzero(np.diff(labels)) + 1
    edges = [0, *cuts.tolist(), len(labels)]
    return [(int(labels[a]), a, b) for a, b in pairwise(edges)]


def by_period(probability: Floats, hours: int) -> Floats:
    """Mean of each whole period of so many rows, (periods, states)."""
    whole = len(probability) // hours
    return np.asarray(probability[: whole * hours].reshape(whole, hours, -1).mean(axis=1))


def draw_timeline(
    timeline: Timeline, regimes: tuple[str, ...], levels: tuple[str, ...], window: tuple[datetime, datetime]
) -> str:
    """Daily price over bands of each week's likeliest level; below, each regime's share by week; where the
    window of the fit begins, and where it ends if there is more.
    """
    days, price = timeline.times[DAY - 1 :: DAY], timeline.price[DAY - 1 :: DAY]
    share = by_period(timeline.regime, WEEK)
    opened = timeline.times[0] - np.timedelta64(HOUR)  # of the first bar
    weeks = opened + np.arange(len(share) + 1) * np.timedelta64(WEEK, "h")
    level = by_period(timeline.level, WEEK).argmax(axis=1).astype(np.int64)
    with open_sheet(5.0) as sheet:
        top, below = sheet.subplots(2, 1, sharex=True, height_ratios=(2.1, 1.0))
        for label, first, after in runs_of(level):
            _band(top, weeks[first], weeks[after], LEVELS[label])
        top.plot(days, price, color=HISTORY, linewidth=0.9)
        top.set_yscale("log")
        low, high = np.nanmin(price), np.nanmax(price)
        ticks = [step * 10.0**power for power in range(-9, 9) for step in (1, 2, 5)]
        ticks = [tick for tick in ticks if 0.9 * low <= tick <= 1.1 * high]
        top.set_yticks(ticks, [f"{tick:,.6g}" for tick in ticks])
        top.set_ylim(0.85 * low, 1.25 * high)
        top.set_ylabel(f"{timeline.asset}, USD, daily close")
        top.set_title("how loud the market was: likeliest level of each week", pad=6)
        upper = np.cumsum(100.0 * share, axis=1)
        for k in reversed(range(len(regimes))):  # each over the last: half the points of bands side by side
            below.stairs(upper[:, k], weeks, fill=True, color=STATES[k], linewidth=0)
        below.set_ylim(0, 100)
        below.set_yticks([0, 50, 100], ["0 %", "50 %", "100 %"])
        below.set_title("which state it was in: share of the hours of each week")
        for axes in (top, below):
            axes.set_xlim(timeline.times[0], timeline.times[-1])
        for moment, word in zip(window, ("begins", "ends"), strict=True):
            at = np.datetime64(moment.replace(tzinfo=None), "ms")
            if timeline.times[0] < at < timeline.times[-1]:
                _mark(top, below, at, f"the fit's window {word}")
        _dates(below)
        _legends(sheet, regimes, levels)
        return svg_text(
            sheet,
            f"States and levels of the market over the price of {timeline.asset}",
            f"{_day(timeline.times[0])} to {_day(timeline.times[-1])}",
        )


def draw_worst_days(timeline: Timeline, regimes: tuple[str, ...], levels: tuple[str, ...]) -> str:
    """The hours around the worst day: price over bands of the likeliest regime, the level as a strip."""
    first, after = max(0, timeline.worst - AROUND), min(len(timeline.times), timeline.worst + AROUND)
    times, price = timeline.times[first:after], timeline.price[first:after]
    hour = np.timedelta64(1, "h")
    with open_sheet(3.7) as sheet:
        top, strip = sheet.subplots(2, 1, sharex=True, height_ratios=(6.0, 0.7))
        for label, a, b in runs_of(timeline.regime[first:after].argmax(axis=1).astype(np.int64)):
            _band(top, times[a] - hour, times[b - 1], STATES[label], alpha=SEEN_THROUGH)
        for label, a, b in runs_of(timeline.level[first:after].argmax(axis=1).astype(np.int64)):
            _band(strip, times[a] - hour, times[b - 1], LEVELS[label])
        top.plot(times, price, color=HISTORY, linewidth=1.2)
        top.set_ylabel(f"{timeline.asset}, USD, hourly close")
        top.yaxis.set_major_formatter(lambda value, _: f"{value:,.6g}")
        top.set_title("likeliest state of each hour", pad=6)
        strip.set_yticks([])
        strip.set_xlabel("UTC")
        strip.set_ylabel("level", rotation=0, ha="right", va="center")
        strip.set_xlim(times[0] - hour, times[-1])
        _dates(strip)
        _legends(sheet, regimes, levels, SEEN_THROUGH)
        return svg_text(
            sheet,
            "Hour by hour around the worst day",
            f"{_day(times[0])} to {_day(times[-1])}; the worst 24 hours ended at "
            f"{np.datetime_as_string(timeline.times[timeline.worst], 'h')}:00 UTC",
        )


def _band(axes: Any, start: np.datetime64, end: np.datetime64, colour: str, alpha: float = 1.0) -> None:
    axes.axvspan(start, end, facecolor=colour, alpha=alpha, linewidth=0, zorder=0)


def _mark(top: Any, below: Any, at: np.datetime64, words: str) -> None:
    """A dashed line through both panels, with words at its foot."""
    for axes in (top, below):
        axes.axvline(at, color=INK, linewidth=1.2, linestyle=(0, (4, 2)))
    top.annotate(
        words,
        (at, 0.04),
        (5, 0),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        fontsize=8,
        bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 1.5},
    )


def _dates(axes: Any) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=5, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def _legends(sheet: Any, regimes: tuple[str, ...], levels: tuple[str, ...], alpha: float = 1.0) -> None:
    """States left, levels right; nothing for a chain of one."""
    entries = [("states:", regimes, STATES, alpha), ("levels:", levels, LEVELS, 1.0)]
    for number, (title, names, colours, opacity) in enumerate(entries):
        if len(names) > 1:
            sheet.legend(
                handles=patches(names, colours, opacity),
                title=title,
                loc="outside lower left" if number == 0 else "outside lower right",
                ncols=len(names),
                frameon=False,
                columnspacing=1.1,
                handlelength=1.1,
                handletextpad=0.5,
                alignment="left",
            )


def _day(time: np.datetime64) -> str:
    return str(np.datetime_as_string(time, "D"))
