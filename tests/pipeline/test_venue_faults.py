"""Venues that are refused, with the row named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.errors import PlanError, Problem
from pipeline.plan import plan_from_document
from pipeline.venue_completion import complete_venue
from pipeline.venue_faults import find_venue_faults
from tests.pipeline.documents import small_document, spoil, tiered_document, tiered_venue

MARKET = ("markets", "BTCUSDT")
BRACKETS = (*MARKET, "brackets")
TIERS = {
    "large": {"initial_margin": 0.02, "maintenance_fraction": 0.6},
    "small": {
        "initial_margin": 0.1,
        "maintenance_fraction": 0.5,
        "open_interest_lower_cap": 20e6,
        "open_interest_upper_cap": 50e6,
    },
}


def dydx_document() -> dict[str, Any]:
    document = small_document()
    document["venue"]["tiers"] = {name: dict(tier) for name, tier in TIERS.items()}
    document["venue"]["markets"]["BTC-USD"] = {"asset": "BTC", "tier": "large"}
    return document


def refused(document: dict[str, Any], base: Path = Path()) -> Problem:
    with pytest.raises(PlanError) as caught:
        plan_from_document(document, base)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("path", "value", "where", "words"),
    [
        # brackets
        ((*BRACKETS,), [], "BTCUSDT.brackets", "at least 1 bracket, or `initial_margin`"),
        ((*BRACKETS,), ..., "BTCUSDT.brackets", "at least 1 bracket"),
        ((*BRACKETS,), 3, "BTCUSDT.brackets", "a list"),
        ((*BRACKETS, 1, "up_to"), 10_000, "BTCUSDT.brackets[1].up_to", "ascending order: above 10,000"),
        ((*BRACKETS, 1, "up_to"), ..., "BTCUSDT.brackets[1].up_to", "only the last one may have none"),
        ((*BRACKETS, 1, "up_to"), -1, "BTCUSDT.brackets[1].up_to", "above 0"),
        ((*BRACKETS, 1, "maintenance_margin"), 0.004, "brackets[1].maintenance_margin", "never falls"),
        (
            (*BRACKETS, 1, "maintenance_margin"),
            ...,
            "brackets[1].maintenance_margin",
            "add `maintenance_margin:`",
        ),
        (
            (*BRACKETS, 3, "maintenance_margin"),
            0.05,
            "brackets[3].maintenance_margin",
            "1 / max_leverage = 0.04",
        ),
        ((*BRACKETS, 1, "max_leverage"), 80, "brackets[1].max_leverage", "bracket before, 75"),
        ((*BRACKETS, 1, "max_leverage"), 0.5, "brackets[1].max_leverage", "at least 1"),
        ((*BRACKETS, 0, "cum"), 1, "BTCUSDT.brackets[0].cum", "0, as it is the first bracket"),
        ((*BRACKETS, 3, "cum"), 1_299, "brackets[3].cum", "1,300, as margin is continuous: 300 + 200,000 x"),
        ((*BRACKETS, 3, "cum"), 1_300.01, "brackets[3].cum", "1,300.01"),
        ((*BRACKETS, 2, "cum"), -1, "brackets[2].cum", "at least 0"),
        ((*BRACKETS, 2, "mmr"), 1, "brackets[2].mmr", "a known key: up_to"),
        # fractions
        ((*MARKET, "initial_margin"), 0.1, "BTCUSDT.initial_margin", "not both"),
        (("markets", "ETHUSDT", "initial_margin"), ..., "ETHUSDT.initial_margin", "add `initial_margin:`"),
        (
            ("markets", "ETHUSDT", "maintenance_margin"),
            ...,
            "ETHUSDT.maintenance_margin",
            "only `initial_margin`",
        ),
        (
            ("markets", "ETHUSDT", "initial_margin"),
            0.01,
            "ETHUSDT.maintenance_margin",
            "the initial margin, 0.01",
        ),
        (("markets", "ETHUSDT", "initial_margin"), 0, "ETHUSDT.initial_margin", "above 0"),
        (
            ("markets", "ETHUSDT", "initial_margin"),
            "4 %",
            "ETHUSDT.initial_margin",
            "without quotes or units",
        ),
        (
            (*MARKET, "brackets", 0, "maintenance_margin"),
            0,
            "brackets[0].maintenance_margin",
            "a rate above 0",
        ),
        # what belongs to dydx_v4
        (("tiers",), TIERS, "bracketed.tiers", "it belongs to dydx_v4"),
        ((*MARKET, "tier"), "large", "BTCUSDT.tier", "it belongs to dydx_v4"),
        ((*MARKET, "open_interest"), 5, "BTCUSDT.open_interest", "it belongs to dydx_v4"),
        ((*MARKET, "isolated"), True, "BTCUSDT.isolated", "it belongs to dydx_v4"),
        # execution and liquidation
        ((*MARKET, "execution"), {"depth": 1e6}, "BTCUSDT.execution.impact", "add `impact:`"),
        ((*MARKET, "execution"), {"depth": 0, "impact": 0.1}, "BTCUSDT.execution.depth", "above 0"),
        ((*MARKET, "execution"), {"depth": 1, "impact": 0.7}, "execution.impact", "below 0.6667"),
        (
            (*MARKET, "execution"),
            {"depth": 1, "impact": 0.5, "law": "linear"},
            "execution.impact",
            "below 0.5",
        ),
        (
            (*MARKET, "execution"),
            {"depth": 1, "impact": 0.1, "law": "log"},
            "execution.law",
            "`square_root` or `linear`",
        ),
        (("liquidation",), {"style": "half"}, "liquidation.style", "`full` or `partial`"),
        (("liquidation",), {"styl": "full"}, "liquidation.styl", "did you mean `style`?"),
        (("liquidation",), {"fee": 2}, "liquidation.fee", "at most 1"),
        (("liquidation",), 3, "bracketed.liquidation", "a mapping"),
        (("gas_cost",), -1, "bracketed.gas_cost", "at least 0"),
        (("insurance_fund",), -1, "bracketed.insurance_fund", "at least 0"),
        # the venue itself
        (("taker_fee",), ..., "bracketed.taker_fee", "add `taker_fee:`"),
        (("rules",), "tierd", "bracketed.rules", "did you mean `tiered`?"),
        (("rules",), "scan", "bracketed.rules", "`scan` is not supported yet"),
        (
            ("haircuts",),
            {"USDT": 0, "BTC": 0.05},
            "bracketed.haircuts.USDT",
            "other than the quote currency, `USDT`",
        ),
        (("haircuts", "BTC"), 1.1, "bracketed.haircuts.BTC", "at most 1"),
        (("haircuts", "BTC"), -0.1, "bracketed.haircuts.BTC", "at least 0"),
        (("fee_tiers", "vip", "taker"), 2, "fee_tiers.vip.taker", "at most 1"),
        (("fee_tiers", "vip", "maker"), ..., "fee_tiers.vip.maker", "add `maker:`"),
        (("markets", "ETHUSDT", "asset"), "USDT", "ETHUSDT.asset", "other than the quote currency"),
    ],
)
def test_find_venue_faults__tiered(path: tuple[str | int, ...], value: Any, where: str, words: str) -> None:
    document = tiered_document()
    hedger = document["accounts"][1]
    hedger["collateral"], hedger["positions"] = {"USDT": 20_000}, []
    problem = refused(spoil(document, ("venues", "bracketed", *path), value))
    assert problem.where.startswith("plan: venues.bracketed")
    assert problem.where.endswith(where)
    assert words in str(problem)


def test_find_venue_faults__liquidation_on_a_tiered_venue() -> None:
    venue = complete_venue({"rules": "dydx_v4"}) | tiered_venue()
    (fault,) = find_venue_faults(complete_venue(venue))
    assert fault.loc == ("liquidation",)
    assert "`style` and `fee` on a tiered venue" in fault.expected


def test_find_venue_faults__liquidation_of_tiered_venues_on_dydx() -> None:
    problem = refused(spoil(dydx_document(), ("venue", "liquidation"), {"style": "full"}))
    assert problem.where == "plan: venue.liquidation"
    assert "dydx_v4's own figures" in problem.expected


@pytest.mark.parametrize(
    ("path", "value", "where", "words"),
    [
        (("markets", "BTC-USD", "tier"), "larg", "markets.BTC-USD.tier", "did you mean `large`?"),
        (("markets", "BTC-USD", "tier"), ..., "markets.BTC-USD.initial_margin", "or name a `tier:`"),
        (
            ("markets", "BTC-USD", "initial_margin"),
            0.05,
            "BTC-USD.initial_margin",
            "0.02, as its tier `large`",
        ),
        (
            ("markets", "BTC-USD", "maintenance_margin"),
            0.01,
            "BTC-USD.maintenance_margin",
            "0.012, as its tier",
        ),
        (
            ("markets", "ETH-USD", "maintenance_margin"),
            0.5,
            "ETH-USD.maintenance_margin",
            "initial margin, 0.02",
        ),
        (("markets", "ETH-USD", "maintenance_margin"), ..., "ETH-USD.maintenance_margin", "nothing"),
        (("markets", "ETH-USD", "brackets"), [{}], "ETH-USD.brackets[0].maintenance_margin", "add"),
        (
            ("markets", "ETH-USD", "brackets"),
            [{"maintenance_margin": 0.01, "max_leverage": 50}],
            "ETH-USD.brackets",
            "no `brackets` on a dydx_v4 venue",
        ),
        (("tiers", "large", "initial_margin"), 2, "tiers.large.initial_margin", "at most 1"),
        (("tiers", "small", "open_interest_lower_cap"), 5e7, "small.open_interest_upper_cap", "50,000,000"),
        (
            ("tiers", "small", "open_interest_upper_cap"),
            0,
            "small.open_interest_upper_cap",
            "above the lower cap",
        ),
        (("liquidation",), {}, "venue.liquidation.max_liquidation_fee", "add `max_liquidation_fee:`"),
    ],
)
def test_find_venue_faults__dydx(path: tuple[str | int, ...], value: Any, where: str, words: str) -> None:
    with pytest.raises(PlanError) as caught:
        plan_from_document(spoil(dydx_document(), ("venue", *path), value))
    mine = [problem for problem in caught.value.problems if problem.where.endswith(where)]
    assert mine, str(caught.value)
    assert words in str(mine[0])
    # of an empty mapping, and where both fractions are missing, there is more to tell
    assert len(caught.value.problems) == 1 or value in ({}, [{}]) or path[-1] == "tier", str(caught.value)


def test_find_venue_faults__right_ones_have_none() -> None:
    document = dydx_document()
    document["venue"]["markets"]["BTC-USD"] |= {"initial_margin": 0.02, "maintenance_margin": 0.0120000000001}
    plan_from_document(document)
    plan_from_document(tiered_document())


@pytest.mark.parametrize(
    ("scale", "off", "right"),
    [
        (1.0, 0.0049, True),  # published to the cent
        (1.0, 0.0051, False),
        (1e-4, 0.0049, False),  # in a currency of large units a cent would be much
        (1e-4, 1e-6, True),
    ],
)
def test_find_venue_faults__amounts_published_to_the_cent(scale: float, off: float, right: bool) -> None:
    venue = tiered_venue()
    for bracket in venue["markets"]["BTCUSDT"]["brackets"]:
        bracket["up_to"] *= scale
    venue["markets"]["BTCUSDT"]["brackets"][2]["cum"] = 300 * scale + off
    assert (list(find_venue_faults(complete_venue(venue))) == []) is right


def test_find_venue_faults__only_the_first_break_of_continuity() -> None:
    venue = tiered_venue()
    for bracket, cum in zip(venue["markets"]["BTCUSDT"]["brackets"], (0, 60, 310, 1310), strict=True):
        bracket["cum"] = cum
    (fault,) = find_venue_faults(complete_venue(venue))
    assert fault.loc == (*BRACKETS, 1, "cum")
    assert "50, as margin is continuous: 0 + 10,000 x (0.01 - 0.005)" in fault.expected


def test_find_venue_faults__names_file_and_line(tmp_path: Path) -> None:
    venue = spoil(tiered_venue(), (*BRACKETS, 3, "cum"), 1_299)
    path = tmp_path / "bracketed.yaml"
    path.write_text(yaml.safe_dump(venue, sort_keys=False))
    line = path.read_text().splitlines().index("      cum: 1299") + 1
    document = tiered_document()
    for value in ("bracketed.yaml", {"bracketed": "bracketed.yaml"}):
        if isinstance(value, str):
            del document["venues"]
            document["accounts"][1]["venue"] = value
        else:
            document["venues"], document["accounts"][1]["venue"] = value, "bracketed"
        problem = refused(document, tmp_path)
        assert problem.where == f"{path}: markets.BTCUSDT.brackets[3].cum (line {line})"
