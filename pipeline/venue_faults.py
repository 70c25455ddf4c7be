"""What must hold between the values of a venue: its tiers, its brackets, the fractions of its markets."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import isclose
from typing import Any

from pipeline.faults import Fault, Loc, show, unknown
from pipeline.venue_completion import TIERED_LIQUIDATION, maintenance_amounts, tier_margins

SAME = 1e-9  # relative: figures written in decimals are equal, whatever binary made of them
# Venues publish maintenance amounts to the cent; the second bound is for a quote currency of large units.
HALF_A_CENT = 0.005
POWERS = {"square_root": 0.5, "linear": 1.0}  # by which slippage grows with the share of the depth taken
PART_OF_NOTIONAL = 1e-6


def find_venue_faults(venue: dict[str, Any]) -> Iterator[Fault]:
    """What is wrong between the values of a venue's document, once complete; any key may be missing."""
    quote, rules = venue.get("quote", "USDC"), venue.get("rules")
    if quote in venue.get("haircuts", {}):
        expected = f"assets other than the quote currency, `{quote}`, which counts in full"
        yield Fault(("haircuts", quote), expected, show(quote), "remove it")
    for name, tier in venue.get("tiers", {}).items():
        yield from _tier_faults(("tiers", name), tier)
    if rules == "tiered" and venue.get("tiers"):
        expected = "no `tiers` on a tiered venue: it belongs to dydx_v4"
        yield Fault(("tiers",), expected, show(venue["tiers"]), "remove it")
    yield from _liquidation_faults(rules, venue.get("liquidation") or {})
    for name, market in venue.get("markets", {}).items():
        loc: Loc = ("markets", name)
        if not name.strip():
            yield Fault(loc, "the name of a market", "an empty key", "name it, such as BTC-USD")
        if market.get("asset") is not None and market["asset"] == quote:
            expected = "an asset other than the quote currency"
            yield Fault((*loc, "asset"), expected, market["asset"], "name the asset traded")
        yield from _execution_faults((*loc, "execution"), market.get("execution") or {})
        if rules == "dydx_v4":
            yield from _fraction_faults(loc, market, venue.get("tiers", {}))
        elif rules == "tiered":
            yield from _tiered_faults(loc, market)


def _liquidation_faults(rules: str | None, liquidation: dict[str, Any]) -> Iterator[Fault]:
    """Of parameters that belong to the other family."""
    known = " and ".join(f"`{key}`" for key in TIERED_LIQUIDATION)
    tiered = liquidation.keys() <= TIERED_LIQUIDATION.keys()
    got = ", ".join(f"`{key}`" for key in list(liquidation)[:3])
    if liquidation and rules == "tiered" and not tiered:
        fix = "remove it: then every position is closed, without a fee"
        yield Fault(("liquidation",), f"{known} on a tiered venue: the rest belongs to dydx_v4", got, fix)
    elif liquidation and rules == "dydx_v4" and tiered:
        fix = "remove it: then it is what the shipped file has"
        yield Fault(("liquidation",), f"dydx_v4's own figures: {known} belong to tiered venues", got, fix)


def _execution_faults(loc: Loc, execution: dict[str, Any]) -> Iterator[Fault]:
    """An impact at which the last part of all that the book takes would be sold for nothing: the marginal
    slippage of taking all of the depth is (1 + g) impact."""
    most = 1.0 / (1.0 + POWERS[execution.get("law", "square_root")])
    impact = execution.get("impact")
    if impact is not None and impact >= most:
        expected = f"below {most:.4g}, so that all that the book takes fills above a price of zero"
        fix = "a fraction of notional: write 0.01 for 1 percent"
        yield Fault((*loc, "impact"), expected, f"{impact:g}", fix)


def _tier_faults(loc: Loc, tier: dict[str, Any]) -> Iterator[Fault]:
    lower, upper = tier.get("open_interest_lower_cap", 0), tier.get("open_interest_upper_cap", 0)
    if (lower or upper) and lower >= upper:
        expected = f"above the lower cap, {lower:,.12g}; both 0: initial margin stays as it is"
        yield Fault((*loc, "open_interest_upper_cap"), expected, f"{upper:,.12g}", "check the two")


def _fraction_faults(loc: Loc, market: dict[str, Any], tiers: dict[str, Any]) -> Iterator[Fault]:
    """Of a dydx_v4 market: two fractions, which its tier has filled in where it has one."""
    if market.get("brackets"):
        expected = "no `brackets` on a dydx_v4 venue, whose margin is a fraction of notional"
        yield Fault(
            (*loc, "brackets"), expected, show(market["brackets"]), "use a `tier`, or `rules: tiered`"
        )
        return
    name = market.get("tier")
    if name is not None:
        if name in tiers:
            yield from _contradictions(loc, market, name, tiers[name])
        else:
            yield unknown((*loc, "tier"), "one of the venue's `tiers`", name, tiers)
        return
    if market.get("open_interest") is not None:
        expected = "no `open_interest` on a market without a `tier`: its caps are the tier's"
        fix = "name a tier of the venue, or remove it"
        yield Fault((*loc, "open_interest"), expected, show(market["open_interest"]), fix)
    initial, maintenance = market.get("initial_margin"), market.get("maintenance_margin")
    for key, value in (("initial_margin", initial), ("maintenance_margin", maintenance)):
        if value is None:
            fix = f"add `{key}:`, or name a `tier:` of the venue"
            yield Fault((*loc, key), f"a value for `{key}`, or a tier that has it", "nothing", fix)
    if initial is not None and maintenance is not None and maintenance > initial:
        expected, fix = f"at most the initial margin, {initial:g}", "check the two: fractions of notional"
        yield Fault((*loc, "maintenance_margin"), expected, f"{maintenance:g}", fix)


def _contradictions(loc: Loc, market: dict[str, Any], name: str, tier: dict[str, Any]) -> Iterator[Fault]:
    for key, due in zip(("initial_margin", "maintenance_margin"), tier_margins(tier) or (), strict=False):
        stated = market.get(key)
        if stated is not None and not isclose(stated, due, rel_tol=SAME):
            expected = f"{due:.12g}, as its tier `{name}` has it"
            yield Fault((*loc, key), expected, f"{stated:.12g}", "leave it out, or name another tier")


def _tiered_faults(loc: Loc, market: dict[str, Any]) -> Iterator[Fault]:
    for key in ("tier", "open_interest", "isolated"):
        if market.get(key):
            expected = f"no `{key}` on a tiered venue: it belongs to dydx_v4"
            yield Fault((*loc, key), expected, show(market[key]), "remove it")
    brackets = market.get("brackets")
    fractions = {
        key: market[key] for key in ("initial_margin", "maintenance_margin") if market.get(key) is not None
    }
    if brackets:
        for key, value in fractions.items():
            expected = f"`brackets` or `{key}`, not both"
            yield Fault((*loc, key), expected, f"{value:g}", "remove it: the brackets have it")
        yield from _bracket_faults((*loc, "brackets"), brackets)
    elif len(fractions) == 2:
        yield from _lone_bracket_faults(loc, **fractions)
    elif fractions:
        missing = "maintenance_margin" if "initial_margin" in fractions else "initial_margin"
        expected = "both `initial_margin` and `maintenance_margin`, or `brackets`"
        yield Fault((*loc, missing), expected, f"only `{next(iter(fractions))}`", f"add `{missing}:`")
    else:
        expected = "at least 1 bracket, or `initial_margin` and `maintenance_margin`"
        got = show(brackets) if "brackets" in market else "nothing"
        yield Fault((*loc, "brackets"), expected, got, "add one")


def _lone_bracket_faults(loc: Loc, initial_margin: float, maintenance_margin: float) -> Iterator[Fault]:
    """Of two fractions that `complete_venue` could not turn into a bracket."""
    if initial_margin == 0:
        yield Fault((*loc, "initial_margin"), "a fraction above 0", "0", "give 1 / the greatest leverage")
    elif maintenance_margin > initial_margin:
        expected = f"at most the initial margin, {initial_margin:g}"
        fix = "check the two: fractions of notional"
        yield Fault((*loc, "maintenance_margin"), expected, f"{maintenance_margin:g}", fix)


def _bracket_faults(loc: Loc, brackets: list[dict[str, Any]]) -> Iterator[Fault]:
    for i, bracket in enumerate(brackets):
        rate, leverage = bracket.get("maintenance_margin"), bracket.get("max_leverage")
        if rate is not None and leverage is not None and rate * leverage > 1 + SAME:
            expected = f"at most the initial margin, 1 / max_leverage = {1 / leverage:.6g}"
            yield Fault((*loc, i, "maintenance_margin"), expected, f"{rate:g}", "check the two")
    if len(brackets) > 1 and brackets[0].get("maintenance_margin") == 0:
        # a rate of zero below and more above: whether an account can be liquidated would depend on prices
        expected = "a rate above 0, where other brackets have one"
        yield Fault((*loc, 0, "maintenance_margin"), expected, "0", "check the first row")
    for i, (low, high) in enumerate(pairwise(brackets), start=1):
        yield from _order_faults(loc, i, low, high)
    yield from _continuity_faults(loc, brackets)


def _order_faults(loc: Loc, i: int, low: dict[str, Any], high: dict[str, Any]) -> Iterator[Fault]:
    """Of bracket i against the one before: it begins higher, and asks for no less."""
    end = low.get("up_to")
    if end is None:
        expected = "the end of the bracket: only the last one may have none"
        yield Fault((*loc, i - 1, "up_to"), expected, "nothing", "add `up_to:`, in quote units of notional")
    elif high.get("up_to") is not None and high["up_to"] <= end:
        expected = f"brackets in ascending order: above {end:,.12g}"
        yield Fault((*loc, i, "up_to"), expected, f"{high['up_to']:,.12g}", "put them in order")
    rates: Any = low.get("maintenance_margin"), high.get("maintenance_margin")
    if None not in rates and rates[1] < rates[0]:
        expected = f"at least the rate of the bracket before, {rates[0]:g}: margin on more never falls"
        yield Fault((*loc, i, "maintenance_margin"), expected, f"{rates[1]:g}", "put them in order")
    leverages: Any = low.get("max_leverage"), high.get("max_leverage")
    if None not in leverages and leverages[1] > leverages[0]:
        expected = f"at most the leverage of the bracket before, {leverages[0]:g}"
        yield Fault((*loc, i, "max_leverage"), expected, f"{leverages[1]:g}", "put them in order")


def _continuity_faults(loc: Loc, brackets: list[dict[str, Any]]) -> Iterator[Fault]:
    """The first break only: those after it often follow from it."""
    amounts = maintenance_amounts(brackets)
    for i, (bracket, due) in enumerate(zip(brackets, amounts, strict=True)):
        stated = bracket.get("cum")
        if stated is None or due is None:
            continue
        expected, allowed = "0, as it is the first bracket", 0.0
        if i:
            low = brackets[i - 1]
            allowed = min(HALF_A_CENT, PART_OF_NOTIONAL * low["up_to"])
            rise = (
                f"{low['up_to']:,.12g} x ({bracket['maintenance_margin']:g} - {low['maintenance_margin']:g})"
            )
            expected = (
                f"{float(due):,.12g}, as margin is continuous: {float(amounts[i - 1] or 0):,.12g} + {rise}"
            )
        if abs(stated - float(due)) > allowed:
            fix = "check rates and ends; or leave `cum` out, and it is worked out"
            yield Fault((*loc, i, "cum"), expected, f"{stated:,.12g}", fix)
            return
