"""Trading fees."""

from __future__ import annotations

from pipeline.dydx.units import times_ppm


def trading_fee(quote: int, fee_ppm: int) -> int:
    """What a side pays for a fill of so many quote quantums, toward +inf; a rebate is negative.

    `x/clob/keeper/process_single_match.go`.
    """
    return times_ppm(quote, fee_ppm, up=True)
