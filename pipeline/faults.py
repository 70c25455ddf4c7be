"""Faults in a document, the words for them, and the base of every part of a plan."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

Loc = tuple[str | int, ...]
LATER = "not supported yet: leave it out for now"


class Fault(NamedTuple):
    """One thing wrong at `loc`, a path of keys and indices into a document; see `pipeline.errors.Problem`."""

    loc: Loc
    expected: str
    got: str
    fix: str


class Part(BaseModel):
    """A part of a plan: immutable, and it refuses keys that it doesn't know.

    `later_keys` and `later_values` (by field) are designed, but this version can't do them: refused by name,
    never ignored. A later key without content (null, false, nothing in it) asks for nothing, and is dropped.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    later_keys: ClassVar[frozenset[str]] = frozenset()
    later_values: ClassVar[Mapping[str, frozenset[str]]] = {}

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, document: Any) -> Any:
        if not isinstance(document, dict) or cls.later_keys.isdisjoint(document):
            return document
        return {
            key: value
            for key, value in document.items()
            if not (key in cls.later_keys and (value is None or value is False or value in ([], (), {})))
        }

    def document(self) -> dict[str, Any]:
        """Plain JSON-able data that reads back into an equal part."""
        return self.model_dump(mode="json", by_alias=True)


def refuse_value(expected: str, fix: str) -> PydanticCustomError:
    """The error that a field's validator raises."""
    return PydanticCustomError("fault", "{expected}", {"expected": expected, "fix": fix})


def refuse(faults: Iterable[Fault]) -> None:
    """Raise one ValidationError that holds all the faults, if there are any."""
    errors = [
        InitErrorDetails(
            type=PydanticCustomError(
                "fault", "{expected}", {"expected": fault.expected, "got": fault.got, "fix": fault.fix}
            ),
            loc=fault.loc,
            input=None,
        )
        for fault in faults
    ]
    if errors:
        raise ValidationError.from_exception_data("faults", errors)


def show(value: object) -> str:
    """A value as a message quotes it, cut where it is long."""
    if isinstance(value, str):
        text = f"`{value}`"
    elif isinstance(value, dict):
        text = "a mapping" if value else "an empty mapping"
    elif isinstance(value, list | tuple):
        text = f"a list of {len(value)}" if value else "an empty list"
    elif value is None:
        text = "nothing (null)"
    elif isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, int) and abs(value) >= 10**40:
        text = "a whole number of more than 40 digits"
    else:
        text = str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def nearest(name: object, known: Iterable[str]) -> str:
    """Advice on a name that isn't known: the nearest one, or else the list of those there are."""
    names = list(known)
    by_folded = {candidate.casefold(): candidate for candidate in names}
    folded = str(name).casefold()[:100]
    begun = [candidate for candidate in by_folded if len(folded) > 2 and candidate.startswith(folded)]
    close = begun or difflib.get_close_matches(folded, by_folded, n=1, cutoff=0.6)
    if close:
        return f"did you mean `{by_folded[close[0]]}`?"
    if not names:
        return "there is none: leave it out"
    shown = ", ".join(names[:20])
    return f"use one of: {shown}" + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def unknown(loc: Loc, expected: str, name: object, known: Iterable[str]) -> Fault:
    """The fault of a name that isn't among the known ones."""
    return Fault(loc, expected, show(name), nearest(name, known))


def duplicates(loc: Loc, names: Iterable[Any], kind: str) -> list[Fault]:
    """A fault at each name of a list that has been there before; None is no name."""
    seen: dict[Any, int] = {}
    faults = []
    for index, name in enumerate(names):
        if name is not None and name in seen:
            faults.append(
                Fault(
                    (*loc, index),
                    f"each {kind} once",
                    f"{show(name)}, as in place {seen[name] + 1}",
                    "rename or remove one",
                )
            )
        seen.setdefault(name, index)
    return faults


def find_name_faults(loc: Loc, parts: Iterable[dict[str, Any]], kind: str) -> list[Fault]:
    """A fault at each part whose name another has had before."""
    return [
        fault._replace(loc=(*fault.loc, "name"))
        for fault in duplicates(loc, (part.get("name") for part in parts), kind)
    ]


def below(loc: Loc, faults: Iterable[Fault]) -> Iterator[Fault]:
    """Faults of a part as those of the document that holds it at `loc`."""
    return (fault._replace(loc=(*loc, *fault.loc)) for fault in faults)
