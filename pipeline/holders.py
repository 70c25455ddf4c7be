"""Accounts beside their rows of a kernel's book: which legs are positions, and where they lie."""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

import numpy as np

from kernels.structs import Book
from pipeline.lower_book import pools_that_matter
from pipeline.plan import Account, Plan, Position, Venue
from pipeline.policies import Isolate
from pipeline.pools import Pool


class Place(NamedTuple):
    """A position that can be closed: its number among the account's legs, and itself."""

    number: int
    position: Position


class Spare(NamedTuple):
    """A pool that a policy moves positions to: the policy's number, the pool's in its account, where its legs
    begin among the account's, and of which legs of the first pool they are copies."""

    policy: int
    pool: int
    place: int
    copies: list[int]


class Holder(NamedTuple):
    """An account of the slab: its pools' rows of Book (Y, L), where each pool's legs begin, how many legs all
    have, what of them can be closed, and pools that stand empty, their legs last."""

    account: Account
    venue: Venue
    rows: list[list[int]]
    places: list[int]
    width: int
    closable: list[Place]
    spares: list[Spare]


def find_holder(plan: Plan, book: Book, number: int, account: Account) -> Holder:
    """An account beside its rows of a book: a pool has one for all leverages, or one for each."""
    leverages = len(plan.simulation.leverage)
    rows: list[list[int]] = []
    for r in np.flatnonzero(book.account == number).tolist():
        if book.alone[r] < 0:
            rows.append([r] * leverages)
        elif book.alone[r] == 0:
            rows.append(list(range(r, r + leverages)))
    legs = [int(book.start[row[0] + 1] - book.start[row[0]]) for row in rows]
    *places, width = accumulate(legs, initial=0)
    pools: list[Pool] = list(pools_that_matter(plan, account).values())
    closable = [
        Place(place + i, holding.position)
        for place, pool in zip(places, pools, strict=True)
        for i, holding in enumerate(h for h in pool.holdings if h.size != 0)
    ]
    spares: list[Spare] = []
    for policy_number, policy in enumerate(account.policies):
        if isinstance(policy, Isolate):
            copies = [
                place.number
                for place in closable
                if place.number < legs[0] and place.position.market == policy.market
            ]
            spares.append(Spare(policy_number, len(rows) + len(spares), width, copies))
            width += len(copies)
    return Holder(account, plan.venue_of(account), rows, places, width, closable, spares)
