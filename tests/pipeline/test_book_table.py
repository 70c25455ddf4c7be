"""A book as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.book_table import load_book
from pipeline.errors import PlanError

HEADER = "account,market,size,entry,collateral\n"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "book.csv"
    path.write_text(text)
    return path


def refused(tmp_path: Path, text: str) -> dict[str, str]:
    path = write(tmp_path, text)
    with pytest.raises(PlanError) as caught:
        load_book(path)
    return {
        problem.where.removeprefix(str(path)).removeprefix(": "): str(problem)
        for problem in caught.value.problems
    }


def test_load_book__accounts_in_order_of_rows(tmp_path: Path) -> None:
    text = HEADER + "b,BTC-USD,1,60000,100\na,ETH-USD,-2,3000,50\n\nb,ETH-USD,3e0,3000,\n"
    assert load_book(write(tmp_path, text)).accounts == [
        {
            "name": "b",
            "collateral": 100.0,
            "positions": [
                {"market": "BTC-USD", "size": 1.0, "entry": 60000.0},
                {"market": "ETH-USD", "size": 3.0, "entry": 3000.0},
            ],
        },
        {
            "name": "a",
            "collateral": 50.0,
            "positions": [{"market": "ETH-USD", "size": -2.0, "entry": 3000.0}],
        },
    ]


def test_load_book__account_without_positions(tmp_path: Path) -> None:
    (account,) = load_book(write(tmp_path, HEADER + "idle,,,,100\n")).accounts
    assert account == {"name": "idle", "collateral": 100.0, "positions": []}


def test_load_book__isolated_account_needs_no_collateral(tmp_path: Path) -> None:
    header = "account,market,size,entry,collateral,margin,isolated_collateral,leverage\n"
    (account,) = load_book(write(tmp_path, header + "a,BTC-USD,1,60000,,isolated,500,20\n")).accounts
    position = {"market": "BTC-USD", "size": 1.0, "entry": 60000.0, "collateral": 500.0, "leverage": 20.0}
    assert account == {"name": "a", "margin": "isolated", "positions": [position]}


def test_load_book__parquet(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {
            "account": "a",
            "market": "BTC-USD",
            "size": 1.0,
            "entry": 60000.0,
            "collateral": 100.0,
            "group": "g",
        },
        {
            "account": "a",
            "market": "ETH-USD",
            "size": 2.0,
            "entry": 3000.0,
            "collateral": None,
            "group": None,
        },
    ]
    path = tmp_path / "book.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    table = load_book(path)
    assert table.accounts == [
        {
            "name": "a",
            "collateral": 100.0,
            "group": "g",
            "positions": [
                {"market": "BTC-USD", "size": 1.0, "entry": 60000.0},
                {"market": "ETH-USD", "size": 2.0, "entry": 3000.0},
            ],
        }
    ]
    assert table.cells.where((0, "positions", 1, "size")) == f"{path}: row 2, column size"


def test_load_book__refuses_columns(tmp_path: Path) -> None:
    found = refused(tmp_path, "account,market,sise,entry,entry,collateral\na,BTC-USD,1,1,1,1\n")
    assert found.keys() == {"column sise", "column size", "column entry"}
    assert "did you mean `size`?" in found["column sise"]


@pytest.mark.parametrize(
    ("rows", "where", "words"),
    [
        ("a,BTC-USD,1,60000,100\n,ETH-USD,1,3000,\n", "row 3, column account", "the name of an account"),
        ("a,BTC-USD,1,60000,\na,ETH-USD,1,3000,\n", "row 2, column collateral", "none on any row of `a`"),
        ("a,BTC-USD,1,60000,5\na,ETH-USD,1,3000,6\n", "row 3, column collateral", "make them equal"),
        ("a,BTC-USD,1,60000,5,9\n", "row 2", "5 columns"),
    ],
)
def test_load_book__refuses_rows(tmp_path: Path, rows: str, where: str, words: str) -> None:
    found = refused(tmp_path, HEADER + rows)
    assert list(found) == [where]
    assert words in found[where]


@pytest.mark.parametrize("text", ["", HEADER, 'account,"market\n'])
def test_load_book__refuses_what_holds_no_book(tmp_path: Path, text: str) -> None:
    assert refused(tmp_path, text)


@pytest.mark.parametrize("name", ["missing.csv", "missing.parquet", "broken.parquet", "bytes.csv"])
def test_load_book__refuses_unreadable_files(tmp_path: Path, name: str) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and then nothing")
    (tmp_path / "bytes.csv").write_bytes(b"account\xff\xfe")
    with pytest.raises(PlanError, match="check the file"):
        load_book(tmp_path / name)
