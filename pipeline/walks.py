"""Which of the two walks a plan's paths take: see docs/fast-walk.md."""

from __future__ import annotations

from collections.abc import Iterable

from kernels.plain import find_obstacle
from kernels.structs import Book, Clock, Market
from pipeline.lower_book import lower_book, lower_clock
from pipeline.lower_market import lower_market
from pipeline.plan import Plan
from pipeline.slabs import plan_slabs

RESOLVED = "what follows a breach is resolved"


def first_obstacle(market: Market, books: Iterable[Book], clock: Clock, resolve: bool) -> str:
    """Why a plan can't take the fast walk, or "": one slab that can't is enough, so that how a plan is cut
    changes no count. One that resolves what follows a breach never does."""
    if resolve:
        return RESOLVED
    found = (find_obstacle(market, book, clock) for book in books)
    return next(filter(None, found), "")


def describe_walk(plan: Plan) -> str:
    """Which walk a plan takes, and the first reason where that is the general one. Imports nothing heavy."""
    market, clock = lower_market(plan, tables=False), lower_clock(plan)
    books = (lower_book(plan, market, slab) for slab in plan_slabs(plan))
    obstacle = first_obstacle(market, books, clock, plan.simulation.resolve)
    return f"the general walk ({obstacle})" if obstacle else "the fast walk"
