"""Logarithm, exponential, sine and cosine from +, -, *, / and bits alone.

Calls into libm stop the compiler from working on several paths at once; these don't. Their bits are the
same for every vector width, since nothing but IEEE arithmetic in a fixed order goes into them.
Series are Taylor's, cut where the next term is below 1e-15 of the value.
"""

from __future__ import annotations

import math

import numpy as np

from kernels.jit import inlined

LN2 = math.log(2.0)
# ln 2 in two parts: the first has trailing zeros, so that n * LN2_HIGH is exact for |n| < 2**20.
LN2_HIGH = float.fromhex("0x1.62e4200000000p-1")
LN2_LOW = 4.7493250390316726e-07
SQRT_HALF_BITS = np.int64(np.float64(math.sqrt(0.5)).view(np.int64))
MANTISSA_BITS = np.int64(52)
# Adding this number rounds a double below 2**51 to an integer and leaves that integer in the low bits.
ROUNDER = 6755399441055744.0
EXPONENT_BIAS = np.int64(1023)


@inlined
def log(x: float) -> float:
    """Natural logarithm of a positive normal number, relative error below 4e-16 (absolute near x = 1)."""
    bits = np.float64(x).view(np.int64) - SQRT_HALF_BITS
    exponent = bits >> MANTISSA_BITS
    # m in [sqrt(1/2), sqrt(2)): x = m 2**exponent
    m = np.int64((np.float64(x).view(np.int64)) - (exponent << MANTISSA_BITS)).view(np.float64)
    s = (m - 1.0) / (m + 1.0)
    s2 = s * s
    # log m = 2 artanh(s) = 2 (s + s^3/3 + s^5/5 + ...)
    p = 1.0 / 19.0
    p = p * s2 + 1.0 / 17.0
    p = p * s2 + 1.0 / 15.0
    p = p * s2 + 1.0 / 13.0
    p = p * s2 + 1.0 / 11.0
    p = p * s2 + 1.0 / 9.0
    p = p * s2 + 1.0 / 7.0
    p = p * s2 + 1.0 / 5.0
    p = p * s2 + 1.0 / 3.0
    n = np.float64(exponent)
    return n * LN2_HIGH + (2.0 * s + (2.0 * s * s2 * p + n * LN2_LOW))


@inlined
def exp(x: float) -> float:
    """Exponential for |x| < 700, relative error below 4e-16; exp(0) is exactly 1."""
    rounded = x * (1.0 / LN2) + ROUNDER
    n = rounded - ROUNDER
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    # 2**n by writing n into the exponent field
    scale = np.int64((np.float64(rounded).view(np.int64) + EXPONENT_BIAS) << MANTISSA_BITS).view(np.float64)
    return p * scale


@inlined
def sine_cosine(turn: float) -> tuple[float, float]:
    """Sine and cosine of 2 pi turn, for turn in [0, 1); absolute error below 2e-16."""
    # nearest quarter turn, and the angle left over: in [-pi/4, pi/4]
    rounded = turn * 4.0 + ROUNDER
    quarter = np.float64(rounded).view(np.int64)
    a = (turn * 4.0 - (rounded - ROUNDER)) * (0.5 * math.pi)
    a2 = a * a
    s = -1.0 / 1307674368000.0
    s = s * a2 + 1.0 / 6227020800.0
    s = s * a2 - 1.0 / 39916800.0
    s = s * a2 + 1.0 / 362880.0
    s = s * a2 - 1.0 / 5040.0
    s = s * a2 + 1.0 / 120.0
    s = s * a2 - 1.0 / 6.0
    s = s * a2 * a + a
    c = 1.0 / 20922789888000.0
    c = c * a2 - 1.0 / 87178291200.0
    c = c * a2 + 1.0 / 479001600.0
    c = c * a2 - 1.0 / 3628800.0
    c = c * a2 + 1.0 / 40320.0
    c = c * a2 - 1.0 / 720.0
    c = c * a2 + 1.0 / 24.0
    c = c * a2 - 0.5
    c = c * a2 + 1.0
    swap = (quarter & np.int64(1)) != 0
    sine = c if swap else s
    cosine = s if swap else c
    sine = -sine if (quarter & np.int64(2)) != 0 else sine
    cosine = -cosine if ((quarter + np.int64(1)) & np.int64(2)) != 0 else cosine
    return sine, cosine
