"""What the cube says about the limits: each held against every number it covers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.aftermath_schema import OUTCOMES
from pipeline.errors import PlanError, Problem
from pipeline.plan import Limit
from pipeline.schema import EVENTS
from pipeline.wording import Chance, book, chance, duration, multiple, percent, share

if TYPE_CHECKING:
    import xarray as xr

PROBABILITIES = {event.probability: event.long_name for event in (*EVENTS, *OUTCOMES)}

Status = Literal["OK", "WATCH", "BREACH"]


@dataclass(frozen=True)
class Judgement:
    """One limit held against one number, a fraction. A snapshot has no scenario, horizon or paths."""

    limit: Limit
    account: str
    metric: str
    scenario: str | None
    horizon: timedelta | None
    leverage: float
    value: float
    low: float
    high: float
    max: float
    paths: int | None
    model: tuple[float, float] | None = None
    """The interval that allows for errors of the model's parameters too; the status does not rest on it."""

    @property
    def status(self) -> Status:
        """BREACH where the whole interval lies above the limit, WATCH where it straddles it, else OK."""
        if self.low > self.max:
            return "BREACH"
        return "WATCH" if self.high > self.max else "OK"

    @property
    def number(self) -> Chance:
        """The value in words."""
        if self.paths is not None:
            return chance(self.value, self.low, self.high, self.paths, self.model)
        measured = multiple(self.value) if self.metric == "leverage" else share(self.value)
        return Chance(measured, "")

    @property
    def subject(self) -> str:
        """What was measured: "P(liquidation within 7d | baseline)", and the multiple of the book if not 1."""
        at = "" if self.leverage == 1 else f" at {book(self.leverage)}"
        if self.horizon is None:
            return f"{self.metric}{at}"
        event = PROBABILITIES[self.metric]
        return f"P({event} within {duration(self.horizon)} | {self.scenario}){at}"

    @property
    def ceiling(self) -> str:
        """The limit in words."""
        return f"{self.max:g}x" if self.metric == "leverage" else percent(self.max)

    @property
    def headroom(self) -> str:
        """What is left to the limit, negative beyond it, in the unit of the limit."""
        left = self.max - self.value
        if not isfinite(left):
            return "none"
        text = f"{left:+.2f}x" if self.metric == "leverage" else f"{100 * left:+.3g} points"
        return text.replace("-", "−")


def judge_limits(cube: xr.Dataset, limits: Iterable[Limit]) -> tuple[Judgement, ...]:
    """Every limit against every number it covers, in the order of the limits, then of the cube.

    A limit without account or scenario means every one, without leverage 1. Snapshot metrics (`margin_now`)
    are exact; they scale with the leverage multiple. Raises PlanError where a limit names something the cube
    does not hold.
    """
    problems: list[Problem] = []
    judgements: list[Judgement] = []
    for number, limit in enumerate(limits):
        missing = _missing(cube, limit, f"limits[{number}]")
        problems += missing
        if not missing:
            probable = limit.metric in PROBABILITIES
            judgements += _judge_probability(cube, limit) if probable else _judge_snapshot(cube, limit)
    if problems:
        raise PlanError(problems)
    return tuple(judgements)


def breaches(judgements: Iterable[Judgement]) -> list[dict[str, Any]]:
    """The limits that are breached, as JSON-able records; None for what does not apply or is infinite."""
    return [
        {
            "account": judgement.account,
            "metric": judgement.metric,
            "scenario": judgement.scenario,
            "horizon": None if judgement.horizon is None else duration(judgement.horizon),
            "leverage": judgement.leverage,
            "value": _finite(judgement.value),
            "low": _finite(judgement.low),
            "high": _finite(judgement.high),
            "max": judgement.max,
        }
        for judgement in judgements
        if judgement.status == "BREACH"
    ]


@dataclass(frozen=True)
class Finding:
    """What one limit found of one account: the judgement furthest beyond it, or nearest to it, and how many
    other scenarios have the same status."""

    judgement: Judgement
    others: int

    @property
    def also(self) -> str:
        """The other scenarios in words, empty where there are none."""
        if not self.others:
            return ""
        return f"and {self.others} other scenario" + ("s" if self.others > 1 else "")


def find_worst(judgements: Iterable[Judgement]) -> list[Finding]:
    """One finding for each status, limit and account: breaches first, then doubts, then limits kept."""
    groups: dict[tuple[Status, int, str], list[Judgement]] = {}
    for judgement in judgements:
        groups.setdefault((judgement.status, id(judgement.limit), judgement.account), []).append(judgement)
    return [
        Finding(max(group, key=lambda judgement: judgement.value), len(group) - 1)
        for status in ("BREACH", "WATCH", "OK")
        for (found, _, _), group in groups.items()
        if found == status
    ]


def model_ends(cube: xr.Dataset, event: str, dims: Iterable[str]) -> NDArray[Any] | None:
    """Both ends, as pairs, of the interval of a probability that allows for errors of the model's parameters.

    Over `dims`, those of the cube's cells in any order; None where the model was taken as given.
    """
    names = [f"{event}_model_{end}" for end in ("low", "high")]
    if names[0] not in cube:
        return None
    low, high = (cube[name].transpose(*dims).values for name in names)
    return np.stack([low, high], axis=-1)


def _judge_probability(cube: xr.Dataset, limit: Limit) -> list[Judgement]:
    leverage = 1.0 if limit.leverage is None else limit.leverage
    assert limit.horizon is not None
    cells = cube.sel(leverage=leverage, horizon=np.timedelta64(limit.horizon))
    order = ("account", "scenario")
    value, low, high, paths = (
        cells[name].transpose(*order).values
        for name in (limit.metric, f"{limit.metric}_low", f"{limit.metric}_high", "paths")
    )
    model = model_ends(cells, limit.metric, order)
    return [
        Judgement(
            limit=limit,
            account=account,
            metric=limit.metric,
            scenario=scenario,
            horizon=limit.horizon,
            leverage=leverage,
            value=float(value[a, s]),
            low=float(low[a, s]),
            high=float(high[a, s]),
            max=limit.max,
            paths=int(paths[a, s]),
            model=None if model is None else tuple(model[a, s].tolist()),
        )
        for a, account in enumerate(cube["account"].values.tolist())
        if limit.account in (None, account)
        for s, scenario in enumerate(cube["scenario"].values.tolist())
        if limit.scenario in (None, scenario)
    ]


def _judge_snapshot(cube: xr.Dataset, limit: Limit) -> list[Judgement]:
    leverage = 1.0 if limit.leverage is None else limit.leverage
    values = leverage * cube["margin_now"].sel(quantity=limit.metric).values
    return [
        Judgement(
            limit=limit,
            account=account,
            metric=limit.metric,
            scenario=None,
            horizon=None,
            leverage=leverage,
            value=float(value),
            low=float(value),
            high=float(value),
            max=limit.max,
            paths=None,
        )
        for account, value in zip(cube["account"].values.tolist(), values, strict=True)
        if limit.account in (None, account)
    ]


def _missing(cube: xr.Dataset, limit: Limit, where: str) -> list[Problem]:
    named = {
        "account": limit.account,
        "scenario": limit.scenario,
        "leverage": limit.leverage,
        "horizon": None if limit.horizon is None else np.timedelta64(limit.horizon),
    }
    if limit.metric in PROBABILITIES and limit.metric not in cube:
        expected = "a metric of a book that nobody touches, as the run does not follow what comes after"
        fix = "change the limit, or run a plan with `resolve: true` under `simulation:`"
        return [Problem(where=f"{where}.metric", expected=expected, got=limit.metric, fix=fix)]
    return [
        Problem(
            where=f"{where}.{name}",
            expected=f"one of the run's: {', '.join(_label(value) for value in cube[name].values)}",
            got=_label(wanted),
            fix="change the limit, or run a plan that holds it",
        )
        for name, wanted in named.items()
        if wanted is not None and not np.any(cube[name].values == wanted)
    ]


def _label(value: Any) -> str:
    return duration(value) if isinstance(value, np.timedelta64) else str(value)


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None
