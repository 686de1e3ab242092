"""XMP files beside originals say what people decided, keep what others wrote, and survive every kill."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DataError

from Src.Library.overlay import albums, changes
from Src.Library.overlay.mirror import Mirror
from Src.Library.overlay.replay import replay
from Src.Library.redating import set_parameters
from Src.Library.tests.xmp_bench import XmpBench, exiftool, rewrite
from Src.Library.vault_trouble import VaultTrouble
from Src.Library.xmp import files, looking, rows, writing
from Src.Library.xmp.keeping import write_some
from Src.Media.capture_date import Stamp
from Src.Media.companion_names import stands_beside
from Src.Media.places import Place
from Src.Media.tests.xmp_made import MADE
from Src.Media.xmp_sidecar import Said, read_sidecar
from Src.Media.xmp_writing import Changes, written
from Src.Shared.database import Database
from Src.Shared.errors import FactoryError
from Src.Shared.settings import Settings
from Src.Testing.surroundings import SmallFilesystem

_NEEDS_EXIFTOOL = pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs ExifTool")
_OURS = (
    "XMP-xmp:Rating",
    "XMP-exif:DateTimeOriginal",
    "XMP-exif:GPS",
    "XMP-photoshop:DateCreated",
    "XMP-dc:Title",
    "XMP-dc:Description",
    "XMP-dc:Subject",
    "Composite:",
    "System:",
    "SourceFile",
)


@pytest.fixture
def bench(factory_settings: Settings, database: Database) -> XmpBench:
    return XmpBench(factory_settings, database)


def decide_all(bench: XmpBench) -> None:
    bench.decide(changes.rate(4))
    bench.decide(changes.place(-33.8567844, 151.213108))
    bench.decide(changes.title("שלום & <עולם>"))
    bench.decide(changes.describe('first\nsecond "line"'))
    bench.decide(changes.tag(["Oma", "Лето"], remove=False))
    bench.decide(changes.hide(False))


def redate(bench: XmpBench, number: int, when: str) -> None:
    with bench.acts.session() as session:
        act = bench.acts.begin(session, "redate", "ada", [bench.hashes[number]], set_parameters(when, None))
    with bench.acts.turn() as mine:
        assert mine
        for _ in bench.acts.steps(act.id):
            pass


@_NEEDS_EXIFTOOL
def test_exiftool_reads_what_people_decided(bench: XmpBench) -> None:
    decide_all(bench)
    redate(bench, 0, "2019-05-04 12:30:15+05:30")
    done = bench.write()
    assert (done.written, done.left) == (3, {})
    said = exiftool(bench.xmp(0), "-n")
    assert said["XMP-xmp:Rating"] == 4
    assert said["XMP-exif:DateTimeOriginal"] == said["XMP-photoshop:DateCreated"] == "2019:05:04 12:30:15+05:30"
    assert said["XMP-exif:GPSLatitude"] == pytest.approx(-33.8567844, abs=1e-7)
    assert said["XMP-exif:GPSLongitude"] == pytest.approx(151.213108, abs=1e-7)
    assert (said["XMP-dc:Title"], said["XMP-dc:Description"]) == ("שלום & <עולם>", 'first\nsecond "line"')
    assert set(said["XMP-dc:Subject"]) == {"Oma", "Лето"}
    assert "XMP-exif:DateTimeOriginal" not in exiftool(bench.xmp(1)), "nobody decided about that one's date"
    assert bench.path(0).parent.name == "2019-05-04"


@_NEEDS_EXIFTOOL
@pytest.mark.parametrize("program", ["lightroom", "digikam", "darktable"])
def test_what_another_program_wrote_stays_field_for_field(bench: XmpBench, program: str) -> None:
    path = bench.came_in(0, MADE[program])
    before = exiftool(path, "-a")
    decide_all(bench)
    assert bench.write().written == 3
    after = exiftool(path, "-a")
    assert (after["XMP-xmp:Rating"], bench.said(0).title) == (4, "שלום & <עולם>")
    assert {name: value for name, value in after.items() if not name.startswith(_OURS)} == {
        name: value for name, value in before.items() if not name.startswith(_OURS)
    }
    assert set(read_sidecar(MADE[program]).tags) < set(bench.said(0).tags), "its own words stay too"
    assert bench.kept(MADE[program]), "the bytes that came in are kept for ever"
    assert bench.events(0)[0] == ("ada", "rating", None, 4), "what came in is no other program's decision"


def test_what_is_taken_back_is_said_as_it_came(bench: XmpBench) -> None:
    path = bench.came_in(0, MADE["lightroom"])
    came = read_sidecar(MADE["lightroom"])
    for decision in (
        changes.rate(1),
        changes.title("other"),
        changes.describe("other"),
        changes.place(1, 2),
        changes.tag(["new"], remove=False),
    ):
        bench.decide(decision)
        bench.write()
        assert read_sidecar(path.read_bytes()) != came
        bench.undo()
        bench.write()
        assert read_sidecar(path.read_bytes()) == came
        assert bench.said(1) == Said(), "of a file that was made here nothing is left"
    assert {one["who"] for one in _acts(bench)} == {"ada"}


def test_a_decision_that_nothing_can_say_makes_no_file(bench: XmpBench) -> None:
    bench.decide(changes.hide(False))
    bench.decide(changes.rotate(90))
    assert not bench.files.are_waiting()
    bench.decide(changes.rate(3))
    assert bench.write().written == 3
    assert not bench.files.are_waiting()
    assert bench.write().written == 0


def test_many_decisions_are_one_write(bench: XmpBench) -> None:
    for stars in (1, 2, 3, 4, 5):
        bench.decide(changes.rate(stars))
    done = bench.write()
    assert (done.originals, done.written) == (3, 3)
    assert [bench.said(number).rating for number in range(3)] == [5, 5, 5]


@pytest.mark.parametrize("program", ["lightroom", "digikam", "darktable"])
def test_what_another_program_changes_is_decided_here(bench: XmpBench, program: str) -> None:
    path = bench.came_in(0, MADE[program])
    bench.decide(changes.rate(1))
    bench.write()
    assert bench.notice() == writing.Done(), "our own write is no edit"
    words = (*bench.said(0).tags, "Wien")
    taken = Stamp(datetime(2021, 3, 4, 5, 6, 7), None)
    edit = Changes(rating=5, taken=taken, place=Place(48.2, 16.37), title="Prater", description=None, tags=words)
    rewrite(path, written(path.read_bytes(), edit))
    bench.start()
    assert bench.notice().taken_over == 1
    who = {one[0] for one in bench.events(0)[1:]}
    assert len(who) == 1 and "(XMP file)" in who.pop()
    assert (bench.of(0, "rating"), bench.of(0, "title"), bench.of(0, "location")) == (
        5,
        "Prater",
        {"lat": pytest.approx(48.2), "lon": pytest.approx(16.37)},
    )
    assert bench.of(0, "captured_at") == taken.when and bench.path(0).parent.name == "2021-03-04"
    assert ("tag", None, "Wien") in [one[1:] for one in bench.events(0)]
    assert bench.said(0).rating == 5 and bench.xmp(0).is_file(), "it has moved with its original"
    assert bench.notice() == writing.Done()
    bench.undo()  # what persons did here; an edit of another program stays
    assert bench.of(0, "rating") == 5


def test_of_two_decisions_the_later_one_counts(bench: XmpBench) -> None:
    bench.decide(changes.rate(1))
    bench.write()
    edited = written(bench.xmp(0).read_bytes(), Changes(rating=2, title="theirs"))
    # Before ours: they wrote an hour ago, and nobody had looked. After ours: they wrote just now.
    bench.decide(changes.rate(3))
    rewrite(bench.xmp(0), edited, seconds_ago=3600)
    rewrite(bench.xmp(1), edited)
    bench.notice()
    assert (bench.of(0, "rating"), bench.said(0).rating) == (3, 3)
    assert (bench.of(0, "title"), bench.said(0).title) == ("theirs", "theirs"), "about that we had not decided"
    assert (bench.of(1, "rating"), bench.said(1).rating) == (2, 2)


@pytest.mark.parametrize("is_killed", [False, True])
def test_an_older_file_that_comes_back_takes_no_later_decision_back(
    bench: XmpBench, monkeypatch: pytest.MonkeyPatch, is_killed: bool
) -> None:
    bench.decide(changes.rate(3))
    bench.decide(changes.tag(["January"], remove=False))
    bench.write()
    redate(bench, 0, "2019-05-04 12:30:15")
    bench.write()
    program = written(bench.xmp(0).read_bytes(), Changes(description="theirs"))
    rewrite(bench.xmp(0), program)
    bench.notice()
    januarys = written(
        bench.xmp(0).read_bytes(), Changes(rating=2, taken=Stamp(datetime(2001, 1, 1), None), description="a word")
    )
    bench.decide(changes.rate(5))
    bench.decide(changes.title("February"))
    bench.decide(changes.tag(["January"], remove=True))
    bench.write()
    before, decided, now = bench.said(0), bench.events(0), bench.xmp(0).read_bytes()
    rewrite(bench.xmp(0), januarys, seconds_ago=30 * 86400)  # rsync -a
    if is_killed:
        with monkeypatch.context() as patch:
            patch.setattr(files, "prepare", _kill)
            with pytest.raises(Killed):
                bench.notice()
        bench.start()
    assert bench.notice().taken_over == 0
    assert (bench.events(0), bench.said(0)) == (decided, before)
    assert bench.path(0).parent.name == "2019-05-04"
    assert not bench.files.are_waiting() and bench.kept(januarys)
    assert bench.notice() == writing.Done()
    rewrite(bench.xmp(0), written(now, Changes(rating=1)))
    bench.notice()
    assert bench.of(0, "rating") == 1, "what a program writes from then on counts"


def test_an_edit_by_a_clock_that_is_slow_counts(bench: XmpBench) -> None:
    bench.decide(changes.rate(3))
    bench.write()
    with bench.database.session() as session:  # the share is an hour behind us
        session.execute(text("UPDATE overlay_events SET happened_at = happened_at + interval '1 hour'"))
    rewrite(bench.xmp(0), written(bench.xmp(0).read_bytes(), Changes(rating=5)))
    bench.notice()
    assert bench.of(0, "rating") == 5


@pytest.mark.parametrize("unit", [1, 2])
def test_an_edit_counts_whose_program_puts_the_time_back_in_coarser_units(
    bench: XmpBench, caplog: pytest.LogCaptureFixture, unit: int
) -> None:
    caplog.set_level(logging.INFO)
    bench.decide(changes.rate(3))
    bench.write()
    began = int(time.time()) // 2 * 2 - 100  # decided in the very second in which the file is written, as mostly
    with bench.database.session() as session:
        decided = {"at": began + 1.25}
        session.execute(text("UPDATE overlay_events SET happened_at = to_timestamp(:at)"), decided)
    os.utime(bench.xmp(0), (began + 1.5,) * 2)
    assert bench.notice() == writing.Done()
    ours = bench.xmp(0).read_bytes()
    rewrite(bench.xmp(0), written(ours, Changes(rating=5)))
    os.utime(bench.xmp(0), ((began + 1) // unit * unit,) * 2)  # exiftool -P; a FAT disk
    assert bench.notice().taken_over == 1
    assert (bench.of(0, "rating"), bench.said(0).rating) == (5, 5)
    rewrite(bench.xmp(0), written(ours, Changes(rating=1)), seconds_ago=3600)
    assert bench.notice().taken_over == 0
    assert (bench.of(0, "rating"), bench.said(0).rating) == (5, 5)
    assert "what was decided here is later than its rating, and stands" in caplog.text


def test_what_came_in_and_comes_in_again_decides_nothing(bench: XmpBench) -> None:
    path = bench.came_in(0, MADE["lightroom"])
    bench.decide(changes.rate(1))
    bench.decide(changes.title("ours"))
    bench.write()
    before, decided = bench.said(0), bench.events(0)
    rewrite(path, MADE["lightroom"])  # a copy of the card has other times
    assert bench.notice().taken_over == 0
    assert (bench.events(0), bench.said(0)) == (decided, before)
    assert not bench.files.are_waiting()


def test_a_second_file_that_a_program_makes_gets_what_was_decided_long_ago(bench: XmpBench) -> None:
    bench.decide(changes.rate(4))
    bench.write()
    second = bench.xmp(0).with_name("IMG_0000.xmp")
    second.write_bytes(written(MADE["darktable"], Changes(rating=2)))
    bench.notice()
    assert (bench.of(0, "rating"), read_sidecar(second.read_bytes()).rating) == (4, 4)


def test_a_disk_that_loses_a_bit_has_decided_nothing(bench: XmpBench) -> None:
    bench.decide(changes.title("Prater"))
    bench.write()
    path = bench.xmp(0)
    ours, status = path.read_bytes(), path.stat()
    rotten = ours.replace(b"Prater", b"Pratar")
    rewrite(path, rotten)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert bench.notice() == writing.Done(), "nothing shows there"
    bench.decide(changes.rate(2))
    done = bench.write()
    assert (done.taken_over, list(done.left.values())) == (0, [writing.DAMAGED])
    assert (bench.of(0, "title"), path.read_bytes()) == ("Prater", rotten)
    assert bench.said(1).rating == 2, "it holds no other up"
    os.utime(path)  # a program had written it
    bench.later = 3600
    bench.notice()
    assert (bench.of(0, "title"), bench.said(0).rating) == ("Pratar", 2)


def test_a_damaged_file_that_is_copied_back_is_gone_on_with(bench: XmpBench) -> None:
    bench.decide(changes.title("Prater"))
    bench.write()
    path = bench.xmp(0)
    ours, status = path.read_bytes(), path.stat()
    for content in (ours.replace(b"Prater", b"Pratar"), ours):
        rewrite(path, content)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        bench.decide(changes.rate(2), "name:IMG_0000*")
        bench.write()
    bench.later = 3600
    bench.write()
    assert (bench.said(0).title, bench.said(0).rating) == ("Prater", 2)


@pytest.mark.parametrize("has_file", [True, False])
@pytest.mark.parametrize("what", ["gone", "a link", "a file"])
def test_a_days_folder_in_trouble_holds_no_other_day_up(
    bench: XmpBench, tmp_path: Path, what: str, has_file: bool
) -> None:
    redate(bench, 0, "2019-05-04 12:30:15")
    if has_file:
        bench.decide(changes.rate(1))
        bench.write()
    day = bench.path(0).parent
    day.rename(tmp_path / "kept")
    if what == "a link":
        day.symlink_to(tmp_path / "kept")
    elif what == "a file":
        day.write_bytes(b"")
    bench.decide(changes.rate(2))
    done = bench.write()
    assert [bench.said(number).rating for number in (1, 2)] == [2, 2]
    rewrite(bench.xmp(1), written(bench.xmp(1).read_bytes(), Changes(title="theirs")))
    assert bench.notice().taken_over == 1
    if what == "gone" and not has_file:  # a new folder is made, as for a photo
        return
    assert list(done.left) == [str(bench.xmp(0).relative_to(bench.vault.storage))]
    if what != "gone":
        day.unlink()
    (tmp_path / "kept").rename(day)
    bench.later = 3600
    bench.write()
    assert bench.said(0).rating == 2


@pytest.mark.parametrize("step", ["read", "prepare", "swap"])
def test_a_file_that_the_kernel_refuses_holds_no_other_up(
    bench: XmpBench, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    bench.decide(changes.rate(1))
    bench.write()
    bench.decide(changes.rate(2))
    do: Callable[..., Any] = getattr(files, step)
    (row,) = [row for row in bench.rows() if row["final_path"].endswith("IMG_0000.jpg.xmp")]
    marks = (row["final_path"], files.temporary_of(row["id"]))

    def refused(*given: Any) -> Any:
        if any(mark in given for mark in marks):
            raise OSError(5 if step == "read" else 13, "no")
        return do(*given)

    with monkeypatch.context() as patch:
        patch.setattr(files, step, refused)
        done = bench.write()
    assert list(done.left) == [row["final_path"]]
    assert [bench.said(number).rating for number in range(3)] == [1, 2, 2]
    bench.later = 3600
    bench.write()
    assert (bench.said(0).rating, _hidden(bench)) == (2, [])


def test_a_disk_that_is_full_is_the_vaults_trouble(bench: XmpBench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    bench.decide(changes.rate(1))
    with monkeypatch.context() as patch:
        patch.setattr(files, "prepare", full)
        with pytest.raises(VaultTrouble, match="full"):
            bench.write()
    bench.write()
    assert [bench.said(number).rating for number in range(3)] == [1, 1, 1]


def test_what_a_killed_run_left_in_a_folder_in_trouble_holds_nothing_up(
    bench: XmpBench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    redate(bench, 0, "2019-05-04 12:30:15")
    bench.decide(changes.rate(1))
    with monkeypatch.context() as patch:
        patch.setattr(files, "swap", _kill)
        with pytest.raises(Killed):
            bench.write()
    day = bench.path(0).parent
    day.rename(tmp_path / "kept")
    day.symlink_to(tmp_path / "kept")
    bench.start()
    bench.write()
    assert [bench.said(number).rating for number in (1, 2)] == [1, 1]
    day.unlink()
    (tmp_path / "kept").rename(day)
    bench.later = 3600
    bench.write()
    assert (bench.said(0).rating, _hidden(bench)) == (1, [])


def test_a_time_beyond_the_ledgers_numbers_holds_nothing_up(bench: XmpBench) -> None:
    bench.decide(changes.rate(1))
    bench.write()
    bench.xmp(0).write_bytes(written(bench.xmp(0).read_bytes(), Changes(rating=4)))
    os.utime(bench.xmp(0), (0, 2**33 + 2**31))
    if bench.xmp(0).stat().st_mtime_ns < 2**63:
        pytest.skip("this filesystem knows no such time")
    bench.notice()
    assert bench.of(0, "rating") == 4
    assert bench.notice() == writing.Done()


def test_what_a_file_cannot_say_waits_and_keeps_nothing_else_out(bench: XmpBench) -> None:
    title = b"<dc:title><rdf:Alt><rdf:li xml:lang='x-default'><a:b xmlns:a='a:'/></rdf:li></rdf:Alt></dc:title>"
    odd = MADE["digikam"].replace(b"<dc:subject>", title + b"<dc:subject>")
    path = bench.came_in(0, odd)
    bench.decide(changes.title("ours"))
    bench.decide(changes.rate(2))
    done = bench.write()
    name = str(path.relative_to(bench.vault.storage))
    assert list(done.left) == [name] and "title stands in a form" in done.left[name]
    assert [bench.said(number).rating for number in range(3)] == [2, 2, 2]
    assert b"<a:b xmlns:a='a:'/>" in path.read_bytes()
    with bench.database.session() as session:
        assert rows.number_waiting(session) == 1, "nobody says that it is written"
    assert not bench.files.are_waiting(), "it is tried again later"
    bench.start()
    assert list(bench.write().left) == [name], "and named by each command"
    bench.later = 3600
    rewrite(path, MADE["digikam"])
    bench.write()
    assert bench.said(0).title == "ours" and not bench.files.are_waiting()


def test_where_no_name_is_free_what_was_decided_waits(bench: XmpBench) -> None:
    for name in writing._names(str(bench.path(0))):
        os.mkdir(name)
    bench.decide(changes.rate(2))
    done = bench.write()
    assert list(done.left.values()) == ["no name is free for it"]
    with bench.database.session() as session:
        assert rows.number_waiting(session) == 1


def test_letters_that_xml_cannot_hold_keep_nothing_from_being_said(bench: XmpBench) -> None:
    bench.decide(changes.rate(5))
    bench.decide(changes.title("a\x0bb\x07\ufffe"))
    bench.decide(changes.describe("one\x0ctwo\nthree"))
    bench.decide(changes.tag(["A\x07b", "c"], remove=False))
    done = bench.write()
    assert (done.written, done.left) == (3, {})
    assert bench.said(0) == Said(rating=5, title="a b", description="one two\nthree", tags=("Ab", "c"))
    bench.decide(changes.rate(4))
    bench.write()
    assert bench.notice() == writing.Done() and bench.of(0, "title") == "a\x0bb\x07\ufffe"
    bench.decide(changes.tag(["a\x07B"], remove=True))
    bench.write()
    assert bench.said(0).tags == ("c",)


def test_two_long_names_get_a_file_each(bench: XmpBench) -> None:
    for number in (0, 1):
        path = bench.path(number)
        longest = path.with_name("x" * 249 + f"{number}.jpg")
        path.rename(longest)
        with bench.database.session() as session:
            given = {"path": str(longest.relative_to(bench.vault.storage)), "sha256": bench.hashes[number]}
            session.execute(text("UPDATE media_assets SET final_path = :path WHERE file_hash = :sha256"), given)
    assert len(bench.path(0).name) == 254 and bench.path(0).parent == bench.path(1).parent
    bench.decide(changes.rate(2))
    done = bench.write()
    assert (done.originals, done.written, done.left) == (3, 3, {})
    assert len({row["final_path"] for row in bench.rows()}) == 3
    assert not bench.files.are_waiting()


@pytest.mark.parametrize(
    "trouble",
    [DataError("INSERT", {}, Exception("out of range\nmore")), FactoryError("no"), VaultTrouble("the disk"), OSError()],
)
def test_a_command_ends_well_whatever_becomes_of_the_files(
    bench: XmpBench, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    def fails(*_: Any) -> Any:
        raise trouble

    bench.decide(changes.rate(2))
    monkeypatch.setattr(writing.XmpFiles, "write", fails)
    write_some(bench.settings, bench.database)
    assert bench.files.are_waiting()


def test_whose_a_new_file_is_costs_no_look_at_each_name(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    def counted(*given: Any) -> int | None:
        nonlocal looks
        looks += 1
        return stands_beside(*given)

    endings = (".jpg", ".NEF", ".mov", ".xmp", ".jpg.xmp", ".jpg_1.xmp", ".NEF_12.xmp", "_3.xmp", "")
    starts = [f"{start}{number}" for number in range(5) for start in ("IMG_", "a_", "x.jpg_")]
    names = [start + ending for start in starts for ending in endings]
    names += ["x.jpg", "x.jpg.xmp", "x.xmp", "x_1.xmp", ".xmp", "_1.xmp", "IMG_1.jpg_1.jpg.xmp", "a.xmp", "a"]
    asked = [name for name in names if name.endswith(".xmp")]
    slowly: dict[str, list[str]] = {}
    for name in asked:
        ranks = [(stands_beside("xmp", name, other), other) for other in names]
        slowly[name] = [other for _, other in sorted((rank, other) for rank, other in ranks if rank is not None)]
    monkeypatch.setattr(looking, "stands_beside", counted)
    beside = looking.Beside(names)
    assert {name: beside.originals(name) for name in asked} == slowly
    assert sum(map(len, slowly.values())) > len(asked) / 2
    assert looks < 10 * len(asked)


def test_the_vaults_lock_is_free_between_two_batches(bench: XmpBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "BATCH", 1)
    for number in range(3):
        bench.xmp(number).write_bytes(written(None, Changes(rating=2)))
    locks = 0
    lock = bench.vault.lock

    @contextmanager
    def counted(*given: Any) -> Iterator[None]:
        nonlocal locks
        locks += 1
        with lock(*given):
            yield

    monkeypatch.setattr(bench.vault, "lock", counted)
    new = {str(bench.xmp(number).relative_to(bench.vault.storage)): bench.hashes[number] for number in range(3)}
    assert bench.files.take_over([], new).taken_over == 3
    assert locks == 3
    assert [bench.of(number, "rating") for number in range(3)] == [2, 2, 2]


def _kill(*_: Any) -> None:
    raise Killed


def test_a_file_that_another_program_makes_is_its_originals(bench: XmpBench) -> None:
    redate(bench, 0, "2019-05-04")  # darktable reads the photo, and writes the camera's wrong date down
    bench.decide(changes.rate(4), "name:IMG_0000*")
    for number in (0, 1):
        content = written(
            MADE["darktable"], Changes(rating=2, taken=Stamp(datetime(2011, 1, 1, 12), None), title="new")
        )
        bench.xmp(number).write_bytes(content)
    bench.xmp(1).with_name("nobody.xmp").write_bytes(MADE["darktable"])
    done = bench.notice()
    assert (done.taken_over, done.left) == (2, {})
    assert (bench.of(0, "rating"), bench.of(0, "title")) == (4, "new"), "what was decided here stays"
    assert bench.of(0, "captured_at").year == 2019
    assert bench.said(0).rating == 4 and bench.said(0).taken == Stamp(datetime(2019, 5, 4), None, "day")
    assert (bench.of(1, "rating"), bench.of(1, "captured_at").year) == (2, 2024), "a date that is no guess stays"
    assert len(bench.rows()) == 2
    assert bench.kept(content)
    assert b"darktable:history" in bench.xmp(0).read_bytes()
    assert bench.notice() == writing.Done()


def test_a_file_that_says_nothing_readable_waits_and_holds_nothing_up(bench: XmpBench) -> None:
    path = bench.came_in(0, MADE["digikam"])
    rewrite(path, b"<x:xmpmeta")  # half of it is written
    bench.decide(changes.rate(4))
    done = bench.write()
    assert list(done.left) == [str(path.relative_to(bench.vault.storage))]
    assert (bench.said(1).rating, path.read_bytes()) == (4, b"<x:xmpmeta")
    rewrite(path, MADE["digikam"])
    assert not bench.files.are_waiting(), "it is tried again later"
    bench.later = 3600
    bench.write()
    assert bench.said(0).rating == 4


def test_a_file_that_another_program_holds_open_is_left_to_it(bench: XmpBench) -> None:
    bench.decide(changes.rate(1))
    bench.write()
    bench.decide(changes.rate(2))
    with open(bench.xmp(0), "r+b"):
        done = bench.write()
    assert list(done.left.values()) == ["another program is writing it"]
    assert (bench.said(0).rating, bench.said(1).rating) == (1, 2)


def test_what_is_written_between_reading_and_writing_stays(bench: XmpBench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.decide(changes.rate(1))
    bench.write()
    theirs = written(bench.xmp(0).read_bytes(), Changes(title="theirs"))
    prepare = files.prepare
    path = bench.xmp(0)

    def meanwhile(folder: int, temporary: str, content: bytes, standing: os.stat_result | None) -> int:
        if path.read_bytes() != theirs:
            rewrite(path, theirs)
        return prepare(folder, temporary, content, standing)

    monkeypatch.setattr(files, "prepare", meanwhile)
    bench.decide(changes.rate(2), "name:IMG_0000*")
    bench.write()
    assert path.read_bytes() == theirs
    bench.later = 3600
    bench.write()
    assert (bench.said(0).rating, bench.said(0).title, bench.of(0, "title")) == (2, "theirs", "theirs")
    assert _hidden(bench) == []


def test_without_an_exchange_of_names_it_is_replaced(bench: XmpBench, monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(*_: Any) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(files, "exchange_at", cannot)
    bench.decide(changes.rate(1))
    bench.write()
    bench.decide(changes.rate(2))
    assert bench.write().written == 3
    assert (bench.said(2).rating, _hidden(bench)) == (2, [])


def test_a_file_that_somebody_took_away_is_made_anew_from_what_came_in(bench: XmpBench) -> None:
    path = bench.came_in(0, MADE["lightroom"])
    bench.decide(changes.rate(1))
    bench.write()
    path.unlink()
    assert bench.notice() == writing.Done(), "that decides nothing"
    assert bench.of(0, "rating") == 1
    bench.decide(changes.rate(2))
    bench.write()
    assert b"crs:Exposure2012" in path.read_bytes()
    assert bench.said(0).rating == 2


def test_no_name_is_taken_from_a_stranger(bench: XmpBench) -> None:
    bench.xmp(0).mkdir()
    outside = bench.vault.storage / "outside"
    outside.write_bytes(MADE["digikam"])
    bench.xmp(1).symlink_to(outside)
    bench.decide(changes.rate(2))
    assert bench.write().written == 3
    assert bench.xmp(0).is_dir() and outside.read_bytes() == MADE["digikam"]
    numbered = bench.xmp(1).with_name("IMG_0001.jpg_1.xmp")
    assert read_sidecar(numbered.read_bytes()).rating == 2


class Killed(BaseException):
    """As the process ending there."""


_STEPS: list[tuple[Any, str]] = [
    (rows, "about_to_stand"),
    (rows, "about_to_change"),
    (files, "prepare"),
    (files, "swap"),
    (rows, "seen"),
    (rows, "said"),
]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("owner", "step"), _STEPS, ids=[name for _, name in _STEPS])
def test_a_kill_at_any_step_leaves_nothing_that_the_next_run_does_not_finish(
    bench: XmpBench, monkeypatch: pytest.MonkeyPatch, owner: Any, step: str, after: bool
) -> None:
    path = bench.came_in(0, MADE["lightroom"])
    bench.decide(changes.rate(1), "name:IMG_0001*")
    bench.write()
    bench.decide(changes.rate(4))
    do: Callable[..., Any] = getattr(owner, step)

    def killed(*given: Any, **more: Any) -> Any:
        if after:
            do(*given, **more)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, killed)
        with pytest.raises(Killed):
            bench.write()
    for number in (0, 1):  # never half of it
        assert bench.said(number).rating in (1, 3, 4)
    bench.start()
    bench.notice()
    assert [bench.said(number).rating for number in range(3)] == [4, 4, 4]
    assert not bench.files.are_waiting()
    assert _hidden(bench) == []
    assert {one["who"] for one in _acts(bench)} == {"ada"}, "our own write is nobody else's decision"
    assert all(row["coming_hash"] is None and row["filed_at"] for row in bench.rows())
    assert len(bench.rows()) == 3
    assert bench.kept(MADE["lightroom"]) and b"crs:Exposure2012" in path.read_bytes()


def test_a_moved_original_takes_its_file_along(bench: XmpBench) -> None:
    bench.decide(changes.rate(4))
    bench.write()
    redate(bench, 0, "2020-01-02 03:04:05")
    assert bench.write().written == 1
    assert bench.said(0) == Said(rating=4, taken=Stamp(datetime(2020, 1, 2, 3, 4, 5), None))
    with bench.acts.session() as session:
        act = bench.acts.begin(session, "remove", "ada", [bench.hashes[0]])
    with bench.acts.turn():
        for _ in bench.acts.steps(act.id):
            pass
    assert bench.notice() == writing.Done()


def _hidden(bench: XmpBench) -> list[Path]:
    return list((bench.vault.storage / "Originals").rglob(".factory-*"))


def _acts(bench: XmpBench) -> list[dict[str, Any]]:
    with bench.database.session() as session:
        return [dict(row) for row in session.execute(text("SELECT * FROM acts")).mappings()]


def test_shifts_and_their_undo_reach_the_files(bench: XmpBench) -> None:
    with bench.acts.session() as session:
        hours = {"shift": int(timedelta(hours=-12).total_seconds())}
        act = bench.acts.begin(session, "redate", "ada", bench.hashes, hours)
    with bench.acts.turn():
        for _ in bench.acts.steps(act.id):
            pass
    bench.write()
    assert bench.said(0).taken == Stamp(bench.of(0, "captured_at"), None)
    with bench.acts.session() as session:
        back = bench.acts.begin(session, "undo", "ada", bench.hashes, undoes=act.id)
    with bench.acts.turn():
        for _ in bench.acts.steps(back.id):
            pass
    bench.write()
    assert bench.said(0).taken is None


@pytest.mark.parametrize("kind", ["exfat-fuse", "tmpfs"])
def test_on_filesystems_that_know_less(
    kind: str, factory_settings: Settings, database: Database, small_filesystem: SmallFilesystem
) -> None:
    """exFAT by FUSE knows no modes, no links, no rename that spares, no exchange, and times of two seconds."""
    storage = small_filesystem(kind, 64) / "Storage"
    bench = XmpBench(replace(factory_settings, storage=storage), database)
    bench.decide(changes.rate(1))
    assert bench.write().written == 3
    bench.decide(changes.rate(2))
    assert bench.write().written == 3
    assert [bench.said(number).rating for number in range(3)] == [2, 2, 2]
    redate(bench, 0, "2019-05-04 12:30:15")
    assert (bench.path(0).parent.name, bench.said(0).rating) == ("2019-05-04", 2)
    assert bench.notice().taken_over == 0, "our own writes are no edits"
    rewrite(bench.xmp(1), written(bench.xmp(1).read_bytes(), Changes(rating=5)), seconds_ago=-10)
    bench.notice()
    assert (bench.of(1, "rating"), _hidden(bench)) == (5, [])


def test_after_an_older_backup_the_lines_bring_all_back_and_nobody_else_has_decided(bench: XmpBench) -> None:
    tables = ("media_assets", "asset_tags", "albums", "album_items", "acts", "overlay_events", "companions")
    mirror = Mirror(bench.vault)
    bench.decide(changes.rate(1))
    bench.decide(changes.tag(["old"], remove=False))
    mirror.bring_up(bench.database, None)
    bench.write()
    with bench.database.session() as session:
        for table in tables:
            session.execute(text(f"CREATE TABLE backup_{table} AS TABLE {table}"))
    bench.decide(changes.rate(5))
    bench.decide(changes.tag(["old"], remove=True))
    bench.decide(changes.title("new"), "name:IMG_0001*")
    bench.undo()
    bench.decide(albums.add("Summer"))
    redate(bench, 0, "2019-05-04 12:30:15")
    mirror.bring_up(bench.database, None)
    bench.write()
    said = [bench.said(number) for number in range(3)]
    before = _state(bench)
    with bench.database.session() as session:  # the files stay where they are; but for the moved one's, so do the rows
        moved = "SELECT file_hash, final_path FROM media_assets"
        paths = dict(tuple(row) for row in session.execute(text(moved)))
        beside = dict(tuple(row) for row in session.execute(text("SELECT id, final_path FROM companions")))
        for table in tables:
            session.execute(text(f"TRUNCATE {table}"))
            session.execute(text(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE backup_{table}"))
            session.execute(text(f"DROP TABLE backup_{table}"))
        for sha256, path in paths.items():
            given = {"sha256": sha256, "path": path}
            session.execute(text("UPDATE media_assets SET final_path = :path WHERE file_hash = :sha256"), given)
        for id_, path in beside.items():
            session.execute(text("UPDATE companions SET final_path = :path WHERE id = :id"), {"id": id_, "path": path})
    bench.start()
    assert bench.notice() == writing.Done(), "what we wrote since is no other program's"
    mirror.bring_up(bench.database, None)
    with bench.database.session() as session:
        assert mirror.knows_more(session)
        replay(session, mirror)
        assert not mirror.knows_more(session)
    assert _state(bench) == before
    bench.notice()
    assert _state(bench) == before and [bench.said(number) for number in range(3)] == said
    assert not bench.files.are_waiting()


def _state(bench: XmpBench) -> list[list[tuple[Any, ...]]]:
    asked = (
        "SELECT file_hash, rating, title, location, captured_at, date_source, final_path FROM media_assets ORDER BY 1",
        "SELECT file_hash, tag FROM asset_tags JOIN media_assets ON id = asset_id ORDER BY 1, 2",
        "SELECT file_hash, position FROM album_items JOIN media_assets ON id = asset_id ORDER BY 1",
        "SELECT who, kind FROM acts ORDER BY happened_at, id",
        "SELECT id, field, after FROM overlay_events ORDER BY happened_at, id",
    )
    with bench.database.session() as session:
        return [[tuple(row) for row in session.execute(text(one))] for one in asked]
