"""Exact cases that functions answer directly: regime chains, tails, correlation matrices, intervals."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conformance.cases import Case, load_cases
from tests.conformance.closed_forms import Question, is_closed_form, questions_of

QUESTIONS = [
    pytest.param(case, question, id=f"{case.id}:{question.label}".rstrip(":"))
    for case in load_cases()
    if is_closed_form(case)
    for question in questions_of(case)
]


@pytest.mark.parametrize(("case", "question"), QUESTIONS)
def test_closed_form__agrees(case: Case, question: Question) -> None:
    if question.answer is None:
        pytest.skip(f"{case.id}: no function answers {question.label or case.quantity!r}")
    np.testing.assert_allclose(question.answer(), question.expected, rtol=case.relative, atol=case.absolute)
