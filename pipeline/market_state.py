"""What is known at `as_of` beside prices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from pipeline.faults import Fault, Part, unknown
from pipeline.model import Rate
from pipeline.units import Instant


class MarketState(Part):
    """Where states that the model moves stand: `funding` is annualised. `as_of` says when that was seen."""

    as_of: Instant | None = None
    funding: dict[str, Rate] = Field(default={})


def find_state_faults(state: dict[str, Any], model: dict[str, Any]) -> Iterator[Fault]:
    """Assets that the model lacks, and states that it does not move."""
    assets: list[str] | None = model.get("assets")
    regimes = model.get("regimes") or {}
    for asset in state.get("funding", ()):
        if assets is not None and asset not in assets:
            yield unknown(("funding", asset), "an asset of the model", asset, assets)
    moves = any(regime.get("funding_process") is not None for regime in regimes.values())
    if state.get("funding") and regimes and not moves:
        expected = "a model whose funding moves (`funding_process` in its regimes): it would be ignored"
        yield Fault(
            ("funding",), expected, "a constant rate for each regime", "take such a model, or remove it"
        )
