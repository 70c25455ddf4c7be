"""Prices now, read from a file of bars: the last close known at a time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import PlanError, Problem
from pipeline.faults import nearest
from pipeline.units import format_duration, format_instant

COLUMNS = ("ts", "symbol", "close")
OLDEST = timedelta(days=1)  # a close older than that is not a price now


def load_prices(
    path: Path, at: datetime, assets: Iterable[str], bar: timedelta | None = None
) -> dict[str, float]:
    """Per asset the close of the last bar that had ended by `at`; PlanError where there is none within a day.

    The file, Parquet or CSV, has the columns `ts` (the bar's opening time in UTC), `symbol` (the asset) and
    `close`. A bar's close is known at its opening time plus its length: `bar`, or else the shortest distance
    between two bars of a symbol.
    """
    table = _load_table(path)
    opened = np.array(table["ts"], "datetime64[ms]")
    symbols, closes = np.array(table["symbol"], str), np.array(table["close"], np.float64)
    length = np.timedelta64(bar, "ms") if bar is not None else _bar_length(path, opened, symbols)
    now = np.datetime64(at.astimezone(UTC).replace(tzinfo=None), "ms")
    prices, problems = {}, []
    for symbol in sorted(set(assets)):
        known = (symbols == symbol) & (opened + length <= now)
        if not known.any():
            problems.append(_no_close(path, symbol, at, "none by then"))
            continue
        last = np.flatnonzero(known)[opened[known].argmax()]
        if now - opened[last] - length > np.timedelta64(OLDEST, "ms"):
            problems.append(_no_close(path, symbol, at, f"the last one of {opened[last] + length} UTC"))
        prices[symbol] = float(closes[last])
    if problems:
        raise PlanError(problems)
    return prices


def _no_close(path: Path, symbol: str, at: datetime, got: str) -> Problem:
    expected = f"a close of {symbol} within {format_duration(OLDEST)} before {format_instant(at)}"
    return Problem(str(path), expected, got, "give another time with `at:`, or a file that holds it")


def _load_table(path: Path) -> dict[str, list[Any]]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as pcsv
    import pyarrow.parquet as pq

    try:
        table = pcsv.read_csv(path) if path.suffix.lower() == ".csv" else pq.read_table(path)
        missing = [name for name in COLUMNS if name not in table.column_names]
        if missing:
            raise PlanError(
                Problem(
                    f"{path}: column {name}",
                    "the column",
                    "none of that name",
                    nearest(name, table.column_names),
                )
                for name in missing
            )
        columns = {
            "ts": pc.cast(table["ts"], pa.timestamp("ms", "UTC"), safe=False),
            "symbol": pc.cast(table["symbol"], pa.string()),
            "close": pc.cast(table["close"], pa.float64()),
        }
    except (OSError, pa.ArrowException) as error:
        expected = "a Parquet or CSV file of bars: ts (UTC time), symbol, close"
        raise PlanError([Problem(str(path), expected, str(error), "check the file")]) from None
    if not table.num_rows or any(column.null_count for column in columns.values()):
        got = "no rows" if not table.num_rows else "empty cells"
        raise PlanError([Problem(str(path), "bars without empty cells", got, "check the file")])
    return {name: column.to_numpy() for name, column in columns.items()}


def _bar_length(path: Path, opened: Any, symbols: Any) -> np.timedelta64:
    order = np.lexsort((opened, symbols))
    step = np.diff(opened[order])[symbols[order][1:] == symbols[order][:-1]]
    step = step[step > np.timedelta64(0, "ms")]
    if not step.size:
        got, fix = "one bar of each symbol", "add `bar:`, such as 1h, beside `file:`"
        raise PlanError([Problem(str(path), "bars from which their length can be seen", got, fix)])
    return np.timedelta64(step.min())
