"""P(liquidation) of the standard books under a market model, by the state that its chains start in.

A state is a level and a regime. P(liquidation | law of the first state) = sum over states of law x
P(liquidation | that state first): the law only decides where a path starts. So one simulation for each
starting state serves every forecast date.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.backtest.books import MAINTENANCE, StandardBook
from pipeline.model import MarketModel
from pipeline.plan import Plan, Simulation, plan_from_document
from pipeline.units import format_duration, format_instant, parse_instant

Floats = NDArray[np.float64]

_EPOCH = parse_instant("2020-01-01T00:00:00Z")  # prices are relative and funding is out: the date is idle


def first_passages(
    model: MarketModel,
    books: Sequence[StandardBook],
    leverages: Sequence[float],
    horizons: Sequence[timedelta],
    paths: int,
    seed: int,
) -> Floats:
    """P(liquidated by the horizon | first state): (levels, regimes, books, leverages, horizons).

    By simulation, watched as `monitoring_of` says; all starting states see the same random numbers. leverages
    and horizons ascend.
    """
    from kernels.structs import LIQUIDATION
    from pipeline.blocks import Block
    from pipeline.engine import merge_counts, simulate_block

    rows = []
    for level in model.level_names:
        plan = passage_plan(model, books, leverages, horizons, paths, seed, level)
        block = Block(0, 0, paths, 0)
        counts = merge_counts(plan, [(0, simulate_block(json.dumps(plan.document()), block))])
        hits = np.cumsum(counts.hits[LIQUIDATION], axis=-1)[1:]  # the first scenario is the baseline
        kept = [plan.simulation.leverage.index(float(leverage)) for leverage in leverages]
        rows.append(hits[:, :, kept] / paths)
    return np.array(rows)


def passage_plan(
    model: MarketModel,
    books: Sequence[StandardBook],
    leverages: Sequence[float],
    horizons: Sequence[timedelta],
    paths: int,
    seed: int,
    level: str = "",
) -> Plan:
    """The plan behind `first_passages`: an account a book, and a scenario for each starting regime.

    level is the one that all paths start in, where the model has levels.
    """
    document = model.document()
    if model.levels is not None:
        law = dict.fromkeys(model.regime_names, 0.0) | {model.regime_names[0]: 1.0}
        levels = {name: {level: 1.0} for name in model.regime_names}
        document["initial"] = "filtered"
        document["filtered"] = {"as_of": format_instant(_EPOCH), "law": law, "levels": levels}
    document["regimes"] = {
        name: {key: value for key, value in regime.items() if key != "funding"}
        for name, regime in document["regimes"].items()
    }
    document = {key: value for key, value in document.items() if value is not None and key != "calibration"}
    assets = [asset for asset in model.assets if any(asset in book.shares for book in books)]
    return plan_from_document(
        {
            "name": "backtest",
            "as_of": format_instant(_EPOCH),
            "simulation": {
                "seed": seed,
                "paths": paths,
                "step": format_duration(model.step),
                "horizons": [format_duration(horizon) for horizon in horizons],
                "leverage": sorted({1.0, *map(float, leverages)}),
                "monitoring": monitoring_of(model),
            },
            "venue": _venue(assets),
            "prices": dict.fromkeys(assets, 1.0),
            "model": document,
            "scenarios": ["baseline", *(_start(name) for name in model.regime_names)],
            "accounts": [_account(book) for book in books],
        }
    )


def monitoring_of(model: MarketModel) -> str:
    """How the model's paths are watched: with wicks where it was fitted with any, else as a bridge."""
    offered = get_args(Simulation.model_fields["monitoring"].annotation)
    fitted = all(getattr(regime, "wick", None) is not None for regime in model.regimes.values())
    return "wick" if "wick" in offered and fitted else "bridge"


def _venue(assets: Sequence[str]) -> dict[str, Any]:
    market = {"initial_margin": 2 * MAINTENANCE, "maintenance_margin": MAINTENANCE}
    return {
        "rules": "dydx_v4",
        "as_of": "2020-01-01",
        "taker_fee": 0.0,
        "markets": {f"{asset}-USD": {"asset": asset, **market} for asset in assets},
    }


def _start(regime: str) -> dict[str, Any]:
    return {
        "name": f"start-{regime}",
        "narrative": f"The chain starts in {regime}.",
        "kind": "hypothetical",
        "source": "the market model itself",
        "effects": [{"effect": "regime", "force": regime, "start_only": True}],
    }


def _account(book: StandardBook) -> dict[str, Any]:
    equity = 1e6  # and as much gross notional: the leverage axis is then gross leverage
    positions = [
        {"market": f"{asset}-USD", "size": share * equity, "entry": 1.0}
        for asset, share in book.shares.items()
    ]
    return {"name": book.name, "collateral": {"USDC": equity}, "positions": positions}
