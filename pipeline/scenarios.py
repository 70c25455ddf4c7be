"""Scenarios: what happens to the market beside its model, as data laid over time. They never edit a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from pipeline.effects import Effect
from pipeline.faults import Part
from pipeline.origin import Origin, read_part
from pipeline.units import Name
from pipeline.yaml_text import load_text

SCENARIOS = Path(__file__).parent / "scenarios"
# designed, not shipped yet: the engine has no fills, gas or spot legs that they could act on
LATER = frozenset(("basis-blowout", "liquidity-blackout", "gas-spike"))


class Scenario(Part):
    """A named storm: a sentence that tells it, its source, how it compares with history, and its effects."""

    name: Name
    narrative: Annotated[str, Field(strict=True, min_length=1)]
    kind: Name = "hypothetical"
    source: Annotated[str, Field(strict=True)] | None = None
    severity: Annotated[str, Field(strict=True)] | None = None
    effects: tuple[Effect, ...] = ()


def load_scenario(name: str) -> Scenario:
    """The shipped scenario of that name; PlanError with what is wrong."""
    path = SCENARIOS / f"{name}.yaml"
    text = load_text(path)
    return read_part(Scenario, text.content, lambda _: (), Origin(path.name, text.lines))
