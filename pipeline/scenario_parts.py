"""Scenarios as people write them: read from where they are, with dates as delays and replays as returns."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

from pipeline.errors import InputError, PlanError
from pipeline.faults import Fault, Loc, nearest, show
from pipeline.part_reader import PartReader
from pipeline.scenarios import LATER, SCENARIOS
from pipeline.units import format_duration, format_instant, parse_duration, parse_instant

FILES = ("file", "events", "event")  # what people write of a replay, beside the keys of `Replay`
HISTORY = ("prices", "events")


class ScenarioParts:
    """The scenarios of a plan's document, each inline; problems go to the reader.

    `history` of the plan names the files that replays read where they name none themselves.
    """

    def __init__(
        self, reader: PartReader, document: dict[str, Any], held: Callable[[], Collection[str]]
    ) -> None:
        self.reader = reader
        self.held = held
        self.model = document.get("model")
        self.history = document.pop("history", None) or {}
        simulation = document.get("simulation")
        step = simulation.get("step") if isinstance(simulation, dict) else None
        self.step = _quietly(parse_duration, step)
        self.as_of = _quietly(parse_instant, document.get("as_of"))
        self._check_history()

    def _check_history(self) -> None:
        if not isinstance(self.history, dict):
            expected = "a mapping: `prices`, and `events` where events are named"
            self.reader.fault(Fault(("history",), expected, show(self.history), "write {prices: a file}"))
            self.history = {}
        for key, value in self.history.items():
            if key not in HISTORY:
                self.reader.fault(
                    Fault(("history", str(key)), "`prices` or `events`", show(key), nearest(key, HISTORY))
                )
            elif not isinstance(value, str):
                self.reader.fault(Fault(("history", key), "the path of a file", show(value), "name a file"))

    def read(self, i: int, value: Any) -> Any:
        """One scenario of the plan."""
        loc: Loc = ("scenarios", i)
        scenario = self.reader.part(loc, value, SCENARIOS, later=LATER)
        effects = scenario.get("effects") if isinstance(scenario, dict) else None
        if not isinstance(effects, list | tuple):
            return scenario
        read = [self._effect((*loc, "effects", j), effect) for j, effect in enumerate(effects)]
        return {**scenario, "effects": read}

    def _effect(self, loc: Loc, effect: Any) -> Any:
        if not isinstance(effect, dict):
            return effect
        if effect.get("effect") == "event" and "date" in effect:
            return self._dated(loc, effect)
        if effect.get("effect") == "replay" and "returns" not in effect:
            return self._replay(loc, effect)
        return effect

    def _dated(self, loc: Loc, effect: dict[str, Any]) -> dict[str, Any]:
        """An event with its date as the time since `as_of`."""
        rest = {key: value for key, value in effect.items() if key != "date"}
        date = self.reader.parse((*loc, "date"), effect["date"], parse_instant)
        if date is None or self.as_of is None:
            self.reader.unread.add((*loc, "at"))
            return rest
        if "at" in effect or date <= self.as_of:
            expected = f"a date after `as_of`, {format_instant(self.as_of)}, and no `at` beside it"
            got, fix = format_instant(date), "correct the date, or leave one of them out"
            self.reader.fault(Fault((*loc, "date"), expected, got, fix))
            self.reader.unread.add((*loc, "at"))
            return rest
        return {**rest, "at": format_duration(date - self.as_of)}

    def _replay(self, loc: Loc, effect: dict[str, Any]) -> Any:
        """A replay with the returns of its window in place of the files; None if they can't be read."""
        self.reader.unread.add(loc)  # until it is read
        prices = self._path((*loc, "file"), effect.get("file"), "prices")
        window = self._window(loc, effect)
        if prices is None or window is None or self.step is None:
            return None
        from pipeline.replay import load_window

        start, end, name = window
        beta = effect.get("beta")
        driven = self._driven()
        assets = sorted({*self._needed(driven), *([beta] if beta in driven else [])})
        try:
            history = load_window(self.reader.base / prices, assets, start, end, self.step)
        except InputError as error:
            return self.reader.failed(loc, PlanError(error.problems))
        if history.missing and (effect.get("missing") != "beta" or beta not in history.returns):
            got = "; ".join(f"{asset}: {why}" for asset, why in sorted(history.missing.items()))
            expected = f"closes of all assets held, at every step from {format_instant(start)} on"
            have = ", ".join(sorted(history.returns)[:8])
            fix = "add `missing: beta` and `beta:` one that has them" + (f": {have}" if have else "")
            return self.reader.fault(Fault(loc, expected, got, fix))
        self.reader.unread.discard(loc)
        return {
            **{key: value for key, value in effect.items() if key not in FILES},
            "start": format_instant(start),
            "end": format_instant(end),
            "returns": history.returns,
            "source": history.source + (f", event {name}" if name else ""),
        }

    def _window(self, loc: Loc, effect: dict[str, Any]) -> tuple[datetime, datetime, str | None] | None:
        """Start and end, from an event by name or as given."""
        if "event" in effect:
            if "start" in effect or "end" in effect:
                fix = "leave one of the two out"
                self.reader.fault(Fault((*loc, "event"), "an event, or `start` and `end`", "both", fix))
                return None
            events = self._path((*loc, "events"), effect.get("events"), "events")
            if events is None:
                return None
            if not isinstance(effect["event"], str):
                got, fix = show(effect["event"]), "write it in quotes"
                self.reader.fault(Fault((*loc, "event"), "the name of an event", got, fix))
                return None
            from pipeline.replay import load_event

            try:
                event = load_event(self.reader.base / events, effect["event"])
            except InputError as error:
                self.reader.failed((*loc, "event"), PlanError(error.problems))
                return None
            return event.start, event.end, event.name
        ends = []
        for key in ("start", "end"):
            if key not in effect:
                fix = f"add `{key}:`, or `event:` and the file of events"
                self.reader.fault(Fault((*loc, key), "the window to replay", "nothing", fix))
            else:
                ends.append(self.reader.parse((*loc, key), effect[key], parse_instant))
        if len(ends) < 2 or None in ends:
            return None
        return ends[0], ends[1], None

    def _path(self, loc: Loc, given: Any, kind: str) -> str | None:
        """The file that an effect names, or else the plan's history."""
        path = self.history.get(kind) if given is None else given
        if isinstance(path, str):
            return path
        if given is not None or kind not in self.history:
            expected = f"the path of your own history, here or as `{kind}` of the plan's `history`"
            fix = f"add `history: {{{kind}: FILE}}` to the plan"
            self.reader.fault(Fault(loc, expected, "nothing" if given is None else show(given), fix))
        return None

    def _driven(self) -> list[str]:
        """Assets of the model."""
        driven = self.model.get("assets") if isinstance(self.model, dict) else None
        return [a for a in driven if isinstance(a, str)] if isinstance(driven, list | tuple) else []

    def _needed(self, driven: list[str]) -> list[str]:
        """Assets held that the model drives, where it is known; the first of the model if none is."""
        held = self.held()
        return [asset for asset in driven if asset in held] or driven[:1] or sorted(held)


def _quietly(parse: Callable[[object], Any], value: Any) -> Any:
    """What is parsed, or None: where it is wrong, it is told of where it belongs."""
    try:
        return parse(value)
    except ValueError:
        return None
