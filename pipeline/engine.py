"""One block of a run: plan to kernel structs to counts. The only importer of the simulation kernel."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.jit import hash_sources
from kernels.simulate import simulate_paths
from kernels.structs import BANKRUPTCY, LIQUIDATION, MARGIN_CALL, Book, Clock, Market, create_tally
from pipeline.blocks import ACCOUNT_SLAB, Block
from pipeline.lower_book import find_liquidatable, lower_book, lower_clock
from pipeline.lower_market import lower_market
from pipeline.plan import Plan, plan_from_document
from pipeline.tallies import Tallies

# Sources that decide what a plan's numbers are, beside the kernels.
NUMERIC_SOURCES = (
    "engine.py",
    "lower_book.py",
    "lower_market.py",
    "mixing.py",
    "model.py",
    "chain.py",
    "correlation.py",
    "margin_now.py",
    "tallies.py",
    "intervals.py",
    "cube.py",
)
# Libraries that may change the last bits of them.
NUMERIC_LIBRARIES = ("numba", "numpy", "scipy")


class Counts(NamedTuple):
    """What a block counted: first passages by horizon, not yet accumulated over horizons."""

    hits: NDArray[np.int64]  # (mark, scenario, account, leverage, horizon)
    joint: NDArray[np.int64]  # (scenario, horizon, account, account), accounts 0 where too many


@lru_cache(maxsize=1)
def hash_numerics() -> str:
    """A short hash of all that decides what numbers a plan gives, as it was when first asked."""
    digest = hashlib.sha256(hash_sources().encode())
    for name in NUMERIC_SOURCES:
        digest.update((Path(__file__).parent / name).read_bytes())
    for name in NUMERIC_LIBRARIES:
        digest.update(f"{name} {version(name)}".encode())
    return digest.hexdigest()[:16]


def simulate_block(document: str, block: Block) -> Counts:
    """Simulate one block of the plan whose resolved document, as JSON text, is given. Runs on a worker."""
    plan = _read_plan(document)
    market, clock = _lower(document)
    book = _lower_accounts(document, block.first_account, block.last_account)
    tally = create_tally(
        len(plan.scenarios),
        block.last_account - block.first_account,
        len(plan.simulation.leverage),
        len(plan.simulation.horizons),
        joint=keeps_joint(plan),
    )
    simulate_paths(plan.simulation.seed, block.first_path, block.paths, market, book, clock, tally)
    return Counts(tally.hits, tally.joint)


def keeps_joint(plan: Plan) -> bool:
    """Whether pairs of accounts are counted: all of them lie in one slab."""
    return len(plan.accounts) <= ACCOUNT_SLAB


def liquidatable_now(plan: Plan) -> NDArray[np.bool_]:
    """(scenario, account, leverage): which cells meet the liquidation condition at `as_of` already."""
    market = lower_market(plan)
    return find_liquidatable(market, lower_book(plan, market, slice(None)))


def collect_tallies(hits: NDArray[np.int64], joint: NDArray[np.int64], plan: Plan) -> Tallies:
    """Tallies of a whole run: hits (mark, scenario, account, leverage, horizon) accumulated over horizons."""
    by_horizon = np.cumsum(hits, axis=-1)
    return Tallies(
        liquidations=by_horizon[LIQUIDATION],
        margin_calls=by_horizon[MARGIN_CALL],
        bankruptcies=by_horizon[BANKRUPTCY],
        joint=np.cumsum(joint, axis=1) if keeps_joint(plan) else None,
        liquidatable_now=liquidatable_now(plan),
        paths=plan.simulation.paths,
    )


def warm_kernels() -> str:
    """Compile the kernels, or load them from the cache, by simulating one path; returns `hash_numerics()`."""
    plan = plan_from_document(json.loads((Path(__file__).parent / "warm.json").read_text()))
    simulate_block(json.dumps(plan.document()), Block(0, 0, 1, 0, 1))
    return hash_numerics()


@lru_cache(maxsize=4)
def _read_plan(document: str) -> Plan:
    return plan_from_document(json.loads(document))


@lru_cache(maxsize=4)
def _lower(document: str) -> tuple[Market, Clock]:
    plan = _read_plan(document)
    return lower_market(plan), lower_clock(plan)


@lru_cache(maxsize=64)
def _lower_accounts(document: str, first: int, last: int) -> Book:
    return lower_book(_read_plan(document), _lower(document)[0], slice(first, last))
