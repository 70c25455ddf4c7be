"""What is wrong between the values of a plan's document, its parts each looked at by their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.account_faults import (
    find_account_faults,
    find_group_faults,
    find_held,
    find_notional_faults,
    find_price_faults,
)
from pipeline.blocks import LANES
from pipeline.book import find_limit_faults
from pipeline.caps import find_cap_faults
from pipeline.coherence import find_model_faults
from pipeline.contagion import find_contagion_faults
from pipeline.faults import Fault, Loc, below, find_name_faults, unknown
from pipeline.market_state import find_state_faults
from pipeline.policy_faults import find_policy_faults, find_resolve_faults
from pipeline.quantile_faults import find_quantile_faults
from pipeline.scenario_faults import Surroundings, find_scenario_faults, find_still
from pipeline.units import YEAR, format_duration, parse_duration
from pipeline.venue_faults import find_venue_faults

MOST_JUMPS = 500  # expected in a step, where each is drawn by itself


def find_plan_faults(plan: dict[str, Any]) -> Iterator[Fault]:
    """What is wrong between the values of a plan's document; any key may be missing."""
    simulation, venue, model = plan.get("simulation", {}), plan.get("venue", {}), plan.get("model", {})
    scenarios, accounts, venues = plan.get("scenarios", ()), plan.get("accounts", ()), plan.get("venues", {})
    assets, regimes, prices = model.get("assets"), model.get("regimes"), plan.get("prices", {})
    yield from below(("simulation",), _axis_faults(simulation))
    yield from _step_faults(plan)
    yield from _jump_faults(plan)
    yield from _wick_faults(plan)
    yield from _draw_faults(plan)
    yield from below(("venue",), find_venue_faults(venue))
    for name, other in venues.items():
        yield from below(("venues", name), find_venue_faults(other))
    yield from below(("model",), find_model_faults(model))
    yield from below(("market_state",), find_state_faults(plan.get("market_state") or {}, model))
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
        yield from below(("accounts", i), find_policy_faults(account, its_venue, prices))
        caps, positions = account.get("caps") or {}, account.get("positions", ())
        yield from below(("accounts", i, "caps"), find_cap_faults(caps, positions))
    yield from find_resolve_faults(simulation, accounts)
    yield from below(("simulation",), find_contagion_faults(simulation, scenarios, accounts))
    yield from find_quantile_faults(plan)
    yield from find_price_faults(placed, assets or (), prices)
    yield from find_notional_faults(placed, prices)
    axes = {
        "scenario": [name for name in names if name is not None] or None,
        "account": [account["name"] for account in accounts if "name" in account] or None,
        "leverage": simulation.get("leverage", (1.0,)),
        "horizon": simulation.get("horizons"),
    }
    for i, limit in enumerate(plan.get("limits", ())):
        yield from below(("limits", i), find_limit_faults(limit, axes, bool(simulation.get("resolve"))))


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


def _draw_faults(plan: dict[str, Any]) -> Iterator[Fault]:
    """What `parameter_uncertainty` needs of the model and the paths."""
    simulation, model = plan.get("simulation", {}), plan.get("model", {})
    if not simulation.get("parameter_uncertainty") or "regimes" not in model:
        return
    draws = len(model.get("parameter_draws") or ())
    if not draws:
        yield Fault(
            ("simulation", "parameter_uncertainty"),
            "a model that has draws of its parameters, as this asks",
            "a model without `parameter_draws:`",
            "fit it with `seawall calibrate ... --draws 32`, or leave this out",
        )
    elif simulation.get("paths", draws * LANES) < draws * LANES:
        yield Fault(
            ("simulation", "paths"),
            f"at least {LANES} paths for each of the model's {draws} draws",
            f"{simulation['paths']:,}",
            f"take {draws * LANES:,} paths or more",
        )
