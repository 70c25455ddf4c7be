"""What the page quotes is what was measured."""

import numpy as np

from pictures.forecasts import Grade
from pictures.moves import HORIZONS, JOINT, LAGS, Band, Moves, levels_of, standard_books
from pictures.quotes import quote_backtest, quote_model, quote_moves, quote_timeline
from pictures.timeline import Timeline
from tests.pictures.test_forecasts import judged
from tests.pictures.test_states import model_with_draws
from tests.pipeline.backtest.markets import known_model


def flat(size: int, history: float) -> Band:
    """History the same everywhere, the model from 0.30 to 0.50."""
    return Band(*(np.full(size, value) for value in (history, 0.4, 0.3, 0.5)))


def moves_of(history: float) -> Moves:
    books = standard_books(("BTC", "ETH"))
    rows = tuple(tuple(flat(levels_of(h).size, history) for h in range(len(HORIZONS))) for _ in books)
    joint = flat(len(JOINT), history)
    return Moves(books, rows, flat(len(LAGS), history), joint, joint)


def test_quote_model__states_have_their_figures_and_ranges():
    blocks = quote_model(model_with_draws())
    assert (
        "| *calm* | 75 (60 to 86) % | 100 (50 to 200) h | 50 (50 to 50) % | 0.70 (0.50 to 0.80) |"
        in blocks["states"]
    )
    assert blocks["levels"] == "This model has none."
    assert "from 0.70 (0.50 to 0.80) in *calm*" in blocks["correlations"]
    assert "2 refits" in blocks["origin"]


def test_quote_model__says_where_levels_are_at_their_bound():
    document = known_model().document()
    rows = {"low": {"low": 1 - 1 / 72, "high": 1 / 72}, "high": {"low": 1 / 240, "high": 1 - 1 / 240}}
    document |= {"levels": {"scale": {"low": 0.5, "high": 1.5}, "transitions": rows}}
    document["calibration"] = {"shortest_level": "3d"}
    levels = quote_model(known_model().model_validate(document))["levels"]
    assert "| *high* | 1.50 | 77 % | 10.0 days |" in levels
    assert "*low* lasts the shortest mean time that the fit allows, 3 days" in levels


def test_quote_moves__what_is_inside_is_not_called_wrong():
    blocks = quote_moves(moves_of(0.45))
    assert blocks["wrong-moves"] == "- Of the moves drawn, nothing lies outside."
    assert "**outside**" not in blocks["moves"]
    assert "| BTC alone | an hour | 45.0 % | 40.0 % (30.0 to 50.0) | inside |" in blocks["moves"]
    assert blocks["moves"].startswith("0 of the ")


def test_quote_moves__what_is_outside_is_said_each_time():
    moves = moves_of(0.45)
    day = moves.quantiles[0][1]
    day.history[0], day.history[levels_of(1) == 0.01] = -0.123, 0.6
    moves.falls.history[JOINT.index(0.02)] = 0.62
    moves.memory.history[LAGS.index(168)] = -0.001
    blocks = quote_moves(moves)
    wrong = blocks["wrong-moves"].splitlines()
    assert wrong[0] == (
        "- **BTC alone, over a day.** The worst 1 in 200: −12.3 % in history, "
        "40.0 % (30.0 to 50.0) in the model."
    )
    assert wrong[1].startswith("- **Coins share their worst days more than the model believes.**")
    assert "62 % of cases; in the model 40 % (30 to 50)" in wrong[1]
    assert len(wrong) == 4  # best days are the same band; then memory
    assert "a correlation of 0.00 in history, and of 0.30 to 0.50" in wrong[3]
    assert "| BTC alone | a day | 60.0 % | 40.0 % (30.0 to 50.0) | **outside** |" in blocks["moves"]


def test_quote_timeline__the_worst_day_and_who_was_missing():
    hours = 100
    regime = np.tile([0.9, 0.1], (hours, 1))
    regime[40:60] = [0.2, 0.8]
    times = np.datetime64("2030-01-01T01:00", "ms") + np.arange(hours) * np.timedelta64(1, "h")
    timeline = Timeline(times, "BTC", np.ones(hours), regime, np.ones((hours, 1)), 59, -0.234)
    blocks = quote_timeline(known_model(), timeline, ["BTC"])
    assert "2030-01-03 at 12:00 UTC: −23.4 %" in blocks["worst-days"]
    assert "In 20 of those hours the likeliest state was *wild*" in blocks["worst-days"]
    assert "probability of 88 % on average" in blocks["timeline"]
    assert "Until bars of ETH begin, the model reads the market from BTC alone." in blocks["timeline"]
    assert "alone" not in quote_timeline(known_model(), timeline, ["BTC", "ETH"])["timeline"]


def test_quote_backtest__forecasts_outside_their_interval_are_listed():
    judgement = judged(0.02, 0.06)
    judgement.forecasts |= dict.fromkeys(("gaussian", "bootstrap"), judgement.forecasts["model"])
    grades = [
        Grade(4000, 2000, 0.02, 0.06, 0.05, 0.07),
        Grade(900, 300, 0.15, 0.16, 0.14, 0.18),
    ]
    blocks = quote_backtest(judgement, grades)
    assert "| 1 to 3 | 4,000 | 2.0 | 6.0 (5.0 to 7.0) | **more often** |" in blocks["reliability"]
    assert "| 10 to 20 | 900 | 15 | 16 (14 to 18) | as forecast |" in blocks["reliability"]
    assert blocks["wrong-forecasts"] == "- **When it said 2.0 %** on average, 6.0 (5.0 to 7.0) % came true."
    assert "2,000 starts from 2030-01-01 to " in blocks["scores"]
    assert "lead on the Gaussian law is +0 (+0 to +0)" in blocks["scores"]
