"""What follows a breach, written again from docs/after-the-breach.md: one path, account and leverage alone.

The account is followed from the first step on. Until its first event nothing happens to it, so that this is
the same as to begin there. Accounts are watched at closes, and at those steps' starts that the path says.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.effects import Depth
from pipeline.lower_timeline import find_cash, find_overlay
from pipeline.plan import Account, Plan
from pipeline.scenarios import Scenario
from pipeline.units import YEAR
from tests.aftermath_desk import Desk, rows_of
from tests.aftermath_estate import Estate, Event, Prices, columns_of, open_estate
from tests.aftermath_sight import AS_OF, HALTED, find_gas, find_outlier, find_sight
from tests.aftermath_venue import look

Floats = NDArray[np.float64]
Pick = Callable[[int, int], float]
Attends = Callable[[int], float]


@dataclass(frozen=True)
class Path:
    """One path: the oracle's prices (T, A) after what falls at the start of each step and at its close,
    annualised funding rates (T, A) before clamps, regimes (T,), and at which steps' starts the venue looks
    (T,). Columns as `tests.aftermath_estate.columns_of` names them."""

    before: Floats
    price: Floats
    rate: Floats
    regime: NDArray[np.int64]
    looks: NDArray[np.bool_]


@dataclass(frozen=True)
class Record:
    """How an account stands at a horizon. Money so far: `profit` is what positions and coins have made at
    marks, `changes` what the scenario took from cash or gave back. Sizes by position, equity and cash by
    pool."""

    step: int
    forced: bool
    partial: bool
    closed_out: bool
    bankrupt: bool
    fired: bool
    shortfall: float
    share: float
    fees: float
    slippage: float
    liquidation_fees: float
    gas: float
    funding: float
    put_in: float
    others: float
    changes: float
    profit: float
    fund: float
    equity: tuple[float, ...]
    cash: tuple[float, ...]
    sizes: tuple[float, ...]

    def imbalance(self, equity_before: float) -> float:
        """What came in less what is there and what was paid: zero on every path, to rounding."""
        came = equity_before + self.put_in + self.changes + self.profit + self.others
        paid = self.fees + self.slippage + self.funding + self.liquidation_fees + self.gas
        return came - math.fsum(self.equity) - paid


@dataclass(frozen=True)
class Followed:
    """All that happened: `hit` is when the venue first found a pool liquidatable, `untouched` when it would
    have had the book been left alone; `needless` a policy acted though it never would have."""

    events: tuple[Event, ...]
    records: tuple[Record, ...]
    hit: tuple[int, str] | None
    untouched: tuple[int, str] | None
    needless: bool
    breach: int | None
    equity_before: float
    gross_before: float
    scale: float
    unsure: bool


def follow(
    plan: Plan,
    scenario: Scenario,
    account: Account,
    leverage: float,
    path: Path,
    pick: Pick = lambda step, look: 0.0,
    attends: Attends = lambda policy: 0.0,
) -> Followed:
    """One account at one leverage on one path, from `as_of` to the last horizon.

    `pick` is the uniform by which dYdX draws a position in that look of a step, counted over its instants and
    the account's pools; `attends` that by which somebody is there for a policy.
    """
    walk = Walk(plan, scenario, account, leverage, path, pick, attends)
    records = []
    ends = {horizon // plan.simulation.step - 1 for horizon in plan.simulation.horizons}
    for step in range(len(path.price)):
        walk.take(step)
        if step in ends:
            records.append(record(walk.estate, walk.prices))
    estate = walk.estate
    return Followed(
        tuple(estate.events),
        tuple(records),
        estate.hit,
        walk.untouched.hit,
        estate.fired and walk.untouched.hit is None,
        estate.breach,
        estate.equity_before,
        estate.gross_before,
        max(estate.scale),
        bool(estate.unsure or walk.untouched.unsure),
    )


class Walk:
    """The account, the same left alone, and the world they are in."""

    def __init__(
        self,
        plan: Plan,
        scenario: Scenario,
        account: Account,
        leverage: float,
        path: Path,
        pick: Pick,
        attends: Attends,
        kind: type[Estate] = Estate,
    ) -> None:
        venue, step, steps = plan.venue_of(account), plan.simulation.step, len(path.price)
        self.plan, self.path, self.pick = plan, path, pick
        self.estate = open_estate(plan, account, leverage, kind)
        self.untouched = open_estate(plan, account, leverage)
        self.off = find_outlier(scenario.effects, plan.model.assets, step, steps)
        self.sees, self.clear = find_sight(scenario.effects, step, steps)
        gas, gas_delay = find_gas(scenario.effects, step, steps)
        fee = venue.taker_fee if account.fee_tier is None else venue.fee_tiers[account.fee_tier].taker
        self.desk = Desk(rows_of(account, attends), step, venue.gas_cost, fee, gas, gas_delay)
        self.has, self.owes = find_cash(scenario.effects, account.name, venue.quote, step, steps)
        self.overlay = find_overlay(scenario.effects, Depth, plan.model, step, steps)[0]
        self.columns = columns_of(plan)
        self.as_of: Prices = {c: plan.prices.get(c.removesuffix(" mark"), 1.0) for c in self.columns}
        self.prices = self.oracle = self.as_of
        self.most = max(1, int(step.total_seconds()))
        self.looks = 0

    def take(self, step: int) -> None:
        """One step."""
        estate, path = self.estate, self.path
        self.looks = 0
        for each in (estate, self.untouched):
            each.step, each.instant, each.traded = step, "start", {}
        estate.depth = self.find_depth(step)
        self.move(step, path.before[step])
        self.change_cash(step)
        if path.looks[step] and self.clear[step]:
            self._look(self.named(path.before[step]))
        for each in (estate, self.untouched):
            each.instant = "close"
        self.move(step, path.price[step])
        self.oracle = self.named(path.price[step])
        for each in (estate, self.untouched):
            self.pay_funding(each, step)
        if self.sees[step] == HALTED:
            return
        self.desk.receive(estate, self.prices)
        self.desk.go_on(estate, self.prices)
        self.desk.act(estate, self.prices)
        seen = self.sees[step]
        self._look(self.as_of if seen == AS_OF else self.named(path.price[seen]))

    def _look(self, seen: Prices) -> None:
        def draw() -> float:
            self.looks += 1
            return self.pick(self.estate.step, self.looks - 1)

        look(self.estate, seen, self.prices, self.most, draw)
        alone = self.untouched
        if alone.hit is None and any(alone.is_liquidatable(i, seen) for i in range(len(alone.cash))):
            alone.hit = alone.step, alone.instant

    def named(self, row: Floats) -> Prices:
        return dict(zip(self.columns, row.tolist(), strict=True))

    def see_through(self, step: int, prices: Prices) -> Prices:
        """The market's prices, from those of the walk, which are the oracle's."""
        return {c: price / self.off[step][c.removesuffix(" mark")] for c, price in prices.items()}

    def move(self, step: int, row: Floats) -> None:
        prices = self.see_through(step, self.named(row))
        for h in self.estate.held:
            self.estate.profit += h.size * (prices[h.column] - self.prices[h.column])
        for coins in self.estate.coins:
            self.estate.profit += sum(amount * (prices[a] - self.prices[a]) for a, amount, _ in coins)
        self.prices = prices

    def change_cash(self, step: int) -> None:
        """What a scenario takes from collateral in cash as it was at `as_of`, or gives back."""
        for pool, collateral in enumerate(self.estate.collateral):
            factor = self.has if collateral > 0.0 else self.owes
            change = collateral * (factor[step] - (factor[step - 1] if step else 1.0))
            self.untouched.cash[pool] += change
            legs = [h for h in self.estate.held if h.home == pool]
            if not legs or any(h.size != 0.0 for h in legs):  # else it would take what may be gone already
                self.estate.cash[pool] += change
                self.estate.changes += change

    def pay_funding(self, estate: Estate, step: int) -> None:
        """size x price x rate x time, of each position whose interval has a mark in the step."""
        begin, length = self.plan.as_of.timestamp(), self.plan.simulation.step.total_seconds()
        for h in estate.held:
            marks = [math.floor((begin + length * (step + i)) / h.interval) for i in (0, 1)]
            years = (marks[1] - marks[0]) * h.interval / YEAR.total_seconds()
            rate = float(self.path.rate[step, self.columns.index(h.column)])
            paid = h.size * self.oracle[h.column] * min(max(rate, -h.cap), h.cap) * years
            estate.pay(h, paid)
            estate.funding += paid

    def find_depth(self, step: int) -> Prices:
        """Notional by market that the book takes in a step: its own depth times regime's and scenario's."""
        model = self.plan.model
        regime = model.regimes[model.regime_names[int(self.path.regime[step])]]
        found = {}
        for h in self.estate.held:
            execution = self.estate.market(h).execution
            if execution is not None:
                usual = 1.0 if regime.depth is None else regime.depth[h.asset]
                found[h.market] = execution.depth * usual * self.overlay[step, model.assets.index(h.asset)]
        return found


def record(estate: Estate, prices: Prices) -> Record:
    equity = tuple(estate.equity(pool, prices) for pool in range(len(estate.cash)))
    is_open = any(h.size != 0.0 for h in estate.held)
    below = [pool for pool, value in enumerate(equity) if estate.is_below(value, pool)]
    return Record(
        estate.step,
        estate.was_forced,
        estate.was_forced and is_open and not below,
        estate.was_forced and not is_open,
        bool(estate.was_bankrupt),
        estate.fired,
        sum(max(0.0, -value) for value in equity) + max(0.0, estate.others),
        estate.forced / estate.gross_before if estate.gross_before else 0.0,
        estate.fees,
        estate.slippage,
        estate.liquidation_fees,
        estate.gas,
        estate.funding,
        estate.put_in,
        estate.others,
        estate.changes,
        estate.profit,
        estate.fund,
        equity,
        tuple(estate.cash),
        tuple(h.size for h in estate.held),
    )
