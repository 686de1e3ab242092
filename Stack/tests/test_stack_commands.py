"""`./factory` on the host against the running stack: what a person meets is the same as without Docker."""

from __future__ import annotations

import errno
import json
import os
import pty
import signal
import stat
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from Src.Factory.commands import COMMANDS
from Src.Factory.overview import VERSION_LINE, overview
from Src.Shared.errors import ExitCode
from Src.Testing.patience import wait_until
from Stack.tests.photos import endless_jpeg, unique_jpeg
from Stack.tests.real_factory import FACTORY, Factory, Result
from Stack.tests.stack import LIMIT, PROJECT, Stack, docker

pytestmark = pytest.mark.stack


def command(*arguments: str | Path, text: str | bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [FACTORY, *arguments],
        env=own_environment() | environment,
        cwd="/",
        input=text.encode() if isinstance(text, str) else text,
        capture_output=True,
        timeout=LIMIT,
        check=False,
    )


def own_environment() -> dict[str, str]:
    """Nothing in it names another factory; other tests' stacks may run in this checkout too."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "DOCKER_HOST") if name in os.environ}
    return {**kept, "FACTORY_NO_APT": "1", "FACTORY_NAME": PROJECT}


def run(*arguments: str | Path, text: str = "", **environment: str) -> Result:
    done = command(*arguments, text=text, **environment)
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


def status_when_well(*arguments: str | Path) -> Result:
    """What was late a moment ago, on a busy machine, is no trouble a moment later. The last one, if none ends well."""
    found: list[Result] = []

    def ends_well() -> bool:
        found[:] = [run("status", *arguments)]
        return found[0].code == ExitCode.WELL

    with suppress(AssertionError):
        wait_until(ends_well, LIMIT)
    return found[0]


@pytest.fixture
def pictures(stack: Stack) -> Iterator[Path]:
    """A folder of the user's, somewhere on the host."""
    with tempfile.TemporaryDirectory(prefix="pictures: $HOME ") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def fill(folder: Path, *numbers: int, owner: tuple[int, int] | None = None) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number}.jpg" for number in numbers]
    for number, path in zip(numbers, paths, strict=True):
        path.write_bytes(unique_jpeg(number))
    if owner is not None and os.geteuid() == 0:
        for path in (folder, *paths):
            os.chown(path, *owner)
    return paths


def container_is_gone() -> None:
    """Waits for the engine, which removes the container of a command in its own time.

    (Of this stack: others, beside which this one is tested, have such containers too.)
    """
    ours = ("label=com.docker.compose.oneoff=True", f"label=com.docker.compose.project={PROJECT}")
    filters = [word for label in ours for word in ("--filter", label)]
    wait_until(lambda: docker("ps", "-aq", *filters) == "", LIMIT, "its container is gone")


def kept_as(stack: Stack, column: str, pattern: str) -> list[str]:
    return [
        value for [value] in stack.sql(f"SELECT {column} FROM media_assets WHERE {column} LIKE '{pattern}' ORDER BY 1")
    ]


# -- each of them --------------------------------------------------------------------------------------------

# What is given, one after the other, and how each call ends. PHOTO, NEW and OLD are files of the test.
CALLS: dict[str, list[tuple[str, ExitCode]]] = {
    "up": [("", ExitCode.WRONG)],
    "ingest": [("", ExitCode.WRONG), ("more", ExitCode.WRONG)],
    "import": [("--json PHOTO", ExitCode.WELL), ("PHOTO", ExitCode.WELL), ("--jso PHOTO", ExitCode.WRONG)],
    "retry": [("", ExitCode.WELL), ("--json", ExitCode.WELL)],
    "phone": [("", ExitCode.WELL), ("--accept nobody", ExitCode.WRONG)],
    "status": [("", ExitCode.WELL), ("--json", ExitCode.WELL), ("--readers", ExitCode.WELL), ("more", ExitCode.WRONG)],
    "find": [("never-seen.jpg", ExitCode.FOUND), ("--json never*seen", ExitCode.FOUND), ("", ExitCode.WRONG)],
    "list": [
        ("--dry-run camera:never-seen", ExitCode.FOUND),
        ("--json camera:never-seen", ExitCode.FOUND),
        ("rating:", ExitCode.WRONG),
        ("", ExitCode.WRONG),
    ],
    "history": [
        ("camera:never-seen", ExitCode.FOUND),
        ("--at 2020-01-01 --json camera:never-seen", ExitCode.FOUND),
        ("--at never camera:never-seen", ExitCode.WRONG),
        ("", ExitCode.WRONG),
    ],
    "duplicates": [("more", ExitCode.WRONG)],
    "rate": [
        ("camera:never-seen 5", ExitCode.FOUND),
        ("--json camera:never-seen 0", ExitCode.FOUND),
        ("--dry-run camera:never-seen 5", ExitCode.FOUND),
        ("camera:never-seen 6", ExitCode.WRONG),
        ("rating: 5", ExitCode.WRONG),
    ],
    "favourite": [
        ("camera:never-seen", ExitCode.FOUND),
        ("--off --json camera:never-seen", ExitCode.FOUND),
        ("", ExitCode.WRONG),
    ],
    "place": [
        ("camera:never-seen -33.8568,151.2153", ExitCode.FOUND),
        ("--json camera:never-seen -22.9,-43.2", ExitCode.FOUND),
        ("camera:never-seen 91,0", ExitCode.WRONG),
        ("camera:never-seen x", ExitCode.WRONG),
    ],
    "tag": [
        ("camera:never-seen one two", ExitCode.FOUND),
        ("--remove --json camera:never-seen one", ExitCode.FOUND),
        ("camera:never-seen", ExitCode.WRONG),
    ],
    "title": [
        ("camera:never-seen x", ExitCode.FOUND),
        ("--json camera:never-seen x", ExitCode.FOUND),
        ("camera:never-seen", ExitCode.WRONG),
    ],
    "describe": [
        ("camera:never-seen x", ExitCode.FOUND),
        ("--dry-run camera:never-seen x", ExitCode.FOUND),
        ("camera:never-seen", ExitCode.WRONG),
    ],
    "rotate": [
        ("camera:never-seen 90", ExitCode.FOUND),
        ("--json camera:never-seen 270", ExitCode.FOUND),
        ("camera:never-seen 45", ExitCode.WRONG),
    ],
    "album": [
        ("x", ExitCode.FOUND),
        ("--json x add camera:never-seen", ExitCode.FOUND),
        ("x remove camera:never-seen", ExitCode.FOUND),
        ("x ad camera:never-seen", ExitCode.WRONG),
        ("x add", ExitCode.WRONG),
    ],
    "xmp": [("--json", ExitCode.WELL), ("--dry-run", ExitCode.WELL), ("more", ExitCode.WRONG)],
    "hide": [
        ("camera:never-seen", ExitCode.FOUND),
        ("--off --json camera:never-seen", ExitCode.FOUND),
        ("", ExitCode.WRONG),
    ],
    "undo": [
        ("--json --since 2999-01-01", ExitCode.FOUND),
        ("--operation 0190b5a4", ExitCode.FOUND),
        ("--since 18:00 --operation 0190b5a4", ExitCode.WRONG),
        ("--operation x", ExitCode.WRONG),
    ],
    "redate": [
        ("--shift -7:12 --dry-run camera:never-seen", ExitCode.FOUND),
        ("--set 2019 --json camera:never-seen", ExitCode.FOUND),
        ("camera:never-seen", ExitCode.WRONG),
    ],
    "remove": [("--json camera:never-seen", ExitCode.FOUND), ("", ExitCode.WRONG)],
    "trash": [
        ("list --json", ExitCode.WELL),
        ("restore camera:never-seen", ExitCode.FOUND),
        ("look", ExitCode.WRONG),
    ],
    "export": [
        ("--json camera:never-seen FOLDER", ExitCode.FOUND),
        ("--link --with-metadata camera:never-seen FOLDER", ExitCode.WRONG),
        ("* NEW", ExitCode.WRONG),
    ],
    "problems": [("--jso", ExitCode.WRONG)],
    "doctor": [("--jso", ExitCode.WRONG)],
    "backup": [("NEW", ExitCode.WELL), ("NEW", ExitCode.WRONG), ("--force --json NEW", ExitCode.WELL)],
    "restore": [("OLD", ExitCode.WRONG)],
    "verify": [
        ("--json --sample 5", ExitCode.WELL),
        ("--json --events", ExitCode.WELL),
        ("--quick --sample 5", ExitCode.WRONG),
        ("--sample some", ExitCode.WRONG),
        ("--budget soon", ExitCode.WRONG),
        ("--json --sample 5 --restore-from FOLDER", ExitCode.WELL),
        ("--restore-from NEW", ExitCode.WRONG),
        ("--accept-moves --sample 5", ExitCode.WRONG),
    ],
    "safe": [("--json FOLDER", ExitCode.FOUND), ("--copies 1 FOLDER", ExitCode.FOUND), ("OLD", ExitCode.WRONG)],
    "copies": [("list", ExitCode.WRONG)],
    "account": [("FOLDER", ExitCode.FOUND), ("--json PHOTO", ExitCode.WRONG), ("", ExitCode.WRONG)],
    "rebuild": [
        ("--undo --missing", ExitCode.WRONG),
        ("--missing --dry-run --json", ExitCode.WELL),
        ("--json", ExitCode.WELL),
    ],
    "certificate": [("--json never-seen.jpg", ExitCode.FOUND), ("", ExitCode.WRONG)],
    "operations": [("--json", ExitCode.WELL), ("resume 00000000", ExitCode.WRONG), ("more", ExitCode.WRONG)],
    "psql": [("-c SELECT", ExitCode.WELL), ("-c nonsense", ExitCode.FOUND)],
    "password": [("", ExitCode.WELL), ("--log-out-all --json", ExitCode.WELL)],
    "images": [("", ExitCode.WELL), ("--json", ExitCode.WELL)],
}


def test_every_command_for_the_stack_is_called() -> None:
    assert CALLS.keys() == {command.name for command in COMMANDS if command.stack is not None}


@pytest.mark.parametrize("name", CALLS)
def test_each_call_ends_with_its_code(stack: Stack, pictures: Path, name: str) -> None:
    """As without Docker: `Src/Factory/tests/test_commands_here.py`."""
    [photo] = fill(pictures, 8_700_001)
    files = {"PHOTO": photo, "NEW": pictures / "new.dump", "OLD": pictures / "none.dump"}
    files["FOLDER"] = pictures / "folder"
    files["FOLDER"].mkdir()
    files["FOLDER"].chmod(0o777)  # for the container's user
    for words, code in CALLS[name]:
        given = [files.get(word, word) for word in words.split()]
        result = status_when_well(*given) if (name, code) == ("status", ExitCode.WELL) else run(name, *given)
        assert result.code == code, f"{name} {words}: {result.err}"
        assert "Traceback" not in result.err
        if code is ExitCode.WRONG:
            assert (result.out, bool(result.err)) == ("", True), "reports only"


def test_help_and_version_need_no_stack(stack: Stack) -> None:
    assert run("--help").out == f"{overview()}\n"
    assert run("--version").out == f"{VERSION_LINE}\n"
    inside = docker("exec", "librarian", "python", "-m", "Src.Factory", "--version")
    assert inside.strip() == VERSION_LINE, "the images are of this version"


# -- in a container ------------------------------------------------------------------------------------------


def test_status(stack: Stack) -> None:
    def all_have_reported() -> bool:
        services = run("status", "--json").json()["services"]
        return {service["name"] for service in services} >= {"librarian", "service-monitor", "factory-db"}

    wait_until(all_have_reported, LIMIT, "all have reported")
    result = status_when_well("--json")
    assert (result.code, result.err) == (0, "")
    found = result.json()
    assert found["database"]["reachable"] and found["database"]["mode"] == "external"
    assert found["vault"]["present"]
    assert "originals" in run("status").out


def test_find_passes_exit_codes_on(stack: Stack) -> None:
    stack.drop("commands/to find.jpg", unique_jpeg(9_000_001))
    stack.filed(1, where="original_name = 'to find.jpg'")
    result = run("find", "to find", "--json")
    assert result.code == 0
    assert [event["original_path"] for event in result.json()["events"]] == ["commands/to find.jpg"]
    assert run("find", "never seen").code == 1
    assert run("find").code == 2


def test_retry_is_taken_up_by_the_running_librarian(stack: Stack) -> None:
    found = run("retry", "--json").json()
    assert (found["asked"], found["running"]) == (0, True)


def test_ingest_leaves_the_inbox_to_the_running_librarian(stack: Stack) -> None:
    result = run("ingest")
    assert result.code == 2
    assert "another Librarian" in result.err.splitlines()[-1]


def test_psql(stack: Stack) -> None:
    assert run("psql", "-Atc", "SELECT current_database(), current_user").out == "photo_factory|photo_factory\n"
    assert run("psql", "-At", text="SELECT 6 * 7;\nSELECT 'ü';\n").out == "42\nü\n"
    assert run("psql", "-v", "ON_ERROR_STOP=1", text="SELECT nonsense;").code == 3


def test_psql_on_a_terminal(stack: Stack) -> None:
    output = on_terminal(["psql"], b"SELECT 6 * 7 AS answer;\n\\q\n")
    assert "photo_factory=>" in output, "the ledger's owner, who is no superuser"
    assert "42" in output


def on_terminal(arguments: list[str], typed: bytes) -> str:
    """What a command shows on a terminal of its own."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(FACTORY, [str(FACTORY), *arguments], own_environment() | {"TERM": "xterm", "PAGER": "cat"})
    os.write(terminal, typed)
    shown, end = b"", time.monotonic() + LIMIT
    while time.monotonic() < end:
        try:
            shown += os.read(terminal, 4096)
        except OSError as error:
            if error.errno != errno.EIO:  # the terminal's other side is closed: it has ended
                raise
            break
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0, shown
    return shown.decode(errors="replace")


def test_phone(stack: Stack) -> None:
    result = run("phone", "--json")
    assert result.code == 0, result.err
    assert len(result.json()["id"]) == 63
    assert result.json()["addresses"] == [f"tcp://127.0.0.1:{stack.environment['SYNC_PORT']}"]
    assert "SYNC_ADDRESS" in result.err, "the port is only on loopback here"


def test_password(stack: Stack) -> None:
    found = run("password", "--json").json()
    assert found == {
        "dashboard": {
            "address": f"{stack.dashboard}/",
            "user": None,
            "password": stack.secret("dashboard", "dashboard_password"),
        },
        "syncthing": {
            "address": f"{stack.syncthing}/",
            "user": "factory",
            "password": stack.secret("syncthing", "syncthing_gui_password"),
        },
    }
    assert found["dashboard"]["password"] in run("password").out


# -- which factory is meant ----------------------------------------------------------------------------------


def test_up_is_refused_beside_the_stack(stack: Stack) -> None:
    result = run("up")
    assert result.code == 2
    assert "docker compose down" in result.one_line()


def test_the_same_data_means_the_stack_and_other_data_another_factory(stack: Stack, factory: Factory) -> None:
    result = run("status", "--json", FACTORY_DATA=str(stack.data))
    assert result.json()["database"]["mode"] == "external"
    asking_docker = {"DOCKER_CONTEXT": ""}
    assert factory.run("status", "--json", env=asking_docker).json()["database"]["mode"] == "embedded"


def test_a_service_that_does_not_run_is_one_line(stack: Stack) -> None:
    stack.compose("stop", "librarian")
    try:
        result = run("find", "a.jpg")
        assert result.code == 2
        assert "./factory status says why" in result.one_line()
        status = run("status")
        assert status.code == 3
        assert "librarian       does NOT RUN" in status.out
        assert "docker compose up -d; docker logs librarian" in status.out
        assert [one["service"] for one in run("status", "--json").json()["containers"]] == ["librarian"]
    finally:
        stack.compose("start", "librarian")
        stack.wait_healthy("librarian")


# -- import --------------------------------------------------------------------------------------------------


def test_import_reads_folders_and_files_of_the_host(stack: Stack, pictures: Path) -> None:
    fill(pictures / "a", 9_100_001, 9_100_002)
    fill(pictures / "-b", 9_100_003)
    [single] = fill(pictures / "c", 9_100_004)
    fill(pictures / "c", 9_100_005)
    (pictures / "a" / "note.txt").write_text("not a photo")
    before = sorted((path, path.stat().st_mtime_ns) for path in pictures.rglob("*"))

    result = run("import", "--json", pictures / "a", pictures / "-b", single)

    assert result.code == 0, result.err
    found = result.json()
    assert [found[key] for key in ("new", "duplicates", "not_media", "failed")] == [4, 0, 1, 0]
    assert sorted((path, path.stat().st_mtime_ns) for path in pictures.rglob("*")) == before
    # In the ledger are the host's names, so that a second run passes over what it has seen.
    rows = stack.sql("SELECT original_path, final_path FROM media_assets WHERE original_path LIKE '/%9100%'")
    assert {path for path, _ in rows} == {
        str(pictures / name) for name in ("a/9100001.jpg", "a/9100002.jpg", "-b/9100003.jpg", "c/9100004.jpg")
    }
    for path, final_path in rows:
        filed = stack.storage / final_path
        assert filed.read_bytes() == Path(path).read_bytes()
        assert (filed.stat().st_uid, filed.stat().st_gid) == stack.owner
    again = run("import", "--json", pictures / "a", pictures / "-b", single).json()
    assert [again[key] for key in ("new", "duplicates", "failed")] == [0, 4, 0]
    container_is_gone()


def test_receipts_are_given_for_folders_of_the_host(stack: Stack, pictures: Path) -> None:
    fill(pictures / "card", 9_150_001, 9_150_002)
    assert run("account", pictures / "card").code == 1
    assert run("import", "--json", pictures / "card").code == 0
    (pictures / "mine").mkdir()
    os.chown(pictures / "mine", *stack.owner)  # the container writes as its user
    receipt = pictures / "mine" / "receipt.txt"
    done = run("safe", "--json", "--read", "--receipt", receipt, pictures / "card")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert (done.code, [one["verdict"] for one in lines]) == (0, ["safe", "safe"]), done.err
    assert {one["path"] for one in lines} == {str(pictures / f"card/915000{number}.jpg") for number in (1, 2)}
    assert receipt.read_text().startswith("Photo Factory receipt 1\n")
    (pictures / "list.jsonl").write_text(done.out)
    assert run("safe", "--json", "--read", pictures / "list.jsonl").code == 0
    assert run("account", "--json", "--read", pictures / "card").json()["may_go"] is True


def test_import_sees_a_file_in_the_current_folder(stack: Stack, pictures: Path) -> None:
    fill(pictures, 9_200_001)
    done = subprocess.run(
        [FACTORY, "import", "9200001.jpg"],
        cwd=pictures,
        env=own_environment(),
        capture_output=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert kept_as(stack, "original_path", "%9200001.jpg") == [str(pictures / "9200001.jpg")]


def test_import_from_where_the_container_has_its_own_things(stack: Stack) -> None:
    with tempfile.TemporaryDirectory(prefix="pictures-", dir="/var/tmp") as name:
        os.chmod(name, 0o755)
        fill(Path(name), 9_300_001)
        assert run("import", "--json", name).json()["new"] == 1
        assert kept_as(stack, "original_path", "%9300001.jpg") == [f"/import{name}/9300001.jpg"]


def test_import_move_empties_the_source(stack: Stack, pictures: Path) -> None:
    fill(pictures / "m", 9_400_001, 9_400_002, owner=stack.owner)
    result = run("import", "--move", "--json", pictures / "m")
    assert result.code == 0, result.err
    assert result.json()["new"] == 2
    assert not [*(pictures / "m").iterdir()]
    assert len(kept_as(stack, "original_path", "%/m/94000%")) == 2


@pytest.mark.parametrize("whom", ["Ctrl-C", "SIGTERM"])
def test_an_import_that_is_interrupted_ends_and_goes_on_later(stack: Stack, pictures: Path, whom: str) -> None:
    numbers = range(9_600_000, 9_600_800) if whom == "Ctrl-C" else range(9_700_000, 9_700_800)
    fill(pictures / whom, *numbers)
    endless = pictures / whom / "the last.jpg"  # the others may be done before it is interrupted, and this never
    endless_jpeg(endless)
    started = subprocess.Popen(
        [FACTORY, "import", pictures / whom], env=own_environment(), stderr=subprocess.PIPE, start_new_session=True
    )
    pattern = f"{numbers[0] // 1000}*.jpg"
    wait_until(lambda: len([*stack.originals.rglob(pattern)]) > 10, LIMIT, "it imports")
    if whom == "Ctrl-C":
        os.killpg(started.pid, signal.SIGINT)
    else:
        started.terminate()
    _, said = started.communicate(timeout=LIMIT)

    # Ctrl-C reaches docker compose too, which may end by it (255) before it hears how the import did.
    assert started.returncode in ((130, 255) if whom == "Ctrl-C" else (130,)), said
    assert b"Traceback" not in said
    container_is_gone()
    assert len([*stack.originals.rglob(pattern)]) <= len(numbers)
    endless.unlink()
    again = run("import", "--json", pictures / whom).json()
    assert again["new"] + again["duplicates"] == len(numbers)
    assert again["failed"] == 0
    assert len([*stack.originals.rglob(pattern)]) == len(numbers)


@pytest.mark.parametrize(
    ("sources", "reason"),
    [(["/nowhere/at/all"], "No such file or directory"), ([""], "a source is empty"), ([], "SRC")],
)
def test_import_of_nothing(stack: Stack, sources: list[str], reason: str) -> None:
    result = run("import", *sources)
    assert result.code == 2
    assert reason in result.err
    assert "Traceback" not in result.err


def test_import_of_the_factorys_own_folders_is_refused(stack: Stack) -> None:
    """Also of what holds them on the host, where the container sees only a part of that folder by itself."""
    link = stack.inbox.parent.parent / "a link to the factory"
    link.symlink_to(stack.storage)
    try:
        for source, reason in {
            stack.storage: "is part of the vault",
            link: "is part of the vault",
            stack.inbox: "is part of the inbox",
            stack.storage.parent: "holds",
            stack.storage.parent.parent: "holds",
        }.items():
            result = run("import", source)
            assert result.code == 2, (source, result.err)
            assert reason in result.err.splitlines()[-1]
    finally:
        link.unlink()


def test_a_zip_archive_of_the_host_is_imported(stack: Stack, pictures: Path) -> None:
    fill(pictures / "zipped", 9_450_001, 9_450_002, owner=stack.owner)
    archive = pictures / "takeout-001.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted((pictures / "zipped").iterdir()):
            packed.write(path, f"Takeout/{path.name}")
    os.chmod(archive, 0o644)
    result = run("import", "--json", archive)
    assert result.code == 0, result.err
    assert (result.json()["new"], result.json()["archives"]) == (2, 1)
    assert len(kept_as(stack, "original_path", "%/takeout-001.zip!/Takeout/94500%")) == 2
    assert run("import", "--move", "--json", archive).json()["duplicates"] == 2
    assert archive.exists()


# -- backup and restore --------------------------------------------------------------------------------------


def test_backup_and_restore(stack: Stack, tmp_path: Path) -> None:
    target = tmp_path / "ledger.dump"
    stack.drop("backup/before.jpg", unique_jpeg(9_500_001))
    stack.filed(1, where="original_name = 'before.jpg'")

    result = run("backup", target)
    assert result.code == 0, result.err
    found = target.stat()
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert (found.st_uid, found.st_gid) == (os.geteuid(), os.getegid())
    assert run("backup", target).code == 2, "it exists"
    in_backup = int(stack.sql("SELECT count(*) FROM media_assets")[0][0])

    dropped = stack.drop("backup/after.jpg", unique_jpeg(9_500_002))
    [[_, after, _]] = stack.filed(1, where="original_name = 'after.jpg'")
    # The Librarian knows by then that this row is there. One that had not heard so would write it again.
    wait_until(lambda: not dropped.exists(), LIMIT, "it is done with the file")
    assert "--force" in run("restore", target).one_line()
    cut = tmp_path / "cut.dump"
    cut.write_bytes(target.read_bytes()[: found.st_size // 2])
    assert run("restore", "--force", cut).code == 2
    assert stack.sql("SELECT count(*) FROM media_assets") == [[str(in_backup + 1)]]

    restored = run("restore", "--force", "--json", target)
    assert restored.code == 0, restored.err
    assert restored.json()["rows"]["media_assets"] == in_backup
    assert stack.sql("SELECT count(*) FROM media_assets") == [[str(in_backup)]]
    assert (stack.storage / after).exists(), "photos are not what a restore is about"

    # The services have found the ledger that is there now.
    stack.drop("backup/later.jpg", unique_jpeg(9_500_003))
    stack.filed(1, where="original_name = 'later.jpg'")
    stack.wait_healthy()

    # An original without a row gets one when it comes once more, and stays where it was.
    stack.drop("again/after.jpg", (stack.storage / after).read_bytes())
    [[_, again, _]] = stack.filed(1, where="original_name = 'after.jpg'")
    assert again == after


def test_backup_and_restore_by_pipes(stack: Stack) -> None:
    made = command("backup", "-")
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith(b"PGDMP")
    assert b"restored once" in made.stderr
    restored = command("restore", "--force", "--json", "-", text=made.stdout)
    assert restored.returncode == 0, restored.stderr
    assert json.loads(restored.stdout)["rows"]["media_assets"] >= 0
    stack.wait_healthy()
    assert stack.sql("SELECT count(*) FROM pg_database WHERE datname LIKE '% (%'") == [["0"]]


def test_a_backup_of_a_later_version_is_refused(stack: Stack, tmp_path: Path) -> None:
    target = tmp_path / "ledger.dump"
    [[schema]] = stack.sql("SELECT version_num FROM alembic_version")
    stack.sql("UPDATE alembic_version SET version_num = '9999'")
    try:
        assert run("backup", target).code == 0
    finally:
        stack.sql(f"UPDATE alembic_version SET version_num = '{schema}'")
    result = run("restore", "--force", target)
    assert result.code == 2
    assert "later version" in result.one_line()
    assert stack.sql("SELECT version_num FROM alembic_version") == [[schema]]
