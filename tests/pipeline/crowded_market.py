"""A market that never moves by itself but for a fall, in which what two accounts do is known by hand."""

from __future__ import annotations

from typing import Any

from tests.pipeline.still_market import still_document

DEPTH, IMPACT = 1e6, 0.02


def crowded_document(fall: float = 0.06, lasting: float = 1.0, fund: float | None = None) -> dict[str, Any]:
    """A falls within the second hour, and stays. `first` has 100,000 of it on a tenth of that, `second` half
    as much on more, `bystander` some B. Everything is closed at once; the book's law is linear:
    G(U) = 0.02 U^2 / 1,000,000. Maintenance 5 %, no fees.
    """
    shock = {"effect": "shock", "moves": {"A": -fall}, "at": "1h"}
    document = still_document(shock, monitoring="close")
    document["simulation"] |= {"horizons": ["1h", "2h", "4h"], "contagion": {"lasting": lasting}}
    venue = document["venue"]
    venue |= {"rules": "tiered", "taker_fee": 0, "liquidation": {"style": "full", "fee": 0}, "quote": "USDC"}
    if fund is not None:
        venue["insurance_fund"] = fund
    fractions = {"initial_margin": 0.05, "maintenance_margin": 0.05}
    execution = {"depth": DEPTH, "impact": IMPACT, "law": "linear"}
    venue["markets"] = {f"{name}-USD": {"asset": name, **fractions} for name in "ABC"}
    venue["markets"]["A-USD"]["execution"] = execution
    document["accounts"] = [
        {"name": name, "collateral": {"USDC": cash}, "positions": [{"market": m, "size": size, "entry": 100}]}
        for name, cash, m, size in (
            ("first", 10_000, "A-USD", 1_000),
            ("second", 5_400, "A-USD", 500),
            ("bystander", 5_000, "B-USD", 500),
        )
    ]
    return document
