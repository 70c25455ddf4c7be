"""What is said about plans that can be run."""

from __future__ import annotations

from pipeline.plan import plan_from_document
from tests.pipeline.documents import small_document, spoil, tiered_document
from tests.pipeline.moving_states import moving_document


def test_warnings__old_or_early_filtered_law() -> None:
    document = small_document()
    document["model"]["initial"] = "filtered"
    law = {"calm": 0.5, "crisis": 0.5}
    document["model"]["filtered"] = {"as_of": "2026-05-10T00:00:00Z", "law": law}
    assert any("5.0 days older" in text for text in plan_from_document(document).warnings())
    document["model"]["filtered"]["as_of"] = "2026-05-14T12:00:00Z"
    assert not any("filtered" in text for text in plan_from_document(document).warnings())
    document["model"]["filtered"]["as_of"] = "2026-05-16T00:00:00Z"
    assert any("looks ahead" in text for text in plan_from_document(document).warnings())


def test_warnings__funding_not_modelled_and_idle_effect() -> None:
    plan = plan_from_document(spoil(small_document(), ("scenarios", 2, "effects", 0, "at"), "1d"))
    assert plan.warnings() == (
        "funding is not modelled in regime crisis",
        "scenario storm: an effect begins after the last horizon and changes nothing",
    )


def test_warnings__shock_that_looks_like_percent() -> None:
    document = small_document()
    shock = {"effect": "shock", "moves": {"BTC": 12, "ETH": -0.5}}
    document["scenarios"] = ["baseline", {"name": "slip", "narrative": "Twelve.", "effects": [shock]}]
    wanted = "scenario slip: a shock moves BTC by +1200%: moves are shares, so that 0.12 is 12 %"
    assert [w for w in plan_from_document(document).warnings() if "slip" in w] == [wanted]
    shock["moves"] = {"BTC": 1.0}
    assert not any("slip" in w for w in plan_from_document(document).warnings())


def test_warnings__different_quote_currencies() -> None:
    warnings = plan_from_document(tiered_document()).warnings()
    assert (
        "accounts have different quote currencies, taken as equal in value: USDC (basis); USDT (hedger)"
        in warnings
    )
    document = spoil(tiered_document(), ("venues", "bracketed", "quote"), "USDC")
    document["accounts"][1]["collateral"] = {"USDC": 1}
    assert not any("quote" in text for text in plan_from_document(document).warnings())


def test_warnings__names_a_few_of_many() -> None:
    document = tiered_document()
    document["accounts"] += [document["accounts"][0] | {"name": f"more{i}"} for i in range(7)]
    (text,) = (text for text in plan_from_document(document).warnings() if "quote" in text)
    assert "USDC (basis, more0, more1, more2, more3 and 3 more); USDT (hedger)" in text


def test_warnings__larger_than_the_largest_bracket() -> None:
    document = tiered_document()
    document["accounts"][1]["positions"][0]["size"] = 1_000_000 / 61_250
    assert not any("largest" in text for text in plan_from_document(document).warnings())
    document["accounts"][1]["positions"][0]["size"] = -16.4  # 1,004,500
    document["accounts"][1]["positions"][1]["size"] = 1
    (text,) = (text for text in plan_from_document(document).warnings() if "largest" in text)
    above = "1,004,500 USDT is above the largest position, 1,000,000"
    assert text == f"account hedger, BTCUSDT: {above}; margin by the last bracket"


def test_warnings__funding_that_moves_without_a_clamp() -> None:
    document = moving_document()
    assert not any("clamp" in text for text in plan_from_document(document).warnings())
    for market in document["venue"]["markets"].values():
        market |= {"brackets": [{"maintenance_margin": 0.01, "max_leverage": 50}]}
        del market["initial_margin"], market["maintenance_margin"]
    document["venue"]["rules"] = "tiered"
    warnings = plan_from_document(document).warnings()
    assert "funding of BTC-USD, ETH-USD is not clamped: the venue's file has no `funding_cap`" in warnings
