"""The parts of a plan brought into one document: inline, in a file beside the plan, or shipped by name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic_core import PydanticCustomError

from pipeline.book_table import SUFFIXES, load_book
from pipeline.errors import PlanError, Problem
from pipeline.faults import Fault, Loc, nearest, show
from pipeline.model import MODELS, complete_model
from pipeline.origin import Origin, Origins, locate
from pipeline.prices import load_prices
from pipeline.scenarios import LATER, SCENARIOS
from pipeline.units import parse_duration, parse_instant
from pipeline.venues import VENUES, complete_venue
from pipeline.yaml_text import load_text

_ENDINGS = (".yaml", ".yml", ".json")


class Parts:
    """A plan's document with every part inline, where each part came from, and what went wrong on the way.

    `unread` holds the places of parts that couldn't be read: their problems are told, and nothing more is
    known about them.
    """

    def __init__(self, document: dict[str, Any], base: Path, origin: Origin) -> None:
        self.document = dict(document)
        self.base = base
        self.origins: Origins = {(): origin}
        self.problems: list[Problem] = []
        self.unread: set[Loc] = set()
        self._gather()

    def _gather(self) -> None:
        document = self.document
        for key, folder, complete in (("venue", VENUES, complete_venue), ("model", MODELS, complete_model)):
            if key in document:
                named = isinstance(document[key], str)
                part = self._part((key,), document[key], key, folder, frozenset())
                if named and isinstance(part, dict):
                    part = {"name": Path(document[key]).stem, **part}
                document[key] = complete(part)
        scenarios = document.get("scenarios")
        if isinstance(scenarios, list | tuple):
            document["scenarios"] = [
                self._part(("scenarios", i), scenario, "scenario", SCENARIOS, LATER)
                for i, scenario in enumerate(scenarios)
            ]
        if isinstance(document.get("accounts"), str):
            document["accounts"] = self._book(document["accounts"])
        prices = document.get("prices")
        if isinstance(prices, dict) and "file" in prices:
            document["prices"] = self._prices(prices)

    def _fault(self, fault: Fault) -> Any:
        self.problems.append(locate(fault, self.origins))
        self.unread.add(fault.loc)
        return None

    def _failed(self, loc: Loc, error: PlanError) -> Any:
        self.problems.extend(error.problems)
        self.unread.add(loc)
        return None

    def _part(self, loc: Loc, value: Any, kind: str, folder: Path, later: frozenset[str]) -> Any:
        """The document that a name or a path stands for; anything else as it is."""
        if not isinstance(value, str):
            return value
        if value.endswith(_ENDINGS) or "/" in value:
            return self._file(loc, self.base / value)
        shipped = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
        if value in shipped:
            return self._file(loc, shipped[value], shipped[value].name)
        expected = f"a shipped {kind}, a path that ends in .yaml, or the {kind} itself"
        fix = f"`{value}` is not supported yet" if value in later else nearest(value, shipped)
        return self._fault(Fault(loc, expected, show(value), fix))

    def _file(self, loc: Loc, path: Path, name: str | None = None) -> Any:
        try:
            text = load_text(path)
        except PlanError as error:
            return self._failed(loc, error)
        self.problems.extend(text.problems)
        self.origins[loc] = Origin(name or str(path), text.lines)
        return text.content

    def _book(self, value: str) -> Any:
        path = self.base / value
        if not path.name.lower().endswith(SUFFIXES):
            return self._file(("accounts",), path)
        venue = self.document.get("venue")
        quote = venue.get("quote", "USDC") if isinstance(venue, dict) else "USDC"
        try:
            table = load_book(path, quote if isinstance(quote, str) else "USDC")
        except PlanError as error:
            return self._failed(("accounts",), error)
        self.origins[("accounts",)] = table.cells
        return table.accounts

    def _prices(self, prices: dict[str, Any]) -> Any:
        """Prices of the assets held, from a file of bars: `{file, at, bar}`; without `at`, at `as_of`."""
        for key in sorted(set(prices) - {"file", "at", "bar"}):
            fix = nearest(key, ("file", "at", "bar"))
            self._fault(
                Fault(("prices", key), "`file`, `at` or `bar`, as prices come from a file", show(key), fix)
            )
        at = self._read(("prices", "at"), prices.get("at", self.document.get("as_of")), parse_instant)
        bar = self._read(("prices", "bar"), prices["bar"], parse_duration) if "bar" in prices else None
        self.unread.add(("prices",))
        if not isinstance(prices["file"], str):
            return self._fault(
                Fault(("prices", "file"), "the path of a file", show(prices["file"]), "name a file")
            )
        if not isinstance(at, datetime):
            return None
        try:
            found = load_prices(self.base / prices["file"], at, self._held(), bar)
        except PlanError as error:
            return self._failed(("prices",), error)
        self.unread.discard(("prices",))
        return found

    def _read(self, loc: Loc, value: Any, parse: Callable[[object], Any]) -> Any:
        try:
            return parse(value)
        except PydanticCustomError as error:
            words = error.context or {}
            return self._fault(Fault(loc, words["expected"], show(value), words["fix"]))

    def _held(self) -> set[str]:
        """Assets of the positions, as far as the document can be made out yet."""
        venue, accounts = self.document.get("venue"), self.document.get("accounts")
        markets = venue.get("markets") if isinstance(venue, dict) else None
        if not isinstance(markets, dict) or not isinstance(accounts, list):
            return set()
        positions = [
            position
            for account in accounts
            if isinstance(account, dict) and isinstance(account.get("positions"), list)
            for position in account["positions"]
        ]
        names = [position.get("market") for position in positions if isinstance(position, dict)]
        held = [markets[name] for name in names if isinstance(name, str) and name in markets]
        return {m["asset"] for m in held if isinstance(m, dict) and isinstance(m.get("asset"), str)}
