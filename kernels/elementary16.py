"""Logarithm, exponential, sine and cosine of sixteen float32 at a time.

Polynomials of least greatest relative error on their interval (a weighted least-squares fit, Lawson 1961),
rounded to float32; every bound below is measured over the whole range by the tests.
"""

from __future__ import annotations

import math

from kernels.jit import inlined
from kernels.simd import (
    Vector,
    bits,
    floats_of_bits,
    floats_of_words,
    fma,
)

LN2 = math.log(2.0)
# ln 2 in two parts: the first has so few bits that n * LN2_HIGH is exact for |n| < 2**15.
LN2_HIGH = 0.693359375
LN2_LOW = LN2 - LN2_HIGH
SQRT_HALF_BITS = 0x3F3504F3
ONE_BITS = 0x3F800000
MANTISSA_BITS = 23
MANTISSA = (1 << MANTISSA_BITS) - 1
# Adding this number rounds a float32 below 2**22 to an integer and leaves that integer in the low bits.
ROUNDER = 12582912.0


@inlined
def log16(x: Vector) -> Vector:
    """Natural logarithm of positive normal numbers, error below 1.2e-7 of it or of ln 2 n."""
    # x = 2**n (1 + f), f in [sqrt(1/2) - 1, sqrt(2) - 1]; n is kept positive by 127
    shifted = bits(x) + (ONE_BITS - SQRT_HALF_BITS)
    n = floats_of_words(shifted >> MANTISSA_BITS) - 127.0
    f = floats_of_bits((shifted & MANTISSA) + SQRT_HALF_BITS) - 1.0
    # log(1 + f) = f + f^2 p(f)
    p = fma(f, 0.08734843134880066, -0.14307521283626556)
    p = fma(f, p, 0.14917974174022675)
    p = fma(f, p, -0.16570508480072021)
    p = fma(f, p, 0.19962072372436523)
    p = fma(f, p, -0.25001755356788635)
    p = fma(f, p, 0.33333951234817505)
    p = fma(f, p, -0.49999991059303284)
    return fma(n, LN2, fma(f * f, p, f))


@inlined
def exp16(x: Vector) -> Vector:
    """Exponential for |x| < 87, relative error below 1.2e-7; exp16(0) is exactly 1."""
    rounded = fma(x, 1.0 / LN2, ROUNDER)
    n = rounded - ROUNDER
    r = fma(n, -LN2_LOW, fma(n, -LN2_HIGH, x))
    # exp(r) = 1 + r + r^2 p(r), r in [-ln 2 / 2, ln 2 / 2]
    p = fma(r, 0.001381461275741458, 0.008368710055947304)
    p = fma(r, p, 0.04166838899254799)
    p = fma(r, p, 0.1666652113199234)
    p = fma(r, p, 0.4999999403953552)
    p = fma(r * r, p, r) + 1.0
    # times 2**n: n added to the exponent field
    return floats_of_bits(bits(p) + (bits(rounded) << MANTISSA_BITS))


@inlined
def sine_cosine16(a: Vector) -> tuple[Vector, Vector]:
    """Sine and cosine for |a| <= pi / 4, relative errors below 1.2e-7."""
    a2 = a * a
    s = fma(a2, -0.0001951528392964974, 0.00833216030150652)
    s = fma(a2, s, -0.16666655242443085)
    c = fma(a2, 2.44331567955669e-05, -0.0013887316454201937)
    c = fma(a2, c, 0.04166664555668831)
    c = fma(a2, c, -0.5)
    return fma(a2 * a, s, a), fma(a2, c, 1.0)
