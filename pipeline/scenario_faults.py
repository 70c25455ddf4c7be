"""What must hold within a scenario's effects, and between them and the plan that they are laid over."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from math import exp, log1p
from typing import Any, NamedTuple

from pipeline.effects import CLASSES, QUOTE
from pipeline.faults import Fault, Loc, below, show, unknown
from pipeline.matrices import definiteness_fault
from pipeline.units import format_duration, parse_duration, parse_instant

WILDEST_SHOCK = 10.0  # in logs
Document = dict[str, Any]


class Surroundings(NamedTuple):
    """What a scenario is laid over, as far as it could be read; None where it could not."""

    assets: Sequence[str] | None
    regimes: Iterable[str] | None
    returns: str | None
    step: timedelta | None
    held: Iterable[str] | None
    """Assets of positions and collateral."""
    accounts: Sequence[str] | None
    still: Collection[str]
    """Assets that never move in the model."""
    quotes: Iterable[str] | None
    """Quote currencies of the accounts' venues."""


def find_scenario_faults(scenario: Document, around: Surroundings) -> Iterator[Fault]:
    """What is wrong within a scenario, and between its effects and what they touch."""
    effects = scenario.get("effects", ())
    if scenario.get("name") == "baseline" and effects:
        expected = "no effects: the baseline is the model as it is"
        yield Fault(("effects",), expected, f"{len(effects)}", "give it another name")
    for i, effect in enumerate(effects):
        yield from below(("effects", i), _effect_faults(effect, around))
    yield from _window_faults(effects)


def find_still(model: Document) -> set[str]:
    """Assets without volatility in any regime of a model, or a burst; none where there are jumps."""
    regimes = model.get("regimes", {}).values()
    if any(regime.get("jumps") for regime in regimes):
        return set()
    moving = {a for regime in regimes for a, x in regime.get("volatility", {}).items() if x}
    moving |= {a for burst in model.get("bursts") or () for a, x in burst.get("move", {}).items() if x}
    return set(model.get("assets", ())) - moving


def _effect_faults(effect: Document, around: Surroundings) -> Iterator[Fault]:
    if around.step is not None:
        yield from _step_faults(effect, around.step)
    if around.assets is not None:
        for field in ("moves", "add", "multiply", "up", "down"):
            yield from _asset_faults((field,), effect.get(field), around.assets)
        if effect.get("beta") is not None and effect["beta"] not in around.assets:
            yield unknown(("beta",), "an asset of the model", effect["beta"], around.assets)
        if effect.get("beta") in around.still:
            expected = "an asset that moves in the model, so that others have a beta to it"
            yield Fault(("beta",), expected, show(effect["beta"]), "take betas to another asset")
    judge = _JUDGES.get(str(effect.get("effect")))
    if judge is not None:
        yield from judge(effect, around)


def _step_faults(effect: Document, step: timedelta) -> Iterator[Fault]:
    """Times that the simulation's step does not divide."""
    for key in ("at", "for", "stagger", "delay", "confirm", "average"):
        if effect.get(key) is not None and parse_duration(effect[key]) % step:
            expected = f"a multiple of the simulation's step, {format_duration(step)}"
            yield Fault((key,), expected, show(effect[key]), "round it")


def _asset_faults(loc: Loc, values: Any, assets: Sequence[str]) -> Iterator[Fault]:
    for asset in values if isinstance(values, Mapping) else ():
        if asset not in CLASSES and asset not in assets:
            words = ", ".join(f"`{name}`" for name in CLASSES)
            yield unknown((*loc, asset), f"{words} or an asset of the model", asset, [*CLASSES, *assets])


def _shock_faults(effect: Document, around: Surroundings) -> Iterator[Fault]:
    yield from _instant_faults(effect, "a shock")
    percent = effect.get("as", "percent") == "percent"
    for asset, move in effect.get("moves", {}).items():
        if percent and move <= -1:
            fix = "write -0.10 for a fall of 10 percent, or say `as: log`"
            expected = "a simple move above -1, so that a price is left"
            yield Fault(("moves", asset), expected, f"{move:g}", fix)
        else:
            yield from _size_faults(("moves", asset), move, log1p(move) if percent else move)
    beta = effect.get("beta")
    if beta is not None and "moves" in effect:
        if beta not in effect["moves"]:
            expected = f"a move of {show(beta)} among `moves`: the others' are scaled from it"
            yield Fault(("moves",), expected, "none", f"add `{beta}:`")
        for asset in CLASSES:
            if asset in effect["moves"]:
                expected = "assets by name beside `beta`, which moves all others"
                yield Fault(("moves", asset), expected, f"`{asset}`", "remove it, or leave `beta` out")


def _event_faults(effect: Document, around: Surroundings) -> Iterator[Fault]:
    yield from _instant_faults(effect, "an event")
    if not parse_duration(effect.get("at", 0)):
        fix = "give `at:`, or `date:`; for a move at the start write a shock"
        yield Fault(("at",), "a time after `as_of`: an event lies ahead", show(effect.get("at", 0)), fix)
    for field in ("up", "down"):
        values = effect.get(field, {})
        sizes = values.items() if isinstance(values, Mapping) else [("all", values)]
        for asset, move in sizes:
            yield from _size_faults((field, asset), move, move)


def _instant_faults(effect: Document, name: str) -> Iterator[Fault]:
    if effect.get("for") is not None:
        yield Fault(("for",), f"no `for` on {name}: it is instant and stays", "one", "remove it")


def _size_faults(loc: Loc, written: float, log_move: float) -> Iterator[Fault]:
    if abs(log_move) > WILDEST_SHOCK:
        expected = f"a move by a factor of at most {exp(WILDEST_SHOCK):,.0f}, up or down"
        yield Fault(loc, expected, f"{written:g}", "check the unit: percent or log")


def _regime_faults(effect: Document, around: Surroundings) -> Iterator[Fault]:
    if around.regimes is not None and effect.get("force") is not None:
        known = ["calmest", "wildest", *around.regimes]
        if effect["force"] not in known:
            yield unknown(("force",), "`calmest`, `wildest` or a regime of the model", effect["force"], known)


def _correlation_faults(effect: Document, around: Surroundings) -> Iterator[Fault]:
    target, assets = effect.get("target"), around.assets
    if assets is None or not isinstance(target, list | tuple):
        return
    if len(target) != len(assets):
        got, fix = f"{len(target)}", "give one row and column per asset of the model, in their order"
        yield Fault(("target",), f"{len(assets)} rows, one for each asset", got, fix)
    if effect.get("repair") is None:
        fix = "correct the figures, or add `repair: nearest`"
        yield from definiteness_fault(("target",), target, assets, fix)


def _replay_faults(effect: Document, around: Surroundings) -> Iterator[Fault]:
    yield from _log_faults(around, "a replay")
    if effect.get("for") is not None:
        yield Fault(("for",), "no `for` on a replay: its window says how long", "one", "remove it")
    if effect.get("missing") == "beta" and effect.get("beta") is None:
        fix = "add `beta:`, the asset whose returns the others' are scaled from"
        yield Fault(("beta",), "an asset, as `missing` is `beta`", "nothing", fix)
    returns = effect.get("returns", {})
    count = None
    if around.step is not None and {"start", "end"} <= effect.keys():
        count = (parse_instant(effect["end"]) - parse_instant(effect["start"])) / around.step
    for asset, values in returns.items():
        loc: Loc = ("returns", asset)
        if count is not None and len(values) != count:
            got, fix = f"{len(values)}", "replay from the files again"
            yield Fault(loc, f"a return for each step of the window, {count:g}", got, fix)
        if around.assets is not None and asset not in around.assets:
            yield unknown(loc, "an asset of the model", asset, around.assets)
    filled = effect.get("missing") == "beta" and effect.get("beta") in returns
    missing = sorted(set(around.held or ()) - returns.keys())
    if missing and not filled:
        fix = "add `missing: beta` and `beta: BTC` (an asset that has them), or leave the assets out"
        yield Fault(("returns",), "returns of every asset held", f"none of {', '.join(missing)}", fix)


def _depeg_faults(effect: Document, around: Surroundings) -> Iterator[Fault]:
    asset = effect.get("asset")
    if asset is None or around.assets is None or around.quotes is None:
        return
    quotes = sorted(set(around.quotes))
    if asset == QUOTE or asset in quotes:
        return
    if asset not in around.assets:
        known = [QUOTE, *quotes, *around.assets]
        expected = "`quote`, the quote currency of an account's venue, or an asset of the model"
        yield unknown(("asset",), expected, asset, known)
    elif effect.get("for") is not None:
        yield from _log_faults(around, "a de-peg that ends")


def _loss_faults(effect: Document, around: Surroundings) -> Iterator[Fault]:
    for i, name in enumerate(effect.get("accounts") or ()):
        if around.accounts is not None and name not in around.accounts:
            yield unknown(("accounts", i), "an account of the plan", name, around.accounts)


def _oracle_faults(effect: Document, around: Surroundings) -> Iterator[Fault]:
    said = [key for key in ("delay", "freeze", "multiply") if effect.get(key)]
    if len(said) != 1:
        got = " and ".join(f"`{key}`" for key in said) or "none"
        yield Fault((), "one of `delay`, `freeze` and `multiply`", got, "give one; others are effects apart")
    confirms = effect.get("confirm") and parse_duration(effect["confirm"])
    if effect.get("multiply") is not None:
        yield from _log_faults(around, "an oracle's outlier")
        if confirms and effect.get("average") is not None:
            fix = "keep the one that the venue has"
            yield Fault(("average",), "one of `confirm` and `average`", show(effect["average"]), fix)
    else:
        for key in ("sources", "confirm", "average"):
            if confirms if key == "confirm" else effect.get(key) is not None:
                expected = f"`{key}` beside `multiply` alone"
                yield Fault((key,), expected, show(effect[key]), "remove it")
    sources = effect.get("sources") or {}
    if {"of", "wrong"} <= sources.keys() and sources["wrong"] > sources["of"]:
        expected = f"at most all of the sources, {sources['of']}"
        yield Fault(("sources", "wrong"), expected, f"{sources['wrong']}", "correct one of the two")


def _log_faults(around: Surroundings, name: str) -> Iterator[Fault]:
    if around.returns == "additive":
        yield Fault(("effect",), f"a model of log returns for {name}", "additive returns", "leave it out")


def _window_faults(effects: Sequence[Document]) -> Iterator[Fault]:
    """Effects of one kind that can't hold at the same time."""
    for expected, belongs in (
        ("one halt, delay or freeze at a time", _blinds),
        ("one replay in place of the model at a time", _replaces),
        ("one event at an instant", lambda effect: effect.get("effect") == "event"),
    ):
        held: list[tuple[timedelta, timedelta]] = []
        for i, effect in enumerate(effects):
            if belongs(effect):
                first, last = _span(effect)
                if any(first < other_last and other_first < last for other_first, other_last in held):
                    loc: Loc = ("effects", i, "at")
                    yield Fault(loc, expected, "two that overlap", "move it, or make one of the two")
                held.append((first, last))


def _blinds(effect: Document) -> bool:
    kind = effect.get("effect")
    return kind == "halt" or (kind == "oracle" and effect.get("multiply") is None)


def _replaces(effect: Document) -> bool:
    return effect.get("effect") == "replay" and effect.get("mode", "replace") == "replace"


def _span(effect: Document) -> tuple[timedelta, timedelta]:
    """When an effect begins and ends; an instant one a second later."""
    first = parse_duration(effect.get("at", 0))
    if effect["effect"] == "event":
        return first, first + timedelta(seconds=1)
    if effect["effect"] == "replay" and {"start", "end"} <= effect.keys():
        return first, first + (parse_instant(effect["end"]) - parse_instant(effect["start"]))
    length = effect.get("for")
    return first, timedelta.max if length is None else first + parse_duration(length)


def _basis_faults(effect: Document, around: Surroundings) -> Iterator[Fault]:
    values = effect.get("add", {})
    for asset, add in values.items() if isinstance(values, Mapping) else [("all", values)]:
        if not -1 < add <= 10:
            fix = "write -0.03 for a perpetual 3 percent below its asset"
            yield Fault(("add", asset), "a fraction above -1, at most 10", f"{add:g}", fix)


_JUDGES: dict[str, Callable[[Document, Surroundings], Iterator[Fault]]] = {
    "shock": _shock_faults,
    "event": _event_faults,
    "regime": _regime_faults,
    "correlation": _correlation_faults,
    "replay": _replay_faults,
    "basis": _basis_faults,
    "depeg": _depeg_faults,
    "loss": _loss_faults,
    "oracle": _oracle_faults,
}
