"""The venues of a plan and of its accounts brought into one mapping, each once."""

from __future__ import annotations

from typing import Any

from pipeline.faults import Fault, Loc, show
from pipeline.origin import enclosing
from pipeline.part_reader import PartReader
from pipeline.venue_completion import VENUES, complete_venue

UNREAD = "?"  # the venue of an account whose own could not be read: no key of the plan's venues


class VenueParts:
    """The plan's `venue`, and by key its `venues`: its own, and those that accounts have beside them.

    Either is as it stands in the document where it isn't a mapping.
    """

    def __init__(self, reader: PartReader, venue: Any, venues: Any) -> None:
        self.reader = reader
        self.first_named: dict[str, tuple[str | None, dict[str, Any]]] = {}
        self.key_of_text: dict[str, str | None] = {}
        self.venue = self._read(("venue",), venue)
        if isinstance(self.venue, dict):
            self._register(("venue",), None, {"name": "inline", **self.venue})
        self.venues: Any = venues
        if isinstance(venues, dict):
            self.venues = {key: self._read_own(key, value) for key, value in venues.items()}

    def place(self, loc: Loc, value: Any) -> str | None:
        """The key that the venue at `loc` (a name, path or mapping) is kept under; None: the plan's own."""
        if not isinstance(self.venues, dict):
            self.reader.unread.add(loc)  # it is told that they should be a mapping
            return UNREAD
        if not isinstance(value, str):
            return self._keep(loc, complete_venue(value))
        if value in self.venues:
            return value
        if value not in self.key_of_text:
            venue = self._read(loc, value)
            if loc in self.reader.unread:
                return UNREAD
            self.key_of_text[value] = self._keep(loc, venue)
        return self.key_of_text[value]

    def of(self, account: dict[str, Any]) -> dict[str, Any]:
        """The venue of an account, once placed, as far as it can be made out."""
        name = account.get("venue")
        venues = self.venues if isinstance(self.venues, dict) else {}
        venue = self.venue if name is None else venues.get(name)
        return venue if isinstance(venue, dict) else {}

    def _read(self, loc: Loc, value: Any) -> Any:
        own = self.venues if loc[0] == "accounts" else ()
        return complete_venue(self.reader.named(loc, value, VENUES, own))

    def _read_own(self, key: str, value: Any) -> Any:
        venue = self._read(("venues", key), value)
        if not isinstance(venue, dict):
            return venue
        venue = {"name": key, **venue}
        self._register(("venues", key), key, venue)
        return venue

    def _keep(self, loc: Loc, venue: Any) -> str | None:
        """Put an account's venue among `venues` under its name, unless that is there already."""
        origins = self.reader.origins
        origin = enclosing(loc, origins)
        origins.pop(loc, None)
        if not isinstance(venue, dict):
            fix = "write a mapping, a path, the name of a shipped one or a key of the plan's `venues`"
            self.reader.fault(Fault(loc, "a venue", show(venue), fix))
            return UNREAD
        venue = {"name": "inline", **venue}
        key = self._register(loc, str(venue["name"]), venue)
        if key is None or key == UNREAD:
            return key
        kept = self.venues.setdefault(key, venue)
        if kept is venue:
            origins[("venues", key)] = origin
        elif kept != venue:
            return self._clash(loc, key)
        return key

    def _register(self, loc: Loc, key: str | None, venue: dict[str, Any]) -> str | None:
        """The key of the first venue that has this one's name: the two must be equal."""
        name = str(venue["name"])
        first, same = self.first_named.setdefault(name, (key, venue))
        return first if same == venue else self._clash(loc, name)

    def _clash(self, loc: Loc, name: str) -> str:
        expected, got = f"one venue by the name `{name}`", "one that differs from the first"
        self.reader.fault(Fault(loc, expected, got, "give each a `name:` of its own"))
        return UNREAD
