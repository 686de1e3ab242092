"""Zip archives as sources of an import: read without unpacking them to disk, and whatever a hostile one holds."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import random
import stat
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from Src.Librarian.importer import Importer
from Src.Librarian.passage import Account, IncomingFile
from Src.Librarian.tally import Tally
from Src.Librarian.unpacking import Unpacking, place_for_unpacking
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Media.takeout import set_of
from Src.Media.zip_archive import ZipArchive
from Src.Shared.database import Database
from Src.Shared.ledger_text import from_ledger
from Src.Shared.settings import PROJECT_ROOT, Settings
from Src.Testing.promise import Source, assert_promise_kept, ledger_rows, vault_files
from Src.Testing.roles import as_service
from Src.Testing.surroundings import SmallFilesystem

SAMPLES = Path(__file__).parent / "samples"
CANON = (SAMPLES / "Canon_40D.jpg").read_bytes()
UNDATED = (SAMPLES / "BlueSquare.jpg").read_bytes()
XMP = (PROJECT_ROOT / "Src/Media/tests/samples/sidecars/step1/DSC_0001.xmp").read_bytes()
FOLDER = "Takeout/Google Photos/Photos from 2019"
TAKEN = (
    b'{"title": "x", "photoTakenTime": {"timestamp": "1500000000"}, "geoData": {"latitude": 48.1, "longitude": 11.5}}'
)


def photo(number: int = 0) -> bytes:
    return CANON + b"%08d" % number


def undated(number: int = 0) -> bytes:
    return UNDATED + b"%08d" % number


Content = bytes | tuple[zipfile.ZipInfo, bytes]


def make_zip(path: Path, members: dict[str, bytes], **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, (2019, 5, 4, 12, 0, 0))
            info.compress_type = archive.compression
            archive.writestr(info, content)
    return path


class Bench:
    """A factory, a folder for archives, and what became of each entry."""

    def __init__(self, settings: Settings, source: Path) -> None:
        self.settings = replace(settings, readers=1)
        self.source = source
        self.fates: dict[str, Account] = {}

    def run(self, *sources: Path, **options: Any) -> Tally:
        self.fates = {}
        database = Database(as_service(self.settings, "factory"))
        try:
            importer = Importer(
                self.settings,
                database,
                sources or [self.source],
                told=lambda one: self.fates.update({one.path: one}),
                **options,
            )
            return importer.run()
        finally:
            database.close()

    def fate(self, member: str, archive: str = "a.zip") -> Account:
        return self.fates[f"{self.source / archive}!/{member}"]

    def row(self, name: str) -> dict[str, Any]:
        (row,) = ledger_rows(self.settings, f"SELECT * FROM media_assets WHERE original_name = '{name}'")
        return dict(row)

    def check(self, *contents: bytes) -> None:
        """The vault has just these, each with its row and its fate, and nothing is left of what was unpacked."""
        came = ledger_rows(self.settings, "SELECT original_path, file_hash FROM ingest_events WHERE file_hash <> ''")
        wanted = {hashlib.sha256(content).hexdigest() for content in contents}
        sources = [
            Source(from_ledger(row["original_path"]), row["file_hash"]) for row in came if row["file_hash"] in wanted
        ]
        assert {source.sha256 for source in sources} == wanted
        assert_promise_kept(self.settings, sources)
        place = place_for_unpacking(Vault(self.settings.storage))
        assert not place.exists() or not list(place.iterdir())


@pytest.fixture
def bench(factory_settings: Settings, tmp_path: Path) -> Bench:
    source = tmp_path / "source"
    source.mkdir()
    return Bench(factory_settings, source)


def test_members_are_filed_as_files_of_a_folder_are(bench: Bench) -> None:
    make_zip(
        bench.source / "a.zip",
        {"DCIM/a.jpg": photo(1), "DCIM/b/a.jpg": photo(2), "c.jpg": photo(1), "n.txt": b"text", "empty.jpg": b""},
        compression=zipfile.ZIP_DEFLATED,
    )
    (bench.source / "d.jpg").write_bytes(photo(3))
    before = os.lstat(bench.source / "a.zip")
    tally = bench.run()
    assert (tally.new, tally.duplicates, tally.not_media, tally.failed, tally.archives) == (3, 1, 2, 0, 1)
    assert bench.fate("DCIM/a.jpg").where == "Originals/2008/2008-05-30/a.jpg"
    assert bench.fate("c.jpg").fate == "duplicate"
    assert bench.row("d.jpg")["original_path"] == str(bench.source / "d.jpg")
    rows = ledger_rows(bench.settings, "SELECT original_path FROM media_assets ORDER BY 1")
    assert str(bench.source / "a.zip!/DCIM/a.jpg") in [row["original_path"] for row in rows]
    after = os.lstat(bench.source / "a.zip")
    assert (before.st_mtime_ns, before.st_size, before.st_ino) == (after.st_mtime_ns, after.st_size, after.st_ino)
    bench.check(photo(1), photo(2), photo(3))


def test_a_second_import_finds_only_duplicates_and_writes_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_zip(bench.source / "a.zip", {"a.jpg": photo(1), "b.jpg": photo(2), "n.txt": b"text"})
    bench.run()
    events = len(ledger_rows(bench.settings, "SELECT id FROM ingest_events"))
    monkeypatch.setattr(Unpacking, "put", lambda *_: pytest.fail("something is unpacked"))
    again = bench.run()
    assert (again.new, again.duplicates, again.not_media) == (0, 2, 1)
    assert len(ledger_rows(bench.settings, "SELECT id FROM ingest_events")) == events
    monkeypatch.undo()
    (bench.source / "a.zip").rename(bench.source / "other.zip")
    renamed = bench.run()
    assert (renamed.new, renamed.duplicates) == (0, 2)
    bench.check(photo(1), photo(2))


def test_other_bytes_under_the_same_name_size_and_time_are_new(bench: Bench) -> None:
    make_zip(bench.source / "a.zip", {"a.jpg": photo(1)})
    bench.run()
    make_zip(bench.source / "a.zip", {"a.jpg": photo(2)})
    assert bench.run().new == 1
    bench.check(photo(1), photo(2))


def test_takeouts_notes_are_found_in_the_same_part_and_in_another(bench: Bench) -> None:
    stamp = "takeout-20240503T110203Z"
    make_zip(
        bench.source / f"{stamp}-001.zip",
        {f"{FOLDER}/one.jpg": undated(1), f"{FOLDER}/one.jpg.json": TAKEN, f"{FOLDER}/two.jpg": undated(2)},
    )
    make_zip(bench.source / "elsewhere" / f"{stamp}-2-002.zip", {f"{FOLDER}/two.jpg.supplemental-metadata.json": TAKEN})
    # Another person's, of the same names.
    make_zip(bench.source / "takeout-20230101T000000Z-001.zip", {f"{FOLDER}/three.jpg": undated(3)})
    make_zip(bench.source / f"{stamp}-003.zip", {f"{FOLDER}/three.jpg.json": TAKEN})
    tally = bench.run()
    assert (tally.new, tally.companions, tally.not_media, tally.failed) == (3, 2, 1, 0)
    for name in ("one.jpg", "two.jpg"):
        row = bench.row(name)
        assert row["date_source"].startswith("takeout:")
        assert row["location"] == {"lat": 48.1, "lon": 11.5}
    assert not bench.row("three.jpg")["date_source"].startswith("takeout:")


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("/d/takeout-20240503T110203Z-001.zip", "/e/takeout-20240503T110203Z-7-012.zip", True),
        ("/d/takeout-20240503T110203Z-001.zip", "/d/takeout-20240503T110204Z-001.zip", False),
        ("/d/takeout-001.zip", "/d/takeout-002 (1).zip", True),
        ("/d/takeout-001.zip", "/e/takeout-002.zip", False),
        ("/d/photos.zip", "/d/films.zip", False),
    ],
)
def test_parts_of_a_set(first: str, second: str, same: bool) -> None:
    assert (set_of(first) == set_of(second)) is same


def test_a_sidecar_in_the_archive_belongs_to_its_photo(bench: Bench) -> None:
    make_zip(bench.source / "a.zip", {"p/DSC_0001.jpg": undated(), "p/DSC_0001.xmp": XMP, "q/DSC_0001.jpg": photo()})
    tally = bench.run()
    assert (tally.new, tally.companions) == (2, 1)
    (companion,) = ledger_rows(bench.settings, "SELECT * FROM companions")
    assert companion["original_path"] == str(bench.source / "a.zip!/p/DSC_0001.xmp")


def test_a_dry_run_foretells_it_and_a_move_removes_no_archive(bench: Bench) -> None:
    make_zip(
        bench.source / "a.zip",
        {"a.jpg": photo(1), "b.jpg": photo(1), "p/D.jpg": undated(), "p/D.xmp": XMP, "__MACOSX/._a.jpg": b"x"},
    )
    (bench.source / "c.jpg").write_bytes(photo(3))
    foretold = bench.run(dry_run=True, move=True)
    fates = {path: (one.fate, one.where, one.sha256) for path, one in bench.fates.items()}
    assert not bench.settings.storage.exists()
    done = bench.run(move=True)
    assert foretold.report() | {"seconds": 0} == done.report() | {"seconds": 0}
    assert fates == {path: (one.fate, one.where, one.sha256) for path, one in bench.fates.items()}
    assert (done.left, done.skipped_by) == (0, {"hidden": 1})
    assert [path.name for path in bench.source.iterdir()] == ["a.zip"]
    assert bench.run(move=True).duplicates == 3
    bench.check(photo(1), undated(), photo(3))


# -- hostile archives ---------------------------------------------------------------------------------------------


def changed(path: Path, at: int, value: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(value)


def place_of(path: Path, name: str) -> tuple[int, int]:
    """Where a member's bytes begin, and where its entry in the directory."""
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(name)
        start = archive.start_dir
    names, extra = struct.unpack_from("<HH", whole, info.header_offset + 26)
    return info.header_offset + 30 + names + extra, whole.index(name.encode(), start) - 46


def wrong_crc(path: Path) -> None:
    changed(path, place_of(path, "bad.jpg")[0] + 100, b"\xff\x00\xff")


def encrypted(path: Path) -> None:
    changed(path, place_of(path, "bad.jpg")[1] + 8, struct.pack("<H", 1))


def unknown_method(path: Path) -> None:
    changed(path, place_of(path, "bad.jpg")[1] + 10, struct.pack("<H", 14))


def two_names(path: Path) -> None:
    changed(path, place_of(path, "bad.jpg")[0] - len("bad.jpg"), b"BAD.JPG")


def shorter_than_stated(path: Path) -> None:
    """Stored, with a size in the directory that is larger than what is packed."""
    entry = place_of(path, "bad.jpg")[1]
    changed(path, entry + 24, struct.pack("<I", len(photo(100)) + 50))


def bomb(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        good = archive.read("good.jpg")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("good.jpg", good, zipfile.ZIP_STORED)
        archive.writestr("bad.jpg", CANON + bytes(80 << 20))


def test_a_damaged_member_fails_alone_and_nothing_of_it_is_filed(bench: Bench) -> None:
    damages: dict[Callable[[Path], None], str] = {
        wrong_crc: "its checksum is wrong",
        encrypted: "encrypted",
        unknown_method: "packed with LZMA",
        two_names: "two names of it differ",
        shorter_than_stated: "it is damaged in its archive",
        bomb: "as no photo does",
    }
    for number, damage in enumerate(damages):
        members = {"bad.jpg": photo(100 + number), "good.jpg": photo(number)}
        damage(make_zip(bench.source / f"{damage.__name__}.zip", members))
    tally = bench.run()
    assert (tally.new, tally.failed) == (len(damages), len(damages))
    failed = ledger_rows(bench.settings, "SELECT original_path, message FROM ingest_events WHERE fate = 'failed'")
    messages = {row["original_path"]: row["message"] for row in failed}
    for damage, reason in damages.items():
        account = bench.fate("bad.jpg", f"{damage.__name__}.zip")
        assert account.fate == "failed"
        assert account.reason == messages[account.path]
        assert reason in messages[account.path]
    bench.check(*(photo(number) for number in range(len(damages))))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def overlapping(path: Path) -> None:
    """Many entries of the directory for one member, which they would each unpack."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bad.jpg", photo())
        (info,) = archive.filelist
        for number in range(50):
            again = zipfile.ZipInfo(f"{number}.jpg")
            for name in ("header_offset", "compress_size", "file_size", "CRC"):
                setattr(again, name, getattr(info, name))
            archive.filelist.append(again)
        archive._didModify = True  # type: ignore[attr-defined]


def bombs(path: Path) -> None:
    """Small ones, and very many."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.jpg", bytes(60 << 20))
        (info,) = archive.filelist
        for number in range(1, 20):
            again = zipfile.ZipInfo(f"{number}.jpg")
            for name in ("header_offset", "compress_size", "file_size", "CRC", "compress_type"):
                setattr(again, name, getattr(info, name))
            again.compress_size = 10
            archive.filelist.append(again)


def wrong_utf8(path: Path) -> None:
    whole = make_zip(path, {"bäd.jpg": photo()}).read_bytes()
    path.write_bytes(whole.replace("ä".encode(), b"\xff\xff"))


def two_bytes(path: Path) -> None:
    path.write_bytes(b"PK")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def noise(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(4000))


def a_photo(path: Path) -> None:
    path.write_bytes(photo(3))


def test_a_damaged_archive_fails_as_one_and_the_others_are_imported(bench: Bench) -> None:
    damages: dict[Callable[[Path], None], str] = {
        cut: "a damaged zip archive, or half of one",
        overlapping: "overlap",
        bombs: "would unpack to 1.3 GB",
        wrong_utf8: "a damaged zip archive",
        two_bytes: "a damaged zip archive",
    }
    for damage in (*damages, empty, noise, a_photo):
        damage(make_zip(bench.source / f"{damage.__name__}.zip", {"bad.jpg": photo(), "b.jpg": photo(2)}))
    make_zip(bench.source / "whole.zip", {"good.jpg": photo(1)})
    tally = bench.run()
    assert (tally.new, tally.failed, tally.archives) == (2, len(damages), len(damages) + 1)
    assert tally.not_media == 2, "what is no archive by its bytes is a file as any"
    for damage, reason in damages.items():
        assert reason in str(bench.fates[str(bench.source / f"{damage.__name__}.zip")].reason)
    bench.check(photo(1), photo(3))


def test_a_list_of_members_has_a_bound(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    make_zip(bench.source / "a.zip", {f"{number:0200}.txt": b"" for number in range(300)})
    monkeypatch.setattr("Src.Media.zip_archive.MOST_DIRECTORY", 64 * 1024)
    assert bench.run().failed == 1
    assert "its list of members is larger than" in str(bench.fates[str(bench.source / "a.zip")].reason)


def test_names_lead_nowhere(bench: Bench, tmp_path: Path) -> None:
    names = [
        "../../out.jpg",
        "/abs.jpg",
        "a/../../b.jpg",
        "./c.jpg",
        "d//e.jpg",
        "x\n\x1b[31m.jpg",
        "ü.jpg",
        "n" * 400 + ".jpg",
    ]
    contents = {name: photo(number) for number, name in enumerate(names)}
    make_zip(bench.source / "a.zip", contents)
    before = sorted(path for path in tmp_path.rglob("*") if "factory" not in path.parts)
    assert bench.run().new == len(names)
    assert before == sorted(path for path in tmp_path.rglob("*") if "factory" not in path.parts)
    kept = {Path(path).name for path in vault_files(bench.settings)}
    assert {"out.jpg", "abs.jpg", "b.jpg", "c.jpg", "e.jpg", "ü.jpg"} < kept
    assert bench.fate("out.jpg").fate == "new"
    bench.check(*contents.values())


def test_what_is_no_file_of_its_own_is_left_alone(bench: Bench) -> None:
    inner = make_zip(bench.source / "x" / "inner.zip", {"deep.jpg": photo(5)}).read_bytes()
    (bench.source / "x" / "inner.zip").unlink()
    link = zipfile.ZipInfo("link.jpg")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(bench.source / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr("inner.zip", inner)
        archive.writestr("folder/", b"")
        archive.writestr("@eaDir/a.jpg", photo(6))
        archive.writestr("a.jpg.part", photo(7))
        archive.writestr("a.jpg", photo(1))
    tally = bench.run()
    assert (tally.new, tally.failed, tally.entries) == (1, 0, 5)
    assert tally.skipped_by == {
        "symbolic link": 1,
        "an archive in an archive; unpack it yourself": 1,
        "left by a system or program": 1,
        "half-done transfer": 1,
    }
    bench.check(photo(1))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_two_files(bench: Bench) -> None:
    with zipfile.ZipFile(bench.source / "a.zip", "w") as archive:
        for number in (1, 2):
            archive.writestr("a.jpg", photo(number))
    assert bench.run().new == 2
    places = [str(bench.fate(name).where) for name in ("a.jpg", "a.jpg#2")]
    assert sorted(Path(place).suffix for place in places) == [".jpg", ".jpg"]
    assert len(ledger_rows(bench.settings, "SELECT id FROM media_assets WHERE original_name = 'a.jpg'")) == 2
    bench.check(photo(1), photo(2))


def test_zip64_and_a_name_in_another_encoding(bench: Bench) -> None:
    with zipfile.ZipFile(bench.source / "a.zip", "w") as archive:
        with archive.open(zipfile.ZipInfo("big.jpg"), "w", force_zip64=True) as file:
            file.write(photo(1))
        archive.writestr("xx.jpg", photo(2))
    whole = (bench.source / "a.zip").read_bytes().replace(b"xx.jpg", "ä".encode() + b".jpg")  # UTF-8 without its flag
    (bench.source / "a.zip").write_bytes(whole)
    assert bench.run().new == 2
    assert bench.row("ä.jpg")
    bench.check(photo(1), photo(2))


def test_an_archive_that_changes_while_it_is_read_files_nothing_of_the_change(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_zip(bench.source / "a.zip", {f"{number}.jpg": photo(number) for number in range(4)})
    whole, unpack = path.read_bytes(), ZipArchive.unpack

    def changing(self: ZipArchive, member: Any, write: Any) -> None:
        if member.name == "1.jpg":
            path.write_bytes(whole + b"more")
        unpack(self, member, write)

    monkeypatch.setattr(ZipArchive, "unpack", changing)
    tally = bench.run()
    assert (tally.new, tally.failed) == (1, 3)
    assert "was changed while it was read" in str(bench.fate("1.jpg").reason)
    monkeypatch.undo()
    path.write_bytes(whole)
    assert bench.run().new == 3
    bench.check(*(photo(number) for number in range(4)))


def test_a_full_disk_ends_the_import_and_the_next_completes_it(
    bench: Bench, small_filesystem: SmallFilesystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = small_filesystem("tmpfs", 24)
    bench.settings = replace(bench.settings, storage=disk / "Storage")
    contents = [photo(number) + random.Random(number).randbytes(4 << 20) for number in range(3)]
    make_zip(bench.source / "a.zip", {f"{number}.jpg": content for number, content in enumerate(contents)})
    bench.run(make_zip(bench.source.parent / "first.zip", {"0.jpg": contents[0]}))
    filler = disk / "filler"
    filler.write_bytes(bytes(17 << 20))
    tally = Tally()
    try:
        tally = bench.run()
    except VaultTrouble as trouble:
        assert "No space left on device" in str(trouble)  # noqa: PT017
    assert tally.new < 2
    filler.unlink()
    bench.run()
    bench.check(*contents)


def test_what_stands_unpacked_is_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("Src.Librarian.importer.MOST_BYTES", 4 * len(CANON))
    most, put = 0, Unpacking.put

    def noting(self: Unpacking, *arguments: Any) -> IncomingFile:
        nonlocal most
        try:
            return put(self, *arguments)
        finally:
            most = max(most, self.bytes)

    monkeypatch.setattr(Unpacking, "put", noting)
    make_zip(bench.source / "a.zip", {f"{number}.jpg": photo(number) for number in range(30)})
    assert bench.run().new == 30
    assert 0 < most <= 6 * len(CANON)


def test_a_photo_is_written_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets its place by a link to what was unpacked, as an inbox file does."""
    inodes, put = set[int](), Unpacking.put

    def noting(self: Unpacking, *arguments: Any) -> IncomingFile:
        file = put(self, *arguments)
        inodes.add(file.state.inode)
        return file

    monkeypatch.setattr(Unpacking, "put", noting)
    make_zip(bench.source / "a.zip", {"a.jpg": photo(1), "b.jpg": photo(2)})
    bench.run()
    assert {os.lstat(bench.settings.storage / path).st_ino for path in vault_files(bench.settings)} == inodes


def test_what_a_killed_import_left_unpacked_goes_and_that_of_another_stays(bench: Bench) -> None:
    bench.run(make_zip(bench.source / "a.zip", {"a.jpg": photo(1)}))
    place = place_for_unpacking(Vault(bench.settings.storage))
    (place / "killed" / "1").mkdir(parents=True)
    (place / "killed" / "1" / "a.jpg").write_bytes(b"half")
    (place / "a file").touch()
    outside = bench.source / "outside"
    outside.mkdir()
    (place / "a link").symlink_to(outside)
    other = Unpacking(place)
    other.make()
    try:
        bench.run()
        assert {one.name for one in place.iterdir()} == {other.folder.name, "a file", "a link"}
        assert not list(outside.iterdir())
    finally:
        other.close()
    for stranger in ("a file", "a link"):
        (place / stranger).unlink()
    bench.check(photo(1))


def test_a_share_that_locks_no_folders_takes_archives(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS locks only what is open for writing, and a folder cannot be."""
    flock = fcntl.flock

    def of_files_only(fd: int, operation: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", of_files_only)
    bench.run(make_zip(bench.source / "a.zip", {"a.jpg": photo(1)}))
    bench.check(photo(1))
    assert not list(place_for_unpacking(Vault(bench.settings.storage)).iterdir())
