"""The venue files that are shipped: every one is read, dated and sourced, and its figures are pinned."""

from __future__ import annotations

import csv
import os
from itertools import groupby, pairwise
from math import isclose, nextafter
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from pipeline.errors import PlanError
from pipeline.origin import Origin, read_part
from pipeline.plan import plan_from_document
from pipeline.requirement import initial_requirement, maintenance_requirement
from pipeline.venue_completion import VENUES, complete_venue
from pipeline.venue_faults import find_venue_faults
from pipeline.venues import Venue, load_venue
from pipeline.yaml_text import read_text
from tests.pipeline.documents import small_document

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("SEAWALL_DATA", ROOT.parent / "shared" / "data"))
PAGE = (ROOT / "docs" / "venues.md").read_text()
NAMES = [path.stem for path in sorted(VENUES.glob("*.yaml"))]
M = 1_000_000


class Margin(NamedTuple):
    """What a market asks of a position of some notional: quote units, each worked out by hand."""

    market: str
    notional: float
    initial: float
    maintenance: float


# A new file adds its entry here: two or three figures that anyone can check against its source.
FIGURES = {
    "dydx-v4-2023-10": (
        Margin("BTC-USD", 100_000, 5_000, 3_000),  # Large-Cap: 5 %, 60 % of it
        Margin("SOL-USD", 100_000, 10_000, 5_000),  # Mid-Cap of then: 10 %, 50 % of it
        Margin("MKR-USD", 100_000, 20_000, 10_000),  # Long-Tail: 20 %, 50 % of it
    ),
    "dydx-v4-2026-03": (
        Margin("BTC-USD", 100_000, 2_000, 1_200),  # Large-Cap: 2 %, 60 % of it
        Margin("SOL-USD", 100_000, 5_000, 3_000),  # Mid-Cap: 5 %, 60 % of it
        Margin("LINK-USD", 100_000, 10_000, 5_000),  # Small-Cap: 10 %, 50 % of it
        Margin("BOME-USD", 100_000, 5_000, 3_000),  # Isolated: 5 %, 60 % of it
    ),
    "binance-um-2026-09": (
        Margin("BTCUSDT", 100_000, 100_000 / 150, 400),  # 0.4 %
        Margin("BTCUSDT", 2 * M, 2 * M / 75, 11_500),  # 0.65 % - 1,500
        Margin("BTCUSDT", 20 * M, 800_000, 268_000),  # 2 % - 132,000
        Margin("BTCUSDT", 1_800 * M, 1_800 * M, 478_518_000),  # 50 % - 421,482,000: the largest
        Margin("XTZUSDT", 5_000, 5_000 / 75, 50),  # 1 %
    ),
    "hyperliquid-2026-09": (
        Margin("BTC", 100 * M, 2.5 * M, 1.25 * M),  # 40x; half of it
        Margin("BTC", 200 * M, 10 * M, 3.125 * M),  # 20x on all; 1.25 % of 150 M, 2.5 % of 50 M
        Margin("ETH", 130 * M, 130 * M / 15, 3 * M),  # 15x on all; 2 % of 100 M, 3.333 % of 30 M
        Margin("BNB", 4 * M, 800_000, 250_000),  # 5x on all; 5 % of 3 M, 10 % of 1 M
    ),
}


def initial_margin(venue: Venue, market: str, notional: float) -> float:
    return initial_requirement(venue, venue.markets[market], notional).at(1.0)


def maintenance_margin(venue: Venue, market: str, notional: float) -> float:
    return maintenance_requirement(venue, venue.markets[market], notional).at(1.0)


@pytest.mark.parametrize("name", NAMES)
def test_load_venue__shipped(name: str) -> None:
    venue = load_venue(name)
    assert venue.name == name
    assert name.endswith(f"-{venue.as_of:%Y-%m}")
    assert venue.source
    for row in FIGURES[name]:
        short, (market, notional, initial, maintenance) = -row.notional, row
        assert initial_margin(venue, market, notional) == pytest.approx(initial, rel=1e-12)
        assert initial_margin(venue, market, short) == pytest.approx(initial, rel=1e-12)
        assert maintenance_margin(venue, market, notional) == pytest.approx(maintenance, rel=1e-12)
        assert maintenance_margin(venue, market, short) == pytest.approx(maintenance, rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_load_venue__shipped_says_in_its_header_what_is_assumed(name: str) -> None:
    header = (VENUES / f"{name}.yaml").read_text().partition("\nname:")[0]
    assert all(line.startswith("#") for line in header.splitlines())
    assert "# Source: " in header
    assert "ASSUMED" in header


# --- dYdX v4 --------------------------------------------------------------------------------------


def tier_table(venue: Venue) -> list[tuple[str, float, float, float | None, float, float]]:
    return [
        (
            name,
            tier.initial_margin,
            tier.maintenance_fraction,
            tier.impact_notional,
            tier.open_interest_lower_cap,
            tier.open_interest_upper_cap,
        )
        for name, tier in venue.tiers.items()
    ]


def test_load_venue__dydx_tiers() -> None:
    assert tier_table(load_venue("dydx-v4-2026-03")) == [
        ("Large-Cap", 0.02, 0.6, 10_000, 0, 0),
        ("Small-Cap", 0.10, 0.5, 5_000, 20 * M, 50 * M),
        ("Long-Tail", 0.20, 0.5, 2_500, 5 * M, 10 * M),
        ("Safety", 1.00, 0.2, 2_500, 2 * M, 5 * M),
        ("Isolated", 0.05, 0.6, 2_500, 0.5 * M, 1 * M),
        ("Mid-Cap", 0.05, 0.6, 5_000, 40 * M, 100 * M),
        ("FX", 0.01, 0.5, 2_500, 0.5 * M, 1 * M),
        ("IML-5x", 0.20, 0.5, 125, 0.5 * M, 1 * M),
    ]


def test_load_venue__dydx_tiers_of_genesis() -> None:
    assert tier_table(load_venue("dydx-v4-2023-10")) == [
        ("Large-Cap", 0.05, 0.6, 10_000, 0, 0),
        ("Mid-Cap", 0.10, 0.5, 5_000, 0, 0),
        ("Long-Tail", 0.20, 0.5, 2_500, 0, 0),
        ("Safety", 1.00, 0.2, 2_500, 0, 0),
    ]


def of_tier(venue: Venue, tier: str) -> set[str]:
    return {market.asset for market in venue.markets.values() if market.tier == tier}


def test_load_venue__dydx_markets() -> None:
    now, genesis = load_venue("dydx-v4-2026-03"), load_venue("dydx-v4-2023-10")
    assert of_tier(now, "Large-Cap") == of_tier(genesis, "Large-Cap") == {"BTC", "ETH"}
    assert of_tier(now, "Mid-Cap") == {"SOL"}
    assert of_tier(genesis, "Long-Tail") == {"MKR", "COMP", "APE", "BLUR", "LDO", "SEI"}
    assert (len(now.markets), len(genesis.markets)) == (24, 33)
    # the coins of genesis's second tier stayed in it when it was renamed, all but SOL
    assert of_tier(now, "Small-Cap") - of_tier(genesis, "Mid-Cap") == {"BNB", "INJ", "POL"}
    assert {name for name, market in now.markets.items() if market.isolated} == {"EIGEN-USD", "BOME-USD"}
    assert of_tier(now, "Isolated") == {"EIGEN", "BOME"}
    assert not any(market.isolated for market in genesis.markets.values())
    for venue in (now, genesis):
        assert all(name == f"{market.asset}-USD" for name, market in venue.markets.items())
        assert all(market.open_interest is None for market in venue.markets.values())


def test_load_venue__dydx_fees() -> None:
    now, genesis = load_venue("dydx-v4-2026-03").fee_tiers, load_venue("dydx-v4-2023-10").fee_tiers
    taker_ppm = [500, 450, 400, 350, 300, 250, 250, 250, 250]
    maker_ppm = [100, 100, 50, 0, 0, -50, -90, -110, -110]
    assert list(now) == list(genesis) == [str(tier) for tier in range(1, 10)]
    assert [round(1e6 * fee.taker) for fee in now.values()] == taker_ppm
    assert [round(1e6 * fee.maker) for fee in now.values()] == maker_ppm
    assert [round(1e6 * fee.taker) for fee in genesis.values()] == taker_ppm
    assert {round(1e6 * fee.maker) for fee in genesis.values()} == {-110}


def test_initial_requirement__dydx_page_figure_of_open_interest() -> None:
    venue = load_venue("dydx-v4-2026-03")
    market = venue.markets["SOL-USD"].model_copy(update={"open_interest": 420_000.0})
    # 420,000 at 150 is 63 M, 23/60 of the way from 40 M to 100 M: 15,000 x (0.05 + 0.95 x 23/60)
    assert initial_requirement(venue, market, 100).at(150.0) == pytest.approx(6_212.50, rel=1e-12)
    assert initial_requirement(venue, market, 100).at(100.0) == pytest.approx(10_000 * (0.05 + 0.95 * 2 / 60))
    assert maintenance_requirement(venue, market, 100).at(150.0) == pytest.approx(450, rel=1e-12)


# --- brackets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_load_venue__maintenance_is_continuous(name: str) -> None:
    venue = load_venue(name)
    for market, rules in venue.markets.items():
        for low, high in pairwise(rules.brackets):
            assert low.up_to is not None
            here = low.up_to * low.maintenance_margin - low.cum
            assert low.up_to * high.maintenance_margin - high.cum == pytest.approx(here, abs=0.005)
            for notional in (nextafter(low.up_to, 0), low.up_to, nextafter(low.up_to, 1e12)):
                assert maintenance_margin(venue, market, notional) == pytest.approx(here, abs=0.005)


def test_load_venue__binance_brackets_are_those_of_the_source() -> None:
    path = DATA / "binance_leverage_tiers_2026-09.csv"
    if not path.is_file():
        pytest.skip(f"no bracket table: {path} is not there (set SEAWALL_DATA)")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    source = {symbol: list(lines) for symbol, lines in groupby(rows, key=lambda row: row["symbol"])}
    markets = load_venue("binance-um-2026-09").markets
    assert {market.asset: name for name, market in markets.items()} == {
        symbol: f"{symbol}USDT" for symbol in source
    }
    for name, market in markets.items():
        stated = [(b.up_to, b.maintenance_margin, b.max_leverage, b.cum) for b in markets[name].brackets]
        assert stated == [
            tuple(float(row[key]) for key in ("max_notional", "mmr", "max_leverage", "cum"))
            for row in source[market.asset]
        ]


def test_initial_requirement__binance_jumps_where_a_bracket_ends() -> None:
    venue = load_venue("binance-um-2026-09")
    assert initial_margin(venue, "BTCUSDT", 12 * M) == pytest.approx(240_000)
    assert initial_margin(venue, "BTCUSDT", 12 * M + 1) == pytest.approx(480_000, abs=1)
    assert maintenance_margin(venue, "BTCUSDT", 12 * M) == pytest.approx(108_000)
    assert maintenance_margin(venue, "BTCUSDT", 12 * M + 1) == pytest.approx(108_000, abs=1)
    set_to_10 = initial_requirement(venue, venue.markets["BTCUSDT"], 12 * M, 10.0)
    assert set_to_10.at(1.0) == pytest.approx(1_200_000)


def test_maintenance_requirement__binance_hedge_mode_nets_nothing() -> None:
    venue = load_venue("binance-um-2026-09")
    each = [maintenance_margin(venue, "BTCUSDT", notional) for notional in (10 * M, -8 * M)]
    assert each == pytest.approx([88_000, 68_000])
    assert maintenance_margin(venue, "BTCUSDT", 2 * M) == pytest.approx(11_500)


def test_load_venue__hyperliquid_maintenance_is_half_of_initial_at_the_greatest_leverage() -> None:
    venue = load_venue("hyperliquid-2026-09")
    for market in venue.markets.values():
        for bracket in market.brackets:
            assert isclose(bracket.maintenance_margin, 0.5 / bracket.max_leverage, rel_tol=1e-15)
        assert market.brackets[-1].up_to is None
    low, high = venue.markets["BTC"].brackets
    assert (low.up_to, low.max_leverage, high.max_leverage) == (150 * M, 40, 20)
    assert high.cum == 1_875_000  # worked out: 150 M x (0.025 - 0.0125)


# --- the page -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_venues_page__lists_every_file(name: str) -> None:
    venue = load_venue(name)
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}`"))
    assert [cell.strip() for cell in row.split("|")[2:5]] == [
        f"{venue.as_of}",
        f"`{venue.rules}`",
        f"{len(venue.markets)}",
    ]


def test_venues_page__shows_the_example_in_full() -> None:
    text = (VENUES / "hyperliquid-2026-09.yaml").read_text()
    assert f"```yaml\n{text}```\n" in PAGE


def test_venues_page__shows_how_a_bad_file_is_refused() -> None:
    name = "my-hyperliquid.yaml"
    text = (VENUES / "hyperliquid-2026-09.yaml").read_text()
    for right, wrong in (
        ("0.025, max_leverage: 20}]", "0.025, max_leverage: 20, cum: 1_785_000}]"),
        ("10}]", "25}]"),
    ):
        text = text.replace(right, wrong, 1)
    spoiled = read_text(text, name)
    with pytest.raises(PlanError) as raised:
        read_part(Venue, complete_venue(spoiled.content), find_venue_faults, Origin(name, spoiled.lines))
    assert f"```\nseawall: {raised.value}\n```\n" in PAGE


def test_venues_page__plans_are_accepted() -> None:
    of_accounts, of_open_interest, _ = (
        yaml.safe_load(block.partition("\n```")[0]) for block in PAGE.split("```yaml\n")[1:]
    )
    document = small_document() | {"model": "crypto-majors", "prices": {"BTC": 100_000, "SOL": 150}}
    venues = plan_from_document(document | of_accounts).venues
    assert [venue.quote for venue in venues.values()] == ["USDT"]
    document["accounts"] = [{"name": "long", "collateral": {"USDC": 8_000}}]
    document["accounts"][0]["positions"] = [{"market": "SOL-USD", "size": 100, "entry": 150}]
    plan = plan_from_document(document | of_open_interest)
    assert plan.venue.markets["SOL-USD"].open_interest == 420_000
