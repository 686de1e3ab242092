"""Verify: whatever happens to a file of the vault is found and named, and nothing else is."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from Src.Library.custody import examine
from Src.Library.custody import verify as module
from Src.Library.custody.examine import Examiner
from Src.Library.custody.item import Item
from Src.Library.custody.rows import Rows
from Src.Library.custody.strangers import Strangers
from Src.Library.custody.verify import Plan, Verify
from Src.Library.tests.spoiling import a_link, flip_a_bit
from Src.Library.tests.verify_bench import COUNT, FULL, QUICK, Bench, filled
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.database import Database
from Src.Shared.disk.beneath import open_folder as open_top
from Src.Shared.ledger_text import to_ledger
from Src.Shared.settings import Settings
from Src.Testing.patience import PATIENCE

WORDS = ("missing", "changed", "unreadable", "mode", "unknown", "touched")


@pytest.fixture
def bench(factory_settings: Settings, database: Database) -> Bench:
    return filled(factory_settings, database)


def touch(path: Path) -> None:
    os.utime(path, (1e9, 1e9))


def longer(path: Path) -> None:
    path.chmod(0o640)
    path.write_bytes(path.read_bytes() + b"x")
    path.chmod(0o440)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def in_an_own_folder(path: Path) -> None:
    """Its name leads through a link now."""
    kept = path.parent.parent.parent.parent / "day"
    path.parent.rename(kept)
    path.parent.symlink_to(kept)


def test_a_vault_that_is_as_it_was_is_well(bench: Bench) -> None:
    done = bench.verify()
    assert (done.checked, done.ok, done.read, done.is_well, done.is_complete) == (COUNT, COUNT, COUNT, True, True)
    assert (done.originals, done.never_read) == (COUNT, 0)
    assert done.read_back_since is not None
    assert bench.sql("SELECT count(*) FROM media_assets WHERE verified_at IS NULL")[0][0] == 0


CHANGES: list[tuple[int, Callable[[Path], None], str, str | None]] = [
    (0, flip_a_bit, "changed", "content"),
    (1, longer, "changed", "size"),
    (2, a_link, "changed", "not_a_file"),
    (3, a_folder, "changed", "not_a_file"),
    (4, Path.unlink, "missing", "gone"),
    (5, lambda path: path.chmod(0o640), "mode", "writable"),
    (6, lambda path: path.chmod(0o040), "mode", None),
    (7, touch, "touched", None),
    (COUNT - 1, in_an_own_folder, "unreadable", "unreadable"),
]


@pytest.mark.parametrize("plan", [FULL, QUICK, Plan("sample", sample=COUNT), Plan("budget", budget=300.0)])
def test_each_change_is_found_and_named(bench: Bench, plan: Plan) -> None:
    assert bench.verify().is_well  # from now on their times are known
    for number, change, _, _ in CHANGES:
        change(bench.at(number))
    done = bench.verify(plan)
    for number, change, word, finding in CHANGES:
        path = bench.paths[number]
        assert [name for name in WORDS if path in getattr(done, name)] == [word], change
        assert bench.findings().get(to_ledger(path)) == finding, change
    last_day = os.path.dirname(bench.paths[-1])
    its = [path for path in bench.paths if os.path.dirname(path) == last_day]
    named = {bench.paths[number] for number, _, _, _ in CHANGES} | set(its)
    assert {path for name in WORDS for path in getattr(done, name)} - {last_day} == named
    assert (done.checked, done.ok) == (COUNT, COUNT - len(named) + 1), "what is only touched has right bytes"
    assert not done.is_well
    assert bench.verify(plan).touched == [], "named once"


def test_what_is_put_right_is_well_again(bench: Bench) -> None:
    kept = bench.settings.data / "kept"
    shutil.copy2(bench.at(3), kept)
    flip_a_bit(bench.at(3))
    assert not bench.verify().is_well
    assert not bench.verify(QUICK).is_well, "nobody has read better bytes since"
    os.replace(kept, bench.at(3))
    assert bench.verify(QUICK).is_well
    assert bench.findings() == {}


def test_what_is_wrong_is_not_read_back(bench: Bench) -> None:
    flip_a_bit(bench.at(3))
    done = bench.verify()
    assert (done.never_read, done.read_back) == (1, COUNT - 1)
    assert bench.sql("SELECT final_path FROM media_assets WHERE verified_at IS NULL") == [(bench.paths[3],)]
    flip_a_bit(bench.at(3))
    assert bench.verify().read_back == COUNT
    bench.sql("UPDATE media_assets SET verified_at = now() - interval '9 days' WHERE final_path = :p", p=bench.paths[3])
    for number, change in ((3, flip_a_bit), (4, Path.unlink), (5, a_folder), (6, lambda path: path.chmod(0o640))):
        change(bench.at(number))
    done = bench.verify()
    assert (done.originals, done.never_read, done.read_back) == (COUNT, 0, COUNT - 3), "a mode says nothing of bytes"
    assert done.read_back_since is not None
    assert datetime.now(UTC) - done.read_back_since < timedelta(days=1), "what is wrong has no say in it"


@pytest.mark.parametrize("plan", [FULL, QUICK])
def test_another_time_alone_is_named_and_not_wrong(bench: Bench, plan: Plan) -> None:
    assert bench.verify().is_well
    touch(bench.at(7))
    done = bench.verify(plan)
    assert (done.touched, done.is_well, done.wrong) == ([bench.paths[7]], True, 0)
    assert "2001-09-09 01:46:40.000000000 UTC" in done.why[bench.paths[7]]
    touch(bench.at(8))
    bench.at(8).chmod(0o640)
    done = bench.verify(plan)
    assert (done.touched, done.mode, done.is_well) == ([bench.paths[8]], [bench.paths[8]], False)
    assert "its mode is 0640" in done.why[bench.paths[8]]
    assert "2001-09-09" in done.why[bench.paths[8]]


def test_quick_reads_only_what_its_times_do_not_speak_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("Src.Library.hash_cache.COARSEST_CLOCK", 0.0)
    assert bench.verify(QUICK).read == COUNT, "nothing is known of their times yet"
    assert bench.verify(QUICK).read == 0
    os.utime(bench.at(4), (1e9, 1e9))
    flip_a_bit(bench.at(6))
    done = bench.verify(QUICK)
    assert (done.read, done.touched, done.changed) == (2, [bench.paths[4]], [bench.paths[6]])


@pytest.mark.parametrize("is_known", [True, False])
def test_quick_finds_by_ctime_what_hides_its_time(bench: Bench, is_known: bool) -> None:
    """Also where it is not in the cache: what was written within seconds of the reading is not remembered there."""
    assert bench.verify().is_well
    if not is_known:
        bench.sql("DELETE FROM hash_cache")
    flip_a_bit(bench.at(6))
    assert bench.verify(QUICK).changed == [bench.paths[6]]


def test_strangers_are_named(bench: Bench) -> None:
    day = bench.at(2).parent
    names = ["added.jpg", ".hidden", ".photo-factory-vault", os.fsdecode(b"\xfe.jpg"), "link"]
    for name in names[:-1]:
        (day / name).write_bytes(b"somebody's")
    (day / "link").symlink_to(bench.at(2))
    loose = bench.settings.originals / "loose.jpg"
    loose.write_bytes(b"somebody's")
    done = bench.verify()
    relative = day.relative_to(bench.settings.storage)
    assert sorted(done.unknown) == sorted([*(f"{relative}/{name}" for name in names), "Originals/loose.jpg"])
    assert (done.ok, done.is_well) == (COUNT, False)


def test_what_is_noted_while_the_ledger_was_away_is_no_stranger(bench: Bench) -> None:
    new = bench.at(2).with_name("new.jpg")
    new.write_bytes(b"filed")
    path = str(new.relative_to(bench.settings.storage))
    assert bench.verify().unknown == [path]
    assert bench.verify(journaled=lambda: {path}).is_well


def test_what_was_moved_by_hand_is_named_with_its_place(bench: Bench) -> None:
    other = bench.at(COUNT - 1).parent / "renamed.jpg"
    bench.at(0).rename(other)
    same_size = bench.at(5).with_name("same size.jpg")
    same_size.write_bytes(b"x" * other.stat().st_size)
    done = bench.verify()
    moved_to = str(other.relative_to(bench.settings.storage))
    assert done.missing == [bench.paths[0]]
    assert moved_to in done.unknown
    assert done.moved == {bench.paths[0]: moved_to}


def test_what_belongs_to_originals_is_verified_too(bench: Bench) -> None:
    aae = bench.beside(1, "IMG_0001.AAE", "aae", b"<plist>1</plist>")
    thm = bench.beside(2, "IMG_0002.THM", "thm", b"a small picture")
    xmp = bench.beside(3, "IMG_0003.jpg.xmp", "xmp", b"<x:xmpmeta/>")
    assert (bench.verify().ok, bench.verify().is_well) == (COUNT + 3, True)
    flip_a_bit(aae)
    thm.unlink()
    xmp.chmod(0o640)
    xmp.write_bytes(b"<x:xmpmeta>five stars</x:xmpmeta>")
    names = [str(path.relative_to(bench.settings.storage)) for path in (aae, thm, xmp)]
    for plan in (FULL, Plan("sample", sample=COUNT), Plan("budget", budget=300.0)):
        done = bench.verify(plan)
        assert (done.changed, done.missing, done.in_use) == ([names[0]], [names[1]], [names[2]])
        assert (done.unknown, done.mode, done.ok) == ([], [], COUNT + 1)
    assert (bench.verify(QUICK).changed, bench.verify(QUICK).missing) == ([names[0]], [names[1]])
    xmp.unlink()
    assert bench.verify(QUICK).missing == [names[1], names[2]]


def test_a_new_xmp_file_of_another_program_is_no_stranger(bench: Bench) -> None:
    """The Librarian takes it over soon; until then nothing is wrong with it."""
    bench.at(4).rename(bench.at(4).with_suffix(".arw"))
    bench.sql(
        "UPDATE media_assets SET final_path = :new WHERE final_path = :p",
        new=f"{bench.paths[4][:-4]}.arw",
        p=bench.paths[4],
    )
    made = [
        bench.at(3).with_name(f"{bench.at(3).name}.xmp"),
        bench.at(4).with_suffix(".XMP"),
        bench.at(0).with_name(f"{bench.at(0).name}.xmp"),
    ]
    strangers = [
        bench.at(3).with_name("nobody's.xmp"),
        bench.at(3).with_name(".factory-xmp-1.xmp"),
        bench.settings.originals / "loose.xmp",
        bench.at(5).with_name(f"{bench.at(5).name}.xmp"),  # too large to be one, and never taken over
        bench.at(6).with_name(f"{bench.at(6).name}.xmp"),  # a link
        bench.at(8).with_name("unfiled.jpg"),
        bench.at(8).with_name("unfiled.jpg.xmp"),  # beside what is no original
    ]
    for path in (*made, *strangers[:3], *strangers[5:]):
        path.write_bytes(b"<x:xmpmeta/>")
    with strangers[3].open("wb") as large:
        large.truncate(17 << 20)
    strangers[4].symlink_to(made[0])
    for plan in (FULL, QUICK):
        done = bench.verify(plan)
        assert sorted(done.in_use) == sorted(str(path.relative_to(bench.settings.storage)) for path in made)
        assert sorted(done.unknown) == sorted(str(path.relative_to(bench.settings.storage)) for path in strangers)
        assert all(done.why[path] for path in (*done.in_use, *done.unknown))
    for path in strangers:
        path.unlink()
    assert bench.verify().is_well


def test_a_bit_that_an_xmp_file_has_lost_is_no_programs_work(bench: Bench) -> None:
    xmp = bench.beside(3, "IMG_0003.jpg.xmp", "xmp", b"<x:xmpmeta/>")
    bench.sql(
        "UPDATE companions SET standing_hash = companion_hash, standing_size = :size, standing_mtime_ns = :at",
        size=xmp.stat().st_size,
        at=xmp.stat().st_mtime_ns,
    )
    name = str(xmp.relative_to(bench.settings.storage))
    assert bench.verify().is_well
    flip_a_bit(xmp)
    for plan in (FULL, Plan("sample", sample=COUNT), Plan("budget", budget=300.0)):
        done = bench.verify(plan)
        assert (done.changed, done.in_use, done.is_well) == ([name], [], False)
    os.utime(xmp)  # a program has written it
    done = bench.verify()
    assert (done.changed, done.in_use, done.is_well) == ([], [name], True)


def test_a_refusal_is_never_well(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for where in ("open_beneath", "sha256_past_cache", "lstat_beneath"):
        for code in (errno.EIO, errno.EACCES, errno.ESTALE):
            with monkeypatch.context() as patch:
                _refuse(patch, where, code, os.path.basename(bench.paths[7]))
                done = bench.verify()
            assert (done.unreadable, done.ok, done.is_well) == ([bench.paths[7]], COUNT - 1, False), (where, code)
            assert bench.findings() == {bench.paths[7]: "unreadable"}
            assert not done.missing
    assert bench.verify(QUICK).is_well, "what is said to be unreadable is read, whatever its time says"
    assert bench.findings() == {}


def _refuse(patch: pytest.MonkeyPatch, where: str, code: int, name: str) -> None:
    """The kernel refuses one file."""
    real = getattr(examine, where)

    def refuses(first: int, *others: Any) -> Any:
        path = os.readlink(f"/proc/self/fd/{first}") if where == "sha256_past_cache" else str(others[0])
        if path.endswith(name):
            raise OSError(code, os.strerror(code))
        return real(first, *others)

    patch.setattr(examine, where, refuses)


def test_a_file_that_may_not_be_read_is_unreadable(
    open_folder: Path, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    day = open_folder / "2024" / "2024-07-01"
    day.mkdir(parents=True)
    (day / "a.jpg").write_bytes(b"1")
    (day / "a.jpg").chmod(0o000)
    path = "Originals/2024/2024-07-01/a.jpg"
    item = Item(uuid.uuid4(), None, path, path, 1, "0" * 64, None)
    if os.geteuid() == 0:
        os.chown(day / "a.jpg", 65534, 65534)
    root = open_top(open_folder)
    try:
        with unprivileged():
            seen = Examiner(open_folder, root, lambda: None).read(item)
    finally:
        os.close(root)
    assert (seen.word, seen.finding) == ("unreadable", "unreadable")


def test_a_folder_that_cannot_be_listed_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = str(bench.at(COUNT - 1).parent)
    real = os.scandir

    def scandir(where: Any) -> Any:
        if isinstance(where, int) and os.readlink(f"/proc/self/fd/{where}") == refused:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        return real(where)

    monkeypatch.setattr(os, "scandir", scandir)
    done = bench.verify()
    assert done.unreadable == [os.path.relpath(refused, bench.settings.storage)]
    assert not done.is_well


def test_a_vault_that_is_not_there_has_no_missing_originals(bench: Bench) -> None:
    away = bench.settings.storage / "away"
    bench.settings.originals.rename(away)
    with pytest.raises(VaultTrouble):
        bench.verify()
    bench.settings.originals.mkdir()
    with pytest.raises(VaultTrouble):
        bench.verify()
    assert bench.findings() == {}


def test_a_vault_that_goes_meanwhile_has_no_missing_originals(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Rows.all
    away = bench.settings.storage / "away"

    def pages(rows: Rows) -> Iterator[list[Item]]:
        for page in real(rows):
            for folder in bench.settings.originals.iterdir():
                if folder.is_dir():
                    away.mkdir(exist_ok=True)
                    folder.rename(away / folder.name)
            (bench.settings.originals / ".photo-factory-vault").unlink(missing_ok=True)
            yield page

    monkeypatch.setattr(Rows, "all", pages)
    with pytest.raises(VaultTrouble):
        bench.verify()
    assert bench.findings() == {}
    assert bench.sql("SELECT count(*) FROM media_assets WHERE verified_at IS NOT NULL")[0][0] == 0


def test_what_moves_meanwhile_is_followed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the page and the look, under the vault's lock: file and row go elsewhere, or both go."""
    real = Rows.all
    target = bench.at(9).with_name("redated.jpg")
    new_path = str(target.relative_to(bench.settings.storage))

    def pages(rows: Rows) -> Iterator[list[Item]]:
        for number, page in enumerate(real(rows)):
            if number == 0:
                bench.at(9).rename(target)
                bench.sql(
                    "UPDATE media_assets SET final_path = :new WHERE final_path = :old RETURNING id",
                    new=new_path,
                    old=bench.paths[9],
                )
                bench.at(10).unlink()
                bench.sql("DELETE FROM media_assets WHERE final_path = :old RETURNING id", old=bench.paths[10])
            yield page

    monkeypatch.setattr(Rows, "all", pages)
    done = bench.verify()
    assert (done.is_well, done.checked, done.ok) == (True, COUNT - 1, COUNT - 1)


def test_a_file_under_way_is_no_stranger(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Librarian has placed it and not yet recorded it when it is seen, and lets the lock go when it has."""
    placed, record = threading.Event(), threading.Event()
    new = bench.at(3).with_name("placed.jpg")
    path = str(new.relative_to(bench.settings.storage))

    def librarian() -> None:
        with Vault(bench.settings.storage).lock():
            new.write_bytes(b"a new one")
            placed.set()
            record.wait(PATIENCE)
            bench.sql(
                "INSERT INTO media_assets (id, file_hash, file_size, original_name, original_path, final_path, "
                "media_kind, mime_type, captured_at, date_source) SELECT gen_random_uuid(), :hash, 9, 'a', 'a', :path, "
                "media_kind, mime_type, captured_at, date_source FROM media_assets LIMIT 1 RETURNING id",
                hash=hashlib.sha256(b"a new one").hexdigest(),
                path=path,
            )

    other = threading.Thread(target=librarian)
    real = Strangers.found

    def found(strangers: Any) -> Iterator[Any]:
        other.start()
        assert placed.wait(PATIENCE)
        for some in real(strangers):
            assert path in [one.path for one in some]
            record.set()
            yield some

    monkeypatch.setattr(Strangers, "found", found)
    try:
        assert bench.verify().is_well
    finally:
        record.set()
        other.join()


def test_a_run_goes_on_where_one_stopped(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BATCH", 4)
    monkeypatch.setattr(module, "_AHEAD", 0)
    begun = datetime.now(UTC) - timedelta(seconds=1)
    first = Verify(bench.settings, bench.database, FULL)
    real = Examiner.read
    count = 0

    def read(examiner: Examiner, item: Item) -> Any:
        nonlocal count
        count += 1
        if count == 10:
            first.stop()
        return real(examiner, item)

    monkeypatch.setattr(Examiner, "read", read)
    stopped = first.run(begun)
    assert not stopped.is_complete
    assert 8 <= stopped.read < COUNT
    done = bench.verify(begun=begun)
    assert (done.is_complete, done.checked, done.ok, done.read) == (True, COUNT, COUNT, COUNT - stopped.read)
    assert bench.verify().read == COUNT, "another run reads all of it"
    assert bench.verify(begun=begun - timedelta(days=90)).read == 0
    bench.sql("UPDATE media_assets SET verified_at = now() - interval '30 days' RETURNING id")
    assert bench.verify(begun=begun - timedelta(days=90)).read == COUNT, "too long ago to pass over"


def test_what_is_wrong_before_a_stop_is_named_after_it(bench: Bench) -> None:
    begun = datetime.now(UTC) - timedelta(seconds=1)
    flip_a_bit(bench.at(2))
    bench.at(5).unlink()
    bench.at(6).chmod(0o640)
    for _ in range(2):
        done = bench.verify(begun=begun)
        assert (done.changed, done.missing, done.mode) == ([bench.paths[2]], [bench.paths[5]], [bench.paths[6]])


def test_a_budget_reads_what_was_read_longest_ago(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.verify()
    for number in (3, 8, 13):
        age = f"{100 - number} days"
        bench.sql(
            "UPDATE media_assets SET verified_at = now() - CAST(:age AS interval) WHERE final_path = :p RETURNING 1",
            age=age,
            p=bench.paths[number],
        )
    bench.sql("UPDATE media_assets SET verified_at = NULL WHERE final_path = :p RETURNING 1", p=bench.paths[20])
    read: list[str] = []
    real = Examiner.read

    def noted(examiner: Examiner, item: Item) -> Any:
        read.append(item.path)
        return real(examiner, item)

    monkeypatch.setattr(Examiner, "read", noted)
    monkeypatch.setattr(module, "_READERS", 1)
    assert bench.verify(Plan("budget", budget=300.0)).checked == COUNT
    assert read[:4] == [bench.paths[number] for number in (20, 3, 8, 13)]
    done = bench.verify(Plan("budget", budget=1e-6))
    assert (done.checked, done.is_complete, done.is_searched) == (0, True, False)


def test_pages_of_a_budget_leave_nothing_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("Src.Library.custody.rows.PAGE", 5)
    bench.sql("UPDATE media_assets SET verified_at = now() - interval '9 days' WHERE file_hash < '8' RETURNING 1")
    flip_a_bit(bench.at(1))
    for plan in (Plan("budget", budget=300.0), FULL, QUICK):
        done = bench.verify(plan)
        assert (done.checked, done.changed) == (COUNT, [bench.paths[1]])


def test_a_sample_says_what_it_proves(bench: Bench) -> None:
    done = bench.verify(Plan("sample", sample=10))
    assert (done.checked, done.read, done.sample_bound, done.is_searched) == (10, 10, 0.3, False)
    flip_a_bit(bench.at(1))
    assert bench.verify(Plan("sample", sample=COUNT)).sample_bound is None
    assert bench.verify().sample_bound is None


def test_it_changes_no_file(bench: Bench) -> None:
    bench.at(6).chmod(0o640)
    bench.at(7).rename(bench.at(7).with_name("moved.jpg"))

    def states() -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        for folder, _, names in os.walk(bench.settings.originals):
            for name in names:
                one = os.lstat(os.path.join(folder, name))
                found[os.path.join(folder, name)] = (
                    one.st_ino,
                    one.st_mode,
                    one.st_size,
                    one.st_mtime_ns,
                    one.st_ctime_ns,
                )
        return found

    before = states()
    for plan in (FULL, QUICK, Plan("sample", sample=5), Plan("budget", budget=300.0)):
        bench.verify(plan)
    assert states() == before


def test_where_the_lock_cannot_be_had_what_is_seen_counts(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.at(7).unlink()
    bench.at(8).with_name("added.jpg").write_bytes(b"x")
    monkeypatch.setattr(module, "_PATIENCE", 0.0)
    with Vault(bench.settings.storage).lock():
        done = bench.verify()
    assert (done.missing, len(done.unknown)) == ([bench.paths[7]], 1)
