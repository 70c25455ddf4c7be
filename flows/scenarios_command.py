"""`seawall scenarios`: what is shipped, as a table, one in full, or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

from flows.console import open_console
from pipeline.errors import InputError, Problem
from pipeline.faults import nearest
from pipeline.report.assumptions import describe_effect
from pipeline.scenarios import SCENARIOS, Scenario, load_scenario

OWN_HISTORY = "takes your own price history: `history: {prices: FILE}` in the plan"


def show_scenarios(name: str | None, as_json: bool) -> None:
    """Print all shipped scenarios, or the one of that name, on stdout. Raises SeawallError."""
    names = sorted(path.stem for path in SCENARIOS.glob("*.yaml"))
    if name is not None and name not in names:
        raise InputError([Problem("NAME", "a shipped scenario", name, nearest(name, names))])
    found = [load_scenario(each) for each in ([name] if name is not None else names)]
    if as_json:
        listed = [describe(scenario) for scenario in found]
        sys.stdout.write(json.dumps(listed[0] if name is not None else listed, allow_nan=False) + "\n")
    elif name is not None:
        sys.stdout.write("\n".join(tell(found[0])) + "\n")
    else:
        print_table(found)


def describe(scenario: Scenario) -> dict[str, object]:
    """A scenario as plain data, with its effects in words beside them."""
    document = scenario.document()
    return {
        **document,
        "own_history": needs_history(scenario),
        "effects_in_words": [describe_effect(effect) for effect in document["effects"]],
    }


def needs_history(scenario: Scenario) -> bool:
    """Whether it replays files that only the user has."""
    return any(effect.effect == "replay" for effect in scenario.effects)


def tell(scenario: Scenario) -> Iterator[str]:
    """One scenario in full, line by line."""
    yield f"{scenario.name} ({scenario.kind})"
    yield scenario.narrative
    yield ""
    effects = scenario.document()["effects"]
    yield from (f"  {describe_effect(effect)}" for effect in effects)
    if not effects:
        yield "  no effects"
    yield ""
    yield f"source    {scenario.source}"
    yield f"severity  {scenario.severity}"
    if needs_history(scenario):
        yield f"history   {OWN_HISTORY}"


def print_table(scenarios: list[Scenario]) -> None:
    """Name, kind, the first sentence of the narrative, and the severity of each."""
    from rich.table import Table

    table = Table("scenario", "kind", "what happens", "severity", box=None, padding=(0, 2, 1, 0))
    for scenario in scenarios:
        first = scenario.narrative.partition(". ")[0].rstrip(".") + "."
        table.add_row(scenario.name, scenario.kind, first, scenario.severity or "")
    console = open_console(stderr=False)
    console.print(table)
    console.print(f"`seawall scenarios NAME` explains one. Of kind replay: {OWN_HISTORY}.", highlight=False)
