"""Accounts with every kind of margin: brackets, open interest, coins, several pools, groups."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tests.kernels.problems import (
    FULL,
    Account,
    Bracket,
    Coin,
    Floats,
    Interest,
    Kink,
    Pool,
    Position,
    Problem,
    random_problem,
)

# Edges where a position of some 100, at leverages from 0.5 to 12, comes and goes.
BRACKETS = (
    Bracket(0.0, 0.02, 0.01),
    Bracket(56.0, 0.04, 0.02),
    Bracket(110.0, 0.1, 0.05),
    Bracket(230.0, 0.2, 0.08),
    Bracket(850.0, 0.5, 0.25),
)


def mixed_problem(seed: int, *, only: tuple[str, ...] = (), **features: Any) -> Problem:
    """A random market with the accounts of `mixed_accounts`, or those named only; interpreted, less of it."""
    problem = random_problem(seed, **({} if FULL else {"leverages": (1.0, 7.0)}) | features)
    accounts = mixed_accounts(seed, problem.spot)
    return replace(problem, accounts=tuple(accounts[name] for name in only or accounts))


def mixed_accounts(seed: int, spot: Floats) -> dict[str, Account]:
    """Accounts of some 100 of notional by what is special about them; at least two assets."""
    rng = np.random.default_rng(seed)
    last = spot.size - 1

    def position(asset: int, notional: float, **rest: Any) -> Position:
        return Position(
            asset, notional / spot[asset], rng.uniform(0.03, 0.1), rng.uniform(0.01, 0.03), **rest
        )

    def tiered(asset: int, notional: float, chosen: float = 0.0, interval: int = 0) -> Position:
        return Position(asset, notional / spot[asset], interval=interval, brackets=BRACKETS, chosen=chosen)

    def crowded(asset: int, notional: float, chosen: float = 0.0) -> Position:
        """Open interest whose notional is between its caps about here."""
        interest = Interest(1e6, 0.97e6 * spot[asset], 1.25e6 * spot[asset])
        return position(asset, notional, interest=interest, chosen=chosen)

    def kinked(asset: int, notional: float) -> Position:
        """As no venue has it: a jump in maintenance, a requirement that falls again."""
        gross = abs(notional) / spot[asset]
        kinks = (
            (
                Kink(0.96 * spot[asset], 2.0, 0.08 * gross, 0.0),
                Kink(1.002 * spot[asset], 1.0, 0.0, 0.3 * gross),
            ),
            (
                Kink(0.95 * spot[asset], 1.0, 0.05 * gross, 0.0),
                Kink(1.03 * spot[asset], 0.0, -0.04 * gross, 0.0),
            ),
        )
        return position(asset, notional, kinks=kinks)

    return {
        "plain": Account(90.0, (position(0, 100.0), position(last, -30.0)), group=0),
        "tiered-long": Account(60.0, (tiered(0, 100.0),), group=0),
        "tiered-short": Account(80.0, (tiered(last, -107.0, interval=1),), group=1),
        "tiered-pair": Account(
            75.0, (tiered(0, 120.0, chosen=0.15), position(last, -60.0), tiered(last, 50.0, interval=1))
        ),
        "interest-long": Account(90.0, (crowded(0, 100.0),)),
        "interest-short": Account(100.0, (crowded(last, -90.0, chosen=0.3),), group=1),
        "interest-pair": Account(85.0, (crowded(0, 110.0, chosen=0.2), crowded(last, -50.0))),
        "kinked-short": Account(70.0, (kinked(0, -100.0),)),
        "kinked-pair": Account(65.0, (kinked(0, -70.0), kinked(last, 80.0))),
        "coin-short-itself": Account(  # short it at leverage 1 in full: what the haircut takes is left
            -75.0, (position(0, -100.0),), (Coin(0, 100.0 / spot[0], 0.1),), group=0
        ),
        "coin-owed": Account(
            90.0,
            (tiered(0, 80.0), position(last, -60.0, interval=1)),
            (Coin(0, -30.0 / spot[0], 0.5), Coin(last, 50.0 / spot[last], 0.2)),
        ),
        "three-pools": Account(
            60.0,
            (position(0, 60.0), position(last, 40.0, interval=1)),
            (),
            (Pool(30.0, (position(0, -50.0),)), Pool(40.0, (tiered(last, 90.0),))),
            group=1,
        ),
        "pools-at-no-risk": Account(
            25.0,
            (),
            (Coin(last, 10.0 / spot[last], 0.3),),
            (
                Pool(10.0, (position(0, 30.0)._replace(maintenance=0.0),)),
                Pool(40.0, (position(last, -60.0),)),
            ),
            group=1,
        ),
        "nothing": Account(5.0, (), group=1),
        "leverage-by-leverage": Account(
            80.0, (crowded(0, 60.0), position(last, -60.0)), group=0, by_leverage=True
        ),
    }
