"""Commands for the stack, with a `docker` that tells what it was asked: which factory is meant, and what is run.

The launcher runs in a project without a .venv, in a bare Python. What the real Docker makes of it is tested in
`Stack/tests/test_stack_commands.py`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from Src.Factory.commands import BY_NAME, COMMANDS
from Src.Factory.declaration import Refused
from Src.Factory.tests.bare_checkout import BareCheckout
from Src.Shared.person import login_name
from Src.Testing.forks import Forks
from Src.Testing.patience import PATIENCE

PYTHON = os.path.realpath(sys.executable)
BARE = (PYTHON, "-I")
# Of the standard library only: what is ours each call loads itself, from its own checkout.
LOADED = (
    *("argparse", "contextlib", "dataclasses", "enum", "gettext", "hashlib", "inspect", "json", "pathlib", "random"),
    *("re", "selectors", "shutil", "signal", "socket", "subprocess", "tempfile", "typing"),
)

WITHOUT_IT = "requirements.txt: No such file"  # said where it goes on to make a .venv, for which there is nothing here

# What asks for no more than what stands in a file needs no Python.
DOCKER = """#!/bin/sh
case "$1" in
ps | logs)
    cat "{folder}/$1.err" >&2
    cat "{folder}/$1.out"
    exit "$(cat "{folder}/$1.code")" ;;
esac
exec "{python}" -IS "{folder}/docker.py" "$@"
"""
DOCKER_ASKED = """
import json, os, sys
folder = {folder!r}
command = sys.argv[1]
if command == "inspect":
    print(json.dumps([one for one in json.load(open(folder + "/inspect.json")) if one["Id"] in sys.argv]))
    sys.exit(0)
if command == "compose" and "--quiet" in sys.argv:
    broken = folder + "/broken"
    if os.path.exists(broken):
        sys.exit(open(broken).read())
    sys.exit(0)
said = folder + "/said"
if os.path.exists(said):
    sys.exit(open(said).read())
files = [sys.argv[i + 1] for i, word in enumerate(sys.argv) if word == "--file"]
told = dict(args=sys.argv[1:], files=[open(f).read() if os.path.exists(f) else None for f in files],
            data=os.environ.get("FACTORY_DATA"), user=os.environ.get("PUID"),
            secrets=os.environ.get("FACTORY_SECRETS"), name=os.environ.get("FACTORY_NAME"))
json.dump(told, sys.stdout)
sys.exit(5)
"""


ALL = ("librarian", "service-monitor", "factory-db", "syncthing", "dashboard", "docker-proxy", "gate")


class Project:
    """A checkout, and the containers that Docker says are there."""

    def __init__(self, folder: Path, bare_checkout: BareCheckout, forks: Forks | None = None) -> None:
        """`forks`: where commands run; each in a fresh process without."""
        self.forks = forks
        self.root = folder / "checkout"
        self.data = folder / "data"
        self._folder = folder
        self._bin = folder / "bin"
        bare_checkout(self.root)
        self._bin.mkdir()
        docker = self._bin / "docker"
        docker.write_text(DOCKER.format(python=PYTHON, folder=folder))
        docker.chmod(0o755)
        (folder / "docker.py").write_text(DOCKER_ASKED.format(folder=str(folder)))
        self.stands([self.container(service) for service in ALL])

    def container(
        self, service: str, *, runs: bool = True, folder: Path | None = None, name: str = "photo-factory"
    ) -> dict[str, Any]:
        return {
            "Id": f"id-of-{service}",
            "Name": f"/{service}",
            "State": {"Running": runs},
            "Config": {
                "Labels": {
                    "com.docker.compose.project": name,
                    "com.docker.compose.project.config_files": f"{self.root}/docker-compose.yml",
                    "com.docker.compose.project.working_dir": str(folder or self.root),
                    "com.docker.compose.service": service,
                },
                "Env": ["POSTGRES_DB=ledger", "PATH=/bin"],
                "Image": f"{name}/librarian:2",
                "User": "4321:4322",
                "WorkingDir": "/app",
            },
            "HostConfig": {"Tmpfs": {"/tmp": "", "/data/.run": ""}},
            "Mounts": [
                {"Source": str(self.data), "Destination": "/data"},
                {"Source": f"/srv/secrets/{service}", "Destination": "/run/factory-secrets"},
            ],
            "NetworkSettings": {
                "Ports": {f"{port}/tcp": [{"HostIp": "192.0.2.7", "HostPort": port}] for port in ("22000", "8501")}
            },
        }

    def stands(
        self, containers: list[dict[str, Any]], *, err: str = "", code: int = 0, oneoff: str = "", log: str = ""
    ) -> None:
        project = "com.docker.compose.project"
        labels = [one["Config"]["Labels"] for one in containers]
        lines = [
            f"{one['Id']} {oneoff} {label[project]} {label[f'{project}.working_dir']}\n"
            for one, label in zip(containers, labels, strict=True)
        ]
        for command, answers in (("ps", ("".join(lines), err, code)), ("logs", (log, "", 0))):
            for part, answer in zip(("out", "err", "code"), answers, strict=True):
                (self._folder / f"{command}.{part}").write_text(str(answer))
        (self._folder / "inspect.json").write_text(json.dumps(containers))

    def run(self, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        surroundings = {"PATH": f"{self._bin}:/bin:/usr/bin", "FACTORY_NO_APT": "1"} | environment
        if self.forks is not None:
            done = self.forks.run(self.root / "factory", arguments, surroundings)
            return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
        return subprocess.run(
            [*BARE, self.root / "factory", *arguments],
            env=surroundings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
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


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks(BARE, LOADED) as forks:
        yield forks


@pytest.fixture
def project(tmp_path: Path, bare_checkout: BareCheckout, forks: Forks) -> Project:
    return Project(tmp_path, bare_checkout, forks)


@pytest.fixture
def fresh(tmp_path: Path, bare_checkout: BareCheckout) -> Project:
    """Each command in a process of its own, which loads all that it needs."""
    return Project(tmp_path, bare_checkout)


def test_a_running_stack_of_this_checkout_wins(project: Project) -> None:
    assert project.told("find", "a")["args"] == [
        *("exec", "--env", f"FACTORY_HOST_DATA={project.data}", "--env", f"FACTORY_PERSON={login_name()}"),
        "id-of-librarian",
        *("python", "-m", "Src.Factory", "find", "--", "a"),
    ]


def test_the_checkout_may_be_reached_by_a_link(project: Project, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(project.root)
    project.stands([project.container("librarian", folder=tmp_path / "link")])
    assert project.is_for_the_stack()


def test_another_checkouts_stack_is_not_meant(project: Project, tmp_path: Path) -> None:
    project.stands([project.container("librarian", folder=tmp_path / "other")])
    assert not project.is_for_the_stack()


def test_a_stack_that_was_replaced_by_another_checkouts_says_so(project: Project, tmp_path: Path) -> None:
    """Else it would seem to be a factory without Docker, and an empty one."""
    project.stands([project.container("librarian", folder=tmp_path / "other")])
    (project.root / "Stack" / "App_Data" / "secrets" / "librarian").mkdir(parents=True)
    for command in ("status", "find", "up"):
        done = project.run(command)
        assert done.returncode == 2
        assert f"now those of another checkout, {tmp_path / 'other'}" in done.stderr
        assert "docker compose up -d" in done.stderr
    assert not project.is_for_the_stack(FACTORY_DATA=str(tmp_path)), "another factory is meant"
    (project.root / ".env").write_text("TZ=Europe/Berlin\nFACTORY_NAME='second'\n")
    assert not project.is_for_the_stack(), "this one has another name, and is only down"
    project.stands([project.container("librarian", folder=tmp_path / "other", name="second")])
    assert "another checkout" in project.run("status").stderr


def test_of_several_stacks_of_this_checkout_the_named_one_is_meant(project: Project) -> None:
    first, second = (project.container("librarian", name=name) for name in ("photo-factory", "second"))
    second["Id"] = "id-of-the-second"
    project.stands([second, first])
    assert "id-of-librarian" in project.told("find", "a")["args"]
    assert "id-of-the-second" in project.told("find", "a", FACTORY_NAME="second")["args"]
    project.stands([second])
    assert project.is_for_the_stack(), "nobody names one: `docker compose -p` made it"
    assert not project.is_for_the_stack(FACTORY_NAME="photo-factory"), "the named one is down"
    assert project.is_for_the_stack(FACTORY_NAME="second")


def test_the_secrets_may_lie_elsewhere(project: Project, tmp_path: Path) -> None:
    project.stands([project.container("librarian", folder=tmp_path / "other")])
    (tmp_path / "secrets" / "librarian").mkdir(parents=True)
    (project.root / ".env").write_text(f"FACTORY_SECRETS={tmp_path / 'secrets'}\n")
    assert "another checkout" in project.run("status").stderr


def test_a_stack_without_syncthing(project: Project) -> None:
    project.stands([project.container(service) for service in ("librarian", "service-monitor", "dashboard", "gate")])
    done = project.run("phone")
    assert (done.returncode, done.stdout) == (2, "")
    assert "SYNCTHING=0" in done.stderr


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


CANNOT_ASK = {
    "permission denied while trying to connect to the docker API at unix:///var/run/docker.sock": "may not use Docker",
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?": "start it",
    'unable to resolve docker endpoint: context "x": context not found: open /x': "DOCKER_CONTEXT",
}


@pytest.mark.parametrize("said", CANNOT_ASK)
def test_docker_that_cannot_be_asked_is_spoken_of_where_there_was_a_stack(project: Project, said: str) -> None:
    project.stands([], err=f"{said}\n", code=1)
    [line] = project.run("status").stderr.splitlines()
    assert WITHOUT_IT in line, "who has no stack and is not in Docker's group is not nagged"

    (project.root / "Stack" / "App_Data" / "secrets").mkdir(parents=True)
    [line, _] = project.run("status").stderr.splitlines()
    assert CANNOT_ASK[said] in line and "going on without it" in line
    assert said not in line, "Docker's words are not ours"


def test_what_docker_complains_of_in_the_middle_is_a_line_of_ours(project: Project, tmp_path: Path) -> None:
    (tmp_path / "said").write_text("Error response from daemon: Container 123 is restarting, wait until it runs")
    for words in (["find", "a"], ["psql", "-c", "SELECT 1"]):
        done = project.run(*words)
        assert (done.returncode, done.stdout) == (2, "")
        [line] = done.stderr.splitlines()
        assert line.startswith("factory: its container restarts") and "./factory status" in line
    (tmp_path / "said").write_text("psql: error: no such table\nERROR:  relation")
    done = project.run("psql")
    assert done.stderr == "psql: error: no such table\nERROR:  relation\n", "what the program says is its own"


def test_compose_that_cannot_read_its_files_is_one_line(project: Project, tmp_path: Path) -> None:
    for said, words in (
        ("yaml: line 3: did not find expected key", "docker compose cannot use its files"),
        ("docker: 'compose' is not a docker command.\nSee 'docker --help'", "Compose is not installed"),
    ):
        (tmp_path / "broken").write_text(said)
        done = project.run("import", tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        [line] = done.stderr.splitlines()
        assert words in line


def failing(one: dict[str, Any], health: str = "", **state: Any) -> dict[str, Any]:
    """A container whose state is another."""
    has = {"Health": {"Status": health, "Log": [{"Output": "no answer\n"}]}} if health else {}
    return {**one, "RestartCount": state.pop("restarts", 0), "State": {**one["State"], **has, **state}}


TROUBLES: dict[str, tuple[dict[str, Any], str]] = {
    "restarts": ({"Running": True, "Restarting": True, "ExitCode": 2, "restarts": 7}, "RESTARTS again and again (7"),
    "just up again": ({"restarts": 7, "health": "starting"}, "RESTARTS again and again (7"),
    "ended": ({"Running": False, "Status": "exited", "ExitCode": 3}, "does NOT RUN (exit code 3)"),
    "stopped": ({"Running": False, "Status": "exited", "ExitCode": 0}, "does NOT RUN"),
    "paused": ({"Paused": True}, "is PAUSED"),
    "unhealthy": ({"health": "unhealthy"}, "is UNHEALTHY: no answer"),
    "port": (
        {"Running": False, "Status": "created", "ExitCode": 128, "Error": "Bind for 0.0.0.0:8501 failed: port is "
         "already allocated"},
        "a port of this machine is taken by another program",
    ),
    "waiting": ({"Running": False, "Status": "created"}, "it waits for others"),
}  # fmt: skip
LOG = "2026-01-02 03:04:05.678 ERROR librarian: STABILITY_DELAY: 'x' is no number"


@pytest.mark.parametrize("service", ["librarian", "dashboard"])
@pytest.mark.parametrize("kind", TROUBLES)
def test_status_says_which_container_does_not_run_why_and_what_to_do(project: Project, kind: str, service: str) -> None:
    state, words = TROUBLES[kind]
    others = [one for one in ALL if one != service]
    containers = [*map(project.container, others), failing(project.container(service), **state)]
    project.stands(containers, log=f"{LOG}\n")

    done = project.run("status")

    assert done.returncode == (3 if service == "librarian" else 5), "the container's own, where it is worse"
    assert re.search(rf"^  {service} +.*{re.escape(words)}", done.stdout, re.MULTILINE), done.stdout
    if kind in ("restarts", "ended"):
        assert LOG in done.stdout and ".env" in done.stdout
    assert "Traceback" not in done.stderr
    quiet = project.run("status", "--quiet").stdout
    assert words in quiet and "Drop photos into" not in quiet
    found = json.loads(project.run("status", "--json").stdout)
    assert [one["service"] for one in found["containers"]] == [service]
    assert found["state"] == "ERROR"


def test_status_of_a_stack_that_is_well_says_where_to_look(fresh: Project) -> None:
    fresh.stands([fresh.container(service) for service in (*ALL, "init")])
    done = fresh.run("status")
    assert done.returncode == 5
    assert "Dashboard: http://192.0.2.7:8501 (./factory password" in done.stdout
    assert f"Drop photos into {fresh.data}/Photos_Inbox" in done.stdout
    assert not re.search(r"RUN|START", done.stdout)


def test_a_name_in_env_that_nothing_reads_is_reported(project: Project) -> None:
    """The containers do not see the file."""
    (project.root / ".env.example").write_text("# DASHBOARD_PORT=8501\n")
    compose = project.root / "Stack/App_Data/docker-compose.yml"
    compose.parent.mkdir(parents=True, exist_ok=True)
    compose.touch()
    (project.root / ".env").write_text("DASHBORD_PORT=8600\nDASHBOARD_PORT=8600\n")
    (project.root / ".env").chmod(0o600)
    project.stands([project.container(service) for service in (*ALL, "init")])
    for arguments in ([], ["--quiet"]):
        said = project.run("status", *arguments).stdout
        assert "nothing reads DASHBORD_PORT; did you mean DASHBOARD_PORT?" in said
        assert said.count("nothing reads") == 1


def test_a_container_that_is_not_there_is_missed(project: Project) -> None:
    project.stands([project.container(service) for service in ALL if service not in ("gate", "syncthing")])
    done = project.run("status")
    assert re.search(r"^  gate +has no container", done.stdout, re.MULTILINE)
    assert "syncthing" not in done.stdout, "SYNCTHING=0"


def test_a_stack_whose_start_failed_is_still_meant(project: Project) -> None:
    """Else an empty factory without Docker would be shown in its place."""
    init = failing(project.container("init", runs=False), Status="exited", ExitCode=2)
    waiting = [failing(project.container(one, runs=False), Status="created", ExitCode=0) for one in ALL]
    project.stands([init, *waiting], log="factory: PUID: '-1' is no user\n")
    done = project.run("status")
    assert done.returncode == 3
    assert "PUID: '-1' is no user" in done.stdout and "photos wait in the inbox" in done.stdout
    assert project.run("find", "x").returncode == 2


def test_a_service_that_does_not_run_is_one_line(project: Project) -> None:
    project.stands([project.container("librarian", runs=False), project.container("gate")])
    for command, service in (("problems", "librarian"), ("psql", "factory-db")):
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
        *("exec", "--env", f"FACTORY_HOST_DATA={project.data}", "--env", f"FACTORY_PERSON={login_name()}"),
        *("--env", "FACTORY_HOST_ADDRESS=tcp://192.0.2.7:22000", "id-of-service-monitor"),
        *("python", "-m", "Src.Factory", "phone", "--accept=my phone"),
    ]


# What a user types, and what docker runs for it: in which service, with which words.
IN_A_CONTAINER = {
    "ingest": (["--json"], "librarian", "ingest --json"),
    "retry": ([], "librarian", "retry"),
    "status": (["--readers", "--json"], "librarian", "status --json --readers"),
    "find": (["--json", "a b"], "librarian", "find --json -- a b"),
    "list": (["--dry-run", "year:2019 is:raw"], "librarian", "list --dry-run -- year:2019 is:raw"),
    "history": (["--at", "2020-01-01", "a"], "librarian", "history --at=2020-01-01 -- a"),
    "duplicates": (["--json"], "librarian", "duplicates --json"),
    "rate": (["*", "5"], "librarian", "rate -- * 5"),
    "favourite": (["--off", "*"], "librarian", "favourite --off -- *"),
    "place": (["*", "-22.9,-43.2", "--json"], "librarian", "place --json -- * -22.9,-43.2"),
    "tag": (["*", "a", "b c", "--remove"], "librarian", "tag --remove -- * a b c"),
    "title": (["*", "a b"], "librarian", "title -- * a b"),
    "describe": (["*", ""], "librarian", "describe -- * "),
    "rotate": (["*", "90", "--dry-run"], "librarian", "rotate --dry-run -- * 90"),
    "album": (["x", "cover", "name:a"], "librarian", "album -- x cover name:a"),
    "xmp": (["--json"], "librarian", "xmp --json"),
    "hide": (["*"], "librarian", "hide -- *"),
    "undo": (["--since=18:00"], "librarian", "undo --since=18:00"),
    "redate": (["*", "--shift", "-7:12", "--dry-run"], "librarian", "redate --shift=-7:12 --dry-run -- *"),
    "remove": (["name:a", "--json"], "librarian", "remove --json -- name:a"),
    "trash": (["empty", "--yes", "--really"], "librarian", "trash --yes --really -- empty"),
    "problems": (["--quiet"], "librarian", "problems --quiet"),
    "doctor": (["--json"], "librarian", "doctor --json"),
    "verify": (
        *(["--json", "--sample", "3000", "--restore-from", "a copy"], "librarian"),
        "verify --sample=3000 --restore-from=a copy --json",
    ),
    "certificate": (["--json", "IMG 1"], "librarian", "certificate --json -- IMG 1"),
    "rebuild": (["--dry-run", "--missing"], "librarian", "rebuild --missing --dry-run"),
    "phone": ([], "service-monitor", "phone"),
    "operations": (["--json", "cancel", "0123abcd"], "librarian", "operations --json -- cancel 0123abcd"),
}
# What runs here: what is given, the exit code (5: docker's own), and what is said.
ON_THE_HOST = {
    "up": ([], 2, "docker compose down"),
    "copies": (["list"], 2, "copies are made without Docker so far"),
    "psql": (["--version"], 5, "--version"),
    "import": (["--json", "/nowhere"], 2, "No such file or directory"),
    "safe": (["--json", "/nowhere"], 2, "safe: /nowhere: No such file or directory"),
    "account": (["/nowhere"], 2, "account: /nowhere: No such file or directory"),
    "export": (["*", "/nowhere"], 2, "No such file or directory"),
    "backup": (["/dev/null/ledger"], 2, "no such folder"),
    "restore": (["/nowhere"], 2, "No such file or directory"),
    "password": (["--log-out-all", "--json"], 5, '"Src.Accounts", "--json"'),
    "images": (["--pin"], 2, "docker compose cannot read its files"),
}


def test_every_command_for_the_stack_is_called() -> None:
    assert {*IN_A_CONTAINER, *ON_THE_HOST} == {command.name for command in COMMANDS if command.stack is not None}


@pytest.mark.parametrize("name", IN_A_CONTAINER)
def test_a_command_runs_in_its_container(fresh: Project, name: str) -> None:
    words, service, there = IN_A_CONTAINER[name]
    arguments = fresh.told(name, *words)["args"]
    assert arguments[0] == "exec"
    ran = arguments[arguments.index(f"id-of-{service}") + 1 :]
    assert " ".join(ran) == f"python -m Src.Factory {there}"


@pytest.mark.parametrize("name", ON_THE_HOST)
def test_a_command_runs_on_the_host(fresh: Project, name: str) -> None:
    words, code, said = ON_THE_HOST[name]
    done = fresh.run(name, *words)
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", [*IN_A_CONTAINER, *ON_THE_HOST])
def test_wrong_words_never_reach_a_container(project: Project, name: str) -> None:
    if name != "psql":  # whose words are psql's
        done = project.run(name, "--nonsense")
        assert (done.returncode, done.stdout) == (2, "")
        stack = BY_NAME[name].stack
        assert (stack.why if isinstance(stack, Refused) else f"Usage: factory {name} ") in done.stderr


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
    assert (told["secrets"], told["name"]) == ("/srv/secrets", None)
    project.stands([project.container("librarian", name="second")])
    assert project.told("import", folder)["name"] == "second", "its images have other names"


def test_a_report_of_an_import_is_a_file_of_the_host(project: Project, tmp_path: Path) -> None:
    for name in ("source", "reports"):
        (tmp_path / name).mkdir()
    report = tmp_path / "reports" / "r.csv"
    words, mounts, _ = imported(project, "--dry-run", "--report", report, tmp_path / "source")
    assert words == ["--dry-run", f"--report={report}", "--", str(tmp_path / "source")]
    assert {mount["source"]: mount["read_only"] for mount in mounts} == {
        str(tmp_path / "source"): True,
        str(tmp_path / "reports"): False,
    }


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
