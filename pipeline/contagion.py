"""Contagion, all accounts of a book in one market: its key in a plan, and the venues that they share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.faults import Fault, Part
from pipeline.units import Fraction

if TYPE_CHECKING:
    from pipeline.plan import Plan

# Accounts x scenarios x leverages, whose states a worker holds on 64 paths at once: 23 kB each where accounts
# have two positions, 0.45 GB in all.
MOST_STATES = 20_000


class Contagion(Part):
    """Liquidations move prices, which moves the other accounts, to a fixed point within the step.

    `lasting` is the share of a move that stays after its step: 1 all of it, 0 none.
    """

    lasting: Fraction


def find_contagion_faults(
    simulation: dict[str, Any], scenarios: Sequence[Any], accounts: Sequence[Any]
) -> Iterator[Fault]:
    """What is wrong between contagion and the rest of a plan; any key may be missing."""
    if simulation.get("contagion") is None:
        return
    monitoring = simulation.get("monitoring")
    if monitoring != "close":
        got = "nothing, which is `bridge`" if monitoring is None else f"`{monitoring}`"
        expected = "`close`, as contagion is worked out at closes"
        fix = "write `monitoring: close`, or leave `contagion` out"
        yield Fault(("monitoring",), expected, got, fix)
    if simulation.get("resolve") is False:
        expected = "true, or nothing, as contagion is of what follows a breach"
        yield Fault(("resolve",), expected, "false", "leave `resolve` out, or `contagion`")
    sizes = len(accounts), len(scenarios), len(simulation.get("leverage", (1.0,)))
    states = sizes[0] * sizes[1] * sizes[2]
    if states > MOST_STATES:
        expected = f"at most {MOST_STATES:,} accounts x scenarios x leverages, as they share a market"
        got = f"{sizes[0]:,} x {sizes[1]} x {sizes[2]} = {states:,}"
        fix = "take fewer scenarios or leverages in a plan, or put small accounts together"
        yield Fault(("contagion",), expected, got, fix)


def venues_shared(plan: Plan) -> tuple[str, ...]:
    """The venues whose fund the accounts share, by name, in the order of the accounts; none without
    contagion. The plan's own is called as its file is, and `inline` where it says no name."""
    if plan.simulation.contagion is None:
        return ()
    return tuple(dict.fromkeys(plan.venue_of(account).name for account in plan.accounts))
