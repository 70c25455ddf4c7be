from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.runs import ROOT

DESCRIBE = """
import json
from flows import stress as module
print(json.dumps({
    "flow": [module.stress.name, sorted(module.stress.parameters.properties), module.stress.retries],
    "tasks": {
        task.name: [task.retries, type(task.cache_policy).__name__]
        for task in (module.prepare, module.simulate, module.report)
    },
    "again": [
        module._may_pass(None, None, prefect.states.Failed(data=error))
        for error in (module.RunError("a worker died"), errors.InputError([]), ZeroDivisionError())
    ],
}))
"""


@pytest.fixture(scope="module")
def described(home: dict[str, str]) -> dict[str, Any]:
    """What the flow's module declares, seen in a process of its own: prefect's import sets a process up."""
    code = "import flows.stress, prefect.states\nfrom pipeline import errors\n" + DESCRIBE
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=home, capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_stress__is_one_flow_with_plain_parameters(described: dict[str, Any]) -> None:
    assert described["flow"] == ["stress", ["cluster", "plan", "store"], 0]


def test_stress__tasks_cache_nothing(described: dict[str, Any]) -> None:
    assert described["tasks"] == {
        "prepare": [0, "_None"],
        "simulate": [1, "_None"],
        "report": [0, "_None"],
    }


def test_simulate__tries_again_what_may_pass_and_not_bad_input(described: dict[str, Any]) -> None:
    assert described["again"] == [True, False, False]
