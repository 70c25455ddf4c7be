"""The caps of an account against its book as it stands at `as_of`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import fsum
from typing import NamedTuple

from pipeline.margin_now import carried, margin_of
from pipeline.plan import Account, Plan
from pipeline.pools import Holding, pools_of
from pipeline.wording import multiple, share

LEVERAGE = "leverage"
ROUNDING = 1e-12


class CapNow(NamedTuple):
    """A cap, and what there is: shares and leverage as numbers, infinite where no equity carries anything."""

    what: str
    cap: float
    value: float

    @property
    def is_broken(self) -> bool:
        """Above it, by more than rounding."""
        return self.value > self.cap * (1.0 + ROUNDING)

    @property
    def over(self) -> float:
        """By how much it is broken; not above zero where it is kept."""
        return self.value - self.cap

    def figure(self, value: float) -> str:
        """A value of it, as it is read: "4.13x" of leverage, "28.71 %" of a share."""
        return multiple(value) if self.what == LEVERAGE else share(value)


def caps_now(plan: Plan, account: Account) -> tuple[CapNow, ...]:
    """Every cap of an account at the plan's prices: positions in the plan's order, leverage, buckets."""
    return tuple(_judge(plan, account))


def _judge(plan: Plan, account: Account) -> Iterator[CapNow]:
    caps = account.caps
    if caps is None:
        return
    pools, prices = pools_of(plan, account), plan.prices
    margin = margin_of(pools, prices)
    held = [holding for pool in pools for holding in pool.holdings if holding.size]
    if caps.concentration is not None:
        for holding in held:
            share = carried(_margin(holding, prices), margin.equity)
            yield CapNow(f"concentration of {holding.position.market}", caps.concentration, share)
    if caps.leverage is not None:
        yield CapNow(LEVERAGE, caps.leverage, margin.leverage)
    for name, bucket in caps.buckets.items():
        inside = [holding for holding in held if holding.position.bucket == name]
        if bucket.notional is not None:
            yield CapNow(
                f"{name}: share of notional", bucket.notional, _share(_notional, inside, held, prices)
            )
        if bucket.margin is not None:
            yield CapNow(
                f"{name}: share of initial margin", bucket.margin, _share(_margin, inside, held, prices)
            )


def _margin(holding: Holding, prices: dict[str, float]) -> float:
    return holding.initial.at(prices[holding.asset])


def _notional(holding: Holding, prices: dict[str, float]) -> float:
    return abs(holding.size) * prices[holding.asset]


def _share(
    measure: Callable[[Holding, dict[str, float]], float],
    inside: list[Holding],
    held: list[Holding],
    prices: dict[str, float],
) -> float:
    """Of all that is held; 0 where nothing is."""
    whole = fsum(measure(holding, prices) for holding in held)
    return fsum(measure(holding, prices) for holding in inside) / whole if whole else 0.0
