"""The launcher `./factory`, run for real on a tiny project: its own venv, one small wheel, no network."""

from __future__ import annotations

import ast
import importlib.util
import io
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from Src.Testing.patience import wait_until

pytestmark = pytest.mark.xdist_group("launcher")

LAUNCHER = Path(__file__).parents[3] / "factory"
PYTHON = os.path.realpath(sys.executable)
MAKES_VENV = "making .venv"

# What runs in place of Src.Factory: tells how it was called, then exits with 7.
STUB = """
import json, os, random, sys
import probe
told = {"args": sys.argv[1:], "cwd": os.getcwd(), "probe": probe.VERSION, "random": random.__file__}
json.dump(told, sys.stdout)
sys.exit(7)
"""


class Project:
    def __init__(self, root: Path, bin_folder: Path, *, is_new: bool = True) -> None:
        self.root = root
        self.bin = bin_folder
        if is_new:
            self._make(root)

    def _make(self, root: Path) -> None:
        (root / "requirements").mkdir(parents=True)
        (root / "Src" / "Factory").mkdir(parents=True)
        (root / "Src" / "Factory" / "__main__.py").write_text(STUB)
        shutil.copy(LAUNCHER, root / "factory")
        self.require("probe==1")
        self.require("probe==1", file="requirements/test.txt")
        (root / "requirements" / "debian-test.txt").write_text("# none\n")
        make_wheel(root / "requirements", "probe", "1")
        make_wheel(root / "requirements", "probe", "2")
        make_wheel(root / "requirements", "extra", "1")

    def require(self, line: str, file: str = "requirements/local.txt") -> None:
        if file == "requirements/local.txt":
            (self.root / "requirements.txt").write_text("-r requirements/local.txt\n")
        (self.root / file).write_text(f"--no-index\n--find-links {self.root.as_uri()}/requirements\n{line}\n")

    def require_from(self, index: HangingIndex, file: str = "requirements/local.txt") -> None:
        (self.root / file).write_text(f"--index-url {index.url}\nhanging==1\n")

    def leave_half_installed(self, package: str) -> None:
        """What a pip killed half-way can leave: it looks installed, but is not."""
        (packages,) = self.root.glob(".venv/lib/python*/site-packages")
        info = packages / f"{package}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n")

    @property
    def environment(self) -> dict[str, str]:
        inherited = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("PIP_", "PYTHON")) and not key.lower().endswith("_proxy")
        }
        return inherited | {
            "PATH": str(self.bin),
            "FACTORY_NO_APT": "1",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_RETRIES": "0",
            "PIP_DEFAULT_TIMEOUT": "600",
        }

    def start(self, *args: str, cwd: Path | None = None, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [PYTHON, self.root / "factory", *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
            env=self.environment | more,
            start_new_session=True,
        )

    def run(self, *args: str, cwd: Path | None = None, **more: str) -> Outcome:
        return Outcome(self.start(*args, cwd=cwd, **more))


class Outcome:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.stdout, self.stderr = process.communicate(timeout=500)
        self.code = process.returncode
        assert "Traceback" not in self.stderr

    @property
    def told(self) -> dict[str, Any]:
        """What the stub said; fails unless it ran and standard output holds nothing else."""
        assert self.code == 7, self.stderr
        told: dict[str, Any] = json.loads(self.stdout)
        return told


class HangingIndex:
    """A package index that accepts a connection and never answers: pip waits as long as we like."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(500)
        self._connection: socket.socket | None = None
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"

    def wait_for_pip(self) -> None:
        self._connection, _ = self._listener.accept()

    def close(self) -> None:
        self._listener.close()
        if self._connection is not None:
            self._connection.close()


def make_wheel(folder: Path, name: str, version: str) -> None:
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", f"VERSION = {version!r}\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def kill_all(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def make_command(path: Path, script: str = "exit 0") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    make_command(tmp_path / "bin" / "exiftool")
    return Project(tmp_path / "Fotos für alle", tmp_path / "bin")


@dataclass(frozen=True)
class SetUp:
    """A project that `./factory setup` has set up, and that was moved from `Fotos für alle` to `set up`."""

    folder: Path  # of both
    said: str  # by the set-up

    @property
    def root(self) -> Path:
        return self.folder / "set up"


@pytest.fixture(scope="module")
def set_up_once(tmp_path_factory: pytest.TempPathFactory) -> SetUp:
    """Once for all tests that only look at it, or at a copy: to make a .venv takes seconds."""
    folder = tmp_path_factory.mktemp("ready")
    make_command(folder / "bin" / "exiftool")
    project = Project(folder / "Fotos für alle", folder / "bin")
    outcome = project.run("setup")
    assert outcome.code == 0
    set_up = SetUp(folder, outcome.stderr)
    project.root.rename(set_up.root)
    return set_up


@pytest.fixture
def ready(set_up_once: SetUp) -> Iterator[Project]:
    """A project that has been set up already: a copy for each test, at the one place where its .venv works."""
    root = set_up_once.folder / "Fotos für alle"
    shutil.copytree(set_up_once.root, root, symlinks=True, copy_function=_copied)
    project = Project(root, set_up_once.folder / "bin", is_new=False)
    yield project
    shutil.rmtree(project.root)


def _copied(source: str, target: str) -> None:
    """What pip consists of, nearly all files of a .venv, nobody writes into: one file serves all."""
    if "/site-packages/pip/" in source:
        os.link(source, target)
    else:
        shutil.copy2(source, target)


@pytest.fixture
def index() -> Iterator[HangingIndex]:
    index = HangingIndex()
    yield index
    index.close()


@pytest.fixture(scope="module")
def launcher() -> ModuleType:
    loader = SourceFileLoader("factory_launcher", str(LAUNCHER))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    loader.exec_module(module)
    sys.dont_write_bytecode = writes
    return module


class TestFirstAndLaterRuns:
    @pytest.mark.slow
    def test_the_first_run_sets_up_and_the_second_starts_at_once(self, project: Project) -> None:
        first = project.run("status")
        assert first.told["args"] == ["status"]
        assert MAKES_VENV in first.stderr

        second = project.run("status")
        assert second.told["probe"] == "1"
        assert second.stderr == ""

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
    @pytest.mark.parametrize("lock", [False, True])
    def test_in_a_checkout_of_another_user_it_says_what_to_do(self, project: Project, *, lock: bool) -> None:
        if lock:
            (project.root / ".venv.lock").touch(0o600)
        for path in (project.root, *project.root.parents):
            path.chmod(path.stat().st_mode | 0o055)
        caps = "-all,+dac_read_search"  # our Python may be where only we can read
        who = ("--reuid=65534", "--regid=65534", "--clear-groups", f"--inh-caps={caps}", f"--ambient-caps={caps}")
        done = subprocess.run(
            ["/usr/bin/setpriv", *who, f"--bounding-set={caps}", PYTHON, project.root / "factory", "status"],
            env=project.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert "this user may not set it up: run ./factory setup once as the user who owns" in done.stderr
        assert len(done.stderr.splitlines()) == 1

    @pytest.mark.slow
    def test_settings_of_the_user_that_would_stop_pip_do_not(self, project: Project, tmp_path: Path) -> None:
        make_wheel(tmp_path, "probe", "1")
        with zipfile.ZipFile(tmp_path / "probe-1-py3-none-any.whl") as wheel:
            wheel.extractall(tmp_path / "elsewhere")  # pip must not take this one for installed

        outcome = project.run("x", PIP_USER="1", PYTHONPATH=str(tmp_path / "elsewhere"))

        assert outcome.told["probe"] == "1"
        assert list(project.root.glob(".venv/lib/*/site-packages/probe.py"))

    def test_setup_only_sets_up(self, ready: Project) -> None:
        outcome = ready.run("setup")
        assert (outcome.code, outcome.stdout, outcome.stderr) == (0, "", "")

    def test_setup_takes_nothing_it_does_not_know(self, ready: Project) -> None:
        outcome = ready.run("setup", "--tests")
        assert outcome.code == 2
        assert outcome.stderr == "factory: usage: factory setup [--test]\n"

    def test_test_installs_the_test_requirements_too(self, ready: Project) -> None:
        stamp = ready.root / ".venv" / "factory-test.stamp"
        stamp.unlink(missing_ok=True)
        assert ready.run("test", "-k", "x").told["args"] == ["test", "-k", "x"]
        assert stamp.exists()


class TestProgress:
    """A set-up takes a minute or two on a slow machine: what it does is seen all the time, also without a terminal."""

    def test_each_step_is_named(self, set_up_once: SetUp) -> None:
        lines = set_up_once.said.splitlines()
        assert lines[0].startswith("factory: making .venv with Python 3.")
        assert any(re.fullmatch(r"factory: fetching packages, \d of 1(: .*)?", line) for line in lines)
        assert any(re.fullmatch(r"factory: unpacking packages, \d of 1(: probe)?(, \d+ s)?", line) for line in lines)
        assert re.fullmatch(r"factory: requirements installed in \d+ s", lines[-1])

    def test_no_line_stands_still_while_nothing_is_reported(
        self, launcher: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(launcher.Progress, "SECONDS_BETWEEN_LINES", 0.001)
        shown = io.StringIO()
        monkeypatch.setattr(sys, "stderr", shown)
        looks = itertools.count(1)
        progress = launcher.Progress("unpacking", lambda: f"{next(looks)} of 9")
        try:
            wait_until(lambda: shown.getvalue().count("\n") > 3)
        finally:
            progress.end()
        for count, line in enumerate(shown.getvalue().splitlines()[:3], start=1):
            assert re.fullmatch(rf"factory: unpacking, {count} of 9(, \d+ s)?", line)

    def test_while_pip_unpacks_the_venv_is_looked_at(self, launcher: ModuleType, tmp_path: Path) -> None:
        packages = tmp_path / "lib" / "python3.11" / "site-packages"
        (packages / "pip-23.dist-info").mkdir(parents=True)
        installation = launcher.Installation(str(tmp_path), 2)
        try:
            assert installation.see("Progress 500000 of 2000000\n")
            for line in ("Collecting a==1\n", "Collecting b==2\n", "  Downloading b-2-py3-none-any.whl (4.5 MB)\n"):
                assert not installation.see(line), "kept, to be shown should it fail"
            assert installation._fetched() == "2 of 2: b==2 (4.5 MB)"
            installation.see("Installing collected packages: b, a\n")
            assert installation._how_much_is_unpacked() == "0 of 2: b"
            (packages / "b-2.dist-info").mkdir()
            assert installation._how_much_is_unpacked() == "1 of 2: a"
            (packages / "a-1.dist-info").mkdir()
            assert installation._how_much_is_unpacked() == "2 of 2"
        finally:
            installation.progress.end()

    def test_nothing_is_compiled_that_nobody_uses(self, set_up_once: SetUp) -> None:
        (packages,) = set_up_once.root.glob(".venv/lib/python*/site-packages")
        assert (packages / "probe.py").exists()
        assert not list(packages.glob("__pycache__/probe*"))


class TestPassingThrough:
    def test_arguments_and_folder_arrive_as_given(self, ready: Project, tmp_path: Path) -> None:
        here = tmp_path / "wo ich bin ☃"
        here.mkdir()
        args = ["import", "a b", "", "--move", "-x", "ü\n", "*", os.fsdecode(b"\xff.jpg")]

        told = ready.run(*args, cwd=here).told

        assert told["args"] == args
        assert told["cwd"] == str(here)

    def test_through_a_link_and_the_shebang(self, ready: Project, tmp_path: Path) -> None:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "python3").symlink_to(PYTHON)
        (tmp_path / "factory").symlink_to(ready.root / "factory")
        path = f"{ready.bin}:{tmp_path / 'bin'}"

        answer = subprocess.run(
            [tmp_path / "factory", "x"],
            env=ready.environment | {"PATH": path},
            capture_output=True,
            check=False,
        )

        assert answer.returncode == 7
        assert answer.stderr == b""

    def test_modules_in_the_users_folder_are_not_taken(self, ready: Project, tmp_path: Path) -> None:
        for name in ("random.py", "probe.py", "Src.py"):
            (tmp_path / name).write_text("raise SystemExit('taken from the wrong place')")
        told = ready.run("x", cwd=tmp_path).told
        assert not told["random"].startswith(str(tmp_path))


@pytest.mark.slow  # most of them make a .venv
class TestInterruptedAndFailed:
    def test_a_killed_set_up_is_done_again_from_scratch(self, project: Project, index: HangingIndex) -> None:
        project.require_from(index)
        process = project.start("x")
        index.wait_for_pip()
        project.leave_half_installed("probe")
        kill_all(process)
        project.require("probe==1")

        outcome = project.run("x")

        assert MAKES_VENV in outcome.stderr
        assert outcome.told["probe"] == "1"
        assert not (project.root / ".venv.old").exists()

    def test_killed_while_adding_the_test_requirements(self, ready: Project, index: HangingIndex) -> None:
        ready.require_from(index, file="requirements/test.txt")
        process = ready.start("test")
        index.wait_for_pip()
        ready.leave_half_installed("extra")
        kill_all(process)
        ready.require("extra==1", file="requirements/test.txt")

        assert ready.run("test").told["probe"] == "1"
        assert list(ready.root.glob(".venv/lib/*/site-packages/extra.py"))

    def test_killed_in_a_change_that_is_then_taken_back(self, ready: Project, index: HangingIndex) -> None:
        ready.require_from(index)
        process = ready.start("x")
        index.wait_for_pip()
        kill_all(process)
        ready.require("probe==1")

        outcome = ready.run("x")

        assert MAKES_VENV in outcome.stderr  # what the change left half-done is gone
        assert outcome.told["probe"] == "1"

    def test_the_pip_of_a_killed_launcher_is_waited_for(self, project: Project, index: HangingIndex) -> None:
        project.require_from(index)
        killed = project.start("x")
        index.wait_for_pip()
        killed.kill()
        killed.wait()
        project.require("probe==1")

        process = project.start("x")
        assert process.stderr is not None
        assert process.stderr.readline() == "factory: waiting for another ./factory that is setting up\n"
        index.close()  # now pip gives up

        assert Outcome(process).told["probe"] == "1"
        killed.communicate()

    def test_two_first_runs_at_once(self, project: Project) -> None:
        outcomes = [Outcome(process) for process in (project.start("a"), project.start("b"))]
        assert [outcome.told["args"] for outcome in outcomes] == [["a"], ["b"]]
        assert sum(MAKES_VENV in outcome.stderr for outcome in outcomes) == 1

    def test_ctrl_c_ends_it_quietly(self, project: Project, index: HangingIndex) -> None:
        project.require_from(index)
        process = project.start("x")
        index.wait_for_pip()
        os.killpg(process.pid, signal.SIGINT)

        outcome = Outcome(process)

        assert outcome.code == 130
        assert outcome.stderr.splitlines()[-1] == "factory: interrupted"

    def test_a_failed_install_shows_why_and_leaves_what_worked(self, ready: Project) -> None:
        ready.require("missing==1", file="requirements/test.txt")
        for _ in range(2):  # the second one starts from scratch, and puts the old one back
            failed = ready.run("test")
            assert failed.code == 2
            assert "No matching distribution found for missing==1" in failed.stderr
            assert failed.stderr.splitlines()[-1].startswith("factory: pip could not install")

        outcome = ready.run("x")
        assert outcome.told["probe"] == "1"
        assert outcome.stderr == ""

    def test_a_missing_requirements_file_is_one_clear_line(self, project: Project) -> None:
        (project.root / "requirements.txt").unlink()
        outcome = project.run("x")
        assert outcome.code == 2
        assert outcome.stderr == f"factory: {project.root}/requirements.txt: No such file or directory\n"


class TestChanges:
    def test_new_pins_are_installed_into_the_venv_at_hand(self, ready: Project) -> None:
        ready.require("probe==2")
        changed = ready.run("x")
        assert changed.told["probe"] == "2"
        assert MAKES_VENV not in changed.stderr

    def test_a_venv_whose_python_was_removed_is_made_anew(
        self, ready: Project, launcher: ModuleType, tmp_path: Path
    ) -> None:
        python = ready.root / ".venv" / "bin" / "python"
        make_command(tmp_path / "other-python", f'exec "{python}3" "$@"')
        python.unlink()
        python.symlink_to(tmp_path / "other-python")
        venv = launcher.Venv(str(ready.root))
        Path(venv.stamp_path("local")).write_bytes(venv.expected("local"))
        assert MAKES_VENV not in ready.run("x").stderr

        (tmp_path / "other-python").unlink()

        outcome = ready.run("x")
        assert MAKES_VENV in outcome.stderr
        assert outcome.told["probe"] == "1"

    def test_a_moved_project_gets_a_new_venv(self, ready: Project) -> None:
        ready.root = ready.root.rename(ready.root.with_name("moved"))
        ready.require("probe==1")

        moved = ready.run("x")

        assert moved.told["probe"] == "1"
        assert MAKES_VENV in moved.stderr


class TestPythonVersion:
    def test_an_old_python_can_read_the_launcher(self) -> None:
        ast.parse(LAUNCHER.read_text(), feature_version=(3, 7))  # as far back as every Python can check

    @pytest.mark.parametrize("version", [(3, 6), (3, 10), (2, 7)])
    def test_too_old_is_said(self, launcher: ModuleType, version: tuple[int, int]) -> None:
        problem = launcher.python_problem(version)
        assert problem.startswith(f"Python {version[0]}.{version[1]} is too old: install Python 3.11")

    @pytest.mark.parametrize("version", [(3, 11), (3, 13), (4, 0)])
    def test_new_enough_is_no_problem(self, launcher: ModuleType, version: tuple[int, int]) -> None:
        assert launcher.python_problem(version) is None

    def test_windows_is_told_where_to_go(self, launcher: ModuleType) -> None:
        assert "WSL" in launcher.python_problem((3, 12), platform="nt")

    def test_a_newer_python_is_found_behind_one_that_does_not_run(
        self, launcher: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_command(tmp_path / "shims" / "python3.13", "exit 127")
        make_command(tmp_path / "real" / "python3.12", f'exec "{PYTHON}" "$@"')
        monkeypatch.setenv("PATH", f"{tmp_path / 'shims'}:{tmp_path / 'real'}")
        assert os.path.realpath(launcher.find_newer_python()) == PYTHON

    def test_a_real_old_python_goes_on_in_a_newer_one_or_says_so(self, ready: Project, tmp_path: Path) -> None:
        old = find_old_python()
        if old is None:
            pytest.skip("no Python older than 3.11 on this machine")
        factory = ready.root / "factory"

        refused = subprocess.run([old, factory], env=ready.environment, capture_output=True, text=True, check=False)
        assert refused.returncode == 2
        assert refused.stderr.startswith("factory: Python 3.")
        assert refused.stderr.count("\n") == 1

        make_command(tmp_path / "python3.11", f'exec "{PYTHON}" "$@"')
        path = f"{ready.bin}:{tmp_path}"
        taken = subprocess.run(
            [old, factory, "x"], env=ready.environment | {"PATH": path}, capture_output=True, check=False
        )
        assert taken.returncode == 7


def find_old_python() -> str | None:
    found = [shutil.which(f"python3.{minor}") for minor in range(6, 11)]
    places = [Path(name) for name in (*found, "/usr/bin/python3") if name is not None]
    probe = "import sys; sys.exit(not (3, 6) <= sys.version_info < (3, 11))"
    for python in places:
        if python.exists() and subprocess.call([python, "-c", probe], stderr=subprocess.DEVNULL) == 0:
            return str(python)
    return None


class TestSystemPackages:
    def test_a_missing_exiftool_is_said_once_a_day(self, ready: Project, tmp_path: Path) -> None:
        make_command(tmp_path / "bin" / "dnf")
        path = str(tmp_path / "bin")

        first, second = (ready.run("x", PATH=path) for _ in range(2))
        yesterday = time.time() - 25 * 60 * 60
        os.utime(ready.root / ".venv" / "factory-exiftool.said", (yesterday, yesterday))
        next_day = ready.run("x", PATH=path)

        assert first.told["probe"] == "1"
        assert first.stderr.count("\n") == 1
        assert first.stderr.endswith("install it: sudo dnf install perl-Image-ExifTool\n")
        assert second.stderr == ""
        assert next_day.stderr == first.stderr

    def test_a_python_that_cannot_make_a_venv_says_which_package_lacks(
        self, launcher: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FACTORY_NO_APT", "1")
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
        with pytest.raises(launcher.EnvironmentProblem, match=r"sudo apt install python3\.\d+-venv$"):
            launcher.Venv(str(tmp_path)).create(0)

    def test_apt_installs_quietly_even_when_its_lists_cannot_be_updated(
        self,
        launcher: ModuleType,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        calls = tmp_path / "calls"
        make_command(
            tmp_path / "apt-get",
            f'echo "noise $@"; echo "$@" >> "{calls}"; case "$*" in *update) exit 100; esac',
        )
        monkeypatch.setenv("PATH", str(tmp_path))

        assert launcher.apt_install(["one", "two"], "a test")

        assert calls.read_text().splitlines()[-1].endswith("install -y --no-install-recommends -- one two")
        out, err = capfd.readouterr()
        assert out == ""
        assert err == "factory: a test: installing one two with apt (FACTORY_NO_APT=1 turns this off)\n"

    def test_apt_that_fails_stops_nothing(
        self,
        launcher: ModuleType,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        make_command(tmp_path / "apt-get", 'echo "E: Unable to locate package one"; exit 100')
        monkeypatch.setenv("PATH", str(tmp_path))

        assert not launcher.apt_install(["one"], "a test")

        assert capfd.readouterr().err.splitlines()[-1] == (
            "factory: apt could not install one: E: Unable to locate package one"
        )
