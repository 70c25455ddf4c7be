import json
from datetime import timedelta

import numpy as np
import pytest

from kernels.structs import LIQUIDATION
from pipeline.backtest.books import MAINTENANCE, StandardBook
from pipeline.backtest.outcomes import find_hits, least_margin
from pipeline.backtest.passages import first_passages, monitoring_of, passage_plan
from pipeline.blocks import Block
from pipeline.engine import simulate_block
from pipeline.model import MarketModel
from pipeline.plan import plan_from_document
from tests.pipeline.backtest.markets import draw_bars, known_model
from tests.pipeline.documents import wick_document

BOOKS = (
    StandardBook("long", {"BTC": 0.5, "ETH": 0.5}),
    StandardBook("hedged", {"BTC": 0.5, "ETH": -0.5}),
)
LEVERAGES = (5.0, 10.0, 20.0)
HORIZONS = (timedelta(hours=4), timedelta(days=1))


def test_first_passages__an_initial_law_mixes_the_starting_regimes_path_by_path():
    """The identity behind every forecast: a path of the mixed law is one of a starting regime's."""
    paths, law = 48, {"calm": 0.6, "wild": 0.4}
    plan = passage_plan(known_model(), BOOKS, LEVERAGES, HORIZONS, paths, 7)
    mixed = plan.document()
    mixed["scenarios"] = ["baseline"]
    mixed["model"]["initial"] = law
    texts = json.dumps(plan.document()), json.dumps(plan_from_document(mixed).document())
    taken, total = np.zeros(2, int), np.zeros(2)
    for path in range(paths):
        split, one = (simulate_block(text, Block(0, path, 1, 0)).hits[LIQUIDATION] for text in texts)
        same = [np.array_equal(one[0], split[1 + k]) for k in range(2)]
        assert any(same)
        if same != [True, True]:  # both stay clear, or fall alike
            taken[same.index(True)] += 1
        total += [split[1].sum(), split[2].sum()]
    assert taken.min() > 0  # both regimes are drawn, and tell apart
    assert total[1] > total[0]


def test_first_passages__a_sure_start_is_that_regimes_row():
    model = known_model()
    rows = first_passages(model, BOOKS, LEVERAGES, HORIZONS, 2000, 7)
    for k, name in enumerate(("calm", "wild")):
        document = passage_plan(model, BOOKS, LEVERAGES, HORIZONS, 2000, 7).document()
        document["scenarios"] = ["baseline"]
        document["model"]["initial"] = name
        text = json.dumps(plan_from_document(document).document())
        hits = simulate_block(text, Block(0, 0, 2000, 0)).hits[LIQUIDATION, 0]
        assert np.array_equal(rows[k], np.cumsum(hits, axis=-1)[:, 1:] / 2000)


def test_first_passages__forecasts_what_bars_of_the_model_do():
    """The kernel's rule of liquidation is that of the outcomes: one law, its bars beside its paths."""
    model = known_model(wild=0.5, tail=None)
    bars = draw_bars(24 * 700, 4, model)
    rows = first_passages(model, BOOKS[:1], LEVERAGES, HORIZONS, 40_000, 7)[0, 0]
    starts = np.arange(1, len(bars.times) - 24, 24)
    hits = find_hits(least_margin(bars, BOOKS[0], starts, HORIZONS), LEVERAGES)
    realised = hits.mean(axis=0)
    error = np.sqrt(rows * (1 - rows) / len(starts))
    # twelve points an hour see a little less than all of it
    assert (np.abs(realised - rows) < 3 * error + 0.06 * rows + 1e-4).all()
    assert rows[2, 1] > 0.05


def test_passage_plan__leverage_is_gross_notional_over_equity():
    plan = passage_plan(known_model(), BOOKS, LEVERAGES, HORIZONS, 10, 0)
    assert plan.simulation.leverage == (1.0, *LEVERAGES)
    account = plan.accounts[0]
    assert sum(abs(p.size) for p in account.positions) == pytest.approx(account.collateral["USDC"])
    assert plan.venue.markets["BTC-USD"].maintenance_margin == MAINTENANCE
    assert plan.simulation.monitoring == monitoring_of(known_model()) == "bridge"


def test_passage_plan__wicks_are_watched_where_the_model_has_them():
    document = known_model().document()
    for regime in document["regimes"].values():
        regime["wick"] = wick_document()
    wicked = MarketModel.model_validate(document)
    assert passage_plan(wicked, BOOKS, LEVERAGES, HORIZONS, 10, 0).simulation.monitoring == "wick"
    plain = first_passages(known_model(), BOOKS[:1], LEVERAGES, HORIZONS, 2_000, 7)
    deeper = first_passages(wicked, BOOKS[:1], LEVERAGES, HORIZONS, 2_000, 7)
    assert (deeper >= plain).all()
    assert deeper.sum() > plain.sum()
