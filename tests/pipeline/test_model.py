"""The market model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.errors import PlanError
from pipeline.jumps import DoubleExponentialJumps
from pipeline.model import MODELS, MarketModel, list_totals, load_model, model_from_document
from tests.pipeline.documents import small_document, spoil, two_sided_jumps


def document() -> dict[str, Any]:
    model: dict[str, Any] = small_document()["model"]
    return model


def one_asset(**more: Any) -> dict[str, Any]:
    return {"step": "1h", "assets": ["BTC"], "regimes": {"only": {"volatility": {"BTC": 0.5}}}, **more}


def test_model_from_document__one_asset_and_regime() -> None:
    model = model_from_document(one_asset())
    assert model.regimes["only"].correlation == ((1.0,),)
    assert model.transitions == {"only": {"only": 1.0}}
    assert model.initial == "stationary"
    np.testing.assert_array_equal(model.initial_law(), [1.0])


def test_model_from_document__zero_volatility() -> None:
    model = model_from_document(spoil(document(), ("regimes", "calm", "volatility"), {"BTC": 0, "ETH": 0}))
    assert model.regimes["calm"].volatility == {"BTC": 0.0, "ETH": 0.0}


def test_model_from_document__singular_correlation() -> None:
    model = model_from_document(spoil(document(), ("regimes", "calm", "correlation"), [[1, 1], [1, 1]]))
    assert model.regimes["calm"].correlation == ((1.0, 1.0), (1.0, 1.0))


def test_transition_matrix__rows_and_columns_in_order_of_regimes() -> None:
    rows = {"crisis": {"crisis": 0.96, "calm": 0.04}, "calm": {"crisis": 0.005, "calm": 0.995}}
    model = model_from_document(spoil(document(), ("transitions",), rows))
    assert model.regime_names == ("calm", "crisis")
    np.testing.assert_array_equal(model.transition_matrix(), [[0.995, 0.005], [0.04, 0.96]])


def test_transition_matrix__what_is_not_given_is_zero() -> None:
    model = model_from_document(spoil(document(), ("transitions", "calm"), {"calm": 1.0}))
    np.testing.assert_array_equal(model.transition_matrix()[0], [1.0, 0.0])


def test_stationary_law__two_regimes() -> None:
    law = model_from_document(document()).stationary_law()
    np.testing.assert_allclose(law, [0.04 / 0.045, 0.005 / 0.045], rtol=1e-13)


@pytest.mark.parametrize(
    ("initial", "law"),
    [
        ("calm", [1, 0]),
        ("crisis", [0, 1]),
        ({"calm": 0.8, "crisis": 0.2}, [0.8, 0.2]),
        ({"crisis": 1.0}, [0, 1]),
        ("filtered", [0.3, 0.7]),
        ("stationary", [0.04 / 0.045, 0.005 / 0.045]),
        (..., [0.3, 0.7]),
    ],
)
def test_initial_law__each_way_to_say_it(initial: Any, law: list[float]) -> None:
    model = spoil(document(), ("initial",), initial)
    model["filtered"] = {"as_of": "2026-05-15T00:00:00Z", "law": {"crisis": 0.7, "calm": 0.3}}
    np.testing.assert_allclose(model_from_document(model).initial_law(), law, rtol=1e-13)


def test_regime_named__calmest_and_wildest() -> None:
    model = model_from_document(document())
    assert model.regime_named("calmest") == "calm"
    assert model.regime_named("wildest") == "crisis"
    assert model.regime_named("crisis") == "crisis"


def refused(model: dict[str, Any]) -> str:
    with pytest.raises(PlanError) as caught:
        model_from_document(model)
    return str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("transitions",), {"calm": {"calm": 1}, "crisis": {"crisis": 1}}, "several closed classes"),
        (("transitions",), ..., "none for `calm`"),
        (("filtered",), {"as_of": "2026-05-15", "law": {"calm": 0.5}}, "a sum of 0.5"),
        (("filtered",), {"as_of": "2026-05-15", "law": {"clam": 1.0}}, "did you mean `calm`?"),
        (("regimes", "calm", "jumps"), {"intensity": 1}, "regimes.calm.jumps.mean"),
        (("calibration",), {"bic": float("nan")}, "finite"),
        (("returns",), "geometric", "`log` or `additive`"),
        (("initial",), 3, "a probability per regime"),
    ],
)
def test_model_from_document__refuses(path: tuple[str, ...], value: Any, words: str) -> None:
    assert words in refused(spoil(document(), path, value))


@pytest.mark.parametrize("name", ["stationary", "filtered", "calmest", "wildest", " "])
def test_model_from_document__refuses_words_with_a_meaning_as_regimes(name: str) -> None:
    assert "a name for the regime" in refused({**one_asset(), "regimes": {name: {"volatility": {"BTC": 1}}}})


def test_model_from_document__equal_jump_correlation_has_a_lower_bound() -> None:
    zeros = {"BTC": 0.0, "ETH": 0.0, "SOL": 0.0}
    jumps = {"intensity": 1, "mean": zeros, "volatility": zeros, "correlation": -0.6}
    regime = {"volatility": zeros, "correlation": np.eye(3).tolist(), "jumps": jumps}
    model = {"step": "1h", "assets": ["BTC", "ETH", "SOL"], "regimes": {"only": regime}}
    assert "at least -0.5" in refused(model)
    jumps["correlation"] = -0.5
    model_from_document(model)
    jumps["correlation"] = [[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]]
    assert "jumps.correlation" in refused(model)


def test_market_model__built_in_python_is_checked_too() -> None:
    with pytest.raises(ValidationError, match="sum to 1"):
        MarketModel.model_validate(spoil(document(), ("transitions", "calm", "calm"), 0.5))


def test_document__reads_back_equal() -> None:
    model = model_from_document(
        {**document(), "calibration": {"window": ["2023", "2025"], "bic": {"2": -1.5}}}
    )
    assert model_from_document(model.document()) == model


@pytest.mark.parametrize("name", [path.stem for path in sorted(MODELS.glob("*.yaml"))])
def test_load_model__shipped(name: str) -> None:
    model = load_model(name)
    assert model.name == name
    assert model_from_document(model.document()) == model


def test_total_drift_and_volatility__jumps_counted_in() -> None:
    model = document()
    crisis = model["regimes"]["crisis"]
    found = model_from_document(model).regimes["crisis"]
    assert found.total_drift() == pytest.approx({"BTC": -12 * 0.04, "ETH": -12 * 0.05})
    assert found.total_volatility()["BTC"] == pytest.approx((1.3**2 + 12 * (0.04**2 + 0.03**2)) ** 0.5)
    crisis["jumps"] = two_sided_jumps()
    found = model_from_document(model).regimes["crisis"]
    assert found.total_drift()["ETH"] == pytest.approx(12 * (0.4 * 0.04 - 0.6 * 0.07))
    square = 2 * (0.3 * 0.03**2 + 0.7 * 0.05**2)
    assert found.total_volatility()["BTC"] == pytest.approx((1.3**2 + 12 * square) ** 0.5)
    calm = model_from_document(model).regimes["calm"]
    assert (calm.total_drift(), calm.total_volatility()) == (calm.drift, calm.volatility)


def test_list_totals__a_line_for_each_regime_with_jumps() -> None:
    model = document()
    model["regimes"]["crisis"]["jumps"] = two_sided_jumps()
    assert list(list_totals(model_from_document(model))) == [
        "regime crisis, drift and volatility a year with jumps: BTC -0.312 and 1.319, ETH -0.312 and 1.627"
    ]


def test_jumps__are_normal_unless_they_say_otherwise() -> None:
    model = document()
    said = model_from_document(model).document()["regimes"]["crisis"]["jumps"]
    assert said["law"] == "normal"
    model["regimes"]["crisis"]["jumps"] = two_sided_jumps()
    jumps = model_from_document(model).regimes["crisis"].jumps
    assert isinstance(jumps, DoubleExponentialJumps)
    assert model_from_document(model_from_document(model).document()).regimes["crisis"].jumps == jumps
