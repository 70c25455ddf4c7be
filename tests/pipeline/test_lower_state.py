from __future__ import annotations

from math import log, sqrt
from typing import Any

import numpy as np
import pytest

from pipeline.lower_market import lower_market
from pipeline.plan import plan_from_document
from tests.pipeline.documents import small_document
from tests.pipeline.moving_states import moving_document

CALM, CRISIS, BTC, ETH = 0, 1, 0, 1


def test_lower_funding__by_hand() -> None:
    """A half-life of 12 h keeps 2^(-1/12) an hour; the shock's variance is what that leaves to be made up."""
    market = lower_market(plan_from_document(moving_document()))
    law = market.funding_law
    kept = 2 ** (-1 / 12)
    assert law.column.tolist() == [0, 1]
    assert np.isnan(law.start).all()
    assert law.level.tolist() == [[0.1, 0.08], [-0.2, -0.3]]
    assert law.deviation.tolist() == [[0.05, 0.08], [0.5, 0.6]]
    assert law.kept[:, BTC] == pytest.approx([kept, kept])
    assert law.kept[CALM, ETH] == pytest.approx(2 ** (-1 / 24))
    shock = 0.05 * sqrt(1 - kept**2)
    assert law.tied[0, CALM, BTC] == pytest.approx(0.3 * shock / (0.45 * sqrt(1 / 8760)))
    assert law.apart[0, CALM, BTC] == pytest.approx(sqrt(1 - 0.09) * shock)
    assert law.tied[0, CALM, ETH] == 0.0
    assert law.common.tolist() == [0.5, 0.5]
    assert market.clamps == 1


def test_lower_funding__a_part_of_the_assets_and_a_finer_step() -> None:
    document = moving_document()
    document["simulation"]["step"] = "15m"
    for account in document["accounts"]:
        account["positions"] = [{"market": "ETH-USD", "size": -70, "entry": 3_105}]
    law = lower_market(plan_from_document(document)).funding_law
    assert law.column.tolist() == [1]
    assert law.level.tolist() == [[0.08], [-0.3]]
    assert law.kept[CALM, 0] == pytest.approx(2 ** (-1 / 96))


def test_lower_funding__known_at_as_of() -> None:
    document = moving_document() | {"market_state": {"funding": {"ETH": 0.9}}}
    start = lower_market(plan_from_document(document)).funding_law.start
    assert np.isnan(start[BTC])
    assert start[ETH] == 0.9


def test_lower_funding__constants_have_no_law() -> None:
    market = lower_market(plan_from_document(small_document()))
    assert market.funding_law.column.size == market.clamps == 0


def test_lower_funding__constants_beyond_a_clamp_are_clamped() -> None:
    """6 x 0.8 % per 8 h is 52.56 a year: a rate above it is looked at position by position."""
    document = small_document()
    for rate, clamps in ((52.5, 0), (52.6, 1)):
        document["model"]["regimes"]["calm"]["funding"]["BTC"] = rate
        assert lower_market(plan_from_document(document)).clamps == clamps


@pytest.mark.parametrize("replaced", [False, True])
def test_lower_funding__without_volatility_shocks_are_its_own(replaced: bool) -> None:
    document = moving_document()
    for regime in document["model"]["regimes"].values():
        if replaced:
            regime["volatility"]["BTC"] = 0.0
    law = lower_market(plan_from_document(document)).funding_law
    share = law.apart[0, CALM, BTC] / (0.05 * sqrt(1 - 2 ** (-1 / 6)))
    assert share == pytest.approx(1.0 if replaced else sqrt(0.91))
    assert (law.tied[0, CALM, BTC] == 0.0) == replaced


def test_overlay_funding__scenarios_change_what_is_paid_not_the_law() -> None:
    document = moving_document()
    effects: list[dict[str, Any]] = [
        {"effect": "funding", "multiply": -1, "add": {"all": 0.5, "ETH": 0.1}, "at": "2h", "for": "2h"},
        {"effect": "funding", "multiply": 2, "add": 0.25, "at": "3h", "for": "2h"},
    ]
    document["scenarios"][2]["effects"] = effects
    market = lower_market(plan_from_document(document))
    of_step = market.parameters[2]
    assert [market.funding_factor[q, BTC] for q in of_step[1:6]] == [1, -1, -2, 2, 1]
    assert [market.funding_added[q, BTC] for q in of_step[1:6]] == [0, 0.5, 1.25, 0.25, 0]
    assert market.funding_added[of_step[3], ETH] == pytest.approx(2 * 0.1 + 0.25)
    decaying = [{"effect": "funding", "add": 1.0, "decay": "1h"}]
    document["scenarios"][2]["effects"] = decaying
    market = lower_market(plan_from_document(document))
    assert market.funding_added[market.parameters[2, 0], BTC] == pytest.approx(0.5 / log(2))
