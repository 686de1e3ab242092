"""Commands for the stack, with a `docker` that tells what it was asked: which factory is meant, and what is run.

The launcher runs in a project without a .venv, in a bare Python. What the real Docker makes of it is tested in
`Stack/tests/test_stack_commands.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
PYTHON = os.path.realpath(sys.executable)
STANDS_ALONE = ("__init__", "stack_commands", "stack", "stack_import", "backup", "postgres_programs", "problems")

WITHOUT_IT = "requirements.txt: No such file"  # said where it goes on to make a .venv, for which there is nothing here

DOCKER = """#!{python} -IS
import json, os, sys
folder = {folder!r}
command = sys.argv[1]
if command in ("ps", "inspect"):
    answer = json.load(open(folder + "/answers.json"))[command]
    sys.stderr.write(answer["err"])
    sys.stdout.write(answer["out"])
    sys.exit(answer["code"])
files = [sys.argv[i + 1] for i, word in enumerate(sys.argv) if word == "--file"]
told = dict(args=sys.argv[1:], files=[open(f).read() if os.path.exists(f) else None for f in files],
            data=os.environ.get("FACTORY_DATA"), user=os.environ.get("PUID"))
json.dump(told, sys.stdout)
sys.exit(5)
"""


class Project:
    """A checkout, and the containers that Docker says are there."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "checkout"
        self.data = folder / "data"
        self._answers = folder / "answers.json"
        self._bin = folder / "bin"
        (self.root / "Src" / "Factory").mkdir(parents=True)
        (self.root / "Src" / "__init__.py").touch()
        shutil.copy(ROOT / "factory", self.root)
        for name in STANDS_ALONE:
            shutil.copy(ROOT / "Src" / "Factory" / f"{name}.py", self.root / "Src" / "Factory")
        self._bin.mkdir()
        docker = self._bin / "docker"
        docker.write_text(DOCKER.format(python=PYTHON, folder=str(folder)))
        docker.chmod(0o755)
        services = ("librarian", "service-monitor", "factory-db", "syncthing", "dashboard", "gate")
        self.stands([self.container(service) for service in services])

    def container(self, service: str, *, runs: bool = True, folder: Path | None = None) -> dict[str, Any]:
        return {
            "Id": f"id-of-{service}",
            "Name": f"/{service}",
            "State": {"Running": runs},
            "Config": {
                "Labels": {
                    "com.docker.compose.project": "photo-factory",
                    "com.docker.compose.project.config_files": f"{self.root}/docker-compose.yml",
                    "com.docker.compose.project.working_dir": str(folder or self.root),
                    "com.docker.compose.service": service,
                },
                "Env": ["POSTGRES_DB=ledger", "PATH=/bin"],
                "User": "4321:4322",
                "WorkingDir": "/app",
            },
            "HostConfig": {"Tmpfs": {"/tmp": "", "/data/.run": ""}},
            "Mounts": [{"Source": str(self.data), "Destination": "/data"}],
            "NetworkSettings": {"Ports": {"22000/tcp": [{"HostIp": "192.0.2.7", "HostPort": "22000"}]}},
        }

    def stands(self, containers: list[dict[str, Any]], *, err: str = "", code: int = 0, oneoff: str = "") -> None:
        labels = "com.docker.compose.project.working_dir"
        lines = [f"{one['Id']} {oneoff} {one['Config']['Labels'][labels]}\n" for one in containers]
        answers = {
            "ps": {"out": "".join(lines), "err": err, "code": code},
            "inspect": {"out": json.dumps(containers), "err": "", "code": 0},
        }
        self._answers.write_text(json.dumps(answers))

    def run(self, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PYTHON, "-I", self.root / "factory", *arguments],
            env={"PATH": f"{self._bin}:/bin:/usr/bin", "FACTORY_NO_APT": "1"} | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def told(self, *arguments: str | Path, **environment: str) -> dict[str, Any]:
        """How docker was called; fails where the command was not for the stack."""
        done = self.run(*arguments, **environment)
        assert done.returncode == 5, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def is_for_the_stack(self, **environment: str) -> bool:
        done = self.run("status", **environment)
        assert done.returncode == 5 or WITHOUT_IT in done.stderr
        return done.returncode == 5


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_running_stack_of_this_checkout_wins(project: Project) -> None:
    assert project.told("status", "--json")["args"] == [
        *("exec", "id-of-librarian", "python", "-m", "Src.Factory", "status", "--json")
    ]


def test_the_checkout_may_be_reached_by_a_link(project: Project, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(project.root)
    project.stands([project.container("librarian", folder=tmp_path / "link")])
    assert project.is_for_the_stack()


def test_another_checkouts_stack_is_not_meant(project: Project, tmp_path: Path) -> None:
    project.stands([project.container("librarian", folder=tmp_path / "other")])
    assert not project.is_for_the_stack()


def test_a_container_of_one_command_is_no_stack(project: Project) -> None:
    project.stands([project.container("librarian")], oneoff="True")
    assert not project.is_for_the_stack()


@pytest.mark.parametrize("name", ["DATABASE_URL", "DB_HOST"])
def test_another_database_means_another_factory(project: Project, name: str) -> None:
    assert not project.is_for_the_stack(**{name: "db.example"})
    assert project.is_for_the_stack(**{name: ""})


def test_other_data_mean_another_factory(project: Project, tmp_path: Path) -> None:
    project.data.mkdir()
    (tmp_path / "link").symlink_to(project.data)
    assert not project.is_for_the_stack(FACTORY_DATA=str(tmp_path / "other"))
    assert project.is_for_the_stack(FACTORY_DATA=str(tmp_path / "link"))


def test_a_stack_that_is_down_is_told_of_and_not_meant(project: Project) -> None:
    project.stands([project.container("librarian", runs=False)])
    done = project.run("status")
    assert WITHOUT_IT in done.stderr
    assert "docker compose up -d starts it" in done.stderr


def test_who_may_not_ask_docker_is_told(project: Project) -> None:
    project.stands([], err="permission denied while trying to connect to the Docker daemon socket", code=1)
    done = project.run("status")
    assert WITHOUT_IT in done.stderr
    assert "this user may not ask Docker" in done.stderr


def test_no_engine_is_nothing_to_speak_of(project: Project) -> None:
    project.stands([], err="Cannot connect to the Docker daemon at unix:///var/run/docker.sock.", code=1)
    assert len(project.run("status").stderr.splitlines()) == 1


def test_a_service_that_does_not_run_is_one_line(project: Project) -> None:
    project.stands([project.container("librarian", runs=False), project.container("gate")])
    for command, service in (("status", "librarian"), ("psql", "factory-db")):
        done = project.run(command)
        assert done.returncode == 2
        assert done.stdout == ""
        [line] = done.stderr.splitlines()
        assert service in line and "docker compose up -d" in line


@pytest.mark.parametrize("command", ["setup", "test", ""])
def test_some_are_never_for_the_stack(project: Project, command: str) -> None:
    done = project.run(*filter(None, [command]))
    assert WITHOUT_IT in done.stderr


def test_psql_reads_its_input(project: Project) -> None:
    arguments = project.told("psql", "-c", "SELECT 'a b'")["args"]
    assert arguments[:2] == ["exec", "--interactive"]
    assert arguments[-3:] == ["psql", "-c", "SELECT 'a b'"]
    assert "PGDATABASE=ledger" in arguments
    assert not [word for word in arguments if "PASSWORD=" in word and "$" not in word], "a password for all to see"


def test_the_monitor_tells_of_phones_and_knows_the_hosts_address(project: Project) -> None:
    assert project.told("phone", "--accept", "my phone")["args"] == [
        *("exec", "--env", "FACTORY_HOST_ADDRESS=tcp://192.0.2.7:22000", "id-of-service-monitor"),
        *("python", "-m", "Src.Factory", "phone", "--accept", "my phone"),
    ]


def imported(project: Project, *arguments: str | Path) -> tuple[list[str], list[dict[str, Any]], dict[str, Any]]:
    """What the container is told to import, what is mounted for it, and all that docker was told."""
    told = project.told("import", *arguments)
    words = told["args"]
    mounts = json.loads(told["files"][-1])["services"]["librarian"]["volumes"]
    return words[words.index("import") + 1 :], mounts, told


def test_import_shows_the_container_what_it_needs_and_no_more(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "my $pictures: ünï"
    folder.mkdir()
    (folder / "a.jpg").touch()
    (folder / "-b.jpg").touch()
    (tmp_path / "-c").mkdir()

    words, mounts, told = imported(project, "--json", folder / "a.jpg", folder / "-b.jpg", tmp_path / "-c")

    assert words == ["--json", "--", *map(str, (folder / "a.jpg", folder / "-b.jpg", tmp_path / "-c"))]
    assert {mount["source"]: mount["target"] for mount in mounts} == {
        str(folder).replace("$", "$$"): str(folder).replace("$", "$$"),
        str(tmp_path / "-c"): str(tmp_path / "-c"),
    }
    assert all(mount["read_only"] and not mount["bind"]["create_host_path"] for mount in mounts)
    assert told["args"][:4] == [
        *("compose", "--progress=quiet", "--project-name=photo-factory", f"--project-directory={project.root}")
    ]
    assert told["args"][4:6] == ["--file", f"{project.root}/docker-compose.yml"]
    # It works on the photos of the stack that runs, whatever this shell knows.
    assert (told["data"], told["user"]) == (str(project.data), "4321")


def test_import_move_may_write_there(project: Project, tmp_path: Path) -> None:
    words, [mount], _ = imported(project, "--move", tmp_path)
    assert words == ["--move", "--", str(tmp_path)]
    assert not mount["read_only"]


@pytest.mark.parametrize(
    ("source", "target"), [("/", "/import"), ("/usr/bin", "/import/usr/bin"), ("/tmp", "/import/tmp")]
)
def test_import_does_not_hide_what_the_container_needs(project: Project, source: str, target: str) -> None:
    source = os.path.realpath(source)
    words, [mount], _ = imported(project, source)
    assert words == ["--", target]
    assert (mount["source"], mount["target"]) == (source, target)


def test_import_of_what_is_not_there(project: Project, tmp_path: Path) -> None:
    for source, reason in ((str(tmp_path / "none"), "No such file or directory"), ("", "a source is empty")):
        done = project.run("import", source)
        assert (done.returncode, done.stdout) == (2, "")
        assert reason in done.stderr and len(done.stderr.splitlines()) == 1
