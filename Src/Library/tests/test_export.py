"""Export: what stands at the destination then, and what never does."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import subprocess
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, true, update

from Src.Library.export import copying
from Src.Library.export.destination import SCRATCH, Destination, ExportRefused
from Src.Library.export.exporting import Export, Exported
from Src.Library.export.wanted import wanted
from Src.Library.vault import Vault
from Src.Media.tagging import Tagger
from Src.Media.tests.xmp_made import LIGHTROOM
from Src.Media.xmp_sidecar import read_sidecar
from Src.Shared.database import Database
from Src.Shared.ledger_text import to_ledger
from Src.Shared.models import AssetTag, Companion, MediaAsset
from Src.Shared.settings import PROJECT_ROOT, Settings
from Src.Testing.surroundings import SmallFilesystem

SAMPLES = PROJECT_ROOT / "Src" / "Librarian" / "tests" / "samples"
DAY = "2008/2008-05-30"
CANON = (SAMPLES / "Canon_40D.jpg").read_bytes()


class Factory:
    """A vault and its ledger, with originals put there by hand."""

    def __init__(self, settings: Settings, database: Database, out: Path) -> None:
        self.settings, self.database, self.out = settings, database, out
        self.vault = Vault(settings.storage)
        settings.storage.mkdir(parents=True)
        self.vault.create()
        out.mkdir()
        database.ensure_ready()

    def add(self, name: str, content: bytes, tags: tuple[str, ...] = (), **columns: Any) -> Path:
        """Files an original; its path in the vault."""
        path = self.settings.originals / DAY / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o440)
        values = {
            "id": uuid.uuid4(),
            "file_hash": _sha256(content),
            "file_size": len(content),
            "original_name": to_ledger(name),
            "original_path": to_ledger(name),
            "final_path": to_ledger(f"Originals/{DAY}/{name}"),
            "media_kind": "JPEG",
            "mime_type": "image/jpeg",
            "captured_at": datetime(2008, 5, 30, 15, 56, 1),
            "date_source": "exif:DateTimeOriginal",
            **columns,
        }
        with self.database.session() as session:
            session.add(MediaAsset(**values))
            session.add_all([AssetTag(asset_id=values["id"], tag=tag) for tag in tags])
            session.commit()
        return path

    def export(
        self, *, link: bool = False, metadata: bool = False, before: Callable[[], None] | None = None
    ) -> Exported:
        with ExitStack() as opened:
            target = opened.enter_context(Destination(self.out, self.settings))
            tagger = opened.enter_context(Tagger(target.scratch_path)) if metadata else None
            export = Export(self.database, self.vault, target, link=link, tagger=tagger)

            def progress(*_: object) -> None:
                if before is not None:
                    before()

            self.running = export
            export.run(wanted(self.database, true()), progress)
        assert not (self.out / SCRATCH).exists(), "nothing half-done stays"
        return export.exported

    def files(self) -> dict[str, bytes]:
        found = (path for path in self.out.rglob("*") if path.is_file() and not path.is_symlink())
        return {str(path.relative_to(self.out)): path.read_bytes() for path in found}

    def photos(self) -> dict[str, bytes]:
        return {path: content for path, content in self.files().items() if not path.startswith("MANIFEST")}

    def check_sums(self) -> None:
        """As a person does it."""
        command = ["sha256sum", "--check", "--strict", "--quiet", "MANIFEST.sha256"]
        subprocess.run(command, cwd=self.out, check=True, capture_output=True)
        lines = (self.out / "MANIFEST.sha256").read_bytes().count(b"\n")
        assert lines == len(self.photos())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _vault_of(factory: Factory) -> dict[str, tuple[bytes, int, int]]:
    paths = [path for path in factory.settings.originals.rglob("*") if path.is_file()]
    return {str(path): (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns) for path in paths}


@pytest.fixture
def factory(factory_settings: Settings, database: Database, tmp_path: Path) -> Factory:
    return Factory(factory_settings, database, tmp_path / "out\n-all=")  # a hostile name


def test_copies_are_as_in_the_vault_and_yours(factory: Factory) -> None:
    names = ["a.jpg", "two\nlines\\.jpg", os.fsdecode(b"no-utf8-\xff.jpg"), "-n.jpg", "x" * 250 + ".jpg"]
    for number, name in enumerate(names):
        os.utime(factory.add(name, b"photo %d" % number), ns=(10**18, 10**18 + number))
    before = _vault_of(factory)
    done = factory.export()
    assert (done.copied, done.failed, done.stopped, done.bytes) == (5, [], None, 5 * len(b"photo 0"))
    assert factory.photos() == {f"{DAY}/{name}": b"photo %d" % number for number, name in enumerate(names)}
    factory.check_sums()
    status = (factory.out / DAY / "a.jpg").stat()
    mask = os.umask(0)
    os.umask(mask)
    assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o666 & ~mask, 10**18)
    assert status.st_ino != (factory.settings.originals / DAY / "a.jpg").stat().st_ino
    assert _vault_of(factory) == before


def test_the_same_export_again_copies_nothing(factory: Factory) -> None:
    factory.add("a.jpg", b"a")
    factory.add("b.jpg", b"b")
    factory.export()
    before = {path: path.stat().st_mtime_ns for path in factory.out.rglob("*") if path.is_file()}
    done = factory.export()
    assert (done.copied, done.there) == (0, 2)
    assert {path: path.stat().st_mtime_ns for path in factory.out.rglob("*") if path.is_file()} == before
    (factory.out / DAY / "b.jpg").unlink()
    assert (factory.export().copied, factory.photos()[f"{DAY}/b.jpg"]) == (1, b"b")


def test_nothing_that_stands_there_is_replaced(factory: Factory, tmp_path: Path) -> None:
    folder = factory.out / DAY
    folder.mkdir(parents=True)
    (folder / "a.jpg").write_bytes(b"mine")
    (folder / "a_1.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    (folder / "a_2.jpg").mkdir()
    os.mkfifo(folder / "a_3.jpg")
    factory.add("a.jpg", b"orig")
    done = factory.export()
    assert (done.copied, factory.photos()) == (1, {f"{DAY}/a.jpg": b"mine", f"{DAY}/a_4.jpg": b"orig"})
    assert not (tmp_path / "elsewhere.jpg").exists()
    assert factory.export().there == 1


@pytest.mark.parametrize("what", ["year", "day"])
def test_a_link_on_the_way_is_not_followed(factory: Factory, tmp_path: Path, what: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder = factory.out / (DAY if what == "day" else "2008")
    folder.parent.mkdir(exist_ok=True)
    folder.symlink_to(elsewhere)
    factory.add("a.jpg", b"a")
    [(path, reason)] = factory.export().failed
    assert (path, "symbolic link" in reason) == (f"Originals/{DAY}/a.jpg", True)
    assert list(elsewhere.iterdir()) == []


def test_a_rotten_original_is_reported_and_not_exported(factory: Factory) -> None:
    rotten = factory.add("a.jpg", b"original")
    factory.add("b.jpg", b"sound")
    factory.add("c.jpg", b"gone").unlink()
    rotten.chmod(0o640)
    rotten.write_bytes(b"0riginal")
    rotten.with_name("a.jpg.xmp").write_text(LIGHTROOM)
    done = factory.export()
    assert [path.rpartition("/")[2] for path, _ in done.failed] == ["a.jpg", "c.jpg"]
    assert "not those that were filed" in done.failed[0][1]
    assert factory.photos() == {f"{DAY}/b.jpg": b"sound"}
    factory.check_sums()


def test_an_original_that_moved_meanwhile_is_found(factory: Factory) -> None:
    path = factory.add("a.jpg", b"a")

    def move() -> None:
        day = factory.settings.originals / "2009" / "2009-01-01"
        day.mkdir(parents=True)
        os.rename(path, day / "a.jpg")
        with factory.database.session() as session:
            session.execute(update(MediaAsset).values(final_path="Originals/2009/2009-01-01/a.jpg"))
            session.commit()

    assert (factory.export(before=move).copied, list(factory.photos())) == (1, ["2009/2009-01-01/a.jpg"])


def test_a_sidecar_goes_with_its_original_and_takes_its_number(factory: Factory) -> None:
    factory.add("a.jpg", b"a").with_suffix(".xmp").write_text(LIGHTROOM)
    (factory.out / DAY).mkdir(parents=True)
    (factory.out / DAY / "a.jpg.xmp").write_bytes(b"another photo's")
    done = factory.export()
    assert (done.copied, done.sidecars) == (1, 1)
    assert factory.photos() == {
        f"{DAY}/a.jpg.xmp": b"another photo's", f"{DAY}/a_1.jpg": b"a", f"{DAY}/a_1.jpg.xmp": LIGHTROOM.encode()
    }  # fmt: skip
    assert factory.export().there == 1


# -- links


def test_a_link_is_the_original_itself(factory: Factory) -> None:
    path = factory.add("a.jpg", b"a")
    done = factory.export(link=True)
    assert (done.linked, (factory.out / DAY / "a.jpg").stat().st_ino) == (1, path.stat().st_ino)
    factory.check_sums()
    assert factory.export(link=True).there == 1


def test_no_link_is_made_to_what_may_be_written_or_is_rotten(factory: Factory) -> None:
    factory.add("a.jpg", b"a").chmod(0o640)
    rotten = factory.add("b.jpg", b"b")
    rotten.chmod(0o640)
    rotten.write_bytes(b"c")
    rotten.chmod(0o440)
    done = factory.export(link=True)
    assert (done.linked, factory.photos()) == (0, {})
    assert ["mode must be read-only" in done.failed[0][1], "not those that were filed" in done.failed[1][1]] == [
        True,
        True,
    ]


# -- metadata


def _said(path: Path) -> dict[str, Any]:
    command = ["exiftool", "-config", "", "-G1", "-n", "-j", "-a", str(path)]
    (found,) = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert isinstance(found, dict)
    return found


KNOWN: dict[str, Any] = {
    "captured_at": datetime(2019, 5, 4, 12, 30, 15, 120_000),
    "captured_at_offset": -210,
    "location": {"lat": -33.8567844, "lon": 151.213108},
    "rating": 4,
    "title": "-Title=<x>\n-all=\nשלום 😀",
    "description": "Größe & so",
}


def test_metadata_is_written_into_the_copy_alone(factory: Factory) -> None:
    path = factory.add("a.jpg", (SAMPLES / "Canon_40D.jpg").read_bytes(), ("Oma", "x, y"), **KNOWN)
    before = _vault_of(factory)
    done = factory.export(metadata=True)
    assert (done.copied, done.with_metadata, done.sidecars, done.failed, done.notes) == (1, 1, 0, [], [])
    assert _vault_of(factory) == before
    said = _said(factory.out / DAY / "a.jpg")
    assert said["ExifIFD:DateTimeOriginal"] == "2019:05:04 12:30:15"
    assert (said["ExifIFD:SubSecTimeOriginal"], said["ExifIFD:OffsetTimeOriginal"]) == (12, "-03:30")
    assert (said["Composite:GPSLatitude"], said["Composite:GPSLongitude"]) == pytest.approx((-33.8567844, 151.213108))
    assert (said["IFD0:Rating"], said["IFD0:RatingPercent"]) == (4, 75)
    assert (said["XMP-xmp:Rating"], said["XMP-microsoft:RatingPercent"]) == (4, 75)
    assert (said["XMP-dc:Title"], said["XMP-dc:Description"]) == (KNOWN["title"], KNOWN["description"])
    assert said["XMP-dc:Subject"] == ["Oma", "x, y"]
    assert said["IFD0:Model"] == "Canon EOS 40D", "what else it says stays"
    factory.check_sums()
    [line] = (factory.out / "MANIFEST.jsonl").read_text().splitlines()
    noted = json.loads(line)
    assert (noted["original"], noted["original_path"]) == (_sha256(path.read_bytes()), f"Originals/{DAY}/a.jpg")
    assert noted["files"][0]["sha256"] == _sha256((factory.out / DAY / "a.jpg").read_bytes())


def test_a_sidecar_that_cannot_be_read_is_left_out_and_said(factory: Factory, tmp_path: Path) -> None:
    original = factory.add("a.jpg", b"a photo")
    (tmp_path / "elsewhere.xmp").write_text("<x:xmpmeta/>")
    original.with_name("a.jpg.xmp").symlink_to(tmp_path / "elsewhere.xmp")
    done = factory.export()
    assert (done.copied, done.sidecars, done.failed) == (1, 0, [])
    ((path, why),) = done.notes
    assert path.endswith("/a.jpg") and "a.jpg.xmp was left out" in why
    assert factory.photos() == {f"{DAY}/a.jpg": b"a photo"}


def test_what_exiftool_cannot_write_gets_a_sidecar(factory: Factory) -> None:
    avi = (SAMPLES / "RIFF.avi").read_bytes()
    factory.add("a.avi", avi, ("Oma",), media_kind="AVI", mime_type="video/x-msvideo", **KNOWN)
    done = factory.export(metadata=True)
    assert (done.copied, done.sidecars, done.notes) == (1, 1, [])
    assert factory.photos()[f"{DAY}/a.avi"] == avi
    said = read_sidecar(factory.photos()[f"{DAY}/a.avi.xmp"])
    assert (said.rating, said.title, said.tags) == (4, KNOWN["title"], ("Oma",))
    factory.check_sums()


def test_a_film_says_where_and_when(factory: Factory) -> None:
    mov = (SAMPLES / "QuickTime.mov").read_bytes()
    factory.add("a.mov", mov, media_kind="MOV", mime_type="video/quicktime", **KNOWN)
    assert factory.export(metadata=True).notes == []
    said = _said(factory.out / DAY / "a.mov")
    assert said["Keys:CreationDate"] == "2019:05:04 12:30:15.12-03:30"
    assert (said["Composite:GPSLatitude"], said["Composite:GPSLongitude"]) == pytest.approx((-33.8567844, 151.213108))
    assert said["XMP-xmp:Rating"] == 4


def test_a_sidecar_that_stands_there_says_it_too_and_keeps_what_is_foreign(factory: Factory) -> None:
    photo = factory.add("a.jpg", (SAMPLES / "Canon_40D.jpg").read_bytes(), rating=5)
    photo.with_suffix(".xmp").write_text(LIGHTROOM)
    factory.export(metadata=True)
    said = factory.photos()[f"{DAY}/a.jpg.xmp"].decode()
    assert 'xmp:Rating="5"' in said
    assert "crs:Exposure2012" in said
    assert photo.with_suffix(".xmp").read_text() == LIGHTROOM


def test_metadata_again_writes_nothing_and_a_new_rating_another_copy(factory: Factory) -> None:
    factory.add("a.jpg", (SAMPLES / "Canon_40D.jpg").read_bytes(), rating=5)
    factory.add("b.jpg", b"no photo", rating=5, media_kind="JPEG")
    factory.export(metadata=True)
    first = factory.files()
    done = factory.export(metadata=True)
    assert (done.copied, done.there, factory.files()) == (0, 2, first)
    (factory.out / "MANIFEST.sha256").unlink()
    assert (factory.export(metadata=True).there, factory.files()) == (2, first), "the sums are written again"
    noted = [json.loads(line) for line in (factory.out / "MANIFEST.jsonl").read_text().splitlines()]
    odd = [{**noted[0], "files": files} for files in ("x", [], [1], [{"path": f"{DAY}/..", "sha256": "", "size": "1"}])]
    (factory.out / "MANIFEST.jsonl").write_text(
        "".join(json.dumps({**one, "path": str(n)}) + "\n" for n, one in enumerate(odd))
    )
    assert factory.export(metadata=True).there == 2, "lines that somebody changed are not believed"
    for manifest in factory.out.glob("MANIFEST*"):
        manifest.unlink()
    done = factory.export(metadata=True)
    assert (done.copied, done.there, factory.files()) == (0, 2, first), "also where nothing was noted"
    with factory.database.session() as session:
        session.execute(update(MediaAsset).values(rating=1))
        session.commit()
    assert factory.export(metadata=True).copied == 2
    assert set(first) < set(factory.files())
    factory.check_sums()


def test_a_guessed_date_is_not_written(factory: Factory) -> None:
    png = (SAMPLES / "PNG.png").read_bytes()
    factory.add("a.png", png, rating=2, media_kind="PNG", mime_type="image/png", date_source="mtime")
    factory.export(metadata=True)
    said = _said(factory.out / DAY / "a.png")
    assert (said["XMP-xmp:Rating"], "XMP-photoshop:DateCreated" in said) == (2, False)


# -- where it cannot go on


def test_interrupted_it_leaves_whole_files_and_goes_on(factory: Factory) -> None:
    for number in range(3):
        factory.add(f"{number}.jpg", b"%d" % number)
    calls = iter([False, True])
    done = factory.export(before=lambda: factory.running.stop() if next(calls) else None)
    assert (done.copied, done.stopped, list(factory.photos())) == (1, "interrupted", [f"{DAY}/0.jpg"])
    factory.check_sums()
    assert (factory.export().copied, len(factory.photos())) == (2, 3)


def test_what_a_killed_export_left_is_cleared(factory: Factory) -> None:
    (factory.out / SCRATCH).mkdir()
    (factory.out / SCRATCH / "copy").write_bytes(b"half")
    factory.add("a.jpg", b"a")
    assert (factory.export().copied, factory.photos()) == (1, {f"{DAY}/a.jpg": b"a"})


def test_a_full_disk_ends_it_and_leaves_nothing_half(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    factory.add("a.jpg", b"a")
    factory.add("b.jpg", b"b" * 10)
    write = copying._write

    def full(target: int, content: memoryview) -> None:
        if len(content) == 10:
            os.write(target, content[:5])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(target, content)

    monkeypatch.setattr(copying, "_write", full)
    done = factory.export()
    assert done.stopped is not None
    assert "No space left" in done.stopped
    assert factory.photos() == {f"{DAY}/a.jpg": b"a"}
    factory.check_sums()
    monkeypatch.undo()
    assert factory.export().copied == 1


def test_a_small_disk_fills(factory: Factory, small_filesystem: SmallFilesystem) -> None:
    factory.out = small_filesystem("tmpfs", 1)
    room = os.statvfs(factory.out)
    factory.add("a.jpg", os.urandom(room.f_bavail * room.f_frsize + 10_000))
    done = factory.export()
    assert (done.copied, "No space left" in (done.stopped or ""), factory.photos()) == (0, True, {})


@pytest.mark.parametrize(
    "where", ["storage", "originals", "inbox", "data", "missing", "a file", "another vault", "a link"]
)
def test_a_destination_in_the_factory_or_none_is_refused(factory: Factory, tmp_path: Path, where: str) -> None:
    settings = factory.settings
    folders = {
        "storage": settings.storage,
        "originals": settings.originals,
        "inbox": settings.inbox,
        "data": settings.data,
    }
    path = folders.get(where, tmp_path / where)
    if where in folders:
        path = path / "mine"
        path.mkdir(parents=True)
    elif where == "a file":
        path.write_bytes(b"")
    elif where == "another vault":
        other = Vault(path)
        path.mkdir()
        other.create()
        path = other.originals
    elif where == "a link":
        path.symlink_to(settings.storage)
    with pytest.raises(ExportRefused):
        Destination(path, settings)


def test_two_exports_to_one_place_are_refused(factory: Factory) -> None:
    with Destination(factory.out, factory.settings), pytest.raises(ExportRefused, match="another export"):
        Destination(factory.out, factory.settings).__enter__()
    factory.add("a.jpg", b"a")
    assert factory.export().copied == 1


@pytest.mark.parametrize("name", ["MANIFEST.sha256", "MANIFEST.jsonl"])
def test_a_foreign_file_of_the_manifests_name_stays(factory: Factory, name: str) -> None:
    (factory.out / name).write_bytes(b"my notes\n")
    factory.add("a.jpg", b"a")
    with pytest.raises(ExportRefused, match="no manifest"):
        factory.export()
    assert factory.files() == {name: b"my notes\n"}


def test_a_folder_that_may_not_be_written_is_refused(
    factory: Factory, open_folder: Path, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    target = open_folder / "out"
    target.mkdir(mode=0o755)
    target.chmod(0o555)
    destination = Destination(target, factory.settings)
    with unprivileged(), pytest.raises(ExportRefused, match="cannot be written"):
        destination.__enter__()


def test_no_link_leads_to_another_filesystem(factory: Factory, other_filesystem: Path) -> None:
    factory.out = other_filesystem
    factory.add("a.jpg", b"a")
    with pytest.raises(ExportRefused, match="without --link"):
        factory.export(link=True)
    assert factory.photos() == {}


def test_blocks_are_shared_where_the_filesystem_can(
    factory: Factory, small_filesystem: SmallFilesystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = small_filesystem("btrfs", 120)
    content = os.urandom(100_000)
    (disk / "original").write_bytes(content)
    (disk / "out").mkdir()
    monkeypatch.setattr(copying, "_copy_bytes", lambda *_: pytest.fail("the bytes were copied"))
    with Destination(disk / "out", factory.settings) as target, (disk / "original").open("rb") as original:
        assert copying.copy(original.fileno(), target, "copy", lambda: None) == _sha256(content)
        assert (target.scratch_path / "copy").read_bytes() == content


def _companion(factory: Factory, original: bytes, name: str, kind: str, content: bytes) -> Path:
    path = factory.settings.originals / DAY / name
    path.write_bytes(content)
    row = {
        "original_hash": _sha256(original),
        "kind": kind,
        "path_id": uuid.uuid4(),
        "original_path": name,
        "companion_hash": _sha256(content),
        "companion_size": len(content),
        "final_path": f"Originals/{DAY}/{name}",
        "filed_at": datetime.now(UTC),
    }
    with factory.database.session() as session:
        session.add(Companion(**row))
    return path


@pytest.mark.parametrize("metadata", [False, True])
def test_companions_go_with_their_original_under_its_name(factory: Factory, metadata: bool) -> None:
    factory.add("a.jpg", CANON, rating=4)
    others = {"a.AAE": ("aae", b"adjusted"), "a.jpg.json": ("takeout", b"{}"), "a.WAV": ("audio", b"memo")}
    for name, (kind, content) in others.items():
        _companion(factory, CANON, name, kind, content)
    (factory.out / DAY).mkdir(parents=True)
    (factory.out / DAY / "a.AAE").write_bytes(b"a stranger's")
    done = factory.export(metadata=metadata)
    assert (done.copied, done.companions, done.failed, done.notes) == (1, 3, [], [])
    found = factory.photos()
    assert found[f"{DAY}/a_1.AAE"] == b"adjusted"
    assert (found[f"{DAY}/a_1.jpg.json"], found[f"{DAY}/a_1.WAV"]) == (b"{}", b"memo")
    assert f"{DAY}/a_1.jpg" in found and found[f"{DAY}/a.AAE"] == b"a stranger's"
    (factory.out / DAY / "a.AAE").unlink()
    factory.check_sums()
    again = factory.export(metadata=metadata)
    if metadata:  # it is known by what was noted
        assert (again.there, again.copied) == (1, 0)
    _companion(factory, CANON, "a.THM", "thm", b"late")
    factory.export(metadata=metadata)
    assert b"late" in factory.photos().values(), "one that came later is exported too"


@pytest.mark.parametrize("metadata", [False, True])
def test_a_second_xmp_file_is_exported_too(factory: Factory, metadata: bool) -> None:
    factory.add("a.jpg", CANON, rating=4)
    _companion(factory, CANON, "a.jpg.xmp", "xmp", LIGHTROOM.encode())
    stem = _companion(factory, CANON, "a.xmp", "xmp", b"<x:xmpmeta>as it came</x:xmpmeta>")
    stem.write_bytes(b"<x:xmpmeta>seen since</x:xmpmeta>")
    with factory.database.session() as session:
        given = {"sha256": _sha256(stem.read_bytes()), "size": stem.stat().st_size}
        seen = "UPDATE companions SET standing_hash = :sha256, standing_size = :size WHERE original_path = 'a.xmp'"
        session.execute(text(seen), given)
    _companion(factory, CANON, "a.jpg_1.xmp", "xmp", b"<x:xmpmeta/>")
    _companion(factory, CANON, "another.xmp", "xmp", b"<x:xmpmeta/>")
    (factory.out / DAY).mkdir(parents=True)
    (factory.out / DAY / "a.xmp").write_bytes(b"a stranger's")
    done = factory.export(metadata=metadata)
    assert (done.copied, done.companions, done.sidecars, done.failed) == (1, 2, 1, [])
    [(_, why)] = done.notes
    assert "another.xmp" in why and "not the photo's" in why
    found = factory.photos()
    assert found[f"{DAY}/a_1.xmp"] == b"<x:xmpmeta>seen since</x:xmpmeta>"
    assert found[f"{DAY}/a_1.jpg_1.xmp"] == b"<x:xmpmeta/>"
    assert set(found) == {f"{DAY}/{name}" for name in (
        "a.xmp", "a_1.jpg", "a_1.jpg.xmp", "a_1.xmp", "a_1.jpg_1.xmp"
    )}  # fmt: skip
    stem.write_bytes(b"<x:xmpmeta>by a program</x:xmpmeta>")
    assert any("just written" in why for _, why in factory.export(metadata=metadata).notes)


def test_what_an_xmp_file_can_say_is_exported_whatever_else_it_cannot(factory: Factory) -> None:
    factory.add("a.avi", CANON, media_kind="AVI", rating=4, title="a\x0bb")
    done = factory.export(metadata=True)
    assert any("U+000B" in why for _, why in done.notes)
    assert read_sidecar(factory.photos()[f"{DAY}/a.avi.xmp"]).rating == 4


def test_a_companion_that_is_not_what_came_in_is_left_out_and_said(factory: Factory, tmp_path: Path) -> None:
    factory.add("a.jpg", CANON)
    _companion(factory, CANON, "a.AAE", "aae", b"adjusted").write_bytes(b"changed")
    _companion(factory, CANON, "a.WAV", "audio", b"memo").unlink()
    link = _companion(factory, CANON, "a.SRT", "srt", b"log")
    link.unlink()
    (tmp_path / "elsewhere").write_bytes(b"log")
    link.symlink_to(tmp_path / "elsewhere")
    done = factory.export()
    assert (done.copied, done.companions, len(done.notes)) == (1, 0, 3)
    assert list(factory.photos()) == [f"{DAY}/a.jpg"]
