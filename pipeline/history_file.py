"""Files of market history: rows of (time, asset, value) in Parquet, Feather or CSV.

A file holds all assets, with a column that names them, or one asset, named by the file's name up to the
first `_`, `-` or `.` (as freqtrade writes them: BTC_USDT_USDT-1h-futures.feather). A folder holds such files.
Times are bar opens in UTC: timestamps, ISO 8601, or whole seconds or milliseconds since 1970.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, Problem
from pipeline.faults import nearest

_SUFFIXES = (".parquet", ".feather", ".csv")
_TIME = ("ts", "timestamp", "time", "date", "datetime", "open_time")
_ASSET = ("symbol", "asset", "pair", "market")
_VALUE = {
    "close": ("close",),
    "high": ("high",),
    "low": ("low",),
    "rate": ("rate", "funding_rate", "fundingRate"),
}
# what a folder may hold beside what is looked for, as freqtrade's does
_OTHER_THAN = {"close": re.compile("mark|index|funding"), "rate": re.compile("^((?!funding).)*$")}


@dataclass(frozen=True)
class Source:
    """A file that was read: its name without the folder, and the SHA-256 of its bytes."""

    file: str
    sha256: str


@dataclass(frozen=True)
class Columns:
    """The rows of one asset: times (N,), values (N,) with NaN for nulls, rows (N,) in the file, from 1;
    beside the values, those (N,) of other columns that were asked for and are there."""

    file: str
    times: NDArray[np.datetime64]
    values: NDArray[np.float64]
    rows: NDArray[np.int64]
    beside: dict[str, NDArray[np.float64]] = field(default_factory=dict)


def load_columns(
    path: Path | str, assets: Sequence[str], value: str, beside: Sequence[str] = ()
) -> tuple[dict[str, Columns], tuple[Source, ...]]:
    """Load `close` or `rate` of assets, and what is there of the columns beside it.

    Raises DataError with all problems of files, columns and names.
    """
    path = Path(path)
    problems: list[Problem] = []
    doubles = sorted({name for name in assets if list(assets).count(name) > 1})
    if doubles or not assets:
        got = f"{', '.join(doubles)} twice" if doubles else "none"
        raise DataError([Problem("assets", "one or more, each once", got, "name each asset once")])
    columns: dict[str, Columns] = {}
    sources = []
    for file, wanted in _files(path, assets, value, problems):
        try:
            sources.append(Source(file.name, hashlib.sha256(file.read_bytes()).hexdigest()))
            table = _read(file)
        except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors and OSErrors
            message = str(error).splitlines()[0]
            problems.append(Problem(str(file), "a readable file", message, "check the path and the file"))
            continue
        columns |= _split(file, table, wanted, value, beside, problems)
    if problems:
        raise DataError(problems)
    return columns, tuple(sources)


def find_assets(path: Path | str) -> frozenset[str]:
    """The assets that a file or a folder has rows of; none where it can't be read, which loading it tells."""
    path = Path(path)
    if path.is_dir():
        return frozenset(_asset_of(file) for file in path.iterdir() if file.suffix in _SUFFIXES)
    try:
        table = _read(path)
    except (OSError, ValueError):
        return frozenset()
    name = _pick(table.column_names, _ASSET)
    texts = (path.name,) if name is None else table[name].cast("string").unique().to_pylist()
    return frozenset(_asset(text or "") for text in texts)


def _files(
    path: Path, assets: Sequence[str], value: str, problems: list[Problem]
) -> list[tuple[Path, Sequence[str]]]:
    """Return the files to read, each with the assets to find in it."""
    if not path.is_dir():
        if path.is_file() and path.suffix in _SUFFIXES:
            return [(path, assets)]
        got = f"a file of type {path.suffix or 'unknown'}" if path.is_file() else "nothing there"
        expected = f"a folder or a file of type {', '.join(_SUFFIXES)}"
        problems.append(Problem(str(path), expected, got, "check the path"))
        return []
    found = [file for file in sorted(path.iterdir()) if file.suffix in _SUFFIXES]
    other = _OTHER_THAN[value]
    found = [file for file in found if not other.search(file.stem)]
    files: list[tuple[Path, Sequence[str]]] = []
    for name in assets:
        own = [file for file in found if _asset(file.name) == name]
        if len(own) == 1:
            files.append((own[0], [name]))
        else:
            got = ", ".join(file.name for file in own) or "none"
            fix = (
                "leave one file for each asset in the folder" if own else nearest(name, map(_asset_of, found))
            )
            problems.append(Problem(f"{path}, {name}", "one file whose name begins with it", got, fix))
    return files


def _read(file: Path) -> Any:
    """Return the file as an Arrow table."""
    # pyarrow takes a while to load, and only calibration needs it
    from pyarrow import csv, feather, parquet

    if file.suffix == ".parquet":
        return parquet.read_table(file)
    if file.suffix == ".feather":
        return feather.read_table(file)
    return csv.read_csv(file)


def _split(
    file: Path, table: Any, wanted: Sequence[str], value: str, beside: Sequence[str], problems: list[Problem]
) -> dict[str, Columns]:
    """Return the rows of the wanted assets."""
    names = {
        kind: _pick(table.column_names, options) for kind, options in (("time", _TIME), ("asset", _ASSET))
    }
    names[value] = _pick(table.column_names, _VALUE[value])
    for kind, options in (("time", _TIME), (value, _VALUE[value])):
        if names[kind] is None:
            problems.append(
                Problem(
                    where=str(file),
                    expected=f"a column named {' or '.join(options)}",
                    got=f"columns {', '.join(table.column_names)}",
                    fix=f"rename the column that holds the {kind}",
                )
            )
    if names["time"] is None or names[value] is None:
        return {}
    times = _times(table[names["time"]])
    values = _numbers(table[names[value]])
    names |= {key: _pick(table.column_names, _VALUE[key]) for key in beside}
    others = {key: _numbers(table[names[key]]) for key in beside if names[key] is not None}
    for kind, read in (("time", times), (value, values), *others.items()):
        if read is None:
            problems.append(
                Problem(
                    where=f"{file}, column {names[kind]}",
                    expected="times in every row" if kind == "time" else "numbers",
                    got=f"{table[names[kind]].type} with {table[names[kind]].null_count} empty",
                    fix="write ISO 8601 or milliseconds since 1970"
                    if kind == "time"
                    else "remove what is no number",
                )
            )
    if times is None or values is None:
        return {}
    if names["asset"] is None:
        asset_of_code, codes = [_asset(file.name)], np.zeros(len(times), np.int64)
    else:
        encoded = table[names["asset"]].cast("string").combine_chunks().dictionary_encode()
        asset_of_code = [_asset(text or "") for text in encoded.dictionary.to_pylist()]
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    columns = {}
    for name in wanted:
        rows = np.flatnonzero(
            np.isin(codes, [code for code, asset in enumerate(asset_of_code) if asset == name])
        )
        if len(rows):
            mine = {key: numbers[rows] for key, numbers in others.items() if numbers is not None}
            columns[name] = Columns(str(file), times[rows], values[rows], rows + 1, mine)
        else:
            fix = nearest(name, sorted(set(asset_of_code)))
            problems.append(Problem(str(file), f"rows of {name}", "none", fix))
    return columns


def _pick(names: Sequence[str], options: Sequence[str]) -> str | None:
    return next((name for name in options if name in names), None)


def _times(column: Any) -> NDArray[np.datetime64] | None:
    """Return times in milliseconds UTC; None where they are no times."""
    import pyarrow as pa

    if column.null_count:
        return None
    if pa.types.is_integer(column.type):
        numbers = column.to_numpy().astype(np.int64)
        # seconds since 1970 reach 1e11 in the year 5138, milliseconds passed it in 1973
        seconds = len(numbers) > 0 and np.abs(numbers).max() < 10**11
        return np.asarray(numbers * (1000 if seconds else 1)).astype("datetime64[ms]")
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return np.asarray(column.to_numpy()).astype("datetime64[ms]")
    return None


def _numbers(column: Any) -> NDArray[np.float64] | None:
    """Return numbers with NaN for nulls; None where they are no numbers."""
    import pyarrow as pa

    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return np.asarray(column.cast("float64").to_numpy(), dtype=np.float64)
    return None


def _asset(text: str) -> str:
    """Return what stands before the first separator: BTC of BTC/USDT:USDT, BTC-USD or BTC_USDT-1h.feather."""
    return re.split(r"[/:_.\-]", text, maxsplit=1)[0]


def _asset_of(file: Path) -> str:
    return _asset(file.name)
