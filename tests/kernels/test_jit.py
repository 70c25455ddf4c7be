"""What is said when kernels have to be compiled."""

from __future__ import annotations

from collections import defaultdict

import numba
import pytest
from numba.core import event

from kernels.jit import announce_compilation, njit

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")


def test_announce_compilation__once_and_only_when_something_is_compiled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def twice(x: float) -> float:
        return 2.0 * x

    def thrice(x: float) -> float:
        return 3.0 * x

    monkeypatch.setattr(event, "_registered", defaultdict(list))  # what is registered here goes again
    said: list[str] = []
    announce_compilation(lambda: said.append("compiling"))
    compiled = njit(twice)
    assert said == []
    assert compiled(2.0) == 4.0
    assert said == ["compiling"]
    assert compiled(3.0) == 6.0
    assert njit(thrice)(1.0) == 3.0
    assert said == ["compiling"]
