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
OPTIONAL = (
    *("strategy", "bucket", "position_margin", "isolated_collateral", "leverage"),
    *("margin", "group", "venue", "fee_tier", "position_mode"),
)
MAX_ROWS = 100_000
# by column, the key of a position that it fills
_OF_POSITION = {
    **{key: key for key in ("market", "size", "entry", "strategy", "bucket", "leverage")},
    "position_margin": "margin",
    "isolated_collateral": "collateral",
}
_OF_ACCOUNT = ("collateral", "margin", "group", "venue", "fee_tier", "position_mode")
_NUMBERS = ("size", "entry", "collateral", "isolated_collateral", "leverage")


class Table(NamedTuple):
    """Accounts as a plan's document has them, and the cell each value came from.

    But `collateral` is an amount still, in the quote currency of the account's venue.
    """

    accounts: list[dict[str, Any]]
    cells: Cells


class _Row(NamedTuple):
    number: int
    values: Mapping[str, Any]


def load_book(path: Path) -> Table:
    """The accounts in a table with the columns NEEDED and, if wanted, OPTIONAL; PlanError by row and column.

    `collateral`, `margin`, `group`, `venue`, `fee_tier` and `position_mode` are the account's: on one of its
    rows at least (an isolated account needs no collateral), and the same on all that have them.
    `isolated_collateral`, `position_margin` and `leverage` are the position's. A row with no market, size and
    entry stands for an account without positions. Rows are counted as a spreadsheet does: the first below the
    header is row 2 (in Parquet, which has none, row 1).
    """
    rows = _load_csv(path) if path.suffix.lower() == ".csv" else _load_parquet(path)
    if not rows:
        raise PlanError([Problem(str(path), "at least one row", "none", "add a position")])
    return _Accounts(str(path)).read(rows)


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
    if column not in _NUMBERS:
        return cell
    try:
        return float(cell)
    except ValueError:
        return cell


class _Accounts:
    """Accounts being put together from rows."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.accounts: list[dict[str, Any]] = []
        self.index: dict[str, int] = {}
        self.places: dict[Loc, str] = {}
        self.problems: list[Problem] = []

    def read(self, rows: list[_Row]) -> Table:
        for row in rows:
            self._take(row)
        for i, account in enumerate(self.accounts):
            if "collateral" not in account and account.get("margin") != "isolated":
                where = f"{self.name}: {self.places[(i,)]}, column collateral"
                got = f"none on any row of {show(account['name'])}"
                self.problems.append(
                    Problem(where, "the account's collateral", got, "fill it in on one of its rows")
                )
        if self.problems:
            raise PlanError(self.problems)
        return Table(self.accounts, Cells(self.name, self.places))

    def _take(self, row: _Row) -> None:
        filled = {column: value for column, value in row.values.items() if value is not None and value != ""}
        name = filled.get("account")
        if not isinstance(name, str):
            where = f"{self.name}: row {row.number}, column account"
            self.problems.append(Problem(where, "the name of an account", show(name), "fill it in"))
            return
        if name not in self.index:
            self.index[name] = len(self.accounts)
            self.accounts.append({"name": name, "positions": []})
            self.places[(self.index[name],)] = f"row {row.number}"
            self.places[(self.index[name], "name")] = f"row {row.number}, column account"
        i = self.index[name]
        for column in _OF_ACCOUNT:
            if column in filled:
                self._agree(row, column, i, filled[column])
        positions = self.accounts[i]["positions"]
        position = {key: filled[column] for column, key in _OF_POSITION.items() if column in filled}
        if position:
            place: Loc = (i, "positions", len(positions))
            self.places[place] = f"row {row.number}"
            for column, key in _OF_POSITION.items():
                self.places[(*place, key)] = f"row {row.number}, column {column}"
            positions.append(position)

    def _agree(self, row: _Row, column: str, i: int, value: Any) -> None:
        """Set what belongs to the whole account; a row that contradicts an earlier one is refused."""
        account = self.accounts[i]
        where = f"row {row.number}, column {column}"
        if column in account and account[column] != value:
            expected = f"{show(account[column])}, as on an earlier row of the account"
            self.problems.append(
                Problem(f"{self.name}: {where}", expected, show(value), "make them equal, or leave it blank")
            )
        account.setdefault(column, value)
        self.places.setdefault((i, column), where)
