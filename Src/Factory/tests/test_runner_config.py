"""The process runner's configuration, read by the process runner itself."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from Src.Factory.runner import SERVICES, _config
from Src.Shared.settings import load_settings


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
    assert set(programs) == set(SERVICES)
    for name, program in programs.items():
        assert program.directory == str(project)
        assert program.autorestart
        assert program.redirect_stderr
        assert shlex.split(program.command) == [str(python), *SERVICES[name]]


@pytest.mark.parametrize(
    ("environ", "runs"),
    [
        ({}, True),
        ({"DASHBOARD_PORT": "0"}, False),
        ({"DASHBOARD_ADDRESS": "0.0.0.0"}, False),
        ({"DASHBOARD_ADDRESS": "0.0.0.0", "DASHBOARD_PASSWORD": "x"}, True),
    ],
)
def test_the_dashboard_runs_where_it_may_and_the_others_in_any_case(
    tmp_path: Path, environ: dict[str, str], runs: bool
) -> None:
    config = _config(load_settings({"FACTORY_DATA": str(tmp_path), **environ}, env_file=tmp_path / "no.env"))
    assert ("[program:dashboard]" in config) is runs
    assert all(f"[program:{name}]" in config for name in SERVICES if name != "dashboard")


def test_json_logs_are_not_mixed_with_the_runners_own_words(tmp_path: Path) -> None:
    for log_format, level in (("text", "warn"), ("json", "error")):
        environ = {"FACTORY_DATA": str(tmp_path), "LOG_FORMAT": log_format}
        assert f"\nloglevel={level}\n" in _config(load_settings(environ, env_file=tmp_path / "no.env"))


def read_by_supervisor(config: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    from supervisor.options import ServerOptions

    monkeypatch.setattr(sys, "argv", ["supervisord"])
    options = ServerOptions()
    options.realize(["-n", "-c", str(config)])
    return options
