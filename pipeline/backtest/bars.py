"""Hourly bars of a folder of market history, on one grid, whatever is missing.

A forecast may not see more than the past, and may not fail because of the future: what can't be used is left
out as a missing bar and told as a remark, not refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, Problem
from pipeline.history import Prices
from pipeline.history_file import Source

Floats = NDArray[np.float64]
Times = NDArray[np.datetime64]

FILE = "perp_1h.parquet"
HOUR = timedelta(hours=1)
_STEP = np.timedelta64(3_600_000, "ms")
_LAST = np.datetime64("2100-01-01", "ms")  # a wild time would make a grid of all hours up to it
_COLUMNS = ("ts", "symbol", "high", "low", "close")


@dataclass(frozen=True)
class Bars:
    """Hourly bars of A assets at T consecutive hours: times (T,) of open, UTC, low, high and close (T, A).

    A missing bar is NaN in all three. `remarks` says what of the file was not used.
    """

    times: Times
    assets: tuple[str, ...]
    low: Floats
    high: Floats
    close: Floats
    source: Source
    remarks: tuple[str, ...] = ()

    @property
    def start(self) -> datetime:
        """When the first bar opens."""
        return instant_of(self.times[0])

    @property
    def end(self) -> datetime:
        """When the last bar closes."""
        return instant_of(self.times[-1]) + HOUR

    def bars_until(self, moment: datetime) -> int:
        """How many bars have closed at a time: the rows that a forecast made then may look at."""
        return int(np.searchsorted(self.times + _STEP, _moment(moment), side="right"))

    def columns(self, assets: Sequence[str]) -> NDArray[np.int64]:
        """Where the assets stand, (A,)."""
        return np.array([self.assets.index(asset) for asset in assets], np.int64)

    def prices(self, first: int, last: int, assets: Sequence[str]) -> Prices:
        """Closing prices, highs and lows of the rows first .. last - 1, as calibration takes them."""
        columns = self.columns(assets)
        close, high, low = (panel[first:last, columns] for panel in (self.close, self.high, self.low))
        return Prices(self.times[first:last], HOUR, tuple(assets), close, (self.source,), high, low)


def load_bars(folder: Path | str, assets: Sequence[str]) -> Bars:
    """Load the hourly bars of those assets that the folder's `perp_1h.parquet` has; any may be absent.

    Rows may be in any order. Of bars that are there twice the last one counts. A bar that contradicts itself
    (a price that is not positive and finite, a low above its close) is missing. DataError where the file
    can't be read at all, lacks a column, or has none of the assets.
    """
    path = Path(folder) / FILE
    found = _read(path)
    opens, names, figures = found
    remarks = []
    grid = (opens - np.datetime64(0, "ms")) % _STEP == np.timedelta64(0, "ms")
    grid &= (opens >= np.datetime64(0, "ms")) & (opens < _LAST)
    low, high, close = figures
    with np.errstate(invalid="ignore"):
        sound = np.isfinite(figures).all(axis=0) & (low > 0.0) & (low <= close) & (close <= high)
    columns: dict[str, tuple[NDArray[np.intp], Times]] = {}
    for asset in assets:
        mine = names == asset
        if not mine.any():
            remarks.append(f"{asset}: not in {FILE}")
            continue
        rows = np.flatnonzero(mine & grid & sound)
        left_out = int(mine.sum()) - len(rows)
        rows = rows[np.argsort(opens[rows], kind="stable")]
        last = np.append(opens[rows][1:] != opens[rows][:-1], True)[: len(rows)]
        left_out += int((~last).sum())
        rows = rows[last]
        if left_out:
            remarks.append(f"{asset}: {left_out} rows not used (twice, off the hour, or no sound prices)")
        if len(rows):
            columns[asset] = rows, opens[rows]
    if not columns:
        got = ", ".join(sorted(set(names.tolist()))[:20]) or "no rows"
        fix = "name the assets as the standard books do, or give another folder"
        raise DataError([Problem(str(path), f"sound bars of some of {', '.join(assets)}", got, fix)])
    first = min(times[0] for _, times in columns.values())
    end = max(times[-1] for _, times in columns.values())
    times = np.arange(first, end + _STEP, _STEP)
    shape = len(times), len(columns)
    grids = [np.full(shape, np.nan) for _ in figures]
    for position, (asset, (rows, opened)) in enumerate(columns.items()):
        at = (opened - first) // _STEP
        for target, values in zip(grids, figures, strict=True):
            target[at, position] = values[rows]
        gaps = (opened[-1] - opened[0]) // _STEP + 1 - len(opened)
        if gaps:
            remarks.append(f"{asset}: {gaps} hours missing between its first bar and its last")
        if opened[-1] < end:
            remarks.append(f"{asset}: ends at {instant_of(opened[-1]) + HOUR:%Y-%m-%dT%H:%MZ}, others go on")
    source = Source(FILE, hashlib.sha256(path.read_bytes()).hexdigest())
    return Bars(times, tuple(columns), grids[0], grids[1], grids[2], source, tuple(remarks))


def _read(path: Path) -> tuple[Times, NDArray[np.str_], tuple[Floats, Floats, Floats]]:
    """Times of open, symbols, and low, high, close of every row."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        there = parquet.read_schema(path).names
        missing = [name for name in _COLUMNS if name not in there]
        if missing:
            expected, fix = f"columns {', '.join(_COLUMNS)}", "write the missing ones"
            raise DataError([Problem(str(path), expected, f"no {', '.join(missing)}", fix)])
        table = parquet.read_table(path, columns=list(_COLUMNS))
        ts = table["ts"]
        if not pa.types.is_timestamp(ts.type):
            ts = ts.cast(pa.timestamp("ms"))
        ts = ts.cast(pa.timestamp("ms", tz=ts.type.tz), safe=False)
        opens = ts.to_numpy().astype("datetime64[ms]")
        names = np.array([name or "" for name in table["symbol"].cast("string").to_pylist()], np.str_)
        low, high, close = (table[name].cast("float64").to_numpy() for name in ("low", "high", "close"))
    except (OSError, ValueError, pa.ArrowException) as error:
        message = str(error).splitlines()[0]
        fix = "give the folder that holds it"
        raise DataError([Problem(str(path), "a readable Parquet file of bars", message, fix)]) from error
    known = ~np.isnat(opens)
    return opens[known], names[known], (low[known], high[known], close[known])


def instant_of(moment: np.datetime64) -> datetime:
    """A numpy time, UTC, as a datetime."""
    return datetime.fromtimestamp(int(moment.astype("datetime64[ms]").astype(np.int64)) / 1000.0, UTC)


def _moment(time: datetime) -> np.datetime64:
    return np.datetime64(time.astimezone(UTC).replace(tzinfo=None), "ms")
