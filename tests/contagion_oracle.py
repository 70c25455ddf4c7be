"""Accounts that share a market, from "Contagion" in docs/after-the-breach.md: all of a book on one path, in
one scenario, at one leverage. Everybody is followed from the first step on. Plain floats and loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.plan import Plan
from pipeline.scenarios import Scenario
from pipeline.venues import Liquidation
from tests.aftermath_estate import Estate, Event, Held, Prices, columns_of
from tests.aftermath_oracle import Path, Record, Walk, record
from tests.aftermath_sight import AS_OF, HALTED
from tests.aftermath_venue import look

LEAST = 0.01
MarketName = tuple[str | None, str]
Draw = Callable[[int, int], float]


@dataclass(frozen=True)
class VenueRecord:
    """How a venue stands at a horizon: what `kernels.structs.Tally.venue` counts."""

    step: int
    venue: str | None
    exhausted: bool
    cascade: bool
    forced_accounts: int
    socialised: float
    notional: float
    drawn: float
    fall: float


@dataclass(frozen=True)
class Told:
    """What happened to every account, by its place in the plan, and to the venues, by horizon and venue.

    `marks` are those after each step; `outside` is what others outside have given up, `funds` what the funds
    began with and have now."""

    events: tuple[tuple[Event, ...], ...]
    records: tuple[tuple[Record, ...], ...]
    venues: tuple[VenueRecord, ...]
    marks: tuple[Prices, ...]
    equity_before: tuple[float, ...]
    scale: tuple[float, ...]
    outside: float
    funds: tuple[tuple[float, float], ...]
    unsure: bool


@dataclass
class Pit:
    """The market that everybody stands in. Prices by column; `taken` by market and side."""

    plan: Plan
    lasting: float
    draw: Draw
    members: list[Member] = field(default_factory=list)
    factor: Prices = field(default_factory=dict)
    start: Prices = field(default_factory=dict)
    marks: Prices = field(default_factory=dict)
    view: Prices = field(default_factory=dict)
    seen: Prices = field(default_factory=dict)
    taken: dict[tuple[MarketName, bool], float] = field(default_factory=dict)
    depth: dict[MarketName, float] = field(default_factory=dict)
    column: dict[MarketName, str] = field(default_factory=dict)
    fund: dict[str | None, float] = field(default_factory=dict)
    begun: dict[str | None, float] = field(default_factory=dict)
    paid: dict[str | None, float] = field(default_factory=dict)
    given: dict[str | None, float] = field(default_factory=dict)
    exhausted: set[str | None] = field(default_factory=set)
    cascade: set[str | None] = field(default_factory=set)
    lowest: float = 1.0
    step: int = 0
    draws: int = 0
    outside: float = 0.0

    def ratio(self, column: str) -> float:
        """What the fills of this step make of a price."""
        impact, weight = 0.0, 0.0
        for name, where in self.column.items():
            if where != column:
                continue
            depth = self.depth.get(name, math.inf)
            if depth == math.inf:
                return 1.0
            weight += depth
            if depth > 0.0:
                bought, sold = (self.taken.get((name, side), 0.0) for side in (True, False))
                impact += depth * (self._last(name, bought) - self._last(name, sold))
        return max(LEAST, 1.0 + impact / weight) if weight else 1.0

    def _last(self, name: MarketName, used: float) -> float:
        """I(U): slippage of the last unit."""
        venue = self.plan.venue if name[0] is None else self.plan.venues[name[0]]
        execution = venue.markets[name[1]].execution
        assert execution is not None
        power = 0.5 if execution.law == "square_root" else 1.0
        return float(execution.impact * (1.0 + power) * (used / self.depth[name]) ** power)

    def set(self, start: Prices, view: Prices) -> None:
        """The path is at these prices, of which the venue has those in `view`."""
        self.start = {c: price * self.factor[c] for c, price in start.items()}
        self.view = {c: price * self.factor[c] for c, price in view.items()}
        for column in start:
            self.push(column)

    def push(self, column: str) -> None:
        """Mark and what is seen of it follow what was traded."""
        ratio = self.ratio(column)
        self.marks[column] = self.start[column] * ratio
        self.seen[column] = self.view[column] * ratio
        self.lowest = min(self.lowest, self.factor[column] * ratio)

    def counter(self, who: Member, h: Held, size: float, bankrupt: float) -> None:
        """Others in the book are closed against a position of that size, the rest outside."""
        mark = self.marks[h.column]
        key = (who.account.venue, h.market)
        while size != 0.0:
            against = [
                (m, other)
                for m in self.members
                for other in m.held
                if m is not who and (m.account.venue, other.market) == key and other.size * size < 0.0
            ]
            if not against:
                break
            if isinstance(self.plan.venue_of(who.account).liquidation, Liquidation):
                m, other = against[int(self.draw(self.step, self.draws) * len(against))]
                self.draws += 1
            else:
                ranks = [m.rank(other, self.marks) for m, other in against]
                first = max(ranks)
                close = [rank for rank in ranks if abs(rank - first) <= 1e-9 * max(1.0, abs(first))]
                who.unsure |= len(close) > 1 and first > -math.inf
                m, other = against[ranks.index(first)]
            quantity = other.size if abs(other.size) <= abs(size) else -size
            cost = quantity * (bankrupt - mark)
            m.pay(other, -quantity * bankrupt)
            m.at_marks += quantity * mark
            m.others += cost
            other.size = 0.0 if quantity == other.size else other.size - quantity
            size = size + quantity
            m.tell("countered", other.number, -quantity, bankrupt, cost)
        self.outside += size * (bankrupt - mark)


@dataclass
class Member(Estate):
    """An account in the pit. `at_marks` is what its trades were at marks: sold less bought."""

    pit: Pit | None = None
    at_marks: float = 0.0

    @property
    def here(self) -> Pit:
        """The pit."""
        assert self.pit is not None
        return self.pit

    def quote(self, h: Held, prices: Prices) -> float:
        """The price before any fill of the step."""
        return self.here.start[h.column]

    def used(self, h: Held, quantity: float) -> float:
        """Of everybody."""
        return self.here.taken.get(((self.account.venue, h.market), quantity > 0.0), 0.0)

    def use(self, h: Held, quantity: float, notional: float) -> None:
        """And the mark follows."""
        key = ((self.account.venue, h.market), quantity > 0.0)
        self.here.taken[key] = self.here.taken.get(key, 0.0) + notional
        self.here.push(h.column)

    def trade(self, h: Held, quantity: float, price: float) -> float:
        """As ever; what it was at the price before any fill is kept."""
        self.at_marks -= quantity * price
        return super().trade(h, quantity, price)

    def ask_fund(self, wanted: float) -> float:
        """The venue's."""
        has = self.here.fund[self.account.venue]
        if wanted > has:
            self.here.exhausted.add(self.account.venue)
        return has

    def pay_fund(self, money: float) -> None:
        """The venue's."""
        self.here.fund[self.account.venue] += money
        self.here.paid[self.account.venue] += max(0.0, -money)

    def deleverage(self, h: Held, bankrupt: float, mark: float) -> None:
        """Against the book, and others."""
        size = h.size
        self.at_marks += size * mark
        self.here.given[self.account.venue] += size * (bankrupt - mark)
        super().deleverage(h, bankrupt, mark)
        self.here.counter(self, h, size, bankrupt)

    def close_dry(self, style: str, pool: int, seen: Prices, prices: Prices) -> bool:
        """With less than nothing: all, or the worst, at bankruptcy prices."""
        equity, margin = self.equity(pool, seen), self.margin(pool, seen)
        if not self.is_below(equity, pool):
            return False
        chosen = self.of_pool(pool)
        if style == "partial":
            chosen = [min(chosen, key=lambda h: h.size * (seen[h.column] - h.entry))]
        for h in chosen:
            oracle = seen[h.column]
            bankrupt = oracle - equity * self.required(h, oracle) / margin / h.size
            self.deleverage(h, bankrupt, prices[h.column])
        return True

    def rank(self, h: Held, prices: Prices) -> float:
        """Profit since entry, as a share, times leverage."""
        equity = self.total(prices)
        if equity <= 0.0:
            return -math.inf
        profit = math.copysign(1.0, h.size) * (prices[h.column] - h.entry) / h.entry
        return profit * self.gross(prices) / equity


def follow_book(
    plan: Plan,
    scenario: Scenario,
    leverage: float,
    path: Path,
    lasting: float,
    pick: Draw = lambda step, look: 0.0,
    attends: Callable[[int], float] = lambda policy: 0.0,
    counterparty: Draw = lambda step, draw: 0.0,
) -> Told:
    """All accounts of a plan from `as_of` to the last horizon. Draws by step and number; see `follow`."""
    pit = Pit(plan, lasting, counterparty)
    walks = [
        Walk(plan, scenario, account, leverage, path, pick, attends, kind=Member) for account in plan.accounts
    ]
    for walk in walks:
        member = walk.estate
        assert isinstance(member, Member)
        member.pit = pit
        pit.members.append(member)
        venue = member.account.venue
        pit.fund[venue] = pit.begun[venue] = member.fund
        pit.paid[venue] = pit.given[venue] = 0.0
        for h in member.held:
            pit.column[venue, h.market] = h.column
    columns = columns_of(plan)
    pit.factor = dict.fromkeys(columns, 1.0)
    ends = {horizon // plan.simulation.step - 1 for horizon in plan.simulation.horizons}
    records: list[list[Record]] = [[] for _ in walks]
    venues: list[VenueRecord] = []
    marks = []
    for step in range(len(path.price)):
        _take(pit, walks, path, step)
        marks.append(dict(pit.marks))
        if step in ends:
            for number, member in enumerate(pit.members):
                _set_profit(member, pit.marks)
                records[number].append(record(member, pit.marks))
            venues += [_record_venue(pit, venue) for venue in pit.fund]
        for column in columns:
            pit.factor[column] *= 1.0 + lasting * (pit.ratio(column) - 1.0)
    return Told(
        tuple(tuple(member.events) for member in pit.members),
        tuple(tuple(rows) for rows in records),
        tuple(venues),
        tuple(marks),
        tuple(member.equity_before for member in pit.members),
        tuple(max(member.scale) for member in pit.members),
        pit.outside,
        tuple((begun, pit.fund[venue]) for venue, begun in pit.begun.items()),
        any(member.unsure for member in pit.members),
    )


def _take(pit: Pit, walks: list[Walk], path: Path, step: int) -> None:
    pit.step, pit.draws, pit.taken = step, 0, {}
    for walk in walks:
        walk.looks = 0
        walk.estate.step, walk.estate.instant = step, "start"
        walk.change_cash(step)
        walk.estate.depth = walk.find_depth(step)
        pit.depth |= {(walk.estate.account.venue, name): d for name, d in walk.estate.depth.items()}
    named, sees = walks[0].named, walks[0].sees[step]
    if path.looks[step] and walks[0].clear[step]:
        pit.set(named(path.before[step]), named(path.before[step]))
        _look_around(pit, walks)
    close = named(path.price[step])
    seen = close
    if sees == AS_OF:
        seen = walks[0].as_of
    elif sees != HALTED:
        seen = named(path.price[sees])
    pit.set(close, seen)
    for walk in walks:
        walk.estate.instant = "close"
        walk.prices = pit.marks
        walk.pay_funding(walk.estate, step)
    if sees == HALTED:
        return
    for walk in walks:
        walk.desk.receive(walk.estate, pit.marks)
        walk.desk.go_on(walk.estate, pit.marks)
        walk.desk.act(walk.estate, pit.marks)
    _look_around(pit, walks)


def _look_around(pit: Pit, walks: list[Walk]) -> None:
    """Round after round, until nothing is closed."""
    met = {
        (number, pool)
        for number, member in enumerate(pit.members)
        for pool in range(len(member.cash))
        if member.is_liquidatable(pool, pit.seen)
    }
    for _ in range(walks[0].most):
        closed = False
        for number, walk in enumerate(walks):
            before = len(walk.estate.events)
            look(walk.estate, pit.seen, pit.marks, walk.most, lambda walk=walk: _draw(walk))  # type: ignore[misc]
            for event in walk.estate.events[before:]:
                if event.kind in ("liquidation", "deleveraging"):
                    closed = True
                    if (number, walk.estate.held[event.number].pool) not in met:
                        pit.cascade.add(walk.estate.account.venue)
        if not closed:
            break


def _draw(walk: Walk) -> float:
    walk.looks += 1
    return walk.pick(walk.estate.step, walk.looks - 1)


def _set_profit(member: Member, marks: Prices) -> None:
    """At prices before fills: what trades brought, and what is held, less what was."""
    held = sum(h.size * marks[h.column] - h.begun * h.start for h in member.held)
    coins = sum(
        amount * (marks[a] - member.plan.prices[a]) for coins in member.coins for a, amount, _ in coins
    )
    member.profit = member.at_marks + held + coins


def _record_venue(pit: Pit, venue: str | None) -> VenueRecord:
    members = [m for m in pit.members if m.account.venue == venue]
    lost = pit.given[venue]
    for m in members:
        for pool in range(len(m.cash)):
            had = any(h.pool == pool for h in m.held)
            equity = m.equity(pool, pit.marks)
            if had and not m.of_pool(pool) and m.is_below(equity, pool):
                lost -= equity
    begun = pit.begun[venue]
    return VenueRecord(
        pit.step,
        venue,
        venue in pit.exhausted,
        venue in pit.cascade,
        sum(m.was_forced for m in members),
        lost,
        sum(m.forced for m in members),
        pit.paid[venue] if begun == math.inf else max(0.0, begun - pit.fund[venue]),
        1.0 - pit.lowest,
    )
