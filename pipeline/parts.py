"""The parts of a plan brought into one document: inline, in a file beside the plan, or shipped by name."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.book_table import SUFFIXES, load_book
from pipeline.errors import PlanError
from pipeline.faults import Fault, nearest, show
from pipeline.model import MODELS, complete_model
from pipeline.origin import Cells, Origin
from pipeline.part_reader import PartReader
from pipeline.prices import load_prices
from pipeline.scenario_parts import ScenarioParts
from pipeline.units import parse_duration, parse_instant
from pipeline.venue_parts import VenueParts


class Parts:
    """A plan's document with every part inline, where each part came from, and what went wrong on the way."""

    def __init__(self, document: dict[str, Any], base: Path, origin: Origin) -> None:
        self.document = dict(document)
        self.reader = PartReader(base, origin)
        self.venues = VenueParts(self.reader, document.get("venue"), document.get("venues", {}))
        self._gather()

    def _gather(self) -> None:
        document, read = self.document, self.reader
        if "model" in document:
            document["model"] = complete_model(read.named(("model",), document["model"], MODELS))
        if isinstance(document.get("accounts"), str):
            document["accounts"] = self._book(read.base / document["accounts"])
        accounts = document.get("accounts")
        if isinstance(accounts, list | tuple):
            document["accounts"] = [self._place(i, account) for i, account in enumerate(accounts)]
        simulation = document.get("simulation")
        if isinstance(simulation, dict) and "resolve" not in simulation:
            follows = simulation.get("contagion") is not None or _has_policies(document.get("accounts"))
            document["simulation"] = {**simulation, "resolve": follows}
        for key, part in (("venue", self.venues.venue), ("venues", self.venues.venues)):
            if key in document or part:
                document[key] = part
        scenarios = ScenarioParts(read, document, self._held)
        listed = document.get("scenarios")
        if isinstance(listed, list | tuple):
            document["scenarios"] = [scenarios.read(i, each) for i, each in enumerate(listed)]
        prices = document.get("prices")
        if isinstance(prices, dict) and "file" in prices:
            document["prices"] = self._prices(prices)

    def _book(self, path: Path) -> Any:
        if not path.name.lower().endswith(SUFFIXES):
            return self.reader.file(("accounts",), path)
        try:
            table = load_book(path)
        except PlanError as error:
            return self.reader.failed(("accounts",), error)
        self.reader.origins[("accounts",)] = table.cells
        return table.accounts

    def _place(self, i: int, account: Any) -> Any:
        """An account with the key of its venue; of a table, with the currency of its collateral."""
        if not isinstance(account, dict):
            return account
        if account.get("venue") is not None:
            account = {**account, "venue": self.venues.place(("accounts", i, "venue"), account["venue"])}
        if "collateral" in account and isinstance(self.reader.origins.get(("accounts",)), Cells):
            quote = str(self.venues.of(account).get("quote", "USDC"))
            account = {**account, "collateral": {quote: account["collateral"]}}
        return account

    def _prices(self, prices: dict[str, Any]) -> Any:
        """Prices of the assets held, from a file of bars: `{file, at, bar}`; without `at`, at `as_of`."""
        for key in sorted(set(prices) - {"file", "at", "bar"}):
            fix = nearest(key, ("file", "at", "bar"))
            self.reader.fault(
                Fault(("prices", key), "`file`, `at` or `bar`, as prices come from a file", show(key), fix)
            )
        at = self.reader.parse(("prices", "at"), prices.get("at", self.document.get("as_of")), parse_instant)
        bar = self.reader.parse(("prices", "bar"), prices["bar"], parse_duration) if "bar" in prices else None
        self.reader.unread.add(("prices",))
        if not isinstance(prices["file"], str):
            return self.reader.fault(
                Fault(("prices", "file"), "the path of a file", show(prices["file"]), "name a file")
            )
        if not isinstance(at, datetime):
            return None
        try:
            found = load_prices(self.reader.base / prices["file"], at, self._held(), bar)
        except PlanError as error:
            return self.reader.failed(("prices",), error)
        self.reader.unread.discard(("prices",))
        return found

    def _held(self) -> set[str]:
        """Assets of positions and collateral, as far as the document can be made out yet."""
        accounts = self.document.get("accounts")
        held: set[Any] = set()
        for account in accounts if isinstance(accounts, list) else ():
            if not isinstance(account, dict):
                continue
            venue = self.venues.of(account)
            collateral, markets = account.get("collateral"), venue.get("markets")
            if isinstance(collateral, dict):
                held.update(asset for asset in collateral if asset != venue.get("quote", "USDC"))
            positions = account.get("positions")
            for position in positions if isinstance(positions, list) else ():
                name = position.get("market") if isinstance(position, dict) else None
                market = markets.get(name) if isinstance(markets, dict) and isinstance(name, str) else None
                held.add(market.get("asset") if isinstance(market, dict) else None)
        return {asset for asset in held if isinstance(asset, str)}


def _has_policies(accounts: Any) -> bool:
    """Whether some account has any, as far as the document can be made out yet."""
    listed = accounts if isinstance(accounts, list | tuple) else ()
    return any(isinstance(account, dict) and bool(account.get("policies")) for account in listed)
