"""Cross against isolated in the terminal: what is said, and how wide."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from pipeline.compare import BY_STRATEGY, ISOLATED, ONE_POOL, Comparison, EqualChance, Range
from pipeline.compare_table import MOST_ROWS, compare_table

EQUAL = EqualChance(
    0.0125,
    "7d",
    "baseline",
    50_000,
    {
        ONE_POOL: Range(60_000.0, 59_000.0, 61_000.0),
        BY_STRATEGY: Range(80_000.0, 79_000.0, None),
        ISOLATED: Range(120_000.0, 118_000.0, 123_000.0),
    },
)
DESK = Comparison(
    name="desk",
    committed=60_000.0,
    coins=False,
    pools={ONE_POOL: 1, BY_STRATEGY: 3, ISOLATED: 4},
    instant={ONE_POOL: 22_000.0, BY_STRATEGY: 23_000.0, ISOLATED: 25_000.0},
    maintenance={ONE_POOL: 11_000.0, BY_STRATEGY: 11_500.0, ISOLATED: 12_500.0},
    equal=EQUAL,
)


def printed(*comparisons: Comparison) -> list[str]:
    console = Console(width=100, file=StringIO())
    with console.capture() as capture:
        console.print(compare_table(comparisons))
    return capture.get().splitlines()


def row(lines: list[str], name: str) -> list[str]:
    """The words of the row of one way."""
    return next(line for line in lines if line.startswith(f"  {name} ")).removeprefix(f"  {name}").split()


def test_compare_table__a_row_for_each_way() -> None:
    lines = printed(DESK)
    assert row(lines, "cross") == ["1", "22,000", "12.0", "%", "11,000", "60,000", "50.0", "%"]
    assert row(lines, "by strategy") == ["3", "23,000", "8.0", "%", "11,500", "80,000", "33.3", "%"]
    assert row(lines, "isolated") == ["4", "25,000", "12,500", "120,000"]
    text = "\n".join(lines)
    for said in ("P = 1.25 %", "[59,000, 61,000]", "[79,000, …]", "[118,000, 123,000]"):
        assert said in text
    joined = " ".join(text.split())
    assert "within 7d under baseline, counted on the 50,000 paths" in joined
    assert "Equal probability is not equal loss" in joined
    assert "in coins is taken as cash" not in joined


def test_compare_table__without_a_cube_only_the_instant() -> None:
    text = "\n".join(printed(replace(DESK, equal=None)))
    assert "12.0 %" in text
    assert "equal P" not in text
    assert "P = " not in text


def test_compare_table__beyond_what_was_simulated() -> None:
    capital = {ONE_POOL: Range(60_000.0, 59_000.0, 61_000.0), ISOLATED: Range(None, 90_000.0, None)}
    both = {ONE_POOL: 1, ISOLATED: 4}
    lines = printed(replace(DESK, pools=both, equal=replace(EQUAL, capital=capital)))
    assert row(lines, "isolated")[-2:] == ["above", "90,000"]
    assert row(lines, "cross")[-1] == "–"


def test_compare_table__nothing_to_save_from_nothing() -> None:
    none = {ONE_POOL: 0.0, ISOLATED: 0.0}
    empty = Comparison("empty", 5.0, False, {ONE_POOL: 0, ISOLATED: 0}, none, none, None)
    lines = printed(DESK, empty)
    assert [line.split() for line in lines if line.startswith("  cross")][-1] == [
        *("cross", "0", "0", "–", "0", "–", "–")
    ]


def test_compare_table__coins_are_said_to_count_as_cash() -> None:
    assert "in coins is taken as cash" in " ".join("\n".join(printed(replace(DESK, coins=True))).split())


def test_compare_table__of_many_accounts_those_with_most_committed() -> None:
    many = [replace(DESK, name=f"desk-{n:03}", committed=float(n)) for n in range(MOST_ROWS + 1)]
    lines = printed(*many)
    assert f"the {MOST_ROWS} of {MOST_ROWS + 1} accounts" in lines[0]
    shown = [line.split()[0] for line in lines if line.startswith("desk-")]
    assert shown == [f"desk-{n:03}" for n in range(1, MOST_ROWS + 1)]


@pytest.mark.parametrize("factor", [1, 100_000])
def test_compare_table__at_most_100_columns(factor: int) -> None:
    capital = {
        way: Range(*(None if x is None else x * factor for x in r)) for way, r in EQUAL.capital.items()
    }
    big = replace(
        DESK,
        name="a-name-as-long-as-names-of-accounts-may-well-be",
        committed=DESK.committed * factor,
        instant={way: x * factor for way, x in DESK.instant.items()},
        maintenance={way: x * factor for way, x in DESK.maintenance.items()},
        equal=replace(EQUAL, capital=capital),
    )
    lines = printed(big)
    assert max(map(len, lines)) <= 100
    assert f"[{59_000 * factor:,}, {61_000 * factor:,}]" in "\n".join(lines)
