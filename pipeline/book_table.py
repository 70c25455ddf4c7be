"""A book as a table, CSV or Parquet: one position a row, turned into the accounts of a plan."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.errors import PlanError, Problem
from pipeline.faults import Loc, nearest, show
from pipeline.origin import Cells
from pipeline.yaml_text import MAX_BYTES

SUFFIXES = (".csv", ".parquet")
NEEDED = ("account", "market", "size", "entry", "collateral")
OPTIONAL = ("strategy", "bucket", "margin", "group")
MAX_ROWS = 100_000
_OF_POSITION = ("market", "size", "entry", "strategy", "bucket")
_OF_ACCOUNT = ("margin", "group")


class Table(NamedTuple):
    """Accounts as a plan's document has them, and the cell each value came from."""

    accounts: list[dict[str, Any]]
    cells: Cells


class _Row(NamedTuple):
    number: int
    values: Mapping[str, Any]


def load_book(path: Path, quote: str) -> Table:
    """The accounts in a table with the columns NEEDED and, if wanted, OPTIONAL; PlanError by row and column.

    `collateral` is the account's, in the quote currency: on one of its rows at least, and the same on all
    that have it. A row with no market, size and entry stands for an account without positions. Rows are
    counted as a spreadsheet does: the first below the header is row 2 (in Parquet, which has none, row 1).
    """
    rows = _load_csv(path) if path.suffix.lower() == ".csv" else _load_parquet(path)
    if not rows:
        raise PlanError([Problem(str(path), "at least one row", "none", "add a position")])
    return _Accounts(str(path), quote).read(rows)


def _load_csv(path: Path) -> list[_Row]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise PlanError([Problem(str(path), f"at most {MAX_BYTES:,} bytes", "more", "split the book")])
        lines = list(csv.reader(io.StringIO(path.read_text("utf-8-sig"), newline=""), strict=True))
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PlanError(
            [Problem(str(path), "a CSV file in UTF-8 that can be read", reason, "check the file")]
        ) from None
    header = [name.strip() for name in lines[0]] if lines else []
    _check_columns(path, header)
    problems = []
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        if not any(cell.strip() for cell in line):
            continue
        if len(line) != len(header):
            where = f"{path}: row {number}"
            problems.append(Problem(where, f"{len(header)} columns", f"{len(line)}", "add or remove commas"))
        rows.append(
            _Row(
                number, {name: _number(name, cell.strip()) for name, cell in zip(header, line, strict=False)}
            )
        )
    if problems:
        raise PlanError(problems)
    return rows


def _load_parquet(path: Path) -> list[_Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        _check_columns(path, file.schema_arrow.names)
        if file.metadata.num_rows > MAX_ROWS:
            raise PlanError([Problem(str(path), f"at most {MAX_ROWS:,} rows", "more", "split the book")])
        records = file.read().to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise PlanError(
            [Problem(str(path), "a Parquet file that can be read", str(error), "check the file")]
        ) from None
    return [_Row(number, record) for number, record in enumerate(records, start=1)]


def _check_columns(path: Path, header: list[str]) -> None:
    known = (*NEEDED, *OPTIONAL)
    problems = [
        Problem(f"{path}: column {name}", "a known column", show(name), nearest(name, known))
        for name in header
        if name not in known
    ]
    problems += [
        Problem(
            f"{path}: column {name}",
            "the column",
            "none of that name",
            f"add it; needed are {', '.join(NEEDED)}",
        )
        for name in NEEDED
        if name not in header
    ]
    problems += [
        Problem(f"{path}: column {name}", "each column once", f"{header.count(name)}", "remove or rename one")
        for name in sorted(set(header))
        if header.count(name) > 1
    ]
    if problems:
        raise PlanError(problems)


def _number(column: str, cell: str) -> Any:
    """A cell of a column of numbers as a number, where it is one: a CSV file knows no types."""
    if column not in ("size", "entry", "collateral"):
        return cell
    try:
        return float(cell)
    except ValueError:
        return cell


class _Accounts:
    """Accounts being put together from rows."""

    def __init__(self, name: str, quote: str) -> None:
        self.name, self.quote = name, quote
        self.accounts: dict[Any, dict[str, Any]] = {}
        self.places: dict[Loc, str] = {}
        self.problems: list[Problem] = []

    def read(self, rows: list[_Row]) -> Table:
        for row in rows:
            self._take(row)
        for index, (name, account) in enumerate(self.accounts.items()):
            if not account["collateral"]:
                where = f"{self.name}: {self.places[('accounts', index)]}, column collateral"
                got = f"none on any row of {show(name)}"
                self.problems.append(
                    Problem(where, "the account's collateral", got, "fill it in on one of its rows")
                )
        if self.problems:
            raise PlanError(self.problems)
        places = {loc[1:]: place for loc, place in self.places.items()}
        return Table(list(self.accounts.values()), Cells(self.name, places))

    def _take(self, row: _Row) -> None:
        filled = {column: value for column, value in row.values.items() if value is not None and value != ""}
        name = filled.get("account")
        if not isinstance(name, str):
            where = f"{self.name}: row {row.number}, column account"
            self.problems.append(Problem(where, "the name of an account", show(name), "fill it in"))
            return
        if name not in self.accounts:
            self.places[("accounts", len(self.accounts))] = f"row {row.number}"
            self.accounts[name] = {"name": name, "collateral": {}, "positions": []}
        loc: Loc = ("accounts", list(self.accounts).index(name))
        account = self.accounts[name]
        self.places.setdefault((*loc, "name"), f"row {row.number}, column account")
        if "collateral" in filled:
            self._agree(
                row,
                "collateral",
                account["collateral"],
                self.quote,
                filled["collateral"],
                (*loc, "collateral"),
            )
        for column in _OF_ACCOUNT:
            if column in filled:
                self._agree(row, column, account, column, filled[column], loc)
        position = {column: filled[column] for column in _OF_POSITION if column in filled}
        if position:
            place: Loc = (*loc, "positions", len(account["positions"]))
            self.places[place] = f"row {row.number}"
            self.places.update(
                {(*place, column): f"row {row.number}, column {column}" for column in _OF_POSITION}
            )
            account["positions"].append(position)

    def _agree(self, row: _Row, column: str, holder: dict[str, Any], key: str, value: Any, loc: Loc) -> None:
        """Set what belongs to the whole account; a row that contradicts an earlier one is refused."""
        where = f"row {row.number}, column {column}"
        if key in holder and holder[key] != value:
            expected = f"{show(holder[key])}, as on an earlier row of the account"
            self.problems.append(
                Problem(f"{self.name}: {where}", expected, show(value), "make them equal, or leave it blank")
            )
        holder.setdefault(key, value)
        self.places.setdefault((*loc, key), where)
