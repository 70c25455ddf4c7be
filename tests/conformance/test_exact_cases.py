"""Exact cases through the public way: a plan, a run, the cube it publishes."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pytest
from scipy.stats import chi2, kstest

from pipeline.plan import plan_from_document
from tests.conformance.cases import Case, load_cases
from tests.conformance.closed_forms import is_closed_form
from tests.conformance.plans import Skip, plan_of

CASES = [case for case in load_cases() if not is_closed_form(case)]
FURTHEST = 4.0  # standard errors
FEWEST_SCORES = 10  # for a word on their law
FEWEST_EVENTS = 100  # below it a count is too coarse for that word
UNLIKELY = 1e-4


class Score(NamedTuple):
    """A figure of a case: exact, as estimated, and the binomial standard error of the exact one."""

    label: str
    expected: float
    estimate: float
    error: float
    events: float

    @property
    def agrees(self) -> bool:
        return abs(self.estimate - self.expected) <= FURTHEST * self.error

    def __str__(self) -> str:
        return f"{self.label}: expected {self.expected:.8g} +- {self.error:.2g}, got {self.estimate:.8g}"


@cache
def run_case(case_id: str) -> list[Score] | Skip:
    """A score for each expectation, from one run of the case's plan."""
    from pipeline.run import run

    case = next(case for case in CASES if case.id == case_id)
    translated = plan_of(case)
    if isinstance(translated, Skip):
        return translated
    plan = plan_from_document(translated.document)
    with TemporaryDirectory() as folder:
        cube = run(plan, Path(folder)).load()
    scores = []
    for label, p, read in translated.expectations:
        error = math.sqrt(p * (1 - p) / translated.paths)
        scores.append(Score(label, p, read(cube), error, min(p, 1 - p) * translated.paths))
    return scores


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_exact_case__agrees(case: Case) -> None:
    scores = run_case(case.id)
    if isinstance(scores, Skip):
        pytest.skip(f"{case.id}: {scores.reason}")
    wrong = [str(score) for score in scores if not score.agrees]
    assert not wrong, f"{case.id}: " + "; ".join(wrong)


LEFT_OUT = [
    pytest.param(case, label, why, id=f"{case.id}:{label}")
    for case in CASES
    for label, why in getattr(plan_of(case), "omitted", ())
]


@pytest.mark.parametrize(("case", "label", "why"), LEFT_OUT)
def test_exact_case__left_out(case: Case, label: str, why: str) -> None:
    pytest.skip(f"{case.id}, {label}: {why}")


def test_exact_cases__scores_look_standard_normal() -> None:
    runs = [run_case(case.id) for case in CASES]
    # figures of one case share their paths: one of them speaks for it
    firsts = [run[0] for run in runs if not isinstance(run, Skip)]
    z = np.array([(s.estimate - s.expected) / s.error for s in firsts if s.events >= FEWEST_EVENTS])
    if len(z) < FEWEST_SCORES:
        pytest.skip(f"{len(z)} scores are too few to judge their law")
    assert abs(z.mean()) <= FURTHEST / math.sqrt(len(z))
    squares = float(((z - z.mean()) ** 2).sum())
    low, high = chi2.ppf([UNLIKELY / 2, 1 - UNLIKELY / 2], len(z) - 1)
    assert low <= squares <= high
    assert kstest(z, "norm").pvalue > 1e-3
