"""Every entry below a source or the inbox is counted once, whatever it is; and a dry run changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from Src.Librarian.importer import Importer
from Src.Librarian.passage import Account
from Src.Librarian.service import InboxService
from Src.Librarian.tally import LeftOut, Tally, Why
from Src.Library.inbox import LEFT_FILES, LEFT_FOLDERS, walk_files
from Src.Library.tree import Odd, Skipped
from Src.Shared.database import Database
from Src.Shared.disk.files import FileState
from Src.Shared.settings import PROJECT_ROOT, Settings, load_settings
from Src.Testing.promise import ledger_rows, vault_files
from Src.Testing.roles import as_service

CANON = (Path(__file__).parent / "samples" / "Canon_40D.jpg").read_bytes()
XMP = (PROJECT_ROOT / "Src/Media/tests/samples/sidecars/step1/DSC_0001.xmp").read_bytes()
EIGHT = ("new", "duplicates", "restored", "companions", "unwanted", "not_media", "failed", "skipped")

FOLDERS = st.sampled_from(
    [
        "a",
        "b.part",
        "IMG.jpg.download",
        "#recycle",
        "@eaDir",
        ".hidden",
        "X.photoslibrary",
        "previews",
        "originals",
        "x y",
    ]
)
NAMES = st.sampled_from(
    ["1.jpg", "2.jpg", "1.xmp", "2.jpg.xmp", "n.txt", "empty", ".h.jpg", "3.jpg.part", "4.jpg.filepart", "Thumbs.db"]
) | st.binary(min_size=1, max_size=6).map(
    lambda name: os.fsdecode(name.replace(b"\0", b"0").replace(b"/", b"_").replace(b".", b"-"))
)
THINGS = st.sampled_from(["photo", "twin", "text", "empty", "xmp", "link", "loop", "fifo", "socket"])
TREES = st.lists(st.tuples(st.lists(FOLDERS, max_size=3), NAMES, THINGS), max_size=12)


def make(top: Path, tree: list[tuple[list[str], str, str]]) -> int:
    """Makes a tree, as far as its names do not get in each other's way; how many entries that are no folders it has."""
    for number, (folders, name, thing) in enumerate(tree):
        path = top.joinpath(*folders, name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(path):
                continue
            match thing:
                case "link" | "loop":
                    path.symlink_to("nowhere" if thing == "link" else ".")
                case "fifo":
                    os.mkfifo(path)
                case "socket":
                    here = os.open(path.parent, os.O_PATH)
                    with socket.socket(socket.AF_UNIX) as one:
                        one.bind(f"/proc/self/fd/{here}/{name}".encode(errors="surrogateescape"))
                    os.close(here)
                case _:
                    content = {"photo": CANON + b"%d" % number, "twin": CANON, "text": b"text", "xmp": XMP}
                    path.write_bytes(content.get(thing, b""))
        except (FileExistsError, NotADirectoryError):
            continue
    return entries(top)


def entries(top: Path) -> int:
    """What lies below and is no folder; links are never followed."""
    count = 0
    for folder, folders, files in os.walk(top):
        count += len(files) + sum(os.path.islink(os.path.join(folder, one)) for one in folders)
    return count


def assert_adds_up(tally: Tally, wanted: int) -> None:
    told = tally.report()
    counts = [told[name] for name in EIGHT]
    assert all(type(count) is int for count in counts), told
    assert sum(counts) == told["entries"] == wanted, told  # type: ignore[arg-type]
    assert sum(tally.skipped_by.values()) == told["skipped"]
    assert "" not in tally.skipped_by and "True" not in tally.skipped_by


@given(TREES)
def test_a_walk_tells_of_every_entry_once(tree: list[tuple[list[str], str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        wanted = make(Path(folder), tree)
        odd: list[Odd] = []
        skipped: list[Skipped] = []
        files: list[tuple[str, FileState]] = list(walk_files(folder, odd=odd.append, skipped=skipped.append))
        paths = [path for path, _ in files] + [one.path for one in odd] + [one.path for one in skipped]
        assert max(Counter(paths).values(), default=1) == 1
        assert len(paths) == wanted
        assert all(os.path.lexists(path) for path in paths)
        assert list(walk_files(folder)) == files


@settings(max_examples=6)
@given(TREES)
def test_the_sums_of_a_dry_run_add_up(
    tmp_path_factory: pytest.TempPathFactory, tree: list[tuple[list[str], str, str]]
) -> None:
    top = tmp_path_factory.mktemp("tree")
    source = top / "source"
    source.mkdir()
    wanted = make(source, tree)
    settings_ = replace(_settings(top), readers=1)
    told: list[Account] = []
    database = Database(settings_, service="factory")
    try:
        tally = Importer(settings_, database, [source], dry_run=True, told=told.append).run()
    finally:
        database.close()
    assert_adds_up(tally, wanted)
    assert len(told) == wanted and len({one.path for one in told}) == wanted
    assert not settings_.storage.exists() and not (top / "factory").exists()


def _settings(top: Path) -> Settings:
    return load_settings({"FACTORY_DATA": str(top / "factory"), "TZ": "Europe/Berlin"}, env_file=top / "no.env")


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(TREES)
def test_the_sums_of_an_ingest_add_up_each_time(
    factory_settings: Settings, tree: list[tuple[list[str], str, str]]
) -> None:
    shutil.rmtree(factory_settings.inbox, ignore_errors=True)
    factory_settings.inbox.mkdir(parents=True)
    wanted = make(factory_settings.inbox, tree)

    def ingest() -> Tally:
        database = Database(as_service(factory_settings, "factory"))
        try:
            return InboxService(replace(factory_settings, readers=1), database, once=True).run()
        finally:
            database.close()

    assert_adds_up(ingest(), wanted)
    left = entries(factory_settings.inbox)
    events = len(ledger_rows(factory_settings, "SELECT id FROM ingest_events"))
    assert_adds_up(ingest(), left)
    assert len(ledger_rows(factory_settings, "SELECT id FROM ingest_events")) == events


def test_a_dry_run_foretells_what_an_import_does_and_changes_nothing(
    factory_settings: Settings, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    for name, content in {
        "a.jpg": CANON, "twin.jpg": CANON, "sub/a.jpg": CANON + b"1", "b.jpg": CANON + b"2", "b.xmp": XMP,
        "known.jpg": CANON + b"3", "n.txt": b"text", "#recycle/c.jpg": CANON + b"4", "d.jpg.part": b"",
    }.items():  # fmt: skip
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content)
    (source / "link").symlink_to("a.jpg")
    known = tmp_path / "known"
    known.mkdir()
    shutil.copyfile(source / "known.jpg", known / "A.JPG")  # takes a name that differs only in case

    def run(top: Path, *, dry_run: bool = False, move: bool = False) -> tuple[Tally, dict[str, Account]]:
        told: dict[str, Account] = {}
        database = Database(as_service(factory_settings, "factory"))
        try:
            settings_ = replace(factory_settings, readers=1)
            importer = Importer(
                settings_, database, [top], dry_run=dry_run, move=move, told=lambda one: told.update({one.path: one})
            )
            return importer.run(), told
        finally:
            database.close()

    def everything() -> object:
        rows = [ledger_rows(factory_settings, f"SELECT * FROM {table}") for table in ("ingest_events", "inbox_files")]
        return rows, vault_files(factory_settings), about(source), about(factory_settings.storage)

    run(known)
    before = everything()
    foretold, fates = run(source, dry_run=True, move=True)
    assert everything() == before
    done, really = run(source)
    assert foretold.report() | {"seconds": 0} == done.report() | {"seconds": 0}
    assert {path: (one.fate, one.where) for path, one in fates.items()} == {
        path: (one.fate, one.where) for path, one in really.items()
    }
    assert done.skipped_by == {"recycle bin": 1, "half-done transfer": 1, "symbolic link": 1}
    again, fates = run(source)
    assert_adds_up(again, entries(source))
    assert (again.duplicates, again.companions, again.not_media) == (5, 1, 1)
    assert {one.reason for one in fates.values() if one.fate == "duplicate"} == {"unchanged since an earlier import"}


def about(folder: Path) -> dict[str, tuple[int, ...]]:
    return {
        str(path): (at.st_mode, at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns)
        for path in (folder, *sorted(folder.rglob("*")))
        for at in [path.lstat()]
    }


def test_the_list_of_what_is_left_alone_is_the_one_that_is_documented() -> None:
    page = (PROJECT_ROOT / "docs" / "OPERATIONS.md").read_text()
    section = page.partition("## What is left alone")[2].partition("\n## ")[0]
    for patterns in (*LEFT_FILES.values(), *LEFT_FOLDERS.values()):
        for pattern in patterns:
            assert f"`{pattern}`" in section, pattern


def test_names_that_are_no_utf8_are_shown_as_the_ledger_has_them() -> None:
    tally, name = Tally(), os.fsdecode(b"caf\xe9.jpg")
    tally.skip("hidden", name)
    tally.skip("hidden", "a\\b.jpg")
    [why] = tally.left_out.listed()
    assert why.first == ("caf\\xe9.jpg", "a\\\\b.jpg")
    assert json.dumps(tally.report(), ensure_ascii=False).encode()
    tally.left_out.take_back("hidden", name)
    assert tally.left_out.listed() == [Why("hidden", 1, ("a\\\\b.jpg",))]


@given(st.lists(st.tuples(st.integers(0, 70), st.booleans()), max_size=200))
def test_reasons_are_counted_and_taken_back_however_many_there_are(moves: list[tuple[int, bool]]) -> None:
    """What is read again counts anew: by then another reason may have taken the place of its first one."""
    left_out, outstanding = LeftOut(), list[int]()
    for number in range(70):
        left_out.add(f"reason {number}", f"{number}.jpg")
        outstanding.append(number)
    for number, is_new in moves:
        if is_new:
            left_out.add(f"reason {number}", f"{number}.jpg")
            outstanding.append(number)
        elif outstanding:
            gone = outstanding.pop(number % len(outstanding))
            left_out.take_back(f"reason {gone}", f"{gone}.jpg")
        assert sum(why.count for why in left_out.listed()) == len(outstanding)
    assert all(why.count > 0 and len(why.first) <= why.count for why in left_out.listed())
