"""What the chain refuses."""

from __future__ import annotations

from pipeline.errors import SeawallError


class DydxError(SeawallError):
    """The chain refuses this call."""

    code = "dydx"


class UpdateRefused(DydxError):
    """An account would be left under-collateralised, or against the rule of isolated markets.

    Attributes:
        results: the name of the result per update, in the order of the updates.
    """

    code = "dydx_update"

    def __init__(self, results: tuple[str, ...]) -> None:
        self.results = results
        super().__init__(f"updates refused: {', '.join(results)}")


class LiquidationStopped(DydxError):
    """The insurance fund or a limit per block stands against a fill; matching stops there."""

    code = "dydx_liquidation"
