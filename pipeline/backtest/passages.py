"""P(liquidation) of the standard books under a market model, by the regime that the chain starts in.

P(liquidation | law of the first regime) = sum over k of law_k P(liquidation | the first regime is k): the law
only decides where a path starts. So one simulation for each starting regime serves every forecast date.
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
    """P(liquidated by the horizon | first regime), (regimes, books, leverages, horizons), by simulation.

    Watched as `monitoring_of` says; all starting regimes see the same random numbers. leverages and horizons
    ascend.
    """
    from kernels.structs import LIQUIDATION
    from pipeline.blocks import Block
    from pipeline.engine import merge_counts, simulate_block

    plan = passage_plan(model, books, leverages, horizons, paths, seed)
    block = Block(0, 0, paths, 0)
    counts = merge_counts(plan, [(0, simulate_block(json.dumps(plan.document()), block))])
    hits = np.cumsum(counts.hits[LIQUIDATION], axis=-1)[1:]  # the first scenario is the baseline
    kept = [plan.simulation.leverage.index(float(leverage)) for leverage in leverages]
    return np.asarray(hits[:, :, kept] / paths)


def passage_plan(
    model: MarketModel,
    books: Sequence[StandardBook],
    leverages: Sequence[float],
    horizons: Sequence[timedelta],
    paths: int,
    seed: int,
) -> Plan:
    """The plan behind `first_passages`: an account a book, and a scenario for each starting regime."""
    document = model.document()
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
