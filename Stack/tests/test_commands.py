"""The other commands, as a person or a script meets them: what they say, and with which exit code."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from Src.Testing.patience import wait_until
from Src.Testing.surroundings import SmallFilesystem
from Stack.tests.conftest import ExternalLedger
from Stack.tests.photos import unique_jpeg
from Stack.tests.real_factory import FACTORY, KEYS, LIMIT, SAMPLES, SHORT_DELAYS, WATCHING, Factory

COMMANDS = ("up", "ingest", "import", "status", "find", "retry")
HOSTILE = "[bold red]x[b] \x1b[31m\x1b]0;title\x07\nsecond\rline\u202egpj.\x9b2J.jpg"
CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def put(factory: Factory, name: str, content: bytes) -> Path:
    """A file that stands in the inbox already when a command starts."""
    path = factory.inbox / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# -- ingest ------------------------------------------------------------------------------------------------


def test_ingest_reports_each_fate_and_empties_the_inbox(factory: Factory) -> None:
    put(factory, "a.jpg", unique_jpeg(1))
    put(factory, "deep/er/again.jpg", unique_jpeg(1))
    put(factory, "b.jpg", unique_jpeg(2))
    note = put(factory, "note.txt", b"not a photo")
    (factory.inbox / "empty" / "folders").mkdir(parents=True)

    result = factory.run("ingest", "--json")

    assert result.code == 0
    report = result.json()
    assert report.keys() == KEYS
    assert [report[key] for key in ("new", "duplicates", "restored", "not_media", "failed")] == [2, 1, 0, 1, 0]
    assert report["bytes"] == 2 * len(unique_jpeg(1)) + len(unique_jpeg(2))
    assert [*factory.inbox.rglob("*")] == [note]


def test_ingest_waits_for_files_to_become_complete(factory: Factory) -> None:
    factory.environment["STABILITY_DELAY"] = "3"
    ctime = put(factory, "a.jpg", unique_jpeg(1)).stat().st_ctime

    assert factory.run("ingest", "--json").json()["new"] == 1

    [(filed,)] = factory.sql_at_rest("SELECT extract(epoch FROM ingested_at)::float FROM media_assets")
    assert filed - ctime >= 3.0


def test_ingest_restores_an_original_that_has_gone(factory: Factory) -> None:
    factory.environment["LEAVING_GRACE"] = "0"  # else the first inbox copy may come back: it is the last one now
    put(factory, "a.jpg", unique_jpeg(1))
    factory.run("ingest")
    factory.vault_files()[0].unlink()
    put(factory, "a.jpg", unique_jpeg(1))

    report = factory.run("ingest", "--json").json()

    assert (report["new"], report["restored"], report["duplicates"]) == (0, 1, 0)
    assert [path.read_bytes() for path in factory.vault_files()] == [unique_jpeg(1)]


def test_without_a_vault_nothing_is_filed_and_the_reason_is_told(factory: Factory) -> None:
    """The vault's disk is not mounted: its empty mount point is not a new vault."""
    put(factory, "a.jpg", unique_jpeg(1))
    factory.run("ingest")
    shutil.rmtree(factory.originals)
    factory.originals.mkdir()
    path = put(factory, "b.jpg", unique_jpeg(2))

    result = factory.run("ingest")

    assert result.code == 2
    assert result.out == ""
    assert "factory: vault: " in result.err.splitlines()[-1]
    assert "mount the disk" in result.err
    assert path.exists()
    assert [*factory.originals.iterdir()] == []


# -- status ------------------------------------------------------------------------------------------------


def test_status_of_a_new_factory(factory: Factory) -> None:
    result = factory.run("status")

    assert (result.code, result.err) == (0, "")
    assert "./factory up" in result.out
    assert re.search(r"originals +0 \(0 B\)", result.out)
    assert re.search(r"database +embedded, PostgreSQL 18", result.out)
    assert "disk" in result.out


def test_status_counts_what_is_there(factory: Factory) -> None:
    put(factory, "a.jpg", unique_jpeg(1))
    put(factory, "note.txt", b"not a photo")
    factory.run("ingest")
    put(factory, "waits.jpg", unique_jpeg(2))

    result = factory.run("status", "--json")

    assert (result.code, result.err) == (0, "")
    found = result.json()
    assert found["assets"]["count"] == 1
    assert found["assets"]["bytes"] == len(unique_jpeg(1))
    assert (found["inbox"]["waiting"], found["inbox"]["not_media"]) == (1, 1)
    assert found["inbox"]["waiting_bytes"] == len(unique_jpeg(2))
    kept = factory.vault_files()
    size = sum(path.stat().st_size for path in kept)
    assert found["leaving"] == {"files": len(kept), "bytes": size, "room": 0}, "another name of each original"
    vault = {"path": str(factory.originals), "answers": True, "present": True, "wrong_ledger": None, "trouble": None}
    assert found["vault"] == vault
    assert (found["originals"]["gone"], found["rejected"], found["database"]["rejected"]) == (0, [], 0)
    assert (found["database"]["mode"], found["database"]["reachable"]) == ("embedded", True)
    assert found["disk"]["vault"]["free"] > 0
    words = factory.run("status").out
    assert re.search(r"inbox +1 waiting .*, 1 not photos or videos", words)


def test_status_tells_who_is_at_work_and_who_has_gone_silent(factory: Factory) -> None:
    factory.environment["HEARTBEAT_INTERVAL"] = "0.5"

    def librarian() -> tuple[str, bool, str]:
        services = factory.run("status", "--json").json()["services"]
        [service] = [one for one in services if one["name"] == "librarian"]
        return service["status"], service["silent"], service["current_task"]

    with factory.start("up") as running:
        wait_until(lambda: factory.asked(WATCHING), LIMIT)
        # (Until it has not stood still for a second and a half before it is asked for.)
        wait_until(lambda: librarian() == ("OK", False, "watching"), LIMIT, "it is called at work")
        factory.kill_all()
        running.wait()

    wait_until(lambda: librarian()[1], LIMIT, "a killed service is called silent")
    assert "SILENT" in factory.run("status").out


def test_status_shows_each_instance_of_a_service_and_names_it(factory: Factory) -> None:
    factory.run("status")  # makes the ledger
    factory.sql_at_rest(
        "INSERT INTO system_status (service_name, last_heartbeat, status, interval_seconds, instance, host) VALUES "
        "('dashboard', now(), 'WARNING', 3600, 'nas/1', 'nas'), ('dashboard', now(), 'OK', 3600, 'attic/1', 'attic'), "
        "('librarian', now(), 'OK', 3600, '1', 'nas')"
    )
    found = factory.run("status", "--json").json()["services"]
    assert [(one["name"], one["instance"], one["host"], one["status"]) for one in found] == [
        ("dashboard", "attic/1", "attic", "OK"),
        ("dashboard", "nas/1", "nas", "WARNING"),
        ("librarian", "1", "nas", "OK"),
    ]
    said = factory.run("status").out
    assert re.search(r"dashboard attic/1 +OK", said) and re.search(r"dashboard nas/1 +WARNING", said)
    assert re.search(r"^ +librarian +OK", said, re.MULTILINE), "of which there is one"


def test_status_works_with_the_database_away(factory: Factory, external_ledger: ExternalLedger) -> None:
    factory.environment["DATABASE_URL"] = external_ledger.url
    put(factory, "a.jpg", unique_jpeg(1))
    assert factory.run("ingest", "--json").json()["new"] == 1
    external_ledger.forwarder.cut()
    put(factory, "b.jpg", unique_jpeg(2))
    away = factory.run("ingest", "--json")
    assert (away.code, away.json()["new"]) == (0, 1)
    assert "recorded later" in away.err

    result = factory.run("status", "--json")

    assert result.code == 3, "nobody who asks only for the code is told that all is well"
    found = result.json()
    assert found["assets"] is None
    assert (found["database"]["mode"], found["database"]["reachable"]) == ("external", False)
    assert found["database"]["journaled"] == 1
    words = factory.run("status").out
    assert re.search(r"database +AWAY \(external\): ", words)
    assert re.search(r"to record +1 entry waits", words)
    assert "not-asked-for" not in words + result.out + result.err + away.err, "the password is nobody's business"


def test_a_damaged_original_is_told_until_a_person_removes_it(factory: Factory) -> None:
    put(factory, "a.jpg", unique_jpeg(1))
    factory.run("ingest")
    (kept,) = factory.vault_files()
    before = kept.stat()
    kept.chmod(0o600)
    kept.write_bytes(unique_jpeg(1)[:-1] + b"!")
    os.utime(kept, ns=(before.st_atime_ns, before.st_mtime_ns))
    put(factory, "again.jpg", unique_jpeg(1))

    report = factory.run("ingest", "--json").json()

    assert (report["restored"], report["duplicates"]) == (1, 0)
    assert kept.read_bytes() == unique_jpeg(1)
    damaged = factory.run("status", "--json").json()["damaged"]
    assert damaged["count"] == 1
    moved = factory.storage / damaged["paths"][0]
    assert moved.read_bytes() == unique_jpeg(1)[:-1] + b"!"
    words = factory.run("status").out
    assert "1 damaged original" in words and "check the disk" in words
    assert "was damaged" in factory.run("find", "again").out
    moved.unlink()
    assert "damaged" not in factory.run("status").out


def test_an_original_that_may_not_be_read_is_not_judged(factory: Factory, external_ledger: ExternalLedger) -> None:
    """It is another user's private file, before a root that has no power to read everything."""
    factory.environment.update(DATABASE_URL=external_ledger.url, RETRY_FIRST_DELAY="3600")
    put(factory, "a.jpg", unique_jpeg(1))
    assert factory.run("ingest", "--json").json()["new"] == 1
    (kept,) = factory.vault_files()
    os.chown(kept, 12345, 12345)
    kept.chmod(0o400)
    path = put(factory, "again.jpg", unique_jpeg(1))

    result = factory.run_unprivileged("ingest", "--json")

    report = result.json()
    assert (result.code, report["failed"], report["duplicates"], report["restored"]) == (1, 1, 0, 0)
    assert "Permission denied" in result.err
    assert path.read_bytes() == unique_jpeg(1)
    assert factory.vault_files() == [kept] and kept.stat().st_uid == 12345
    assert factory.run("status", "--json").json()["damaged"]["count"] == 0


@pytest.mark.parametrize("planted", ["../../outside.jpg", "Originals/../../../outside.jpg"])
def test_find_says_nothing_of_what_a_row_names_outside_the_vault(
    factory: Factory, external_ledger: ExternalLedger, planted: str
) -> None:
    factory.environment["DATABASE_URL"] = external_ledger.url
    put(factory, "a.jpg", unique_jpeg(1))
    factory.run("ingest")
    (factory.data.parent / "outside.jpg").write_bytes(unique_jpeg(1))
    external_ledger.sql("ALTER TABLE media_assets DROP CONSTRAINT ck_media_assets_final_path")
    external_ledger.sql(f"UPDATE media_assets SET final_path = '{planted}' RETURNING id")
    (event,) = factory.run("find", "a.jpg", "--json").json()["events"]
    assert event["is"] == "no path of the vault"
    assert "NO PATH OF THE VAULT" in factory.run("find", "a.jpg").out


def test_status_tells_that_the_vault_is_not_there(factory: Factory) -> None:
    put(factory, "a.jpg", unique_jpeg(1))
    factory.run("ingest")
    factory.storage.rename(factory.data / "unmounted")

    result = factory.run("status")

    assert result.code == 3
    assert re.search(rf"vault +NOT THERE: {re.escape(str(factory.originals))}", result.out)
    assert factory.run("status", "--json").json()["vault"]["present"] is False
    assert not factory.storage.exists(), "status has made something"


def test_status_tells_that_the_vault_is_read_only_or_full_without_a_service(
    factory: Factory, small_filesystem: SmallFilesystem
) -> None:
    factory.environment |= {"DISK_WARNING": "10", "DISK_ERROR": "2"}
    factory.environment["STORAGE_PATH"] = str(disk := small_filesystem("tmpfs", 40))
    put(factory, "a.jpg", unique_jpeg(1))
    assert factory.run("ingest", "--json").json()["new"] == 1
    assert factory.run("status").code == 0

    filling = disk / "filling"
    filling.write_bytes(bytes(37 << 20))
    assert "the disk of" in factory.run("status").out, "a warning"
    filling.write_bytes(bytes((40 << 20) - (1 << 19)))
    result = factory.run("status")
    assert result.code == 3
    assert re.search(r"vault +\S+ % free .*when it is full, photos wait in the inbox", result.out)
    filling.unlink()

    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    result = factory.run("status")
    assert result.code == 3
    assert re.search(rf"vault +READ-ONLY, nothing is filed: {re.escape(str(disk))}; remount", result.out)
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    assert factory.run("status").code == 0


def test_status_beside_a_folder_of_another_user_tells_all_that_it_can(
    factory: Factory, external_ledger: ExternalLedger
) -> None:
    """Before a root that has no power to read everything."""
    factory.environment["DATABASE_URL"] = external_ledger.url
    put(factory, "a.jpg", unique_jpeg(1))
    assert factory.run("ingest", "--json").json()["new"] == 1
    for folder, folders, _ in os.walk(factory.storage / ".factory"):
        for path in (folder, *(os.path.join(folder, name) for name in folders)):
            os.chmod(path, 0o700)
            os.chown(path, 12345, 12345)

    result = factory.run_unprivileged("status")

    assert result.err == ""
    assert re.search(r"originals +1 ", result.out) and re.search(r"inbox +0 waiting", result.out)
    assert re.search(r"to record +cannot read .*permission denied", result.out)


def test_status_counts_what_is_left_alone_by_its_name(factory: Factory) -> None:
    for name in ("..jpg", ".hidden.jpg", "half.jpg.part", ".folder/a.jpg", ".stfolder/marker"):
        put(factory, name, unique_jpeg(1))
    result = factory.run("status", "--json")
    assert (result.json()["inbox"]["ignored"], result.json()["inbox"]["waiting"]) == (4, 0)
    assert "4 left alone by their names" in factory.run("status").out


# -- find --------------------------------------------------------------------------------------------------


def test_find_tells_the_fate_of_a_file(factory: Factory) -> None:
    put(factory, "Holiday 2024.jpg", unique_jpeg(1))
    put(factory, "copy/of holiday 2024 (1).jpg", unique_jpeg(1))
    put(factory, "other.jpg", unique_jpeg(2))
    factory.run("ingest")

    result = factory.run("find", "holiday", "--json")

    assert result.code == 0
    events = result.json()["events"]
    assert sorted(event["fate"] for event in events) == ["duplicate", "ingested"]
    [kept] = {event["kept_at"] for event in events}
    assert (factory.storage / kept).read_bytes() == unique_jpeg(1)
    words = factory.run("find", "holiday").out
    assert "ingested" in words
    assert "duplicate of" in words
    assert kept in words
    assert "other.jpg" not in words


NAMES = ("IMG_1.jpg", "IMG_2.jpg", "IMG_12.jpg", "100%.jpg", "a[1].jpg", "back\\slash.jpg", "hey!.jpg")


@pytest.fixture(scope="module")
def factory_to_find_in(migrated_cluster: Path) -> Iterator[Factory]:
    """All these names have been filed, and others of the same names wait in the inbox."""
    with tempfile.TemporaryDirectory(prefix="pf-e2e-") as name:
        os.chmod(name, 0o711)
        factory = Factory(Path(name) / "factory", dict(SHORT_DELAYS))
        for number, photo in enumerate(NAMES):
            put(factory, photo, unique_jpeg(number))
        assert factory.run("ingest", "--json").json()["new"] == len(NAMES)
        for number, photo in enumerate(NAMES):
            put(factory, photo, unique_jpeg(100 + number))
        yield factory
        factory.kill_all()


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("IMG_1.jpg", {"IMG_1.jpg"}),
        ("img_?.jpg", {"IMG_1.jpg", "IMG_2.jpg"}),
        ("*2*", {"IMG_12.jpg", "IMG_2.jpg"}),
        ("0%", {"100%.jpg"}),
        ("_", {"IMG_1.jpg", "IMG_12.jpg", "IMG_2.jpg"}),
        ("*[1]*", {"a[1].jpg"}),
        ("\\", {"back\\slash.jpg"}),
        ("!", {"hey!.jpg"}),
    ],
)
def test_find_wildcards(factory_to_find_in: Factory, pattern: str, found: set[str]) -> None:
    """In the ledger and in the inbox alike; everything but * and ? means itself."""
    result = factory_to_find_in.run("find", pattern, "--json")

    names = result.json()
    assert {event["original_name"].replace("\\\\", "\\") for event in names["events"]} == found
    assert {path.replace("\\\\", "\\") for path in names["in_inbox"]} == found


def test_find_takes_a_whole_path(factory: Factory) -> None:
    """As it is copied from elsewhere: into the inbox, into the vault, or of what was imported."""
    source = factory.data.parent / "card" / "c.jpg"
    source.parent.mkdir()
    source.write_bytes(unique_jpeg(3))
    filed = put(factory, "album/a.jpg", unique_jpeg(1))
    factory.run("ingest")
    factory.run("import", source)
    waits = put(factory, "album/b.jpg", unique_jpeg(2))
    kept = {path.name: path for path in factory.vault_files()}

    def found(path: Path) -> tuple[list[str], list[str]]:
        said = factory.run("find", path, "--json").json()
        return [event["original_name"] for event in said["events"]], said["in_inbox"]

    assert found(filed) == (["a.jpg"], [])
    assert found(kept["a.jpg"]) == (["a.jpg"], [])
    assert found(waits) == ([], ["album/b.jpg"])
    assert found(source) == (["c.jpg"], [])
    assert found(factory.originals / "2000" / "a.jpg") == ([], [])


def test_find_knows_nothing(factory: Factory) -> None:
    result = factory.run("find", "nowhere.jpg")
    assert (result.code, result.err) == (1, "")
    assert result.out == "Nothing is known of a file of that name.\n"
    result = factory.run("find", "nowhere.jpg", "--json")
    assert (result.code, result.json()) == (1, {"events": [], "in_inbox": []})


def test_find_sees_what_still_waits_in_the_inbox(factory: Factory) -> None:
    put(factory, "deep/waits.jpg", unique_jpeg(1))

    result = factory.run("find", "WAITS")

    assert result.code == 0
    assert re.search(r"in inbox +deep/waits\.jpg", result.out)


def test_hostile_names_do_not_steer_the_terminal(factory: Factory) -> None:
    put(factory, HOSTILE, unique_jpeg(1))
    put(factory, f"{HOSTILE}.txt", b"not a photo")
    ingest = factory.run("ingest")
    album = factory.data.parent / "album"
    album.mkdir()
    (album / f"2 {HOSTILE}").write_bytes(unique_jpeg(2))

    shown = [ingest, factory.run("find", "second"), factory.run("status"), factory.run("import", album)]

    for result in shown:
        assert result.code == 0
        assert not CONTROLS.search(result.out + result.err), ascii(CONTROLS.findall(result.out + result.err))
    found = shown[1].out
    assert "[bold red]x[b]" in found, "markup is text"
    assert "\\x1b[31m" in found
    assert "\\nsecond\\rline" in found
    names = [event["original_name"] for event in factory.run("find", "second", "--json").json()["events"]]
    assert HOSTILE in names


def test_a_name_that_is_not_utf8_is_found_by_what_is_shown_of_it(factory: Factory) -> None:
    put(factory, os.fsdecode(b"caf\xe9.jpg"), unique_jpeg(1))
    factory.run("ingest")

    result = factory.run("find", "caf*", "--json")

    assert [event["original_name"] for event in result.json()["events"]] == ["caf\\xe9.jpg"]
    assert factory.run("find", os.fsdecode(b"caf\xe9.jpg"), "--json").code == 0
    assert factory.run("find", "caf\\xe9.jpg", "--json").code == 0


# -- retry -------------------------------------------------------------------------------------------------


def test_a_dead_letter_is_filed_after_it_was_mended_and_retried(
    factory: Factory, external_ledger: ExternalLedger
) -> None:
    """A file that may not be read; with one attempt allowed it is a dead letter at once."""
    factory.environment.update(RETRY_ATTEMPTS="1", DATABASE_URL=external_ledger.url)
    path = put(factory, "a.jpg", unique_jpeg(1))
    os.chmod(path, 0)

    result = factory.run_unprivileged("ingest", "--json")

    assert (result.code, result.json()["failed"]) == (1, 1)
    assert "cannot be read: Permission denied" in result.err
    assert factory.run_unprivileged("ingest", "--json").json()["failed"] == 0, "a dead letter is left alone"
    status = factory.run("status").out
    assert "1 file failed, 1 of them for good" in status and "./factory problems" in status
    assert "./factory retry" in status
    assert "dead_letter" in factory.run("find", "a.jpg").out
    assert factory.run_unprivileged("retry", "--json").json()["failed"] == 1, "not mended yet"

    os.chmod(path, 0o644)
    result = factory.run_unprivileged("retry", "--json")

    assert (result.code, result.json()["new"], result.json()["failed"]) == (0, 1, 0)
    assert not path.exists()
    assert [file.read_bytes() for file in factory.vault_files()] == [unique_jpeg(1)]
    assert factory.run("status", "--json").json()["inbox"]["dead_letters"] == 0


def test_an_inbox_copy_that_cannot_be_removed_is_told(factory: Factory) -> None:
    """It is safe in the vault, and yet it will be tried again: the report, the exit code and the ledger agree."""
    factory.environment["RETRY_FIRST_DELAY"] = "3600"  # it is tried once in this run, however long that takes
    path = put(factory, "a.jpg", unique_jpeg(1))
    with immutable(path):
        result = factory.run("ingest", "--json")
        assert "cannot be removed" in result.err
        assert factory.run("status", "--json").json()["inbox"]["failing"] == 1
        assert [file.read_bytes() for file in factory.vault_files()] == [unique_jpeg(1)]
    assert (result.code, result.json()["failed"]) == (1, 1)


def test_a_running_librarian_takes_up_a_retry(factory: Factory) -> None:
    # With a scan it would be seen anyway that the file has changed.
    factory.environment.update(RETRY_ATTEMPTS="1", SCAN_INTERVAL="600")
    path = put(factory, "a.jpg", unique_jpeg(1))
    with factory.start("up") as running:
        with immutable(path):
            running.wait_for("no further try until ./factory retry")
            given_up = "SELECT 1 FROM inbox_files WHERE state = 'dead_letter'"
            wait_until(lambda: factory.asked(given_up), LIMIT, "the ledger knows it too")
        result = factory.run("retry")
        assert result.code == 0
        assert "1 file failed: tried again by the librarian within seconds." in result.out
        wait_until(lambda: not path.exists(), LIMIT, "it is tried again")


def test_retry_with_nothing_to_retry(factory: Factory) -> None:
    result = factory.run("retry")
    assert (result.code, result.out) == (0, "0 files failed in the inbox. What failed in an import: import it again.\n")
    result = factory.run("retry", "--json")
    assert (result.code, result.json()) == (0, {"asked": 0, "running": False, "refused": 0, "refused_still": 0})


# -- psql --------------------------------------------------------------------------------------------------


def test_psql_passes_arguments_exit_codes_and_input_through(factory: Factory) -> None:
    assert not factory.postgres()
    result = factory.run("psql", "-tA", "-c", "SELECT count(*) FROM media_assets")
    assert (result.code, result.out) == (0, "0\n")
    assert factory.run("psql", "-tA", text="SELECT 6 * 7;\n").out == "42\n"
    assert factory.run("psql", "--help").out.startswith("psql is the PostgreSQL interactive terminal.")
    assert factory.run("psql", "-v", "ON_ERROR_STOP=1", "-c", "SELECT nonsense").code == 1
    assert factory.run("psql", "-f", "/does/not/exist").code == 1
    wait_until(lambda: not factory.postgres(), LIMIT, "the server runs only as long as psql does")


def test_psql_on_an_external_ledger(factory: Factory, external_ledger: ExternalLedger) -> None:
    if shutil.which("psql") is None:
        pytest.skip("no psql on this machine")
    factory.environment["DATABASE_URL"] = external_ledger.url
    result = factory.run("psql", "-tAc", "SELECT current_database()")
    assert (result.code, result.out) == (0, f"{external_ledger.name}\n")


# -- an external ledger ------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["DATABASE_URL", "DB_HOST", "DB_HOST is a socket's folder"])
def test_an_external_ledger_is_used_and_no_embedded_one_made(
    bare_factory: Factory, external_ledger: ExternalLedger, way: str
) -> None:
    factory = bare_factory
    at = {"DB_USERNAME": "photo_factory", "DB_DATABASE_NAME": external_ledger.name, "DB_PASSWORD": "p@ss/w:rd%"}
    factory.environment.update(
        {
            "DATABASE_URL": {"DATABASE_URL": external_ledger.url},
            "DB_HOST": {"DB_HOST": "127.0.0.1", "DB_PORT": str(external_ledger.forwarder.port), **at},
            "DB_HOST is a socket's folder": {"DB_HOST": str(external_ledger.socket.parent), **at},
        }[way]
    )
    put(factory, "a.jpg", unique_jpeg(1))

    result = factory.run("ingest", "--json")

    assert (result.code, result.json()["new"]) == (0, 1)
    assert external_ledger.sql("SELECT original_path FROM media_assets") == [("a.jpg",)]
    assert not factory.postgres()
    assert not factory.cluster.parent.exists()
    assert factory.run("status", "--json").json()["database"]["mode"] == "external"


def test_up_rides_out_an_external_ledger_that_goes_away(factory: Factory, external_ledger: ExternalLedger) -> None:
    factory.environment["DATABASE_URL"] = external_ledger.url
    with factory.start("up") as running:
        running.wait_for("watching ")
        put(factory, "a.jpg", unique_jpeg(1))
        wait_until(lambda: external_ledger.sql("SELECT 1 FROM media_assets"), LIMIT)
        external_ledger.forwarder.cut()
        put(factory, "b.jpg", unique_jpeg(2))
        wait_until(lambda: factory.filed() == 2, LIMIT, "files go on being filed")
        assert running.process.poll() is None
        assert "Traceback" not in running.output
    external_ledger.forwarder.reopen()
    assert factory.run("ingest").code == 0
    assert external_ledger.sql("SELECT original_path FROM media_assets ORDER BY 1") == [("a.jpg",), ("b.jpg",)]


# -- wrong usage, wrong settings ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("import",),
        ("ingest", "--nonsense"),
        ("up", "more"),
    ],
)
def test_wrong_usage(bare_factory: Factory, arguments: tuple[str, ...]) -> None:
    result = bare_factory.run(*arguments)

    assert (result.code, result.out) == (2, "")
    expected = "there is no command 'nonsense'" if arguments == ("nonsense",) else f"Usage: factory {arguments[0]}"
    assert expected in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STABILITY_DELAY", "soon"),
        ("TZ", "Mars/Olympus"),
        ("FACTORY_DATA", "/dev/null/factory"),
        ("FACTORY_DATA", "/proc/factory"),
        ("DATABASE_URL", "mysql://root:secret@host/db"),
    ],
)
def test_a_wrong_setting_is_one_line(bare_factory: Factory, name: str, value: str) -> None:
    result = bare_factory.run("status", env={name: value})

    assert result.code == 2
    assert name in result.one_line()
    assert "secret" not in result.err


def test_a_ledger_of_a_later_version_is_one_line(factory: Factory, external_ledger: ExternalLedger) -> None:
    factory.environment["DATABASE_URL"] = external_ledger.url
    assert factory.run("status").code == 0
    external_ledger.sql("UPDATE alembic_version SET version_num = '9999'")

    for command in ("ingest", "status"):
        result = factory.run(command)
        assert result.code == 2
        assert "database" in result.one_line()


def test_find_with_the_ledger_away_is_one_line(bare_factory: Factory) -> None:
    result = bare_factory.run("find", "a", env={"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"})
    assert result.code == 2
    assert "factory: database: " in result.one_line()


def test_help_of_all_commands(bare_factory: Factory) -> None:
    factory = bare_factory
    top = factory.run("--help")
    assert top.code == 0
    for command in (*COMMANDS, "psql", "test"):
        assert re.search(rf"^  {command} +\S", top.out, re.MULTILINE), f"{command} is not in the list"
    for command in COMMANDS:
        result = factory.run(command, "--help")
        assert (result.code, result.err) == (0, "")
        assert result.out.startswith(f"Usage: factory {command}")
    assert not factory.data.exists(), "help makes nothing"


def test_without_a_command_there_is_help(bare_factory: Factory) -> None:
    result = bare_factory.run()
    assert "Usage: factory" in result.out + result.err
    assert result.code in (0, 2)


def test_a_command_works_from_any_folder_and_through_a_link(factory: Factory, folder: Path) -> None:
    link = folder / "pf"
    link.symlink_to(FACTORY)
    (folder / "a.jpg").write_bytes(unique_jpeg(1))
    os.mkdir(folder / "elsewhere")
    done = subprocess.run(
        [link, "import", "../a.jpg", "--json"],
        cwd=folder / "elsewhere",
        env=factory.env(),
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    assert (done.returncode, json.loads(done.stdout)["new"]) == (0, 1)


# -- logs --------------------------------------------------------------------------------------------------


def test_json_logs_are_one_object_a_line(factory: Factory) -> None:
    put(factory, "note\n.txt", b"not a photo")
    shutil.copy(SAMPLES / "Canon_40D.jpg", factory.inbox)

    result = factory.run("ingest", env={"LOG_FORMAT": "json", "LOG_LEVEL": "DEBUG"})

    assert result.code == 0
    records = [json.loads(line) for line in result.err.splitlines()]
    assert len(records) > 2
    for record in records:
        assert record.keys() >= {"ts", "level", "service", "message"}
    assert any("note\n.txt is not a photo" in record["message"] for record in records)


def test_json_logs_of_up(factory: Factory) -> None:
    with factory.start("up", env={"LOG_FORMAT": "json"}) as running:
        running.wait_for("watching ")
        running.process.terminate()
        result = running.wait(2 * LIMIT)
    lines = result.out.splitlines()
    records = lines[lines.index(next(line for line in lines if line.startswith("{"))) :]
    for line in [*records, *result.err.splitlines()]:
        json.loads(line)


# -- helpers -----------------------------------------------------------------------------------------------


@contextmanager
def immutable(path: Path) -> Iterator[None]:
    """A file that nobody can remove or change while the block runs; skips where that cannot be had."""
    if subprocess.run(["chattr", "+i", path], capture_output=True, check=False).returncode != 0:
        pytest.skip("no immutable files here (chattr +i)")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", path], check=True)
