"""What a model says of a state beside prices that reverts to a level: a funding rate, say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import Field

from pipeline.faults import Fault, Part
from pipeline.units import Duration, Finite, Fraction, NonNegative

STATES = ("basis", "implied_volatility")  # keys of a regime that hold a state with its level
Deviation = Annotated[NonNegative, Field(le=1e6)]
Tie = Annotated[float, Field(strict=True, ge=-1, le=1, allow_inf_nan=False)]


class Reversion(Part):
    """How a state of each asset comes back to its level while one regime holds.

    `half_life` of its distance from the level; `deviation` from it in the long run (standard deviation);
    `correlation` of its shocks with the asset's returns, jumps apart; `common`, the correlation of what is
    left of the shocks between any two assets.
    """

    half_life: dict[str, Duration]
    deviation: dict[str, Deviation]
    correlation: dict[str, Tie] = Field(default={})
    common: Fraction = 0.0

    def completed(self, assets: Sequence[str]) -> Self:
        """With every mapping in the order of the model's assets; a correlation not given is 0."""
        return self.model_copy(
            update={
                "half_life": {a: self.half_life[a] for a in assets},
                "deviation": {a: self.deviation[a] for a in assets},
                "correlation": {a: self.correlation.get(a, 0.0) for a in assets},
            }
        )


class RevertingState(Reversion):
    """A state that reverts, with the level that it comes back to."""

    level: dict[str, Annotated[Finite, Field(ge=-1e6, le=1e6)]]

    def completed(self, assets: Sequence[str]) -> Self:
        """With every mapping in the order of the model's assets, as far as there is a level of theirs."""
        assets = [a for a in assets if a in self.level]
        level = {a: self.level[a] for a in assets}
        return super().completed(assets).model_copy(update={"level": level})


def mappings_of(
    key: str, state: Mapping[str, Any] | None, *, of_some: bool = False
) -> Iterator[tuple[tuple[str, str], Any, bool]]:
    """What a regime's document has by asset under a key: where, the mapping, whether it must be whole."""
    for name, whole in (("level", True), ("half_life", True), ("deviation", True), ("correlation", False)):
        yield (key, name), (state or {}).get(name), whole and not of_some


def find_reversion_faults(regimes: Mapping[str, Mapping[str, Any]]) -> Iterator[Fault]:
    """States that some regimes have and others don't, and funding that reverts to no level."""
    for key in ("funding_process", *STATES):
        having = [name for name, regime in regimes.items() if regime.get(key) is not None]
        for name in regimes if having else ():
            if name not in having:
                expected, fix = (
                    f"one in every regime, as in {having[0]}",
                    "add it, or leave it out everywhere",
                )
                yield Fault(("regimes", name, key), expected, "none", fix)
    yield from _underlying_faults(regimes)
    for name, regime in regimes.items():
        if regime.get("funding_process") is not None and regime.get("funding") is None:
            expected = "the level that `funding_process` reverts to"
            yield Fault(("regimes", name, "funding"), expected, "none", "add `funding:`")


def _underlying_faults(regimes: Mapping[str, Mapping[str, Any]]) -> Iterator[Fault]:
    """Implied volatilities that lack a figure, here or in another regime, or that are not positive."""
    states = {name: regime.get("implied_volatility") or {} for name, regime in regimes.items()}
    underlyings = dict.fromkeys(asset for state in states.values() for asset in state.get("level", ()))
    for name, state in states.items():
        for key in ("level", "half_life", "deviation") if state else ():
            for asset in underlyings if key in state else ():
                if asset not in state[key]:
                    loc = ("regimes", name, "implied_volatility", key, asset)
                    yield Fault(
                        loc, "a value for each underlying, in every regime", "none", f"add `{asset}:`"
                    )
        for asset, level in state.get("level", {}).items():
            if level <= 0:
                loc = ("regimes", name, "implied_volatility", "level", asset)
                yield Fault(loc, "an annualised volatility above zero", f"{level:g}", "write 0.55 for 55 %")
