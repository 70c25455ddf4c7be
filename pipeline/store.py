"""Where runs live: a local folder or an S3 bucket, spoken to in one way.

    <store>/runs/<run_id>/plan.json             create-only
    <store>/runs/<run_id>/cube.zarr             plain zarr v3
    <store>/runs/<run_id>/ledger/<block>.json   create-only, written after the chunks it vouches for
    <store>/runs/<run_id>/manifest.json         create-only: the commit point
    <store>/runs/<run_id>/report.html

A run without a manifest is unfinished: readers don't see it, the same command resumes it.
"""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import LocalStore, S3Store
from zarr.storage import ObjectStore

from pipeline.errors import Problem, RunError, StoreError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

PATIENT: RetryConfig = {"max_retries": 8, "retry_timeout": timedelta(seconds=90)}
HASTY: RetryConfig = {"max_retries": 1, "retry_timeout": timedelta(seconds=5)}
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Store:
    """One store. Holds its address only, so it can be sent to a worker, which connects by itself.

    Keys are relative, with slashes, as `run_key` builds them. Every write is atomic: a reader sees a
    whole object or none. A store that fails during a run raises RunError; nothing finished is lost.
    """

    root: str
    """Absolute folder, or s3://bucket/prefix, without a trailing slash."""

    @property
    def local(self) -> bool:
        """Whether the store is a folder of this machine."""
        return not self.root.startswith("s3://")

    def url(self, key: str) -> str:
        """The address of a key for other programs: an absolute path, or s3://..."""
        return f"{self.root}/{key}"

    def create(self, key: str, body: bytes) -> bool:
        """Writes an object that must not exist yet; False, and nothing written, where it does."""
        with _told(self.url(key), "written"):
            return _create(connect(self.root), key, body)

    def write(self, key: str, body: bytes) -> None:
        """Writes an object, replacing what is there."""
        with _told(self.url(key), "written"):
            obstore.put(connect(self.root), key, body, use_multipart=False)

    def read(self, key: str) -> bytes | None:
        """The object, or None where there is none."""
        with _told(self.url(key), "read"):
            if self._absent():
                return None
            try:
                return bytes(obstore.get(connect(self.root), key).bytes())
            except FileNotFoundError:
                return None

    def delete(self, key: str) -> None:
        """Removes an object; no error where there is none."""
        with _told(self.url(key), "removed"):
            if not self._absent():
                _delete(connect(self.root), key)

    def folders(self, prefix: str) -> list[str]:
        """Keys of the folders right under a folder, sorted; costs nothing for what they hold."""
        with _told(self.url(prefix), "listed"):
            if self._absent():
                return []
            return sorted(obstore.list_with_delimiter(connect(self.root), prefix)["common_prefixes"])

    def list(self, prefix: str) -> list[str]:
        """Keys of all objects under a folder, at any depth, sorted."""
        with _told(self.url(prefix), "listed"):
            if self._absent():
                return []
            pages = obstore.list(connect(self.root), prefix)
            return sorted(found["path"] for page in pages for found in page)

    def zarr(self, key: str) -> ObjectStore[Any]:
        """The store object that zarr and xarray take for a group that lives, or will live, at a key."""
        with _told(self.url(key), "opened"):
            return ObjectStore(connect(self.url(key)))

    def check_writable(self) -> None:
        """Writes, and removes, a probe; to be called before any work.

        Raises StoreError where nothing can be written, or where the store lets a second create-only
        write pass: two runs could then both believe that they published. Leaves nothing behind.
        """
        key = f".probe-{uuid.uuid4().hex}"
        try:
            with _tidied(self.root):
                connection = connect(self.root, hasty=True)
                _create(connection, key, b"first")
                try:
                    twice = _create(connection, key, b"second")
                finally:
                    _delete(connection, key)
        except (BaseError, OSError) as error:
            raise StoreError([_unwritable(self, error)]) from error
        if twice:
            raise StoreError([_not_create_only(self)])

    def _absent(self) -> bool:
        return self.local and not Path(self.root).is_dir()


def open_store(address: str | Path = "runs") -> Store:
    """The store at a folder (made when first written to) or at s3://bucket[/prefix]. Touches nothing.

    S3 is reached by the usual environment: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
    AWS_REGION. Plain http is for loopback, or where AWS_ALLOW_HTTP is set. Raises StoreError.
    """
    text = str(address)
    parts = urlsplit(text)
    if "://" not in text:
        return Store(str(Path(address).absolute()))
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        return Store(str(Path(unquote(parts.path))))
    if parts.scheme == "s3" and parts.netloc:
        return Store(text.rstrip("/"))
    problem = Problem(
        where="store",
        expected="a folder, or s3://bucket/prefix",
        got=text,
        fix="give --store a path such as ./runs, or an S3 address with its bucket",
    )
    raise StoreError([problem])


def run_key(run_id: str, *names: str) -> str:
    """The key of a run's folder, or of something in it: run_key(id, "ledger", "b00001.json")."""
    return "/".join(("runs", run_id, *names))


def list_runs(store: Store) -> list[dict[str, Any]]:
    """The manifests of all published runs, in the order of their ids. Unfinished runs are left out.

    Each is the document written at the commit point, with its `run_id`.
    """
    found = []
    for folder in store.folders("runs"):
        body = store.read(f"{folder}/manifest.json")
        if body is not None:
            found.append({**json.loads(body), "run_id": folder.rpartition("/")[2]})
    return found


@lru_cache(maxsize=64)
def connect(address: str, hasty: bool = False) -> LocalStore | S3Store:
    """The obstore connection whose keys are relative to an address; makes a local folder.

    A hasty one gives up on a silent S3 server after seconds instead of a minute and a half. Raises
    StoreError where the endpoint would be spoken to in the clear.
    """
    if not address.startswith("s3://"):
        return LocalStore(prefix=address, mkdir=True)
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    client: ClientConfig = {"connect_timeout": timedelta(seconds=5)}
    if endpoint and endpoint.startswith("http://"):
        if urlsplit(endpoint).hostname not in LOOPBACK and not os.environ.get("AWS_ALLOW_HTTP"):
            raise StoreError([_in_the_clear(endpoint)])
        client["allow_http"] = True
    retries = HASTY if hasty else PATIENT
    return S3Store(
        bucket, prefix=prefix or None, endpoint=endpoint, client_options=client, retry_config=retries
    )


def _create(connection: LocalStore | S3Store, key: str, body: bytes) -> bool:
    try:
        obstore.put(connection, key, body, mode="create", use_multipart=False)
    except (AlreadyExistsError, PreconditionError):
        return False
    return True


def _delete(connection: LocalStore | S3Store, key: str) -> None:
    try:
        obstore.delete(connection, key)
    except FileNotFoundError:  # a folder says so, S3 does not
        return


@contextmanager
def _told(where: str, verb: str) -> Iterator[None]:
    """Tells a store's failure in one line instead of a traceback."""
    try:
        yield
    except (BaseError, OSError) as error:
        raise RunError(f"{where} could not be {verb}: {_reason(error)}") from error


@contextmanager
def _tidied(root: str) -> Iterator[None]:
    """Removes the folders of a local root that came into being inside."""
    missing = []
    if not root.startswith("s3://"):
        missing = [folder for folder in (Path(root), *Path(root).parents) if not folder.exists()]
    try:
        yield
    finally:
        for folder in missing:
            try:
                folder.rmdir()
            except OSError:  # never made, or someone else put something there
                break


def _reason(error: Exception) -> str:
    """What the server said, or the sentence of the error without the debug dump that obstore appends."""
    said = re.search("<Message>(.*?)</Message>", str(error))
    return said[1] if said else str(error).partition("\n\nDebug source")[0].strip()


def _unwritable(store: Store, error: Exception) -> Problem:
    return Problem(
        where=f"store {store.root}",
        expected="a folder or bucket that can be written",
        got=_reason(error),
        fix="choose another --store, or mend its permissions or free space"
        if store.local
        else "check that the bucket exists, and AWS_ENDPOINT_URL, AWS_REGION and the AWS_ credentials",
    )


def _not_create_only(store: Store) -> Problem:
    return Problem(
        where=f"store {store.root}",
        expected="a store that refuses a create-only write of an object that exists (If-None-Match)",
        got="it accepted a second one",
        fix="use a store with conditional writes; without them two runs could publish over each other",
    )


def _in_the_clear(endpoint: str) -> Problem:
    return Problem(
        where="AWS_ENDPOINT_URL",
        expected="https, or http on loopback",
        got=endpoint,
        fix="use https; inside a network that you trust, set AWS_ALLOW_HTTP=true",
    )
