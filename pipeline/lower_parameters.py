"""Parameter sets: what holds in a step under a scenario's effects, by regime and asset."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import timedelta
from math import sqrt
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from kernels.structs import DOUBLE_EXPONENTIAL, NORMAL, Floats
from pipeline.bursts import burst_moves
from pipeline.correlation import blend_correlation
from pipeline.effects import Correlation, Drift, Funding, Tail, Volatility, value_of
from pipeline.jumps import DoubleExponentialJumps, Jumps
from pipeline.lower_state import basis_of, overlay_funding, shock_of
from pipeline.lower_timeline import Lasting, is_replaced
from pipeline.model import MarketModel
from pipeline.regime import Regime
from pipeline.units import YEAR

FACTOR_TILE = 4  # the kernel combines factors four at a time
SMALLEST_PIVOT = 1e-10  # of a correlation's Cholesky factor: below it the asset follows from those before
SOME_JUMPS = np.array([0.0, 1.0])  # a law of their number, where it is for looking at alone
NO_MORE_JUMPS = 1e-15  # probability beyond which more jumps in one step are left out

Item = TypeVar("Item")


@dataclass
class Shelf(Generic[Item]):
    """Things numbered in the order they came, equal ones once."""

    number: dict[Hashable, int] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)

    def put(self, key: Hashable, item: Item) -> int:
        """The number of an item, which is kept if its key is new."""
        if key not in self.number:
            self.number[key] = len(self.items)
            self.items.append(item)
        return self.number[key]


@dataclass(frozen=True)
class ParameterSet:
    """What holds in a step, by regime and asset; `loading` numbers the shelf of loadings."""

    drift: Floats
    loading: int
    mixing: list[int]
    jumps: list[StepJumps]
    funding: Floats
    overlay: Floats
    bursts: Floats


class StepJumps(NamedTuple):
    """Of one regime: law of the number in a step, law of sizes, mean (A,), loading (A, F), sides (A, 3)."""

    law: Floats
    sizes: int
    mean: Floats
    loading: Floats
    sides: Floats


class Parameters:
    """Collects the distinct parameter sets, loadings and tails that scenarios need."""

    def __init__(
        self,
        model: MarketModel,
        step: timedelta,
        columns: NDArray[np.int64],
        marks: int,
        tables: bool = True,
    ) -> None:
        self.model, self.tables = model, tables
        self.step, self.years = step, step / YEAR
        self.columns = columns
        self.spots = len(columns) - marks
        self.factors = max(self.depth_of(i) for i in range(len(columns)))
        self.funds = any(regime.funding_process for regime in model.regimes.values())
        self.sets: Shelf[ParameterSet] = Shelf()
        self.loadings: Shelf[Floats] = Shelf()
        self.tails: Shelf[float] = Shelf()

    def depth_of(self, i: int) -> int:
        """Leading factors that matter to a column. Beyond the assets' own there is one that all basis have in
        common, then one for each asset's."""
        last = self.columns[i] + (0 if i < self.spots else len(self.model.assets) + 1)
        return int(-(-(last + 1) // FACTOR_TILE) * FACTOR_TILE)

    def parameter_set(self, effects: tuple[Lasting, ...]) -> int:
        """The number of the parameter set under these effects."""
        regimes = [self._regime(regime, effects) for regime in self.model.regimes.values()]
        loading = np.array(
            [
                self._loading(volatility, correlation, regime)
                for (_, volatility, correlation, _, _), regime in zip(
                    regimes, self.model.regimes.values(), strict=True
                )
            ]
        )
        number = self.loadings.put(loading.tobytes(), loading)
        drift = np.array([drift for drift, *_ in regimes])[:, self.columns] * self.years
        funding = np.array([funding for *_, funding in regimes])[:, self.columns]
        overlay = overlay_funding(effects if self.funds else (), self.model.assets)[:, self.columns]
        mixing = [-1 if nu is None else self.tails.put(nu, nu) for *_, nu, _ in regimes]
        replaced = is_replaced(effects)
        jumps = [self._jumps(None if replaced else r.jumps) for r in self.model.regimes.values()]
        entry = ParameterSet(
            drift,
            number,
            mixing,
            jumps,
            funding,
            overlay,
            self._bursts(effects),
        )
        # jumps are the model's own, the same in every set, or none
        others = funding.tobytes(), overlay.tobytes(), entry.bursts.tobytes()
        return self.sets.put((drift.tobytes(), number, tuple(mixing), *others, replaced), entry)

    def _regime(
        self, regime: Regime, effects: tuple[Lasting, ...]
    ) -> tuple[Floats, Floats, Floats, float | None, Floats]:
        """Drift, volatility, correlation, degrees of freedom, funding of a regime under effects, a year."""
        assets = self.model.assets
        drift = np.array([regime.drift[a] for a in assets])
        volatility = np.array([regime.volatility[a] for a in assets])
        correlation = np.array(regime.correlation, np.float64)
        nu = regime.tail
        if is_replaced(effects):
            drift, volatility, nu = np.zeros(len(assets)), np.zeros(len(assets)), None
        funding = np.array([regime.funding[a] if regime.funding else 0.0 for a in assets])
        for effect in effects:
            match effect:
                case Drift():
                    drift = drift + [value_of(effect.add, a, assets, 0.0) for a in assets]
                case Volatility():
                    volatility = volatility * [value_of(effect.multiply, a, assets, 1.0) for a in assets]
                case Correlation():
                    correlation = blend_correlation(correlation, self._target(effect), effect.blend)
                case Tail():
                    nu = effect.df if nu is None else min(nu, effect.df)
                case Funding():
                    added = [value_of(effect.add, a, assets, 0.0) for a in assets]
                    funding = funding * effect.multiply + added
        return drift, volatility, correlation, nu, funding

    def _bursts(self, effects: tuple[Lasting, ...]) -> Floats:
        """(U, A): log returns of bursts, which only volatility's factors touch, for held assets; a perpetual
        moves with its asset. Zero where history stands in the model's place."""
        assets = self.model.assets
        moves = burst_moves(self.model.bursts, assets)
        for effect in effects:
            if isinstance(effect, Volatility):
                moves = moves * [value_of(effect.multiply, a, assets, 1.0) for a in assets]
        held = np.ascontiguousarray(moves[:, self.columns])
        return np.zeros_like(held) if is_replaced(effects) else held

    def _target(self, effect: Correlation) -> Floats:
        size = len(self.model.assets)
        if effect.target == "one":
            return np.ones((size, size))
        return np.eye(size) if effect.target == "zero" else np.array(effect.target, np.float64)

    def _loading(self, volatility: Floats, correlation: Floats, regime: Regime) -> Floats:
        """(A, F): one step's standard deviations times the correlation's Cholesky factor, for held assets; a
        perpetual's row is its asset's and the shock of its basis."""
        deviation = volatility * sqrt(self.years)
        rows = self._padded(deviation[:, None] * lower_triangle(correlation))
        common = len(volatility)
        for i in range(self.spots, len(self.columns)):
            column = self.columns[i]
            shock = shock_of(basis_of(regime), self.model.assets[column], self.step, deviation[column])
            rows[i] *= 1.0 + shock.tied
            rows[i, common] += shock.pooled
            rows[i, common + 1 + column] += shock.own
        return rows

    def _padded(self, rows: Floats) -> Floats:
        held = rows[self.columns, : self.factors]
        return np.pad(held, ((0, 0), (0, self.factors - held.shape[1])))

    def _jumps(self, jumps: Jumps | None) -> StepJumps:
        size = len(self.columns)
        none, unmoved = np.zeros((size, self.factors)), np.zeros(size)
        if jumps is None:
            return StepJumps(np.ones(1), NORMAL, unmoved, none, np.zeros((size, 3)))
        assets = self.model.assets
        law = poisson_law(jumps.intensity * self.years) if self.tables else SOME_JUMPS
        root = lower_triangle(jumps.correlation_matrix(len(assets)))
        if isinstance(jumps, DoubleExponentialJumps):
            sides = jumps.sides(assets)[self.columns]
            return StepJumps(law, DOUBLE_EXPONENTIAL, unmoved, self._padded(root), sides)
        spread = np.array([jumps.volatility[a] for a in assets])[:, None] * root
        mean = np.array([jumps.mean[a] for a in assets])[self.columns]
        return StepJumps(law, NORMAL, mean, self._padded(spread), np.zeros((size, 3)))


def poisson_law(mean: float) -> Floats:
    """P(at most n), n = 0, 1, ... until what is left out is below `NO_MORE_JUMPS`; the last is 1."""
    from scipy.special import gammainc, gammaincc

    most = 0
    while mean > 0 and gammainc(most + 1, mean) > NO_MORE_JUMPS:
        most += 1
    law = np.ones(most + 1)
    if mean > 0:
        law[:-1] = gammaincc(np.arange(1, most + 1), mean)
    return law


def lower_triangle(correlation: Floats) -> Floats:
    """The Cholesky factor of a positive semidefinite correlation; an asset that follows from others adds 0.

    Row i depends on the first i assets alone, so that an asset's numbers don't depend on those after it.
    """
    factor = np.zeros_like(correlation)
    for j in range(len(correlation)):
        rest = correlation[j:, j] - factor[j:, :j] @ factor[j, :j]
        if rest[0] > SMALLEST_PIVOT:
            factor[j:, j] = rest / sqrt(rest[0])
    return factor
