"""What a venue does to an account that it finds liquidatable, from docs/after-the-breach.md."""

from __future__ import annotations

import math
from collections.abc import Callable

from pipeline.venues import Liquidation, TieredLiquidation
from tests.aftermath_estate import ROUNDING, Estate, Held, Prices


def look(estate: Estate, seen: Prices, prices: Prices, most: int, pick: Callable[[], float]) -> None:
    """One instant: pool by pool, again and again, by prices seen, filling at the market's.

    `pick` is the uniform of each position that dYdX draws.
    """
    rules = estate.plan.venue_of(estate.account).liquidation
    for pool in range(len(estate.cash)):
        closed = False
        for _ in range(most):
            if not estate.is_liquidatable(pool, seen):
                break
            estate.hit = estate.hit or (estate.step, estate.instant)
            breach = estate.breach_of(pool, prices)
            if isinstance(rules, Liquidation):
                done = _draw_and_close(estate, rules, pool, seen, prices, pick())
            else:
                assert isinstance(rules, TieredLiquidation)
                close = _close_all if rules.style == "full" else _close_worst
                done = close(estate, rules, pool, seen, prices)
                done = done or estate.close_dry(rules.style, pool, seen, prices)
            if not done:
                break
            if estate.breach is None:
                estate.breach = breach
            closed = estate.was_forced = True
        if closed and isinstance(rules, TieredLiquidation) and not estate.of_pool(pool):
            equity = estate.equity(pool, seen)
            if estate.is_below(equity, pool):
                _draw_on_fund(estate, pool, min(estate.ask_fund(-equity), -equity))
    for pool in range(len(estate.cash)):
        if any(pool in (h.pool, h.home) for h in estate.held):
            estate.was_bankrupt |= estate.is_below(estate.equity(pool, seen), pool)


def _draw_and_close(
    estate: Estate, rules: Liquidation, pool: int, seen: Prices, prices: Prices, uniform: float
) -> bool:
    """One look of dydx_v4; whether something was closed."""
    held = estate.of_pool(pool)
    h = held[int(uniform * len(held))]
    oracle, mark = seen[h.column], estate.quote(h, prices)
    side = math.copysign(1.0, h.size)
    notional, equity = abs(h.size) * oracle, estate.equity(pool, seen)
    own, margin = estate.required(h, oracle), estate.margin(pool, seen)
    least, portion = rules.min_position_notional_liquidated, rules.max_position_portion_liquidated
    cap = min(max(min(least, notional), portion * notional), rules.max_notional_liquidated_per_block)
    whole = not estate.is_less(cap, notional, 0.0)
    if cap != notional:
        estate.unsure |= abs(cap - notional) < ROUNDING * notional
    quantity = abs(h.size) if whole else cap / oracle
    rating = min(max(rules.bankruptcy_adjustment * (1.0 - equity / margin), 0.0), 1.0)
    worst = oracle * (1.0 - side * rating * rules.spread_to_maintenance_margin_ratio * own / notional)
    bankrupt = oracle - equity * (own / margin) / h.size
    filled = min(quantity, takes_down_to(estate, h, side, mark, worst) / mark)
    if filled > 0.0:
        mean = mark - side * estate.cost(h, -side, filled * mark) / filled
        gain = side * filled * (mean - bankrupt)
        payable = min(estate.ask_fund(-gain), rules.max_insurance_lost_per_block)
        if gain < 0.0 and payable < math.inf:
            estate.unsure |= abs(-gain - payable) < ROUNDING * (payable + filled * mark)
        if gain >= -payable:
            estate.trade(h, -side * filled, mark)
            estate.forced += filled * mark
            fee = min(gain, rules.max_liquidation_fee * filled * mean)
            estate.pay_fund(fee)
            estate.pay(h, fee)
            estate.liquidation_fees += max(fee, 0.0)
            estate.others += max(-fee, 0.0)
            estate.was_bankrupt |= fee < 0.0
            estate.tell("liquidation", h.number, -side * filled, mean, fee)
            return True
    if not estate.is_below(equity, pool):
        return False
    estate.deleverage(h, bankrupt, prices[h.column])
    return True


def takes_down_to(estate: Estate, h: Held, side: float, mark: float, worst: float) -> float:
    """Notional that the book takes before its marginal price is worse than `worst`."""
    allowed = side * (mark - worst) / mark
    if mark != worst and abs(allowed) < ROUNDING:
        # a pool just below its requirement has just this little; then the size of the fill is small as well
        estate.unsure |= allowed < 0.0 or h.market not in estate.depth
    if allowed < 0.0:
        return 0.0
    execution, room = estate.market(h).execution, estate.room(h, -side)
    if h.market not in estate.depth or execution is None or execution.impact == 0.0:
        return room
    power = 0.5 if execution.law == "square_root" else 1.0
    depth, used = estate.depth[h.market], estate.used(h, -side)
    last = depth * (allowed / (execution.impact * (1.0 + power))) ** (1.0 / power)
    return min(estate.beyond_dust(last - used, depth), room)


def _close_all(estate: Estate, rules: TieredLiquidation, pool: int, seen: Prices, prices: Prices) -> bool:
    """Every position ordered closed, in the book's order; whether something was."""
    closed = [h for h in estate.of_pool(pool) if _order_closed(estate, rules, h, prices)]
    return bool(closed)


def _close_worst(estate: Estate, rules: TieredLiquidation, pool: int, seen: Prices, prices: Prices) -> bool:
    """The position that has lost most since entry ordered closed; one that finds no room is passed over."""
    losses = {h.number: h.size * (seen[h.column] - h.entry) for h in estate.of_pool(pool)}
    for h in sorted(estate.of_pool(pool), key=lambda h: losses[h.number]):
        others = [loss for number, loss in losses.items() if number != h.number]
        estate.unsure |= any(abs(loss - losses[h.number]) < ROUNDING * estate.scale[pool] for loss in others)
        if _order_closed(estate, rules, h, prices):
            return True
    return False


def _order_closed(estate: Estate, rules: TieredLiquidation, h: Held, prices: Prices) -> bool:
    mark, side = estate.quote(h, prices), math.copysign(1.0, h.size)
    quantity = estate.takes(h, -h.size, mark)
    if quantity <= 0.0:
        return False
    mean = estate.trade(h, -side * quantity, mark)
    fee = rules.fee * quantity * mark
    estate.pay(h, fee)
    estate.pay_fund(fee)
    estate.liquidation_fees += fee
    estate.forced += quantity * mark
    estate.tell("liquidation", h.number, -side * quantity, mean, fee)
    return True


def _draw_on_fund(estate: Estate, pool: int, money: float) -> None:
    if money > 0.0:
        estate.pay_fund(-money)
        estate.cash[pool] += money
        estate.others += money
        estate.was_bankrupt = True
        estate.tell("fund", pool, money=money)
