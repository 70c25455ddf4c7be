"""S3 servers, started once and only where a test asks for one."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.store import Store, open_store
from tests.servers import CREDENTIALS, create_bucket, serve_moto, serve_seaweed

BUCKET = "seawall"


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    with serve_moto() as endpoint:
        create_bucket(endpoint, BUCKET)
        yield endpoint


@pytest.fixture(scope="session")
def seaweed_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve_seaweed(tmp_path_factory.mktemp("seaweed")) as endpoint:
        create_bucket(endpoint, BUCKET)
        yield endpoint


@pytest.fixture(params=["local", "moto", "seaweed"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty store of each kind; on S3, under a prefix of its own."""
    if request.param == "local":
        return open_store(tmp_path / "results" / "runs")
    endpoint = request.getfixturevalue(f"{request.param}_endpoint")
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint}.items():
        monkeypatch.setenv(name, value)
    return open_store(f"s3://{BUCKET}/desk/{uuid.uuid4().hex}")


on_local = pytest.mark.parametrize("store", ["local"], indirect=True)
on_moto = pytest.mark.parametrize("store", ["moto"], indirect=True)
on_seaweed = pytest.mark.parametrize("store", ["seaweed"], indirect=True)
