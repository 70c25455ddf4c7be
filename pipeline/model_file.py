"""A market model as a file that people read: few digits, one matrix row a line, units on top."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import Problem, StoreError
from pipeline.model import MarketModel

# the decimals that a figure is rounded to by calibration, and padded to in the file
DIGITS = {
    "volatility": 4,
    "levels": 4,
    "drift": 3,
    "correlation": 4,
    "funding": 4,
    "deviation": 4,
    "level": 4,
    "basis_level": 6,
    "basis_deviation": 6,
    "basis_correlation": 4,
    "implied_volatility_level": 4,
    "implied_volatility_deviation": 4,
    "implied_volatility_correlation": 4,
    "depth": 2,
    "per_year": 1,
    "move": 5,
    "spread": 3,
    "tail": 2,
    "lean": 3,
    "probability": 4,
    "scale": 3,
    "common": 2,
    "transitions": 5,
    "law": 4,
    "stationary_law": 4,
    "correlation_shrinkage": 4,
}


_HEADER = """\
# A market model for Seawall, fitted by `seawall calibrate`. It holds figures, no market data.
# volatility, drift (of the log price) and funding: annualised fractions, on 365 x 24 h.
# funding_process: how funding comes back to that level: half-life and standard deviation of its distance from
# it, correlation of its shocks with returns; common: what is left of them, between assets.
# basis: log of a perpetual's price over the asset's. implied_volatility: annualised, its deviation of logs.
# Both revert as funding does, each to a level of its own.
# tail: degrees of freedom of the Student-t. transitions: probabilities per step, from the row to the column.
# wick: how far prices leave the path within a step and come back, in standard deviations of the step.
# levels: how loud the whole market is; a chain of its own, whose scale multiplies every volatility.
# bursts: what comes so many times a year, each time in one step; adds move x (1 + spread w n) to log returns,
# times the level's scale; n is a standard normal, w as heavy as the regime's tail.
# filtered: the law of the regime over the first step after as_of, given the prices up to as_of; and that of
# the level, given the regime too.
"""
_DRAWS = """\
# parameter_draws: what the figures could have come out as; `parameter_uncertainty: true` runs over them.
"""


def write_model(model: MarketModel, path: Path | str) -> None:
    """Write a model as a YAML file that people can read and a plan can name; raises StoreError."""
    document = {key: value for key, value in model.document().items() if value is not None and value != []}
    document["regimes"] = {
        name: {key: value for key, value in regime.items() if value is not None or key == "tail"}
        for name, regime in document["regimes"].items()
    }
    draws = document.get("parameter_draws")
    if draws is not None:
        document["parameter_draws"] = [_without_nulls(draw) for draw in draws]
    for part in (document, *document.get("parameter_draws", ())):
        if part.get("bursts"):
            part["bursts"] = [_moved_alone(burst) for burst in part["bursts"]]
    text = yaml.dump(
        _fixed(document),
        Dumper=_Dumper,
        default_flow_style=None,
        sort_keys=False,
        width=160,
        allow_unicode=True,
    )
    try:
        Path(path).write_text(_HEADER + (_DRAWS if draws else "") + text, encoding="utf-8")
    except OSError as error:
        problem = Problem(str(path), "a file that can be written", str(error), "choose another place")
        raise StoreError([problem]) from error


def _moved_alone(burst: dict[str, Any]) -> dict[str, Any]:
    """A burst without the assets that it leaves alone."""
    return burst | {"move": {asset: move for asset, move in burst["move"].items() if move != 0.0}}


def _without_nulls(value: Any) -> Any:
    """Plain data without keys that hold nothing."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return value


def _fixed(value: Any, digits: int | None = None) -> Any:
    """Return plain data with its floats as decimals of the digits that belong to their key."""
    if isinstance(value, dict):
        return {key: _fixed(item, DIGITS.get(key, digits)) for key, item in value.items()}
    if isinstance(value, list):
        return [_fixed(item, digits) for item in value]
    if isinstance(value, float) and digits is not None and round(value, digits) == value:
        return Decimal(repr(value)).quantize(Decimal(1).scaleb(-digits))
    return value


class _Dumper(yaml.SafeDumper):
    """Writes decimals with the digits they have."""


_Dumper.add_representer(
    Decimal, lambda dumper, value: dumper.represent_scalar("tag:yaml.org,2002:float", f"{value:f}")
)
