"""What is shipped to run Ratchet elsewhere says the same as what runs here, and is safe as it stands."""

import re
from pathlib import Path

import pytest
import yaml

from config import environment
from config.environment import ROOT, EnvironmentRefused
from config.launcher import children

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]


def example() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.mark.parametrize(
    ("service", "command"),
    [
        ("web", children.web_command(host="0.0.0.0", port=8000)),
        ("worker", children.worker_command(name="worker")),
        ("errands", children.errands_command()),
        ("beat", children.beat_command(schedule=Path("/tmp/beat-schedule"))),
    ],
)
def test_composes_run_the_launchers_commands(service, command):
    assert SERVICES[service]["command"] == ["python", *command[1:]]


def test_the_image_starts_the_web_by_itself():
    said = re.search(r"^CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert yaml.safe_load(said[1]) == SERVICES["web"]["command"]
    assert "\nUSER 10001:10001\n" in (ROOT / "Dockerfile").read_text()


def test_the_image_holds_the_installer_the_makefile_pins():
    pinned = re.search(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert f"uv=={pinned[1]}" in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_no_service_can_write_its_root_or_gain_rights(service):
    assert SERVICES[service]["read_only"] is True
    assert SERVICES[service]["cap_drop"] == ["ALL"]
    assert SERVICES[service]["security_opt"] == ["no-new-privileges:true"]
    assert SERVICES[service].get("user", "10001") not in ("root", "0", "0:0")


def test_only_the_web_is_reached_from_outside_and_only_from_this_machine():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"web": ["127.0.0.1:${PORT:-8000}:8000"]}
    assert {name: SERVICES[name]["networks"] for name in ("postgres", "valkey")} == {
        "postgres": ["inside"],
        "valkey": ["inside"],
    }
    assert COMPOSE["networks"]["inside"] == {"internal": True}


def test_every_secret_must_be_given():
    text = (ROOT / "docker-compose.yml").read_text()
    secrets = (
        "SECRET_KEY",
        "RATCHET_ENCRYPTION_KEYS",
        "ALLOWED_HOSTS",
        "POSTGRES_PASSWORD",
        "VALKEY_PASSWORD",
    )
    for name in secrets:
        uses = re.findall(rf"\$\{{{name}\b[^}}]*\}}", text)
        assert uses
        assert all(use.startswith(f"${{{name}:?") for use in uses)


def test_the_example_has_no_usable_default():
    assert set(example().values()) == {""}
    with pytest.raises(EnvironmentRefused):
        environment.load({**example(), "RATCHET_MODE": "production"})


def test_the_example_names_every_variable_the_services_take():
    asked = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text()))
    assert asked - {"RATCHET_VERSION", "PORT"} == set(example())
