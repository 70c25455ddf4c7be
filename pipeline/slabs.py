"""Slabs: which accounts are simulated together. Groups stay whole, so that they can be counted."""

from __future__ import annotations

from pipeline.plan import Plan

ACCOUNT_SLAB = 256  # accounts whose pairs are still counted, and whose state stays small


def plan_slabs(plan: Plan) -> tuple[tuple[int, ...], ...]:
    """The accounts of each slab by number, ascending; every account in one slab.

    Accounts of one group share a slab, however many they are, and so do all where contagion is followed. How
    a plan is cut changes no count.
    """
    if plan.simulation.contagion is not None:
        return (tuple(range(len(plan.accounts))),)
    units: dict[object, list[int]] = {}
    for i, account in enumerate(plan.accounts):
        units.setdefault(i if account.group is None else account.group, []).append(i)
    slabs: list[list[int]] = [[]]
    for unit in units.values():
        if slabs[-1] and len(slabs[-1]) + len(unit) > ACCOUNT_SLAB:
            slabs.append([])
        slabs[-1] += unit
    return tuple(tuple(sorted(slab)) for slab in slabs)


def keeps_joint(plan: Plan) -> bool:
    """Whether pairs of accounts are counted: there are not too many, so that all lie in one slab."""
    return len(plan.accounts) <= ACCOUNT_SLAB


def groups_of(plan: Plan, slab: tuple[int, ...] | None = None) -> tuple[str, ...]:
    """The groups of some of a plan's accounts (None: of all), in order of their first account."""
    accounts = plan.accounts if slab is None else [plan.accounts[i] for i in slab]
    return tuple(dict.fromkeys(account.group for account in accounts if account.group is not None))
