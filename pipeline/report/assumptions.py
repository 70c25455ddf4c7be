"""What the numbers rest on, in words, from the resolved plan: effects, market model, what is left out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pipeline.bursts import Burst, describe_bursts
from pipeline.model import MarketModel
from pipeline.report.venues import list_markets, venues_of
from pipeline.units import parse_duration

# said elsewhere, or nothing to say
SILENT = {"effect": None, "at": "0s", "for": None, "freeze": False, "confirm": "0s", "start_only": False}

FUNDED = "paid at a rate that is constant in each regime; it does not follow the basis."
REVERTING = (
    "paid at a rate that wanders about the regime's level, clamped where the venue has a figure for that; it"
    " does not follow the basis."
)
UNFUNDED = "the model has no funding rates, so that nothing is paid or received outside scenarios."
CLOSES = (
    "accounts are looked at when a step closes. A crossing in between that reverts is missed, so that"
    " probabilities are too low."
)
BRIDGES = "between closes a crossing is drawn from the bridge of the step's own volatility."
WICKED = (
    "prices leave the model's path for moments as often and as far as highs and lows did in its window,"
    " all down or all up together. Wilder hours than those are not drawn."
)
UNRESOLVED = (
    "partial liquidations, depth, slippage, fees, the insurance fund and deleveraging"
    " are not simulated. P(bankruptcy) is of a book that nobody touches."
)
RESOLVED = (
    "followed on every path that has one, in its own section. P(liquidation), P(margin call) and"
    " P(bankruptcy) are of a book that nobody touches, and so are groups and joint liquidations."
)
APART = (
    "liquidations do not move prices, and accounts do not touch one another. Each has the venue's insurance"
    " fund and the books' depth for itself."
)
SHARED = (
    "liquidations move prices by what the books stated take, which moves the accounts of this book alone:"
    " what others hold, and who would buy, is not modelled. P(liquidation) is without it."
)
UNMANAGED = "nobody tops up, reduces or closes. The book is held as it stands."
MANAGED = "nobody acts but by the policies that the plan gives an account, once a step."
UNWICKED = "prices that leave the model's path for moments are not drawn."


class ModelTable(NamedTuple):
    """The market model: its regimes as columns, a row for each thing worth knowing of them, and notes."""

    regimes: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    notes: tuple[str, ...]


def describe_effect(effect: Mapping[str, Any]) -> str:
    """An effect of a scenario on a line: "shock: moves all −10 %"."""
    if effect.get("as") == "percent":  # "−0.1, as percent" would be read as a tenth of a percent
        moves = {asset: f"{_words(100 * move)} %" for asset, move in effect["moves"].items()}
        effect = {**effect, "moves": moves, "as": None}
    if "returns" in effect:  # as many as there are steps
        effect = {**effect, "returns": " ".join(effect["returns"]) or None}
    said = [
        f"{key.replace('_', ' ')} {_words(value)}"
        for key, value in effect.items()
        if value is not None and (key not in SILENT or value != SILENT[key]) and key != "effect"
    ]
    return f"{effect['effect']}: {', '.join(said)}"


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key} {_words(item)}" for key, item in value.items())
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return " ".join(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:g}".replace("-", "−")
    return value if isinstance(value, str) else json.dumps(value)


def describe_model(model: Mapping[str, Any]) -> ModelTable:
    """Expected stay, tail and jumps of each regime, and the volatility of each asset, annualised.

    With jumps or bursts, drift and volatility that count them too.
    """
    regimes = model["regimes"]
    hours = parse_duration(model["step"]).total_seconds() / 3600
    stays = [_stay(hours, model["transitions"][name][name]) for name in regimes]
    rows = [
        ("expected stay", tuple(stays)),
        ("tail", tuple(_tail(regime["tail"]) for regime in regimes.values())),
        ("jumps a year", tuple(_intensity(regime["jumps"]) for regime in regimes.values())),
    ]
    rows += [
        (
            f"volatility {asset}",
            tuple(f"{100 * regime['volatility'][asset]:.1f} %" for regime in regimes.values()),
        )
        for asset in model["assets"]
    ]
    if model.get("bursts") or any(regime["jumps"] for regime in regimes.values()):
        rows += _totals(model)
    return ModelTable(tuple(regimes), tuple(rows), tuple(_notes(model)))


def _totals(model: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What drift and volatility are with jumps and bursts counted in: the model's own leave them out."""
    found = MarketModel.model_validate(model)
    totals = [(found.total_drift(name), found.total_volatility(name)) for name in found.regime_names]
    for asset in model["assets"]:
        drifts = tuple(f"{100 * drift[asset]:.1f} %".replace("-", "−") for drift, _ in totals)
        yield f"drift {asset}, with {found.added_moves}", drifts
        volatilities = tuple(f"{100 * each[asset]:.1f} %" for _, each in totals)
        yield f"volatility {asset}, with {found.added_moves}", volatilities


def _notes(model: Mapping[str, Any]) -> Iterator[str]:
    """Where the chain of regimes starts, and what the model says of its own calibration."""
    initial, filtered, calibration = model["initial"], model["filtered"], model["calibration"]
    yield f"Regime at the start: {_words(initial)}"
    if initial == "filtered" and filtered is not None:
        yield f"Filtered as of {filtered['as_of']}: {_words(filtered['law'])}"
    for line in describe_bursts([Burst.model_validate(burst) for burst in model.get("bursts") or ()]):
        yield line[0].upper() + line[1:]
    if calibration is not None:
        said = [
            f"{key.replace('_', ' ')} {_words(value)}"
            for key, value in calibration.items()
            if isinstance(value, str) or key == "window"
        ]
        yield f"Calibration: {', '.join(said)}"


def _stay(step: float, again: float) -> str:
    """The mean time in a regime, from the hours of a step and the probability of staying for another."""
    if again == 1:
        return "for ever"
    hours = step / (1 - again)
    return f"{hours:.3g} h" if hours < 48 else f"{hours / 24:.3g} d"


def _tail(degrees: float | None) -> str:
    return "Gaussian" if degrees is None else f"Student t, {degrees:.3g} df"


def _intensity(jumps: Mapping[str, Any] | None) -> str:
    if jumps is None:
        return "none"
    return f"{jumps['intensity']:.3g}, {jumps.get('law', 'normal').replace('_', ' ')}"


def list_not_modelled(plan: Mapping[str, Any]) -> list[str]:
    """What the numbers leave out, so that nobody reads it into them; depends on the plan."""
    funded = any(_pays(regime["funding"]) for regime in plan["model"]["regimes"].values())
    moves = any(regime.get("funding_process") for regime in plan["model"]["regimes"].values())
    closes = plan["simulation"]["monitoring"] == "close"
    resolves = plan["simulation"]["resolve"]
    quotes = sorted({venue["quote"] for venue in venues_of(plan).values()})
    return [
        "Parameters: " + _parameters(plan["model"]),
        "Funding: " + (REVERTING if moves else FUNDED if funded else UNFUNDED),
        "Monitoring: " + (CLOSES if closes else BRIDGES),
        "Wicks: " + (WICKED if plan["simulation"]["monitoring"] == "wick" else UNWICKED),
        "After liquidation: " + (RESOLVED if resolves else UNRESOLVED),
        "Management: " + (MANAGED if resolves else UNMANAGED),
        "Venues: outside scenarios of theirs no outages, and oracle prices are the model's, without delay;"
        " every market on an asset, and collateral in it, has the asset's one price. " + _open_interest(plan),
        "Contagion: " + (SHARED if plan["simulation"].get("contagion") else APART),
        f"Quote currency: {' and '.join(quotes)} {'is' if len(quotes) == 1 else 'are'} held at one dollar"
        " outside scenarios.",
    ]


def _parameters(model: Mapping[str, Any]) -> str:
    draws = model.get("parameter_draws") or ()
    given = model.get("bursts") and any(draw.get("bursts") is None for draw in draws)
    left = "wicks, jumps and bursts" if given else "wicks and jumps"
    if not draws:
        return "the market model is taken as given. Model uncertainty not assessed."
    return (
        f"errors of the fitted figures are assessed by {len(draws)} draws of them; {left} are not drawn."
        " That the market keeps to a model of this form is taken as given."
    )


def _open_interest(plan: Mapping[str, Any]) -> str:
    """Whether initial margin follows open interest: dydx_v4's does, where the plan states it."""
    held = {row[:2] for row in list_markets(plan)}
    stated = {
        market["open_interest"] is not None
        for venue in venues_of(plan).values()
        if venue["rules"] == "dydx_v4"
        for name, market in venue["markets"].items()
        if (venue["name"], name) in held
    }
    if not stated:
        return ""
    if stated == {True}:
        return "Open interest, which initial margin grows with, stays as stated."
    return (
        "Initial margin is at its base fraction where a market's open interest is not stated, so that margin"
        " calls may come earlier."
    )


def _pays(funding: Mapping[str, float] | None) -> bool:
    return funding is not None and any(funding.values())
