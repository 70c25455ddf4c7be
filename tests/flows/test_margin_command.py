"""`seawall margin`, as a person and as a program meet it."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from time import process_time
from typing import Any

import pytest

from flows import cli
from pipeline.margin_snapshot import margin_snapshot
from pipeline.plan import plan_from_document
from tests.pipeline.pool_books import BRACKETS, tiered_venue
from tests.runs import hit_document, write_plan
from tests.test_layout import HEAVY, call_naming_modules


def worked_document() -> dict[str, Any]:
    """10 BTC long at 60,000 and 200 ETH short at 3,000 on 13,400: maintenance is 14,400."""
    document = hit_document()
    document["prices"] = {"BTC": 60_000, "ETH": 3_000}
    document["accounts"] = [
        {
            "name": "desk",
            "collateral": {"USDC": 13_400},
            "positions": [
                {"market": "BTC-USD", "size": 10, "entry": 60_000},
                {"market": "ETH-USD", "size": -200, "entry": 3_000},
            ],
        }
    ]
    document["limits"] = []
    return document


def wide_document(count: int) -> dict[str, Any]:
    """One account with so many positions, each in a market of its own."""
    document = worked_document()
    market = {"asset": "BTC", "initial_margin": 0.02, "maintenance_margin": 0.012}
    document["venue"] = {
        "rules": "dydx_v4",
        "as_of": "2026-03-05",
        "markets": {f"M{i}-USD": market for i in range(count)},
    }
    document["accounts"][0]["positions"] = [
        {"market": f"M{i}-USD", "size": 1 - 2 * (i % 2), "entry": 60_000} for i in range(count)
    ]
    return document


def wide_tiered_document(count: int) -> dict[str, Any]:
    """One account with that many positions on a tiered venue, three brackets each, and BTC as collateral."""
    document = wide_document(count)
    market = {"asset": "BTC", "brackets": BRACKETS}
    document["venue"] = tiered_venue({f"M{i}-USD": market for i in range(count)}, {"BTC": 0.05})
    document["accounts"][0]["collateral"] = {"USD": 1e6, "BTC": 2}
    return document


def long_document(document: dict[str, Any], count: int) -> dict[str, Any]:
    """So many accounts instead of one, each with the first two of its positions."""
    (account,) = document["accounts"]
    account["positions"] = account["positions"][:2]
    document["accounts"] = [account | {"name": f"desk{i}"} for i in range(count)]
    return document


LARGE = {
    "positions under dydx_v4": lambda: wide_document(1_000),
    "positions on brackets": lambda: wide_tiered_document(1_000),
    "accounts under dydx_v4": lambda: long_document(wide_document(2), 1_000),
    "accounts on brackets": lambda: long_document(wide_tiered_document(2), 1_000),
}


def margin(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(["margin", *map(str, arguments)])
    return int(ended.value.code or 0)


def seconds_of_cpu() -> float:
    """What this process's children have used so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_margin__json_is_one_object_with_these_keys(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert margin(write_plan(tmp_path, worked_document()), "--json") == 0
    out, err = capsys.readouterr()
    assert (out.count("\n"), err) == (1, "warning: funding is not modelled in regime crisis\n")
    result = json.loads(out)
    assert list(result) == ["accounts"]
    (account,) = result["accounts"]
    assert list(account) == [
        *("name", "equity", "initial_margin", "maintenance_margin", "free_collateral", "margin_ratio"),
        *("leverage", "liquidatable", "bankrupt", "venue", "group", "fee_tier", "margin", "taker_fee"),
        *("pools", "positions", "caps"),
    ]
    assert [list(position) for position in account["positions"]] == [
        [
            *("market", "pool", "size", "mark", "notional", "initial_margin", "maintenance_margin"),
            *("liquidation_price", "distance_percent", "distance_daily_sd"),
            *("bankruptcy_price", "fillable_price"),
        ]
    ] * 2
    (pool,) = account["pools"]
    assert {key: account[key] for key in pool if key != "name"} | {"name": "cross"} == pool
    assert (account["name"], account["liquidatable"], account["bankrupt"]) == ("desk", True, False)
    assert account["equity"] == 13_400
    assert account["maintenance_margin"] == pytest.approx(14_400)
    btc, eth = account["positions"]
    assert btc["liquidation_price"] == pytest.approx(60_101.2146, abs=5e-5)
    assert (btc["bankruptcy_price"], eth["bankruptcy_price"]) == pytest.approx((59_330, 3_033.5))
    assert (btc["fillable_price"], eth["fillable_price"]) == pytest.approx((59_925, 3_003.75))


def test_margin__json_has_null_where_there_is_no_such_price(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    document = worked_document()
    document["accounts"][0] |= {"collateral": {"USDC": 1e6}}
    assert margin(write_plan(tmp_path, document), "--json") == 0
    btc = json.loads(capsys.readouterr().out)["accounts"][0]["positions"][0]
    undefined = ("liquidation_price", "distance_percent", "distance_daily_sd", "fillable_price")
    assert [btc[key] for key in undefined] == [None] * 4


def test_margin__table_on_stdout(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert margin(write_plan(tmp_path, worked_document())) == 0
    out, err = capsys.readouterr()
    assert err == "warning: funding is not modelled in regime crisis\n"
    for said in ("LIQUIDATABLE", "60,101.21", "59,330.00", "3,033.50", "59,925.00", "3,003.75"):
        assert said in out
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_margin__bad_plan_is_told_in_full(
    options: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    document = worked_document()
    document["simulation"]["paths"] = 0
    document["accounts"][0]["positions"][1]["market"] = "ETH-EUR"
    assert margin(write_plan(tmp_path, document), *options) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "2 problems" in err
    assert "ETH-EUR" in err
    assert "Traceback" not in err


def seconds_of_a_command(*arguments: str) -> tuple[float, str, set[str]]:
    """CPU of a `seawall` process, the better of two; what it printed, and the packages it imported."""
    spent = []
    for _ in range(2):
        before = seconds_of_cpu()
        printed, imported = call_naming_modules(*arguments)
        spent.append(seconds_of_cpu() - before)
    return min(spent), printed, imported


@pytest.mark.parametrize("kind", LARGE)
def test_margin__a_thousand_within_a_second_and_nothing_heavy(kind: str, tmp_path: Path) -> None:
    plan = write_plan(tmp_path, LARGE[kind]())
    spent, printed, imported = seconds_of_a_command("margin", str(plan), "--json")
    assert ("M999-USD" if "positions" in kind else "desk999") in printed
    assert imported.isdisjoint(HEAVY)
    assert spent < 1.0, f"{spent:.2f} s of CPU"


def test_margin__table_of_a_thousand_within_a_second(tmp_path: Path) -> None:
    plan = write_plan(tmp_path, wide_tiered_document(1_000))
    spent, printed, imported = seconds_of_a_command("margin", str(plan))
    assert "the 100 of 1,000 nearest" in printed
    assert imported.isdisjoint(HEAVY)
    assert spent < 1.0, f"{spent:.2f} s of CPU"


@pytest.mark.parametrize("kind", LARGE)
def test_compare__a_thousand_within_a_second_and_nothing_heavy(kind: str, tmp_path: Path) -> None:
    plan = write_plan(tmp_path, LARGE[kind]())
    options = ("--compare", "--json", "--store", str(tmp_path / "none"))
    spent, printed, imported = seconds_of_a_command("margin", str(plan), *options)
    assert ("M999-USD" if "positions" in kind else "desk999") in printed
    assert imported.isdisjoint(HEAVY)
    assert spent < 1.0, f"{spent:.2f} s of CPU"


@pytest.mark.parametrize("kind", LARGE)
def test_margin_snapshot__a_thousand_in_a_third_of_a_second(kind: str) -> None:
    plan = plan_from_document(LARGE[kind]())
    spent = []
    for _ in range(3):
        before = process_time()
        accounts = margin_snapshot(plan)
        spent.append(process_time() - before)
    assert sum(len(account.positions) for account in accounts) >= 1_000
    assert min(spent) < 0.3, f"{min(spent):.2f} s of CPU"
