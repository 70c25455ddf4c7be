"""What chain and oracle let happen in each step, from docs/after-the-breach.md and docs/scenarios.md."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from itertools import product
from statistics import median

from pipeline.effects import Effect, Gas, Halt, Oracle, classes_of

AS_OF, HALTED = -1, -2


def find_sight(effects: Sequence[Effect], step: timedelta, steps: int) -> tuple[list[int], list[bool]]:
    """Whose step's closing prices the venue judges by at each close, or AS_OF or HALTED; and whether it looks
    anywhere else in the step.

    A window's last close, if it is simulated, sees what is there. A halt goes before an oracle's trouble.
    """
    sees, clear = list(range(steps)), [True] * steps
    for effect in sorted(effects, key=lambda effect: isinstance(effect, Halt)):
        troubled = isinstance(effect, Oracle) and (effect.freeze or effect.delay is not None)
        if not troubled and not isinstance(effect, Halt):
            continue
        first, stop = _window(effect, step, steps)
        for t in range(first, stop):
            clear[t] = False
            if t == stop - 1 and effect.for_ is not None and effect.at + effect.for_ <= steps * step:
                continue
            if isinstance(effect, Halt):
                sees[t] = HALTED
            elif isinstance(effect, Oracle) and effect.delay is not None:
                sees[t] = max(t - effect.delay // step, first - 1)  # none older than it had seen then
            else:
                sees[t] = first - 1
    return sees, clear


def find_gas(effects: Sequence[Effect], step: timedelta, steps: int) -> tuple[list[float], list[int]]:
    """Factor on the cost of an action, and steps that it comes later, in each step."""
    factor, delay = [1.0] * steps, [0] * steps
    for effect in effects:
        if isinstance(effect, Gas):
            for t in range(*_window(effect, step, steps)):
                factor[t] *= effect.multiply
                delay[t] += math.ceil(effect.delay / step)
    return factor, delay


def find_outlier(
    effects: Sequence[Effect], assets: Sequence[str], step: timedelta, steps: int
) -> list[dict[str, float]]:
    """By asset what the oracle's prices are over the market's, in each step."""
    found = [dict.fromkeys(assets, 1.0) for _ in range(steps)]
    for effect in effects:
        if not isinstance(effect, Oracle) or effect.multiply is None:
            continue
        first, stop = _window(effect, step, steps)
        for t, asset in product(range(steps), assets):
            given = [
                effect.multiply[key] for key in (asset, *classes_of(asset, assets)) if key in effect.multiply
            ]
            wrong = given[0] if given else 1.0
            if effect.sources is not None:
                readings = [wrong] * effect.sources.wrong + [1.0] * (effect.sources.of - effect.sources.wrong)
                wrong = median(readings)
            if effect.average is not None:
                hours = [wrong if first <= t - back < stop else 1.0 for back in range(effect.average // step)]
                found[t][asset] *= sum(hours) / len(hours)
            elif first + effect.confirm // step <= t < stop:
                found[t][asset] *= wrong
    return found


def _window(effect: Effect, step: timedelta, steps: int) -> tuple[int, int]:
    first = min(effect.at // step, steps)
    return first, steps if effect.for_ is None else min((effect.at + effect.for_) // step, steps)
