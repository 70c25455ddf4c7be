"""The book: accounts, their collateral and positions, and the limits they are held to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from pipeline.caps import Caps
from pipeline.faults import Fault, Part, show, unknown
from pipeline.policies import Policy
from pipeline.units import Duration, Finite, Name, NonNegative, Positive, parse_duration

AFTERWARDS = ("p_forced_liquidation", "p_partial_liquidation", "p_closed_out", "p_managed_bankruptcy")
PROBABILITIES = ("p_liquidation", "p_margin_call", "p_bankruptcy", *AFTERWARDS)
SNAPSHOTS = ("concentration", "leverage", "utilisation")
_LATER_METRICS = frozenset(
    (
        *("reserve", "funding_cost", "max_drawdown", "expected_shortfall", "shortfall", "p_any", "p_all"),
        "cost",
    )
)


class Position(Part):
    """A position: size in base units (negative is short), and the average price it was entered at.

    `margin` is the account's kind unless it says otherwise; an isolated position stands on `collateral` of
    its own, in the quote currency. `leverage` is what the account has set on the venue for the market: it
    raises initial margin to 1 / leverage of notional at least, and touches nothing else. `strategy` and
    `bucket` are labels of the desk's own.
    """

    later_keys: ClassVar[frozenset[str]] = frozenset(("strike", "expiry"))

    market: Name
    size: Finite
    entry: Positive
    strategy: Name | None = None
    bucket: Name | None = None
    margin: Literal["cross", "isolated"] | None = None
    collateral: Finite | None = None
    leverage: Annotated[Positive, Field(ge=1)] | None = None


class Account(Part):
    """Collateral by asset (unrealised profit not counted) and positions on one venue.

    `cross`: one pool for all. `isolated`: every position stands on its own collateral. `mixed`: each
    position says which. `venue` is a key of the plan's venues, None for the plan's own. `policies` act in
    their order, where what follows a breach is resolved. `caps` are the desk's own, judged at `as_of`.
    """

    later_keys: ClassVar[frozenset[str]] = frozenset(("equity", "reserve", "override"))

    name: Name
    margin: Literal["cross", "isolated", "mixed"] = "cross"
    collateral: dict[str, Finite] = Field(default={})
    positions: tuple[Position, ...]
    group: Name | None = None
    venue: Name | None = None
    fee_tier: Name | None = None
    position_mode: Literal["one_way", "hedge"] = "one_way"
    policies: tuple[Policy, ...] = ()
    caps: Caps | None = None

    def isolates(self, position: Position) -> bool:
        """Whether a position of this account stands on its own collateral."""
        return (position.margin or self.margin) == "isolated"

    @property
    def kind(self) -> str:
        """`cross`, `isolated` or `mixed`, by what its positions say: one that stands apart makes it mixed."""
        if not self.positions:
            return self.margin
        kinds = {"isolated" if self.isolates(position) else "cross" for position in self.positions}
        return kinds.pop() if len(kinds) == 1 else "mixed"


class Limit(Part):
    """The most that a metric may be. None means every scenario or account, and the leverage multiple 1.

    Probabilities are of first passage by `horizon` in a book that nobody touches, or (`AFTERWARDS`) of what
    desk and venue have made of it by then; the other metrics are read off the book as it stands.
    """

    later_values: ClassVar[Mapping[str, frozenset[str]]] = {"metric": _LATER_METRICS}

    metric: Literal[
        "p_liquidation",
        "p_margin_call",
        "p_bankruptcy",
        "p_forced_liquidation",
        "p_partial_liquidation",
        "p_closed_out",
        "p_managed_bankruptcy",
        "concentration",
        "leverage",
        "utilisation",
    ]
    max: NonNegative
    horizon: Duration | None = None
    scenario: Name | None = None
    account: Name | None = None
    leverage: Positive | None = None


def find_limit_faults(
    limit: dict[str, Any], axes: Mapping[str, Sequence[Any] | None], resolves: bool
) -> Iterator[Fault]:
    """What is wrong between a limit and the plan's axes, by dimension; None where one is not known.

    resolves: whether the plan follows what comes after a breach.
    """
    metric = limit.get("metric")
    if metric in AFTERWARDS and not resolves:
        expected = "a metric of a book that nobody touches, as the plan does not follow what comes after"
        yield Fault(("metric",), expected, show(metric), "write `resolve: true` under `simulation:`")
    if metric in SNAPSHOTS:
        for field in ("horizon", "scenario", "leverage"):
            if limit.get(field) is not None:
                expected = f"no `{field}`: `{metric}` is read off the book as it stands"
                yield Fault((field,), expected, show(limit[field]), "remove it")
        axes = {"account": axes.get("account")}
    if metric in PROBABILITIES:
        if limit.get("max", 0) > 1:
            yield Fault(
                ("max",), "a probability between 0 and 1", f"{limit['max']:g}", "write 0.01 for 1 percent"
            )
        if limit.get("horizon") is None:
            yield Fault(
                ("horizon",),
                f"a horizon, as `{metric}` is a probability by then",
                "nothing",
                "add `horizon:`",
            )
    yield from _axis_faults(limit, axes)


def _axis_faults(limit: dict[str, Any], axes: Mapping[str, Sequence[Any] | None]) -> Iterator[Fault]:
    for field in ("scenario", "account"):
        known = axes.get(field)
        if limit.get(field) is not None and known is not None and limit[field] not in known:
            yield unknown((field,), f"one of the plan's {field}s", limit[field], known)
    leverages = axes.get("leverage")
    if limit.get("leverage") is not None and leverages is not None and limit["leverage"] not in leverages:
        shown = ", ".join(f"{leverage:g}" for leverage in leverages)
        yield Fault(
            ("leverage",), "one of the plan's leverages", show(limit["leverage"]), f"use one of: {shown}"
        )
    horizons = axes.get("horizon")
    if limit.get("horizon") is not None and horizons is not None:
        known_durations: list[timedelta] = [parse_duration(horizon) for horizon in horizons]
        if parse_duration(limit["horizon"]) not in known_durations:
            shown = ", ".join(map(str, horizons))
            yield Fault(
                ("horizon",), "one of the plan's horizons", show(limit["horizon"]), f"use one of: {shown}"
            )
