"""Prefect's own server for the length of a run, where the environment names none: quiet, and gone with us."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.error import URLError
from urllib.request import urlopen

from flows.settings import prepare_prefect

LONGEST_START_S = 120.0  # the first start migrates a database
HEALTH_TIMEOUT_S = 10.0
WATCH_S = 0.1

Ready = Callable[[], None]
"""Returns once Prefect answers; PrefectUnreachableError where it does not."""


class PrefectUnreachableError(Exception):
    """Prefect could not be started or reached, or was lost on the way; nothing is wrong with the run."""

    def __init__(self, reason: object) -> None:
        lines = str(reason).strip().splitlines()
        super().__init__(lines[0] if lines else repr(reason))


@contextmanager
def open_prefect() -> Iterator[Ready]:
    """Makes PREFECT_API_URL name a server inside the block: the environment's, or one that is started.

    To be entered before prefect is imported, which may go on while the server starts; what is yielded
    waits for it. Prefect would start one by itself, but lets it print at will, tries for ever where it
    can't start, and lets a Ctrl-C that is meant for the run end the server first.
    """
    try:
        prepare_prefect()
    except OSError as error:
        raise PrefectUnreachableError(error) from error
    if os.environ.get("PREFECT_API_URL"):
        yield _check_health
        return
    port = _find_free_port()
    command = [sys.executable, "-m", "flows.server", str(port)]
    server = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
    try:
        yield lambda: _await_start(server)
    finally:
        del os.environ["PREFECT_API_URL"]
        server.kill()  # its database stands that; a farewell takes seconds
        server.wait()
        if server.stdin is not None:
            server.stdin.close()


def _await_start(server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + LONGEST_START_S
    url = os.environ["PREFECT_API_URL"] + "/health"
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise PrefectUnreachableError(f"its server ended with code {server.returncode} while it started")
        try:
            with urlopen(url, timeout=HEALTH_TIMEOUT_S):
                return
        except (URLError, OSError):
            time.sleep(WATCH_S)
    raise PrefectUnreachableError(f"its server did not start within {LONGEST_START_S:.0f} s")


def _check_health() -> None:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True, httpx_settings={"timeout": HEALTH_TIMEOUT_S}) as client:
        error = client.api_healthcheck()
    if error is not None:
        raise PrefectUnreachableError(f"{os.environ['PREFECT_API_URL']}: {error}")


def _find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def serve(port: int) -> None:
    """Serve Prefect's API on loopback until standard input ends, as it does when its owner dies."""
    threading.Thread(target=_end_with_owner, daemon=True).start()
    import uvicorn
    from prefect.server.api.server import create_app

    app = create_app(ephemeral=True, final=True)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", lifespan="on")


def _end_with_owner() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
