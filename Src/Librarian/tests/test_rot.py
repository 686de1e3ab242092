"""A kept original that is not what it was, and a good copy that comes again: nothing is dropped against it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from Src.Librarian.importer import Importer
from Src.Librarian.tally import Tally
from Src.Librarian.tests.test_service import CANON_DAY, Factory, photo
from Src.Library.tests.test_verdict import flip
from Src.Shared.database import Database
from Src.Shared.settings import Settings
from Src.Testing.promise import Source, sha256_of_file, vault_files
from Src.Testing.surroundings import SmallFilesystem, WaitFor

NOWHERE = "postgresql+psycopg2://nobody@127.0.0.1:1/nothing"


@pytest.fixture
def factory(factory_settings: Settings, wait_for: WaitFor) -> Factory:
    # What leaves the inbox would be the kept file itself by another name, and damaged with it.
    factory = Factory(replace(factory_settings, leaving_grace=0.0, leaving_grace_without_lease=0.0), wait_for)
    factory.drop("a.jpg", photo())
    assert factory.ingest().new == 1
    return factory


def kept(factory: Factory) -> Path:
    return factory.settings.storage / CANON_DAY / "a.jpg"


def aside(factory: Factory) -> list[str]:
    """What was moved aside, below `damaged/`."""
    folder = factory.settings.storage / ".factory/damaged"
    return sorted(str(path.relative_to(folder)) for day in folder.glob("*") for path in day.iterdir())


def import_(factory: Factory, source: Path, *, move: bool) -> Tally:
    database = Database(factory.settings)
    try:
        return Importer(factory.settings, database, [source], move=move).run()
    finally:
        database.close()


def put_source(factory: Factory, name: str, content: bytes) -> Path:
    folder = factory.settings.data.parent / "card"
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    factory.sources.append(Source(str(folder / name), sha256_of_file(folder / name)))
    return folder


def without_ledger(factory: Factory) -> Settings:
    return replace(factory.settings, database_url=NOWHERE)


def ingest_without_ledger(factory: Factory) -> Tally:
    here = factory.settings
    factory.settings = without_ledger(factory)
    try:
        return factory.ingest()
    finally:
        factory.settings = here


def name_of(content: bytes) -> str:
    return f"2008-05-30/a.jpg.{hashlib.sha256(content).hexdigest()[:8]}"


# -- how the good copy comes ------------------------------------------------------------------------------------


def test_a_flipped_bit_is_seen_and_the_good_copy_takes_the_place(
    factory: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    flip(kept(factory))
    rotten = kept(factory).read_bytes()
    factory.drop("b.jpg", photo())
    tally = factory.ingest()
    assert (tally.restored, tally.duplicates) == (1, 0)
    assert kept(factory).read_bytes() == photo()
    assert aside(factory) == [name_of(rotten)]
    moved = factory.settings.storage / ".factory/damaged" / name_of(rotten)
    assert moved.read_bytes() == rotten
    (event,) = factory.sql("SELECT message FROM ingest_events WHERE fate = 'restored'")
    assert "was damaged: its bytes are not those that were filed" in event["message"]
    assert f".factory/damaged/{name_of(rotten)}" in event["message"]
    assert [record.levelname for record in caplog.records if "is damaged" in record.message] == ["ERROR"]
    factory.check()


def test_what_rots_while_its_inbox_name_is_kept_aside_is_not_filed_again(factory: Factory) -> None:
    """On one filesystem that name is the original itself, by another name."""
    factory.settings = replace(factory.settings, leaving_grace=0.0, leaving_grace_without_lease=0.0)
    standing = replace(factory.settings, leaving_grace=3600.0, leaving_grace_without_lease=3600.0)
    factory.settings, at_once = standing, factory.settings
    factory.drop("second.jpg", photo(7))
    factory.ingest()
    original = (
        factory.settings.storage
        / factory.sql("SELECT final_path FROM media_assets WHERE original_name = 'second.jpg'")[0]["final_path"]
    )
    flip(original)
    factory.drop("again.jpg", photo(7))
    assert factory.ingest().restored == 1
    assert len(aside(factory)) == 1
    factory.settings = at_once
    for _ in range(2):
        assert factory.ingest().new == 0
    assert len(aside(factory)) == 1
    factory.check()


def test_a_flipped_bit_is_seen_by_a_twin_in_the_same_batch_too(factory: Factory) -> None:
    flip(kept(factory))
    factory.settings = replace(factory.settings, stability_delay=0.0, min_file_age=0.0)  # read in one go
    for name in ("b.jpg", "c.jpg", "d.jpg"):
        factory.drop(name, photo())
    tally = factory.ingest()
    assert (tally.restored, tally.duplicates) == (1, 2)
    assert len(aside(factory)) == 1
    factory.check()


@pytest.mark.parametrize("linked", [True, False])
def test_a_moved_source_is_not_deleted_against_a_flipped_bit(
    factory: Factory, linked: bool, other_filesystem: Path
) -> None:
    flip(kept(factory))
    source = put_source(factory, "b.jpg", photo())
    if not linked:
        factory.sources.pop()
        source = other_filesystem / "card"
        source.mkdir()
        (source / "b.jpg").write_bytes(photo())
        factory.sources.append(Source(str(source / "b.jpg"), sha256_of_file(source / "b.jpg")))
    assert import_(factory, source, move=True).restored == 1
    assert not (source / "b.jpg").exists()
    factory.check()
    (source / "c.jpg").write_bytes(photo())
    factory.sources.append(Source(str(source / "c.jpg"), sha256_of_file(source / "c.jpg")))
    assert import_(factory, source, move=True).duplicates == 1
    assert not (source / "c.jpg").exists(), "against the living one it may go"
    factory.check()


def test_an_import_that_reads_a_file_claims_nothing_of_a_rotten_original(factory: Factory) -> None:
    flip(kept(factory))
    source = put_source(factory, "b.jpg", photo())
    assert import_(factory, source, move=False).restored == 1
    assert (source / "b.jpg").read_bytes() == photo()
    factory.check()


def test_a_journaled_copy_takes_the_place_of_a_rotten_original(factory: Factory) -> None:
    flip(kept(factory))
    rotten = kept(factory).read_bytes()
    factory.drop("b.jpg", photo())
    assert ingest_without_ledger(factory).new == 1  # the ledger alone knows that it is none
    assert not any(factory.settings.inbox.rglob("*.jpg"))
    factory.ingest()
    assert list(vault_files(factory.settings)) == [f"{CANON_DAY}/a.jpg"]
    assert aside(factory) == [name_of(rotten)]
    (event,) = factory.sql("SELECT message FROM ingest_events WHERE fate = 'restored'")
    assert "which was damaged" in event["message"]
    factory.check()


def test_a_journaled_copy_that_rots_itself_is_not_dropped_but_moved_aside(factory: Factory) -> None:
    factory.drop("b.jpg", photo())
    assert ingest_without_ledger(factory).new == 1
    second = factory.settings.storage / CANON_DAY / "b.jpg"
    flip(second)
    rotten = second.read_bytes()
    factory.ingest()
    assert aside(factory) == [name_of(rotten).replace("a.jpg", "b.jpg")]
    assert factory.fates() == ["ingested", "duplicate"]
    factory.check()


def test_of_two_rotten_copies_none_is_dropped_and_the_next_good_one_takes_the_place(factory: Factory) -> None:
    factory.drop("b.jpg", photo())
    assert ingest_without_ledger(factory).new == 1
    second = factory.settings.storage / CANON_DAY / "b.jpg"
    flip(kept(factory), 1000)
    flip(second, 2000)
    factory.ingest()
    assert kept(factory).exists() and len(aside(factory)) == 1
    assert factory.fates() == ["ingested", "failed"]
    factory.sources.pop()  # its bytes are nowhere any more
    factory.drop("c.jpg", photo())
    assert factory.ingest().restored == 1
    assert len(aside(factory)) == 2
    factory.check()


def test_a_journaled_original_that_rots_before_its_row_comes_gets_it_and_is_told(
    factory: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    factory.drop("b.jpg", photo(1))
    assert ingest_without_ledger(factory).new == 1
    second = factory.settings.storage / CANON_DAY / "b.jpg"
    flip(second)
    factory.ingest()
    (row,) = factory.sql(f"SELECT has_errors, error_message FROM media_assets WHERE final_path = '{CANON_DAY}/b.jpg'")
    assert row["has_errors"] and row["error_message"].startswith("damaged in the vault")
    assert "b.jpg is damaged" in caplog.text
    factory.drop("c.jpg", photo(1))
    assert factory.ingest().restored == 1
    (row,) = factory.sql(f"SELECT has_errors, error_message FROM media_assets WHERE final_path = '{CANON_DAY}/b.jpg'")
    assert (row["has_errors"], row["error_message"]) == (False, None)
    factory.check()


# -- what stands in the original's place --------------------------------------------------------------------------


def _cut(path: Path) -> None:
    os.truncate(path, 3000)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _link(path: Path) -> None:
    elsewhere = path.parents[4] / "elsewhere.jpg"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "somebody's.jpg").write_bytes(b"something")


@pytest.mark.parametrize("damage", [_cut, _empty, _link, _fifo, _folder])
def test_whatever_stands_there_is_moved_aside_unopened_and_unchanged(
    factory: Factory, damage: Callable[[Path], None]
) -> None:
    damage(kept(factory))
    before = kept(factory).lstat()
    factory.drop("b.jpg", photo())
    assert factory.ingest().restored == 1
    (moved,) = aside(factory)
    after = (factory.settings.storage / ".factory/damaged" / moved).lstat()
    assert (after.st_ino, after.st_mode, after.st_size) == (before.st_ino, before.st_mode, before.st_size)
    assert moved.endswith(".unread") == (damage in (_link, _fifo, _folder))
    elsewhere = factory.settings.data / "elsewhere.jpg"
    assert not elsewhere.exists() or elsewhere.read_bytes() == photo()
    factory.check()


def test_two_of_one_name_are_both_kept(factory: Factory) -> None:
    for number in range(3):
        factory.drop(f"{number}.jpg", photo())
        _empty(kept(factory))
        assert factory.ingest().restored == 1
    empty = name_of(b"")
    assert aside(factory) == [empty, f"{empty}_1", f"{empty}_2"]
    factory.check()


def test_a_long_name_finds_room(factory: Factory) -> None:
    name = "ü" * 125 + ".jpg"
    factory.drop(name, photo(1))
    factory.ingest()
    flip(factory.settings.storage / CANON_DAY / name)
    factory.drop("b.jpg", photo(1))
    assert factory.ingest().restored == 1
    assert aside(factory)[0].startswith("2008-05-30/üüü")
    factory.check()


def test_what_the_disk_does_not_give_back_is_replaced(factory: Factory, small_filesystem: SmallFilesystem) -> None:
    """btrfs answers EIO where a block is not what was written."""
    disk = small_filesystem("btrfs", 128)
    factory.settings = replace(factory.settings, storage=disk / "Storage", inbox=factory.settings.data / "Other")
    factory.settings.inbox.mkdir()
    factory.sources.clear()
    content = photo(1) + bytes(300_000)
    factory.drop("a.jpg", content)
    factory.execute("TRUNCATE media_assets, ingest_events")
    (disk / "Storage/Originals").mkdir(parents=True)
    (disk / "Storage/Originals/.photo-factory-vault").touch()
    assert factory.ingest().new == 1
    fd = os.open(kept(factory), os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)
    _spoil_on_disk(disk, content[:4096])
    with open(kept(factory), "rb") as file, pytest.raises(OSError, match="Input/output error"):
        file.read()
    factory.drop("b.jpg", content)
    assert factory.ingest().restored == 1
    assert aside(factory) == ["2008-05-30/a.jpg.unread"]
    factory.check()


def _spoil_on_disk(folder: Path, bytes_: bytes) -> None:
    device = subprocess.run(
        ["findmnt", "-no", "SOURCE", str(folder)], check=True, capture_output=True, text=True
    ).stdout.strip()
    image = Path(f"/sys/block/{device.removeprefix('/dev/')}/loop/backing_file").read_text().strip()
    with open(image, "r+b") as file:
        content, at = file.read(), -1
        while (at := content.find(bytes_, at + 1)) >= 0:
            file.seek(at + 100)
            file.write(b"!")


def test_originals_on_a_filesystem_of_their_own_keep_what_is_damaged_there(
    factory: Factory, other_filesystem: Path
) -> None:
    originals = factory.settings.originals
    subprocess.run(["cp", "-a", str(originals), str(other_filesystem / "Originals")], check=True)
    subprocess.run(["rm", "-r", str(originals)], check=True)
    originals.symlink_to(other_filesystem / "Originals")
    flip(kept(factory))
    rotten = kept(factory).read_bytes()
    factory.drop("b.jpg", photo())
    assert factory.ingest().restored == 1
    assert (originals / ".damaged" / name_of(rotten)).read_bytes() == rotten
    assert kept(factory).read_bytes() == photo()


def test_an_inbox_file_that_is_the_original_and_is_written_to_loses_nothing(factory: Factory) -> None:
    """The inode is the vault's, by a hard link: what is written to it through the inbox is another photo."""
    os.link(kept(factory), factory.settings.inbox / "linked.jpg")
    with open(factory.settings.inbox / "linked.jpg", "ab") as file:  # root may
        file.write(b"changed")
    factory.drop("good.jpg", photo())
    changed = factory.settings.inbox / "linked.jpg"
    factory.sources.append(Source("linked.jpg", sha256_of_file(changed)))
    factory.ingest()
    factory.ingest()
    contents = set(vault_files(factory.settings).values()) | {
        sha256_of_file(factory.settings.storage / ".factory/damaged" / path) for path in aside(factory)
    }
    assert {source.sha256 for source in factory.sources} <= contents
    assert kept(factory).read_bytes() == photo()


# -- what cannot be told ------------------------------------------------------------------------------------------


def test_what_cannot_be_moved_aside_keeps_the_newcomer_waiting(
    factory: Factory, small_filesystem: SmallFilesystem
) -> None:
    """An immutable file: the kernel refuses even root."""
    disk = small_filesystem("ext4", 64)
    subprocess.run(["cp", "-a", str(factory.settings.storage), str(disk / "Storage")], check=True)
    factory.settings = replace(factory.settings, storage=disk / "Storage")
    flip(kept(factory))
    subprocess.run(["chattr", "+i", str(kept(factory))], check=True)
    try:
        factory.drop("b.jpg", photo())
        tally = factory.ingest()
        assert (tally.failed, tally.restored, tally.duplicates) == (1, 0, 0)
        (row,) = factory.sql("SELECT last_error FROM inbox_files")
        assert "its original is damaged" in row["last_error"] and "cannot be moved aside" in row["last_error"]
        assert (factory.settings.inbox / "b.jpg").exists()
    finally:
        subprocess.run(["chattr", "-i", str(kept(factory))], check=True)
    factory.execute("UPDATE inbox_files SET next_try_at = now()")
    assert factory.ingest().restored == 1
    factory.check()


def test_a_folder_of_the_vault_that_is_a_link_keeps_the_newcomer_waiting(factory: Factory, tmp_path: Path) -> None:
    day = kept(factory).parent
    day.rename(tmp_path / "outside")
    day.symlink_to(tmp_path / "outside")
    factory.drop("b.jpg", photo())
    assert factory.ingest().failed == 1
    (row,) = factory.sql("SELECT last_error FROM inbox_files")
    assert "a symbolic link stands on the way" in row["last_error"]
    assert (factory.settings.inbox / "b.jpg").read_bytes() == photo()
    assert os.listdir(tmp_path / "outside") == ["a.jpg"]


# -- paths that the ledger and the journal state --------------------------------------------------------------------


PLANTED = ["../../outside/a.jpg", "Originals/../../outside/a.jpg", "{outside}/a.jpg", "Originals/../Overlay/a.jpg"]


def plant(factory: Factory, path: str) -> Path:
    """The same photo stands outside, where a row of the ledger says that it is kept; that folder."""
    outside = factory.settings.data.parent / "outside"
    overlay = factory.settings.storage / "Overlay"
    for folder in (outside, overlay):
        folder.mkdir()
        (folder / "a.jpg").write_bytes(photo())
        (folder / "a.jpg").chmod(0o444)
    kept(factory).unlink()
    factory.execute("ALTER TABLE media_assets DROP CONSTRAINT ck_media_assets_final_path")
    factory.execute(f"UPDATE media_assets SET final_path = '{path.format(outside=outside)}'")
    return outside


def everything_outside(factory: Factory) -> dict[str, tuple[int, ...]]:
    """Files outside the vault, with what a reader or a writer of them changes."""
    found: dict[str, tuple[int, ...]] = {}
    for folder in (factory.settings.data.parent / "outside", factory.settings.storage / "Overlay"):
        for path in (folder, folder / "a.jpg"):
            at = path.lstat()
            found[str(path)] = (at.st_ino, at.st_mode, at.st_size, at.st_mtime_ns, at.st_ctime_ns, at.st_nlink)
    return found


@pytest.mark.parametrize("path", PLANTED)
def test_a_path_of_the_ledger_that_leads_outside_is_not_followed(
    factory: Factory, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    plant(factory, path)
    (row,) = factory.sql("SELECT id FROM media_assets")
    before = everything_outside(factory)
    factory.drop("b.jpg", photo())
    assert factory.ingest().restored == 1
    assert everything_outside(factory) == before
    assert (factory.settings.storage / CANON_DAY / "b.jpg").read_bytes() == photo()
    assert f"row {row['id']} is not believed" in caplog.text
    assert aside(factory) == []
    factory.check()


@pytest.mark.parametrize("path", PLANTED)
@pytest.mark.parametrize("move", [True, False])
def test_an_import_does_not_follow_it_either(factory: Factory, path: str, move: bool) -> None:
    source = put_source(factory, "b.jpg", photo())
    assert import_(factory, source, move=False).duplicates == 1
    plant(factory, path)
    before = everything_outside(factory)
    if move:
        factory.sources.append(factory.sources[-1])
    assert import_(factory, source, move=move).restored == 1, "it is neither passed over nor dropped"
    assert everything_outside(factory) == before
    if not move:
        factory.sources.append(factory.sources[-1])
    factory.check()


@pytest.mark.parametrize("path", PLANTED)
def test_a_path_of_the_journal_that_leads_outside_is_not_followed(
    factory: Factory, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    factory.drop("b.jpg", photo())
    assert ingest_without_ledger(factory).new == 1
    outside = plant(factory, f"{CANON_DAY}/a.jpg")
    kept(factory).write_bytes(photo())
    kept(factory).chmod(0o444)
    before = everything_outside(factory)
    (segment,) = (factory.settings.storage / ".factory/journal").glob("*.jsonl")
    entry = json.loads(segment.read_text())
    entry["asset"]["final_path"] = entry["event"]["final_path"] = path.format(outside=outside)
    segment.write_text(json.dumps(entry) + "\n")
    factory.ingest()
    assert everything_outside(factory) == before
    assert "is no path of an original" in caplog.text
    assert segment.with_suffix(".damaged").exists(), "a person may look at it"
    assert kept(factory).read_bytes() == photo()
    assert (factory.settings.storage / CANON_DAY / "b.jpg").read_bytes() == photo()
    assert factory.fates() == ["ingested"]


def test_a_note_of_copies_that_leads_outside_is_not_followed(factory: Factory, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in (".factory-copy-x-1", "empty"):
        (outside / name).touch()
    notes = factory.settings.storage / ".factory/copying"
    notes.mkdir(exist_ok=True)
    (notes / "x.json").write_text(json.dumps({"folders": ["../../outside"]}))
    factory.ingest()
    assert sorted(os.listdir(outside)) == [".factory-copy-x-1", "empty"]
    assert os.listdir(notes) == []
