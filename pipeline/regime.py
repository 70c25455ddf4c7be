"""One regime of a market model: volatility, correlation, tails, jumps, wicks, and states beside prices."""

from __future__ import annotations

from math import sqrt
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from pipeline.correlation import PSD_TOLERANCE, nearest_correlation, smallest_eigenvalue
from pipeline.faults import Part, refuse_value
from pipeline.jumps import Jumps
from pipeline.matrices import CorrelationRows
from pipeline.reversion import Reversion, RevertingState
from pipeline.units import Finite, Fraction, NonNegative, Positive

# Far beyond any market, and small enough that nothing overflows.
Volatility = Annotated[NonNegative, Field(le=1e3)]
Rate = Annotated[Finite, Field(ge=-1e6, le=1e6)]
Depth = Annotated[Positive, Field(le=1e3)]
Tail = Annotated[float, Field(strict=True, gt=2, allow_inf_nan=False)]


class Excursions(Part):
    """How far prices go beyond the ends of a model step, one way, in its standard deviations.

    Not at all but with a probability; then scale x (u^-tail - 1) / tail, u uniform: generalised Pareto, an
    exponential where the tail is 0. Times exp(lean y), y the step's return that way in standard deviations
    of regime and level. `common` correlates the normals behind any two assets' wicks.
    """

    common: Fraction
    probability: dict[str, Fraction]
    scale: dict[str, Annotated[NonNegative, Field(le=1e3)]]
    tail: dict[str, Annotated[NonNegative, Field(le=1)]]
    lean: dict[str, Annotated[NonNegative, Field(le=1)]] = Field(default={})


class Wick(Part):
    """What prices do within a step beyond a bridge, and take back: down and up."""

    down: Excursions
    up: Excursions


class Regime(Part):
    """One state of the market. Volatility, drift of the log price and funding are annualised fractions.

    `correlation` is in the order of the model's assets. `tail` is the Student-t's degrees of freedom, None
    for Gaussian; `funding` None is not modelled. It is a constant of the regime, or, with `funding_process`,
    the level that the rate reverts to. `basis` is the log of a perpetual's price over the asset's. Levels of
    `implied_volatility` are of options' underlyings, its deviations of logs. `depth` is that of books, as a
    multiple of the usual. With `repair: nearest` a correlation that is not positive semidefinite is replaced
    by the nearest that is; `repair_distance` (Frobenius) says how far that was.
    """

    later_keys: ClassVar[frozenset[str]] = frozenset(("duration",))

    volatility: dict[str, Volatility]
    drift: dict[str, Rate] = Field(default={})
    correlation: CorrelationRows = ()
    funding: dict[str, Rate] | None = None
    funding_process: Reversion | None = None
    basis: RevertingState | None = None
    implied_volatility: RevertingState | None = None
    depth: dict[str, Depth] | None = None
    tail: Tail | None = None
    jumps: Jumps | None = None
    wick: Wick | None = None
    repair: Literal["nearest"] | None = None
    repair_distance: NonNegative | None = None

    def total_drift(self) -> dict[str, float]:
        """Drift of the log price by asset, jumps included."""
        if self.jumps is None:
            return self.drift
        mean = self.jumps.moments(tuple(self.drift)).mean
        rates = zip(self.drift.items(), mean.tolist(), strict=True)
        return {asset: drift + self.jumps.intensity * jump for (asset, drift), jump in rates}

    def total_volatility(self) -> dict[str, float]:
        """Volatility by asset, jumps included."""
        if self.jumps is None:
            return self.volatility
        squares = self.jumps.moments(tuple(self.volatility)).square
        rates = zip(self.volatility.items(), squares.tolist(), strict=True)
        return {asset: sqrt(own**2 + self.jumps.intensity * square) for (asset, own), square in rates}

    @model_validator(mode="after")
    def _repair(self) -> Self:
        if self.repair and self.correlation and smallest_eigenvalue(self.correlation) < -PSD_TOLERANCE:
            try:
                matrix, distance = nearest_correlation(self.correlation)
            except RuntimeError as error:
                raise refuse_value(
                    "a correlation that can be repaired", f"correct the figures: {error}"
                ) from None
            # the one moment at which the part is not yet anyone's: it is immutable from here on
            object.__setattr__(self, "correlation", tuple(map(tuple, matrix.tolist())))
            object.__setattr__(self, "repair_distance", distance)
        return self


class DrawnRegime(Part):
    """The figures of a regime that a draw has of its own; all else is the model's."""

    volatility: dict[str, Volatility]
    drift: dict[str, Rate] = Field(default={})
    correlation: CorrelationRows = ()
    funding: dict[str, Rate] | None = None
    tail: Tail | None = None


def complete_regime(regime: Regime, assets: tuple[str, ...]) -> Regime:
    """The regime with every mapping in the order of the assets; a drift not given is 0."""
    process, implied = regime.funding_process, regime.implied_volatility
    return regime.model_copy(
        update={
            "volatility": {a: regime.volatility[a] for a in assets},
            "drift": {a: regime.drift.get(a, 0.0) for a in assets},
            "funding": None if regime.funding is None else {a: regime.funding[a] for a in assets},
            "funding_process": None if process is None else process.completed(assets),
            "basis": None if regime.basis is None else regime.basis.completed(assets),
            "implied_volatility": None if implied is None else implied.completed(assets),
            "depth": None if regime.depth is None else {a: regime.depth[a] for a in assets},
            "correlation": regime.correlation or ((1.0,),),
            "jumps": None if regime.jumps is None else regime.jumps.ordered(assets),
            "wick": None if regime.wick is None else _complete_wick(regime.wick, assets),
        }
    )


def _complete_wick(wick: Wick, assets: tuple[str, ...]) -> Wick:
    ways = {"down": wick.down, "up": wick.up}
    return wick.model_copy(
        update={
            name: way.model_copy(
                update={
                    "probability": {a: way.probability[a] for a in assets},
                    "scale": {a: way.scale[a] for a in assets},
                    "tail": {a: way.tail[a] for a in assets},
                    "lean": {a: way.lean.get(a, 0.0) for a in assets},
                }
            )
            for name, way in ways.items()
        }
    )
