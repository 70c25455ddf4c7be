"""One coordinator per run, so that two people who start the same run don't both compute it.

What is promised: while the owner lives, others wait; when it is gone, killed or cut off, one of them
takes over within 10 s. What is not: exactly one owner under every fault. An owner frozen for longer
than that may wake up beside its successor; both then write the same bytes, create-only, and no harm
is done but the double work.

On a local disk the lease is a lock of the operating system, which dies with its owner. On S3 it is an
object that its owner rewrites every few seconds, each time on condition that it is still the one it
wrote last.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

from pipeline.errors import RunError
from pipeline.store import Store, connect, run_key

if TYPE_CHECKING:
    from obstore import PutMode
    from obstore.store import ObjectStore

POLL_S = 0.5
BEAT_S = 2.0
SILENCE_S = 7.0  # without a beat for so long, an owner counts as gone

Wait = Callable[[float], None]
"""Called again and again while someone else holds the run, with the seconds waited; may raise."""


@contextmanager
def hold_lease(store: Store, run_id: str, wait: Wait | None = None) -> Iterator[None]:
    """Holds the lease of a run inside the block; waits for as long as someone else holds it.

    Whoever had to wait should look again whether the run is published meanwhile. Raises RunError
    where the lease can't be written.
    """
    key = run_key(run_id, "lease")
    held = _hold_local(Path(store.url(key)), wait) if store.local else _hold_s3(store, key, wait)
    with held:
        yield


@contextmanager
def _hold_local(path: Path, wait: Wait | None) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pause = _Pause(wait)
        while (lock := _try_lock(path)) is None:
            pause.take()
    except OSError as error:
        raise RunError(f"{path} could not be locked: {error}") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # before the lock goes, so that a waiter sees that its file is stale
        os.close(lock)


def _try_lock(path: Path) -> int | None:
    """A descriptor that holds the lock of the file at a path; None while another one does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):  # held, or removed by an owner that just ended
        pass
    os.close(descriptor)
    return None


@contextmanager
def _hold_s3(store: Store, key: str, wait: Wait | None) -> Iterator[None]:
    beat = _Beat(connect(store.root, hasty=True), key)
    try:
        pause = _Pause(wait)
        while not beat.acquire():
            pause.take()
    except (BaseError, OSError) as error:
        raise RunError(f"{store.url(key)} could not be written: {error}") from error
    ended = threading.Event()
    thread = threading.Thread(target=beat.keep, args=(ended,), name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        beat.release()


class _Pause:
    """Waits a moment, telling the one who asked how long it has been."""

    def __init__(self, wait: Wait | None) -> None:
        self.wait = wait
        self.start = time.monotonic()

    def take(self) -> None:
        if self.wait is not None:
            self.wait(time.monotonic() - self.start)
        time.sleep(POLL_S)


class _Beat:
    """The lease object on S3. Silence is timed by who waits: clocks of two machines are never compared."""

    def __init__(self, connection: ObjectStore, key: str) -> None:
        self.connection = connection
        self.key = key
        self.owner = {"owner": uuid.uuid4().hex, "host": socket.gethostname(), "pid": os.getpid()}
        self.count = 0
        self.mine: str | None = None  # entity tag of what we wrote last
        self.theirs: str | None = None
        self.heard = 0.0

    def acquire(self) -> bool:
        """Takes the lease if nobody has it, or if its owner has been silent for SILENCE_S."""
        try:
            self._put("create")
            return True
        except (AlreadyExistsError, PreconditionError):
            pass
        try:
            tag = obstore.head(self.connection, self.key)["e_tag"]
        except FileNotFoundError:
            return False
        if tag != self.theirs:
            self.theirs, self.heard = tag, time.monotonic()
        if time.monotonic() - self.heard < SILENCE_S:
            return False
        try:
            self._put({"e_tag": tag})
            return True
        except PreconditionError:
            return False

    def keep(self, ended: threading.Event) -> None:
        """Beats until told to end, or until someone else took over."""
        while not ended.wait(BEAT_S):
            try:
                self._put({"e_tag": self.mine})
            except (PreconditionError, FileNotFoundError):
                self.mine = None
                return
            except (BaseError, OSError):
                continue  # the store is away for a moment: the next beat will tell

    def release(self) -> None:
        """Removes the lease if it is still ours. If it can't be, it falls silent and is taken over."""
        try:
            if self.mine and obstore.head(self.connection, self.key)["e_tag"] == self.mine:
                obstore.delete(self.connection, self.key)
        except (BaseError, OSError):
            return

    def _put(self, mode: PutMode) -> None:
        self.count += 1
        body = json.dumps({**self.owner, "beat": self.count}).encode()
        self.mine = obstore.put(self.connection, self.key, body, mode=mode, use_multipart=False)["e_tag"]
