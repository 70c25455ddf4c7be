"""Tallies: what a block of paths leaves behind. Integers only, so that merging is exact in any grouping."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kernels.structs import AFTERMATHS, BINS, MOMENTS, SPREADS, TIMES, VENUE_ROWS
from pipeline.spread import Spread

Counts = NDArray[np.int64]
# kept by some plans only
OPTIONAL = (
    *("joint", "all_pools", "groups", "aftermath", "breach", "venue"),
    *("histogram", "results", "passages", "discordant"),
)


@dataclass(frozen=True, eq=False)
class Tallies:
    """Counts of paths, for every (scenario, account, leverage, horizon) of a plan, in the plan's order.

    `liquidations`, `margin_calls`, `bankruptcies`: int64 (scenario, account, leverage, horizon), paths on
    which the event happened in (as_of, as_of + horizon]. `joint`: int64 (scenario, horizon, account,
    account), paths on which both accounts were liquidated at leverage 1; None where accounts are too many
    to keep pairs. `all_pools`: as `liquidations`, paths on which every pool of the account was liquidated;
    None where no account has more than one. `groups`: int64 (moment, scenario, group, leverage, horizon),
    sums over paths of the moments of `kernels.structs`, money in units of `quantum` (group); None without
    groups. `aftermath`: int64 (outcome, scenario, account, leverage, horizon), sums over paths of what
    followed a breach by each horizon, rows of `kernels.structs`, money in units of `money_quantum` (account);
    `breach`: int64 (scenario, account, leverage, leg), paths by the leg whose price had cost most when the
    venue first closed something, numbered as `pipeline.legs` does; None where nothing is followed.
    `venue`: int64 (moment, scenario, venue, leverage, horizon), as `groups`, of venues whose accounts share a
    market, money in units of `venue_quantum` (venue); None without contagion.
    `histogram`: int64 (kind, scenario, account, leverage, horizon, bin), paths by where they are and have
    been, bins of `kernels.quantiles` for accounts of `scale` (account, leverage), money less what there was
    at as_of, `began` (account); `results`: int64 (scenario, account, leverage, horizon, bin), what those of
    one kind have made, in units of `money_quantum`; `passages`: int64 (scenario, account, leverage, time),
    first liquidations by time; `discordant`: int64 (way, scenario, account, leverage, horizon), paths on
    which a cell was liquidated and not in the baseline, then the reverse; None where nobody asks for
    quantiles.
    `liquidatable_now`: bool (scenario, account, leverage), the same whatever the paths.
    `paths`: how many there were. `spread`: how far draws of the model's parameters are apart, None where the
    model was taken as given. Raises ValueError where shapes or dtypes don't fit together.
    """

    liquidations: Counts
    margin_calls: Counts
    bankruptcies: Counts
    joint: Counts | None
    liquidatable_now: NDArray[np.bool_]
    paths: int
    all_pools: Counts | None = None
    groups: Counts | None = None
    quantum: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    aftermath: Counts | None = None
    breach: Counts | None = None
    money_quantum: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    venue: Counts | None = None
    venue_quantum: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    histogram: Counts | None = None
    results: Counts | None = None
    passages: Counts | None = None
    discordant: Counts | None = None
    scale: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    began: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    spread: Spread | None = None

    def __post_init__(self) -> None:
        shape = self.liquidations.shape
        if len(shape) != 4:
            raise ValueError(f"liquidations are (scenario, account, leverage, horizon), got shape {shape}")
        scenarios, accounts, leverages, horizons = shape
        expected = {
            "liquidations": shape,
            "margin_calls": shape,
            "bankruptcies": shape,
            "joint": (scenarios, horizons, accounts, accounts),
            "all_pools": shape,
            "groups": (MOMENTS, scenarios, len(self.quantum), leverages, horizons),
            "aftermath": (AFTERMATHS, *shape),
            "breach": (scenarios, accounts, leverages, self._legs),
            "venue": (VENUE_ROWS, scenarios, len(self.venue_quantum), leverages, horizons),
            "histogram": (SPREADS, *shape, BINS),
            "results": (*shape, BINS),
            "passages": (scenarios, accounts, leverages, TIMES),
            "discordant": (2, *shape),
            "liquidatable_now": (scenarios, accounts, leverages),
        }
        for name, wanted in expected.items():
            array = getattr(self, name)
            if array is None and name in OPTIONAL:
                continue
            dtype = np.bool_ if name == "liquidatable_now" else np.int64
            if array.shape != wanted or array.dtype != dtype:
                raise ValueError(
                    f"{name}: expected {np.dtype(dtype)} {wanted}, got {array.dtype} {array.shape}"
                )

    @property
    def _legs(self) -> int:
        return 0 if self.breach is None else self.breach.shape[-1]

    def __add__(self, other: Tallies) -> Tallies:
        """The tallies of both sets of paths together: integer addition, hence associative and commutative."""
        if self.spread is not None or other.spread is not None:
            raise ValueError("tallies of runs over draws can't be added: a draw would count as two")
        if not np.array_equal(self.liquidatable_now, other.liquidatable_now):
            raise ValueError("tallies of different plans: liquidatable_now differs")
        for name in ("quantum", "money_quantum", "venue_quantum", "scale", "began"):
            if not np.array_equal(getattr(self, name), getattr(other, name)):
                raise ValueError(f"tallies of different plans: {name} differs")
        return Tallies(
            liquidations=self.liquidations + other.liquidations,
            margin_calls=self.margin_calls + other.margin_calls,
            bankruptcies=self.bankruptcies + other.bankruptcies,
            joint=_add(self.joint, other.joint),
            all_pools=_add(self.all_pools, other.all_pools),
            groups=_add(self.groups, other.groups),
            quantum=self.quantum,
            aftermath=_add(self.aftermath, other.aftermath),
            breach=_add(self.breach, other.breach),
            money_quantum=self.money_quantum,
            venue=_add(self.venue, other.venue),
            venue_quantum=self.venue_quantum,
            histogram=_add(self.histogram, other.histogram),
            results=_add(self.results, other.results),
            passages=_add(self.passages, other.passages),
            discordant=_add(self.discordant, other.discordant),
            scale=self.scale,
            began=self.began,
            liquidatable_now=self.liquidatable_now,
            paths=self.paths + other.paths,
        )


def _add(first: Counts | None, second: Counts | None) -> Counts | None:
    if first is None and second is None:
        return None
    if first is None or second is None:
        raise ValueError("tallies of different plans: only one keeps all these counts")
    return np.asarray(first + second)
