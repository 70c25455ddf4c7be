"""What a venue's document gets for what it leaves out."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from pipeline.plan import plan_from_document
from pipeline.venue_completion import complete_venue
from tests.pipeline.documents import small_document, spoil, tiered_document, tiered_venue

TIER = {"initial_margin": 0.1, "maintenance_fraction": 0.7}


def test_complete_venue__shipped_liquidation_and_fee() -> None:
    venue = complete_venue({"rules": "dydx_v4", "liquidation": None})
    assert venue["taker_fee"] == 0.0005
    assert venue["liquidation"]["max_liquidation_fee"] == 0.015
    assert complete_venue({"rules": "dydx_v4", "taker_fee": 0.1})["taker_fee"] == 0.1


def test_complete_venue__tiered_gets_nothing_of_dydx() -> None:
    own = {"style": "full", "fee": 0.0}
    assert complete_venue({"rules": "tiered"}) == {"rules": "tiered", "liquidation": own}


@pytest.mark.parametrize("document", [None, 3, "x", [], {"markets": 3}, {"markets": {"A": 3}}])
def test_complete_venue__leaves_what_is_wrong(document: Any) -> None:
    completed = complete_venue(document)
    assert completed == document or completed["markets"] == document["markets"]


def test_complete_venue__fractions_of_a_tier() -> None:
    markets: dict[str, Any] = {
        "A": {"tier": "t"},
        "B": {"tier": "t", "initial_margin": 0.5},
        "C": {"tier": "u"},
        "D": {"initial_margin": 0.1},
    }
    completed = complete_venue({"rules": "dydx_v4", "tiers": {"t": TIER}, "markets": markets})["markets"]
    # as decimals: 0.1 x 0.7 in binary is 0.06999999999999999
    assert completed["A"] == {"tier": "t", "initial_margin": 0.1, "maintenance_margin": 0.07}
    assert completed["B"] == {"tier": "t", "initial_margin": 0.5, "maintenance_margin": 0.07}
    assert (completed["C"], completed["D"]) == (markets["C"], markets["D"])


@pytest.mark.parametrize("bad", ["0.1", True, float("nan"), 10**400, 1.5, -1, None])
def test_complete_venue__no_fractions_of_a_bad_tier(bad: Any) -> None:
    document = {
        "rules": "dydx_v4",
        "tiers": {"t": TIER | {"initial_margin": bad}},
        "markets": {"A": {"tier": "t"}},
    }
    assert complete_venue(document)["markets"] == document["markets"]


def test_complete_venue__amounts_by_continuity() -> None:
    brackets = complete_venue(tiered_venue())["markets"]["BTCUSDT"]["brackets"]
    # the figures that Binance publishes for these brackets of ADA
    assert [bracket["cum"] for bracket in brackets] == [0.0, 50.0, 300.0, 1300.0]


def test_complete_venue__margin_is_continuous() -> None:
    brackets = complete_venue(tiered_venue())["markets"]["BTCUSDT"]["brackets"]
    for low, high in pairwise(brackets):
        end = low["up_to"]
        below = end * low["maintenance_margin"] - low["cum"]
        assert end * high["maintenance_margin"] - high["cum"] == pytest.approx(below, rel=1e-14)


def test_complete_venue__stated_amounts_stay() -> None:
    venue = tiered_venue()
    venue["markets"]["BTCUSDT"]["brackets"][2]["cum"] = 300.004
    brackets = complete_venue(venue)["markets"]["BTCUSDT"]["brackets"]
    assert [bracket["cum"] for bracket in brackets] == [0.0, 50.0, 300.004, 1300.0]


@pytest.mark.parametrize(
    ("path", "value"),
    [((1, "maintenance_margin"), 0.001), ((0, "up_to"), ...), ((0, "up_to"), "x"), ((1,), 3)],
)
def test_complete_venue__no_amounts_beyond_what_is_wrong(path: tuple[str | int, ...], value: Any) -> None:
    venue = spoil(tiered_venue(), ("markets", "BTCUSDT", "brackets", *path), value)
    brackets = complete_venue(venue)["markets"]["BTCUSDT"]["brackets"]
    assert "cum" in brackets[0]
    assert not any("cum" in bracket for bracket in brackets[1:] if isinstance(bracket, dict))


def test_complete_venue__two_fractions_are_one_bracket() -> None:
    market = complete_venue(tiered_venue())["markets"]["ETHUSDT"]
    assert market == {
        "asset": "ETH",
        "brackets": [{"maintenance_margin": 0.02, "max_leverage": 25.0, "cum": 0.0}],
    }


def test_complete_venue__leaves_the_document_as_it_was() -> None:
    venue = tiered_venue()
    complete_venue(venue)
    assert venue == tiered_venue()


def test_plan_from_document__completed_markets() -> None:
    document = small_document()
    document["venue"]["tiers"] = {"large": {"initial_margin": 0.02, "maintenance_fraction": 0.6}}
    document["venue"]["markets"]["BTC-USD"] = {"asset": "BTC", "tier": "large", "open_interest": 20_000}
    market = plan_from_document(document).venue.markets["BTC-USD"]
    assert (market.initial_margin, market.maintenance_margin, market.brackets) == (0.02, 0.012, ())
    market = plan_from_document(tiered_document()).venues["bracketed"].markets["ETHUSDT"]
    assert (market.initial_margin, market.maintenance_margin) == (None, None)
    assert market.brackets[0].max_leverage == 25.0


def test_complete_venue__liquidation_of_tiered_venues() -> None:
    def completed(liquidation: object) -> object:
        return complete_venue({"rules": "tiered", "liquidation": liquidation})["liquidation"]

    assert completed(None) == completed({}) == {"style": "full", "fee": 0.0}
    assert completed({"fee": 0.01}) == {"style": "full", "fee": 0.01}
    assert completed({"style": "partial"}) == {"style": "partial", "fee": 0.0}
    foreign = {"max_liquidation_fee": 0.01}
    assert completed(foreign) == foreign
    assert completed(3) == 3
