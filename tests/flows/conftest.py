"""A home of the tests' own, so that nothing is read from, or left in, that of who runs them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with a fresh home, but with the kernels that are compiled already."""
    folder = tmp_path_factory.mktemp("home")
    cache = os.environ.get("SEAWALL_CACHE") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "XDG_", "DO_NOT_TRACK"))
    }
    return {**kept, "HOME": str(folder), "SEAWALL_CACHE": str(cache)}


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of Prefect's in the environment."""
    for name in [name for name in os.environ if name.startswith("PREFECT_") or name == "DO_NOT_TRACK"]:
        monkeypatch.delenv(name)
