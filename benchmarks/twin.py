"""The fast walk in C++ (`tests/bench/twin.cpp`), compiled for one problem: the same counts, bit for bit."""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kernels.plain import Plain
from kernels.plain_room import count_tiles
from kernels.structs import MARKS

SOURCE = Path(__file__).parents[1] / "tests" / "bench" / "twin.cpp"
FLAGS = ("-O3", "-march=native", "-std=c++17", "-ffp-contract=off", "-shared", "-fPIC")
FIELDS = (
    *("initial", "transitions", "mixing", "mixing_table", "loading", "depth", "drift", "weights"),
    *("ends", "horizon", "threshold", "ranks", "leverage", "first_low"),
)


class Problem(ctypes.Structure):
    """What twin.cpp calls so: addresses of arrays, which leverage is 1, whether pairs are counted."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in FIELDS),
        ("unit", ctypes.c_int64),
        ("joint", ctypes.c_int64),
    ]


@cache
def find_lack() -> str:
    """What this machine lacks to run the twin, in words; empty where nothing."""
    if shutil.which("g++") is None:
        return "no g++"
    asked = subprocess.run(
        ["g++", "-march=native", "-dM", "-E", "-x", "c++", "/dev/null"], capture_output=True, text=True
    )
    wanted = ("__AVX512F__", "__AVX512DQ__", "__AVX512BW__", "__AVX512VL__")
    return "" if all(f"#define {name} 1" in asked.stdout for name in wanted) else "no AVX-512"


def prepare_twin(
    plain: Plain, seed: int, paths: int, accounts: int, leverages: int, horizons: int, joint: bool
) -> Callable[[], tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """The twin on a problem, compiled and ready to be called: hits (MARKS, P, L, H), and joint (H, P, P) or
    zeros, of paths 0 .. paths - 1, accumulated over horizons.

    Raises ValueError for what the twin does not know.
    """
    _refuse(plain, accounts)
    regimes, assets = plain.regimes, plain.drift.shape[2]
    sizes = {
        "ASSETS": assets,
        "FACTORS": plain.loading.shape[3],
        "REGIMES": regimes,
        "ACCOUNTS": accounts,
        "LEVERAGES": leverages,
        "STEPS": plain.steps,
        "HORIZONS": horizons,
        "TILES": count_tiles(plain),
    }
    arrays = {name: np.ascontiguousarray(getattr(plain, name)) for name in FIELDS}
    problem = Problem(*(arrays[name].ctypes.data for name in FIELDS), unit=plain.unit, joint=int(joint))
    walk = _compile(tuple(f"-D{name}={size}" for name, size in sizes.items()))

    def simulate() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        hits = np.zeros((MARKS, accounts, leverages, horizons), np.int64)
        pairs = np.zeros((horizons, accounts, accounts), np.int64)
        assert arrays  # the addresses in `problem` are theirs
        walk(seed, 0, paths, ctypes.byref(problem), hits.ctypes.data, pairs.ctypes.data)
        return hits, pairs

    return simulate


def _refuse(plain: Plain, accounts: int) -> None:
    unknown = {
        "scenarios": plain.leader.size > 1 or plain.loading.shape[0] > 1 or plain.drift.shape[0] > 1,
        "levels": plain.levels > 1,
        "substeps": plain.substeps > 1,
        "funding or changes of cash": bool(plain.receives),
        "jumps, bursts or events": bool(plain.has_jumps or plain.has_bursts or (plain.event >= 0).any()),
        "forced regimes, shocks, replays": max(x.max() for x in (plain.forced, plain.shock, plain.replay))
        >= 0,
        "steps that are not watched": not plain.watched.all(),
        "accounts of several pools": plain.account.size != accounts or bool((plain.several >= 0).any()),
    }
    found = [words for words, is_so in unknown.items() if is_so]
    if found:
        raise ValueError(f"the C++ twin knows no {', no '.join(found)}")


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="seawall-twin-"))


@cache
def _compile(sizes: tuple[str, ...]) -> Callable[..., None]:
    name = hashlib.sha256(" ".join(sizes).encode()).hexdigest()[:16]
    library = _folder() / f"{name}.so"
    subprocess.run(["g++", *FLAGS, *sizes, "-o", str(library), str(SOURCE)], check=True)
    walk = ctypes.CDLL(str(library)).walk
    walk.argtypes = [ctypes.c_uint64, ctypes.c_uint64, ctypes.c_int64, *[ctypes.c_void_p] * 3]
    walk.restype = None
    return walk
