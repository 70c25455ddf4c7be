"""Bursts: moves of one asset's own, or of several at once, that come now and then in a step of the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from math import expm1, fsum
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from pipeline.faults import Fault, Part, refuse_value, unknown
from pipeline.units import YEAR, Finite, NonNegative, Positive

Floats = NDArray[np.float64]

MOST_BURSTS = 100  # in a model


def _check_moves(move: dict[str, float]) -> dict[str, float]:
    if not any(move.values()):
        raise refuse_value(
            "the log return of some asset, not 0", "say who moves, or leave the whole burst out"
        )
    return move


class Burst(Part):
    """Something that happens so many times a year, each time in one step of the model.

    Over that step it adds to the log return of each asset in `move`, all at once: level's scale x move x
    (1 + spread w n), n a standard normal and w the step's own t-mixing number. Other assets stay as they are.
    """

    per_year: Annotated[Positive, Field(le=1e6)]
    move: Annotated[
        dict[str, Annotated[Finite, Field(ge=-20, le=20)]],
        AfterValidator(_check_moves),
        Field(json_schema_extra={"minProperties": 1}),
    ]
    spread: Annotated[NonNegative, Field(le=100)]

    def completed(self, assets: Sequence[str]) -> Burst:
        """The same burst with a move for each asset, in their order."""
        return self.model_copy(update={"move": {asset: self.move.get(asset, 0.0) for asset in assets}})


def burst_law(bursts: Sequence[Burst], step: timedelta) -> Floats:
    """(U,): P(one of the bursts up to this one comes in a model step). The last is 1 - exp(-sum of rates x
    step), since at most one comes; which one goes by their rates."""
    rates = np.array([burst.per_year for burst in bursts], np.float64)
    if not rates.size:
        return rates
    total = np.cumsum(rates)
    return np.asarray(-expm1(-float(total[-1]) * (step / YEAR)) * (total / total[-1]))


def burst_moves(bursts: Sequence[Burst], assets: Sequence[str]) -> Floats:
    """(U, A): log returns over a model step, at a level's scale of 1 and a size of 1."""
    rows = [[burst.move.get(asset, 0.0) for asset in assets] for burst in bursts]
    return np.array(rows, np.float64).reshape(-1, len(assets))


def burst_spreads(bursts: Sequence[Burst], tail: float | None) -> Floats:
    """(U,): standard deviations of the sizes in a regime whose Student-t has `tail` degrees of freedom."""
    heavier = 1.0 if tail is None else float(np.sqrt(tail / (tail - 2.0)))
    return np.array([burst.spread * heavier for burst in bursts], np.float64)


def burst_drift(bursts: Sequence[Burst], assets: Sequence[str], step: timedelta) -> Floats:
    """(A,): mean log return a year, at a level's scale of 1."""
    return np.asarray(_yearly(bursts, step) @ burst_moves(bursts, assets))


def burst_products(
    bursts: Sequence[Burst], assets: Sequence[str], step: timedelta, tail: float | None
) -> Floats:
    """(A, A): mean of the product of two assets' log returns, summed over a year, at a level's scale of 1."""
    moves = burst_moves(bursts, assets)
    weight = _yearly(bursts, step) * (1.0 + burst_spreads(bursts, tail) ** 2)
    return np.asarray(moves.T @ (weight[:, None] * moves))


def _yearly(bursts: Sequence[Burst], step: timedelta) -> Floats:
    """(U,): how many of each come in a year, on average: a bit below the rates, since no two share a step."""
    return np.diff(burst_law(bursts, step), prepend=0.0) / (step / YEAR)


def describe_bursts(bursts: Sequence[Burst]) -> Iterator[str]:
    """A line for each burst, in words."""
    for burst in bursts:
        moves = ", ".join(f"{asset} {_percent(move)}" for asset, move in burst.move.items() if move)
        sizes = f", sizes spread by {burst.spread:.3g} of that" if burst.spread else ""
        yield f"burst {burst.per_year:.4g} times a year, log return in one step: {moves}{sizes}"


def _percent(value: float) -> str:
    return f"{100 * value:+.3g} %".replace("-", "−")


def find_burst_faults(
    bursts: Sequence[dict[str, Any]], assets: Sequence[str] | None, step: timedelta | None
) -> Iterator[Fault]:
    """What is wrong between bursts, their model's assets and its step; keys of theirs may be missing."""
    for i, burst in enumerate(bursts):
        for asset in burst.get("move", {}) if assets is not None else ():
            if asset not in (assets or ()):
                yield unknown(("bursts", i, "move", asset), "an asset of the model", asset, assets or ())
    if step is not None:
        rates = [burst.get("per_year", 0.0) for burst in bursts]
        mean = fsum(rates) * (step / YEAR)
        if mean > 1.0:
            loc = ("bursts", rates.index(max(rates)), "per_year")
            expected = "at most one burst a model step on average: no two come in the same one"
            got = f"{mean:.4g} of them all, most of this one"
            yield Fault(loc, expected, got, "lower `per_year`, or take a model of shorter steps")
