"""Jumps that arrive for all assets at once: the law of their sizes, and what they add to moments."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Discriminator, Field, PlainSerializer, PlainValidator, Tag, TypeAdapter

from pipeline.faults import Part
from pipeline.matrices import CorrelationRows, Rows, plain_rows
from pipeline.units import Finite, Fraction, NonNegative

Floats = NDArray[np.float64]

# Of normal scores: a grid, and how many Hermite polynomials the law of two jumps is spelled out in.
_FURTHEST, _CELLS, _TERMS = 9.0, 18_000, 200

_rows = TypeAdapter(CorrelationRows)
_one = TypeAdapter(Annotated[float, Field(strict=True, ge=-1, le=1, allow_inf_nan=False)])


def _read_correlation(value: Any) -> float | Rows:
    return _rows.validate_python(value) if isinstance(value, list | tuple) else _one.validate_python(value)


class Moments(NamedTuple):
    """Of one jump: means of each asset's log move (A,) and of its square (A,)."""

    mean: Floats
    square: Floats


class _Jumps(Part):
    """Arrivals a year, for all assets together. Mappings by asset hold the law of each one's log move."""

    law: str
    intensity: Annotated[NonNegative, Field(le=1e5)]
    correlation: Annotated[
        float | Rows,
        PlainValidator(_read_correlation, json_schema_input_type=float | Rows),
        PlainSerializer(plain_rows),
    ] = 0.0

    def ordered(self, assets: Sequence[str]) -> Self:
        """The same jumps, every mapping in the order of the assets."""
        return self.model_copy(
            update={
                name: {asset: values[asset] for asset in assets}
                for name, values in self
                if isinstance(values, dict)
            }
        )

    def correlation_matrix(self, size: int) -> Floats:
        """(A, A): `correlation`, be it a matrix or one number for all pairs."""
        given = self.correlation
        if isinstance(given, float | int):
            return np.where(np.eye(size) > 0, 1.0, given)
        return np.array(given, np.float64)


class NormalJumps(_Jumps):
    """Log moves that are normal together (Merton 1976): mean, standard deviation and correlation."""

    law: Literal["normal"] = "normal"
    mean: dict[str, Annotated[Finite, Field(ge=-20, le=20)]]
    volatility: dict[str, Annotated[NonNegative, Field(le=20)]]

    def moments(self, assets: Sequence[str]) -> Moments:
        """m and m^2 + d^2."""
        mean, deviation = self._columns(assets)
        return Moments(mean, mean**2 + deviation**2)

    def products(self, assets: Sequence[str]) -> Floats:
        """(A, A): means of the product of two assets' moves, m m' + D R D."""
        mean, deviation = self._columns(assets)
        covariance = np.outer(deviation, deviation) * self.correlation_matrix(len(assets))
        return np.asarray(np.outer(mean, mean) + covariance)

    def _columns(self, assets: Sequence[str]) -> tuple[Floats, Floats]:
        return np.array([self.mean[a] for a in assets]), np.array([self.volatility[a] for a in assets])


class DoubleExponentialJumps(_Jumps):
    """Log moves that are double exponential (Kou 2002): up with a probability, and else down.

    Either way exponential, with the mean of that way, above zero for down too: 1 / eta in Kou's notation.
    `correlation` is that of the normals whose quantiles the assets' moves take: at 1 all go the same way, by
    the same quantile; at 0 each draws its own.
    """

    law: Literal["double_exponential"]
    up_probability: dict[str, Fraction]
    up_mean: dict[str, Annotated[NonNegative, Field(le=20)]]
    down_mean: dict[str, Annotated[NonNegative, Field(le=20)]]

    def moments(self, assets: Sequence[str]) -> Moments:
        """p u - q d and 2 p u^2 + 2 q d^2: p, q of going up and down, u, d the means of each way."""
        up, up_mean, down_mean = self.sides(assets).T
        square = 2.0 * (up * up_mean**2 + (1.0 - up) * down_mean**2)
        return Moments(up * up_mean - (1.0 - up) * down_mean, square)

    def products(self, assets: Sequence[str]) -> Floats:
        """(A, A): means of the product of two assets' moves, by Mehler's series.

        That is the sum over n of rho^n c_n c'_n, with c_n the mean of a move times the n-th Hermite
        polynomial of its normal, scaled to variance 1.
        """
        terms = np.array([_hermite_terms(*side) for side in self.sides(assets).tolist()])
        rho = self.correlation_matrix(len(assets))
        products, power = np.zeros_like(rho), np.ones_like(rho)
        for term in terms.T:
            products += power * np.outer(term, term)
            power = power * rho
        np.fill_diagonal(products, self.moments(assets).square)
        return products

    def sides(self, assets: Sequence[str]) -> Floats:
        """(A, 3): probability of up, mean up, mean down."""
        return np.array([[self.up_probability[a], self.up_mean[a], self.down_mean[a]] for a in assets])


def _hermite_terms(up: float, up_mean: float, down_mean: float) -> Floats:
    """(TERMS,): means of a double-exponential move times the Hermite polynomials of its normal score."""
    from scipy.special import log_ndtr, ndtr

    z = np.linspace(-_FURTHEST, _FURTHEST, _CELLS + 1)
    with np.errstate(divide="ignore"):
        rise, fall = np.log(up) - log_ndtr(-z), np.log(1.0 - up) - log_ndtr(z)
    move = np.where(ndtr(-z) < up, up_mean * np.maximum(rise, 0.0), -down_mean * np.maximum(fall, 0.0))
    weighted = move * np.exp(-0.5 * z * z) * (z[1] - z[0]) / sqrt(2.0 * np.pi)
    terms = np.empty(_TERMS)
    before, here = np.zeros_like(z), np.ones_like(z)
    for n in range(_TERMS):
        terms[n] = weighted @ here
        before, here = here, (z * here - sqrt(n) * before) / sqrt(n + 1.0)
    return terms


def _law_of(jumps: Any) -> str:
    """What the jumps say of their law; normal where they say nothing."""
    law = jumps.get("law", "normal") if isinstance(jumps, dict) else getattr(jumps, "law", "normal")
    return law if isinstance(law, str) else ""


Jumps = Annotated[
    Annotated[NormalJumps, Tag("normal")] | Annotated[DoubleExponentialJumps, Tag("double_exponential")],
    Discriminator(_law_of),
]
