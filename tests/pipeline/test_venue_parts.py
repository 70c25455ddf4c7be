"""Where the venues of accounts are found, and under which key they are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.errors import PlanError
from pipeline.plan import Plan, plan_from_document
from tests.pipeline.documents import spoil, tiered_document, tiered_venue

VENUE = ("accounts", 1, "venue")


def refused(document: dict[str, Any], base: Path = Path()) -> dict[str, str]:
    with pytest.raises(PlanError) as caught:
        plan_from_document(document, base)
    return {problem.where: str(problem) for problem in caught.value.problems}


def shipped_document(*names: str | None) -> dict[str, Any]:
    """A plan on a shipped venue with an account on each of these."""
    document = tiered_document()
    position = {"market": "BTC-USD", "size": 1, "entry": 60_000}
    document["venue"] = "dydx-v4-2026-03"
    document["accounts"] = [
        {"name": f"a{i}", "collateral": {"USDC": 1_000}, "positions": [position], "venue": name}
        for i, name in enumerate(names)
    ]
    del document["limits"], document["venues"]
    return document


@pytest.mark.parametrize("way", ["key", "key of a path", "path", "inline", "inline, key elsewhere"])
def test_place__one_venue_in_every_way(tmp_path: Path, way: str) -> None:
    (tmp_path / "bracketed.yaml").write_text(yaml.safe_dump(tiered_venue()))
    document = tiered_document()
    if way == "key of a path":
        document["venues"] = {"bracketed": "bracketed.yaml"}
    elif way == "path":
        del document["venues"]
        document["accounts"][1]["venue"] = "bracketed.yaml"
    elif way.startswith("inline"):
        document["accounts"][1]["venue"] = tiered_venue()
        if way == "inline":
            del document["venues"]
    plan = plan_from_document(document, tmp_path)
    assert plan == plan_from_document(tiered_document())
    assert list(plan.venues) == ["bracketed"]
    assert plan.venue_of(plan.accounts[0]) is plan.venue
    assert plan.venue_of(plan.accounts[1]).quote == "USDT"


def test_place__shipped_once() -> None:
    plan = plan_from_document(shipped_document("dydx-v4-2023-10", None, "dydx-v4-2023-10", "dydx-v4-2026-03"))
    assert list(plan.venues) == ["dydx-v4-2023-10"]
    # the last one names the plan's own
    assert [account.venue for account in plan.accounts] == ["dydx-v4-2023-10", None, "dydx-v4-2023-10", None]


def test_place__key_before_what_is_shipped() -> None:
    document = spoil(tiered_document(), ("venues",), {"dydx-v4-2026-03": tiered_venue()})
    document["accounts"][1]["venue"] = "dydx-v4-2026-03"
    plan = plan_from_document(document)
    assert plan.accounts[1].venue == "dydx-v4-2026-03"
    assert plan.venue_of(plan.accounts[1]).name == "bracketed"


def test_place__key_is_the_name_of_an_inline_venue() -> None:
    document = tiered_document()
    del document["venues"]["bracketed"]["name"]
    assert plan_from_document(document).venues["bracketed"].name == "bracketed"


@pytest.mark.parametrize("of_plan", [True, False])
def test_place__two_venues_under_one_name(of_plan: bool) -> None:
    document = tiered_document()
    if of_plan:
        document["venue"]["name"] = "bracketed"
        document["venues"] = {}
    document["accounts"][1]["venue"] = tiered_venue() | {"taker_fee": 0.001}
    ((where, text),) = refused(document).items()
    assert where == "plan: accounts[1].venue"
    assert "one venue by the name `bracketed`" in text
    assert "give each a `name:` of its own" in text


def test_place__key_that_another_venue_has() -> None:
    document = tiered_document()
    document["venues"] = {"other": tiered_venue() | {"name": "first"}}
    document["accounts"][1]["venue"] = tiered_venue() | {"name": "other"}
    assert list(refused(document)) == ["plan: accounts[1].venue"]


def test_venue_parts__two_of_the_plans_own_under_one_name() -> None:
    document = tiered_document()
    document["venues"]["other"] = tiered_venue() | {"taker_fee": 0.001}
    assert list(refused(document)) == ["plan: venues.other"]


def test_venue_parts__without_a_name_two_inline_ones_clash() -> None:
    document = tiered_document()
    del document["venues"]
    document["accounts"][1]["venue"] = {key: value for key, value in tiered_venue().items() if key != "name"}
    assert "one venue by the name `inline`" in refused(document)["plan: accounts[1].venue"]


def test_place__names_where_an_inline_venue_was_written() -> None:
    document = tiered_document()
    del document["venues"]
    document["accounts"][1]["venue"] = spoil(tiered_venue(), ("markets", "ETHUSDT", "asset"), ...)
    assert list(refused(document)) == ["plan: accounts[1].venue.markets.ETHUSDT.asset"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("bracketd", "a key of `venues`, a shipped venue, a path that ends in .yaml"),
        ("missing.yaml", "a file that can be read"),
        (["bracketed"], "write a mapping, a path"),
    ],
)
def test_place__unread_venue_is_the_only_problem(tmp_path: Path, value: Any, words: str) -> None:
    document = spoil(tiered_document(), VENUE, value)
    document["accounts"][0]["positions"], document["prices"] = [], {"ETH": 3_020}  # and none of the BTC held
    ((_, text),) = refused(document, tmp_path).items()
    assert words in text


def test_place__every_account_that_names_no_venue() -> None:
    document = shipped_document("dydx", "dydx-v4-2026-03", "dydx")
    assert list(refused(document)) == ["plan: accounts[0].venue", "plan: accounts[2].venue"]


def test_place__file_that_holds_no_venue(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("- 1\n")
    document = spoil(tiered_document(), VENUE, "list.yaml")
    assert list(refused(document, tmp_path)) == ["plan: accounts[1].venue"]


def test_document__reads_back_equal_with_venues() -> None:
    plan = plan_from_document(tiered_document())
    text = json.dumps(plan.document(), allow_nan=False)
    again: Plan = plan_from_document(json.loads(text))
    assert again == plan
    assert json.dumps(again.document()) == text


def test_document__order_of_venues_means_nothing() -> None:
    document = tiered_document()
    document["venues"] = {"also": tiered_venue() | {"name": "also"}, **document["venues"]}
    reordered = {**document, "venues": dict(reversed(document["venues"].items()))}
    texts = {json.dumps(plan_from_document(each).document()) for each in (document, reordered)}
    assert len(texts) == 1


def test_load_plan__book_in_csv_on_several_venues(tmp_path: Path) -> None:
    document = tiered_document()
    document["accounts"][1]["collateral"] = {"USDT": 20_000}
    (tmp_path / "book.csv").write_text(
        "account,market,size,entry,collateral,venue,margin,fee_tier,position_mode,leverage,position_margin,"
        "isolated_collateral,strategy,bucket\n"
        "basis,BTC-USD,4,60100,100000,,,,,,,,carry,\n"
        "basis,ETH-USD,-70,3105,,,,,,,,,,tactical\n"
        "hedger,BTCUSDT,2,61000,20000,,mixed,,hedge,20,,,,\n"
        "hedger,BTCUSDT,-1,60000,,bracketed,,vip,,,,,,\n"
        "hedger,ETHUSDT,5,3000,,,,,,,isolated,2000,,\n"
    )
    plan = plan_from_document(document | {"accounts": "book.csv"}, tmp_path)
    assert plan == plan_from_document(document)


@pytest.mark.parametrize(
    ("cells", "where", "words"),
    [
        ("ETHUSDT,5,3000,1,bracketd,,", "row 2, column venue", "did you mean `bracketed`?"),
        (
            "ETHUSDT,5,3000,1,bracketed,isolated,",
            "row 2, column isolated_collateral",
            "the position is isolated",
        ),
        ("ETHUSDT,5,3000,1,bracketed,isolate,1", "row 2, column position_margin", "did you mean `isolated`?"),
        ("ETHUSDT,5,3000,many,bracketed,,", "row 2, column collateral", "a number"),
        ("ETHUSDT,5,3000,1,bracketed,,9", "row 2, column isolated_collateral", "shares the account's"),
    ],
)
def test_load_plan__names_row_and_column_of_new_columns(
    tmp_path: Path, cells: str, where: str, words: str
) -> None:
    header = "account,market,size,entry,collateral,venue,position_margin,isolated_collateral\n"
    (tmp_path / "book.csv").write_text(f"{header}hedger,{cells}\n")
    document = tiered_document() | {"accounts": "book.csv", "limits": []}
    problems = refused(document, tmp_path)
    assert words in problems[f"{tmp_path / 'book.csv'}: {where}"]


def test_load_plan__prices_from_a_file_for_every_venue(tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text(
        "ts,symbol,close\n2026-05-14T22:00:00Z,BTC,61250\n2026-05-14T23:00:00Z,BTC,61250\n"
        "2026-05-14T22:00:00Z,ETH,3020\n2026-05-14T23:00:00Z,ETH,3020\n"
    )
    document = tiered_document() | {"prices": {"file": "bars.csv"}}
    document["accounts"] = document["accounts"][1:]
    document["limits"] = []
    assert set(plan_from_document(document, tmp_path).prices) == {"BTC", "ETH"}
    document["accounts"][0]["positions"] = []
    assert set(plan_from_document(document, tmp_path).prices) == {"BTC"}  # its collateral
