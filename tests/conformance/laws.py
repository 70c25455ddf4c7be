"""The market of a case as an inline model of a plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm

from tests.conformance.inputs import Inputs, Unsupported

WAYS = ("up", "down")
YEAR_S = 365 * 24 * 3600
# a chain in continuous time: mid-point sampling on this step is off by less than 1e-4 of the answer
CHAIN_STEP_S = 600

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Law:
    """Moments (regime, asset), correlations and tails by regime, and the chain per `step_s` seconds."""

    assets: list[str]
    step_s: int
    additive: bool
    volatility: Floats
    drift: Floats
    rho: list[float]
    tail: list[float | None]
    transition: Floats
    initial: Floats
    jumps: dict[str, Any] | None = None
    funding: float = 0.0
    regimes: list[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "regimes", [f"r{k}" for k in range(len(self.volatility))])

    def document(self) -> dict[str, Any]:
        """The `model:` of a plan."""
        names = self.regimes
        return {
            "step": f"{self.step_s}s",
            "assets": self.assets,
            "returns": "additive" if self.additive else "log",
            "initial": self._law(self.initial),
            "regimes": {name: self._regime(k) for k, name in enumerate(names)},
            "transitions": {name: self._law(self.transition[k]) for k, name in enumerate(names)},
        }

    def _law(self, law: Floats) -> dict[str, float]:
        return dict(zip(self.regimes, law.tolist(), strict=True))

    def _regime(self, k: int) -> dict[str, Any]:
        size = len(self.assets)
        correlation = np.full((size, size), self.rho[k])
        np.fill_diagonal(correlation, 1.0)
        return {
            "volatility": dict(zip(self.assets, self.volatility[k].tolist(), strict=True)),
            "drift": dict(zip(self.assets, self.drift[k].tolist(), strict=True)),
            "correlation": correlation.tolist(),
            "funding": dict.fromkeys(self.assets, self.funding),
            "tail": self.tail[k],
            "jumps": self.jumps,
        }


def law_of(inputs: Inputs, assets: list[str], step_s: int, funding: float = 0.0) -> Law:
    """Read volatility, drift, correlation, tails, jumps, chain; Unsupported where a model can't say it."""
    transition, initial = _chain(inputs, step_s)
    count = len(initial)
    inputs.one_of("t_convention", ["standard deviation"])
    inputs.one_of("return_type", ["log", "additive", "simple", "arithmetic"])
    inputs.one_of("correlation", ["equicorrelation", "all ones"])
    words = str(inputs.take("correlation", ""))
    return Law(
        assets=assets,
        step_s=step_s,
        additive=not str(inputs.take("return_type", "log")).startswith("log"),
        volatility=_volatility(inputs, assets, count),
        drift=_drift(inputs, assets, count),
        rho=_by_regime(inputs, "rho", count, 1.0 if words == "all ones" or len(assets) == 1 else None),
        tail=_by_regime(inputs, "student_t_df", count, None),
        transition=transition,
        initial=initial,
        jumps=_jumps(inputs, assets),
        funding=funding,
    )


def _chain(inputs: Inputs, step_s: int) -> tuple[Floats, Floats]:
    """Transition matrix per step and the law of the first step's regime."""
    if "generator_per_hour" in inputs:
        generator = np.array(inputs.need("generator_per_hour"))
        start = np.eye(len(generator))[inputs.take("initial_regime", 0)]
        start = np.array(inputs.take("initial_regime_law", start))
        hours = step_s / 3600
        # the regime of a step is that of its middle, which makes the error of second order in the step
        return _rows(expm(generator * hours)), _rows(start @ expm(generator * hours / 2))
    if "transition_matrix_per_step" in inputs:
        transition = np.array(inputs.need("transition_matrix_per_step"))
        return transition, np.array(inputs.need("initial_regime_law_of_step_1"))
    probabilities = np.array(inputs.take("regime_probabilities", [1.0]))
    return np.eye(len(probabilities)), probabilities


def _rows(law: Floats) -> Floats:
    positive = np.maximum(law, 0.0)
    return np.asarray(positive / positive.sum(axis=-1, keepdims=True))


def _volatility(inputs: Inputs, assets: list[str], count: int) -> Floats:
    if "vol_multiplier_by_regime" in inputs:
        multiplier = np.array(inputs.need("vol_multiplier_by_regime"), float)
        return np.outer(multiplier, _by_asset(inputs.need("sigma_annual_base"), assets))
    return _table(inputs, "sigma" if "sigma" in inputs else "sigma_annual", assets, count)


def _drift(inputs: Inputs, assets: list[str], count: int) -> Floats:
    for key in ("drift", "mean", "mu"):
        if key in inputs:
            return np.full((count, len(assets)), float(inputs.need(key)))
    if "log_drift_annual" in inputs or "log_drift_annual_by_regime" in inputs:
        return _table(inputs, "log_drift_annual", assets, count)
    raise Unsupported("no drift is given")


def _table(inputs: Inputs, key: str, assets: list[str], count: int) -> Floats:
    """(regime, asset) figures from `key`, the same in every regime, or from `key_by_regime`."""
    if f"{key}_by_regime" not in inputs:
        return np.tile(_by_asset(inputs.need(key), assets), (count, 1))
    given = inputs.need(f"{key}_by_regime")
    if isinstance(given, dict):
        table = np.array([given[asset] for asset in assets], float).T
    else:
        table = np.repeat(np.array(given, float)[:, None], len(assets), axis=1)
    if table.shape != (count, len(assets)):
        raise Unsupported(f"{key} of shape {table.shape} for {count} regimes and {len(assets)} assets")
    return table


def _by_asset(given: Any, assets: list[str]) -> Floats:
    if isinstance(given, dict):
        return np.array([given[asset] for asset in assets], float)
    return np.broadcast_to(np.array(given, float), len(assets)).copy()


def _by_regime(inputs: Inputs, key: str, count: int, default: float | None) -> list[Any]:
    given = inputs.take(f"{key}_by_regime", [inputs.take(key, default)] * count)
    if len(given) != count:
        raise Unsupported(f"{key} for {len(given)} regimes, not {count}")
    if key == "rho" and None in given:
        raise Unsupported("no correlation is given")
    return list(given)


def _jumps(inputs: Inputs, assets: list[str]) -> dict[str, Any] | None:
    key = next((key for key in ("jump_intensity_annual", "jump_intensity") if key in inputs), None)
    if key is None:
        return None

    def named(values: Floats) -> dict[str, float]:
        return dict(zip(assets, values.tolist(), strict=True))

    common = {
        "intensity": float(inputs.need(key)),
        "correlation": float(inputs.take("jump_rho", 0.0 if len(assets) > 1 else 1.0)),
    }
    if "eta_up" in inputs:
        if len(assets) > 1:
            raise Unsupported("double-exponential jumps of several assets at once")
        means = {f"{way}_mean": named(1.0 / _by_asset(inputs.need(f"eta_{way}"), assets)) for way in WAYS}
        up = named(_by_asset(inputs.need("p_up"), assets))
        return {"law": "double_exponential", **common, "up_probability": up, **means}
    mean, deviation = (named(_by_asset(inputs.need(key), assets)) for key in ("jump_mean", "jump_sd"))
    return {"law": "normal", **common, "mean": mean, "volatility": deviation}
