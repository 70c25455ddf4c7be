"""The exact cases: where they lie, and one of them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(os.environ.get("SEAWALL_CONFORMANCE", Path(__file__).parents[3] / "shared" / "conformance"))


@dataclass(frozen=True)
class Case:
    """Inputs with an exact answer: a number, or one per labelled quantity."""

    id: str
    family: str
    quantity: str
    inputs: dict[str, Any]
    expected: Any
    absolute: float
    relative: float


def load_cases() -> tuple[Case, ...]:
    """Every case there is; where there is none, the test module that asks is skipped."""
    path = FOLDER / "exact_cases.json"
    if not path.is_file():
        pytest.skip(f"no exact cases: {path} is not there (set SEAWALL_CONFORMANCE)", allow_module_level=True)
    cases = json.loads(path.read_text())["cases"]
    return tuple(
        Case(
            id=case["id"],
            family=case["family"],
            quantity=case["quantity"],
            inputs=case["inputs"],
            expected=case["expected"],
            absolute=case["tolerance"]["abs"],
            relative=case["tolerance"]["rel"],
        )
        for case in cases
    )
