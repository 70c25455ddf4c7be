"""Exact cases as plans: the document a user would write, and where in the cube the expected figures stand."""

from __future__ import annotations

import math
import re
import zlib
from typing import Any, NamedTuple

import numpy as np

from tests.conformance.books import SPOT, Book, book_hit_at, book_of, hit_price, long_hit_at, short_hit_at
from tests.conformance.cases import Case
from tests.conformance.inputs import Inputs, Unsupported, whole_seconds
from tests.conformance.laws import CHAIN_STEP_S, YEAR_S, Law, law_of
from tests.conformance.readings import Expectation, Found, find_figures, read_both, read_p

PATHS, MOST_PATHS = 400_000, 4_000_000
MOST_ASSET_STEPS = 800_000_000  # paths x steps x assets beyond which rarer cells get no more paths
WANTED, FEWEST = (
    1_000,
    20,
)  # expected events: worth more paths below the first, not a normal law below the second
CERTAIN_PATHS = 1_000  # where nothing is random
BRIDGE_STEPS = 24  # single assets: a bridge knows the extremes of any step
PAIR_STEP_S = 1_800  # several assets: the bridge is refined only so far, so steps are short
LIFT = 3.0  # log move that only the last step makes, so far that nothing before it can matter


class CasePlan(NamedTuple):
    """A plan document, what to expect of its cube, and which figures are left out, with reasons."""

    document: dict[str, Any]
    expectations: tuple[Expectation, ...]
    omitted: tuple[tuple[str, str], ...]

    @property
    def paths(self) -> int:
        return int(self.document["simulation"]["paths"])


class Skip(NamedTuple):
    """Why a case is not run."""

    reason: str


class Timing(NamedTuple):
    """Steps and horizons in seconds; at_end: only the last instant is monitored."""

    step_s: int
    horizons_s: list[int]
    monitoring: str
    at_end: bool


def plan_of(case: Case) -> CasePlan | Skip:
    """The case as a plan, or why there is none."""
    inputs = Inputs(case.inputs)
    try:
        if "barrier" in inputs and "strike" in inputs:
            plan = _hit_then_end(case, inputs)
        elif "funding_rate_per_event" in inputs:
            plan = _certain_funding(case, inputs)
        elif "barrier" in inputs:
            plan = _level_passage(case, inputs)
        else:
            plan = _first_passage(case, inputs)
        inputs.check_all_read()
    except Unsupported as reason:
        return Skip(str(reason))
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        return Skip(f"inputs of an unknown shape: {error!r}")
    return plan if plan.expectations else Skip("; ".join(f"{label}: {why}" for label, why in plan.omitted))


def _first_passage(case: Case, inputs: Inputs) -> CasePlan:
    if not isinstance(case.expected, dict) and not case.quantity.startswith("P("):
        raise Unsupported(f"no variable of the cube is {case.quantity!r}")
    book = book_of(inputs)
    timing = _timing(case, inputs, len(book.assets))
    if inputs.take("funding", 0.0):
        raise Unsupported("funding paid continuously")
    law = law_of(inputs, book.assets, timing.step_s)
    leverages = inputs.take("leverages", [1.0])
    multiples = sorted(leverage / leverages[0] for leverage in leverages)
    names = [account.name for account in book.accounts]
    found = find_figures(case, names, timing.horizons_s[-1], leverages)
    if timing.at_end and len(law.initial) > 1:
        return _at_end(case, book, law, timing)
    if "funding_rate" in inputs:
        found = [("p", case.expected, read_p(names[0], timing.horizons_s[-1], scenario="payment"))]
        return _plan(case, book, law, timing, found, scenario=_payment(case, inputs, timing.step_s))
    return _plan(case, book, law, timing, found, multiples=multiples)


def _level_passage(case: Case, inputs: Inputs) -> CasePlan:
    """P(the log price gets to a level): a short that is liquidated there, or a long."""
    match = re.match(r"P\((max|min)_\{\w+ ?<=? ?\w+\} X_\w+ ([<>])=? b\)", case.quantity)
    level = inputs.need("barrier")
    if match is None or match.groups() != (("max", ">") if level > 0 else ("min", "<")):
        raise Unsupported(f"no variable of the cube is {case.quantity!r}")
    hit_at = short_hit_at if level > 0 else long_hit_at
    book = book_hit_at([hit_at(SPOT * math.exp(level))])
    timing = _timing(case, inputs, 1)
    law = law_of(inputs, book.assets, timing.step_s)
    found = find_figures(case, [book.accounts[0].name], timing.horizons_s[-1], [1.0])
    return _plan(case, book, law, timing, found)


def _timing(case: Case, inputs: Inputs, assets: int) -> Timing:
    inputs.one_of("monitoring", ["continuous", "discrete", "hourly", "only at"])
    words = f"{inputs.take('monitoring', '')} {case.quantity}".lower()
    at_end = any(phrase in words for phrase in ("only at", "at t only", "single monitoring time"))
    continuous = not at_end and "continuous" in words
    step_h, steps = inputs.take("step_hours"), inputs.take("steps")
    hours = inputs.take("horizons_hours") or [inputs.take("horizon_hours")]
    if hours == [None] and "T_years" in inputs:
        hours = [inputs.need("T_years") * YEAR_S / 3600]
        step_h = hours[0] / steps if steps else step_h
    if hours == [None]:
        if step_h is None or (steps is None and "one step" not in words.replace("-", " ")):
            raise Unsupported("no horizon is given")
        hours = [step_h * (steps or 1)]
    horizons = [whole_seconds(h) for h in hours]
    if "generator_per_hour" in inputs:
        step = CHAIN_STEP_S
    elif at_end and "transition_matrix_per_step" not in inputs:
        step = horizons[-1]
    elif continuous and "transition_matrix_per_step" not in inputs:
        step = _divisor(horizons[-1], BRIDGE_STEPS if assets == 1 else horizons[-1] // PAIR_STEP_S)
    elif step_h is None:
        raise Unsupported("monitoring in steps of unknown length")
    else:
        step = whole_seconds(step_h)
    if any(h % step for h in horizons):
        raise Unsupported("the step does not divide the horizon")
    return Timing(step, horizons, "bridge" if continuous else "close", at_end)


def _divisor(horizon_s: int, steps: int) -> int:
    """The longest step that divides the horizon into at least so many."""
    return horizon_s // next(n for n in range(max(steps, 1), horizon_s + 1) if horizon_s % n == 0)


def _payment(case: Case, inputs: Inputs, step_s: int) -> dict[str, Any]:
    """A scenario of one funding payment at the end of one step; else the venue pays at no rate."""
    if "before that step's margin check" not in case.quantity.lower():
        raise Unsupported("funding paid after the margin check")
    return {
        "name": "payment",
        "narrative": "Funding is paid once.",
        "effects": [
            {
                "effect": "funding",
                "add": inputs.need("funding_rate") * YEAR_S / step_s,
                "at": f"{(inputs.need('funding_step') - 1) * step_s}s",
                "for": f"{step_s}s",
            }
        ],
    }


def _at_end(case: Case, book: Book, law: Law, timing: Timing) -> CasePlan:
    """One check at the horizon: an account far from liquidation until a scenario's move at the very end."""
    if len(book.assets) > 1 or isinstance(case.expected, dict):
        raise Unsupported("terminal-only monitoring of several assets under regimes is no first passage")
    short = book.accounts[0].quantities[book.assets[0]] < 0
    lift = LIFT if short else -LIFT
    price = hit_price(book) / book.prices["X"] * SPOT * math.exp(lift)
    account = short_hit_at(price) if short else long_hit_at(price)
    end_s = timing.horizons_s[-1]
    later = timing._replace(horizons_s=[end_s + timing.step_s])
    found: list[Found] = [("p", case.expected, read_p(account.name, end_s + timing.step_s, scenario="end"))]
    return _plan(case, book_hit_at([account]), law, later, found, scenario=_lift(law, end_s, lift))


def _lift(law: Law, end_s: int, lift: float) -> dict[str, Any]:
    """A scenario whose last step holds nothing but a move, be it seen before or after its step."""
    window = {"at": f"{end_s}s", "for": f"{law.step_s}s"}
    return {
        "name": "end",
        "narrative": "A move at the very end, and nothing else in that step.",
        "kind": "hypothetical",
        "effects": [
            {"effect": "regime", "force": law.regimes[0], **window},
            {"effect": "volatility", "multiply": 0.0, **window},
            {"effect": "drift", "add": -float(law.drift[0, 0]), **window},
            {"effect": "shock", "moves": {"X": lift}, "as": "log", "at": f"{end_s}s"},
        ],
    }


def _hit_then_end(case: Case, inputs: Inputs) -> CasePlan:
    """P(a low barrier is hit, and the price ends above a strike): two accounts, one checked at the end."""
    match = re.match(r"(\d+) exp\(-rT\) P\(min_\{n<m\} S_n < H and S_m > K\)", case.quantity)
    strike, barrier, spot = (inputs.need(key) for key in ("strike", "barrier", "spot0"))
    if match is None or strike < barrier:
        raise Unsupported(f"no variable of the cube is {case.quantity!r}")
    rate, sigma, years, steps = (inputs.need(key) for key in ("r", "sigma_annual", "T_years", "steps"))
    step_s = whole_seconds(years * YEAR_S / steps / 3600)
    law = Law(
        assets=["X"],
        step_s=step_s,
        additive=False,
        volatility=np.array([[sigma]]),
        drift=np.array([[rate - sigma**2 / 2]]),
        rho=[1.0],
        tail=[None],
        transition=np.eye(1),
        initial=np.ones(1),
    )
    end_s = steps * step_s
    accounts = [long_hit_at(barrier / spot * SPOT), short_hit_at(strike / spot * SPOT * math.exp(LIFT))]
    p = case.expected / float(match[1]) * math.exp(rate * years)
    found: list[Found] = [("p", p, read_both(["long", "short"], end_s + step_s, "end"))]
    timing = Timing(step_s, [end_s + step_s], "close", False)
    return _plan(case, book_hit_at(accounts), law, timing, found, scenario=_lift(law, end_s, LIFT))


def _certain_funding(case: Case, inputs: Inputs) -> CasePlan:
    """Without volatility: not liquidated at the event before the expected one, always at the expected one."""
    count = case.expected
    if not isinstance(count, int) or count < 1:
        raise Unsupported("an account that is never liquidated has no horizon")
    book = book_of(inputs)
    event_s = whole_seconds(inputs.need("event_hours"))
    per_year = YEAR_S / event_s
    law = Law(
        assets=book.assets,
        step_s=event_s,
        additive=False,
        volatility=np.zeros((1, 1)),
        drift=np.array([[inputs.need("price_log_growth_per_event") * per_year]]),
        rho=[1.0],
        tail=[None],
        transition=np.eye(1),
        initial=np.ones(1),
        funding=inputs.need("funding_rate_per_event") * per_year,
    )
    horizons = [n * event_s for n in (count - 1, count) if n]
    found: list[Found] = [
        (f"event {h // event_s}", float(h == horizons[-1]), read_p("one", h)) for h in horizons
    ]
    return _plan(case, book, law, Timing(event_s, horizons, "close", False), found)


def _plan(
    case: Case,
    book: Book,
    law: Law,
    timing: Timing,
    found: list[Found],
    *,
    multiples: list[float] | None = None,
    scenario: dict[str, Any] | None = None,
) -> CasePlan:
    """The document, with as many paths as the rarest figure needs and its cost allows."""
    readable = [value for _, value, reader in found if reader is not None]
    paths = _paths(readable, len(book.assets) * timing.horizons_s[-1] // timing.step_s)
    rare = FEWEST / paths
    expectations, omitted = [], []
    for label, value, reader in found:
        if reader is None:
            omitted.append((label, "no variable of the cube is this"))
        elif 0 < value < rare:
            omitted.append((label, f"rare: {value:.3g} needs importance sampling, which comes later"))
        else:
            expectations.append(Expectation(label, value, reader))
    document = {
        "name": case.id,
        "as_of": "2026-01-01T00:00:00Z",
        "simulation": {
            "seed": zlib.crc32(case.id.encode()),  # fixed, and another one for every case
            "paths": paths,
            "step": f"{timing.step_s}s",
            "horizons": [f"{h}s" for h in timing.horizons_s],
            "leverage": multiples or [1.0],
            "monitoring": timing.monitoring,
        },
        "model": law.document(),
        "scenarios": ["baseline"] if scenario is None else ["baseline", scenario],
        **book.document(timing.step_s),
    }
    return CasePlan(document, tuple(expectations), tuple(omitted))


def _paths(values: list[float], asset_steps: int) -> int:
    random = [value for value in values if 0 < value < 1]
    if not random:
        return CERTAIN_PATHS
    affordable = max(PATHS, min(MOST_PATHS, MOST_ASSET_STEPS // asset_steps))
    # a cell that stays out of reach is omitted, so it buys no paths
    wanted = [WANTED / value for value in random if value * affordable >= FEWEST]
    return max(PATHS, min(affordable, math.ceil(max(wanted, default=0))))
