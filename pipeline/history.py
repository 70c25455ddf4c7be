"""Market history as it is loaded from a person's files: prices of bars and funding.

Missing bars stay missing (NaN), never carried forward into returns of zero. Highs and lows are read where
there are any; returns are those of closes, so a wick changes none. A wild price is kept, as it was traded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, Problem
from pipeline.history_file import Columns, Source, find_assets, load_columns
from pipeline.units import YEAR, format_duration

Floats = NDArray[np.float64]
Times = NDArray[np.datetime64]

_MS = np.timedelta64(1, "ms")
OFF = 1e-6  # what rounding may put a close outside its bar by
_LONGEST_INTERVAL = np.timedelta64(24 * 3_600_000, "ms")  # no venue settles funding less often than daily


@dataclass(frozen=True)
class Prices:
    """Prices on a regular grid of bars: times (T,) of open, UTC; close, and high and low where the files have
    both, (T, A), NaN where missing."""

    times: Times
    step: timedelta
    assets: tuple[str, ...]
    close: Floats
    sources: tuple[Source, ...]
    high: Floats | None = None
    low: Floats | None = None

    @property
    def start(self) -> datetime:
        """When the first bar opens."""
        return _instant(self.times[0])

    @property
    def end(self) -> datetime:
        """When the last bar closes."""
        return _instant(self.times[-1]) + self.step

    def log_returns(self) -> Floats:
        """Log returns close to close, (T - 1, A), of the bars after the first; NaN beside missing bars."""
        returns: Floats = np.diff(np.log(self.close), axis=0)
        return returns


@dataclass(frozen=True)
class Settlements:
    """Funding of one asset: times (N,) of settlement, rates (N,) and the intervals (N,) they are for."""

    times: Times
    rates: Floats
    intervals: NDArray[np.timedelta64]

    def annualised(self, opens: Times, step: timedelta) -> Floats:
        """Average rate over each bar, annualised on 365 x 24 h, (T,); NaN where half a bar is not covered."""
        ends = self.times.astype(np.int64)
        starts = ends - self.intervals.astype(np.int64)
        starts[1:] = np.maximum(starts[1:], ends[:-1])  # clocks of venues are off by milliseconds
        knots = np.column_stack([starts, ends]).ravel()
        paid, covered = (
            np.column_stack([np.cumsum(x) - x, np.cumsum(x)]).ravel() for x in (self.rates, ends - starts)
        )
        left = opens.astype(np.int64)
        right = left + step // timedelta(milliseconds=1)
        spent = np.interp(right, knots, covered) - np.interp(left, knots, covered)
        rate = np.interp(right, knots, paid) - np.interp(left, knots, paid)
        known = spent >= 0.5 * (right - left)
        year = YEAR / timedelta(milliseconds=1)
        average: Floats = np.divide(rate * year, spent, out=np.full(len(left), np.nan), where=known)
        return average


@dataclass(frozen=True)
class Funding:
    """Funding history by asset."""

    settlements: dict[str, Settlements]
    sources: tuple[Source, ...]


def load_prices(
    path: Path | str, assets: Sequence[str], start: datetime | None = None, end: datetime | None = None
) -> Prices:
    """Load prices of assets from a file (or a folder with a file for each) of OHLCV bars.

    Closing prices, and highs and lows where all have both. Parquet, Feather or CSV; see
    `pipeline.history_file`. The step is the commonest gap between bars.
    The window begins with the first asset and ends when the first one ends, cut to the bars that open at or
    after `start` and close by `end`; an asset that begins later is missing until then.
    Raises DataError with all problems: missing columns or assets, repeated or unsorted times, prices that are
    not positive, closes above the high or below the low, bars off the grid, a window outside the data.
    """
    columns, sources = load_columns(path, assets, "close", ("high", "low"))
    problems = [
        problem for name, column in columns.items() for problem in _faults(name, column, positive=True)
    ]
    if problems:
        raise DataError(problems)
    gaps = np.concatenate([np.diff(column.times) for column in columns.values()])
    if len(gaps) == 0:
        raise DataError([Problem(str(path), "several bars of each asset", "one", "take a longer history")])
    lengths, counts = np.unique(gaps, return_counts=True)
    step = lengths[np.argmax(counts)]
    first = min(column.times[0] for column in columns.values())
    last = min(column.times[-1] for column in columns.values())
    problems = [
        Problem(
            where=f"{column.file}, {name}",
            expected=f"bars of {format_duration(_duration(step))}, the commonest gap here, on one grid",
            got=f"a bar at {_instant(column.times[off[0]]):%Y-%m-%dT%H:%M:%SZ}",
            fix="give one file of one bar length",
        )
        for name, column in columns.items()
        if len(off := np.flatnonzero((column.times - first) % step != 0 * _MS))
    ]
    for word, bound, inside in (
        ("start", start, start is None or _moment(start) >= first),
        ("end", end, end is None or _moment(end) <= last + step),
    ):
        if not inside:
            problems.append(
                Problem(
                    where=f"{path}, {word} of the window",
                    expected=f"a time within the history, {_instant(first)} to {_instant(last + step)}",
                    got=str(bound),
                    fix="move it, or leave out the assets with the shortest history",
                )
            )
    if start is not None:
        first += -(-(_moment(start) - first) // step) * step
    if end is not None:
        last = min(last, _moment(end) - step)
    if not problems and last <= first:
        problems.append(
            Problem(
                str(path),
                "a window of several bars",
                f"{_instant(first)} to {_instant(last + step)}",
                "widen it",
            )
        )
    if problems:
        raise DataError(problems)
    times = np.arange(first, last + _MS, step)
    panel = {key: np.full((len(times), len(assets)), np.nan) for key in ("close", "high", "low")}
    for position, name in enumerate(assets):
        column = columns[name]
        inside_window = (column.times >= first) & (column.times <= last)
        rows = (column.times[inside_window] - first) // step
        for key, values in (("close", column.values), *column.beside.items()):
            panel[key][rows, position] = values[inside_window]
    ranged = all(len(columns[name].beside) == 2 for name in assets)
    high, low = (panel["high"], panel["low"]) if ranged else (None, None)
    return Prices(times, _duration(step), tuple(assets), panel["close"], sources, high, low)


def load_some_prices(path: Path | str, assets: Sequence[str]) -> Prices:
    """Load prices of those of the assets that a file has, in their order; DataError if it has none."""
    known = find_assets(path)
    there = [asset for asset in assets if asset in known]
    return load_prices(path, there or assets)


def load_funding(path: Path | str, assets: Sequence[str]) -> Funding:
    """Load settled funding rates (a fraction per interval) of assets from a file or a folder, as for prices.

    Intervals are read off the gaps between settlements, one by one. Raises DataError with all problems.
    """
    columns, sources = load_columns(path, assets, "rate")
    problems = [
        problem for name, column in columns.items() for problem in _faults(name, column, positive=False)
    ]
    for name, column in columns.items():
        if len(column.times) < 2:
            problems.append(
                Problem(
                    where=f"{column.file}, {name}",
                    expected="at least two settlements, so that their interval is known",
                    got="one",
                    fix="give a longer funding history",
                )
            )
    if problems:
        raise DataError(problems)
    settlements = {}
    for name, column in columns.items():
        intervals = infer_intervals(column.times)
        known = ~np.isnan(column.values) & (intervals <= _LONGEST_INTERVAL)
        settlements[name] = Settlements(column.times[known], column.values[known], intervals[known])
    return Funding(settlements, sources)


def infer_intervals(times: Times) -> NDArray[np.timedelta64]:
    """Return the funding interval that ends at each of N >= 2 settlements, to the minute.

    It is the gap before the settlement, or the median of the five gaps around if that is shorter: where
    settlements are missing, the rate after the hole was paid for one interval, not for the whole hole.
    """
    minute = np.timedelta64(60_000, "ms")
    gaps = (np.diff(times) + minute // 2) // minute
    gaps = np.r_[_median(gaps[:5]), gaps]
    typical = np.array([_median(gaps[max(0, i - 2) : i + 3]) for i in range(len(gaps))])
    intervals: NDArray[np.timedelta64] = np.minimum(gaps, typical) * minute
    return intervals


def _median(gaps: NDArray[np.int64]) -> np.int64:
    """Return the median, the lower one of two."""
    return np.int64(np.sort(gaps)[(len(gaps) - 1) // 2])


def _faults(name: str, column: Columns, positive: bool) -> list[Problem]:
    """Return what is wrong with the rows of one asset."""
    problems = []

    def fault(rows: NDArray[np.intp], expected: str, got: str, fix: str) -> None:
        if len(rows):
            row = rows[0]
            more = f", and {len(rows) - 1} more such rows" if len(rows) > 1 else ""
            where = f"{column.file}, {name}, row {column.rows[row]} ({_instant(column.times[row])})"
            value = f" {column.values[row]:g}" if "{}" in got else ""
            problems.append(Problem(where, expected, got.replace(" {}", value) + more, fix))

    step = np.diff(column.times)
    fault(
        np.flatnonzero(step == 0 * _MS) + 1, "one row per time", "the same time twice", "remove one of them"
    )
    fault(
        np.flatnonzero(step < 0 * _MS) + 1, "rows sorted by time", "a time before the last", "sort the file"
    )
    infinite = np.isinf(column.values)
    fault(np.flatnonzero(infinite), "a finite number", "infinity", "correct the row, or remove it")
    if positive:
        bad = ~infinite & (column.values <= 0.0)
        fault(np.flatnonzero(bad), "a price above zero", "a price of {}", "correct the row, or remove it")
    if len(column.beside) == 2:
        high, low = column.beside["high"], column.beside["low"]
        outside = (low <= 0.0) | (high < low) | np.isinf(high)
        outside |= (column.values < low * (1.0 - OFF)) | (column.values > high * (1.0 + OFF))
        expected = "finite prices above zero, with low <= close <= high"
        got = "a low, close and high that contradict this"
        fault(
            np.flatnonzero(outside), expected, got, "correct the row, or leave out the columns high and low"
        )
    return problems


def _moment(time: datetime) -> np.datetime64:
    """A datetime (UTC where it has no zone) as numpy has it."""
    aware = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    return np.datetime64(aware.replace(tzinfo=None), "ms")


def _instant(moment: np.datetime64) -> datetime:
    return datetime.fromtimestamp(int(moment.astype("datetime64[ms]").astype(np.int64)) / 1000.0, UTC)


def _duration(span: np.timedelta64) -> timedelta:
    return timedelta(milliseconds=int(span / _MS))
