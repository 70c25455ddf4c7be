"""A scenario's effects over the steps of a simulation: when each holds, how strongly, what falls at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import pairwise
from math import log

import numpy as np

from kernels.structs import AT_CLOSE, THROUGHOUT, UNSEEN, Floats, Integers
from pipeline.betas import betas
from pipeline.effects import (
    QUOTE,
    Basis,
    Correlation,
    Depeg,
    Depth,
    Drift,
    Effect,
    Event,
    Funding,
    Halt,
    ImpliedVolatility,
    Loss,
    Oracle,
    Replay,
    Shock,
    Tail,
    Volatility,
    value_of,
)
from pipeline.model import MarketModel
from pipeline.outliers import find_outlier

PIECES = 8  # of a half-life: what decays is constant over each
HALVINGS = 16  # after these nothing is left

Lasting = Drift | Volatility | Correlation | Tail | Funding | Replay


def find_window(effect: Effect, step: timedelta, steps: int) -> slice:
    """The steps over which an effect holds."""
    length = effect.end - effect.start if isinstance(effect, Replay) else effect.for_
    first = min(effect.at // step, steps)
    return slice(first, steps if length is None else min((effect.at + length) // step, steps))


def cut_segments(
    effects: Sequence[Effect], step: timedelta, steps: int
) -> list[tuple[int, int, tuple[Lasting, ...]]]:
    """The steps cut where the model's parameters change: first, one past the last, effects in force."""
    lasting = [
        (faded, window)
        for effect in effects
        if isinstance(effect, Lasting)
        for faded, window in _fade(effect, step, steps)
    ]
    edges = sorted({0, steps, *(w.start for _, w in lasting), *(w.stop for _, w in lasting)})
    return [
        (first, last, tuple(e for e, w in lasting if w.start <= first < w.stop))
        for first, last in pairwise(edges)
    ]


def _fade(effect: Lasting, step: timedelta, steps: int) -> Iterator[tuple[Lasting, slice]]:
    """An effect with its window; one that decays cut into pieces, each at its mean strength over it."""
    window = find_window(effect, step, steps)
    if not isinstance(effect, Volatility | Funding) or effect.decay is None:
        yield effect, window
        return
    for strength, piece in _pieces(effect.decay / step, window):
        yield _weaken(effect, strength), piece


def _pieces(half_life: float, window: slice) -> Iterator[tuple[float, slice]]:
    """A window cut into pieces, each with the mean over it of what halves every so many steps.

    Over (a, b] the mean of 2^(-t/h) is (2^(-a/h) - 2^(-b/h)) h / ((b - a) ln 2).
    """
    stride = max(1, int(half_life / PIECES))
    last = min(window.stop, window.start + int(HALVINGS * half_life) + stride)
    for first in range(window.start, last, stride):
        stop = min(first + stride, window.stop)
        a, b = ((edge - window.start) / half_life for edge in (first, stop))
        yield (2.0**-a - 2.0**-b) / ((b - a) * log(2.0)), slice(first, stop)


def _weaken(effect: Volatility | Funding, strength: float) -> Volatility | Funding:
    if isinstance(effect, Volatility):
        weaker = {asset: 1.0 + (factor - 1.0) * strength for asset, factor in effect.multiply.items()}
        return effect.model_copy(update={"multiply": weaker})
    added = {asset: rate * strength for asset, rate in effect.add.items()}
    return effect.model_copy(update={"add": added, "multiply": 1.0 + (effect.multiply - 1.0) * strength})


def find_shocks(
    effects: Sequence[Effect], model: MarketModel, columns: Integers, marks: int, step: timedelta, steps: int
) -> dict[int, Floats]:
    """Factors on the prices of the assets simulated, by the step at whose start they fall.

    Those at one instant multiply. An asset off its peg, or seen wrongly by an oracle, falls and comes back.
    The last `marks` columns are perpetuals, which a scenario's basis moves as well.
    """
    factors = np.ones((steps, len(model.assets)))
    for effect in effects:
        match effect:
            case Shock():
                factor = _shock_factors(effect, model)
                for i, asset in enumerate(np.flatnonzero(factor != 1.0)):
                    at = (effect.at + i * (effect.stagger or timedelta(0))) // step
                    if at < steps:
                        factors[at, asset] *= factor[asset]
            case Depeg() if effect.asset in model.assets:
                factor = np.where(np.array(model.assets) == effect.asset, 1.0 + effect.move, 1.0)
                _fall_and_return(factors, find_window(effect, step, steps), factor)
            case Oracle() if effect.multiply is not None:
                level = find_outlier(effect, find_window(effect, step, steps), model, step, steps)
                before = np.vstack([np.ones(len(model.assets)), level[:-1]])
                moved = level != before
                factors[moved] *= level[moved]
                factors[moved] /= before[moved]
    held = factors[:, columns]
    if marks:
        level = basis_levels(effects, model, step, steps)[:, columns[-marks:]]
        held[:, -marks:] *= level / np.vstack([np.ones(marks), level[:-1]])
    return {int(at): held[at] for at in np.flatnonzero((held != 1.0).any(axis=1))}


def find_outliers(effects: Sequence[Effect], model: MarketModel, step: timedelta, steps: int) -> Floats:
    """(T, A): the oracle's prices over the market's during each step."""
    level = np.ones((steps, len(model.assets)))
    for effect in effects:
        if isinstance(effect, Oracle) and effect.multiply is not None:
            level *= find_outlier(effect, find_window(effect, step, steps), model, step, steps)
    return level


def basis_levels(effects: Sequence[Effect], model: MarketModel, step: timedelta, steps: int) -> Floats:
    """(T, A): 1 + the basis that effects add, during each step."""
    level = np.ones((steps, len(model.assets)))
    for effect in effects:
        if isinstance(effect, Basis):
            window = find_window(effect, step, steps)
            added = np.array([value_of(effect.add, a, model.assets, 0.0) for a in model.assets])
            whole = [(1.0, window)] if effect.decay is None else _pieces(effect.decay / step, window)
            for strength, piece in whole:
                level[piece] *= 1.0 + strength * added
    return level


def _fall_and_return(factors: Floats, window: slice, factor: Floats) -> None:
    """A factor where the window begins and its inverse where it ends; nothing if it is empty."""
    if window.start < window.stop:
        factors[window.start] *= factor
        if window.stop < len(factors):
            factors[window.stop] /= factor


def _shock_factors(effect: Shock, model: MarketModel) -> Floats:
    """(A,) factors on the prices of all assets of the model."""
    moves = np.array([value_of(effect.moves, asset, model.assets, 0.0) for asset in model.assets])
    factors = np.exp(moves) if effect.as_ == "log" else 1.0 + moves
    if effect.beta is None:
        return np.asarray(factors)
    size = log(factors[model.assets.index(effect.beta)])
    named = np.isin(model.assets, list(effect.moves))
    return np.where(named, factors, np.exp(betas(model, effect.beta) * size))


def find_overlay(
    effects: Sequence[Effect],
    kind: type[ImpliedVolatility | Depth],
    model: MarketModel,
    step: timedelta,
    steps: int,
) -> tuple[Floats, Floats]:
    """(T, A) factors on a state during each step, and what is added to it, by effects of a kind."""
    factor, added = np.ones((steps, len(model.assets))), np.zeros((steps, len(model.assets)))
    for effect in effects:
        if not isinstance(effect, kind):
            continue
        window = find_window(effect, step, steps)
        times = np.array([value_of(effect.multiply, a, model.assets, 1.0) for a in model.assets])
        adds = effect.add if isinstance(effect, ImpliedVolatility) else {}
        more = np.array([value_of(adds, a, model.assets, 0.0) for a in model.assets])
        whole = [(1.0, window)] if effect.decay is None else _pieces(effect.decay / step, window)
        for strength, piece in whole:
            weaker = 1.0 + (times - 1.0) * strength
            factor[piece] *= weaker
            added[piece] = added[piece] * weaker + more * strength
    return factor, added


def find_events(effects: Sequence[Effect], step: timedelta, steps: int) -> dict[int, Event]:
    """Events by the step at whose start they fall."""
    return {e.at // step: e for e in effects if isinstance(e, Event) and e.at // step < steps}


def find_replays(
    effects: Sequence[Effect], model: MarketModel, columns: Integers, step: timedelta, steps: int
) -> dict[int, Floats]:
    """Log returns laid on top of the model's, of the assets simulated, by step."""
    returns: dict[int, Floats] = {}
    for effect in effects:
        if isinstance(effect, Replay):
            window = find_window(effect, step, steps)
            history = _replayed(effect, model, (effect.end - effect.start) // step)[:, columns]
            for at in range(window.start, window.stop):
                returns[at] = returns.get(at, np.zeros(len(columns))) + history[at - window.start]
    return returns


def _replayed(effect: Replay, model: MarketModel, count: int) -> Floats:
    """(T, A): the returns of the window; of an asset without any by its beta, or 0 if nobody holds it."""
    filled = effect.missing == "beta" and effect.beta in effect.returns
    scale = betas(model, effect.beta or "") if filled else np.zeros(len(model.assets))
    base = np.array(effect.returns[effect.beta or ""]) if filled else np.zeros(count)
    return np.column_stack(
        [
            effect.returns[asset] if asset in effect.returns else scale[a] * base
            for a, asset in enumerate(model.assets)
        ]
    )


def is_replaced(effects: Sequence[Effect]) -> bool:
    """Whether history stands in place of the model's returns."""
    return any(isinstance(effect, Replay) and effect.mode == "replace" for effect in effects)


def touches_cash(effect: Effect, account: str, quote: str) -> bool:
    """Whether an effect changes what cash of an account on a venue with that quote currency is worth."""
    if isinstance(effect, Loss):
        return effect.accounts is None or account in effect.accounts
    return isinstance(effect, Depeg) and effect.asset in (QUOTE, quote)


def find_cash(
    effects: Sequence[Effect], account: str, quote: str, step: timedelta, steps: int
) -> tuple[Floats, Floats]:
    """(T,) factors on the cash of an account during each step: of what it has, and of what it owes.

    A de-peg changes both, a loss what it has alone.
    """
    has, owes = np.ones(steps), np.ones(steps)
    for effect in effects:
        if not touches_cash(effect, account, quote):
            continue
        window = find_window(effect, step, steps)
        if isinstance(effect, Loss):
            has[window] *= 1.0 - effect.share
        elif isinstance(effect, Depeg):
            has[window] *= 1.0 + effect.move
            owes[window] *= 1.0 + effect.move
    return has, owes


def find_sight(effects: Sequence[Effect], horizon: Integers, step: timedelta) -> tuple[Integers, Integers]:
    """(T,) how accounts are watched in each step, and the horizon by which what happens there is seen.

    horizon is the first at or after each step's end. In a halt or freeze nobody is looked at but when its
    last step ends. Under a delay of d steps what happens in a step is seen d steps later, if the delay
    lasts so long; when it ends, what is there then is seen at once.
    """
    steps = len(horizon)
    watch = np.full(steps, THROUGHOUT, np.int64)
    seen = horizon.copy()
    for effect in effects:
        window = find_window(effect, step, steps)
        delay = effect.delay // step if isinstance(effect, Oracle) and effect.delay is not None else None
        blind = isinstance(effect, Halt) or (isinstance(effect, Oracle) and effect.freeze)
        if delay is None and not blind:
            continue
        first = window.start if delay is None else max(window.start, window.stop - delay)
        if delay is not None:
            seen[window.start : first] = horizon[window.start + delay : first + delay]
        watch[first : window.stop] = UNSEEN
        ends = effect.for_ is not None and effect.at + effect.for_ <= steps * step
        if ends and first < window.stop:
            watch[window.stop - 1] = AT_CLOSE
    return watch, seen
