"""How much may be liquidated of a position, and of an account in one block."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.dydx.errors import DydxError, LiquidationStopped
from pipeline.dydx.market import Market
from pipeline.dydx.units import times_ppm


@dataclass(frozen=True, slots=True)
class LiquidationConfig:
    """The chain's liquidation parameters: ppm, and quote quantums.

    `x/clob/types/liquidations_config.go`. They have no defaults: governance changes them, so they come dated.
    """

    max_liquidation_fee_ppm: int
    bankruptcy_adjustment_ppm: int
    spread_to_maintenance_margin_ratio_ppm: int
    min_position_notional_liquidated: int
    max_position_portion_liquidated_ppm: int
    max_notional_liquidated: int
    max_quantums_insurance_lost: int


@dataclass
class BlockRecord:
    """What has been liquidated of an account in this block: quote quantums, and the perpetuals done with.

    `x/clob/keeper/liquidations_state.go`.
    """

    notional_liquidated: int = 0
    insurance_lost: int = 0
    perpetuals: set[int] = field(default_factory=set)

    def add(self, notional: int, insurance_delta: int) -> None:
        """Counts a fill: its absolute notional at the oracle price, and what the fund paid for it."""
        self.notional_liquidated += notional
        self.insurance_lost += max(-insurance_delta, 0)


def position_limits(market: Market, quantums: int, config: LiquidationConfig) -> tuple[int, int]:
    """The least and the most of a position's notional to liquidate at once, quote quantums.

    `x/clob/keeper/liquidations.go GetMaxAndMinPositionNotionalLiquidatable`.
    """
    notional = abs(market.notional(quantums))
    least = min(config.min_position_notional_liquidated, notional)
    return least, max(least, times_ppm(notional, config.max_position_portion_liquidated_ppm))


def notional_left(record: BlockRecord, perpetual_id: int, config: LiquidationConfig) -> int:
    """Notional of the account that may still be liquidated in this block, quote quantums.

    Errors: DydxError where the perpetual is done with in this block, or the limit is already exceeded.
    """
    return _left(record, perpetual_id, record.notional_liquidated, config.max_notional_liquidated, "notional")


def insurance_left(record: BlockRecord, perpetual_id: int, config: LiquidationConfig) -> int:
    """What the insurance fund may still lose on the account in this block; units and errors as above."""
    return _left(record, perpetual_id, record.insurance_lost, config.max_quantums_insurance_lost, "insurance")


def check_block_limits(
    record: BlockRecord, market: Market, quantums: int, insurance_delta: int, config: LiquidationConfig
) -> None:
    """Judges a fill of so many base quantums, at the oracle price, by the limits of the block.

    `x/clob/keeper/liquidations.go validateLiquidationAgainstSubaccountBlockLimits`.

    Errors: LiquidationStopped where it exceeds one; DydxError where the perpetual is done with in this block.
    """
    if abs(market.notional(quantums)) > notional_left(record, market.perpetual_id, config):
        raise LiquidationStopped("the notional limit of the block is reached")
    if insurance_delta < 0 and -insurance_delta > insurance_left(record, market.perpetual_id, config):
        raise LiquidationStopped("the insurance limit of the block is reached")


def _left(record: BlockRecord, perpetual_id: int, used: int, limit: int, what: str) -> int:
    if perpetual_id in record.perpetuals:
        raise DydxError(f"perpetual {perpetual_id} has been liquidated in this block")
    if used > limit:
        raise DydxError(f"{what} of {used} exceeds the limit of {limit} per block")
    return limit - used
