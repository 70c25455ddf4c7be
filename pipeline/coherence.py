"""What must hold between the values of a market model: its assets, its regimes and the chain between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import fsum
from typing import Any

from pipeline.bursts import find_burst_faults
from pipeline.chain import stationary_law
from pipeline.faults import Fault, Loc, below, duplicates, unknown
from pipeline.matrices import definiteness_fault
from pipeline.reversion import find_reversion_faults, mappings_of
from pipeline.units import parse_duration

SUM_TOLERANCE = 1e-9
RESERVED = (
    "stationary",
    "filtered",
    "calmest",
    "wildest",
)  # words that mean something where a regime's name may stand

_JUMPS_BY_ASSET = ("mean", "volatility", "up_probability", "up_mean", "down_mean")


def find_model_faults(model: dict[str, Any]) -> Iterator[Fault]:
    """What is wrong between the values of a model's document."""
    yield from _figure_faults(model)
    scale = (model.get("levels") or {}).get("scale")
    if scale is not None and len(scale) < 2:
        got = f"`{next(iter(scale))}` alone" if scale else "none"
        fix = "leave `levels` out where there is one"
        yield Fault(("levels", "scale"), "at least two levels", got, fix)
    if model.get("regimes") is not None:
        for number, draw in enumerate(model.get("parameter_draws") or ()):
            yield from below(("parameter_draws", number), _draw_faults(draw, model))


def _figure_faults(model: dict[str, Any]) -> Iterator[Fault]:
    """What is wrong between the figures of a model, or of a draw."""
    assets: list[str] | None = model.get("assets")
    regimes: dict[str, Any] | None = model.get("regimes")
    if assets is not None:
        yield from duplicates(("assets",), assets, "asset")
        if "all" in assets:
            loc = ("assets", assets.index("all"))
            yield Fault(loc, "the name of an asset", "`all`, which means every asset", "rename it")
        for name, regime in (regimes or {}).items():
            yield from below(("regimes", name), _regime_faults(regime, assets))
        without = [name for name, regime in (regimes or {}).items() if not regime.get("wick")]
        if without and len(without) < len(regimes or {}):
            fix = "add `wick:` to the others too, with probability 0 where there are none, or leave it out"
            yield Fault(("regimes", without[0]), "`wick:` in every regime, or in none", "no `wick:`", fix)
    step = None if model.get("step") is None else parse_duration(model["step"])
    yield from find_burst_faults(model.get("bursts") or (), assets, step)
    if regimes is not None:
        yield from find_reversion_faults(regimes)
        for name in regimes:
            if name in RESERVED or not name.strip():
                yield Fault(
                    ("regimes", name),
                    "a name for the regime",
                    f"`{name}`, which means something else",
                    "rename it",
                )
        yield from _chain_faults(model, tuple(regimes))
        yield from _level_faults(model, tuple(regimes))


def _draw_faults(draw: dict[str, Any], model: dict[str, Any]) -> Iterator[Fault]:
    """What is wrong with a draw: all that could be with a model, or that it isn't one of this model."""
    regimes = draw.get("regimes", {})
    yield from _key_faults(("regimes",), regimes, model["regimes"], "a regime", whole=True)
    pairs: list[tuple[Loc, Any, Any]] = [
        ((key,), model.get(key), draw.get(key)) for key in ("levels", "filtered")
    ]
    pairs += [
        (("regimes", name, "funding"), regime.get("funding"), regimes[name].get("funding"))
        for name, regime in model["regimes"].items()
        if name in regimes
    ]
    for loc, mine, drawn in pairs:
        if (mine is None) != (drawn is None):
            key = f"`{loc[-1]}:`"
            with_, without = (f"{key}, as the model has", f"no {key}, as the model")
            expected, got = (with_, f"no {key}") if drawn is None else (without, key)
            yield Fault(loc, expected, got, "calibrate the draws together with the model")
    levels = draw.get("levels")
    known = (model.get("levels") or {}).get("scale")
    if levels is not None and known is not None:
        yield from _key_faults(("levels", "scale"), levels.get("scale", {}), known, "a level", whole=True)
    initial = {"initial": "stationary"} if model.get("initial") == "stationary" else {}
    shared = {"assets": model.get("assets"), "step": model.get("step")}
    yield from _figure_faults({**draw, **shared, **initial})


def _level_faults(model: dict[str, Any], regimes: tuple[str, ...]) -> Iterator[Fault]:
    """What is wrong with the chain of levels, and with the filtered law over them."""
    levels = model.get("levels")
    given = (model.get("filtered") or {}).get("levels")
    if levels is None:
        if given is not None:
            fix = "add `levels:` to the model, or leave this out"
            yield Fault(("filtered", "levels"), "a model with `levels:`", "none", fix)
        return
    if levels.get("scale") is None:  # which has its fault already: there is nothing to hold the rest to
        return
    names = tuple(levels["scale"])
    rows: dict[str, dict[str, float]] = levels.get("transitions") or {}
    before = 0
    if rows or len(names) > 1:
        for fault in below(("levels",), _transition_faults(rows, names, "level")):
            before += 1
            yield fault
    if not before and rows and not _is_unique([[rows[m].get(n, 0.0) for n in names] for m in names]):
        fix = "join the classes by a transition"
        expected = "a chain with one stationary law"
        yield Fault(("levels", "transitions"), expected, "several closed classes of levels", fix)
    if given is not None:
        yield from _key_faults(("filtered", "levels"), given, regimes, "a law for each regime", whole=True)
        for name, law in given.items():
            yield from _law_faults(("filtered", "levels", name), law, names, "level")


def _key_faults(
    loc: Loc, values: dict[str, Any], names: Iterable[str], kind: str, *, whole: bool
) -> Iterator[Fault]:
    """Keys that are not among the names and, where the mapping must be whole, names without a key."""
    known = list(names)
    for key in values:
        if key not in known:
            yield unknown((*loc, key), f"{kind} of the model", key, known)
    for name in known if whole else ():
        if name not in values:
            yield Fault(
                (*loc, name), f"a value for each {kind.split()[-1]}", f"none for `{name}`", f"add `{name}:`"
            )


def _regime_faults(regime: dict[str, Any], assets: list[str]) -> Iterator[Fault]:
    jumps = regime.get("jumps") or {}
    wick = regime.get("wick") or {}
    excursions = [
        (("wick", way, key), (wick.get(way) or {}).get(key), key != "lean")
        for way in ("down", "up")
        for key in ("probability", "scale", "tail", "lean")
    ]
    for loc, values, whole in (
        (("volatility",), regime.get("volatility"), True),
        (("drift",), regime.get("drift"), False),
        (("funding",), regime.get("funding"), True),
        *mappings_of("funding_process", regime.get("funding_process")),
        *mappings_of("basis", regime.get("basis")),
        *mappings_of("implied_volatility", regime.get("implied_volatility"), of_some=True),
        (("depth",), regime.get("depth"), True),
        *((("jumps", key), jumps.get(key), True) for key in _JUMPS_BY_ASSET),
        *excursions,
    ):
        if values is not None:
            yield from _key_faults(loc, values, assets, "an asset", whole=whole)
    rows = regime.get("correlation")
    if rows:
        advice = "correct the figures, or add `repair: nearest` to the regime (it reports the distance moved)"
        yield from _size_faults(("correlation",), rows, assets)
        if not regime.get("repair"):
            yield from definiteness_fault(("correlation",), rows, assets, advice)
    elif len(assets) > 1:
        got = "an empty list" if "correlation" in regime else "nothing"
        yield Fault(
            ("correlation",),
            f"a matrix of {len(assets)} x {len(assets)} correlations",
            got,
            "add `correlation:`",
        )
    rho = jumps.get("correlation", 0.0)
    if isinstance(rho, list | tuple):
        yield from _size_faults(("jumps", "correlation"), rho, assets)
        if rho:
            yield from definiteness_fault(("jumps", "correlation"), rho, assets, "correct the figures")
    elif len(assets) > 1 and rho < -1 / (len(assets) - 1):
        lowest = -1 / (len(assets) - 1)
        expected = f"at least {lowest:.4g}: {len(assets)} assets can't all move further against each other"
        yield Fault(("jumps", "correlation"), expected, f"{rho:g}", "raise it, or give a matrix")


def _size_faults(loc: Loc, rows: Any, assets: list[str]) -> Iterator[Fault]:
    if len(rows) != len(assets):
        expected = f"{len(assets)} rows, one for each of {', '.join(assets[:8])}"
        yield Fault(loc, expected, f"{len(rows)}", "give one row and column per asset, in their order")


def _law_faults(
    loc: Loc, law: dict[str, float], states: tuple[str, ...], kind: str = "regime"
) -> Iterator[Fault]:
    yield from _key_faults(loc, law, states, f"a {kind}", whole=False)
    if abs(fsum(law.values()) - 1) > SUM_TOLERANCE:
        yield Fault(loc, "probabilities that sum to 1", f"a sum of {fsum(law.values()):.12g}", "correct them")


def _chain_faults(model: dict[str, Any], regimes: tuple[str, ...]) -> Iterator[Fault]:
    transitions: dict[str, dict[str, float]] = model.get("transitions") or {}
    before = 0
    if transitions or len(regimes) > 1:
        for fault in _transition_faults(transitions, regimes):
            before += 1
            yield fault
    filtered = model.get("filtered")
    if filtered is not None and filtered.get("law") is not None:
        yield from _law_faults(("filtered", "law"), filtered["law"], regimes)
    initial = model.get("initial")
    if isinstance(initial, dict):
        yield from _law_faults(("initial",), initial, regimes)
    elif initial == "filtered":
        if filtered is None:
            fix = "use `stationary`, a regime or a law, or take a calibrated model"
            yield Fault(("initial",), "a filtered law in the model, as `initial: filtered` asks", "none", fix)
    elif initial == "stationary":
        matrix = [[transitions.get(k, {}).get(j, 0.0) for j in regimes] for k in regimes]
        if not before and transitions and not _is_unique(matrix):
            fix = "give `initial` as a law or a regime, or join the classes by a transition"
            yield Fault(
                ("initial",), "a chain with one stationary law", "several closed classes of regimes", fix
            )
    elif initial is not None and initial not in regimes:
        yield unknown(
            ("initial",),
            "`stationary`, `filtered` or a regime of the model",
            initial,
            [*RESERVED[:2], *regimes],
        )


def _transition_faults(
    transitions: dict[str, dict[str, float]], states: tuple[str, ...], kind: str = "regime"
) -> Iterator[Fault]:
    yield from _key_faults(("transitions",), transitions, states, f"a row for each {kind}", whole=True)
    for name, row in transitions.items():
        yield from _law_faults(("transitions", name), row, states, kind)


def _is_unique(matrix: list[list[float]]) -> bool:
    try:
        stationary_law(matrix)
    except ValueError:
        return False
    return True
