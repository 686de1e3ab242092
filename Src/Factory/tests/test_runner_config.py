"""The process runner's configuration, read by the process runner itself."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from pathlib import Path

import pytest
from supervisor import loggers

from Src.Factory import runner_process
from Src.Factory.runner import _config
from Src.Shared.logs import configure_logging
from Src.Shared.services import SERVICES
from Src.Shared.settings import load_settings

MODULES = {service.name: service.module for service in SERVICES if service.module is not None}


@pytest.mark.parametrize("name", ["plain", "with space", "semi ;colon", "No #1", "100%", "%(here)s", "quote's", "ünï"])
def test_any_folder_reaches_the_runner_as_it_is(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / name
    settings = load_settings({"FACTORY_DATA": str(folder)}, env_file=tmp_path / "no.env")
    settings.run.mkdir(parents=True)
    config = settings.run / "supervisord.conf"
    project = folder / "project"
    python = project / "bin" / "python"
    project.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(project))
    monkeypatch.setenv("FACTORY_PYTHON", shlex.quote(str(python)))
    config.write_text(_config(settings), encoding="utf-8")

    options = read_by_supervisor(config, monkeypatch)

    assert options.pidfile == str(settings.run / "supervisord.pid")
    assert options.childlogdir == str(settings.run)
    programs = {group.process_configs[0].name: group.process_configs[0] for group in options.process_group_configs}
    assert set(programs) == set(MODULES)
    for name, program in programs.items():
        assert program.directory == str(project)
        assert program.autorestart
        assert program.redirect_stderr
        assert shlex.split(program.command) == [str(python), "-m", MODULES[name]]


@pytest.mark.parametrize(
    ("environ", "runs"),
    [
        ({}, True),
        ({"DASHBOARD_PORT": "0"}, False),
        ({"DASHBOARD_ADDRESS": "0.0.0.0"}, True),
        ({"DASHBOARD_ADDRESS": "0.0.0.0", "DASHBOARD_PASSWORD": "x"}, True),
    ],
)
def test_the_dashboard_runs_where_it_may_and_the_others_in_any_case(
    tmp_path: Path, environ: dict[str, str], runs: bool
) -> None:
    config = _config(load_settings({"FACTORY_DATA": str(tmp_path), **environ}, env_file=tmp_path / "no.env"))
    assert ("[program:dashboard]" in config) is runs
    assert all(f"[program:{name}]" in config for name in MODULES if name != "dashboard")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("received SIGINT indicating exit request", "stopping: each service finishes what it has begun"),
        ("killing 'librarian' (12) with SIGKILL", "librarian does not stop and is killed; no photo is lost"),
        ("stopped: librarian (terminated by SIGKILL)", None),
        ("exited: dashboard (exit status 2; not expected)", "dashboard has ended (exit status 2) and is started again"),
        ("something new", "something new"),
    ],
)
def test_the_runner_speaks_as_the_services_do(
    said: str, words: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for log_format in ("text", "json"):
        environ = {"FACTORY_DATA": str(tmp_path), "LOG_FORMAT": log_format, "TZ": "UTC"}
        configure_logging(load_settings(environ, env_file=tmp_path / "no.env"), "factory")
        runner_process._Handler().emit(loggers.LogRecord(loggers.LevelsByName.WARN, said))
        line = capsys.readouterr().err
        if words is None:
            assert line == ""
        elif log_format == "json":
            assert json.loads(line)["message"] == words
        else:
            assert re.fullmatch(rf"[-\d]+ [:\d]+\.\d{{3}} (INFO|WARNING) factory: {re.escape(words)}\n", line)


def test_a_start_ends_with_three_plain_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environ = {"FACTORY_DATA": str(tmp_path), "DASHBOARD_PORT": "8555"}
    runner_process.say_ready(load_settings(environ, env_file=tmp_path / "no.env"))
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading == "Photo Factory is ready."
    assert [" ".join(line.split()) for line in lines] == [
        f"Drop photos into {tmp_path}/Photos_Inbox",
        "See them at http://127.0.0.1:8555",
        f"Stop it with kill {os.getpid()}",
    ]


def read_by_supervisor(config: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    from supervisor.options import ServerOptions

    monkeypatch.setattr(sys, "argv", ["supervisord"])
    options = ServerOptions()
    options.realize(["-n", "-c", str(config)])
    return options
