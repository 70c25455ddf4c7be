"""Quantums, parts per million and powers of ten, with the chain's roundings."""

from __future__ import annotations

from pipeline.dydx.errors import DydxError

MILLION = 1_000_000
QUOTE_RESOLUTION = -6  # a quote quantum is 1e-6 USDC


def divide_up(numerator: int, denominator: int) -> int:
    """numerator / denominator toward +inf."""
    return -(-numerator // denominator)


def divide_toward_zero(numerator: int, denominator: int) -> int:
    """numerator / denominator toward zero."""
    quotient = abs(numerator) // abs(denominator)
    return quotient if (numerator < 0) == (denominator < 0) else -quotient


def times_ppm(amount: int, ppm: int, *, up: bool = False) -> int:
    """amount x ppm / 1e6, toward -inf, or toward +inf where `up`. `lib/big_math.go`."""
    return divide_up(amount * ppm, MILLION) if up else amount * ppm // MILLION


def times_power_of_ten(amount: int, exponent: int) -> int:
    """amount x 10^exponent, toward zero."""
    power: int = 10 ** abs(exponent)
    return amount * power if exponent >= 0 else divide_toward_zero(amount, power)


def base_to_quote(quantums: int, atomic_resolution: int, price: int, price_exponent: int) -> int:
    """Signed notional in quote quantums of so many base quantums, toward zero.

    quantums x price x 10^(price_exponent + atomic_resolution + 6). `lib/quantums.go`.
    """
    return times_power_of_ten(quantums * price, price_exponent + atomic_resolution - QUOTE_RESOLUTION)


def quote_to_base(quote: int, atomic_resolution: int, price: int, price_exponent: int) -> int:
    """Base quantums whose notional is so many quote quantums, toward zero. `lib/quantums.go`.

    Errors: DydxError at a price of zero.
    """
    if price == 0:
        raise DydxError("no size has a notional at a price of zero")
    exponent = price_exponent + atomic_resolution - QUOTE_RESOLUTION
    if exponent >= 0:
        return divide_toward_zero(quote, price * 10**exponent)
    return divide_toward_zero(quote * 10**-exponent, price)


def round_to_multiple(amount: int, multiple: int, *, up: bool) -> int:
    """The nearest multiple at or below `amount`, or at or above it where `up`."""
    return multiple * (divide_up(amount, multiple) if up else amount // multiple)


def clamp(value: int, low: int, high: int) -> int:
    """The value nearest to `value` in [low, high]."""
    return max(low, min(value, high))
