"""The prices of one asset at which a pool becomes liquidatable or bankrupt, all else standing still."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from math import fsum, inf

from pipeline.margin_now import pool_margin
from pipeline.pools import Holding, Pool


def liquidation_moves(pool: Pool, prices: dict[str, float]) -> dict[str, float]:
    """Per asset that the pool has positions on, the least move of its price, up or down, with which the pool
    becomes liquidatable or, where it is liquidatable now, stops being so. Assets without such a move to a
    positive price are left out.

    At price x of an asset, p now, E - MM has become E - MM + G (x - p) - (R(x) - R(p)): G is what the pool
    gains per unit of price, coins after their haircut, and R the maintenance margin of the positions on it.
    That of all others is in MM, and stays. R is continuous, a line with kinks where brackets begin, so the
    excess is solved piece by piece, upwards and downwards from p.
    """
    margin = pool_margin(pool, prices)
    excess = margin.equity - margin.maintenance_margin
    if margin.maintenance_margin <= 0:  # nor at any other price
        return {}
    found: dict[str, float] = {}
    for asset, held in _by_asset(pool):
        mark = prices[asset]
        sizes = [holding.size for holding in held]
        coins = [coin.amount - coin.withheld for coin in pool.coins if coin.asset == asset]
        slope = fsum([*sizes, *coins, *(-holding.maintenance.slope for holding in held)])
        kinks = sorted((kink.floor, kink.rise) for holding in held for kink in holding.maintenance.kinks)
        moves = [_crossing(mark, excess, pieces(mark, slope, kinks)) for pieces in (_below, _above)]
        within = [move for move in moves if 0 < mark + move < inf]
        if within:
            found[asset] = min(within, key=abs)
    return found


def bankruptcy_prices(pool: Pool, prices: dict[str, float]) -> dict[str, float]:
    """Per asset that the pool has positions on, the price at which its equity without haircuts is zero.

    E + G (x - p) = 0, with G the sizes and coins on the asset. Assets without a positive one are left out.
    """
    equity = pool.equity(prices)
    found = {}
    for asset, held in _by_asset(pool):
        coins = [coin.amount for coin in pool.coins if coin.asset == asset]
        gain = fsum([*(holding.size for holding in held), *coins])
        price = prices[asset] - equity / gain if gain != 0 else inf
        if 0 < price < inf:
            found[asset] = price
    return found


def _by_asset(pool: Pool) -> Iterator[tuple[str, list[Holding]]]:
    for asset, held in groupby(sorted(pool.holdings, key=_asset), key=_asset):
        yield asset, list(held)


def _asset(holding: Holding) -> str:
    return holding.asset


def _crossing(start: float, excess: float, pieces: Iterable[tuple[float, float]]) -> float:
    """How far from start, along pieces (end, slope), the excess falls below zero or rises to it; or inf."""
    at, below = start, excess < 0
    for end, slope in pieces:
        if slope == 0:
            at = end
            continue
        ahead = excess + slope * (end - at)
        if (ahead < 0) != below:
            return (at - start) - excess / slope
        at, excess = end, ahead
    return inf


def _above(start: float, slope: float, kinks: list[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    slope = fsum([slope, *(-rise for floor, rise in kinks if floor <= start)])
    for floor, rise in kinks:
        if floor > start:
            yield floor, slope
            slope -= rise
    yield inf, slope


def _below(start: float, slope: float, kinks: list[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    slope = fsum([slope, *(-rise for floor, rise in kinks if floor < start)])
    for floor, rise in reversed(kinks):
        if floor < start:
            yield floor, slope
            slope += rise
    yield 0.0, slope
