"""Windows of a person's own history as returns to replay, and the stress events that name such windows."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, Problem
from pipeline.faults import nearest
from pipeline.history_file import Columns, Source, load_columns
from pipeline.units import format_duration, format_instant, parse_instant

DIGITS = 7  # of a log return: prices come with about so many
MOST_RETURNS = 200_000  # of a window, all assets: they are part of the resolved plan
EVENT_COLUMNS = ("event", "start_utc", "end_utc")
MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class History:
    """Log returns of a window by asset, one a step; their source; why other assets are missing."""

    returns: dict[str, tuple[float, ...]]
    source: str
    missing: dict[str, str]


class Window(NamedTuple):
    """A stress event: its name, and when it began and ended."""

    name: str
    start: datetime
    end: datetime


def load_window(
    path: Path, assets: Sequence[str], start: datetime, end: datetime, step: timedelta
) -> History:
    """Load log returns, close to close, of each step from start to end; DataError with all problems.

    A close at time t is that of the bar which ends there, so bars must be no longer than the step and divide
    it, and reach from one before the window to its end. An asset that lacks any of these closes is missing,
    with the reason: no gap is filled.
    """
    if end <= start or (end - start) % step:
        expected = f"a window of whole steps of {format_duration(step)}"
        got = f"{format_instant(start)} to {format_instant(end)}"
        raise DataError([Problem(str(path), expected, got, "move its ends, or take a step that divides it")])
    count = (end - start) // step
    if count * len(assets) > MOST_RETURNS:
        expected = f"at most {MOST_RETURNS:,} returns, steps x assets"
        raise DataError([Problem(str(path), expected, f"{count * len(assets):,}", "take a shorter window")])
    columns, sources, missing = _load_each(path, assets)
    returns = {}
    for asset, column in columns.items():
        closes = _closes(column, start, step, count)
        if isinstance(closes, str):
            missing[asset] = closes
        else:
            returns[asset] = tuple(np.diff(np.log(closes)).round(DIGITS).tolist())
    source = ", ".join(f"{source.file} (sha256 {source.sha256[:16]})" for source in sources)
    return History(returns, source, missing)


def load_event(path: Path, name: str) -> Window:
    """Load the event of that name from a CSV file with EVENT_COLUMNS; DataError if it can't be told.

    A name may be part of the event's, in any case, and `march-2020` stands for 2020-03.
    """
    events = _load_events(path)
    wanted = _month_first(name.casefold())
    found = [e for e in events if e.name.casefold() == wanted] or [
        e for e in events if wanted in e.name.casefold()
    ]
    if len(found) != 1:
        got = f"{name}: {', '.join(e.name for e in found)}" if found else name
        fix = "say more of its name" if found else nearest(name, [e.name for e in events])
        raise DataError([Problem(str(path), "the name of one event, or a part of it", got, fix)])
    return found[0]


def _month_first(name: str) -> str:
    """`march-2020` or `march 2020` as `2020-03`; other names as they are."""
    month, _, year = name.replace(" ", "-").partition("-")
    return f"{year}-{MONTHS.index(month) + 1:02d}" if month in MONTHS and year.isdigit() else name


def _load_events(path: Path) -> list[Window]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError([Problem(str(path), "a readable CSV file", str(error), "check the path")]) from error
    have = list(rows[0]) if rows else []
    absent = [column for column in EVENT_COLUMNS if column not in have]
    if absent:
        got = ", ".join(str(column) for column in have) or "no rows"
        raise DataError(
            [Problem(str(path), f"columns {', '.join(EVENT_COLUMNS)}", got, "add what is missing")]
        )
    problems, events = [], []
    for number, row in enumerate(rows, start=2):
        try:
            times = parse_instant(row["start_utc"]), parse_instant(row["end_utc"])
        except ValueError:
            got = f"{row['start_utc']} to {row['end_utc']}"
            problems.append(Problem(f"{path}, row {number}", "two times, UTC, ISO 8601", got, "correct them"))
            continue
        events.append(Window(str(row["event"]), *times))
    if problems:
        raise DataError(problems)
    return events


def _load_each(
    path: Path, assets: Sequence[str]
) -> tuple[dict[str, Columns], tuple[Source, ...], dict[str, str]]:
    """The rows of the assets that the history has, and why others have none; DataError if none has any."""
    try:
        return *load_columns(path, assets, "close"), {}
    except DataError as error:
        columns: dict[str, Columns] = {}
        sources: dict[str, Source] = {}
        missing = {}
        for asset in assets:
            try:
                found, read = load_columns(path, [asset], "close")
            except DataError as reason:
                missing[asset] = "; ".join(problem.got for problem in reason.problems)
                continue
            columns |= found
            sources |= {source.file: source for source in read}
        if not columns:
            raise error from None
        return columns, tuple(sources.values()), missing


def _closes(column: Columns, start: datetime, step: timedelta, count: int) -> Floats | str:
    """Closes (count + 1,) at the ends of the steps, the first at the start; or what is missing, in words."""
    order = np.argsort(column.times, kind="stable")
    times, values = column.times[order].astype("datetime64[ms]"), column.values[order]
    gaps = np.diff(times)
    if len(gaps) == 0:
        return "one bar"
    lengths, counts = np.unique(gaps, return_counts=True)
    bar = timedelta(milliseconds=int(lengths[np.argmax(counts)].astype(np.int64)))
    if bar <= timedelta(0) or step % bar:
        return f"bars of {bar}, which don't divide the step of {format_duration(step)}"
    opens = np.datetime64((start - bar).astimezone(UTC).replace(tzinfo=None), "ms") + np.arange(
        count + 1
    ) * np.timedelta64(step // timedelta(milliseconds=1), "ms")
    place = np.minimum(np.searchsorted(times, opens), len(times) - 1)
    closes = np.where(times[place] == opens, values[place], np.nan)
    bad = ~(np.isfinite(closes) & (closes > 0.0))
    if bad.all():
        return f"bars from {times[0]} to {times[-1]}, none in the window"
    if bad.any():
        return f"{int(bad.sum())} of {count + 1} closes missing, the first that of the bar at {opens[bad][0]}"
    return closes
