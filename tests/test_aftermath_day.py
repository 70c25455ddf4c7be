"""The day worked by hand in docs/after-the-breach.md: the kernel's, and arithmetic's."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from kernels.journal import LIQUIDATED
from pipeline.plan import Plan, plan_from_document
from tests.kernels.test_resolve_by_oracle import journal_of, lowered
from tests.runs import ROOT

FALLS = {1: 0.02, 3: 0.03, 4: 0.01, 5: 0.025, 7: 0.02}  # by step, at its start
DAY = (0, 0, 0)  # scenario, account, leverage


def day_plan() -> Plan:
    """The plan that the page describes."""
    shocks: list[dict[str, Any]] = [
        {"effect": "shock", "at": f"{step}h", "moves": {"BTC": -fall}} for step, fall in FALLS.items()
    ]
    market = {
        "asset": "BTC",
        "initial_margin": 0.05,
        "maintenance_margin": 0.03,
        "execution": {"depth": 1_000_000, "impact": 0.01, "law": "linear"},
    }
    still = {"volatility": {"BTC": 0.0}, "correlation": [[1]], "funding": {"BTC": 0.0}}
    return plan_from_document(
        {
            "name": "day",
            "as_of": "2026-01-01T00:00:00Z",
            "simulation": {
                "seed": 1,
                "paths": 1,
                "step": "1h",
                "horizons": ["8h"],
                "leverage": [1],
                "monitoring": "close",
            },
            "venue": {
                "rules": "dydx_v4",
                "as_of": "2026-03-05",
                "taker_fee": 0.0005,
                "gas_cost": 1.0,
                "markets": {"BTC-USD": market},
            },
            "prices": {"BTC": 60_000},
            "model": {
                "step": "1h",
                "assets": ["BTC"],
                "initial": "stationary",
                "regimes": {"still": still},
                "transitions": {"still": {"still": 1.0}},
            },
            "scenarios": [
                {"name": "day", "narrative": "It falls.", "effects": shocks},
                "baseline",
            ],
            "accounts": [
                {
                    "name": "desk",
                    "collateral": {"USDC": 5_000},
                    "positions": [{"market": "BTC-USD", "size": 1, "entry": 60_000}],
                    "policies": [
                        {"kind": "ladder", "rungs": [{"below": 2.2, "close": 0.25}]},
                        {
                            "kind": "top_up",
                            "below": 1.8,
                            "amount": 1_000,
                            "reserve": 1_000,
                            "delay": "2h",
                        },
                    ],
                }
            ],
        }
    )


def day_table() -> list[list[float]]:
    """Hour, mark, size, equity, maintenance margin and ratio of the page's table."""
    text = (ROOT / "docs" / "after-the-breach.md").read_text()
    lines = text.split("<!-- day -->\n")[1].split("\n\n")[0].splitlines()[2:]
    return [[float(cell.replace(",", "")) for cell in line.strip("|").split("|")[:6]] for line in lines]


def work_by_hand() -> dict[int, tuple[float, ...]]:
    """The same from the page's formulae: mark, size, equity, maintenance and ratio by hour."""
    mark, size, cash, taken = 60_000.0, 1.0, -55_000.0, 0.0
    found = {}
    for step in range(8):
        mark *= 1.0 - FALLS.get(step, 0.0)
        if step == 1:  # the rung
            notional = 0.25 * mark
            cash += notional - 0.01 * notional**2 / 1e6 - 0.0005 * notional - 1.0
            size = 0.75
        if step == 6:  # the top-up
            cash += 1_000.0 - 1.0
        taken = 0.0
        while cash + size * mark < 0.03 * size * mark:
            equity = cash + size * mark
            sold = max(min(1_000.0, size * mark), 0.1 * size * mark) / mark
            slippage = 0.01 * ((taken + sold * mark) ** 2 - taken**2) / 1e6
            proceeds = sold * mark - slippage
            gain = proceeds - sold * (mark - equity / size)
            taken += sold * mark
            cash += proceeds - min(gain, 0.015 * proceeds)
            size -= sold
        equity, margin = cash + size * mark, 0.03 * size * mark
        found[step + 1] = (mark, size, equity, margin, equity / margin)
    return found


def test_day__by_hand_by_kernel_and_on_the_page() -> None:
    plan = day_plan()
    journal = journal_of(plan, lowered(plan), 0, DAY)
    by_hand = work_by_hand()
    table = day_table()
    assert len(table) == 7
    for hour, *shown in table:
        step = int(hour) - 1
        equity, margin, _ = journal.margin[step, 0]
        found = (journal.price[step, 0], journal.size[step].sum(), equity, margin, equity / margin)
        assert found == pytest.approx(by_hand[step + 1], rel=1e-9)
        assert [round(value, places) for value, places in zip(found, (2, 6, 2, 2, 3), strict=True)] == shown
    looks = [row for row in journal.events[: journal.written[0]] if row[2] == LIQUIDATED]
    assert {int(row[0]) for row in looks} == {5}
    assert len(looks) == 6
    assert all(after[4] / before[4] == pytest.approx(0.9) for before, after in pairwise(looks))
