"""The market model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.errors import PlanError
from pipeline.jumps import DoubleExponentialJumps
from pipeline.model import MODELS, MarketModel, list_totals, load_model, model_from_document
from tests.pipeline.documents import drawn_document, small_document, spoil, two_sided_jumps


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


LEVELS = {
    "scale": {"low": 0.5, "high": 1.5},
    "transitions": {"low": {"low": 0.9, "high": 0.1}, "high": {"low": 0.3, "high": 0.7}},
}


def test_state_law__levels_are_stationary_where_nothing_else_is_known() -> None:
    model = model_from_document(document() | {"levels": LEVELS, "initial": {"calm": 0.8, "crisis": 0.2}})
    np.testing.assert_allclose(model.state_law(), np.outer([0.75, 0.25], [0.8, 0.2]), rtol=1e-12)
    assert model.stationary_variance() == pytest.approx(0.75 * 0.25 + 0.25 * 2.25)
    np.testing.assert_allclose(model.initial_variance(), [model.stationary_variance()] * 2)
    plain = model_from_document(document())
    assert plain.state_law().shape == (1, 2)
    assert plain.level_scales().tolist() == [1.0]
    np.testing.assert_array_equal(plain.initial_variance(), [1.0, 1.0])


def test_state_law__filtered_levels_go_with_their_regime() -> None:
    levels = {"calm": {"low": 1.0}, "crisis": {"low": 0.25, "high": 0.75}}
    filtered = {"as_of": "2026-05-15T00:00:00Z", "law": {"calm": 0.6, "crisis": 0.4}, "levels": levels}
    given = {"levels": LEVELS, "filtered": filtered, "initial": "filtered"}
    model = model_from_document(document() | given)
    np.testing.assert_allclose(model.state_law(), [[0.6, 0.1], [0.0, 0.3]], atol=1e-15)
    np.testing.assert_allclose(model.initial_variance(), [0.25, 0.25 * 0.25 + 0.75 * 2.25])
    again = model_from_document(model.document())
    assert again == model


@pytest.mark.parametrize("rows", [{}, {"low": {"low": 1.0}}])
def test_model_from_document__one_level_is_refused_in_one_message(rows: dict[str, Any]) -> None:
    """Its scale would be of bursts and betas, and not of volatilities."""
    model = drawn()
    for each in (model, *model["parameter_draws"]):
        each["levels"] = {"scale": {"low": 2.0}, "transitions": rows}
        each["filtered"]["levels"] = {"calm": {"low": 1.0}, "crisis": {"low": 1.0}}
    words = refused(model)
    assert words.startswith("1 problem\n")
    assert "at least two levels" in words
    assert "leave `levels` out where there is one" in words


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
        (("levels",), {"scale": {}}, "at least two levels"),
        (("levels",), {"scale": {"low": 0.0}}, "levels.scale.low"),
        (("levels",), {"scale": {"low": 1.0, "high": 2.0}}, "none for `low`"),
        (
            ("levels",),
            LEVELS | {"transitions": {"low": {"low": 1}, "high": {"high": 1}}},
            "several closed classes",
        ),
        (
            ("levels",),
            LEVELS | {"transitions": {"low": {"lo": 1}, "high": {"high": 1}}},
            "did you mean `low`?",
        ),
        (("levels",), LEVELS | {"transitions": {"low": {"low": 0.5}, "high": {"low": 1}}}, "a sum of 0.5"),
        (("filtered",), {"as_of": "2026-05-15", "law": {"calm": 1}, "levels": {}}, "a model with `levels:`"),
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


# --- draws of the parameters ----------------------------------------------------------------------


def drawn() -> dict[str, Any]:
    model: dict[str, Any] = drawn_document()["model"]
    return model


FIRST = ("parameter_draws", 0)
CALM = (*FIRST, "regimes", "calm")


def test_drawn__has_the_draws_figures_and_the_models_own_for_the_rest() -> None:
    document = drawn()
    draw = document["parameter_draws"][3]
    draw["regimes"]["calm"]["volatility"] = {"ETH": 0.7, "BTC": 0.5}  # in another order
    draw["levels"]["scale"] = {"high": 2.0, "low": 0.5}
    model = model_from_document(document)
    found = model.drawn(3)
    assert list(found.regimes["calm"].volatility.items()) == [("BTC", 0.5), ("ETH", 0.7)]
    assert found.regimes["calm"].drift == {"BTC": 0.0, "ETH": pytest.approx(0.3)}
    assert found.regimes["crisis"].jumps == model.regimes["crisis"].jumps
    assert found.parameter_draws is None
    assert found.filtered is not None
    assert model.filtered is not None
    assert found.filtered.as_of == model.filtered.as_of
    assert found.initial_law().tolist() == pytest.approx([0.3, 0.7])
    assert found.level_scales()[list(found.level_names).index("low")] == 0.5


def test_drawn__keeps_the_models_order_of_regimes_and_levels() -> None:
    document = drawn()
    draw = document["parameter_draws"][1]
    draw["regimes"] = dict(reversed(draw["regimes"].items()))
    draw["transitions"] = dict(reversed(draw["transitions"].items()))
    draw["levels"]["scale"] = dict(reversed(draw["levels"]["scale"].items()))
    straight, turned = model_from_document(drawn()).drawn(1), model_from_document(document).drawn(1)
    assert turned.regime_names == straight.regime_names
    np.testing.assert_array_equal(turned.transition_matrix(), straight.transition_matrix())
    assert turned.level_names == straight.level_names
    np.testing.assert_array_equal(turned.level_scales(), straight.level_scales())
    np.testing.assert_array_equal(turned.state_law(), straight.state_law())


def test_model_from_document__draws_read_back_equal() -> None:
    model = model_from_document(drawn())
    assert model_from_document(model.document()) == model


@pytest.mark.parametrize(
    ("path", "value", "where", "words"),
    [
        ((*CALM, "volatility"), {"BTC": 0.5}, "parameter_draws[0].regimes.calm.volatility.ETH", "`ETH`"),
        ((*CALM, "volatility", "BTC"), -1.0, "parameter_draws[0].regimes.calm.volatility.BTC", "at least 0"),
        ((*CALM, "tail"), 2.0, "parameter_draws[0].regimes.calm.tail", "above 2"),
        ((*CALM, "correlation"), [[1, 2], [2, 1]], "parameter_draws[0].regimes.calm.correlation", "1"),
        ((*CALM, "jumps"), {}, "parameter_draws[0].regimes.calm.jumps", "a known key"),
        ((*CALM, "funding"), ..., "parameter_draws[0].regimes.calm.funding", "as the model has"),
        ((*FIRST, "regimes", "clam"), {"volatility": {}}, "regimes.clam", "did you mean `calm`?"),
        (CALM, ..., "parameter_draws[0].regimes.calm", "none for `calm`"),
        ((*FIRST, "transitions", "calm", "calm"), 0.5, "transitions.calm", "a sum of 0.505"),
        ((*FIRST, "levels"), ..., "parameter_draws[0].levels", "`levels:`, as the model has"),
        ((*FIRST, "levels", "scale"), {"low": 1.0}, "parameter_draws[0].levels.scale.high", "`high`"),
        ((*FIRST, "filtered"), ..., "parameter_draws[0].filtered", "`filtered:`, as the model has"),
        ((*FIRST, "filtered", "law", "calm"), 0.5, "parameter_draws[0].filtered.law", "a sum of 0.6"),
        (("levels",), ..., "parameter_draws[0].levels", "no `levels:`, as the model"),
        (("parameter_draws",), [{}], "parameter_draws", "regimes"),
        (("parameter_draws",), [], "parameter_draws", "at least 2"),
    ],
)
def test_model_from_document__refuses_draws(
    path: tuple[str | int, ...], value: Any, where: str, words: str
) -> None:
    with pytest.raises(PlanError) as caught:
        model_from_document(spoil(drawn(), path, value))
    assert any(where in p.where and words in f"{p.expected} {p.got} {p.fix}" for p in caught.value.problems)


def test_model_from_document__tells_all_that_is_wrong_with_draws_at_once() -> None:
    document = drawn()
    spoil(document, (*CALM, "volatility", "BTC"), -1.0)
    spoil(document, ("parameter_draws", 4, "transitions", "crisis", "crisis"), 0.5)
    spoil(document, ("regimes", "calm", "tail"), 1.0)
    with pytest.raises(PlanError) as caught:
        model_from_document(document)
    assert len(caught.value.problems) == 3
