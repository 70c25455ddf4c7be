"""A case's inputs, read key by key, so that none is overlooked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

# prose beside the figures; what it says is what the conventions of the cases say
PROSE = frozenset({"note", "equity", "regime_timing", "definition", "sign", "funding_notional"})


class Unsupported(Exception):
    """The case can't be expressed; the message says why."""


class Inputs:
    """The inputs of a case and which of them have been read."""

    def __init__(self, inputs: dict[str, Any]) -> None:
        self._inputs = inputs
        self._read: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return self._inputs.get(key) is not None

    def take(self, key: str, default: Any = None) -> Any:
        """The value of a key, or the default where it is absent or null."""
        self._read.add(key)
        value = self._inputs.get(key)
        return default if value is None else value

    def need(self, key: str) -> Any:
        """The value of a key; Unsupported where it is absent or null."""
        if key not in self:
            raise Unsupported(f"no input {key!r}")
        return self.take(key)

    def one_of(self, key: str, prefixes: Iterable[str]) -> None:
        """Reads a key that says which convention holds; Unsupported unless it is one of those known."""
        words = str(self.take(key, "")).lower()
        if words and not any(prefix in words for prefix in prefixes):
            raise Unsupported(f"{key} is {words!r}")

    def check_all_read(self) -> None:
        """Unsupported where a key was not read: the case means something that was not expressed."""
        left = sorted(key for key in self._inputs if key in self and key not in self._read | PROSE)
        if left:
            raise Unsupported(f"inputs that have no counterpart in a plan: {', '.join(left)}")


def whole_seconds(hours: float) -> int:
    """Hours in seconds; Unsupported unless whole, as the durations of a plan are."""
    seconds = round(hours * 3600)
    if abs(seconds - hours * 3600) > 1e-6:
        raise Unsupported("durations are whole seconds")
    return seconds
