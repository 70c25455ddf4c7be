"""What happens on one path, in words: from the kernel's journal to a list of events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.desks import HALTED, Desks
from kernels.journal import (
    ACTED,
    AT_END,
    AT_START,
    BREACHED,
    COUNTERED,
    DELEVERAGED,
    FILLED,
    LIQUIDATED,
    MOVED,
    PAID_BY_FUND,
    SENT,
    TOPPED_UP,
    WENT_BANKRUPT,
)
from kernels.structs import Floats, Integers, Market
from kernels.trading import cost_of
from pipeline.lower_market import marked_assets, simulated_assets
from pipeline.lower_policies import count_whole_steps
from pipeline.plan import Account, Plan
from pipeline.policies import Isolate, Ladder, Override, Policy, Rebalance, Stop, StrategyCap, TopUp
from pipeline.units import format_duration
from pipeline.wording import cents, money, percent, price, size

SMALL = 5e-3  # money below half a cent is not told
UNMOVED = 1e-9  # a share of a mark: less is rounding
ROUNDING = 1e-12  # of factors on prices


@dataclass(frozen=True)
class Event:
    """One thing that happened, in words and figures. when: at the step's start, within it, at its close.

    quantity is bought, or sold below zero, at `price`; money in quote currency, by what it is. A figure that
    does not belong is None.
    """

    step: int
    when: str
    kind: str
    words: str
    subject: str | None = None
    quantity: float | None = None
    price: float | None = None
    money: dict[str, float] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Plain JSON-able data."""
        return asdict(self)


class SharedMarket(NamedTuple):
    """What an account has of a market that it shares with the book: its number in the desks, the share of a
    step's moves that stays, slippage of its orders (T,), marks (T + 1, legs in order), and what they would be
    if no order moved them."""

    number: int
    lasting: float
    slipped: Floats
    marks: Floats
    own_marks: Floats


class Story(NamedTuple):
    """What the journal's numbers mean. T steps.

    cell: scenario and account of the plan. legs: name and market by their place in the kernel. gas, changed
    (T,): paid, and what the scenario made of cash. orders (T, places) after each step.
    """

    plan: Plan
    cell: tuple[int, int]
    market: Market
    desks: Desks
    legs: dict[int, tuple[str, str]]
    pools: tuple[str, ...]
    times: NDArray[np.datetime64]
    regimes: Integers
    gas: Floats
    changed: Floats
    orders: Floats
    shared: SharedMarket | None = None

    @property
    def account(self) -> Account:
        """The account that it is about."""
        return self.plan.accounts[self.cell[1]]


def tell_events(written: Floats, story: Story) -> tuple[Event, ...]:
    """All that happened, in order: of each step what the scenario does, what the book that nobody touches
    meets, then desk and venue."""
    steps = len(story.regimes)
    by_step: list[list[Event]] = [[] for _ in range(steps)]
    for event in _tell_scenario(story):
        by_step[event.step].append(event)
    for step, _, kind, pool, *_ in written:
        if int(kind) == BREACHED:
            by_step[int(step)].append(_tell_breach(story, int(step), int(pool)))
    for event in (*_tell_pushes(story), *_tell_written(written, story)):
        by_step[event.step].append(event)
    for step in np.flatnonzero(story.gas > 0):
        paid = float(story.gas[step])
        said = f"gas for what the desk does: {cents(paid)}"
        by_step[step].append(Event(int(step), "close", "gas", said, money={"gas": paid}))
    return tuple(event for events in by_step for event in events)


def _tell_breach(story: Story, step: int, pool: int) -> Event:
    which = f" in {story.pools[pool]}" if len(story.pools) > 1 else ""
    words = f"the book that nobody touches meets the venue's liquidation condition{which}"
    return Event(step, "within", "untouched_liquidation", words, story.pools[pool])


def _tell_scenario(story: Story) -> Iterator[Event]:
    """Shocks, events, changes of cash, halts and views that are late."""
    scenario, market = story.cell[0], story.market
    names = (*simulated_assets(story.plan), *(f"{name} perpetual" for name in marked_assets(story.plan)))
    timeline = story.desks.timeline
    sees = timeline.sees[scenario]
    before = 0  # how many closes the venue was behind
    off_before = np.ones(len(market.spot))  # the venue's prices over the market's
    for step in range(len(sees)):
        outlier = timeline.outlier[scenario, step]
        off = timeline.outliers[outlier] if outlier >= 0 else np.ones(len(market.spot))
        if (shock := market.shock[scenario, step]) >= 0:
            moves = _list_moves(names, market.shocks[shock] * off_before / off)
            if moves:
                yield Event(step, "start", "shock", f"the scenario moves prices: {moves}")
        if (off != off_before).any():
            moves = _list_moves(names, off)
            words = (
                f"the venue's prices are off: {moves}"
                if moves
                else "the venue's prices are the market's again"
            )
            yield Event(step, "start", "oracle", words)
        off_before = off
        if market.event[scenario, step] >= 0:
            yield Event(step, "start", "scenario_event", "the scenario's event strikes")
        if abs(change := float(story.changed[step])) >= SMALL:
            words = f"the scenario changes cash by {cents(change)}"
            yield Event(step, "start", "cash", words, money={"cash": change})
        behind = -1 if sees[step] == HALTED else step - int(sees[step])
        if behind < 0 <= before:
            yield Event(step, "start", "halt", "trading is halted: nobody acts, nobody is liquidated")
        elif before < 0 <= behind:
            yield Event(step, "close", "halt", "the halt is over")
        if behind > 0 >= before:
            seen = str(story.times[sees[step] + 1]).replace("T", " ")[:16]
            yield Event(step, "start", "oracle", f"the venue judges by earlier prices, now those of {seen}")
        elif before > 0 >= behind:
            yield Event(step, "close", "oracle", "the venue has the prices of the moment again")
        before = behind


def _tell_pushes(story: Story) -> Iterator[Event]:
    """Where orders in the book move marks: by how much in the step, and how far off the path they are.

    Of a move within a step the share `lasting` stays.
    """
    shared = story.shared
    if shared is None:
        return
    markets = {market: column for column, (_, market) in enumerate(story.legs.values())}
    for market, column in markets.items():
        apart = shared.marks[1:, column] / shared.own_marks[1:, column]
        stays = 1.0
        for step, off in enumerate(apart):
            move = float(off / stays - 1.0)
            stays *= 1.0 + shared.lasting * move
            if abs(move) < UNMOVED:
                continue
            way, side = ("down", "below") if move < 0 else ("up", "above")
            mark = float(shared.marks[step + 1, column])
            words = (
                f"orders in the book push {market} {way} by {_part(abs(move))}, to {price(mark)}: "
                f"{_part(abs(float(off) - 1.0))} {side if (off < 1.0) == (move < 0) else 'off'} its own path"
            )
            yield Event(step, "close", "pushed", words, market, price=mark)


def _part(share: float) -> str:
    """A share that was measured, in percent: two decimals, or two digits where it is small."""
    return f"{100 * share:.2f} %" if share >= 1e-4 else f"{100 * share:.2g} %"


def _list_moves(names: Sequence[str], factors: Floats) -> str:
    """Factors on prices but for those that are one, to rounding: "BTC −25 %, ETH −10 %"."""
    moved = [
        f"{name} {percent(factor - 1.0)}".replace("-", "−")
        for name, factor in zip(names, factors, strict=False)
        if abs(factor - 1.0) > ROUNDING
    ]
    return ", ".join(moved)


def _tell_written(written: Floats, story: Story) -> Iterator[Event]:
    """What desk and venue did. Slippage of an order: what all of its market cost in the step, less before."""
    policies = list(describe_policies(story))
    taken: dict[tuple[int, int], float] = {}
    if story.shared is not None:
        written = np.hstack([written, _split_slippage(written, story, story.shared)[:, np.newaxis]])
    for step, instant, kind, which, quantity, at, paid, *split in written:
        step, which = int(step), int(which)
        when = {AT_START: "start", AT_END: "close"}.get(int(instant), "within")
        match int(kind):
            case k if k in (FILLED, LIQUIDATED):
                slippage = split[0] if split else _slip(story, taken, step, which, abs(quantity) * at)
                yield _tell_trade(story, k, step, when, which, quantity, at, paid, slippage)
            case k if k == DELEVERAGED:
                subject = story.legs[which][0]
                ends = "others pay" if paid >= 0 else "others gain"
                words = (
                    f"closed against the other side (ADL): {size(abs(quantity))} {subject} at {price(at)}, "
                    f"where equity is used up; {ends} {cents(abs(paid))}"
                )
                yield Event(step, when, "deleveraged", words, subject, quantity, at, {"others": paid})
            case k if k == COUNTERED:
                subject = story.legs[which][0]
                verb = "buys" if quantity > 0 else "sells"
                ends = f"costs {cents(-paid)}" if paid <= 0 else f"brings {cents(paid)}"
                words = (
                    f"the venue takes it against a bankrupt account (ADL): {verb} {size(abs(quantity))} "
                    f"{subject} at {price(at)}, which {ends} against the mark"
                )
                yield Event(step, when, "countered", words, subject, quantity, at, {"others": paid})
            case k if k == PAID_BY_FUND:
                words = f"nothing is left: the insurance fund pays {cents(paid)}"
                yield Event(step, when, "fund", words, money={"others": paid})
            case k if k == WENT_BANKRUPT:
                where = f" in {story.pools[which]}" if len(story.pools) > 1 else ""
                words = f"equity{where} is below zero: {cents(paid)}"
                yield Event(step, when, "bankrupt", words, story.pools[which], money={"equity": paid})
            case k if k == SENT:
                slow = int(story.desks.timeline.gas_delay[story.cell[0], step])
                delay = policies[which].delay + slow * story.plan.simulation.step
                ends = "arrives at once" if not delay else f"arrives after {format_duration(delay)}"
                words = f"{policies[which].words}: {cents(paid)} sent, {ends}"
                yield Event(step, when, "sent", words, money={"sent": paid})
            case k if k == TOPPED_UP:
                yield Event(step, when, "top_up", f"top-up of {cents(paid)} arrives", money={"top_up": paid})
            case k if k == MOVED:
                subject = story.legs[which][0].removesuffix(" moved")
                goes = f"{size(abs(quantity))} {subject} at {price(at)}"
                words = f"{goes} and {cents(paid)} of cash go to a pool of their own"
                yield Event(step, when, "moved", words, subject, None, at, {"moved": paid})
            case k if k == ACTED:
                delay = policies[which].delay
                late = f", after its delay of {format_duration(delay)}" if delay else ""
                yield Event(step, when, "policy", policies[which].words + late)


def _tell_trade(
    story: Story,
    kind: int,
    step: int,
    when: str,
    which: int,
    quantity: float,
    at: float,
    paid: float,
    slippage: float,
) -> Event:
    subject = story.legs[which][0]
    verb = "buys" if quantity > 0 else "sells"
    traded = f"{verb} {size(abs(quantity))} {subject} at {price(at)}"
    costs = {"slippage": slippage}
    if kind == FILLED:
        fee = paid - slippage
        waits = abs(story.orders[step, which])
        later = f"; {size(waits)} wait for the next close" if waits > 0 else ""
        slipped = f", slippage {cents(slippage)}" if slippage >= SMALL else ""
        words = f"the desk {traded}{slipped}, fee {cents(fee)}{later}"
        return Event(step, when, "trade", words, subject, quantity, at, costs | {"fee": fee})
    words = f"the venue {traded}" + tell_costs(slippage, max(paid, 0.0), max(-paid, 0.0))
    costs |= {"liquidation_fee": paid} if paid >= 0 else {"others": -paid}
    return Event(step, when, "liquidated", words, subject, quantity, at, costs)


def tell_costs(slippage: float, fee: float, others: float) -> str:
    """What a forced close has cost, as the end of its sentence; nothing of what is below half a cent."""
    parts = ((", slippage", slippage), ("; fee to the insurance fund", fee))
    text = "".join(f"{name} {cents(value)}" for name, value in parts if value >= SMALL)
    return text + (f"; the insurance fund pays {cents(others)}" if others >= SMALL else "")


def _slip(story: Story, taken: dict[tuple[int, int], float], step: int, which: int, notional: float) -> float:
    """What the book took for an order, after all that was traded in the same market within the step."""
    execution, held = story.desks.execution, story.desks.holdings
    pool = int(np.searchsorted(held.place, which, side="right")) - 1
    n = int(held.start[held.row[pool, 0]]) + which - int(held.place[pool])
    market = int(held.market[n])
    depth = execution.depth[market] * execution.regime_depth[story.regimes[step], market]
    depth *= execution.depth_factor[story.cell[0], step, market]
    so_far = taken.get((step, market), 0.0)
    taken[step, market] = so_far + notional
    law = (float(depth), float(execution.impact[market]), float(execution.power[market]))
    return float(cost_of(so_far + notional, *law) - cost_of(so_far, *law))


def _split_slippage(written: Floats, story: Story, shared: SharedMarket) -> Floats:
    """(events,) slippage of each order where accounts share the books, so that it depends on the others' too.

    Of the desk's own orders it is what they cost less the taker fee; what the venue's orders slipped together
    in a step is split by their notional.
    """
    fee = float(story.desks.execution.fee[shared.number])
    notional = np.abs(written[:, 4]) * written[:, 5]
    kinds, steps = written[:, 2], written[:, 0].astype(np.int64)
    found = np.where(kinds == FILLED, written[:, 6] - fee * notional, 0.0)
    left = shared.slipped - np.bincount(steps, found, len(shared.slipped))
    forced = np.where(kinds == LIQUIDATED, notional, 0.0)
    total = np.bincount(steps, forced, len(shared.slipped))[steps]
    return found + np.divide(forced * left[steps], total, out=np.zeros_like(found), where=total > 0)


class Described(NamedTuple):
    """A row of the kernel's policies in words, and what passes from seeing to acting."""

    words: str
    delay: timedelta


def describe_policies(story: Story) -> Iterator[Described]:
    """The rows of `kernels.desks.Policies` of the account, in their order."""
    step = story.plan.simulation.step
    for policy in story.account.policies:
        delay = count_whole_steps(policy.delay, step) * step
        for words in _describe(policy):
            yield Described(words, delay)


def _describe(policy: Policy) -> Iterator[str]:
    match policy:
        case TopUp():
            yield f"top-up, margin ratio below {policy.below:g}"
        case Ladder():
            what = "every position" if policy.markets is None else " and ".join(policy.markets)
            for rung in policy.rungs:
                yield f"ladder, rung below {rung.below:g}: closes {percent(rung.close)} of {what}"
        case Stop() if policy.drawdown is not None:
            yield f"stop, {percent(policy.drawdown)} of equity lost: closes everything"
        case Stop():
            assert policy.price is not None
            yield f"stop, {policy.market} at {price(policy.price)} or worse: closes it"
        case StrategyCap():
            yield f"cap of {policy.strategy}, more than {money(policy.loss)} lost: closes its positions"
        case Rebalance():
            outside = f"leverage outside {policy.low:g} to {policy.high:g}"
            yield f"rebalance, {outside}: trades every position to {policy.target:g}"
        case Override():
            yield f"override, margin ratio below {policy.below:g}: closes {percent(policy.close)} of all"
        case Isolate():
            share = f"{policy.market} above {percent(policy.above)} of maintenance margin"
            yield f"isolate, {share}: moves it to a pool of its own"
