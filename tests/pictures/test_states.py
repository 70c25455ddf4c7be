"""What the pictures say of states and levels is what the model file says."""

import numpy as np
import pytest

from pictures.canvas import STATES
from pictures.states import (
    draw_correlations,
    draw_states,
    mean_correlations,
    read_levels,
    read_regimes,
    spoken,
    standing_out,
)
from pipeline.model import MarketModel
from tests.pictures.shapes import spans_of, words_of
from tests.pipeline.backtest.markets import known_model


def model_with_draws() -> MarketModel:
    """Two regimes, visited 3 hours of 4 and 1 of 4; draws that stay shorter and longer, with correlations of
    0.5 and 0.8 where the model has 0.7."""
    document = known_model().document()
    document["transitions"] = {"calm": {"calm": 0.99, "wild": 0.01}, "wild": {"calm": 0.03, "wild": 0.97}}
    kept = ("volatility", "drift", "tail")
    draws = []
    for stay, between in ((0.98, 0.5), (0.995, 0.8)):
        regimes = {
            name: {key: regime[key] for key in kept} | {"correlation": [[1.0, between], [between, 1.0]]}
            for name, regime in document["regimes"].items()
        }
        rows = {"calm": {"calm": stay, "wild": 1.0 - stay}, "wild": {"calm": 0.03, "wild": 0.97}}
        draws.append({"regimes": regimes, "transitions": rows})
    return MarketModel.model_validate(document | {"parameter_draws": draws})


def test_read_regimes__shares_visits_and_their_ranges_over_draws():
    states = read_regimes(model_with_draws())
    assert states.names == ("calm", "wild")
    assert states.share.value == pytest.approx([0.75, 0.25])
    assert states.hours.value == pytest.approx([100.0, 100 / 3])
    assert states.hours.low == pytest.approx([50.0, 100 / 3])
    assert states.hours.high == pytest.approx([200.0, 100 / 3])
    assert states.share.low[0] == pytest.approx(0.03 / 0.05)
    assert states.share.high[0] == pytest.approx(0.03 / 0.035)


def test_mean_correlations__range_is_that_of_the_draws():
    found = mean_correlations(model_with_draws())
    assert spoken(found, 0, "{:.2f}") == "0.70 (0.50 to 0.80)"


def test_spoken__without_draws_there_is_no_range():
    assert spoken(mean_correlations(known_model()), 0, "{:.2f}") == "0.70"


def test_standing_out__is_measured_by_each_coins_own_habits():
    document = known_model(assets=("BTC", "ETH", "SOL")).document()
    # SOL is the wildest in both, but only in the first wilder than it uses to be
    document["regimes"]["calm"]["volatility"] = {"BTC": 0.2, "ETH": 0.2, "SOL": 1.2}
    document["regimes"]["wild"]["volatility"] = {"BTC": 0.8, "ETH": 0.8, "SOL": 1.6}
    found = standing_out(MarketModel.model_validate(document))
    assert found == {"calm": ["SOL"], "wild": []}


def test_draw_states__bars_are_as_long_as_the_shares():
    states = read_regimes(model_with_draws())
    svg = draw_states(states, read_levels(known_model()))
    (left, calm), (_, hours) = spans_of(svg, STATES[0])
    _, wild = spans_of(svg, STATES[1])[0]
    assert (calm - left) / (wild - left) == pytest.approx(3.0, rel=0.01)
    assert hours > calm
    words = words_of(svg)
    assert {"75 %", "25 %", "100 h", "33 h"} <= set(words)


def test_draw_states__levels_have_their_row_where_there_are_some():
    chain = read_regimes(model_with_draws())
    titles = {"share of all hours in each state", "share of all hours in each level"}
    assert titles <= set(words_of(draw_states(chain, chain)))
    assert not titles <= set(words_of(draw_states(chain, read_levels(known_model()))))


def test_draw_correlations__every_pair_is_written_in_its_cell():
    model = known_model(assets=("BTC", "ETH", "SOL"))
    document = model.document()
    matrix = np.array([[1.0, 0.11, 0.22], [0.11, 1.0, 0.33], [0.22, 0.33, 1.0]])
    document["regimes"]["wild"]["correlation"] = matrix.tolist()
    model = MarketModel.model_validate(document)
    words = words_of(draw_correlations(model, mean_correlations(model)))
    assert words.count("0.70") == 6
    assert [words.count(each) for each in ("0.11", "0.22", "0.33")] == [2, 2, 2]
    assert "wild: mean of pairs 0.22" in words
