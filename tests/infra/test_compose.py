from __future__ import annotations

import re
import subprocess
import sys
import urllib.parse
from pathlib import Path
from typing import Any

import yaml

INFRA = Path(__file__).parents[2] / "infra"
TEXT = (INFRA / "compose.yaml").read_text()
OURS = {"prefect-server", "dask-scheduler", "dask-worker", "prefect-worker", "schedules"}


def services() -> dict[str, dict[str, Any]]:
    return dict(yaml.safe_load(TEXT)["services"])


def test_compose__holds_to_the_specification(tmp_path: Path) -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*check, str(INFRA / "compose.yaml")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(TEXT.replace("interval: 5s", "intervall: 5s"))
    assert subprocess.run([*check, str(wrong)], capture_output=True).returncode == 1


def test_compose__has_the_services_of_a_deployment() -> None:
    assert services().keys() == OURS | {"postgres"}


def test_compose__tells_the_health_of_every_service_that_stays() -> None:
    for name, service in services().items():
        assert "healthcheck" in service or service["restart"] == "on-failure", name
        for other, terms in service.get("depends_on", {}).items():
            assert terms["condition"] == "service_healthy", (name, other)
            assert "healthcheck" in services()[other], (name, other)


def test_compose__runs_one_pinned_image_without_privileges() -> None:
    for name in OURS:
        service = services()[name]
        assert re.fullmatch(r"seawall:\d+\.\d+\.\d+", service["image"])
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert (INFRA / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    assert re.fullmatch(r"postgres:\d+\.\d+-\w+", services()["postgres"]["image"])


def test_compose__opens_ports_on_loopback_only() -> None:
    published = [port for service in services().values() for port in service.get("ports", [])]
    assert published == ["127.0.0.1:4200:4200"]


def test_compose__refers_to_secrets_and_holds_none() -> None:
    for service in services().values():
        for key, value in service.get("environment", {}).items():
            assert urllib.parse.urlsplit(str(value)).password is None, key
            if re.search("PASSWORD|SECRET|TOKEN|KEY", key):
                assert re.fullmatch(r"\$\{\w+:\?.*\}", value), key
    example = (INFRA / "env.example").read_text()
    assert "POSTGRES_PASSWORD=\n" in example
    for name in re.findall(r"\$\{(\w+):\?", TEXT):
        assert f"{name}=" in example


def test_compose__gives_the_flow_what_its_schedule_refers_to() -> None:
    wanted = set(re.findall(r"\{\{ \$(\w+) \}\}", (INFRA / "prefect.yaml").read_text()))
    assert wanted
    assert wanted <= services()["schedules"]["environment"].keys()
