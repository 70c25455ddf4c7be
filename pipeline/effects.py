"""Effects: the changes that a scenario lays over the market, the venue or collateral, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal, Self, cast

from pydantic import Field, PlainSerializer, PlainValidator, TypeAdapter, model_validator

from pipeline.correlation import PSD_TOLERANCE, nearest_correlation, smallest_eigenvalue
from pipeline.faults import Part, refuse_value
from pipeline.matrices import CorrelationRows, Rows, plain_rows
from pipeline.units import (
    Delay,
    Duration,
    Finite,
    Fraction,
    Instant,
    Name,
    NonNegative,
    NonNegativePerAsset,
    PerAsset,
    Positive,
)

# Keys that stand for several assets, so that a scenario fits any model; the narrower one goes first.
FIRST, MAJORS, ALTS, ALL = "first", "majors", "alts", "all"
CLASSES = (FIRST, MAJORS, ALTS, ALL)
MAJOR_ASSETS = ("BTC", "ETH")
QUOTE = "quote"  # as the asset of a de-peg: the quote currency of each account's venue

_LATER_EFFECTS = frozenset(("wick",))

_rows = TypeAdapter(CorrelationRows)
Target = Literal["one", "zero"] | Rows


def _read_target(value: Any) -> Target:
    if isinstance(value, list | tuple):
        return _rows.validate_python(value)
    if value == "one" or value == "zero":
        return cast(Target, value)
    raise refuse_value("one, zero, or a matrix: a list of rows", "write one of them")


def classes_of(asset: str, assets: Sequence[str]) -> tuple[str, ...]:
    """The classes that an asset of a model belongs to, narrowest first."""
    first = (FIRST,) if asset == assets[0] else ()
    return (*first, MAJORS if asset in MAJOR_ASSETS else ALTS, ALL)


def value_of(values: Mapping[str, float], asset: str, assets: Sequence[str], default: float) -> float:
    """What a mapping by asset or class has for an asset of a model: under its own name, else its narrowest
    class, else the default."""
    found = (values[key] for key in (asset, *classes_of(asset, assets)) if key in values)
    return next(found, default)


class _Effect(Part):
    """One change: it begins `at` after `as_of` and lasts `for` (`for_` in Python; None: to the end)."""

    later_keys: ClassVar[frozenset[str]] = frozenset(("from",))
    later_values: ClassVar[Mapping[str, frozenset[str]]] = {"effect": _LATER_EFFECTS}

    at: Delay = timedelta(0)
    for_: Duration | None = Field(default=None, alias="for")


class Shock(_Effect):
    """An instant move of prices at `at`: a simple one (-0.10 takes a tenth off) or a log one.

    The key `all` moves every asset that has no key of its own. With `beta`, an asset that `moves` names,
    every other asset without a key moves by its beta to that one times its log move (`pipeline.betas`). With
    `stagger` the assets moved fall one after another in the model's order, that long apart. `for` has no
    meaning here: a shock stays.
    """

    effect: Literal["shock"]
    moves: Annotated[dict[str, Finite], Field(min_length=1)]
    as_: Literal["percent", "log"] = Field(default="percent", alias="as")
    beta: Name | None = None
    stagger: Duration | None = None


class Event(_Effect):
    """An instant move whose sign each path draws: up by `up` with that probability, else down by `down`.

    Both are log moves. With `spread` v the size is drawn too, the same for all assets: times
    exp(v z - v^2/2), z normal, whose mean is 1.
    """

    effect: Literal["event"]
    up: PerAsset
    down: PerAsset
    probability: Fraction = 0.5
    spread: Annotated[NonNegative, Field(le=3)] = 0.0


class Drift(_Effect):
    """Annualised drift of the log price, added to the model's."""

    effect: Literal["drift"]
    add: PerAsset


class Volatility(_Effect):
    """A factor on the model's volatilities; with `decay`, the half-life of what it is above or below 1."""

    effect: Literal["volatility"]
    multiply: NonNegativePerAsset
    decay: Duration | None = None


class ForcedRegime(_Effect):
    """A regime forced by name, `calmest` or `wildest`; with `start_only` the chain only starts there."""

    effect: Literal["regime"]
    force: Name
    start_only: Annotated[bool, Field(strict=True)] = False


class Correlation(_Effect):
    """Correlations blended towards a target: (1 - blend) R + blend T, which stays positive semidefinite.

    With `repair: nearest` a target that is not positive semidefinite gives way to the nearest that is;
    `repair_distance` (Frobenius) says how far that was.
    """

    effect: Literal["correlation"]
    target: Annotated[
        Target, PlainValidator(_read_target, json_schema_input_type=Target), PlainSerializer(plain_rows)
    ]
    blend: Fraction
    repair: Literal["nearest"] | None = None
    repair_distance: NonNegative | None = None

    @model_validator(mode="after")
    def _repair(self) -> Self:
        if self.repair and not isinstance(self.target, str):
            if smallest_eigenvalue(self.target) >= -PSD_TOLERANCE:
                return self
            try:
                matrix, distance = nearest_correlation(self.target)
            except RuntimeError as error:
                expected, fix = "a correlation that can be repaired", f"correct the figures: {error}"
                raise refuse_value(expected, fix) from None
            # the one moment at which the part is not yet anyone's: it is immutable from here on
            object.__setattr__(self, "target", tuple(map(tuple, matrix.tolist())))
            object.__setattr__(self, "repair_distance", distance)
        return self


class Tail(_Effect):
    """Heavier tails: degrees of freedom become min(nu, df), and Gaussian regimes become df."""

    effect: Literal["tail"]
    df: Annotated[float, Field(strict=True, gt=2, allow_inf_nan=False)]


class Funding(_Effect):
    """Annualised funding: the model's times `multiply`, plus `add`; with `decay`, the half-life of both."""

    effect: Literal["funding"]
    add: PerAsset = Field(default={"all": 0.0})
    multiply: Finite = 1.0
    decay: Duration | None = None


class Basis(_Effect):
    """Perpetuals off their asset's price by a fraction more than the model has them; `decay` as above.

    It moves what is marked at the perpetual's own price: on tiered venues, not at dydx_v4's oracle prices.
    """

    effect: Literal["basis"]
    add: PerAsset
    decay: Duration | None = None


class ImpliedVolatility(_Effect):
    """Implied volatility: the model's times `multiply`, plus `add` (annualised); `decay` as above.

    Nothing in a run reads it yet: it is in simulated paths (`pipeline.paths`).
    """

    effect: Literal["implied_volatility"]
    add: PerAsset = Field(default={"all": 0.0})
    multiply: NonNegativePerAsset = Field(default={"all": 1.0})
    decay: Duration | None = None


class Depth(_Effect):
    """A factor on the depth of order books; `decay` as above. Read where what follows a breach is resolved,
    of markets that state their `execution`, and in simulated paths."""

    effect: Literal["depth"]
    multiply: NonNegativePerAsset
    decay: Duration | None = None


class Gas(_Effect):
    """Cost of every action of a desk times `multiply`, and later by `delay`: where policies are followed.

    Of effects that hold together factors multiply and delays add up.
    """

    effect: Literal["gas"]
    multiply: NonNegative = 1.0
    delay: Delay = timedelta(0)


class Replay(_Effect):
    """Historical log returns, one a simulation step, on top of the model's (`add`) or instead (`replace`).

    People write the files and the window; `pipeline.scenario_parts` puts the returns in their place. An asset
    held that has none moves by its beta to the asset `beta`, where `missing` is `beta`.
    """

    effect: Literal["replay"]
    mode: Literal["replace", "add"] = "replace"
    start: Instant
    end: Instant
    returns: dict[str, tuple[Finite, ...]] = Field(default={})
    missing: Literal["refuse", "beta"] = "refuse"
    beta: Name | None = None
    source: Annotated[str, Field(strict=True)] | None = None


class Depeg(_Effect):
    """Collateral off its peg: an asset of the model moves by `move` for the window, and back at its end.

    For the quote currency (its name, or `quote`): the cash of accounts counts at 1 + move of its amount.
    """

    effect: Literal["depeg"]
    asset: Name
    move: Annotated[Finite, Field(gt=-1, le=10)]


class Loss(_Effect):
    """A share of the cash of accounts (all, or those named) gone at `at`; with `for`, back after that."""

    effect: Literal["loss"]
    share: Fraction
    accounts: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None


class Halt(_Effect):
    """Chain or venue stand still: no account is looked at within the window, all are at its end."""

    effect: Literal["halt"]


class Sources(Part):
    """How many sources an oracle takes the median of, and how many of them are wrong."""

    of: Annotated[int, Field(strict=True, ge=1)]
    wrong: Annotated[int, Field(strict=True, ge=1)]


class Oracle(_Effect):
    """What the venue sees is not what is: one of `delay`, `freeze` and `multiply`.

    delay: accounts are judged that much later, on what was. freeze: on nothing new until the end. multiply:
    on prices off by these factors, as far as a median over `sources`, a wait to `confirm` or an `average`
    over time let it through (`pipeline.outliers`).
    """

    effect: Literal["oracle"]
    delay: Duration | None = None
    freeze: Annotated[bool, Field(strict=True)] = False
    multiply: Annotated[dict[str, Positive], Field(min_length=1)] | None = None
    sources: Sources | None = None
    confirm: Delay = timedelta(0)
    average: Duration | None = None


Effect = Annotated[
    Shock
    | Event
    | Drift
    | Volatility
    | ForcedRegime
    | Correlation
    | Tail
    | Funding
    | Basis
    | ImpliedVolatility
    | Depth
    | Gas
    | Replay
    | Depeg
    | Loss
    | Halt
    | Oracle,
    Field(discriminator="effect"),
]
