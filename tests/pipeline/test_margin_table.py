"""The snapshot's table: what it says, in what width, and which rows it leaves out."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from pipeline.margin_snapshot import AccountMargin, margin_snapshot
from pipeline.margin_table import MOST_ROWS, margin_table
from pipeline.plan import plan_from_document
from tests.pipeline.documents import small_document


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
    assert row_of(text, "BTC-USD")[5:] == ["undefined"] * 5
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
    lines = text.splitlines()
    assert {"deep", "past", "desk0", f"desk{MOST_ROWS - 3}"} <= set(lines)
    assert f"desk{MOST_ROWS - 2}" not in lines
