"""Which of several a process is: by its machine and its number here, and the same again after a restart."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from Src.Shared.instance import Instance, instance_title, own_instance
from Src.Shared.liveness import liveness_file
from Src.Shared.services import SERVICES, Service, service_named
from Src.Shared.settings import PROJECT_ROOT, Settings, SettingsError, load_settings

MANY = Service("workers", "workers", module="Src.Workers", may_be_many=True)
ONE_AT_A_TIME = replace(MANY, may_be_many=False)

# Becomes an instance, says which, and is it until its stdin ends.
HOLDER = """
import sys
from Src.Shared.instance import own_instance
from Src.Shared.services import Service
from Src.Shared.settings import load_settings
with own_instance(Service("workers", "workers", may_be_many=True), load_settings()) as one:
    print(one.name, flush=True)
    sys.stdin.read()
"""


def settings(folder: Path, host: str = "nas") -> Settings:
    return load_settings({"FACTORY_DATA": str(folder), "FACTORY_HOST": host}, env_file=folder / "no.env")


def test_a_service_of_which_there_is_one_is_the_same_wherever_it_runs(tmp_path: Path) -> None:
    with own_instance(ONE_AT_A_TIME, settings(tmp_path, "nas")) as here, ExitStack() as other:
        there = other.enter_context(own_instance(ONE_AT_A_TIME, settings(tmp_path, "attic")))
        assert here == Instance("1", "nas") and there == Instance("1", "attic")
    assert not (tmp_path / ".run").exists()


def test_each_of_several_has_the_lowest_free_number(tmp_path: Path) -> None:
    with ExitStack() as rest:
        with own_instance(MANY, settings(tmp_path)) as first:
            second = rest.enter_context(own_instance(MANY, settings(tmp_path)))
            assert (first, second) == (Instance("nas/1", "nas"), Instance("nas/2", "nas"))
        with own_instance(MANY, settings(tmp_path)) as after_a_restart:
            assert after_a_restart == first
            assert rest.enter_context(own_instance(MANY, settings(tmp_path))).name == "nas/3"


def test_a_killed_process_gives_its_number_back(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": str(PROJECT_ROOT), "FACTORY_DATA": str(tmp_path), "FACTORY_HOST": "nas"}

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", HOLDER],
            env=environment,
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    with start() as first, start() as second:
        assert first.stdout is not None and second.stdout is not None
        names = {first.stdout.readline(), second.stdout.readline()}
        assert names == {"nas/1\n", "nas/2\n"}
        first.kill()
        first.wait()
        with start() as third:
            assert third.stdout is not None
            assert {*names, third.stdout.readline()} == names


def test_where_no_lock_can_be_had_it_says_so_and_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / ".run").touch()  # a file where the folder should be
    with own_instance(MANY, settings(tmp_path)) as instance:
        assert instance.name == "nas/1"
    assert "would have the same number" in caplog.text


def test_liveness_files_are_told_apart_too() -> None:
    run = Path("/run")
    assert liveness_file(run, "librarian") == Path("/run/librarian.alive"), "as health checks of the stack name it"
    assert liveness_file(run, "workers", "nas/1") == Path("/run/workers.alive")
    assert liveness_file(run, "workers", "nas/12") == Path("/run/workers-12.alive")


def test_titles() -> None:
    assert instance_title("librarian", "1") == "librarian"
    assert instance_title("workers", "nas/2") == "workers nas/2"


@pytest.mark.parametrize("host", ["a/b", "a b", "x" * 65, "ü"])
def test_a_host_name_that_would_confuse_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(SettingsError, match="FACTORY_HOST="):
        settings(tmp_path, host)


def test_without_a_setting_it_is_the_machines_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "my box/1")
    found = load_settings({"FACTORY_DATA": str(tmp_path)}, env_file=tmp_path / "no.env")
    assert found.host == "my-box-1"


# -- the list of services ----------------------------------------------------------------------------------------


def test_names_and_containers_are_each_ones_own() -> None:
    assert len({one.name for one in SERVICES}) == len({one.container for one in SERVICES}) == len(SERVICES)


def test_who_reports_for_another_is_a_service_of_ours() -> None:
    reporters = {one.reported_by for one in SERVICES} - {None}
    assert {name for name in reporters if name and service_named(name).module is None} == set()


def test_what_nobody_knows_is_what_its_name_says() -> None:
    assert service_named("from-a-later-version").container == "from-a-later-version"
