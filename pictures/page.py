"""The page's marked blocks, rewritten with the pictures; and the fingerprint that ties both to a model."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping

from pipeline.errors import DataError, Problem
from pipeline.model import MarketModel

FINGERPRINT = 16  # hex digits
DRAWN = ("step", "assets", "transitions", "levels", "parameter_draws")
LAW = ("volatility", "drift", "correlation", "tail", "jumps")


def rewrite(page: str, blocks: Mapping[str, str]) -> str:
    """The page with new text between `<!-- name -->` and `<!-- /name -->`.

    DataError where a mark is missing.
    """
    absent = [name for name in blocks if not _marked(name).search(page)]
    if absent:
        fix = "put the marks back where the figures belong"
        expected = "<!-- name --> and <!-- /name -->"
        raise DataError([Problem("the page", expected, f"none for {name}", fix) for name in absent])
    for name, text in blocks.items():
        page = _marked(name).sub(lambda found, text=text: f"{found[1]}\n{text}\n{found[2]}", page)  # type: ignore[misc]
    return page


def read_block(page: str, name: str) -> str:
    """What stands between the marks of that name."""
    found = _marked(name).search(page)
    return "" if found is None else page[found.end(1) : found.start(2)].strip("\n")


def _marked(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name} -->).*?(<!-- /{name} -->)", flags=re.DOTALL)


def fingerprint(model: MarketModel) -> str:
    """A hash of the figures that pictures depend on: not of funding, wicks or the date of the fit."""
    document = model.document()
    kept = {key: document.get(key) for key in DRAWN}
    if document["bursts"]:
        kept["bursts"] = document["bursts"]
    for draw in kept["parameter_draws"] or ():
        if draw["bursts"] is None:  # the model's own
            del draw["bursts"]
    kept["regimes"] = {
        name: {key: regime.get(key) for key in LAW} for name, regime in document["regimes"].items()
    }
    text = json.dumps(kept, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:FINGERPRINT]
