"""The same bits whatever the processor has: the code is generated for others, and run here."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernels.problems import FULL

ROOT = Path(__file__).parents[2]
PROCESSORS = {"avx512": "x86-64-v4", "avx2": "x86-64-v3", "baseline": "x86-64"}

NUMBERS = """
import hashlib
import numpy as np
from kernels.random import draw_normal_lanes
from kernels.structs import LANES, Key
from tests.kernels.test_elementary16 import run_exp

digest = hashlib.sha256()
for path in range(0, 40 * LANES, LANES):
    normal = np.empty((4, LANES))
    draw_normal_lanes(Key(np.uint64(7), np.uint64(path), np.uint64(3)), 256, normal)
    x = normal.astype(np.float32).ravel()
    out = np.empty_like(x)
    run_exp(x, out)
    digest.update(normal.tobytes() + out.tobytes())
print(digest.hexdigest())
"""

WALK = """
import hashlib
from tests.kernels.problems import THREE_LEVELS, random_problem
from tests.kernels.test_plain import run_fast

features = {"rates": True, "jumps": True, "two_sided": True, "levels": THREE_LEVELS}
problem = random_problem(3, assets=9, regimes=3, df=3.5, scenarios=4, **features)
tally = run_fast(problem, 5, 10, 700)
print(hashlib.sha256(tally.hits.tobytes() + tally.joint.tobytes()).hexdigest())
"""


def ask(program: str, processor: str) -> str:
    """What a program prints, with its code generated for a processor."""
    environment = {**os.environ, "NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": ""}
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return found.stdout.strip()


def runs_here(processor: str) -> bool:
    """Whether this machine can run such code."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return {"x86-64-v4": "avx512f", "x86-64-v3": "avx2", "x86-64": ""}[processor] in flags


def of_here() -> list[str]:
    """The processors whose code runs here; with one alone there is nothing to compare."""
    found = [processor for processor in PROCESSORS.values() if runs_here(processor)]
    if len(found) < 2:
        pytest.skip("this machine runs the code of one kind of processor only")
    return found


only_x86 = pytest.mark.skipif(
    not FULL or platform.machine() != "x86_64", reason="generates code for x86-64 processors"
)


@only_x86
def test_numbers__same_bits_on_every_processor() -> None:
    digests = [ask(NUMBERS, processor) for processor in of_here()]
    assert len(set(digests)) == 1


@only_x86
@pytest.mark.slow
def test_simulate_plain_paths__same_bits_on_every_processor() -> None:
    digests = [ask(WALK, processor) for processor in of_here()]
    assert len(set(digests)) == 1
