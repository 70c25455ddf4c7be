"""The plan: everything a run depends on, read, checked and completed in one place before any work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from pipeline.account_faults import (
    find_account_faults,
    find_group_faults,
    find_held,
    find_notional_faults,
    find_price_faults,
)
from pipeline.book import Account, Limit, Position, find_limit_faults
from pipeline.coherence import find_model_faults
from pipeline.errors import PlanError, Problem
from pipeline.faults import Fault, Loc, Part, below, find_name_faults, show, unknown
from pipeline.model import MarketModel
from pipeline.origin import Origin, locate
from pipeline.parts import Parts
from pipeline.plan_warnings import find_warnings
from pipeline.scenario_faults import Surroundings, find_scenario_faults, find_still
from pipeline.scenarios import Scenario
from pipeline.structure import find_faults, is_within
from pipeline.units import YEAR, Duration, FileName, Instant, Name, Positive, format_duration, parse_duration
from pipeline.venue_faults import find_venue_faults
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


MOST_JUMPS = 500  # expected in a step, where each is drawn by itself


class Simulation(Part):
    """How the market is simulated, and the leverage and horizon axes of the result.

    `leverage` holds multiples of the book's size as it stands, 1 being the book itself. Between the ends of a
    `step` prices are a bridge, with the model's wicks on top (`wick`), or (`close`) nobody looks.
    """

    later_keys: ClassVar[frozenset[str]] = frozenset(
        ("precision", "parameter_uncertainty", "keep", "method", "blocks")
    )

    seed: Annotated[int, Field(strict=True, ge=0, lt=2**64)] = 0
    paths: Annotated[int, Field(strict=True, gt=0, le=2**40)]
    step: Duration
    horizons: Annotated[tuple[Duration, ...], Field(min_length=1)]
    leverage: Annotated[tuple[Positive, ...], Field(min_length=1)] = (1.0,)
    monitoring: Literal["close", "bridge", "wick"] = "bridge"


class Plan(Part):
    """A resolved plan: every part inline and checked, every default filled in. Prices in quote currency."""

    later_keys: ClassVar[frozenset[str]] = frozenset(
        (
            *("market_state", "cluster", "keep", "precision", "parameter_uncertainty", "policies", "groups"),
            *("contagion", "replay", "wick", "store"),
        )
    )

    name: FileName
    as_of: Instant
    simulation: Simulation
    venue: Venue
    venues: dict[Name, Venue] = Field(default={})
    prices: dict[str, Positive]
    model: MarketModel
    scenarios: Annotated[tuple[Scenario, ...], Field(min_length=1)]
    accounts: Annotated[tuple[Account, ...], Field(min_length=1)]
    limits: tuple[Limit, ...] = ()

    @model_validator(mode="after")
    def _order(self) -> Self:
        # the order of prices and venues means nothing, so equal plans get equal documents
        object.__setattr__(self, "prices", dict(sorted(self.prices.items())))
        object.__setattr__(self, "venues", dict(sorted(self.venues.items())))
        return self

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


def find_plan_faults(plan: dict[str, Any]) -> Iterator[Fault]:
    """What is wrong between the values of a plan's document; any key may be missing."""
    simulation, venue, model = plan.get("simulation", {}), plan.get("venue", {}), plan.get("model", {})
    scenarios, accounts, venues = plan.get("scenarios", ()), plan.get("accounts", ()), plan.get("venues", {})
    assets, regimes, prices = model.get("assets"), model.get("regimes"), plan.get("prices", {})
    yield from below(("simulation",), _axis_faults(simulation))
    yield from _step_faults(plan)
    yield from _jump_faults(plan)
    yield from _wick_faults(plan)
    yield from below(("venue",), find_venue_faults(venue))
    for name, other in venues.items():
        yield from below(("venues", name), find_venue_faults(other))
    yield from below(("model",), find_model_faults(model))
    listed = {
        market.get("asset")
        for each in (venue, *venues.values())
        for market in each.get("markets", {}).values()
    }
    for asset in prices if assets is not None else ():
        if asset not in assets and asset not in listed:
            yield unknown(("prices", asset), "an asset of the model or the venue", asset, assets)
    yield from find_name_faults(("scenarios",), scenarios, "scenario")
    names = [scenario.get("name") for scenario in scenarios]
    if scenarios and None not in names and "baseline" not in names:
        yield Fault(("scenarios",), "`baseline` among the scenarios", ", ".join(names[:20]), "add `baseline`")
    yield from find_name_faults(("accounts",), accounts, "account")
    yield from find_group_faults(accounts)
    placed = [
        (account, venue if account.get("venue") is None else venues.get(account["venue"], {}))
        for account in accounts
    ]
    around = Surroundings(
        assets=assets,
        regimes=regimes,
        returns=model.get("returns"),
        step=None if "step" not in simulation else parse_duration(simulation["step"]),
        held=None if assets is None else find_held(placed) & set(assets),
        accounts=[account["name"] for account in accounts if "name" in account] or None,
        still=find_still(model),
        quotes={its_venue.get("quote", "USDC") for _, its_venue in placed},
    )
    for i, scenario in enumerate(scenarios):
        yield from below(("scenarios", i), find_scenario_faults(scenario, around))
    for i, (account, its_venue) in enumerate(placed):
        yield from below(("accounts", i), find_account_faults(account, its_venue, assets))
    yield from find_price_faults(placed, assets or (), prices)
    yield from find_notional_faults(placed, prices)
    axes = {
        "scenario": [name for name in names if name is not None] or None,
        "account": [account["name"] for account in accounts if "name" in account] or None,
        "leverage": simulation.get("leverage", (1.0,)),
        "horizon": simulation.get("horizons"),
    }
    for i, limit in enumerate(plan.get("limits", ())):
        yield from below(("limits", i), find_limit_faults(limit, axes))


def _axis_faults(simulation: dict[str, Any]) -> Iterator[Fault]:
    step = simulation.get("step")
    horizons = [parse_duration(horizon) for horizon in simulation.get("horizons", ())]
    for i, horizon in enumerate(horizons):
        if step is not None and horizon % parse_duration(step):
            expected = f"a multiple of the step, {format_duration(parse_duration(step))}"
            yield Fault(
                ("horizons", i),
                expected,
                format_duration(horizon),
                "change the horizon, or take a step that divides it",
            )
        if i and horizon <= horizons[i - 1]:
            expected = f"horizons in ascending order, each once: above {format_duration(horizons[i - 1])}"
            yield Fault(("horizons", i), expected, format_duration(horizon), "put them in order")
    leverage = simulation.get("leverage", (1.0,))
    for i in range(1, len(leverage)):
        if leverage[i] <= leverage[i - 1]:
            expected = f"multiples in ascending order, each once: above {leverage[i - 1]:g}"
            yield Fault(("leverage", i), expected, f"{leverage[i]:g}", "put them in order")
    if 1 not in leverage:
        got = ", ".join(f"{multiple:g}" for multiple in leverage[:20])
        yield Fault(("leverage",), "multiples that contain 1, the book itself", got, "add 1")


def _step_faults(plan: dict[str, Any]) -> Iterator[Fault]:
    """A simulation step that the model's can't meet."""
    model, text = plan.get("model", {}), plan.get("simulation", {}).get("step")
    if text is None:
        return
    step = parse_duration(text)
    shown = format_duration(step)
    if "step" in model:
        coarse = parse_duration(model["step"])
        if step > coarse or coarse % step:
            expected = f"a step that divides the model's, {format_duration(coarse)}, or is equal to it"
            yield Fault(
                ("simulation", "step"), expected, shown, f"use {format_duration(coarse)} or a part of it"
            )


def _jump_faults(plan: dict[str, Any]) -> Iterator[Fault]:
    """Double-exponential jumps are drawn one by one, so a step must not have too many of them."""
    step = plan.get("simulation", {}).get("step")
    for name, regime in plan.get("model", {}).get("regimes", {}).items() if step is not None else ():
        jumps = regime.get("jumps") or {}
        expected = jumps.get("intensity", 0.0) * (parse_duration(step) / YEAR)
        if jumps.get("law") == "double_exponential" and expected > MOST_JUMPS:
            yield Fault(
                ("model", "regimes", name, "jumps", "intensity"),
                f"at most {MOST_JUMPS} double-exponential jumps in a step, on average",
                f"{expected:.4g}",
                "take a shorter step, or normal jumps, whose sum is one draw",
            )


def _wick_faults(plan: dict[str, Any]) -> Iterator[Fault]:
    """What `monitoring: wick` needs of the model and the step."""
    simulation, model = plan.get("simulation", {}), plan.get("model", {})
    if simulation.get("monitoring") != "wick" or "regimes" not in model:
        return
    loc: Loc = ("simulation", "monitoring")
    if not any(regime.get("wick") for regime in model["regimes"].values()):
        yield Fault(
            loc,
            "a model that has wicks, as `wick` asks",
            "a model without `wick:`",
            "use `bridge`, or calibrate the model on prices with columns high and low",
        )
    step, coarse = simulation.get("step"), model.get("step")
    if step is not None and coarse is not None and parse_duration(step) < parse_duration(coarse):
        shown = format_duration(parse_duration(coarse))
        yield Fault(
            loc,
            f"the model's step, {shown}, as `wick` asks: its wicks are those of a whole one",
            f"steps of {format_duration(parse_duration(step))}",
            f"use a step of {shown}, or `bridge`",
        )


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
    # filled in on reading: pipeline.venue_completion.complete_venue, pipeline.model.complete_model
    kinds["Venue"]["required"].remove("taker_fee")
    kinds["MarketModel"]["required"].remove("initial")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Seawall plan", **schema}
