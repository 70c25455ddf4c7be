"""One account at one leverage after its first event, from docs/after-the-breach.md: what it has, what it is
worth, and what an order of its costs. Plain floats and loops.

A decision that rounding could turn is made all the same, and said: `unsure`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.funding_cap import annual_cap
from pipeline.lower_market import marked_assets, simulated_assets
from pipeline.plan import Account, Market, Plan
from pipeline.pools import Pool, pools_of

TIE = 1e-12  # of what a pool held at `as_of`: nearer to its requirement it stands
EXACT = 1e-13  # a difference below is a tie for whoever computes it
ROUNDING = 1e-9  # one above is none for anybody
DUST = 1e-9  # of a market's depth: less than that is not filled, so that fills that converge come to an end
Prices = dict[str, float]


class Event(NamedTuple):
    """Something that happened. `number` is a position's; of `seen`, `acted` and `top_up` a policy's, of
    `fund` a pool's. `price` is the mean one of a fill. `money` is a fee (negative: what the fund paid), what
    the other side paid in a deleveraging, what was sent or arrived, or the cost of an action."""

    step: int
    instant: str
    kind: str
    number: int
    quantity: float
    price: float
    money: float


@dataclass
class Held:
    """A position: `column` is what its price is called, `flow` the money it has brought since `as_of`."""

    number: int
    pool: int
    market: str
    column: str
    asset: str
    strategy: str | None
    interval: float
    cap: float
    entry: float
    start: float
    begun: float
    size: float
    home: int
    flow: float = 0.0
    order: float = 0.0

    def profit(self, prices: Prices) -> float:
        """Since `as_of`, costs and funding included."""
        return self.flow + self.size * prices[self.column] - self.begun * self.start


@dataclass
class Estate:
    """The account as it stands. Money is in the quote currency. By pool: collateral in cash at `as_of`, cash
    now, coins (asset, amount, haircut), and what ties are measured by."""

    plan: Plan
    account: Account
    leverage: float
    collateral: list[float]
    cash: list[float]
    coins: list[list[tuple[str, float, float]]]
    held: list[Held]
    scale: list[float]
    fund: float
    equity_before: float
    gross_before: float
    depth: Prices = field(default_factory=dict)
    traded: Prices = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    step: int = 0
    instant: str = "start"
    fees: float = 0.0
    slippage: float = 0.0
    liquidation_fees: float = 0.0
    gas: float = 0.0
    funding: float = 0.0
    put_in: float = 0.0
    changes: float = 0.0
    others: float = 0.0
    forced: float = 0.0
    profit: float = 0.0
    hit: tuple[int, str] | None = None
    was_forced: bool = False
    was_bankrupt: bool = False
    fired: bool = False
    breach: int | None = None
    unsure: bool = False

    def tell(
        self, kind: str, number: int, quantity: float = 0.0, price: float = 0.0, money: float = 0.0
    ) -> None:
        """Write an event down."""
        self.events.append(Event(self.step, self.instant, kind, number, quantity, price, money))

    def is_less(self, a: float, b: float, scale: float) -> bool:
        """a < b, unsure where they are nearer than rounding can tell."""
        self.unsure |= abs(a - b) < ROUNDING * scale
        return a < b

    def is_below(self, value: float, pool: int) -> bool:
        """Whether a pool's value is below zero, ties of what it held aside."""
        share = value / self.scale[pool]
        self.unsure |= EXACT < abs(share) < ROUNDING
        return share < -TIE

    def of_pool(self, pool: int) -> list[Held]:
        """Its open positions, in the book's order."""
        return [h for h in self.held if h.pool == pool and h.size != 0.0]

    def by_pool(self) -> list[Held]:
        """All positions, pool by pool, in the book's order within each: that in which orders are filled."""
        return sorted(self.held, key=lambda h: h.pool)

    def equity(self, pool: int, prices: Prices) -> float:
        """E, without haircuts."""
        coins = sum(amount * prices[asset] for asset, amount, _ in self.coins[pool])
        return self.cash[pool] + coins + sum(h.size * prices[h.column] for h in self.of_pool(pool))

    def withheld(self, pool: int, prices: Prices) -> float:
        """H."""
        return sum(haircut * max(amount, 0.0) * prices[asset] for asset, amount, haircut in self.coins[pool])

    def required(self, h: Held, price: float) -> float:
        """Maintenance margin of a position."""
        return maintenance(self.market(h), abs(h.size) * price)

    def margin(self, pool: int, prices: Prices) -> float:
        """MM."""
        return sum(self.required(h, prices[h.column]) for h in self.of_pool(pool))

    def is_liquidatable(self, pool: int, prices: Prices) -> bool:
        """MM > 0 and E - H < MM."""
        margin = self.margin(pool, prices)
        free = self.equity(pool, prices) - self.withheld(pool, prices) - margin
        return margin > 0.0 and self.is_below(free, pool)

    def ratio(self, pool: int, prices: Prices) -> float:
        """(E - H) / MM; infinite without a requirement."""
        margin = self.margin(pool, prices)
        free = self.equity(pool, prices) - self.withheld(pool, prices)
        return free / margin if margin > 0.0 else math.inf

    def ratio_is_below(self, level: float, prices: Prices) -> bool:
        """Whether some pool's margin ratio is below a level."""
        below = False
        for pool in range(len(self.cash)):
            margin = self.margin(pool, prices)
            if margin > 0.0:
                free = self.equity(pool, prices) - self.withheld(pool, prices)
                below |= self.is_less(free, level * margin, self.scale[pool] + level * margin)
        return below

    def total(self, prices: Prices) -> float:
        """Equity of all pools."""
        return sum(self.equity(pool, prices) for pool in range(len(self.cash)))

    def gross(self, prices: Prices) -> float:
        """Notional of all positions."""
        return sum(abs(h.size) * prices[h.column] for h in self.held)

    def market(self, h: Held) -> Market:
        """What a position is traded on."""
        return self.plan.venue_of(self.account).markets[h.market]

    def quote(self, h: Held, prices: Prices) -> float:
        """What a position is traded at, slippage apart."""
        return prices[h.column]

    def used(self, h: Held, quantity: float) -> float:
        """Notional that an order for a signed quantity finds traded before it in this step."""
        return self.traded.get(h.market, 0.0)

    def use(self, h: Held, quantity: float, notional: float) -> None:
        """Have so much more of it traded."""
        self.traded[h.market] = self.traded.get(h.market, 0.0) + notional

    def ask_fund(self, wanted: float) -> float:
        """What the fund has, which is asked for so much."""
        return self.fund

    def pay_fund(self, money: float) -> None:
        """Give the fund money, or take it."""
        self.fund += money

    def deleverage(self, h: Held, bankrupt: float, mark: float) -> None:
        """Close a position at its bankruptcy price against the other side."""
        paid = h.size * (bankrupt - mark)
        self.others += paid  # negative where the market is better than what the venue sees
        self.was_bankrupt = True
        self.forced += abs(h.size) * mark
        self.tell("deleveraging", h.number, -h.size, bankrupt, paid)
        self.pay(h, -h.size * bankrupt)
        h.size = 0.0

    def close_dry(self, style: str, pool: int, seen: Prices, prices: Prices) -> bool:
        """What a tiered venue does where nothing fills; whether something was closed."""
        return False

    def room(self, h: Held, quantity: float) -> float:
        """Notional that the book still takes in this step, on the side of a signed quantity."""
        depth = self.depth.get(h.market, math.inf)
        return self.beyond_dust(depth - self.used(h, quantity), depth)

    def beyond_dust(self, notional: float, depth: float) -> float:
        """A notional, or nothing where it is dust."""
        if depth == math.inf:
            return notional
        self.unsure |= abs(notional - DUST * depth) < EXACT * depth
        return notional if notional > DUST * depth else 0.0

    def cost(self, h: Held, quantity: float, notional: float) -> float:
        """G(U + N) - G(U), on the side of a signed quantity."""
        if h.market not in self.depth:
            return 0.0
        market, used = self.market(h), self.used(h, quantity)
        assert market.execution is not None
        power = 0.5 if market.execution.law == "square_root" else 1.0
        depth, impact = self.depth[h.market], market.execution.impact
        after, before = (u * (u / depth) ** power if u else 0.0 for u in (used + notional, used))
        return impact * (after - before)

    def takes(self, h: Held, quantity: float, price: float) -> float:
        """As much of a signed order as the book has room for, without sign: all, or room / price."""
        wanted, room = abs(quantity) * price, self.room(h, quantity)
        if room < math.inf:
            self.unsure |= abs(wanted - room) < ROUNDING * wanted
        return abs(quantity) if wanted <= room else room / price

    def trade(self, h: Held, quantity: float, price: float) -> float:
        """Fill a signed quantity at a mark, with slippage and without a fee; the mean price."""
        notional = abs(quantity) * price
        cost = self.cost(h, quantity, notional)
        self.use(h, quantity, notional)
        self.slippage += cost
        self.pay(h, quantity * price + cost)
        h.size = 0.0 if h.size == -quantity else h.size + quantity
        return price + math.copysign(cost, quantity) / abs(quantity)

    def pay(self, h: Held, money: float) -> None:
        """Out of the pool of a position, on its account."""
        self.cash[h.pool] -= money
        h.flow -= money

    def breach_of(self, pool: int, prices: Prices) -> int:
        """The open position of a pool that has lost most since `as_of`."""
        return min(self.of_pool(pool), key=lambda h: h.profit(prices)).number


def maintenance(market: Market, notional: float) -> float:
    """Maintenance margin of a notional: the bracket's that it lies in, less `cum`; or the market's."""
    if not market.brackets:
        assert market.maintenance_margin is not None
        return notional * market.maintenance_margin
    inside = (b for b in market.brackets if b.up_to is None or notional <= b.up_to)
    bracket = next(inside, market.brackets[-1])
    return notional * bracket.maintenance_margin - bracket.cum


def columns_of(plan: Plan) -> list[str]:
    """What prices are called: the assets, then those perpetuals that have a price of their own."""
    return [*simulated_assets(plan), *(f"{asset} mark" for asset in marked_assets(plan))]


def open_estate(plan: Plan, account: Account, leverage: float, kind: type[Estate] = Estate) -> Estate:
    """The account at `as_of`, pools to which nothing can happen left out."""
    venue, marks = plan.venue_of(account), marked_assets(plan)
    all_pools = pools_of(plan, account)
    pools = [pool for pool in all_pools if _matters(account, pool)] or all_pools[:1]
    estate = kind(
        plan,
        account,
        leverage,
        collateral=[],
        cash=[],
        coins=[],
        held=[],
        scale=[],
        fund=math.inf if venue.insurance_fund is None else venue.insurance_fund,
        equity_before=sum(pool.equity(plan.prices) for pool in pools),
        gross_before=0.0,
    )
    for number, pool in enumerate(pools):
        gross = 0.0
        coins = sum(abs(coin.amount) * plan.prices[coin.asset] for coin in pool.coins)
        cash = pool.cash
        for holding in pool.holdings:
            position, start = holding.position, plan.prices[holding.asset]
            if position.size == 0.0:
                continue
            size = leverage * position.size
            cash += position.size * (start - position.entry) - size * start
            gross += abs(size) * start
            marked = holding.marked and holding.asset in marks
            estate.held.append(
                Held(
                    len(estate.held),
                    number,
                    position.market,
                    f"{holding.asset} mark" if marked else holding.asset,
                    holding.asset,
                    position.strategy,
                    holding.interval.total_seconds(),
                    annual_cap(venue, venue.markets[position.market]),
                    position.entry,
                    start,
                    size,
                    size,
                    number,
                )
            )
        estate.collateral.append(pool.cash)
        estate.cash.append(cash)
        estate.coins.append([(coin.asset, coin.amount, coin.haircut) for coin in pool.coins])
        estate.scale.append(gross + coins + abs(pool.equity(plan.prices)) or 1.0)
        estate.gross_before += gross
    for policy in account.policies:
        if policy.kind == "isolate":  # to a pool that is empty until then
            estate.collateral.append(0.0)
            estate.cash.append(0.0)
            estate.coins.append([])
            estate.scale.append(estate.scale[0])
    return estate


def _matters(account: Account, pool: Pool) -> bool:
    held = any(holding.size != 0.0 for holding in pool.holdings)
    watched = account.group is not None or bool(account.policies)
    return held or bool(pool.coins) or pool.cash < 0.0 or watched
