"""The book: accounts, their collateral and positions, and the limits they are held to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from pipeline.faults import Fault, Loc, Part, duplicates, show, unknown
from pipeline.units import Duration, Finite, Name, NonNegative, Positive, parse_duration

PROBABILITIES = ("p_liquidation", "p_margin_call", "p_bankruptcy")
SNAPSHOTS = ("concentration", "leverage", "utilisation")
_LATER_METRICS = frozenset(
    (
        *("reserve", "funding_cost", "max_drawdown", "expected_shortfall", "shortfall", "p_any", "p_all"),
        *("p_partial_liquidation", "cost"),
    )
)
LARGEST_NOTIONAL = 1e13  # to the cent, float64 has 2**53 steps


class Position(Part):
    """A position: size in base units (negative is short), and the average price it was entered at.

    `strategy` and `bucket` are labels of the desk's own.
    """

    later_keys: ClassVar[frozenset[str]] = frozenset(("margin", "collateral", "strike", "expiry", "leverage"))

    market: Name
    size: Finite
    entry: Positive
    strategy: Name | None = None
    bucket: Name | None = None


class Account(Part):
    """One pool of cross margin: collateral by asset (unrealised profit not counted) and positions."""

    later_keys: ClassVar[frozenset[str]] = frozenset(("policies", "venue", "equity", "reserve", "override"))
    later_values: ClassVar[Mapping[str, frozenset[str]]] = {"margin": frozenset(("isolated", "mixed"))}

    name: Name
    margin: Literal["cross"] = "cross"
    collateral: Annotated[dict[str, Finite], Field(min_length=1)]
    positions: tuple[Position, ...]
    group: Name | None = None


class Limit(Part):
    """The most that a metric may be. None means every scenario or account, and the leverage multiple 1.

    Probabilities are of first passage by `horizon`; the other metrics are read off the book as it stands.
    """

    later_values: ClassVar[Mapping[str, frozenset[str]]] = {"metric": _LATER_METRICS}

    metric: Literal[
        "p_liquidation", "p_margin_call", "p_bankruptcy", "concentration", "leverage", "utilisation"
    ]
    max: NonNegative
    horizon: Duration | None = None
    scenario: Name | None = None
    account: Name | None = None
    leverage: Positive | None = None


def find_account_faults(
    account: dict[str, Any],
    venue: dict[str, Any],
    assets: Sequence[str] | None,
) -> Iterator[Fault]:
    """What is wrong between an account and venue, assets of the model; None where not known."""
    quote = venue.get("quote", "USDC")
    for asset in account.get("collateral", {}):
        if asset != quote:
            expected = f"`{quote}`: the quote currency is the only collateral that dydx_v4 takes"
            yield Fault(("collateral", asset), expected, show(asset), f"state the collateral in {quote}")
    positions = account.get("positions", ())
    first: dict[str, int] = {}
    for i, position in enumerate(positions):
        market = position.get("market")
        if market is None:
            continue
        loc: Loc = ("positions", i, "market")
        if market in first:
            got = f"{show(market)} again (first in position {first[market] + 1})"
            fix = "add the sizes up, at their average entry; or give the second an account of its own"
            yield Fault(loc, "one position a market and account, as dydx_v4 nets them", got, fix)
            continue
        first[market] = i
        yield from _market_faults(loc, market, venue, assets)


def _market_faults(
    loc: Loc,
    market: str,
    venue: dict[str, Any],
    assets: Sequence[str] | None,
) -> Iterator[Fault]:
    markets = venue.get("markets")
    if markets is None:
        return
    if market not in markets:
        yield unknown(loc, "a market that the venue lists", market, markets)
        return
    asset = markets[market].get("asset")
    if asset is None:
        return
    if assets is not None and asset not in assets:
        got = f"{show(market)}, whose asset is {show(asset)}"
        shown = ", ".join(assets[:20])
        fix = f"take a model that has {asset}, or leave the position out; this one drives {shown}"
        yield Fault(loc, "a market whose asset the model drives", got, fix)


def find_price_faults(
    accounts: Iterable[dict[str, Any]],
    venue: dict[str, Any],
    assets: Sequence[str],
    prices: Mapping[str, Any],
) -> Iterator[Fault]:
    """A fault at each asset of the model that is held and has no price."""
    holders: dict[str, str] = {}
    for account in accounts:
        for position in account.get("positions", ()):
            asset = venue.get("markets", {}).get(position.get("market"), {}).get("asset")
            if asset in assets and asset not in prices:
                holders.setdefault(asset, f"{show(account.get('name'))} holds {show(position['market'])}")
    for asset, holder in holders.items():
        yield Fault(("prices", asset), f"a price for `{asset}`", f"none, but {holder}", f"add `{asset}:`")


def find_notional_faults(
    accounts: Iterable[dict[str, Any]], venue: dict[str, Any], prices: Mapping[str, Any]
) -> Iterator[Fault]:
    """A fault at each amount of money that float64 could not keep to the cent, which no book holds."""
    for i, account in enumerate(accounts):
        for asset, amount in account.get("collateral", {}).items():
            if abs(amount) > LARGEST_NOTIONAL:
                yield _too_large(("accounts", i, "collateral", asset), abs(amount))
        for j, position in enumerate(account.get("positions", ())):
            asset = venue.get("markets", {}).get(position.get("market"), {}).get("asset")
            size = position.get("size", 0.0)
            largest = max(abs(size * price) for price in (prices.get(asset, 0.0), position.get("entry", 0.0)))
            if largest > LARGEST_NOTIONAL:
                yield _too_large(("accounts", i, "positions", j, "size"), largest)


def _too_large(loc: Loc, amount: float) -> Fault:
    expected = f"an amount of at most {LARGEST_NOTIONAL:,.0f} in quote currency"
    return Fault(loc, expected, f"{amount:.3g}", "check units: sizes in base units, prices in quote currency")


def find_limit_faults(limit: dict[str, Any], axes: Mapping[str, Sequence[Any] | None]) -> Iterator[Fault]:
    """What is wrong between a limit and the plan's axes, by dimension; None where one is not known."""
    metric = limit.get("metric")
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


def find_name_faults(loc: Loc, parts: Iterable[dict[str, Any]], kind: str) -> list[Fault]:
    """A fault at each part whose name another has had before."""
    return [
        fault._replace(loc=(*fault.loc, "name"))
        for fault in duplicates(loc, (part.get("name") for part in parts), kind)
    ]
