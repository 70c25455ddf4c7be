"""Plans with states beside prices that move."""

from __future__ import annotations

from typing import Any

from tests.pipeline.documents import small_document, tiered_document


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


def basis_of(**rest: Any) -> dict[str, Any]:
    """A basis of both assets: half gone in an hour, 1 % in the long run."""
    return {
        "level": {"BTC": 0.002, "ETH": -0.001},
        "half_life": {"BTC": "1h", "ETH": "2h"},
        "deviation": {"BTC": 0.01, "ETH": 0.02},
        "correlation": {"BTC": 0.3},
        "common": 0.5,
        **rest,
    }


def basis_document(**rest: Any) -> dict[str, Any]:
    """A long of BTC on dYdX; on a tiered venue a coin against a short of its perpetual, and a long of ETH."""
    document = tiered_document()
    for regime in document["model"]["regimes"].values():
        regime["basis"] = basis_of(**rest)
    document["accounts"][1] = {
        "name": "hedger",
        "venue": "bracketed",
        "collateral": {"BTC": 1.0, "USDT": 100},
        "positions": [
            {"market": "BTCUSDT", "size": -1, "entry": 61_250},
            {"market": "ETHUSDT", "size": 1, "entry": 3_020},
        ],
    }
    return document
