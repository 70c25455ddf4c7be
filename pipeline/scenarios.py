"""Scenarios: what happens to the market beside its model, as data laid over time. They never edit a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from math import exp, log1p
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PlainSerializer, PlainValidator, TypeAdapter

from pipeline.faults import Fault, Loc, Part, unknown
from pipeline.matrices import CorrelationRows, Rows, definiteness_fault, plain_rows
from pipeline.origin import Origin, read_part
from pipeline.units import Delay, Duration, Finite, Fraction, Name, NonNegativePerAsset, PerAsset
from pipeline.yaml_text import load_text

SCENARIOS = Path(__file__).parent / "scenarios"
WILDEST_SHOCK = 10.0  # in logs
# designed, not shipped yet
LATER = frozenset(
    (
        *("gap-up-20", "flash-crash", "funding-flip", "basis-blowout", "liquidity-blackout", "oracle-lag"),
        *("oracle-outlier", "chain-halt", "gas-spike", "stablecoin-depeg", "alt-collapse"),
    )
)
_LATER_EFFECTS = frozenset(
    (
        *("basis", "depth", "oracle", "halt", "gas", "depeg", "loss"),
        *("implied_volatility", "event", "replay", "wick"),
    )
)

_rows = TypeAdapter(CorrelationRows)
_word = TypeAdapter(Literal["one", "zero"])
Target = Literal["one", "zero"] | Rows


def _read_target(value: Any) -> Target:
    return _rows.validate_python(value) if isinstance(value, list | tuple) else _word.validate_python(value)


class _Effect(Part):
    """One change: it begins `at` after `as_of` and lasts `for` (`for_` in Python; None: to the end)."""

    later_keys: ClassVar[frozenset[str]] = frozenset(("decay", "beta", "from", "probability"))
    later_values: ClassVar[Mapping[str, frozenset[str]]] = {"effect": _LATER_EFFECTS}

    at: Delay = timedelta(0)
    for_: Duration | None = Field(default=None, alias="for")


class Shock(_Effect):
    """An instant move of prices at `at`: a simple one (-0.10 takes a tenth off) or a log one.

    The key `all` moves every asset that has no key of its own. `for` has no meaning here: a shock stays.
    """

    effect: Literal["shock"]
    moves: Annotated[dict[str, Finite], Field(min_length=1)]
    as_: Literal["percent", "log"] = Field(default="percent", alias="as")


class Drift(_Effect):
    """Annualised drift of the log price, added to the model's."""

    effect: Literal["drift"]
    add: PerAsset


class Volatility(_Effect):
    """A factor on the model's volatilities."""

    effect: Literal["volatility"]
    multiply: NonNegativePerAsset


class ForcedRegime(_Effect):
    """A regime forced by name, `calmest` or `wildest`; with `start_only` the chain only starts there."""

    effect: Literal["regime"]
    force: Name
    start_only: Annotated[bool, Field(strict=True)] = False


class Correlation(_Effect):
    """Correlations blended towards a target: (1 - blend) R + blend T, which stays positive semidefinite."""

    effect: Literal["correlation"]
    target: Annotated[
        Target, PlainValidator(_read_target, json_schema_input_type=Target), PlainSerializer(plain_rows)
    ]
    blend: Fraction


class Tail(_Effect):
    """Heavier tails: degrees of freedom become min(nu, df), and Gaussian regimes become df."""

    effect: Literal["tail"]
    df: Annotated[float, Field(strict=True, gt=2, allow_inf_nan=False)]


class Funding(_Effect):
    """Annualised funding: the model's times `multiply`, plus `add`."""

    effect: Literal["funding"]
    add: PerAsset = Field(default={"all": 0.0})
    multiply: Finite = 1.0


Effect = Annotated[
    Shock | Drift | Volatility | ForcedRegime | Correlation | Tail | Funding, Field(discriminator="effect")
]


class Scenario(Part):
    """A named storm: a sentence that tells it, its source, and its effects (none in the baseline)."""

    name: Name
    narrative: Annotated[str, Field(strict=True, min_length=1)]
    kind: Name = "hypothetical"
    source: Annotated[str, Field(strict=True)] | None = None
    effects: tuple[Effect, ...] = ()


def load_scenario(name: str) -> Scenario:
    """The shipped scenario of that name; PlanError with what is wrong."""
    path = SCENARIOS / f"{name}.yaml"
    text = load_text(path)
    return read_part(Scenario, text.content, lambda _: (), Origin(path.name, text.lines))


def find_scenario_faults(
    scenario: dict[str, Any], assets: Sequence[str] | None, regimes: Iterable[str] | None
) -> Iterator[Fault]:
    """What is wrong between a scenario's effects and the model they touch; None where that is not known."""
    effects = scenario.get("effects", ())
    if scenario.get("name") == "baseline" and effects:
        yield Fault(
            ("effects",),
            "no effects: the baseline is the model as it is",
            f"{len(effects)}",
            "give it another name",
        )
    for i, effect in enumerate(effects):
        loc: Loc = ("effects", i)
        kind = effect.get("effect")
        if assets is not None:
            for field in ("moves", "add", "multiply"):
                yield from _asset_faults((*loc, field), effect.get(field), assets)
        if kind == "shock":
            yield from _shock_faults(loc, effect)
        if kind == "regime" and regimes is not None and effect.get("force") is not None:
            known = ["calmest", "wildest", *regimes]
            if effect["force"] not in known:
                yield unknown(
                    (*loc, "force"), "`calmest`, `wildest` or a regime of the model", effect["force"], known
                )
        target = effect.get("target")
        if kind == "correlation" and assets is not None and isinstance(target, list | tuple):
            if len(target) != len(assets):
                got, fix = f"{len(target)}", "give one row and column per asset of the model, in their order"
                yield Fault((*loc, "target"), f"{len(assets)} rows, one for each asset", got, fix)
            yield from definiteness_fault((*loc, "target"), target, assets, "correct the figures")


def _asset_faults(loc: Loc, values: Any, assets: Sequence[str]) -> Iterator[Fault]:
    for asset in values if isinstance(values, dict) else ():
        if asset != "all" and asset not in assets:
            yield unknown((*loc, asset), "`all` or an asset of the model", asset, ["all", *assets])


def _shock_faults(loc: Loc, effect: dict[str, Any]) -> Iterator[Fault]:
    if effect.get("for") is not None:
        yield Fault((*loc, "for"), "no `for` on a shock: it is instant and stays", "one", "remove it")
    for asset, move in effect.get("moves", {}).items():
        percent = effect.get("as", "percent") == "percent"
        if (move > -1 or not percent) and abs(log1p(move) if percent else move) > WILDEST_SHOCK:
            expected = f"a move by a factor of at most {exp(WILDEST_SHOCK):,.0f}, up or down"
            yield Fault((*loc, "moves", asset), expected, f"{move:g}", "check the unit: percent or log")
        if percent and move <= -1:
            fix = "write -0.10 for a fall of 10 percent, or say `as: log`"
            yield Fault(
                (*loc, "moves", asset), "a simple move above -1, so that a price is left", f"{move:g}", fix
            )
