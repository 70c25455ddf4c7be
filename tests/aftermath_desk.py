"""What a desk does at closes, from docs/after-the-breach.md: policies in their order, rungs from the top."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pipeline.plan import Account
from tests.aftermath_estate import Estate, Held, Prices


@dataclass
class Row:
    """A policy, or one rung of a ladder. `due`: the step in which it acts, None with nothing under way."""

    number: int
    policy: Any
    below: float = math.nan
    close: float = 1.0
    due: int | None = None
    done: bool = False
    left: float = 0.0
    sent: float = 0.0


@dataclass
class Desk:
    """The policies of an account for which somebody is there, and the chain they act on."""

    rows: list[Row]
    step: timedelta
    gas_cost: float
    fee: float
    gas: list[float] = field(default_factory=list)
    gas_delay: list[int] = field(default_factory=list)

    def receive(self, estate: Estate, prices: Prices) -> None:
        """Top-ups under way arrive."""
        for row in self.rows:
            if row.policy.kind == "top_up" and row.due is not None and row.due <= estate.step:
                row.due = None
                self._act(estate, row, prices)

    def go_on(self, estate: Estate, prices: Prices) -> None:
        """Orders not yet filled are, as far as the book goes."""
        for h in estate.by_pool():
            self._fill(estate, h, prices)

    def act(self, estate: Estate, prices: Prices) -> None:
        """Each policy: what is due, or else what it sees."""
        for row in self.rows:
            if row.due is not None and row.due <= estate.step:
                row.due = None
                self._act(estate, row, prices)
            elif row.due is None and not row.done and _sees(estate, row, prices):
                row.done = row.policy.kind not in ("top_up", "rebalance", "isolate")
                if row.policy.kind == "top_up":
                    row.sent = min(row.policy.amount, row.left)
                    row.left -= row.sent
                delay = math.ceil(row.policy.delay / self.step) + self.gas_delay[estate.step]
                if delay:
                    row.due = estate.step + delay
                    estate.tell("seen", row.number, money=row.sent)
                else:
                    self._act(estate, row, prices)

    def _act(self, estate: Estate, row: Row, prices: Prices) -> None:
        if row.policy.kind == "top_up":
            ratios = [estate.ratio(pool, prices) for pool in range(len(estate.cash))]
            pool = ratios.index(min(ratios))
            others = [ratio for i, ratio in enumerate(ratios) if i != pool and ratio < math.inf]
            estate.unsure |= any(abs(ratio - ratios[pool]) < 1e-9 * max(1.0, abs(ratio)) for ratio in others)
            estate.cash[pool] += row.sent
            estate.put_in += row.sent
            estate.tell("top_up", row.number, pool, money=row.sent)
            row.sent = 0.0
            self._pay_gas(estate, row)
            return
        if row.policy.kind == "isolate":
            self._move_apart(estate, row, prices)
            return
        chosen = [h for h in estate.by_pool() if h.size != 0.0 and _is_about(row, h)]
        if row.policy.kind == "rebalance":
            equity, gross = estate.total(prices), estate.gross(prices)
            if equity <= 0.0:
                return
            for h in chosen:
                h.order = (row.policy.target * equity / gross - 1.0) * h.size
        else:
            for h in chosen:
                order = h.order - row.close * h.size
                h.order = -h.size if abs(order) > abs(h.size) and order * h.size < 0.0 else order
        if chosen:
            self._pay_gas(estate, row)
        for h in chosen:
            self._fill(estate, h, prices)

    def _move_apart(self, estate: Estate, row: Row, prices: Prices) -> None:
        """The position goes at its mark, and what the shared pool can spare goes with it."""
        moved = [h for h in estate.of_pool(0) if h.market == row.policy.market]
        own = sum(estate.required(h, prices[h.column]) for h in moved)
        left = estate.equity(0, prices) - estate.withheld(0, prices) - (estate.margin(0, prices) - own)
        money = min(row.policy.collateral, left - self.gas_cost * self.gas[estate.step])
        if own == 0.0 or estate.is_less(money, own, estate.scale[0]):
            return
        isolating = [i for i, policy in enumerate(estate.account.policies) if policy.kind == "isolate"]
        pool = len(estate.cash) - len(isolating) + isolating.index(row.number)
        for h in moved:
            worth = h.size * prices[h.column]
            estate.cash[0] += worth
            estate.cash[pool] -= worth
            h.pool = pool
            estate.tell("moved", h.number, h.size, prices[h.column])
        estate.cash[0] -= money
        estate.cash[pool] += money
        row.done = True
        self._pay_gas(estate, row)

    def _pay_gas(self, estate: Estate, row: Row) -> None:
        paid = self.gas_cost * self.gas[estate.step]
        estate.cash[0] -= paid
        estate.gas += paid
        estate.fired = True
        estate.tell("acted", row.number, money=paid)

    def _fill(self, estate: Estate, h: Held, prices: Prices) -> None:
        if h.size == 0.0:
            h.order = 0.0  # closed by someone else
        if h.order * h.size < 0.0 and abs(h.order) > abs(h.size):
            h.order = -h.size
        if h.order == 0.0:
            return
        mark = estate.quote(h, prices)
        quantity = estate.takes(h, h.order, mark)
        if quantity <= 0.0:
            return
        signed = math.copysign(quantity, h.order)
        h.order = 0.0 if quantity == abs(h.order) else h.order - signed
        mean = estate.trade(h, signed, mark)
        fee = self.fee * quantity * mark
        estate.pay(h, fee)
        estate.fees += fee
        estate.tell("order", h.number, signed, mean, fee)


def rows_of(account: Account, attends: Callable[[int], float]) -> list[Row]:
    """The rows of the policies for which somebody is there."""
    rows = []
    for number, policy in enumerate(account.policies):
        if attends(number) >= policy.probability:
            continue
        if policy.kind == "ladder":
            rungs = sorted(policy.rungs, key=lambda rung: -rung.below)
            rows += [Row(number, policy, rung.below, rung.close) for rung in rungs]
        else:
            row = Row(number, policy, getattr(policy, "below", math.nan), getattr(policy, "close", 1.0))
            row.left = getattr(policy, "reserve", 0.0)
            rows.append(row)
    return rows


def _is_about(row: Row, h: Held) -> bool:
    policy = row.policy
    if policy.kind == "ladder":
        return policy.markets is None or h.market in policy.markets
    if policy.kind == "stop":
        # of a long and a short in one market it is about the one that has not reached it at `as_of`
        return policy.market in (None, h.market) and (
            policy.market is None or h.begun * (h.start - policy.price) > 0.0
        )
    if policy.kind == "strategy_cap":
        return bool(h.strategy == policy.strategy)
    return True


def _sees(estate: Estate, row: Row, prices: Prices) -> bool:
    """Whether a policy's trigger holds."""
    policy = row.policy
    if policy.kind == "top_up":
        return row.left > 0.0 and estate.ratio_is_below(row.below, prices)
    if policy.kind in ("ladder", "override"):
        return estate.ratio_is_below(row.below, prices)
    if policy.kind == "stop" and policy.market is not None:
        return any(_is_at_or_worse(estate, h, prices, policy.price) for h in estate.held if _is_about(row, h))
    if policy.kind == "stop":
        before = estate.equity_before
        lost, most = before - estate.total(prices), policy.drawdown * before
        return before > 0.0 and not estate.is_less(lost, most, before + estate.gross_before)
    if policy.kind == "isolate":
        pools = range(len(estate.cash))
        inside = [h for h in estate.of_pool(0) if h.market == policy.market]
        own = sum(estate.required(h, prices[h.column]) for h in inside)
        total = sum(estate.margin(pool, prices) for pool in pools)
        return total > 0.0 and estate.is_less(policy.above * total, own, total)
    if policy.kind == "strategy_cap":
        lost = -sum(h.profit(prices) for h in estate.held if _is_about(row, h))
        return estate.is_less(policy.loss, lost, estate.gross_before)
    equity, gross = estate.total(prices), estate.gross(prices)
    if equity <= 0.0 or gross == 0.0:
        return False
    above = estate.is_less(policy.high * equity, gross, gross)
    return estate.is_less(gross, policy.low * equity, gross) or above


def _is_at_or_worse(estate: Estate, h: Held, prices: Prices, price: float) -> bool:
    if h.size == 0.0:
        return False
    mark = prices[h.column]
    return not (estate.is_less(price, mark, price) if h.size > 0.0 else estate.is_less(mark, price, price))
