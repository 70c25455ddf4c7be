"""Margin at an instant, written again from the formulae: each leverage by itself, each pool by itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tests.kernels.problems import Interest, Pool, Position, Problem

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

MARKS = 3
MARGIN_CALL, LIQUIDATION, BANKRUPTCY = range(MARKS)


def requirement(position: Position, mark: int, price: float, leverages: Floats) -> Floats:
    """Margin that a position needs at each leverage; nothing is needed not to be bankrupt.

    Brackets: the notional's is looked up. Initial margin is its rate on the whole notional, maintenance its
    rate on the whole less an amount (`cum`) that makes it continuous from bracket to bracket. Open interest:
    from its lower to its upper notional the fraction rises in a line from base to 1 (dYdX v4's
    `GetAdjustedInitialMarginPpm`). The account's own choice is a least fraction. Kinks: as they say, times
    leverage.
    """
    notional = leverages * abs(position.size) * price
    if mark == BANKRUPTCY:
        return np.zeros_like(notional)
    if position.brackets:
        lower_ends = [bracket.above for bracket in position.brackets]
        k = np.searchsorted(lower_ends, notional, side="left") - 1
        if mark == MARGIN_CALL:
            return notional * np.maximum([b.initial for b in position.brackets], position.chosen)[k]
        rates = np.array([bracket.maintenance for bracket in position.brackets])
        cum = np.cumsum(lower_ends * np.diff(rates, prepend=0.0))
        return np.asarray(notional * rates[k] - cum[k])
    fraction = position.maintenance
    if mark == MARGIN_CALL:
        fraction = max(_scaled(position.initial, position.interest, price), position.chosen)
    extra = 0.0
    for floor, jump, rise, curve in position.kinks[mark]:
        if price > floor:
            extra += jump + rise * (price - floor) + curve * (price - floor) ** 2
    return notional * fraction + leverages * extra


def slope(position: Position, mark: int, price: float, leverages: Floats) -> Floats:
    """How fast a requirement grows with its price, at each leverage."""
    gross = leverages * abs(position.size)
    if mark == BANKRUPTCY:
        return np.zeros_like(gross)
    if position.brackets:
        k = np.searchsorted([b.above for b in position.brackets], gross * price, side="left") - 1
        if mark == MARGIN_CALL:
            return gross * np.maximum([b.initial for b in position.brackets], position.chosen)[k]
        return np.asarray(gross * np.array([b.maintenance for b in position.brackets])[k])
    fraction, climb = position.maintenance, 0.0
    if mark == MARGIN_CALL:
        scaled = _scaled(position.initial, position.interest, price)
        fraction = max(scaled, position.chosen)
        if position.interest is not None and position.initial < scaled < 1.0 and scaled > position.chosen:
            coins, lower, upper = position.interest
            climb = (1.0 - position.initial) * coins / (upper - lower)
    extra = 0.0
    for floor, _, rise, curve in position.kinks[mark]:
        if price > floor:
            extra += rise + 2.0 * curve * (price - floor)
    return gross * (fraction + price * climb) + leverages * extra


def _scaled(base: float, interest: Interest | None, price: float) -> float:
    """The initial margin fraction at an open interest."""
    if interest is None:
        return base
    coins, lower, upper = interest
    return base + (1.0 - base) * min(max((coins * price - lower) / (upper - lower), 0.0), 1.0)


def edges(position: Position, mark: int, leverages: Floats) -> list[Floats]:
    """Prices, by leverage, above which a requirement has another formula: of brackets and plain kinks."""
    if not position.size or mark == BANKRUPTCY:
        return []
    gross = leverages * abs(position.size)
    if position.brackets:
        return [bracket.above / gross for bracket in position.brackets[1:]]
    return [np.full(leverages.size, kink.floor) for kink in position.kinks[mark]]


def leaps(pool: Pool) -> bool:
    """Whether some initial margin jumps at an edge, and no requirement curves."""
    held = [p for p in pool.positions if p.size]
    if any(p.interest is not None or any(k.curve for kinks in p.kinks for k in kinks) for p in held):
        return False
    return any(
        len({max(bracket.initial, p.chosen) for bracket in p.brackets}) > 1
        or any(k.jump for k in p.kinks[MARGIN_CALL])
        for p in held
    )


def near_edge(pool: Pool, price: Floats, leverages: Floats, tolerance: float) -> Flags:
    """(leverage,): whether some requirement changes its formula within that share of a price."""
    near = np.zeros(leverages.size, np.bool_)
    for p in pool.positions:
        here = price[p.asset]
        found = edges(p, MARGIN_CALL, leverages) + edges(p, LIQUIDATION, leverages)
        if p.interest is not None:
            coins, lower, upper = p.interest
            chosen = (max(p.chosen, p.initial) - p.initial) / (1.0 - p.initial)
            found.append(np.array([(lower + chosen * (upper - lower)) / coins]))
            found.append(np.array([upper / coins]))
        for edge in found:
            near |= np.abs(here - edge) < tolerance * here
    return near


def hold(problem: Problem, pool: Pool, price: Floats, paid: float, leverages: Floats) -> Floats:
    """Equity at each leverage, coins in full: leverage scales what positions make from `as_of` on."""
    profit = sum(p.size * (price[p.asset] - problem.spot[p.asset]) for p in pool.positions) - paid
    coins = sum(coin.amount * price[coin.asset] for coin in pool.coins)
    return np.asarray(pool.collateral + coins + leverages * profit)


def excess(problem: Problem, pool: Pool, mark: int, price: Floats, paid: float, leverages: Floats) -> Floats:
    """Equity less haircuts, less what is required, at each leverage: positive or zero is safe.

    Bankruptcy knows no haircut, and what is owed has none.
    """
    value = hold(problem, pool, price, paid, leverages)
    for p in pool.positions:
        value -= requirement(p, mark, float(price[p.asset]), leverages)
    if mark != BANKRUPTCY:
        value -= sum(coin.haircut * max(coin.amount, 0.0) * price[coin.asset] for coin in pool.coins)
    return value


def sensitivity(problem: Problem, pool: Pool, mark: int, price: Floats, leverages: Floats) -> Floats:
    """(leverage, asset): how fast the excess grows with each price, at that price."""
    direction = np.zeros((leverages.size, problem.spot.size))
    for p in pool.positions:
        direction[:, p.asset] += leverages * p.size - slope(p, mark, float(price[p.asset]), leverages)
    for coin in pool.coins:
        withheld = coin.haircut * max(coin.amount, 0.0) if mark != BANKRUPTCY else 0.0
        direction[:, coin.asset] += coin.amount - withheld
    return direction


def can_be_liquidated(pool: Pool) -> bool:
    """It needs a maintenance requirement above zero."""
    return any(p.brackets or p.maintenance > 0.0 for p in pool.positions if p.size != 0.0)
