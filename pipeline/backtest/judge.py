"""The back-test: fit on what was known, forecast from each start, hold that against what happened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from pipeline.backtest.bars import HOUR, Bars, instant_of
from pipeline.backtest.books import BOOKS, HORIZONS, LEVERAGES, StandardBook
from pipeline.backtest.laws import filtered_laws
from pipeline.backtest.outcomes import find_hits, least_margin
from pipeline.backtest.passages import first_passages
from pipeline.backtest.rivals import gaussian_model, resampled_passages
from pipeline.calibrate import calibrate
from pipeline.errors import DataError, InputError, Problem
from pipeline.history import Prices
from pipeline.model import MarketModel
from pipeline.units import format_duration, format_instant

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Progress = Callable[[str], None]

REFIT = timedelta(days=90)
WINDOW = timedelta(days=730)  # of history that a fit looks at
LEAST_HISTORY = timedelta(days=30)  # for a fit: of all its assets together
GOOD_HISTORY = timedelta(days=180)  # below, the fit is made and a remark says how short it is
SPACING = timedelta(hours=6)  # between starts of windows
FRESH = timedelta(days=2)  # an asset whose last bar is older has gone
FORECASTERS = ("model", "gaussian", "bootstrap")


@dataclass(frozen=True)
class Settings:
    """What is forecast, from when, and with how much work.

    Without `fit_until` the model is fitted anew every `refit`; without `judge_from` judging begins as soon as
    every standard asset that is there has a year of history, or at `fit_until`. `repeats` fits beside the
    first one, each without one part of its window, tell how uncertain the forecasts' level is.
    """

    fit_until: datetime | None = None
    judge_from: datetime | None = None
    books: tuple[StandardBook, ...] = BOOKS
    leverages: tuple[float, ...] = LEVERAGES
    horizons: tuple[timedelta, ...] = HORIZONS
    refit: timedelta = REFIT
    window: timedelta = WINDOW
    spacing: timedelta = SPACING
    regimes: int = 2  # beside four levels more of them forecast worse: docs/backtest.md
    paths: int = 16_384
    repeats: int = 5
    seed: int = 0
    starts: int = 2  # of the fit


@dataclass
class Judgement:
    """Outcomes and forecasts of every window: (starts, books, leverages, horizons), NaN where not judged.

    times (S,) are the starts of the windows; position (S,) counts them from the first on, gaps included;
    logit_sd (B, L, H) is the standard error of the model's level, in logits.
    """

    settings: Settings
    times: NDArray[np.datetime64]
    position: Integers
    hits: Floats
    forecasts: dict[str, Floats]
    logit_sd: Floats
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Epoch:
    """A fit and the starts that are forecast with it: rows of the bars."""

    fit: int
    starts: Integers


def judge(bars: Bars, settings: Settings, progress: Progress | None = None) -> Judgement:
    """Forecast P(liquidation) from each start with what was known by then, beside what happened.

    Raises InputError where nothing at all can be judged, or the judged period begins before the fit ends.
    """
    say = progress or (lambda text: None)
    remarks = list(bars.remarks)
    epochs = plan_epochs(bars, settings)
    starts = np.concatenate([epoch.starts for epoch in epochs])
    shape = len(settings.books), len(settings.leverages), len(settings.horizons)
    hits = np.full((len(starts), *shape), np.nan)
    for b, book in enumerate(settings.books):
        if set(book.assets) <= set(bars.assets):
            least = least_margin(bars, book, starts, settings.horizons)
            hits[:, b] = find_hits(least, settings.leverages)
    forecasts = {name: np.full((len(starts), *shape), np.nan) for name in FORECASTERS}
    spread, fits = np.zeros(shape), np.zeros(shape)
    groups = _group(settings.books, bars)
    done = 0
    for number, epoch in enumerate(epochs, start=1):
        rows = slice(done, done + len(epoch.starts))
        done += len(epoch.starts)
        when = f"{instant_of(bars.times[epoch.fit - 1]) + HOUR:%Y-%m-%d}"
        for assets, held in groups.items():
            names = ", ".join(settings.books[b].name for b in held)
            say(f"fit {number} of {len(epochs)}, up to {when}: {names}")
            try:
                first = window_of(bars, epoch.fit, assets, settings)
                if epoch.fit - first < GOOD_HISTORY // HOUR:
                    days = (epoch.fit - first) * HOUR // timedelta(days=1)
                    remarks.append(f"{names}: the fit of {when} rests on {days} days of history alone")
                repeats = 0 if fits[held].any() else settings.repeats
                made, error = _forecast(bars, epoch, first, assets, held, settings, repeats)
            except DataError as refusal:
                reason = refusal.problems[0]
                why = f"{reason.where}: {reason.got}"
                remarks.append(f"{names}: no forecast from the fit of {when}, as of {why}")
                continue
            for name, values in made.items():
                forecasts[name][rows, held] = values
            if not fits[held].any():
                spread[held] = error  # of the first fit: the others' windows are about as long
            fits[held] += 1
    for values in forecasts.values():
        values[np.isnan(hits)] = np.nan
    hits[np.isnan(forecasts["model"])] = np.nan
    remarks += _not_judged(bars, settings, hits)
    spacing = settings.spacing // HOUR
    position = (starts - starts[0]) // spacing
    times = bars.times[starts - 1] + np.timedelta64(HOUR)
    return Judgement(settings, times, position, hits, forecasts, spread, remarks)


def plan_epochs(bars: Bars, settings: Settings) -> list[_Epoch]:
    """The fits, and the starts that each is for; InputError where that leaves nothing to judge."""
    problems = []
    ends = f"the bars there are, {format_instant(bars.start)} to {format_instant(bars.end)}"
    fit_until = settings.fit_until
    judge_from = settings.judge_from or fit_until or _default_start(bars)
    if fit_until is not None and judge_from < fit_until:
        expected = f"a time at or after the end of the fit, {format_instant(fit_until)}"
        fix = "forecasts from a fit to their own future judge nothing: move one of the two"
        problems.append(Problem("--judge-from", expected, format_instant(judge_from), fix))
    least = bars.start + LEAST_HISTORY
    if fit_until is not None and not least <= fit_until <= bars.end:
        expected = f"a time in {ends}, with {format_duration(LEAST_HISTORY)} of history before it"
        problems.append(
            Problem("--fit-until", expected, format_instant(fit_until), "move it, or give more history")
        )
    shortest = min(settings.horizons)
    if not problems and not least <= judge_from <= bars.end - shortest:
        expected = f"a time in {ends}, with {format_duration(LEAST_HISTORY)} of history before it"
        fix = f"move it, and leave {format_duration(shortest)} after it"
        problems.append(Problem("--judge-from", expected, format_instant(judge_from), fix))
    if problems:
        raise InputError(problems)
    spacing = settings.spacing // HOUR
    begin = bars.bars_until(judge_from)
    opened = (
        bars.times.astype("datetime64[h]").astype(np.int64) + 1
    ) % spacing == 0  # whole hours of the day
    rows = np.flatnonzero(opened) + 1  # bars closed
    rows = rows[(rows >= begin) & (rows <= len(bars.times) - shortest // HOUR)].astype(np.int64)
    if len(rows) == 0:
        got = f"none after {format_instant(judge_from)}"
        raise InputError([Problem("--judge-from", f"a start before {ends}", got, "move it back")])
    if fit_until is not None:
        return [_Epoch(bars.bars_until(fit_until), rows)]
    refit = settings.refit // HOUR
    fits = range(begin, len(bars.times) + 1, refit)
    epochs = [_Epoch(fit, rows[(rows >= fit) & (rows < fit + refit)]) for fit in fits]
    return [epoch for epoch in epochs if len(epoch.starts)]


def _default_start(bars: Bars) -> datetime:
    """A year after the youngest asset's first bar, or where the last half of the data begins if that is later
    than three quarters of them."""
    begins = [int(np.flatnonzero(~np.isnan(close))[0]) for close in bars.close.T]
    first = max(begins) + timedelta(days=365) // HOUR
    if first > 0.75 * len(bars.times):
        first = max(len(bars.times) // 2, LEAST_HISTORY // HOUR)
    return instant_of(bars.times[min(first, len(bars.times) - 1)])


def window_of(bars: Bars, fit: int, assets: Sequence[str], settings: Settings) -> int:
    """First row of the window of a fit that ends before row `fit`: where all its assets have begun, and
    `settings.window` before the fit at the earliest.

    DataError where an asset has no bar within FRESH of the fit, or all together less than LEAST_HISTORY.
    """
    first = max(0, fit - settings.window // HOUR)
    there = ~np.isnan(bars.close[first:fit, bars.columns(assets)])
    problems = []
    for asset, known in zip(assets, there.T, strict=True):
        if not known[-(FRESH // HOUR) :].any():
            fix = "judge from another time, or without it"
            problems.append(Problem(asset, "bars up to the fit", "no bar in the two days before it", fix))
    whole = np.flatnonzero(there.all(axis=1))
    if not problems and len(whole) < LEAST_HISTORY // HOUR:
        expected = f"{format_duration(LEAST_HISTORY)} of hours with a bar of each"
        fix = "judge from a later time"
        problems.append(Problem(", ".join(assets), expected, f"{len(whole)} hours of history", fix))
    if problems:
        raise DataError(problems)
    return first + int(whole[0])


def _group(books: Sequence[StandardBook], bars: Bars) -> dict[tuple[str, ...], list[int]]:
    """The books that have all their assets, by these: one fit serves all that hold the same."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for b, book in enumerate(books):
        if set(book.assets) <= set(bars.assets):
            groups.setdefault(book.assets, []).append(b)
    return groups


def _forecast(
    bars: Bars,
    epoch: _Epoch,
    first: int,
    assets: Sequence[str],
    held: list[int],
    settings: Settings,
    repeats: int,
) -> tuple[dict[str, Floats], Floats]:
    """Forecasts of the epoch's starts by each forecaster, (starts, books, leverages, horizons), of the books
    that are held, and the standard error (books, leverages, horizons) of the model's level, in logits."""
    prices = bars.prices(first, epoch.fit, assets)
    books = tuple(settings.books[b] for b in held)
    axes = settings.leverages, settings.horizons
    size = len(epoch.starts)

    def by_state(model: MarketModel, laws: Floats) -> Floats:
        passages = first_passages(model, books, *axes, settings.paths, settings.seed)
        return np.tensordot(laws, _off_the_ends(passages, settings.paths), axes=2)

    model = fit_model(prices, settings, settings.starts)
    made = {"model": by_state(model, filtered_laws(model, bars, first, epoch.starts))}
    made["gaussian"] = by_state(gaussian_model(prices), np.ones((size, 1, 1)))
    shuffled = resampled_passages(bars, (first, epoch.fit), books, *axes, settings.paths, settings.seed)
    made["bootstrap"] = np.broadcast_to(_off_the_ends(shuffled, settings.paths), (size, *shuffled.shape))
    level = made["model"].mean(axis=0)
    others = []
    for part in range(repeats):
        rest = _without(prices, part, repeats)
        other = fit_model(rest, settings, 1)
        others.append(by_state(other, filtered_laws(other, bars, first, epoch.starts)).mean(axis=0))
    return made, _jackknife(level, others, settings.paths)


def fit_model(prices: Prices, settings: Settings, starts: int) -> MarketModel:
    """The model that is judged; with fewer regimes where the history can't carry that many."""
    for regimes in range(settings.regimes, 1, -1):
        try:
            return calibrate(prices, None, regimes, settings.seed, starts)
        except DataError:
            continue
    return calibrate(prices, None, 1, settings.seed, starts)


def _without(prices: Prices, part: int, parts: int) -> Prices:
    """The prices without one of `parts` stretches of equal length."""
    close = prices.close.copy()
    close[np.array_split(np.arange(len(close)), parts)[part]] = np.nan
    return replace(prices, close=close)


def _jackknife(level: Floats, others: list[Floats], paths: int) -> Floats:
    """Standard error of a level, in logits: delete-a-part jackknife over the fit's window, and simulation."""
    simulated = 1.0 / (paths * level * (1.0 - level))
    if len(others) < 2:
        return np.asarray(np.sqrt(simulated))
    logits = np.log(others) - np.log1p(-np.asarray(others))
    parts = len(others)
    return np.asarray(np.sqrt(logits.var(axis=0) * (parts - 1) + simulated))


def _off_the_ends(p: Floats, paths: int) -> Floats:
    """A share of paths as a probability that is neither 0 nor 1: half a path is added to either side."""
    return np.asarray((p * paths + 0.5) / (paths + 1.0))


def _not_judged(bars: Bars, settings: Settings, hits: Floats) -> list[str]:
    """Remarks on books without a window, and on windows left out."""
    remarks = []
    for b, book in enumerate(settings.books):
        absent = [asset for asset in book.assets if asset not in bars.assets]
        for h, horizon in enumerate(settings.horizons):
            left_out = int(np.isnan(hits[:, b, 0, h]).sum())
            if absent and h == 0:
                remarks.append(f"{book.name}: not judged, without {', '.join(absent)} in the data")
            elif not absent and left_out == len(hits):
                remarks.append(f"{book.name}, {format_duration(horizon)}: not judged, no window is whole")
            elif not absent and left_out:
                text = (
                    f"{left_out} of {len(hits)} windows left out (missing bars, no forecast, or unfinished)"
                )
                remarks.append(f"{book.name}, {format_duration(horizon)}: {text}")
    return remarks
