"""`doctor`: what is said of a machine that is well, and of one that is not; and that nothing is left behind."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from Src.Factory import doctor
from Src.Factory.doctor import CHECKS, Finding, State, examine, show_doctor
from Src.Shared.env_names import unknown_names
from Src.Shared.errors import ExitCode
from Src.Shared.settings import PROJECT_ROOT, Settings, load_settings
from Src.Testing.patience import PATIENCE


def settings_of(folder: Path, **values: str) -> Settings:
    port = {"DASHBOARD_PORT": "0", "DISK_WARNING": "0", "DISK_ERROR": "0"}
    return load_settings({"FACTORY_DATA": str(folder / "factory"), **port, **values}, env_file=folder / "no.env")


def found(settings: Settings, check: str) -> list[Finding]:
    return list(examine(settings, [check]))


def tree(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


@pytest.mark.parametrize("is_there", [True, False])
def test_every_check_says_something_and_leaves_nothing_behind(tmp_path: Path, is_there: bool) -> None:
    settings = settings_of(tmp_path)
    if is_there:
        for folder in (settings.inbox, settings.state):
            folder.mkdir(parents=True)
    before = tree(tmp_path)
    findings = list(examine(settings))
    assert tree(tmp_path) == before
    assert {one.check for one in findings} >= set(CHECKS) - {"disks"}
    assert {"inbox disk", "library disk", "database disk"} <= {one.check for one in findings}
    assert all(one.fix for one in findings if one.state != "ok")


def test_json_is_a_list_with_check_state_and_fix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_doctor(settings_of(tmp_path), as_json=True)
    given = json.loads(capsys.readouterr().out)
    assert isinstance(given, list)
    assert all({"check", "state", "fix"} <= one.keys() and one["state"] in ("ok", "warning", "error") for one in given)


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ((), ExitCode.WELL), (("ok",), ExitCode.WELL), (("ok", "warning"), ExitCode.FOUND),
        (("warning", "error", "ok"), ExitCode.ERROR),
    ],
)  # fmt: skip
def test_the_worst_is_the_exit_code(
    tmp_path: Path, states: tuple[State, ...], code: ExitCode, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    given = [Finding("x", state, "it is so", "do that") for state in states]
    monkeypatch.setattr(doctor, "CHECKS", {"x": lambda _: iter(given)})
    assert show_doctor(settings_of(tmp_path), as_json=False) is code
    assert capsys.readouterr().out.count("fix: do that") == len(states)


def test_a_disk_that_does_not_answer_costs_its_own_check_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()

    def hangs(_settings: Settings) -> Iterator[Finding]:
        answer.wait()
        yield from ()

    def refuses(_settings: Settings) -> Iterator[Finding]:
        raise PermissionError(13, "Permission denied", "/secret")
        yield

    monkeypatch.setattr(doctor, "_ANSWER_LIMIT", 0.05)
    monkeypatch.setattr(doctor, "CHECKS", {"hangs": hangs, "refuses": refuses})
    findings = examine(settings_of(tmp_path))
    first = next(findings)
    monkeypatch.setattr(doctor, "_ANSWER_LIMIT", PATIENCE)
    states = [(one.check, one.state, one.found) for one in (first, *findings)]
    answer.set()
    assert states == [
        ("hangs", "error", "no answer within 0 s"),
        ("refuses", "warning", "could not be looked at: /secret: Permission denied"),
    ]


def test_hard_links_across_disks(tmp_path: Path) -> None:
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("this machine has no second disk")
    settings = settings_of(tmp_path, INBOX_PATH=str(elsewhere))
    [one] = found(settings, "hard links")
    assert one.state == "warning" and "different disks" in one.found
    [one] = found(settings_of(tmp_path), "hard links")
    assert one.state == "ok"


def test_a_full_disk_is_an_error(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, DISK_ERROR="100", DISK_WARNING="100")
    assert {one.state for one in found(settings, "disks")} == {"error"}
    settings = settings_of(tmp_path, DISK_WARNING="100")
    assert {one.state for one in found(settings, "disks")} == {"warning"}


def test_a_port_that_another_program_has(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        [one] = found(settings_of(tmp_path, DASHBOARD_PORT=str(port)), "port")
        assert one.state == "warning" and f"DASHBOARD_PORT={port + 1}" in one.fix


def test_a_folder_into_which_this_user_may_not_write_names_both_and_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path)
    settings.inbox.mkdir(parents=True)
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != settings.inbox and real(path, mode))
    [one] = [one for one in found(settings, "permissions") if one.state == "error"]
    assert f"user {os.geteuid()}" in one.found and str(settings.inbox) in one.found
    assert one.fix.startswith(f"sudo chown -R {os.geteuid()}:") and "PUID" in one.fix


def test_the_database_must_not_be_on_a_share_and_photos_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "filesystem_type", lambda _: "nfs4")
    monkeypatch.setattr(doctor, "sends_events", lambda _: False)
    states = {one.check: one.state for one in found(settings_of(tmp_path), "disks")}
    assert states == {"inbox disk": "warning", "library disk": "warning", "database disk": "error"}


def test_a_typo_in_env_is_named_with_what_was_meant(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text("DASHBORD_PORT=1\nCOMPOSE_PROJECT_NAME=x\nDASHBOARD_PORT=2\nDB_PASSWORD_FILE=/x\nTZ=UTC\nXYZZY=1\n")
    typo, strange = unknown_names(env)
    assert "DASHBORD_PORT" in typo and "did you mean DASHBOARD_PORT?" in typo
    assert "XYZZY" in strange and ".env.example" in strange


def test_every_name_of_the_example_is_known(tmp_path: Path) -> None:
    lines = (PROJECT_ROOT / ".env.example").read_text().splitlines()
    env = tmp_path / ".env"
    env.write_text("\n".join(line.removeprefix("# ") for line in lines if "=" in line and line.startswith("# ")))
    assert [one for one in unknown_names(env) if "nothing reads" in one and one.split("reads ")[1][0].isupper()] == []


def test_without_the_list_of_names_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DASHBORD_PORT=1\n")
    assert list(unknown_names(tmp_path / ".env", root=tmp_path)) == []
