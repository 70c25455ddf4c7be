"""What must hold within the policies of an account, and between them, its positions and its venue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import fsum
from typing import Any

from pipeline.faults import Fault, Loc, below, duplicates, show, unknown

Document = dict[str, Any]


def find_policy_faults(account: Document, venue: Document, prices: Mapping[str, float]) -> Iterator[Fault]:
    """What is wrong with the policies of an account; any key may be missing, and `venue` be empty."""
    held = [position for position in account.get("positions", ()) if position.get("size")]
    for i, policy in enumerate(account.get("policies") or ()):
        loc: Loc = ("policies", i)
        kind = policy.get("kind")
        if kind == "top_up":
            yield from below(loc, _reserve_faults(policy))
        elif kind == "ladder":
            yield from below(loc, _rung_faults(policy.get("rungs", ())))
            yield from below(loc, _market_faults(policy.get("markets") or (), held))
        elif kind == "stop":
            yield from below(loc, _stop_faults(policy, account, venue, held, prices))
        elif kind == "strategy_cap":
            yield from below(loc, _strategy_faults(policy, held))
        elif kind == "rebalance":
            yield from below(loc, _band_faults(policy))
        elif kind == "isolate":
            yield from below(loc, _isolate_faults(policy, account, held))
    yield from _twice_faults(account)


def find_resolve_faults(simulation: Document, accounts: Sequence[Document]) -> Iterator[Fault]:
    """Policies in a plan that says it follows nothing."""
    desks = [account for account in accounts if account.get("policies")]
    if simulation.get("resolve") is False and desks:
        got = f"false, and {show(desks[0].get('name'))} has policies, which would do nothing"
        fix = "leave `resolve` out, or remove the policies"
        yield Fault(("simulation", "resolve"), "true, or nothing, as an account has policies", got, fix)


def _reserve_faults(policy: Document) -> Iterator[Fault]:
    amount, reserve = policy.get("amount"), policy.get("reserve")
    if amount is not None and reserve is not None and amount > reserve:
        fix = "lower it, or enlarge the reserve: it is what is sent in one go"
        yield Fault(("amount",), f"at most the reserve, {reserve:,.12g}", f"{amount:,.12g}", fix)


def _rung_faults(rungs: Sequence[Document]) -> Iterator[Fault]:
    for i, (above, rung) in enumerate(pairwise(rungs), start=1):
        levels = above.get("below"), rung.get("below")
        if levels[0] is not None and levels[1] is not None and levels[1] >= levels[0]:
            expected = f"rungs from the highest level down, each once: below {levels[0]:g}"
            yield Fault(("rungs", i, "below"), expected, f"{levels[1]:g}", "put them in order")


def _market_faults(names: Sequence[str], held: Sequence[Document]) -> Iterator[Fault]:
    known = dict.fromkeys(position["market"] for position in held if "market" in position)
    for i, name in enumerate(names):
        if name not in known:
            yield unknown(("markets", i), "a market that the account holds", name, known)
    yield from duplicates(("markets",), names, "market")


def _stop_faults(
    policy: Document,
    account: Document,
    venue: Document,
    held: Sequence[Document],
    prices: Mapping[str, float],
) -> Iterator[Fault]:
    market, drawdown = policy.get("market"), policy.get("drawdown")
    if market is not None:
        yield from _price_faults(market, policy.get("price"), venue, held, prices)
    equity = _equity(account, venue, prices) if drawdown is not None else None
    if equity is not None and equity <= 0:
        expected = "no `drawdown` in an account without equity at `as_of`, of which it is a share"
        yield Fault(("drawdown",), expected, f"equity of {equity:,.0f}", "remove the stop")


def _price_faults(
    market: str, price: float | None, venue: Document, held: Sequence[Document], prices: Mapping[str, float]
) -> Iterator[Fault]:
    """Of a stop at a price: one below the mark is a long's, one above it a short's."""
    sizes = [position["size"] for position in held if position.get("market") == market]
    if not sizes:
        known = dict.fromkeys(position["market"] for position in held if "market" in position)
        yield unknown(("market",), "a market that the account holds", market, known)
        return
    mark = prices.get(venue.get("markets", {}).get(market, {}).get("asset"))
    if price is None or mark is None or any(size * (mark - price) > 0 for size in sizes):
        return
    long = any(size > 0 for size in sizes)
    where, side = ("below", "long") if long else ("above", "short")
    expected = f"a price {where} the mark, {mark:,.12g}, as the position is {side}"
    yield Fault(
        ("price",), expected, f"{price:,.12g}, which is reached already", "correct it, or close it now"
    )


def _equity(account: Document, venue: Document, prices: Mapping[str, float]) -> float | None:
    """What the account has at `as_of`, haircuts not taken off; None where it can't be told."""
    markets, quote = venue.get("markets"), venue.get("quote", "USDC")
    if markets is None:
        return None
    amounts = []
    for asset, amount in account.get("collateral", {}).items():
        if asset != quote and asset not in prices:
            return None
        amounts.append(amount if asset == quote else amount * prices[asset])
    for position in account.get("positions", ()):
        asset = markets.get(position.get("market"), {}).get("asset")
        if asset not in prices or not {"size", "entry"} <= position.keys():
            return None
        amounts.append(position["size"] * (prices[asset] - position["entry"]))
        amounts.append(position.get("collateral") or 0.0)
    return fsum(amounts)


def _strategy_faults(policy: Document, held: Sequence[Document]) -> Iterator[Fault]:
    name = policy.get("strategy")
    known = dict.fromkeys(position["strategy"] for position in held if position.get("strategy"))
    if name is not None and name not in known:
        expected = "a strategy that some position of the account is labelled with"
        yield unknown(("strategy",), expected, name, known)


def _isolate_faults(policy: Document, account: Document, held: Sequence[Document]) -> Iterator[Fault]:
    name, usual = policy.get("market"), account.get("margin", "cross")
    shared = [position for position in held if (position.get("margin") or usual) != "isolated"]
    known = dict.fromkeys(position["market"] for position in shared if "market" in position)
    if name is not None and name not in known:
        expected = "a market that the account holds a position in that shares its collateral"
        yield unknown(("market",), expected, name, known)


def _twice_faults(account: Document) -> Iterator[Fault]:
    """Two policies that isolate one position."""
    seen: set[str] = set()
    for i, policy in enumerate(account.get("policies") or ()):
        if policy.get("kind") == "isolate" and policy.get("market") is not None:
            if policy["market"] in seen:
                fix = "keep one: a position is moved once"
                yield Fault(
                    ("policies", i, "market"), "one `isolate` for a market", show(policy["market"]), fix
                )
            seen.add(policy["market"])


def _band_faults(policy: Document) -> Iterator[Fault]:
    low, target, high = (policy.get(key) for key in ("low", "target", "high"))
    if low is not None and target is not None and low >= target:
        fix = "leverage: gross notional over equity"
        yield Fault(("low",), f"below the target, {target:g}", f"{low:g}", fix)
    if high is not None and target is not None and high <= target:
        fix = "leverage: gross notional over equity"
        yield Fault(("high",), f"above the target, {target:g}", f"{high:g}", fix)
