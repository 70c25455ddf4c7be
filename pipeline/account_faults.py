"""What must hold between an account, its venue and the model: collateral, pools, modes and prices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pipeline.faults import Fault, Loc, below, show, unknown

LARGEST_NOTIONAL = 1e13  # to the cent, float64 has 2**53 steps
MOST_IN_GROUP = 500  # so that what is simulated side by side fits into a worker's memory
SAME = 1e-9  # relative: a leverage of 1 / 0.03 may be written with ten digits

Document = dict[str, Any]
# an account and the venue it is on, which is empty where it could not be read
OnVenue = tuple[Document, Document]


def find_account_faults(account: Document, venue: Document, assets: Sequence[str] | None) -> Iterator[Fault]:
    """What is wrong within an account, and between it, its venue and the model's assets.

    `venue` is empty, and `assets` None, where not known.
    """
    yield from _collateral_faults(account, venue, assets)
    yield from _mode_faults(account, venue)
    shared: list[tuple[int, str]] = []
    for i, position in enumerate(account.get("positions", ())):
        loc: Loc = ("positions", i)
        yield from below(loc, _pool_faults(account, position))
        market = position.get("market")
        if market is None or venue.get("markets") is None:
            continue
        yield from below(loc, _market_faults(position, venue, assets))
        if not _isolates(account, position):
            shared.append((i, market))
    yield from _slot_faults(account, venue)
    for i, market in shared if len(shared) > 1 and venue.get("rules") == "dydx_v4" else ():
        if venue["markets"].get(market, {}).get("isolated"):
            expected = f"{show(market)} in a pool of its own, as it is an isolated market"
            got = f"in one with {len(shared) - 1} more"
            fix = "add `margin: isolated` and `collateral:` to the position, or give it an account of its own"
            yield Fault(("positions", i, "market"), expected, got, fix)


def _isolates(account: Document, position: Document) -> bool:
    margin: str = position.get("margin") or account.get("margin", "cross")
    return margin == "isolated"


def _collateral_faults(account: Document, venue: Document, assets: Sequence[str] | None) -> Iterator[Fault]:
    held, quote = account.get("collateral"), venue.get("quote", "USDC")
    if not held and account.get("margin", "cross") != "isolated":
        expected = "collateral in at least 1 asset, as positions of the account share it"
        fix = f"add `collateral: {{{quote}: ...}}`; only of isolated accounts it may be left out"
        yield Fault(("collateral",), expected, "nothing" if held is None else show(held), fix)
    if not venue:
        return
    haircuts = venue.get("haircuts", {})
    for asset in held or ():
        loc: Loc = ("collateral", asset)
        if asset == quote:
            continue
        if asset in haircuts:
            if assets is not None and asset not in assets:
                yield _undriven(loc, "an asset", show(asset), asset, assets)
        elif haircuts:
            expected = f"`{quote}` or what else the venue takes: {', '.join(list(haircuts)[:20])}"
            fix = f"state the collateral in one of them, or add {asset} to the venue's `haircuts`"
            yield Fault(loc, expected, show(asset), fix)
        else:
            taker = "dydx_v4" if venue.get("rules") == "dydx_v4" else "the venue"
            expected = f"`{quote}`: the quote currency is the only collateral that {taker} takes"
            yield Fault(loc, expected, show(asset), f"state the collateral in {quote}")


def _mode_faults(account: Document, venue: Document) -> Iterator[Fault]:
    if account.get("position_mode") == "hedge" and venue.get("rules") == "dydx_v4":
        expected = "`one_way`: dydx_v4 nets the positions of a market"
        fix = "add the sizes up and leave `position_mode` out; or give the second an account of its own"
        yield Fault(("position_mode",), expected, "`hedge`", fix)
    tier, tiers = account.get("fee_tier"), venue.get("fee_tiers", {})
    if tier is not None and venue and tier not in tiers:
        expected = "one of the venue's `fee_tiers`" if tiers else "no `fee_tier`, as the venue has none"
        yield unknown(("fee_tier",), expected, tier, tiers)


def _pool_faults(account: Document, position: Document) -> Iterator[Fault]:
    """Of a position: whether it shares the account's collateral or stands on its own."""
    margin, own = position.get("margin"), position.get("collateral")
    if account.get("margin") == "isolated" and margin == "cross":
        fix = "set `margin: mixed` for the account, or leave it out here"
        yield Fault(("margin",), "`isolated`, as the account is", "`cross`", fix)
    elif not _isolates(account, position):
        if own is not None:
            expected = "no `collateral` here: the position shares the account's"
            fix = "move it to the account, or add `margin: isolated` to the position"
            yield Fault(("collateral",), expected, show(own), fix)
    elif own is None:
        expected = "collateral of its own, as the position is isolated"
        yield Fault(("collateral",), expected, "nothing", "add `collateral:`, in the quote currency")


def _market_faults(position: Document, venue: Document, assets: Sequence[str] | None) -> Iterator[Fault]:
    name, markets = position["market"], venue["markets"]
    if name not in markets:
        yield unknown(("market",), "a market that the venue lists", name, markets)
        return
    market = markets[name]
    asset = market.get("asset")
    if asset is not None and assets is not None and asset not in assets:
        got = f"{show(name)}, whose asset is {show(asset)}"
        yield _undriven(("market",), "a market whose asset is one", got, asset, assets)
    leverage, most = position.get("leverage"), _greatest_leverage(market)
    if leverage is not None and most is not None and leverage > most * (1 + SAME):
        expected = f"at most {most:g}, the greatest leverage of {show(name)}"
        fix = "give what is set on the venue, or leave it out: then it is the greatest"
        yield Fault(("leverage",), expected, f"{leverage:g}", fix)


def _undriven(loc: Loc, kind: str, got: str, asset: str, assets: Sequence[str]) -> Fault:
    shown = ", ".join(assets[:20])
    fix = f"take a model that has {asset}, or leave it out; this one drives {shown}"
    return Fault(loc, f"{kind} that the model drives", got, fix)


def _greatest_leverage(market: Document) -> float | None:
    brackets, initial = market.get("brackets"), market.get("initial_margin")
    if brackets:
        greatest: float | None = brackets[0].get("max_leverage")
        return greatest
    return 1.0 / initial if initial else None


def _slot_faults(account: Document, venue: Document) -> Iterator[Fault]:
    """A fault at each position whose place in its pool another has: a market has one, or one a side."""
    hedge = account.get("position_mode") == "hedge"
    nets = "dydx_v4" if venue.get("rules") == "dydx_v4" else "`position_mode: one_way`"
    first: dict[tuple[Any, ...], int] = {}
    for i, position in enumerate(account.get("positions", ())):
        market, size = position.get("market"), position.get("size")
        if market is None or size is None:
            continue
        isolated = _isolates(account, position)
        # an isolated position of dydx_v4 is a subaccount: it may be long where another is short
        sided = hedge or (isolated and venue.get("rules") == "dydx_v4")
        slot = (market, isolated, size < 0 if sided else None)
        if slot not in first:
            first[slot] = i
            continue
        kind = "one isolated position" if isolated else "one position"
        expected = (
            f"{kind} a market and side" if sided else f"{kind} a market and account, as {nets} nets them"
        )
        got = f"{show(market)} again (first in position {first[slot] + 1})"
        fix = "add the sizes up, at their average entry; or give the second an account of its own"
        if not sided and venue.get("rules") == "tiered":
            fix = f"{fix}; or, if the account is in hedge mode, set `position_mode: hedge`"
        yield Fault(("positions", i, "market"), expected, got, fix)


def find_price_faults(
    accounts: Iterable[OnVenue], assets: Sequence[str], prices: Mapping[str, Any]
) -> Iterator[Fault]:
    """A fault at each asset of the model that is held, in a position or as collateral, and has no price."""
    holders: dict[str, str] = {}
    for account, venue in accounts:
        if not venue:
            continue
        markets = venue.get("markets", {})
        held = [
            (markets.get(position.get("market"), {}).get("asset"), show(position.get("market")))
            for position in account.get("positions", ())
        ]
        quote = venue.get("quote", "USDC")
        held += [(asset, "it as collateral") for asset in account.get("collateral", {}) if asset != quote]
        for asset, what in held:
            if asset in assets and asset not in prices:
                holders.setdefault(asset, f"{show(account.get('name'))} holds {what}")
    for asset, holder in holders.items():
        yield Fault(("prices", asset), f"a price for `{asset}`", f"none, but {holder}", f"add `{asset}:`")


def find_notional_faults(accounts: Iterable[OnVenue], prices: Mapping[str, Any]) -> Iterator[Fault]:
    """A fault at each amount of money that float64 could not keep to the cent, which no book holds."""
    for i, (account, venue) in enumerate(accounts):
        for asset, amount in account.get("collateral", {}).items():
            price = 1.0 if asset == venue.get("quote", "USDC") else prices.get(asset, 1.0)
            yield from _amount_faults(("accounts", i, "collateral", asset), amount, amount * price)
        for j, position in enumerate(account.get("positions", ())):
            loc: Loc = ("accounts", i, "positions", j)
            market = venue.get("markets", {}).get(position.get("market"), {})
            size, entry = position.get("size", 0.0), position.get("entry", 0.0)
            yield from _amount_faults(
                (*loc, "size"), size * prices.get(market.get("asset"), 0.0), size * entry
            )
            yield from _amount_faults((*loc, "collateral"), position.get("collateral") or 0.0)


def _amount_faults(loc: Loc, *amounts: float) -> Iterator[Fault]:
    largest = max(map(abs, amounts))
    if largest > LARGEST_NOTIONAL:
        expected = f"an amount of at most {LARGEST_NOTIONAL:,.0f} in quote currency"
        fix = "check units: sizes in base units, prices in quote currency"
        yield Fault(loc, expected, f"{largest:.3g}", fix)


def find_held(placed: Iterable[OnVenue]) -> set[str]:
    """Assets that accounts hold: of positions of some size, and collateral but for the quote currency."""
    held: set[str] = set()
    for account, venue in placed:
        markets = venue.get("markets", {})
        for position in account.get("positions", ()):
            asset = markets.get(position.get("market"), {}).get("asset")
            if asset is not None and position.get("size"):
                held.add(asset)
        held.update(asset for asset in account.get("collateral") or () if asset != venue.get("quote", "USDC"))
    return held


def find_group_faults(accounts: Sequence[Document]) -> Iterator[Fault]:
    """A fault at the first account too many of a group: its accounts are simulated side by side."""
    members: dict[str, int] = {}
    for i, account in enumerate(accounts):
        group = account.get("group")
        if group is not None:
            members[group] = members.get(group, 0) + 1
            if members[group] == MOST_IN_GROUP + 1:
                expected = f"at most {MOST_IN_GROUP} accounts in a group, which are simulated side by side"
                got = f"one more in {show(group)}"
                yield Fault(("accounts", i, "group"), expected, got, "make smaller groups")
