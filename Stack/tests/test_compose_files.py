"""The files of the stack, without an engine: what they say about themselves is true."""

from __future__ import annotations

import re

from Src.Shared.services import SERVICES
from Src.Shared.settings import RENAMED
from Src.Shared.stack_folders import _COVER
from Src.Shared.version import IMAGE_TAG
from Stack.tests.real_factory import ROOT

COMPOSE = ROOT / "Stack" / "App_Data" / "docker-compose.yml"
EXAMPLE = ROOT / ".env.example"
DOCKERFILES = [ROOT / "Src" / service / "Dockerfile" for service in ("Librarian", "Shared", "Dashboard")]


def test_every_variable_of_the_stack_is_in_the_example() -> None:
    text = COMPOSE.read_text()
    asked = set(re.findall(r"\$\{([A-Z_]+)", text)) | set(re.findall(r"^ +([A-Z_]+):$", text, re.MULTILINE))
    assert len(asked) > 20
    for now, before in RENAMED.items():
        assert text.count(f"      {now}:\n      {before}:\n") == text.count(f" {now}:") > 0, (
            "the old name comes through"
        )
    asked -= {"COMPOSE_PROJECT_NAME", *RENAMED.values()}
    assert asked <= set(re.findall(r"^# ([A-Z_]+)=", EXAMPLE.read_text(), re.MULTILINE))


def test_defaults_of_the_stack_are_those_of_the_example() -> None:
    example = dict(re.findall(r"^# ([A-Z_]+)=(.*)$", EXAMPLE.read_text(), re.MULTILINE))
    defaults = dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", COMPOSE.read_text()))
    assert len(defaults) > 5
    assert defaults.pop("FACTORY_GROUP") == "65534", "Compose has no way to add no group: this one has no files"
    assert defaults.pop("FACTORY_DB_DATA") == "./Stack/App_Data/factory-db-data"
    assert "./Stack/App_Data/factory-db-data" in EXAMPLE.read_text(), "in words: without Docker it is another"
    assert defaults.pop("FACTORY_HOST") == "stack"
    assert "in the Docker stack `stack`" in EXAMPLE.read_text(), "in words: without Docker it is the host name"
    assert defaults.pop("FACTORY_NAME") in ("photo-factory", ""), "in the place of a name of one's own"
    assert {name: value.removeprefix("./") for name, value in defaults.items()} == {
        name: example[name].removeprefix("./") for name in defaults
    }


def blocks() -> dict[str, str]:
    """The compose file's services, each with what stands below its name."""
    services = COMPOSE.read_text().partition("\nservices:\n")[2].partition("\nx-closed:")[0]
    parts = re.split(r"^  ([a-z-]+):\n", services, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_the_stack_has_a_block_for_each_service_and_knows_it_as_the_list_of_services_does() -> None:
    found = blocks()
    before_the_services = {"move-in", "init", "migrate"}
    assert set(found) - before_the_services == {service.name for service in SERVICES}
    for service in SERVICES:
        block = found[service.name]
        assert f"    container_name: ${{FACTORY_NAME:+${{FACTORY_NAME:-}}_}}{service.container}\n" in block
        if service.module is not None:
            assert f"    command: [python, -m, {service.module}]\n" in block
        if service.rights is not None:
            assert f"      DB_USERNAME: {service.rights.role}\n" in block
        has_secrets = service.secrets or service.rights is not None or service.name == "factory-db"
        own = f'/{service.name}", target: /run/factory-secrets, read_only: true'
        assert (own in block) is bool(has_secrets), "its own secrets and no other's"


def test_the_dashboard_sees_nothing_in_the_place_of_the_folder_with_the_key_of_the_signed_lists() -> None:
    key, cover = _COVER[-2:]
    assert f'/{cover}", target: /data/{key}, read_only: true' in blocks()["dashboard"]


def test_the_gate_shows_the_containers_of_services_and_no_other() -> None:
    [shown] = re.findall(r"\$\{CONTAINER_PREFIX\}\(([a-z_|]+)\)", (COMPOSE.parent / "gate.cfg").read_text())
    assert sorted(shown.split("|")) == sorted(service.container for service in SERVICES)


def test_every_image_has_an_exact_version_and_can_be_set() -> None:
    for image in re.findall(r"^ +image: (.+)$", COMPOSE.read_text(), re.MULTILINE):
        ours = re.fullmatch(r"\$\{FACTORY_NAME:-photo-factory\}/[a-z-]+:" + IMAGE_TAG, image)
        assert ours or re.fullmatch(r"\$\{[A-Z_]+_IMAGE:-[a-z/-]+:v?[0-9]+(\.[0-9]+)+(-[a-z]+)*\}", image), image
    for dockerfile in DOCKERFILES:
        text = dockerfile.read_text()
        assert re.search(r"^ARG PYTHON_IMAGE=python:3\.13\.[0-9]+-slim-trixie$", text, re.MULTILINE), dockerfile
        assert re.findall(r"^FROM (?!base|packages)(.+)$", text, re.MULTILINE) == ["${PYTHON_IMAGE} AS base"]
        [default] = set(re.findall(r"\$\{PYTHON_IMAGE:-(.+?)\}", COMPOSE.read_text()))
        assert f"ARG PYTHON_IMAGE={default}\n" in text, dockerfile


def test_pip_takes_wheels_only() -> None:
    for dockerfile in DOCKERFILES:
        installs = re.findall(r"\bpip (?:--python \S+ )?install\b.*", dockerfile.read_text())
        assert len(installs) >= 2
        assert all("--only-binary :all:" in line for line in installs), dockerfile


def test_no_volume_of_compose_holds_what_must_stay() -> None:
    """`docker compose down --volumes` deletes every volume that is not external."""
    volumes = COMPOSE.read_text().partition("\nvolumes:\n")[2]
    declared = dict(re.findall(r"^  ([a-z-]+):(.*)$", volumes, re.MULTILINE))
    assert set(declared) == {"factory-db-data", "claim"}
    assert "external: true" in declared["factory-db-data"]


def test_git_and_docker_leave_the_stacks_data_alone() -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    for folder in re.findall(r":-\./(Stack/App_Data/[a-z_-]+)\}", COMPOSE.read_text()):
        assert f"/{folder}/" in ignored
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*", "all but what is named"


def test_no_password_is_written_down() -> None:
    for name, value in re.findall(r"^ +([A-Z_]*(?:PASSWORD|KEY)[A-Z_]*):(.*)$", COMPOSE.read_text(), re.MULTILINE):
        assert not value or (name.endswith("_FILE") and value.strip().startswith("/run/factory-secrets/")), name


def test_every_image_runs_its_tests_and_not_as_root() -> None:
    for dockerfile in DOCKERFILES:
        text = dockerfile.read_text()
        assert "-m pytest" in text, dockerfile
        assert re.search(r"^COPY --from=tested ", text, re.MULTILINE), dockerfile  # or a failing test would be skipped
        assert re.findall(r"^USER (.+)$", text, re.MULTILINE)[-1] == "1000:1000", dockerfile
