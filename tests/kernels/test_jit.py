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

    assert njit(twice)(2.0) == 4.0  # in the cache from here on
    monkeypatch.setattr(event, "_registered", defaultdict(list))  # what is registered here goes again
    said: list[str] = []
    announce_compilation(lambda: said.append("compiling"))
    assert njit(twice)(2.0) == 4.0
    assert said == []
    for _ in range(2):
        assert numba.njit(thrice)(1.0) == 3.0  # not kept in any cache
        assert said == ["compiling"]
