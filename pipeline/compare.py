"""The same book in one pool or in several: the capital that each way of holding it takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any, NamedTuple

from pipeline.margin_now import PoolMargin, pool_margin
from pipeline.plan import Account, Plan
from pipeline.pools import pools_of

ONE_POOL = "cross"
BY_STRATEGY = "by_strategy"
AS_HELD = "as_held"
ISOLATED = "isolated"

Members = tuple[int, ...]
"""Positions that share a pool, by number."""


@dataclass(frozen=True)
class HeldBook:
    """An account's positions, and the pools they can be held in.

    `committed`: the account's collateral as it stands, coins at their price, quote currency; `coins`: whether
    there are any. `ways`: by name, the pools of each; `cross` and `isolated` always, `by_strategy` where the
    labels make it a way of its own, `as_held` where the account isolates some positions and others not.
    Positions of size zero are in none. `margins`: each of these pools, without collateral: its equity is its
    profit since entry.
    """

    account: Account
    committed: float
    coins: bool
    ways: dict[str, tuple[Members, ...]]
    margins: dict[Members, PoolMargin]

    def at_initial_margin(self, way: str) -> float:
        """Collateral that takes every pool to its initial margin: sum over pools of max(0, IM - profit).

        What a pool has earned beyond its own need stays in it.
        """
        pools = (self.margins[members] for members in self.ways[way])
        return fsum(max(0.0, pool.initial_margin - pool.equity) for pool in pools)

    def at_maintenance_margin(self, way: str) -> float:
        """Collateral below which some pool is liquidatable: sum over pools of max(0, MM - profit)."""
        pools = (self.margins[members] for members in self.ways[way])
        return fsum(max(0.0, pool.maintenance_margin - pool.equity) for pool in pools)


class Range(NamedTuple):
    """An estimate and its 95 % interval; None where it is beyond what was simulated."""

    estimate: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class EqualChance:
    """The capital of each way, by name, with which liquidation by a horizon has the same probability."""

    probability: float
    horizon: str
    scenario: str
    paths: int
    capital: dict[str, Range]

    def document(self) -> dict[str, Any]:
        """As plain data: for each way its estimate, and under _low and _high its interval."""
        found: dict[str, Any] = {
            "probability": self.probability,
            "horizon": self.horizon,
            "scenario": self.scenario,
            "paths": self.paths,
        }
        for way, capital in self.capital.items():
            found |= {way: capital.estimate, f"{way}_low": capital.low, f"{way}_high": capital.high}
        return found


@dataclass(frozen=True)
class Comparison:
    """One account: what is committed now, and what each way of holding its positions takes.

    `pools`: how many each way has. `instant`, `maintenance`: collateral at initial and at maintenance margin.
    `equal`: at equal probability of liquidation; None where nothing was simulated.
    """

    name: str
    committed: float
    coins: bool
    pools: dict[str, int]
    instant: dict[str, float]
    maintenance: dict[str, float]
    equal: EqualChance | None

    def document(self) -> dict[str, Any]:
        """The comparison as plain data, as `seawall margin --compare --json` has it."""
        return {
            "name": self.name,
            "committed": self.committed,
            "pools": self.pools,
            "instant": self.instant,
            "maintenance": self.maintenance,
            "equal_probability": None if self.equal is None else self.equal.document(),
        }


def hold_book(plan: Plan, account: Account) -> HeldBook:
    """An account's positions in every way they can be held."""
    venue, positions = plan.venue_of(account), account.positions
    held = [n for n, position in enumerate(positions) if position.size != 0]
    apart = {n for n in held if venue.markets[positions[n].market].isolated}  # the venue's own rule
    keys: dict[str, list[object]] = {
        ONE_POOL: [n if n in apart else "" for n in held],
        BY_STRATEGY: [n if n in apart else positions[n].strategy or n for n in held],
        AS_HELD: [n if n in apart or account.isolates(positions[n]) else "" for n in held],
        ISOLATED: list(held),
    }
    ways = {name: _share(held, key) for name, key in keys.items()}
    for name in (AS_HELD, BY_STRATEGY):
        if ways[name] in [pools for other, pools in ways.items() if other != name]:
            del ways[name]
    margins: dict[Members, PoolMargin] = {}
    for members in dict.fromkeys(members for pools in ways.values() for members in pools):
        (pool,) = pools_of(plan, pool_account(account, members))
        margins[members] = pool_margin(pool, plan.prices)
    coins = any(asset != venue.quote and amount for asset, amount in account.collateral.items())
    return HeldBook(account, fsum(_collateral(plan, account)), coins, ways, margins)


def pool_account(account: Account, members: Members) -> Account:
    """Some positions of an account as a cross account of their own, without collateral."""
    positions = tuple(
        account.positions[n].model_copy(update={"margin": "cross", "collateral": None}) for n in members
    )
    return account.model_copy(
        update={"margin": "cross", "group": None, "collateral": {}, "positions": positions}
    )


def compare_books(books: Sequence[HeldBook], equal: Sequence[EqualChance | None]) -> tuple[Comparison, ...]:
    """What each book takes, with what was simulated of it, in the same order."""
    return tuple(
        Comparison(
            name=book.account.name,
            committed=book.committed,
            coins=book.coins,
            pools={way: len(pools) for way, pools in book.ways.items()},
            instant={way: book.at_initial_margin(way) for way in book.ways},
            maintenance={way: book.at_maintenance_margin(way) for way in book.ways},
            equal=chance,
        )
        for book, chance in zip(books, equal, strict=True)
    )


def _share(held: Sequence[int], keys: Sequence[object]) -> tuple[Members, ...]:
    """Positions of equal keys together, in the order of the first of each."""
    pools: dict[object, list[int]] = {}
    for n, key in zip(held, keys, strict=True):
        pools.setdefault(key, []).append(n)
    return tuple(tuple(members) for members in pools.values())


def _collateral(plan: Plan, account: Account) -> Iterator[float]:
    quote = plan.venue_of(account).quote
    for asset, amount in account.collateral.items():
        yield amount if asset == quote else amount * plan.prices[asset]
    for position in account.positions:
        if account.isolates(position):
            yield position.collateral or 0.0
