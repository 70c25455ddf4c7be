"""The plan: everything a run depends on, read, checked and completed in one place before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from pipeline.book import Account, Limit, Position
from pipeline.contagion import Contagion
from pipeline.errors import PlanError, Problem
from pipeline.faults import Part, show
from pipeline.market_state import MarketState
from pipeline.model import MarketModel
from pipeline.origin import Origin, locate
from pipeline.parts import Parts
from pipeline.plan_faults import find_plan_faults
from pipeline.plan_warnings import find_warnings
from pipeline.scenarios import Scenario
from pipeline.structure import find_faults, is_within
from pipeline.units import Duration, FileName, Instant, Name, Positive
from pipeline.venues import Market, Venue
from pipeline.yaml_text import load_text

__all__ = [
    "Account",
    "Limit",
    "Market",
    "MarketModel",
    "Plan",
    "Position",
    "Scenario",
    "Simulation",
    "Venue",
    "json_schema",
    "load_plan",
    "plan_from_document",
]


class Simulation(Part):
    """How the market is simulated, and the leverage and horizon axes of the result.

    `leverage` holds multiples of the book's size as it stands, 1 being the book itself. Between the ends of a
    `step` prices are a bridge, with the model's wicks on top (`wick`), or (`close`) nobody looks. With
    `parameter_uncertainty` the paths are shared by the model's draws. With `resolve` what follows a breach is
    followed; once read, a plan that didn't say has it where some account has policies, or with `contagion`.
    """

    later_keys: ClassVar[frozenset[str]] = frozenset(("precision", "keep", "method", "blocks"))

    seed: Annotated[int, Field(strict=True, ge=0, lt=2**64)] = 0
    paths: Annotated[int, Field(strict=True, gt=0, le=2**40)]
    step: Duration
    horizons: Annotated[tuple[Duration, ...], Field(min_length=1)]
    leverage: Annotated[tuple[Positive, ...], Field(min_length=1)] = (1.0,)
    monitoring: Literal["close", "bridge", "wick"] = "bridge"
    parameter_uncertainty: Annotated[bool, Field(strict=True)] = False
    resolve: Annotated[bool, Field(strict=True)] = False
    # left out of documents where it is not asked for: runs keep the names that they had
    contagion: Contagion | None = Field(default=None, exclude_if=lambda asked: asked is None)
    quantiles: Annotated[bool, Field(strict=True)] = False


class Plan(Part):
    """A resolved plan: every part inline and checked, every default filled in. Prices in quote currency."""

    later_keys: ClassVar[frozenset[str]] = frozenset(
        (
            *("cluster", "keep", "precision", "policies", "groups"),
            *("replay", "wick", "store"),
        )
    )

    name: FileName
    as_of: Instant
    simulation: Simulation
    venue: Venue
    venues: dict[Name, Venue] = Field(default={})
    prices: dict[str, Positive]
    market_state: MarketState | None = None
    model: MarketModel
    scenarios: Annotated[tuple[Scenario, ...], Field(min_length=1)]
    accounts: Annotated[tuple[Account, ...], Field(min_length=1)]
    limits: tuple[Limit, ...] = ()

    @model_validator(mode="after")
    def _order(self) -> Self:
        # the order of prices and venues means nothing, so equal plans get equal documents
        object.__setattr__(self, "prices", dict(sorted(self.prices.items())))
        object.__setattr__(self, "venues", dict(sorted(self.venues.items())))
        if self.model.parameter_draws is not None and not self.simulation.parameter_uncertainty:
            # what no number depends on is no part of the plan
            object.__setattr__(self, "model", self.model.model_copy(update={"parameter_draws": None}))
        return self

    @property
    def draws(self) -> int:
        """How many draws of the model's parameters share the paths; 0: none, the model's own figures do."""
        return len(self.model.parameter_draws or ())

    def venue_of(self, account: Account) -> Venue:
        """The venue that an account is on."""
        return self.venue if account.venue is None else self.venues[account.venue]

    def warnings(self) -> tuple[str, ...]:
        """What a reader of the result should know about this plan, though it can be run: a sentence each."""
        return tuple(find_warnings(self))


def load_plan(path: str | Path) -> Plan:
    """The plan in a YAML or JSON file, its parts looked up beside it; PlanError with all that is wrong."""
    path = Path(path)
    text = load_text(path)
    return _resolve(text.content, path.parent, Origin(str(path), text.lines), text.problems)


def plan_from_document(document: Any, base: Path = Path()) -> Plan:
    """A plan from plain data, as `load_plan` from a file; paths of parts are relative to `base`."""
    return _resolve(document, base, Origin("plan", {}), [])


def _resolve(document: Any, base: Path, origin: Origin, problems: list[Problem]) -> Plan:
    if not isinstance(document, dict):
        got = "an empty document" if document is None else show(document)
        fix = "begin with `name:`, `as_of:`, `simulation:` and so on"
        raise PlanError([*problems, Problem(origin.name, "a mapping of the plan's parts", got, fix)])
    parts = Parts(document, base, origin)
    faults = [
        fault
        for fault in find_faults(Plan, parts.document, find_plan_faults)
        if not any(is_within(fault.loc, loc) for loc in parts.reader.unread)
    ]
    problems = [*problems, *parts.reader.problems, *(locate(fault, parts.reader.origins) for fault in faults)]
    if problems:
        raise PlanError(problems)
    return Plan.model_validate(parts.document)


def json_schema() -> dict[str, Any]:
    """JSON Schema of what a person writes: parts inline or by name or path, defaults left out."""
    schema = Plan.model_json_schema(by_alias=True, mode="validation")
    fields, kinds = schema["properties"], schema["$defs"]
    named = {"type": "string", "description": "the name of something shipped, or a path relative to the plan"}
    for field in ("venue", "model"):
        fields[field] = {"anyOf": [named, fields[field]]}
    fields["venues"]["additionalProperties"] = {"anyOf": [named, fields["venues"]["additionalProperties"]]}
    kinds["Account"]["properties"]["venue"] = {
        "anyOf": [
            {"type": "string", "description": "a key of `venues`, the name of a shipped venue, or a path"},
            {"$ref": "#/$defs/Venue"},
            {"type": "null"},
        ]
    }
    fields["scenarios"]["items"] = {"anyOf": [named, fields["scenarios"]["items"]]}
    fields["accounts"] = {
        "anyOf": [{"type": "string", "description": "a path: YAML, CSV or Parquet"}, fields["accounts"]]
    }
    fields["history"] = {
        "type": "object",
        "description": "the files that replays read where they name none",
        "properties": {"prices": {"type": "string"}, "events": {"type": "string"}},
        "additionalProperties": False,
    }
    # read into returns: pipeline.scenario_parts
    replay, files = kinds["Replay"], ("file", "events", "event")
    replay["properties"] |= {key: {"type": "string"} for key in files}
    replay["required"] = ["effect"]  # an event may stand for the window
    kinds["Event"]["properties"]["date"] = {
        "type": "string",
        "description": "in place of `at`: UTC, ISO 8601",
    }
    bars = {
        "type": "object",
        "properties": {
            "file": {"type": "string", "description": "bars with columns ts (opening time), symbol, close"},
            "at": {
                "type": "string",
                "description": "the time whose last known close is taken; default as_of",
            },
            "bar": {"type": "string", "description": "length of a bar, where the file can't show it"},
        },
        "required": ["file"],
        "additionalProperties": False,
    }
    fields["prices"] = {"anyOf": [bars, fields["prices"]]}
    # filled in on reading: pipeline.venue_completion.complete_venue, pipeline.model.complete_model,
    # pipeline.parts.Parts
    resolve = kinds["Simulation"]["properties"]["resolve"]
    resolve["description"] = "left out: true where some account has policies, or with `contagion`"
    del resolve["default"]
    kinds["Venue"]["required"].remove("taker_fee")
    kinds["MarketModel"]["required"].remove("initial")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Seawall plan", **schema}
