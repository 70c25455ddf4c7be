"""One block of a run: plan to kernel structs to counts. The only importer of the simulation kernel."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.desks import Desks
from kernels.jit import hash_sources
from kernels.simulate import simulate_paths
from kernels.structs import (
    AFTERMATHS,
    BANKRUPTCY,
    BINS,
    LIQUIDATION,
    MARGIN_CALL,
    MARKS,
    MOMENTS,
    SPREADS,
    TIMES,
    VENUE_ROWS,
    Book,
    Clock,
    Market,
    create_tally,
)
from kernels.trail import find_scales
from pipeline.blocks import Block, draw_of
from pipeline.contagion import venues_shared
from pipeline.legs import most_legs, number_legs
from pipeline.lower_book import find_liquidatable, lower_book, lower_clock, pools_that_matter
from pipeline.lower_desks import lower_desks
from pipeline.lower_market import lower_market
from pipeline.plan import Plan, plan_from_document
from pipeline.slabs import groups_of, keeps_joint, plan_slabs
from pipeline.spread import Spread
from pipeline.tallies import Tallies
from pipeline.walks import first_obstacle

# Sources that decide what a plan's numbers are, beside the kernels.
NUMERIC_SOURCES = (
    "venues.py",
    "venue_faults.py",
    "engine.py",
    "lower_book.py",
    "lower_desks.py",
    "lower_policies.py",
    "lower_contagion.py",
    "contagion.py",
    "holders.py",
    "spare_pools.py",
    "lower_market.py",
    "lower_parameters.py",
    "lower_state.py",
    "lower_timeline.py",
    "outliers.py",
    "effects.py",
    "betas.py",
    "mixing.py",
    "model.py",
    "regime.py",
    "reversion.py",
    "market_state.py",
    "funding_cap.py",
    "jumps.py",
    "bursts.py",
    "chain.py",
    "correlation.py",
    "schema.py",
    "aftermath_schema.py",
    "venue_schema.py",
    "venue_outcomes.py",
    "quantiles_schema.py",
    "variable.py",
    "plan.py",
    "book.py",
    "policies.py",
    "requirement.py",
    "pools.py",
    "slabs.py",
    "blocks.py",
    "walks.py",
    "margin_now.py",
    "groups.py",
    "legs.py",
    "aftermath.py",
    "hedge_cost.py",
    "quantiles.py",
    "paired.py",
    "spread.py",
    "tallies.py",
    "intervals.py",
    "cube.py",
)
# Libraries that may change the last bits of them.
NUMERIC_LIBRARIES = ("numba", "numpy", "scipy")


class Counts(NamedTuple):
    """What a block, or all of them, counted. First passages are by horizon, not yet accumulated.

    An array that a plan has no use for has an axis of length zero.
    """

    hits: NDArray[np.int64]  # (mark, scenario, account, leverage, horizon)
    joint: NDArray[np.int64]  # (scenario, horizon, account, account): none where accounts are too many
    last_pool: NDArray[np.int64]  # (scenario, account of several pools, leverage, horizon)
    groups: NDArray[np.int64]  # (moment, scenario, group, leverage, horizon), at each horizon
    aftermath: NDArray[np.int64]  # (outcome, scenario, account, leverage, horizon), at each horizon
    breach: NDArray[np.int64]  # (scenario, account, leverage, leg): legs of the account that has most
    venue: NDArray[np.int64]  # (moment, scenario, venue, leverage, horizon), at each horizon
    histogram: NDArray[np.int64]  # (kind, scenario, account, leverage, horizon, bin), at each horizon
    results: NDArray[np.int64]  # (scenario, account, leverage, horizon, bin)
    passages: NDArray[np.int64]  # (scenario, account, leverage, time)
    discordant: NDArray[np.int64]  # (way, scenario, account, leverage, horizon), by each horizon


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
    """Simulate one block of the plan whose resolved document, as JSON text, is given. Runs on a worker.

    ValueError where a block has paths of two draws of the model.
    """
    plan = _read_plan(document)
    draw = _draw_of_block(plan, block)
    market, clock = _lower(document, draw)
    book = _lower_slab(document, block.slab, draw)
    desks = _lower_desks(document, block.slab, draw)
    tally = create_tally(
        len(plan.scenarios),
        len(book.pools),
        len(plan.simulation.leverage),
        len(plan.simulation.horizons),
        joint=keeps_joint(plan),
        several=int(book.several.max(initial=-1)) + 1,
        groups=len(book.members),
        width=0 if desks is None else desks.holdings.width,
        venues=0 if desks is None else len(desks.contagion.fund),
        quantiles=plan.simulation.quantiles,
    )
    obstacle = _find_obstacle(document, draw)
    simulate_paths(
        plan.simulation.seed, block.first_path, block.paths, market, book, clock, tally, obstacle, desks
    )
    return _widened(Counts(*tally), count_shapes(plan, plan_slabs(plan)[block.slab]))


def count_shapes(plan: Plan, slab: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """The shapes of what a block counts for one slab, by the names of `Counts`."""
    scenarios, leverages = len(plan.scenarios), len(plan.simulation.leverage)
    horizons = len(plan.simulation.horizons)
    pairs = len(slab) if keeps_joint(plan) else 0
    several = len(accounts_of_several_pools(plan, slab))
    groups = len(groups_of(plan, slab))
    followed = len(slab) if plan.simulation.resolve else 0
    spread = followed if plan.simulation.quantiles else 0
    return {
        "hits": (MARKS, scenarios, len(slab), leverages, horizons),
        "joint": (scenarios, horizons, pairs, pairs),
        "last_pool": (scenarios, several, leverages, horizons),
        "groups": (MOMENTS, scenarios, groups, leverages, horizons),
        "aftermath": (AFTERMATHS, scenarios, followed, leverages, horizons),
        "breach": (scenarios, followed, leverages, most_legs(plan)),
        "venue": (VENUE_ROWS, scenarios, len(venues_shared(plan)), leverages, horizons),
        "histogram": (SPREADS, scenarios, spread, leverages, horizons, BINS),
        "results": (scenarios, spread, leverages, horizons, BINS),
        "passages": (scenarios, spread, leverages, TIMES),
        "discordant": (2, scenarios, spread, leverages, horizons),
    }


def zero_counts(plan: Plan, slab: tuple[int, ...]) -> Counts:
    """What a block counts for one slab, all zero."""
    return Counts(**{name: np.zeros(shape, np.int64) for name, shape in count_shapes(plan, slab).items()})


def _widened(counts: Counts, shapes: dict[str, tuple[int, ...]]) -> Counts:
    """What a slab counted of what follows a breach, with room for the legs of the plan's widest account."""
    if not counts.aftermath.size:  # nobody in the slab holds anything, if anybody is followed
        nothing = ("aftermath", "breach", "venue", "histogram", "results", "passages", "discordant")
        return counts._replace(**{name: np.zeros(shapes[name], np.int64) for name in nothing})
    breach = np.zeros(shapes["breach"], np.int64)
    breach[..., : counts.breach.shape[-1]] = counts.breach
    return counts._replace(breach=breach)


def accounts_of_several_pools(plan: Plan, slab: tuple[int, ...]) -> list[int]:
    """Which of a slab's accounts have more than one pool that something can happen to, by number."""
    return [i for i in slab if len(pools_that_matter(plan, plan.accounts[i])) > 1]


def liquidatable_now(plan: Plan) -> NDArray[np.bool_]:
    """(scenario, account, leverage): which cells meet the liquidation condition at `as_of` already."""
    market = lower_market(plan)
    return find_liquidatable(market, _lower_everyone(plan, market), lower_clock(plan))


def _lower_everyone(plan: Plan, market: Market) -> Book:
    return lower_book(plan, market, range(len(plan.accounts)))


def merge_counts(plan: Plan, found: Iterable[tuple[int, Counts]]) -> Counts:
    """The sum over blocks, each with its slab's number, in the plan's order of accounts and groups."""
    everyone = tuple(range(len(plan.accounts)))
    slabs, groups = plan_slabs(plan), groups_of(plan)
    several = {i: number for number, i in enumerate(accounts_of_several_pools(plan, everyone))}
    total = zero_counts(plan, everyone)
    for number, counts in found:
        slab = slabs[number]
        total.hits[:, :, list(slab)] += counts.hits
        total.joint[:] += counts.joint
        total.last_pool[:, [several[i] for i in slab if i in several]] += counts.last_pool
        total.groups[:, :, [groups.index(name) for name in groups_of(plan, slab)]] += counts.groups
        followed = list(slab) if plan.simulation.resolve else []
        total.aftermath[:, :, followed] += counts.aftermath
        total.breach[:, followed] += counts.breach
        total.venue[:] += counts.venue
        spread = followed if plan.simulation.quantiles else []
        total.histogram[:, :, spread] += counts.histogram
        total.results[:, spread] += counts.results
        total.passages[:, spread] += counts.passages
        total.discordant[:, :, spread] += counts.discordant
    return total


def collect_tallies(counts: Counts, plan: Plan, spread: Spread | None = None) -> Tallies:
    """Tallies of a whole run: first passages accumulated over horizons. spread: see `pipeline.spread`."""
    by_horizon = np.cumsum(counts.hits, axis=-1)
    market = lower_market(plan)
    book = _lower_everyone(plan, market)
    several = accounts_of_several_pools(plan, tuple(range(len(plan.accounts))))
    all_pools = None
    if several:
        all_pools = by_horizon[LIQUIDATION].copy()  # an account of one pool loses it when it is liquidated
        all_pools[:, several] = np.cumsum(counts.last_pool, axis=-1)
    of_accounts, of_venues = _find_money_quanta(plan, market, book)
    tallies = Tallies(
        liquidations=by_horizon[LIQUIDATION],
        margin_calls=by_horizon[MARGIN_CALL],
        bankruptcies=by_horizon[BANKRUPTCY],
        joint=np.cumsum(counts.joint, axis=1) if keeps_joint(plan) else None,
        all_pools=all_pools,
        groups=counts.groups if groups_of(plan) else None,
        quantum=book.quantum,
        aftermath=counts.aftermath if plan.simulation.resolve else None,
        breach=counts.breach if plan.simulation.resolve else None,
        money_quantum=of_accounts,
        venue=counts.venue if venues_shared(plan) else None,
        venue_quantum=of_venues,
        liquidatable_now=find_liquidatable(market, book, lower_clock(plan)),
        paths=plan.simulation.paths,
        spread=spread,
    )
    if plan.simulation.quantiles:
        return _with_quantiles(tallies, counts, plan, market, book)
    return tallies


def _find_money_quanta(
    plan: Plan, market: Market, book: Book
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What money that follows a breach is counted in, by account and by venue that accounts share; nothing
    where nobody is followed."""
    if not most_legs(plan):
        return np.ones(len(plan.accounts) if plan.simulation.resolve else 0), np.ones(
            len(venues_shared(plan))
        )
    desks = lower_desks(plan, market, book, range(len(plan.accounts)))
    return desks.rules.quantum, desks.contagion.quantum


def _with_quantiles(tallies: Tallies, counts: Counts, plan: Plan, market: Market, book: Book) -> Tallies:
    """The tallies with what quantiles are read off."""
    accounts, leverages = len(plan.accounts), len(plan.simulation.leverage)
    scale, began = np.ones((accounts, leverages)), np.zeros(accounts)
    if most_legs(plan):
        holdings = lower_desks(plan, market, book, range(accounts)).holdings
        scale, began = find_scales(holdings), holdings.equity
    return replace(
        tallies,
        histogram=counts.histogram,
        results=counts.results,
        passages=counts.passages,
        discordant=counts.discordant,
        scale=scale,
        began=began,
    )


def warm_kernels() -> str:
    """Compile the kernels, or load them from the cache, by simulating one path; returns `hash_numerics()`.

    Watched at step ends it takes the fast walk, watched in between the general one.
    """
    document = json.loads((Path(__file__).parent / "warm.json").read_text())
    for monitoring in ("close", "bridge"):
        document["simulation"]["monitoring"] = monitoring
        simulate_block(json.dumps(plan_from_document(document).document()), Block(0, 0, 1, 0))
    return hash_numerics()


def _draw_of_block(plan: Plan, block: Block) -> int | None:
    """The draw of the model that a block is simulated with; None where that is the model itself."""
    if not plan.draws:
        return None
    ends = (block.first_path, block.first_path + block.paths - 1)
    first, last = (draw_of(path, plan.simulation.paths, plan.draws) for path in ends)
    if first != last:
        raise ValueError(f"block {block.key} has paths of draws {first} to {last}")
    return first


@lru_cache(maxsize=4)
def _read_plan(document: str) -> Plan:
    return plan_from_document(json.loads(document))


@lru_cache(maxsize=4)
def _lower(document: str, draw: int | None) -> tuple[Market, Clock]:
    plan = _read_plan(document)
    return lower_market(plan, draw), lower_clock(plan)


@lru_cache(maxsize=4)
def _find_obstacle(document: str, draw: int | None) -> str:
    market, clock = _lower(document, draw)
    plan = _read_plan(document)
    books = (_lower_slab(document, slab, draw) for slab in range(len(plan_slabs(plan))))
    return first_obstacle(market, books, clock, plan.simulation.resolve)


@lru_cache(maxsize=64)
def _lower_slab(document: str, slab: int, draw: int | None) -> Book:
    plan = _read_plan(document)
    return lower_book(plan, _lower(document, draw)[0], plan_slabs(plan)[slab])


@lru_cache(maxsize=64)
def _lower_desks(document: str, slab: int, draw: int | None) -> Desks | None:
    """None where nothing is followed: the plan does not ask for it, or nobody in the slab holds anything."""
    plan = _read_plan(document)
    accounts = plan_slabs(plan)[slab]
    if not any(number_legs(plan, plan.accounts[i]) for i in accounts if plan.simulation.resolve):
        return None
    market, _ = _lower(document, draw)
    return lower_desks(plan, market, _lower_slab(document, slab, draw), accounts)
