"""The small plan with funding that reverts."""

from __future__ import annotations

from typing import Any

from tests.pipeline.documents import small_document


def process(**rest: Any) -> dict[str, Any]:
    """How funding reverts, of both assets."""
    return {
        "half_life": {"BTC": "12h", "ETH": "1d"},
        "deviation": {"BTC": 0.05, "ETH": 0.08},
        "correlation": {"BTC": 0.3},
        "common": 0.5,
        **rest,
    }


def moving_document(**rest: Any) -> dict[str, Any]:
    """Funding reverts in both regimes; in the crisis to less than nothing, and wider."""
    document = small_document()
    regimes = document["model"]["regimes"]
    regimes["crisis"]["funding"] = {"BTC": -0.2, "ETH": -0.3}
    regimes["calm"]["funding_process"] = process(**rest)
    regimes["crisis"]["funding_process"] = process(deviation={"BTC": 0.5, "ETH": 0.6}, **rest)
    return document
