"""A block: simulate a range of paths under every scenario and tally what every account met."""

from __future__ import annotations

import numpy as np

from kernels.aftermath import make_estate, make_journal
from kernels.desks import Desks, nobody
from kernels.journal import Journal
from kernels.plain import find_obstacle
from kernels.plain_pack import pack
from kernels.plain_walk import simulate_plain_paths
from kernels.reverting import room_for_normals
from kernels.structs import (
    LANES,
    MARKS,
    NEXT,
    ROOM,
    ROWS,
    WAYS,
    Book,
    Clock,
    Desk,
    Draws,
    Floats,
    Integers,
    Market,
    Pieces,
    Standing,
    Step,
    Tally,
)
from kernels.trail import make_trail
from kernels.walk import walk_paths


def simulate_paths(
    seed: int,
    first_path: int,
    paths: int,
    market: Market,
    book: Book,
    clock: Clock,
    tally: Tally,
    obstacle: str | None = None,
    desks: Desks | None = None,
    journal: Journal | None = None,
) -> None:
    """Simulate paths first_path .. first_path + paths - 1 and add what they met to the tally.

    The counts depend on the seed and the paths' numbers alone, not on how paths are grouped into calls: the
    fast walk is taken wherever it can be, whatever the number of paths. Where a book is part of a larger one,
    `obstacle` says what `find_obstacle` found there ("": nothing), so that all parts take the same walk.
    Where `desks` says what follows a breach, it is followed, by the general walk.
    ValueError for a tally that was made for another book.
    """
    if desks is not None or obstacle or find_obstacle(market, book, clock):
        simulate_general_paths(seed, first_path, paths, market, book, clock, tally, desks, journal)
    else:
        check_tally(book, tally)
        plain = pack(market, book, clock)
        simulate_plain_paths(seed, first_path, paths, plain, tally.hits, tally.joint, tally.last_pool)


def check_tally(book: Book, tally: Tally) -> None:
    """ValueError for a tally that was made for another book."""
    rooms = (tally.hits.shape[2], tally.last_pool.shape[1], tally.groups.shape[2])
    if rooms != (book.pools.shape[0], int(book.several.max(initial=-1)) + 1, book.members.shape[0]):
        raise ValueError(f"a tally with room for {rooms} accounts, accounts of several pools and groups")


def simulate_general_paths(
    seed: int,
    first_path: int,
    paths: int,
    market: Market,
    book: Book,
    clock: Clock,
    tally: Tally,
    desks: Desks | None = None,
    journal: Journal | None = None,
) -> None:
    """`simulate_paths` by the walk that takes everything, in float64.

    journal: room to write down what happens to one cell, see `kernels.aftermath.make_journal`; its lane is
    that of the path within this call.
    """
    check_tally(book, tally)
    desks = nobody() if desks is None else desks
    follows = len(desks.rules.family) > 0
    if tally.aftermath.shape[2] != len(desks.rules.family) or tally.breach.shape[3] != desks.holdings.width:
        raise ValueError("a tally made for others than those who are followed")
    if tally.venue.shape[2] != len(desks.contagion.fund):
        raise ValueError("a tally made for other venues than those whose accounts share a market")
    if len(desks.contagion.lasting) > 0 and clock.bridge:
        raise ValueError("accounts that share a market are watched at closes")
    scenarios = market.parameters.shape[0]
    pools, accounts = book.base.shape[0], book.pools.shape[0]
    leverages, groups = book.multiple.shape[0], book.members.shape[0]
    loadings, regimes, assets, factors = market.loading.shape
    most_jumps = market.jump_law.shape[2]

    def lanes(*shape: int) -> Floats:
        return np.zeros((*shape, LANES))

    def integer_lanes(*shape: int) -> Integers:
        return np.zeros((*shape, LANES), np.int64)

    now = Step(
        lanes(),
        integer_lanes(),
        lanes(assets),
        lanes(assets),
        lanes(assets),
        lanes(assets),
        lanes(assets),
        lanes(assets),
        lanes(WAYS, assets),
        lanes(),
    )
    standing = Standing(
        lanes(scenarios, assets),
        integer_lanes(scenarios),
        integer_lanes(),
        lanes(scenarios, len(market.funding_law.column)),
        lanes(scenarios, len(market.basis_law.column)),
        lanes(scenarios, pools, NEXT + MARKS),
        integer_lanes(scenarios, pools, MARKS),
        integer_lanes(scenarios, accounts),
        integer_lanes(scenarios, tally.last_pool.shape[1], MARKS, leverages),
        integer_lanes(scenarios, groups, tally.hits.shape[4], leverages),
        np.zeros((scenarios, pools * leverages * LANES if follows else 0, 3), np.int64),
        np.zeros(scenarios, np.int64),
        lanes(pools if follows else 0),
        lanes(pools if tally.histogram.shape[2] > 0 else 0),
    )
    desk = Desk(
        lanes(ROWS),
        integer_lanes(),
        lanes(2, leverages),
        lanes(),
        np.zeros((2, 2, assets)),
        np.zeros((2, assets)),
    )
    pieces = Pieces(
        np.zeros((assets, most_jumps)),
        np.zeros((assets, most_jumps)),
        np.zeros(most_jumps),
        np.zeros(factors),
        np.zeros((assets, most_jumps)),
        np.zeros((ROOM, book.asset.shape[0])),
        np.zeros((3, assets)),
    )
    estate = make_estate(desks, assets, scenarios, LANES)
    spreads = tally.histogram.shape[2] > 0
    walk_paths(
        np.uint64(seed),
        first_path,
        paths,
        market,
        book,
        clock,
        Draws(
            lanes(4),
            lanes(factors),
            lanes(loadings, regimes, assets),
            lanes(factors),
            lanes(loadings, regimes, assets),
            lanes(WAYS),
            lanes(WAYS, assets),
            lanes(scenarios if clock.wick else 0, WAYS, assets),
            lanes(2, room_for_normals(market.funding_law)),
            lanes(room_for_normals(market.basis_law)),
            lanes(2),
            integer_lanes(),
            lanes(2),
        ),
        now,
        standing,
        desk,
        pieces,
        desks,
        estate,
        make_journal(desks, 0, assets, (0, 0, 0, 0), 0) if journal is None else journal,
        make_trail(desks, clock.steps, scenarios, len(estate.owner), spreads),
        tally,
    )
