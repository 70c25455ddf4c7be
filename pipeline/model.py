"""The market model: regimes of volatility, correlation, tails, jumps, funding, and the chain between them."""

from __future__ import annotations

from collections.abc import Iterator
from math import fsum, isfinite, sqrt
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    AfterValidator,
    Field,
    JsonValue,
    PlainValidator,
    TypeAdapter,
    model_validator,
)

from pipeline.bursts import (
    MOST_BURSTS,
    Burst,
    burst_drift,
    burst_products,
    describe_bursts,
)
from pipeline.chain import stationary_law
from pipeline.coherence import find_model_faults
from pipeline.faults import Part, refuse, refuse_value
from pipeline.origin import Origin, read_part
from pipeline.regime import DrawnRegime, Regime, complete_regime
from pipeline.units import Duration, Fraction, Instant, Name, Positive
from pipeline.yaml_text import load_text

MODELS = Path(__file__).parent / "models"

_law = TypeAdapter(dict[str, Fraction])


def _read_initial(value: Any) -> str | dict[str, float]:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return _law.validate_python(value)
    raise refuse_value(
        "`stationary`, `filtered`, a regime's name, or a probability per regime", "write one of these"
    )


def _check_finite(metadata: dict[str, Any]) -> dict[str, Any]:
    stack: list[Any] = [metadata]
    while stack:
        value = stack.pop()
        stack.extend(value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())
        if isinstance(value, float) and not isfinite(value):
            raise refuse_value("finite numbers", "write null where there is no figure")
    return metadata


Calibration = Annotated[dict[str, JsonValue], AfterValidator(_check_finite)]


class Levels(Part):
    """How loud the whole market is: a chain of its own, whose level multiplies every regime's volatility."""

    scale: Annotated[
        dict[str, Annotated[Positive, Field(le=1e3)]], Field(json_schema_extra={"minProperties": 2})
    ]
    transitions: dict[str, dict[str, Fraction]] = Field(default={})


class Filtered(Part):
    """P(regime | prices up to `as_of`), and P(level | regime, the same), as a calibration left them."""

    as_of: Instant
    law: dict[str, Fraction]
    levels: dict[str, dict[str, Fraction]] | None = None


Bursts = Annotated[tuple[Burst, ...], Field(max_length=MOST_BURSTS)]


class DrawnLaw(Part):
    """`Filtered` under a draw's figures, as of the same time."""

    law: dict[str, Fraction]
    levels: dict[str, dict[str, Fraction]] | None = None


class Draw(Part):
    """What the model's figures could have come out as; regimes and levels have the model's names."""

    regimes: Annotated[dict[str, DrawnRegime], Field(min_length=1)]
    transitions: dict[str, dict[str, Fraction]] = Field(default={})
    levels: Levels | None = None
    filtered: DrawnLaw | None = None
    bursts: Bursts | None = None
    """None: the model's own."""


class MarketModel(Part):
    """Correlated assets whose regime is a Markov chain on the model's step.

    Every mapping by asset is complete and in the order of `assets`, every one by regime in that of `regimes`:
    a drift not given is 0, a transition not given has probability 0 (the others sum to 1 without it).
    """

    later_keys: ClassVar[frozenset[str]] = frozenset(("durations",))

    name: Name | None = None
    step: Duration
    assets: Annotated[tuple[Name, ...], Field(min_length=1)]
    returns: Literal["log", "additive"] = "log"
    initial: Annotated[
        str | dict[str, float], PlainValidator(_read_initial, json_schema_input_type=str | dict[str, float])
    ]
    regimes: Annotated[dict[str, Regime], Field(min_length=1)]
    transitions: dict[str, dict[str, Fraction]] = Field(default={})
    levels: Levels | None = None
    bursts: Bursts = ()
    filtered: Filtered | None = None
    calibration: Calibration | None = None
    parameter_draws: Annotated[tuple[Draw, ...], Field(min_length=2)] | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        refuse(find_model_faults(self.document()))
        names = tuple(self.regimes)
        rows = self.transitions or {names[0]: {names[0]: 1.0}}
        object.__setattr__(
            self, "regimes", {k: complete_regime(r, self.assets) for k, r in self.regimes.items()}
        )
        object.__setattr__(self, "transitions", {k: {j: rows[k].get(j, 0.0) for j in names} for k in names})
        if isinstance(self.initial, dict):
            object.__setattr__(self, "initial", {k: self.initial.get(k, 0.0) for k in names})
        if self.levels is not None:
            object.__setattr__(self, "levels", _complete_levels(self.levels))
        object.__setattr__(self, "bursts", tuple(burst.completed(self.assets) for burst in self.bursts))
        return self

    @property
    def regime_names(self) -> tuple[str, ...]:
        """Regimes in their order, which is that of every array by regime."""
        return tuple(self.regimes)

    def transition_matrix(self) -> NDArray[np.float64]:
        """(regime, regime): probability per model step of going from the row's to the column's."""
        return np.array([[row[k] for k in self.regimes] for row in self.transitions.values()], np.float64)

    def stationary_law(self) -> NDArray[np.float64]:
        """(regime,): the law that a step leaves as it is; ValueError where there are several."""
        return stationary_law(self.transition_matrix())

    def initial_law(self) -> NDArray[np.float64]:
        """(regime,): the law of the regime in force over the first step."""
        if self.initial == "stationary":
            return self.stationary_law()
        law: dict[str, float]
        if isinstance(self.initial, dict):
            law = self.initial
        elif self.initial == "filtered" and self.filtered is not None:
            law = self.filtered.law
        else:
            law = {self.initial: 1.0}
        return np.array([law.get(k, 0.0) for k in self.regimes], np.float64)

    @property
    def level_names(self) -> tuple[str, ...]:
        """Levels in their order; one, without a name, where the model has none."""
        return ("",) if self.levels is None else tuple(self.levels.scale)

    def level_scales(self) -> NDArray[np.float64]:
        """(level,): what each multiplies volatilities by."""
        return np.ones(1) if self.levels is None else np.array(list(self.levels.scale.values()), np.float64)

    def level_matrix(self) -> NDArray[np.float64]:
        """(level, level): probability per model step of going from the row's to the column's."""
        if self.levels is None:
            return np.ones((1, 1))
        names = self.level_names
        return np.array([[self.levels.transitions[m][n] for n in names] for m in names], np.float64)

    def state_law(self) -> NDArray[np.float64]:
        """(level, regime): the law of both over the first step, that of `initial_law` over regimes.

        Levels are as filtered where regimes are, and else at their stationary law.
        """
        law = self.initial_law()
        filtered = self.filtered
        if self.initial == "filtered" and filtered is not None and filtered.levels is not None:
            given = [[filtered.levels[k].get(m, 0.0) for k in self.regimes] for m in self.level_names]
            return np.asarray(np.array(given, np.float64) * law)
        return np.outer(stationary_law(self.level_matrix()), law)

    def initial_variance(self) -> NDArray[np.float64]:
        """(regime,): the mean square of the level's scale over the first step, given the regime."""
        states = self.state_law()
        law = states.sum(axis=0)
        flat = states.sum(axis=1)
        given = np.where(law > 0.0, states / np.where(law > 0.0, law, 1.0), flat[:, None])
        return np.asarray(self.level_scales() ** 2 @ given)

    def stationary_variance(self) -> float:
        """The mean square of the level's scale in the long run."""
        return float(stationary_law(self.level_matrix()) @ self.level_scales() ** 2)

    def stationary_scale(self) -> float:
        """The mean of the level's scale in the long run."""
        return float(stationary_law(self.level_matrix()) @ self.level_scales())

    def total_drift(self, regime: str) -> dict[str, float]:
        """A regime's drift of the log price by asset, jumps and bursts included, the latter at the mean of
        the level's scale in the long run."""
        added = self.stationary_scale() * burst_drift(self.bursts, self.assets, self.step)
        own = self.regimes[regime].total_drift()
        return {asset: own[asset] + more for asset, more in zip(self.assets, added.tolist(), strict=True)}

    def total_volatility(self, regime: str) -> dict[str, float]:
        """A regime's volatility by asset, jumps and bursts included, the latter at the mean square of the
        level's scale in the long run."""
        found = self.regimes[regime]
        products = burst_products(self.bursts, self.assets, self.step, found.tail)
        added = self.stationary_variance() * np.diagonal(products)
        own = found.total_volatility()
        return {
            asset: sqrt(own[asset] ** 2 + more)
            for asset, more in zip(self.assets, added.tolist(), strict=True)
        }

    @property
    def added_moves(self) -> str:
        """What moves prices beside drift and diffusion, in words; nothing where nothing does."""
        jumps = any(regime.jumps is not None for regime in self.regimes.values())
        return " and ".join(word for word, there in (("jumps", jumps), ("bursts", self.bursts)) if there)

    @property
    def has_wicks(self) -> bool:
        """Whether `monitoring: wick` has anything to go by: all regimes have wicks, or none."""
        return all(regime.wick is not None for regime in self.regimes.values())

    def drawn(self, number: int) -> MarketModel:
        """The model with the figures of one of its draws in place of its own."""
        assert self.parameter_draws is not None
        draw = self.parameter_draws[number].document()
        model = self.model_copy(update={"parameter_draws": None}).document()
        regimes = {name: {**regime, **draw["regimes"][name]} for name, regime in model["regimes"].items()}
        filtered = None if model["filtered"] is None else {**model["filtered"], **draw["filtered"]}
        if draw["bursts"] is None:
            del draw["bursts"]
        if draw["levels"] is not None:  # the order of levels decides which random numbers they get
            scale = draw["levels"]["scale"]
            draw["levels"]["scale"] = {name: scale[name] for name in self.level_names}
        return MarketModel.model_validate({**model, **draw, "regimes": regimes, "filtered": filtered})

    def regime_named(self, name: str) -> str:
        """A regime by its name, or `calmest`, `wildest`: the least, greatest sum of squared volatilities."""
        if name not in ("calmest", "wildest"):
            return name
        variance = {k: fsum(v * v for v in r.volatility.values()) for k, r in self.regimes.items()}
        chosen = min if name == "calmest" else max
        return chosen(variance, key=lambda k: variance[k])


def _complete_levels(levels: Levels) -> Levels:
    names = tuple(levels.scale)
    rows = levels.transitions or {names[0]: {names[0]: 1.0}}
    return levels.model_copy(
        update={"transitions": {m: {n: rows[m].get(n, 0.0) for n in names} for m in names}}
    )


def list_totals(model: MarketModel) -> Iterator[str]:
    """A line for each regime with jumps, or with bursts, which all have: drift and volatility with them
    counted in. Then a line for each burst."""
    for name, regime in model.regimes.items():
        if regime.jumps is not None or model.bursts:
            drift, volatility = model.total_drift(name), model.total_volatility(name)
            told = ", ".join(f"{a} {drift[a]:.4g} and {volatility[a]:.4g}" for a in model.assets)
            yield f"regime {name}, drift and volatility a year with {model.added_moves}: {told}"
    yield from describe_bursts(model.bursts)


def complete_model(document: Any) -> Any:
    """A model's document that says where its chain starts: filtered if it has such a law, else stationary."""
    if isinstance(document, dict) and "initial" not in document:
        return {**document, "initial": "filtered" if document.get("filtered") else "stationary"}
    return document


def load_model(name: str) -> MarketModel:
    """The shipped model of that name; PlanError with what is wrong."""
    path = MODELS / f"{name}.yaml"
    text = load_text(path)
    return model_from_document(text.content, name, Origin(path.name, text.lines))


def model_from_document(document: Any, name: str | None = None, origin: Origin | None = None) -> MarketModel:
    """A model from plain data, as in a plan's `model:`; PlanError with everything that is wrong with it."""
    document = complete_model(document)
    if isinstance(document, dict) and name is not None:
        document = {"name": name, **document}
    return read_part(MarketModel, document, find_model_faults, origin or Origin("model", {}))
