"""The snapshot's table: what it says, in what width, and which rows it leaves out."""

from __future__ import annotations

from io import StringIO
from itertools import takewhile

import pytest
from rich.console import Console

from pipeline.margin_snapshot import AccountMargin, margin_snapshot
from pipeline.margin_table import MOST_ROWS, margin_table
from pipeline.plan import plan_from_document
from tests.pipeline.documents import small_document
from tests.pipeline.pool_books import BRACKETS, tiered_venue


def printed(*accounts: AccountMargin) -> str:
    out = StringIO()
    Console(file=out, width=100).print(margin_table(accounts))
    return out.getvalue()


def account_of(collateral: float, *sizes: float, name: str = "desk") -> AccountMargin:
    document = small_document()
    marks = {"BTC-USD": 61_250.0, "ETH-USD": 3_020.0}
    positions = [
        {"market": market, "size": size, "entry": mark}
        for (market, mark), size in zip(marks.items(), sizes, strict=False)
    ]
    document["accounts"] = [{"name": name, "collateral": {"USDC": collateral}, "positions": positions}]
    return margin_snapshot(plan_from_document(document))[0]


def row_of(text: str, first: str) -> list[str]:
    return next(line.split() for line in text.splitlines() if line.startswith(f"{first} "))


def test_margin_table__figures_of_account_and_position() -> None:
    text = printed(account_of(1_000, 1, -10))
    # MM = 0.012 (61,250 + 30,200), IM = 0.02 of the same
    row = row_of(text, "desk")
    assert row == ["desk", "1,000", "1,829", "1,097", "−829", "0.91", "91.45x", "LIQUIDATABLE"]
    row = row_of(text, "BTC-USD")
    # 61,250 (1 + 97.4 / (61,250 x 0.988)); 61,250 (1 - 0.012 x 1,000 / 1,097.4)
    assert row[:6] == ["BTC-USD", "1", "61,250.00", "61,250", "735", "61,348.58"]
    assert row[6:] == ["−0.16", "−0.1", "60,580.24", "61,152.15"]


def test_margin_table__undefined_in_words_and_definitions_below() -> None:
    text = printed(account_of(100_000, 1))
    assert row_of(text, "BTC-USD")[5:] == ["undefined"] * 4
    for term in ("Liquidation price:", "Distance:", "daily standard deviations", "Bankruptcy price:"):
        assert term in " ".join(text.split())


def test_margin_table__states() -> None:
    said = {row_of(printed(account_of(collateral, 1)), "desk")[-1] for collateral in (2_000, 1_000, 700, -1)}
    assert said == {"stands", "CALL", "LIQUIDATABLE", "BANKRUPT"}


def test_margin_table__fits_a_hundred_columns_and_loses_no_digit() -> None:
    account = account_of(-9_876_543_210, 123_456.789, -987_654.321, name="a-name-longer-than-most-" * 3)
    text = printed(account)
    assert max(map(len, text.splitlines())) <= 100
    assert "…" not in text
    assert "−9,876,543,210" in text


def test_margin_table__names_are_no_markup() -> None:
    assert "[red]desk" in printed(account_of(1_000, 1, name="[red]desk"))


def test_margin_table__of_many_those_nearest_to_liquidation() -> None:
    count = MOST_ROWS + 20
    book = [account_of(2_000 + i, 1, name=f"desk{i}") for i in range(count - 2)]
    # one past it, and one so deep that no price of its own mends it
    book += [account_of(-70_000, -1, name="deep"), account_of(100, 1, name="past")]
    text = printed(*book)
    assert f"Positions: the {MOST_ROWS} of {count} nearest to liquidation; all of them with --json" in text
    assert f"Accounts: the {MOST_ROWS} of {count} with the lowest margin ratio" in text
    headings = {line.split()[0] for line in text.splitlines() if "cross margin, inline" in line}
    assert {"deep", "past", "desk0", f"desk{MOST_ROWS - 3}"} <= headings
    assert f"desk{MOST_ROWS - 2}" not in headings


def test_margin_table__of_many_a_bankrupt_account_without_positions() -> None:
    book = [account_of(2_000 + i, 1, name=f"desk{i}") for i in range(MOST_ROWS)]
    text = printed(*book, account_of(5, name="idle"), account_of(-5, name="owes"))
    assert row_of(text, "owes")[-1] == "BANKRUPT"
    assert "idle" not in text


def mixed_book(count: int = 1, size: float = 1.0) -> tuple[AccountMargin, ...]:
    """Two cross accounts under dydx_v4, and one on a tiered venue: two cross legs, and isolated pairs."""
    venue = tiered_venue({"BTCUSDT": {"asset": "BTC", "brackets": BRACKETS}}, {"BTC": 0.1})
    venue["markets"] |= {f"ETH{i}": {"asset": "ETH", "brackets": BRACKETS} for i in range(count)}
    alone = {"entry": 3_000, "margin": "isolated", "collateral": 5_000 * size}
    account = {
        "name": "hedge",
        "margin": "mixed",
        "venue": "tiers",
        "position_mode": "hedge",
        "collateral": {"USD": 20_000 * size, "BTC": 1.5 * size},
        "positions": [
            {"market": "BTCUSDT", "size": 20 * size, "entry": 60_000},
            {"market": "BTCUSDT", "size": -22 * size, "entry": 61_000},
            *({"market": f"ETH{i}", "size": 30 * size, **alone} for i in range(count)),
            *({"market": f"ETH{i}", "size": -30 * size, **alone} for i in range(count)),
        ],
    }
    document = small_document() | {"venues": {"tiers": venue}}
    return margin_snapshot(plan_from_document(document | {"accounts": [*document["accounts"], account]}))


def test_margin_table__pools_can_be_told_apart() -> None:
    text = printed(*mixed_book())
    accounts, rest = text.split("\nPools\n")
    pools, positions = rest.split("\nPositions\n")
    assert row_of(accounts, "hedge")[-1] == "CALL"
    # of accounts of one cross pool nothing more is to be said
    assert pools.startswith("hedge  mixed margin, tiers\n")
    assert "basis" not in pools
    assert [line.split()[:2] for line in pools.splitlines()[4:]] == [
        ["cross", "122,188"],  # 20,000 + 0.9 x 1.5 x 61,250 + 20 x 1,250 - 22 x 250
        ["ETH0", "long"],
        ["ETH0", "short"],
    ]
    hedge = positions.partition("hedge  mixed margin, tiers\n")[2]
    rows = [line.split()[:3] for line in hedge.splitlines() if line.startswith(("BTC", "ETH"))]
    assert rows == [
        ["BTCUSDT", "cross", "20"],
        ["BTCUSDT", "cross", "−22"],
        ["ETH0", "isolated", "30"],
        ["ETH0", "isolated", "−30"],
    ]
    assert "an isolated position is a pool of its own" in " ".join(text.split())


def test_margin_table__fillable_prices_only_where_there_are_any() -> None:
    """Where a pool is liquidatable, on the chain."""
    positions = printed(*mixed_book()).split("\nPositions\n")[1]
    cross, _, hedge = (part.partition("─")[0] for part in positions.split(" margin, ")[1:4])
    assert "fillable" not in cross + hedge
    assert "pool" not in cross
    assert "fillable" in printed(account_of(200, 1)).split("\nPositions\n")[1].partition("─")[0]


def test_margin_table__plain_cross_books_have_no_pools() -> None:
    text = printed(account_of(1_000, 1))
    assert "Pools" not in text
    assert "Pool:" not in text


def is_row(line: str) -> bool:
    return (
        line.startswith(("basis", "directional", "hedge", "cross", "BTC", "ETH")) and " margin, " not in line
    )


@pytest.mark.parametrize("size", [1.0, 1_000.0])
def test_margin_table__mixed_book_fits_a_hundred_columns(size: float) -> None:
    text = printed(*mixed_book(size=size))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    assert "…" not in text
    for number, line in enumerate(lines):
        if line.startswith("─"):
            # columns line up: every row below is as wide as its rule
            assert {len(row) for row in takewhile(is_row, lines[number + 1 :])} == {len(line)}


def test_margin_table__of_many_pools_those_with_the_lowest_ratio() -> None:
    text = printed(*mixed_book(count=60))
    assert f"Pools: the {MOST_ROWS} of 121 with the lowest margin ratio" in text
    assert f"Positions: the {MOST_ROWS} of 125 nearest to liquidation" in text


def test_margin_table__caps_have_a_row_each() -> None:
    document = small_document()
    account = document["accounts"][0] | {"collateral": {"USDC": 100_000}}
    account["caps"] = {"leverage": 2, "buckets": {"tactical": {"margin": 0.9}}}
    document["accounts"] = [account]
    text = printed(margin_snapshot(plan_from_document(document))[0])
    rows = [line.split() for line in text.splitlines() if line.startswith("basis ") and "Caps" in text]
    leverage, margin = rows[-2:]
    assert leverage[:3] == ["basis", "leverage", "2.00x"]
    assert leverage[-1] == "BROKEN"
    assert float(leverage[3].rstrip("x")) - 2.0 == pytest.approx(float(leverage[4].rstrip("x")), abs=0.011)
    assert margin[-1] == "kept"
    assert "Caps" not in printed(account_of(1_000, 1))
