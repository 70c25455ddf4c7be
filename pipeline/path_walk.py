"""One account of a plan on one path: the choice of it, and the kernel's journal of it.

It is walked by itself, or, where accounts share a market, with the whole book.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np

from kernels.aftermath import make_journal
from kernels.desks import Desks
from kernels.journal import ACTED, BREACHED, PAID_BY_FUND, SENT, TOPPED_UP, WENT_BANKRUPT, Journal
from kernels.simulate import simulate_general_paths
from kernels.structs import Book, Clock, Market, Tally, create_tally
from pipeline.errors import InputError, Problem
from pipeline.faults import nearest
from pipeline.lower_book import lower_book, lower_clock, pools_that_matter
from pipeline.lower_desks import lower_desks
from pipeline.lower_market import lower_market
from pipeline.plan import Account, Plan, plan_from_document
from pipeline.policies import Isolate
from pipeline.pools import Pool

OF_POOLS, OF_POLICIES = (BREACHED, PAID_BY_FUND, WENT_BANKRUPT), (TOPPED_UP, SENT, ACTED)


class Cell(NamedTuple):
    """What of a plan is replayed, by number: scenario, account, leverage."""

    scenario: int
    account: int
    leverage: int


class Leg(NamedTuple):
    """A position, or a coin held as collateral: its name, what it is marked by, the number of its pool.

    place: among the account's legs in the kernel; like: the place of the leg whose rules it has, its own but
    in a pool that a policy may fill."""

    name: str
    market: str
    pool: int
    place: int
    is_position: bool
    like: int


class Walk(NamedTuple):
    """A plan as the kernel takes it, for one account. number: of that account in the book, which is all of
    the plan where accounts share a market, and else holds nobody else."""

    market: Market
    book: Book
    clock: Clock
    desks: Desks
    number: int

    def follow(self, plan: Plan, cell: Cell, path: int, events: int) -> tuple[Journal, Tally]:
        """What happens to a cell on a path, with room for so many events, and what a run counts of it. Events
        number pools and policies as the account has them."""
        tally = create_tally(
            len(plan.scenarios),
            len(self.book.pools),
            len(plan.simulation.leverage),
            len(plan.simulation.horizons),
            joint=False,
            groups=len(self.book.members),
            several=int(self.book.several.max(initial=-1)) + 1,
            width=self.desks.holdings.width,
            venues=len(self.desks.contagion.fund),
        )
        assets = self.market.loading.shape[2]
        followed = (cell.scenario, self.number, cell.leverage, 0)
        journal = make_journal(self.desks, self.clock.steps, assets, followed, events)
        simulate_general_paths(
            plan.simulation.seed, path, 1, self.market, self.book, self.clock, tally, self.desks, journal
        )
        written = journal.events[: journal.written[0]]
        for kinds, first in (
            (OF_POOLS, self.desks.holdings.first[self.number]),
            (OF_POLICIES, self.desks.policies.first[self.number]),
        ):
            written[np.isin(written[:, 2], kinds), 3] -= first
        return journal, tally


def lower_walk(plan: Plan, cell: Cell, draw: int | None) -> Walk:
    """The plan's market and clock; book and desks of the one account, or of all where they share a market."""
    shared = plan.simulation.contagion is not None
    accounts = range(len(plan.accounts)) if shared else [cell.account]
    market = lower_market(plan, draw)
    book = lower_book(plan, market, accounts)
    desks = lower_desks(plan, market, book, accounts)
    return Walk(market, book, lower_clock(plan), desks, cell.account if shared else 0)


def choose_cell(plan: Plan, scenario: str, account: str, leverage: float, path: int = 0) -> Cell:
    """The numbers of what is meant; InputError with all that is wrong with it."""
    scenarios, accounts = [s.name for s in plan.scenarios], [a.name for a in plan.accounts]
    leverages = list(plan.simulation.leverage)
    problems = []
    if not 0 <= path < plan.simulation.paths:
        last = plan.simulation.paths - 1
        expected, fix = f"a path of the run, 0 to {last:,}", "name one of them"
        problems.append(Problem("--path", expected, f"{path:,}", fix))
    if scenario not in scenarios:
        fix = nearest(scenario, scenarios)
        problems.append(Problem("--scenario", "a scenario of the plan", f"`{scenario}`", fix))
    if account not in accounts:
        fix = nearest(account, accounts)
        problems.append(Problem("--account", "an account of the plan", f"`{account}`", fix))
    elif not has_legs(plan, plan.accounts[accounts.index(account)]):
        expected, fix = (
            "an account with a position, or a coin as collateral",
            "nothing can happen to this one",
        )
        problems.append(Problem("--account", expected, f"`{account}`, which has neither", fix))
    if leverage not in leverages:
        fix = "use one of: " + ", ".join(f"{value:g}" for value in leverages)
        problems.append(Problem("--leverage", "a leverage of the plan", f"{leverage:g}", fix))
    if problems:
        raise InputError(problems)
    return Cell(scenarios.index(scenario), accounts.index(account), leverages.index(leverage))


def has_legs(plan: Plan, account: Account) -> bool:
    """Whether an account has anything that prices move."""
    quote = plan.venue_of(account).quote
    return any(position.size for position in account.positions) or not account.collateral.keys() <= {quote}


def resolving(plan: Plan) -> Plan:
    """The plan, told to follow what comes after a breach. PlanError where that asks for what it lacks."""
    if plan.simulation.resolve:
        return plan
    document = plan.document()
    document["simulation"]["resolve"] = True
    return plan_from_document(document)


def apart(plan: Plan) -> Plan:
    """The plan, its accounts each for itself: prices are then the path's own."""
    alone = plan.simulation.model_copy(update={"contagion": None})
    return plan.model_copy(update={"simulation": alone})


def name_legs(plan: Plan, account: Account, desks: Desks, number: int) -> tuple[tuple[str, ...], list[Leg]]:
    """The pools of the account of that number in the desks, and its legs, as they lie in the kernel."""
    pools = list(pools_that_matter(plan, account).values())
    place = desks.holdings.place[desks.holdings.first[number] :]
    legs = [leg for y, pool in enumerate(pools) for leg in _legs_of(pool, y, int(place[y]))]
    names = [pool.name for pool in pools]
    for y, policy in enumerate((p for p in account.policies if isinstance(p, Isolate)), start=len(pools)):
        copied = [leg for leg in legs if leg.pool == 0 and leg.is_position and leg.market == policy.market]
        names.append(f"{policy.market} moved")
        for at, leg in enumerate(copied, start=int(place[y])):
            legs.append(leg._replace(name=f"{leg.name} moved", pool=y, place=at))
    several = {name for name, count in Counter(leg.name for leg in legs).items() if count > 1}
    apart = [
        leg._replace(name=f"{leg.name} in {names[leg.pool]}") if leg.name in several else leg for leg in legs
    ]
    return tuple(names), apart


def _legs_of(pool: Pool, number: int, first: int) -> list[Leg]:
    held = [holding.position for holding in pool.holdings if holding.size != 0]
    both = {name for name, count in Counter(position.market for position in held).items() if count > 1}
    legs = []
    for place, position in enumerate(held, start=first):
        side = "" if position.market not in both else " short" if position.size < 0 else " long"
        legs.append(Leg(position.market + side, position.market, number, place, True, place))
    coins = enumerate(pool.coins, start=first + len(held))
    return legs + [
        Leg(f"{coin.asset} (coin)", coin.asset, number, place, False, place) for place, coin in coins
    ]
