"""The files of the stack, without an engine: what they say about themselves is true."""

from __future__ import annotations

import re

from Stack.tests.real_factory import ROOT

COMPOSE = ROOT / "Stack" / "App_Data" / "docker-compose.yml"
EXAMPLE = ROOT / ".env.example"
DOCKERFILES = [ROOT / "Src" / service / "Dockerfile" for service in ("Librarian", "Shared", "Dashboard")]


def test_every_variable_of_the_stack_is_in_the_example() -> None:
    text = COMPOSE.read_text()
    asked = set(re.findall(r"\$\{([A-Z_]+)", text)) | set(re.findall(r"^ +([A-Z_]+):$", text, re.MULTILINE))
    assert len(asked) > 20
    assert asked <= set(re.findall(r"^# ([A-Z_]+)=", EXAMPLE.read_text(), re.MULTILINE))


def test_defaults_of_the_stack_are_those_of_the_example() -> None:
    example = dict(re.findall(r"^# ([A-Z_]+)=(.*)$", EXAMPLE.read_text(), re.MULTILINE))
    defaults = dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", COMPOSE.read_text()))
    assert len(defaults) > 5
    assert {name: value.removeprefix("./") for name, value in defaults.items()} == {
        name: example[name] for name in defaults
    }


def test_every_image_has_a_version() -> None:
    for image in re.findall(r"^ +image: (.+)$", COMPOSE.read_text(), re.MULTILINE):
        assert image.startswith("photo-factory/") or re.search(r":v?[0-9]+", image), image


def test_no_password_is_written_down() -> None:
    for name, value in re.findall(r"^ +([A-Z_]*(?:PASSWORD|KEY)[A-Z_]*):(.*)$", COMPOSE.read_text(), re.MULTILINE):
        assert not value or (name.endswith("_FILE") and value.strip().startswith("/run/factory-secrets/")), name


def test_every_image_runs_its_tests_and_not_as_root() -> None:
    for dockerfile in DOCKERFILES:
        text = dockerfile.read_text()
        assert "-m pytest" in text, dockerfile
        assert re.search(r"^COPY --from=tested ", text, re.MULTILINE), dockerfile  # or a failing test would be skipped
        assert re.findall(r"^USER (.+)$", text, re.MULTILINE)[-1] == "1000:1000", dockerfile
