"""One path of a run told step by step: what one account had, did and met. See docs/replay.md.

Replays of windows of price history are something else: pipeline/replay.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.estate import FEES, FUNDING_PAID, GAS, LIQUIDATION_FEES, MONEY, OTHERS, PUT_IN, SLIPPAGE
from kernels.journal import BREACHED, COUNTERED, DELEVERAGED, FILLED, LIQUIDATED, Journal
from kernels.kinks import lift_at
from kernels.structs import LIQUIDATION, MARGIN_CALL, MARKS, Book, Floats, Tally
from pipeline.blocks import draw_of
from pipeline.path_events import Event, SharedMarket, Story, tell_events
from pipeline.path_walk import Cell, Leg, Walk, apart, choose_cell, lower_walk, name_legs, resolving
from pipeline.plan import Plan

FIRST_EVENTS = 4_096  # room to begin with: a path with more is walked again
MARK_NAMES = ("margin_call", "liquidation", "bankruptcy")


class Bridge(NamedTuple):
    """From equity at `as_of` to equity at the end, in quote currency; what is paid counts positive.

    profit: of positions and coins at marks. changed: what the scenario makes of cash (a loss, a de-peg).
    others: what insurance fund and other side paid.
    """

    began: float
    profit: float
    topped_up: float
    changed: float
    others: float
    fees: float
    slippage: float
    funding: float
    liquidation_fees: float
    gas: float
    ended: float

    @property
    def difference(self) -> float:
        """What the parts leave unexplained: rounding."""
        came = self.began + self.profit + self.topped_up + self.changed + self.others
        went = self.fees + self.slippage + self.funding + self.liquidation_fees + self.gas
        return self.ended - (came - went)


@dataclass(frozen=True)
class PathReplay:
    """One cell on one path. T steps, W legs, Y pools; the first row of arrays is `as_of`.

    resolved: the run counted what follows a breach too, so that this path is that of its counts bit for bit.
    """

    plan: Plan
    resolved: bool
    scenario: str
    account: str
    leverage: float
    path: int
    draw: int | None
    legs: tuple[Leg, ...]
    pools: tuple[str, ...]
    times: NDArray[np.datetime64]
    """(T + 1,) UTC, the end of each step."""
    regimes: tuple[str, ...]
    """(T,)"""
    marks: Floats
    """(T + 1, W)"""
    own_marks: Floats
    """(T + 1, W) what they would be if no order moved them: the same, unless accounts share a market"""
    sizes: Floats
    """(T + 1, W)"""
    orders: Floats
    """(T + 1, W) still to be filled, signed"""
    equity: Floats
    """(T + 1, Y) haircuts not taken off"""
    haircuts: Floats
    """(T + 1, Y)"""
    maintenance: Floats
    """(T + 1, Y)"""
    initial: Floats
    """(T + 1, Y)"""
    events: tuple[Event, ...]
    untouched: dict[str, int | None]
    """By margin_call, liquidation and bankruptcy the number of the horizon by which the book that nobody
    touches has met it, or None."""
    breached: int | None
    """The step in which that book met the liquidation condition."""
    bridge: Bridge
    counted: dict[str, bool]
    """Whether the path is one of those that the cube counts at the last horizon, by variable."""

    @cached_property
    def margin_ratio(self) -> Floats:
        """(T + 1,) the lowest of the pools'; infinite where nothing is required."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = (self.equity - self.haircuts) / self.maintenance
        return np.asarray(np.where(self.maintenance > 0, ratios, np.inf).min(axis=1), np.float64)

    @property
    def free_collateral(self) -> Floats:
        """(T + 1,) equity after haircuts over initial margin, of all pools."""
        return np.asarray((self.equity - self.haircuts - self.initial).sum(axis=1), np.float64)

    def document(self) -> dict[str, Any]:
        """All of it as plain JSON-able data; None for a margin ratio without a requirement."""
        ratios = [float(ratio) if np.isfinite(ratio) else None for ratio in self.margin_ratio]
        held = {leg.name: number for number, leg in enumerate(self.legs)}
        shared = self.plan.simulation.contagion is not None
        own = {leg.market: self.own_marks[:, number].tolist() for number, leg in enumerate(self.legs)}
        horizons = self.plan.document()["simulation"]["horizons"]
        return {
            "path": self.path,
            "scenario": self.scenario,
            "account": self.account,
            "leverage": self.leverage,
            "seed": self.plan.simulation.seed,
            "draw": self.draw,
            "resolved": self.resolved,
            "times": [f"{time}Z" for time in self.times],
            "regimes": list(self.regimes),
            "marks": {leg.market: self.marks[:, number].tolist() for number, leg in enumerate(self.legs)},
            **({"own_marks": own} if shared else {}),
            "sizes": {name: self.sizes[:, number].tolist() for name, number in held.items()},
            "equity": self.equity.sum(axis=1).tolist(),
            "haircuts": self.haircuts.sum(axis=1).tolist(),
            "maintenance_margin": self.maintenance.sum(axis=1).tolist(),
            "initial_margin": self.initial.sum(axis=1).tolist(),
            "margin_ratio": ratios,
            "events": [event.document() for event in self.events],
            "untouched": {
                name: None if number is None else horizons[number] for name, number in self.untouched.items()
            },
            "breached": None if self.breached is None else f"{self.times[self.breached + 1]}Z",
            "bridge": self.bridge._asdict(),
            "counted": self.counted,
        }


def replay_path(plan: Plan, scenario: str, account: str, leverage: float, path: int) -> PathReplay:
    """Replay one path of a plan for one account. InputError with all that is wrong with the choice.

    A plan that does not resolve what follows a breach is replayed as if it did: random numbers are the same.
    Where accounts share a market the whole book is walked, and the account once more alone: for what prices
    would have been.
    """
    cell = choose_cell(plan, scenario, account, leverage, path)
    resolved = plan.simulation.resolve
    followed = resolving(plan)
    draw = draw_of(path, plan.simulation.paths, plan.draws) if plan.draws else None
    walk = lower_walk(followed, cell, draw)
    room = FIRST_EVENTS
    journal, tally = walk.follow(followed, cell, path, room)
    while journal.written[0] >= room:
        room *= 4
        journal, tally = walk.follow(followed, cell, path, room)
    own = journal.price
    if followed.simulation.contagion is not None:
        alone = apart(followed)
        own = lower_walk(alone, cell, draw).follow(alone, cell, path, 1)[0].price
    return _label(followed, cell, path, draw, walk, journal, tally, own, resolved)


def _label(
    plan: Plan,
    cell: Cell,
    path: int,
    draw: int | None,
    walk: Walk,
    journal: Journal,
    tally: Tally,
    own: Floats,
    resolved: bool,
) -> PathReplay:
    account, held, clock = plan.accounts[cell.account], walk.desks.holdings, walk.clock
    pools, legs = name_legs(plan, account, walk.desks, walk.number)
    first_pool, end_pool = held.first[walk.number : walk.number + 2]
    rows = [int(row) for row in held.row[first_pool:end_pool, cell.leverage]]
    scale = [1.0 if held.alone[row] >= 0 else float(held.multiple[cell.leverage]) for row in rows]
    # of a leg in a pool that a policy may fill: those of the first pool's, from which it comes
    homes = [0 if held.spare[leg.pool] else leg.pool for leg in legs]
    numbers = [
        int(held.start[rows[home]] + leg.like - held.place[home])
        for home, leg in zip(homes, legs, strict=True)
    ]
    kinked = [bool(held.kinks.present[rows[home]]) for home in homes]
    places = [leg.place for leg in legs]
    first = np.array(
        [
            0.0 if held.spare[leg.pool] else scale[leg.pool] * held.size[n]
            for leg, n in zip(legs, numbers, strict=True)
        ]
    )
    columns = held.asset[numbers]
    prices, unmoved = (np.vstack([walk.market.spot, closes]) for closes in (journal.price, own))
    sizes = np.vstack([first, journal.size[:, places]])
    initial, required = (
        _require(walk.book, legs, kinked, numbers, len(pools), sizes, prices, mark)
        for mark in (MARGIN_CALL, LIQUIDATION)
    )
    haircuts, maintenance = (
        np.vstack([required[kind][:1], journal.margin[:, : len(pools), column]])
        for kind, column in ((0, 2), (1, 1))
    )
    began = np.array([held.began[row] for row in rows])
    money = np.vstack([np.zeros(MONEY), journal.money])
    closes = held.closes[numbers] > 0
    pool_of = np.array([leg.pool for leg in legs], np.int64)
    changed = np.zeros(clock.steps)
    for step in np.flatnonzero(held.cash[cell.scenario] >= 0):
        for pool, row in enumerate(rows):
            own = closes & (pool_of == pool)
            if step == 0 or not own.any() or sizes[step, own].any():  # not where all has been closed
                changed[step] += held.cashes[held.cash[cell.scenario, step], row]
    start = np.datetime64(plan.as_of.replace(tzinfo=None), "s")
    times = start + np.arange(clock.steps + 1) * np.timedelta64(plan.simulation.step).astype("m8[s]")
    equity = np.vstack([began, journal.margin[:, : len(pools), 0]])
    written = journal.events[: journal.written[0]]
    asked = plan.simulation.contagion
    story = Story(
        plan=plan,
        cell=(cell.scenario, cell.account),
        market=walk.market,
        desks=walk.desks,
        legs={leg.place: (leg.name, leg.market) for leg in legs},
        pools=pools,
        times=times,
        regimes=journal.regime,
        gas=np.diff(money[:, GAS]),
        changed=changed,
        orders=journal.order,
        shared=None
        if asked is None
        else SharedMarket(
            walk.number, asked.lasting, np.diff(money[:, SLIPPAGE]), prices[:, columns], unmoved[:, columns]
        ),
    )
    passed = tally.hits[:MARKS, cell.scenario, walk.number, cell.leverage]
    met = [np.flatnonzero(row) for row in passed]
    breached = written[written[:, 2] == BREACHED, 0]
    counts = tally.aftermath[:, cell.scenario, walk.number, cell.leverage, -1]
    names = ("forced_liquidations", "partial_liquidations", "closed_out", "managed_bankruptcies")
    counted = {"liquidations": bool(passed[LIQUIDATION].any())}
    counted |= {
        name: bool(counts[row])
        for row, name in enumerate((*names, "policy_fired", "policy_fired_needlessly"))
    }
    bridge = Bridge(
        began=float(began.sum()),
        profit=_profit(sizes, prices[:, columns], written, places),
        topped_up=float(money[-1, PUT_IN]),
        changed=float(changed.sum()),
        others=float(money[-1, OTHERS]),
        fees=float(money[-1, FEES]),
        slippage=float(money[-1, SLIPPAGE]),
        funding=float(money[-1, FUNDING_PAID]),
        liquidation_fees=float(money[-1, LIQUIDATION_FEES]),
        gas=float(money[-1, GAS]),
        ended=float(equity[-1].sum()),
    )
    regimes = tuple(plan.model.regimes)
    return PathReplay(
        plan=plan,
        resolved=resolved,
        scenario=plan.scenarios[cell.scenario].name,
        account=account.name,
        leverage=plan.simulation.leverage[cell.leverage],
        path=path,
        draw=draw,
        legs=tuple(legs),
        pools=pools,
        times=times,
        regimes=tuple(regimes[number] for number in journal.regime),
        marks=prices[:, columns],
        own_marks=unmoved[:, columns],
        sizes=sizes,
        orders=np.vstack([np.zeros(len(legs)), journal.order[:, places]]),
        equity=equity,
        haircuts=haircuts,
        maintenance=maintenance,
        initial=initial[1],
        events=tell_events(written, story),
        untouched={
            name: int(found[0]) if len(found) else None for name, found in zip(MARK_NAMES, met, strict=True)
        },
        breached=int(breached.min()) if len(breached) else None,
        bridge=bridge,
        counted=counted,
    )


def _require(
    book: Book,
    legs: list[Leg],
    kinked: list[bool],
    numbers: list[int],
    pools: int,
    sizes: Floats,
    prices: Floats,
    mark: int,
) -> tuple[Floats, Floats]:
    """Haircuts and margin required at a mark, (T + 1, Y) each, by the law of `kernels.estate.require`."""
    found = np.zeros((2, len(sizes), pools))
    for w, (leg, n) in enumerate(zip(legs, numbers, strict=True)):
        at = np.abs(sizes[:, w] / book.size[n]) * prices[:, book.asset[n]]
        required = book.requirement[mark, n] * at
        if kinked[w]:
            required += [lift_at(book.kinks, mark, n, value) if value > 0 else 0.0 for value in at]
        found[int(leg.is_position), :, leg.pool] += required
    return found[0], found[1]


def _profit(sizes: Floats, marks: Floats, written: Floats, places: list[int]) -> float:
    """Of legs at marks: what they are worth at the end, less at `as_of`, less what trades put in.

    From sizes, marks and trades alone, and not from any balance, so that the bridge proves something.
    """
    profit = float((sizes[-1] * marks[-1]).sum() - (sizes[0] * marks[0]).sum())
    for _, _, event, which, quantity, price, paid in written:
        if int(event) in (FILLED, LIQUIDATED, DELEVERAGED, COUNTERED) and int(which) in places:
            # closed against the other side at another price than its mark: what that is worth others pay
            mark = price + paid / quantity if event in (DELEVERAGED, COUNTERED) else price
            profit -= quantity * mark
    return profit
