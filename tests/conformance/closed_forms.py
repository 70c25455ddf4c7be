"""Exact cases that need no simulation: which functions answer them, recognised by what they give and ask."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from pipeline.chain import mean_durations, occupation_law, return_moments, second_eigenvalue, stationary_law
from pipeline.correlation import (
    blend_correlation,
    correlation_from_log,
    equicorrelation,
    log_correlation,
    nearest_correlation,
    smallest_eigenvalue,
)
from pipeline.intervals import clopper_pearson, wilson
from pipeline.regimes import filter_regimes, most_likely_path, smooth_regimes
from pipeline.tails import (
    exceedance_correlation_mixture,
    exceedance_correlation_normal,
    exceedance_correlation_t,
    tail_dependence_at_level_t,
    tail_dependence_t,
)
from tests.conformance.cases import Case

Answer = Callable[[], Any]


class Question(NamedTuple):
    """One figure of a case, and the function call that answers it; None where no function does."""

    label: str
    expected: Any
    answer: Answer | None


def is_closed_form(case: Case) -> bool:
    """Whether a case is answered by a formula rather than by paths."""
    copula = "rho" in case.inputs and ("df" in case.inputs or "levels" in case.inputs)
    return case.family[0] in "HILMN" or "wilson" in _labels(case) or copula


def questions_of(case: Case) -> list[Question]:
    """Each figure that a closed-form case expects, with its answer."""
    expected = case.expected if isinstance(case.expected, dict) else {"": case.expected}
    try:
        answers = _answers(case)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError):
        answers = {}  # inputs of an unknown shape
    return [Question(label, value, answers.get(label)) for label, value in expected.items()]


def _labels(case: Case) -> Sequence[str]:
    return list(case.expected) if isinstance(case.expected, dict) else []


def _answers(case: Case) -> dict[str, Answer]:
    keys = case.inputs.keys()
    if {"successes", "trials"} <= keys:
        return _intervals(case.inputs)
    if {"rho", "levels"} <= keys <= {"rho", "levels", "df"} and "chi(u)" in case.quantity:
        return _finite_levels(case)
    if "thetas" in keys:
        return _exceedance(case.inputs)
    if keys == {"rho", "df"} and "tail dependence" in case.quantity:
        return {"": lambda: tail_dependence_t(**case.inputs)}
    if case.family.startswith("M"):
        return _matrices(case)
    if case.family.startswith("H"):
        return _chains(case)
    if {"observations", "initial", "transition_matrix"} <= keys:
        return _hidden_regimes(case.inputs)
    return {}


def _intervals(inputs: dict[str, Any]) -> dict[str, Answer]:
    return {
        "wilson": lambda: wilson(inputs["successes"], inputs["trials"]),
        "clopper_pearson": lambda: clopper_pearson(inputs["successes"], inputs["trials"]),
    }


def _finite_levels(case: Case) -> dict[str, Answer]:
    rho, df, levels = case.inputs["rho"], case.inputs.get("df"), case.inputs["levels"]
    if df is None and "gauss" not in case.quantity.lower():
        return {}
    return {f"u={u}": partial(tail_dependence_at_level_t, rho, df or np.inf, u) for u in levels}


def _exceedance(inputs: dict[str, Any]) -> dict[str, Answer]:
    thetas = inputs["thetas"]
    known = {
        "rho",
        "df",
        "weights",
        "sd_by_regime",
        "rho_by_regime",
        "mean_by_regime",
        "thetas",
        "definition",
    }
    if not inputs.keys() <= known:
        return {}
    answers: dict[str, Answer] = {}
    if "weights" in inputs:
        weights, sd, rho = (np.array(inputs[key]) for key in ("weights", "sd_by_regime", "rho_by_regime"))
        mean = np.array(inputs.get("mean_by_regime", 0.0))
        if sd.ndim != 1 or mean.ndim > 1:
            return {}
        curve = exceedance_correlation_mixture(weights, sd, rho, thetas, mean)
        if not mean.any():
            answers["unconditional"] = lambda: (weights @ (rho * sd**2)) / (weights @ sd**2)
    elif "df" in inputs:
        curve = exceedance_correlation_t(inputs["rho"], inputs["df"], thetas)
    else:
        curve = exceedance_correlation_normal(inputs["rho"], thetas)
    for i, theta in enumerate(thetas):
        if theta < 0:
            continue  # whether that is the lower tail is a matter of definition
        at = curve.isel(threshold=i)
        answers[f"theta={float(theta)}"] = at.correlation.item
        answers[f"p_joint_theta={float(theta)}"] = at.p_joint.item
    return answers


def _matrices(case: Case) -> dict[str, Answer]:
    inputs, keys = case.inputs, case.inputs.keys()
    if keys == {"matrix"} and "nearest" in _labels(case):
        return {
            "nearest": lambda: nearest_correlation(inputs["matrix"])[0],
            "distance": lambda: nearest_correlation(inputs["matrix"])[1],
            "min_eig_input": lambda: smallest_eigenvalue(inputs["matrix"]),
        }
    if keys == {"n", "rho"} and "log" in case.quantity:
        return {"": lambda: log_correlation(equicorrelation(inputs["n"], inputs["rho"]))}
    if keys == {"matrix"} and "log" in case.quantity:
        return {"": lambda: log_correlation(inputs["matrix"])}
    if {"gamma"} <= keys <= {"gamma", "n"}:
        return {"": lambda: correlation_from_log(inputs["gamma"])}
    if keys == {"matrix", "target", "weight"} and "zero" not in str(inputs["target"]):
        target = np.ones_like(inputs["matrix"]) if isinstance(inputs["target"], str) else inputs["target"]

        def blend() -> Any:
            return blend_correlation(inputs["matrix"], target, inputs["weight"])

        return {"": blend, "blend": blend, "min_eig": lambda: smallest_eigenvalue(blend())}
    return {}


def _chains(case: Case) -> dict[str, Answer]:
    inputs, keys = case.inputs, case.inputs.keys()
    if keys == {"transition_matrix"}:
        return {
            "stationary": lambda: stationary_law(inputs["transition_matrix"]),
            "mean_duration": lambda: mean_durations(inputs["transition_matrix"]),
            "second_eigenvalue": lambda: second_eigenvalue(inputs["transition_matrix"]),
        }
    spent = re.search(r"spent in regime (\d+)", case.quantity)
    if keys == {"transition_matrix", "initial", "steps"} and spent is not None:
        return _occupation(inputs, int(spent[1]) - 1)
    if {"transition_matrix", "mean_by_regime", "sd_by_regime", "rho_by_regime"} <= keys:
        return _returns(case)
    return {}


def _occupation(inputs: dict[str, Any], regime: int) -> dict[str, Answer]:
    law = occupation_law(inputs["transition_matrix"], inputs["initial"], regime, inputs["steps"])
    count = np.arange(len(law))
    return {
        "p_never": lambda: law[0],
        "mean": lambda: law @ count,
        "variance": lambda: law @ (count - law @ count) ** 2,
    }


def _returns(case: Case) -> dict[str, Answer]:
    """Moments of returns over steps of a chain that starts with its stationary law, unless told."""
    inputs = dict(case.inputs)
    transition = inputs.pop("transition_matrix")
    mean, sd, rho = (np.array(inputs.pop(f"{key}_by_regime")) for key in ("mean", "sd", "rho"))
    steps, initial = inputs.pop("steps", 1), inputs.pop("initial", stationary_law(transition))
    if inputs or isinstance(initial, str):
        return {}
    covariance = [np.outer(s, s) * equicorrelation(len(s), r) for s, r in zip(sd, rho, strict=True)]
    first, second = return_moments(transition, initial, mean, covariance, steps)
    deviation = np.sqrt(np.diag(second))
    correlation = second / np.outer(deviation, deviation)
    pair = not isinstance(case.expected, dict) or np.ndim(case.expected.get("correlation", 0)) == 0
    answers: dict[str, Answer] = {
        "mean": lambda: first,
        "sd": lambda: deviation,
        "covariance": lambda: second,
        "correlation": lambda: correlation[0, 1] if pair else correlation,
    }
    asked = re.match(r"variance of .*asset-(\d+) returns", case.quantity)
    if asked is not None:
        asset = int(asked[1]) - 1
        answers[""] = lambda: second[asset, asset]
    return answers


def _hidden_regimes(inputs: dict[str, Any]) -> dict[str, Answer]:
    """Inference with known parameters; Student-t only where it is said what the covariance means."""
    given = {key: inputs[key] for key in inputs if key != "note"}
    words = str(given.pop("emission", "")) + str(given.pop("t_convention", ""))
    nu = given.pop("student_t_df_by_regime", given.pop("df_by_regime", None))
    if (nu is None) != ("gauss" in words.lower()) or (nu is not None and "covariance" not in words):
        return {}
    observations = np.array(given.pop("observations"), float)
    missing = np.isnan(observations)
    if np.any(missing.any(axis=1) != missing.all(axis=1)):
        return {}  # steps where some assets only are missing
    parameters = [
        np.array(given.pop(key), float)
        for key in ("initial", "transition_matrix", "mean_by_regime", "covariance_by_regime")
    ]
    if given:
        return {}
    model: Any = (observations, *parameters, None if nu is None else np.array(nu, float))
    return {
        "loglik": lambda: filter_regimes(*model)[0],
        "filtered_p2": lambda: filter_regimes(*model)[1][:, 1],
        "smoothed_p2": lambda: smooth_regimes(*model)[1][:, 1],
        "viterbi": lambda: most_likely_path(*model),
    }
