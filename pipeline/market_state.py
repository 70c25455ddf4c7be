"""What is known at `as_of` beside prices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field

from pipeline.faults import Fault, Part, unknown
from pipeline.regime import Rate
from pipeline.units import Finite, Instant, Positive


class MarketState(Part):
    """Where states that the model moves stand: `funding` and `implied_volatility` annualised, `basis` of
    perpetuals as a fraction.

    `as_of` says when that was seen. Prices of the plan are what positions are marked at, the basis in them.
    """

    as_of: Instant | None = None
    funding: dict[str, Rate] = Field(default={})
    basis: dict[str, Annotated[Finite, Field(gt=-1, le=10)]] = Field(default={})
    implied_volatility: dict[str, Annotated[Positive, Field(le=1e3)]] = Field(default={})


def find_state_faults(state: dict[str, Any], model: dict[str, Any]) -> Iterator[Fault]:
    """Assets that the model lacks, and states that it does not move."""
    assets: list[str] | None = model.get("assets")
    regimes = model.get("regimes") or {}
    for key, law, word in (
        ("funding", "funding_process", "a constant rate"),
        ("basis", "basis", "none"),
        ("implied_volatility", "implied_volatility", "none"),
    ):
        for asset in state.get(key, ()):
            if assets is not None and asset not in assets:
                yield unknown((key, asset), "an asset of the model", asset, assets)
        moves = any(regime.get(law) is not None for regime in regimes.values())
        if state.get(key) and regimes and not moves:
            expected = f"a model whose {key} moves (`{law}` in its regimes): it would be ignored"
            yield Fault((key,), expected, word, "take such a model, or remove it")
