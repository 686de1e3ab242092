"""What a container of a command's own sees of the host. The whole way, with `import`: `test_stack_commands.py`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from Src.Factory.declaration import JSON, Argument, Command, Flag, Group, HostPath, InContainer, Option
from Src.Factory.problems import Problem
from Src.Factory.stack import host_paths, operations
from Src.Factory.stack.containers import Container, Stack
from Src.Factory.stack.operations import on_host

CHECK = Command(
    name="check-copies",
    group=Group.LOOK_AFTER,
    help="Reads some, changes some, and writes a report.",
    here="none:none",
    stack=InContainer("librarian"),
    takes=(
        Argument("sources", "SRC", "", many=True, path=HostPath(written_with="mend")),
        Option("--report", "FILE", "", "report", path=HostPath(written=True)),
        Flag("--mend", "", "mend"),
        JSON,
    ),
)


class Ran:
    """The words that the container gets, and what is mounted for it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, code: int = 0) -> None:
        self.words: list[str] = []
        self.mounts: dict[str, bool] = {}
        self._code = code
        monkeypatch.setattr(host_paths, "call", self._call)
        monkeypatch.setattr(host_paths, "_check_files", lambda *_: None)
        monkeypatch.setattr(host_paths, "ask_docker", lambda *_: "")

    def _call(self, command: Sequence[str], _environment: dict[str, str]) -> int:
        files = [Path(command[at + 1]) for at, word in enumerate(command) if word == "--file"]
        [(service, facts)] = json.loads(files[-1].read_text())["services"].items()
        self.mounts = {mount["source"]: not mount["read_only"] for mount in facts["volumes"]}
        self.words = [*command[command.index(service) :]]
        return self._code


@pytest.fixture
def container() -> Container:
    project = "com.docker.compose.project"
    labels = {
        project: "photo-factory",
        f"{project}.config_files": "/checkout/docker-compose.yml",
        f"{project}.working_dir": "/checkout",
        "com.docker.compose.service": "librarian",
    }
    return Container(
        {
            "Config": {"Labels": labels, "User": "1000:1000", "WorkingDir": "/app"},
            "HostConfig": {"Tmpfs": {}},
            "Mounts": [{"Source": "/photos", "Destination": "/data"}],
        }
    )


def taken(*sources: Path | str, report: Path | str | None = None, mend: bool = False) -> dict[str, Any]:
    given = None if report is None else str(report)
    return {"sources": [*map(str, sources)], "report": given, "mend": mend, "as_json": False}


def test_what_is_read_and_what_is_written(
    container: Container, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = Ran(monkeypatch, code=1)
    for name in ("photos", "reports"):
        (tmp_path / name).mkdir()
    report = tmp_path / "reports" / "new.csv"

    assert host_paths.run_with_paths(container, CHECK, taken(tmp_path / "photos", report=report)) == 1

    assert ran.mounts == {str(tmp_path / "photos"): False, str(tmp_path / "reports"): True}
    there = ["librarian", "python", "-m", "Src.Factory", "check-copies"]
    assert ran.words == [*there, f"--report={report}", "--", str(tmp_path / "photos")]
    assert not report.exists(), "the command makes it"


def test_a_folder_that_is_read_and_written_may_be_written(
    container: Container, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = Ran(monkeypatch)
    host_paths.run_with_paths(container, CHECK, taken(tmp_path, report=tmp_path / "new.csv"))
    assert ran.mounts == {str(tmp_path): True}


def test_what_is_read_may_be_changed_with_a_flag(
    container: Container, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = Ran(monkeypatch)
    host_paths.run_with_paths(container, CHECK, taken(tmp_path, mend=True))
    assert ran.mounts == {str(tmp_path): True}


def test_a_report_at_a_link_goes_where_that_leads(
    container: Container, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link into a folder that is not mounted would lead nowhere in the container."""
    ran = Ran(monkeypatch)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "elsewhere" / "real.csv")
    host_paths.run_with_paths(container, CHECK, taken(tmp_path / "elsewhere", report=tmp_path / "link.csv"))
    assert f"--report={tmp_path / 'elsewhere' / 'real.csv'}" in ran.words


@pytest.mark.parametrize(
    ("report", "reason"), [("none/new.csv", "No such file"), ("folder", "is a folder; give a file"), ("", "is empty")]
)
def test_where_no_file_can_be_written(
    container: Container, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: str, reason: str
) -> None:
    ran = Ran(monkeypatch)
    (tmp_path / "folder").mkdir()
    with pytest.raises(Problem, match=f"^check-copies: .*{reason}"):
        host_paths.run_with_paths(container, CHECK, taken(tmp_path, report=report and tmp_path / report))
    assert not ran.words


_FILL = Command(
    name="fill",
    group=Group.LOOK,
    help="Makes files in a folder.",
    here="none:none",
    stack=InContainer("librarian"),
    takes=(Argument("destination", "DEST", "", path=HostPath(folder=True)),),
)


def test_a_folder_in_which_files_are_made_may_be_written(
    container: Container, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = Ran(monkeypatch)
    host_paths.run_with_paths(container, _FILL, {"destination": str(tmp_path)})
    assert ran.mounts == {str(tmp_path): True}
    assert ran.words[-2:] == ["--", str(tmp_path)]


@pytest.mark.parametrize(("name", "reason"), [("none", "No such file"), ("a.txt", "is no folder"), ("", "is empty")])
def test_where_no_folder_is_none_is_made(
    container: Container, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, reason: str
) -> None:
    ran = Ran(monkeypatch)
    (tmp_path / "a.txt").touch()
    with pytest.raises(Problem, match=f"^fill: .*{reason}"):
        host_paths.run_with_paths(container, _FILL, {"destination": name and str(tmp_path / name)})
    assert not ran.words


def test_what_a_container_has_seen_is_the_hosts_again(container: Container) -> None:
    """So that an import is resumed with the words that it was begun with."""
    for host in ("/data/card", "/usr/photos", "/srv/card", "/import/card"):
        assert on_host(str(host_paths.seen_as(Path(host), container)), container) == host


def test_a_stopped_import_is_resumed_by_its_own_words(
    container: Container, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = Ran(monkeypatch)
    stopped = {
        "id": "01890a5d-ac96-774b-bcce-b302099a8057",
        "kind": "import",
        "status": "running",
        "is_stopped": True,
        "parameters": {"sources": [str(tmp_path)], "move": True, "report_file": None},
    }
    answer = subprocess.CompletedProcess([], 0, json.dumps({"operations": [stopped]}), "")
    monkeypatch.setattr(subprocess, "run", lambda *_args, **_options: answer)
    container.facts.update(Id="0123", State={"Running": True})
    stack = Stack(str(tmp_path), [container])
    assert operations.run_operations(stack, words=["resume", "099a8057"], as_json=True) == 0
    assert ran.words[-5:] == ["import", "--move", "--json", "--", str(tmp_path)]
    assert ran.mounts == {str(tmp_path): True}
    with pytest.raises(Problem, match="not the id of one operation"):
        operations.run_operations(stack, words=["resume", "ffffffff"], as_json=True)
    stopped["is_stopped"] = False
    answer.stdout = json.dumps({"operations": [stopped]})
    with pytest.raises(Problem, match="cannot be resumed"):
        operations.run_operations(stack, words=["resume", "099a8057"], as_json=True)


def test_a_stopped_verify_is_resumed_by_its_own_words(
    container: Container, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Replaced(Exception):
        """This process would be another program now."""

    def run_factory(_container: Container, *words: object) -> None:
        raise Replaced(*words)

    stopped = {"id": "01890a5d-ac96-774b-bcce-b302099a8057", "kind": "verify", "status": "paused", "is_stopped": True}
    stopped["parameters"] = {"sample": None, "budget": "30m"}
    answer = subprocess.CompletedProcess([], 0, json.dumps({"operations": [stopped]}), "")
    monkeypatch.setattr(subprocess, "run", lambda *_args, **_options: answer)
    monkeypatch.setattr(operations, "run_factory", run_factory)
    container.facts.update(Id="0123", State={"Running": True})
    with pytest.raises(Replaced) as ran:
        operations.run_operations(Stack(str(tmp_path), [container]), words=["resume", "099a8057"], as_json=True)
    assert ran.value.args == ("verify", ["--budget=30m", "--json"])
