"""What can go wrong, as a person should read it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Problem(NamedTuple):
    """One thing wrong with an input: where it is, what was expected, what came, how to mend it."""

    where: str
    expected: str
    got: str
    fix: str

    def __str__(self) -> str:
        return f"{self.where}\n  expected: {self.expected}\n  got:      {self.got}\n  fix:      {self.fix}"


class SeawallError(Exception):
    """The root of every error that Seawall raises on purpose."""

    code = "seawall"
    exit_code = 1


class InputError(SeawallError):
    """Bad input: every problem found, so that all can be mended at once. Nothing has been written."""

    code = "input"
    exit_code = 2

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__(f"{count}\n\n" + "\n\n".join(map(str, self.problems)))


class PlanError(InputError):
    """The plan, or a part it names (book, venue, model, scenario), can't be run."""

    code = "plan"


class DataError(InputError):
    """A file of market history can't be used."""

    code = "data"


class StoreError(InputError):
    """The store can't be written, or does not hold what was asked for."""

    code = "store"


class RunError(SeawallError):
    """A run failed while computing; what was finished is kept, and the same command resumes."""

    code = "run"
