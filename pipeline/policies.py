"""What a desk does by itself once its account is in trouble: the policies of a plan's accounts."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.faults import Part, refuse_value
from pipeline.units import Delay, Finite, Name, NonNegative, Positive

Share = Annotated[Finite, Field(gt=0, le=1)]


class _Policy(Part):
    """Seen at closes; `delay` lies between seeing and acting, in whole steps, rounded up.

    On a share `probability` of the paths somebody is there. Levels of `below` are margin ratios of the
    account, the lowest of its pools'; 1 is where the venue liquidates. Money is in the quote currency of the
    account's venue, and the same at every leverage.
    """

    delay: Delay = timedelta(0)
    probability: Share = 1.0


class TopUp(_Policy):
    """Sends `amount`, or what is left of `reserve`, to the pool with the lowest margin ratio.

    When the ratio is below `below` and nothing of its own is under way; what is sent arrives `delay` later.
    """

    kind: Literal["top_up"]
    below: Positive
    amount: Positive
    reserve: Positive


class Rung(Part):
    """Below a margin ratio, close that share of each position as it is then."""

    below: Positive
    close: Share


class Ladder(_Policy):
    """Closes a share of every position, or of those in `markets`, at each rung, from the highest level down.

    Each rung once.
    """

    kind: Literal["ladder"]
    rungs: Annotated[tuple[Rung, ...], Field(min_length=1)]
    markets: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None


class Stop(_Policy):
    """Closes the position in `market` once its mark is at `price` or worse; or all of them, once equity has
    fallen by the share `drawdown` since `as_of`. One of the two, and once."""

    kind: Literal["stop"]
    market: Name | None = None
    price: Positive | None = None
    drawdown: Share | None = None

    @model_validator(mode="after")
    def _check_one_of_two(self) -> Self:
        priced = (self.market is not None, self.price is not None)
        if any(priced) if self.drawdown is not None else not all(priced):
            fix = "give what is missing, or remove what is too much; two stops are two policies"
            raise refuse_value("a stop with `market` and `price`, or with `drawdown` alone", fix)
        return self


class StrategyCap(_Policy):
    """Closes the positions of `strategy` once they have lost more than `loss` since `as_of`, costs and
    funding included."""

    kind: Literal["strategy_cap"]
    strategy: Name
    loss: Positive


class Rebalance(_Policy):
    """Trades every position by the same factor to `target`, once gross notional over equity is outside `low`
    to `high`."""

    kind: Literal["rebalance"]
    target: Positive
    low: NonNegative
    high: Positive


class Override(_Policy):
    """A person who closes the share `close` of everything, once the margin ratio is below `below`."""

    kind: Literal["override"]
    below: Positive
    close: Share


class Isolate(_Policy):
    """Moves the position in `market` from the shared pool to one of its own, with `collateral`, once its
    maintenance margin is above the share `above` of the account's."""

    kind: Literal["isolate"]
    market: Name
    above: Annotated[Finite, Field(gt=0, lt=1)]
    collateral: Positive


Policy = Annotated[
    TopUp | Ladder | Stop | StrategyCap | Rebalance | Override | Isolate,
    Field(discriminator="kind"),
]
