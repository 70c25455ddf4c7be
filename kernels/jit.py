"""The only place with numba options."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core import event

Function = TypeVar("Function", bound=Callable[..., Any])


def hash_sources() -> str:
    """Return a short hash of every source file in this package."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _open_cache_folder() -> str:
    """Return a writable folder for compiled code, one for each state of the sources.

    numba's own cache does not see an edit in an imported file, so the folder's name does.
    Bounds-checked code is other code, and lives apart.
    """
    root = os.environ.get("SEAWALL_CACHE") or os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    name = hash_sources() + ("-checked" if os.environ.get("NUMBA_BOUNDSCHECK") == "1" else "")
    folder = Path(root) / "seawall" / "kernels" / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # a read-only home, as in many containers
        folder = Path(tempfile.gettempdir()) / f"seawall-{os.getuid()}" / "kernels" / name
        folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


numba.config.CACHE_DIR = _open_cache_folder()


class _FirstCompilation(event.Listener):  # type: ignore[misc]
    """Says once that a kernel is being compiled."""

    def __init__(self, say: Callable[[], None]) -> None:
        self.say: Callable[[], None] | None = say

    def on_start(self, event: event.Event) -> None:
        """A compilation begins: the code was not in the cache."""
        if self.say is not None:
            say, self.say = self.say, None
            say()

    def on_end(self, event: event.Event) -> None:
        """A compilation has ended."""


def announce_compilation(say: Callable[[], None]) -> None:
    """Call `say`, once, when a kernel has to be compiled: some minutes, in which nothing else is seen."""
    event.register("numba:compile", _FirstCompilation(say))


# IEEE arithmetic as written (no fastmath), without the GIL, cached on disk.
OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}


def njit(function: Function) -> Function:
    """Compile a kernel."""
    return cast(Function, numba.njit(**OPTIONS)(function))


def hot(function: Function) -> Function:
    """Compile a kernel that allocates nothing, and so needs no reference counts.

    numba counts references to every view of an array by an atomic instruction; in the simulation that took
    more than half the time. An allocation in such a kernel is refused when it is compiled.
    """
    return cast(Function, numba.njit(**OPTIONS, _nrt=False)(function))


def inlined(function: Function) -> Function:
    """Compile a small hot kernel into its callers: in a loop over paths it then runs on several at once."""
    return cast(Function, numba.njit(**OPTIONS, _nrt=False, forceinline=True)(function))
