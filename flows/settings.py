"""Prefect's settings, made before prefect is imported: a home of our own, no telemetry, time to start."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def prepare_prefect() -> None:
    """Set what the environment does not say itself. Without PREFECT_API_URL a flow brings its own server."""
    defaults = {
        "PREFECT_HOME": str(_open_home()),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # the first start migrates a database
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_LOGGING_LEVEL": "WARNING",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def _open_home() -> Path:
    """A folder for Prefect's database, made if need be: prefect itself does not make its parents."""
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    home = data / "seawall" / "prefect"
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError:  # a read-only home, as in many containers
        home = Path(tempfile.gettempdir()) / f"seawall-{os.getuid()}" / "prefect"
        home.mkdir(parents=True, exist_ok=True)
    return home
