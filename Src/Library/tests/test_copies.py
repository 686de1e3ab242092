"""Copies: whatever happens, nothing counts as being at a copy that is not there, and right."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Src.Library.belonging import Belonging
from Src.Library.custody.copies import retention
from Src.Library.custody.copies.credentials import credentials_of
from Src.Library.custody.copies.drill import Drill, Drilled
from Src.Library.custody.copies.fetching import NotAtCopy, fetch
from Src.Library.custody.copies.marker import MARKER, CopyMarker
from Src.Library.custody.copies.opening import check_marker, kind_of, open_copy, vault_of
from Src.Library.custody.copies.pace import Pace
from Src.Library.custody.copies.rows import copies_of
from Src.Library.custody.copies.standing import Standing, standing_of, three_two_one
from Src.Library.custody.copies.trouble import CopyTrouble
from Src.Library.original_path import NotAnOriginal
from Src.Library.tests.copies_bench import CopyBench, Wrapped, files_below, flip_keeping_time
from Src.Library.vault import Vault
from Src.Shared.database import Database
from Src.Shared.ledger_text import to_ledger
from Src.Shared.settings import Settings
from Src.Testing.filled_vault import fill
from Src.Testing.surroundings import SmallFilesystem

COUNT = 16
ODD_NAME = os.fsdecode(b"IMG \\ \xff\n.jpg")
DUMPED = {"public.media_assets": COUNT}


@pytest.fixture
def bench(factory_settings: Settings, database: Database) -> CopyBench:
    vault = Vault(factory_settings.storage)
    hashes = fill(vault, database, COUNT, step=timedelta(hours=7), names=[ODD_NAME])
    Belonging(factory_settings, vault).establish(database)
    bench = CopyBench(factory_settings, database, hashes)
    bench.beside(3, "IMG_0003.AAE", "aae", b"edits")
    overlay = factory_settings.storage / "Overlay" / "2024"
    overlay.mkdir(parents=True)
    (overlay / "2024-07.jsonl").write_bytes(b'{"one": 1}\n')
    manifests = factory_settings.storage / "Manifests" / "2024"
    manifests.mkdir(parents=True)
    lines = "".join(f"{one}  {bench.original(n).partition('/')[2]}\n" for n, one in enumerate(hashes[:4]) if n)
    (manifests / "2024-07-01.sha256").write_text(lines)
    return bench


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return tmp_path / "disk"


@pytest.fixture
def copied(bench: CopyBench, disk: Path) -> CopyBench:
    bench.add("disk", disk)
    done = bench.run("disk")
    assert done.is_well, done
    return bench


def drill(bench: CopyBench, day: str | None = None) -> Drilled:
    row = bench.row("disk")
    with open_copy(bench.settings, bench.sessions, row) as target:
        vault_id = vault_of(bench.sessions)
        one = Drill(
            bench.rows, row, target, bench.settings.state / "drill", lambda: check_marker(target, row, vault_id)
        )
        return one.run(lambda _: dict(DUMPED), day)


def test_everything_is_there_and_counts(copied: CopyBench, disk: Path) -> None:
    there = files_below(disk)
    here = files_below(copied.settings.storage)
    for path, content in here.items():
        if path.split("/")[0] in ("Originals", "Overlay", "Manifests") and "photo-factory-vault" not in path:
            assert there[path] == content
    assert not [path for path in there if "factory-part" in path]
    assert (copied.flags(), copied.counted_wrongly("disk", disk)) == ((COUNT, COUNT), [])
    again = copied.run("disk")
    assert (again.copied, again.others, again.reread, again.there, again.is_well) == (0, 0, 0, COUNT, True)


@pytest.mark.parametrize("step", ["put", "settle", "read", "stored", "check_here"])
def test_killed_again_and_again_it_ends_right(bench: CopyBench, disk: Path, step: str) -> None:
    """Each time one such step later: 50 kills and more in all."""
    bench.add("disk", disk)
    for number in range(12):
        child = os.fork()
        if child == 0:
            _until_killed(bench, step, 1 + number * (3 if step != "settle" else 1))
        _, status = os.waitpid(child, 0)
        assert (os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0) or os.WTERMSIG(status) == signal.SIGKILL
        assert bench.counted_wrongly("disk", disk) == []
    done = bench.run("disk")
    assert (done.is_complete, done.there, done.failed) == (True, COUNT, {})
    assert bench.counted_wrongly("disk", disk) == []
    assert not [path for path in files_below(disk) if "factory-part" in path]


def _until_killed(bench: CopyBench, step: str, at: int) -> None:
    class Killing(Wrapped):
        left = at

        def __getattr__(self, name: str) -> Any:
            if name == step:
                self.left -= 1
                if not self.left:
                    os.kill(os.getpid(), signal.SIGKILL)
            return super().__getattr__(name)

    try:
        database = Database(bench.settings)
        CopyBench(bench.settings, database, bench.hashes).run("disk", wrap=lambda one: Killing(one))
        os._exit(0)
    finally:
        os._exit(3)


def test_a_full_disk_ends_it_and_nothing_counts_that_is_not_there(
    bench: CopyBench, small_filesystem: SmallFilesystem
) -> None:
    folder = small_filesystem("tmpfs", 1)
    with open(folder / "other", "wb") as file:
        file.write(bytes(4096 * 244))  # 12 pages are left
    bench.add("disk", folder)
    done = bench.run("disk")
    assert done.trouble is not None and "full" in done.trouble
    assert 0 < done.there < COUNT
    assert bench.counted_wrongly("disk", folder) == []
    (folder / "other").unlink()
    assert bench.run("disk").there == COUNT
    assert bench.counted_wrongly("disk", folder) == []


@pytest.mark.parametrize("step", ["put", "settle", "read"])
def test_unplugged_midway_nothing_more_counts(bench: CopyBench, disk: Path, tmp_path: Path, step: str) -> None:
    away = tmp_path / "away"
    bench.add("disk", disk)

    class Unplugging(Wrapped):
        def __getattr__(self, name: str) -> Any:
            if name == step and disk.exists() and not away.exists():
                disk.rename(away)
                disk.mkdir()  # the empty mount point
            return super().__getattr__(name)

    done = bench.run("disk", wrap=lambda one: Unplugging(one))
    assert done.trouble is not None
    assert done.there == 0
    assert os.listdir(disk) == [], "nothing is written to what is not the disk"
    with pytest.raises(CopyTrouble, match="is the disk plugged in"):
        bench.run("disk")
    disk.rmdir()
    with pytest.raises(CopyTrouble, match="no such folder"):
        bench.run("disk")
    away.rename(disk)
    assert bench.run("disk").there == COUNT
    assert bench.counted_wrongly("disk", disk) == []


def test_one_disk_is_never_taken_for_another(copied: CopyBench, disk: Path, tmp_path: Path) -> None:
    own = (disk / MARKER).read_bytes()
    other = CopyMarker(uuid.uuid4(), copied.row("disk").id)
    before = files_below(disk)
    for content, said in (
        (other.content, "another vault"),
        (CopyMarker(vault_of(copied.sessions), uuid.uuid4()).content, "another copy"),
        (b"", "plugged in"),
        (own[:60], "plugged in"),
    ):
        (disk / MARKER).write_bytes(content)
        with pytest.raises(CopyTrouble, match=said):
            copied.run("disk")
        assert {path: one for path, one in files_below(disk).items() if path != MARKER} == {
            path: one for path, one in before.items() if path != MARKER
        }
    (disk / MARKER).write_bytes(other.content)
    with pytest.raises(CopyTrouble, match="another vault"):
        copied.add("second", disk)
    (disk / MARKER).write_bytes(own)
    with pytest.raises(CopyTrouble, match="is the copy disk already"):
        copied.add("second", disk)
    (disk / MARKER).unlink()
    with pytest.raises(CopyTrouble, match="no copy of ours"):
        copied.add("second", disk)
    for folder in (copied.settings.storage, copied.settings.data / "new", tmp_path):
        with pytest.raises(CopyTrouble, match="must stand elsewhere"):
            copied.add("second", folder)
    with pytest.raises(CopyTrouble, match="no such folder"):
        copied.add("second", tmp_path / "a" / "b")


def test_a_copy_that_is_known_no_more_is_taken_up_again(copied: CopyBench, disk: Path) -> None:
    copied.rows.remove(copied.row("disk").id)
    assert (copied.flags(), copied.rows.all()) == ((0, 0), [])
    before = files_below(disk)
    copied.add("Again", disk)
    done = copied.run("again")
    assert (done.there, done.wrong, done.failed) == (COUNT, {}, {})
    assert files_below(disk) == before
    assert copied.flags() == (COUNT, COUNT)


def test_a_flipped_bit_counts_no_more_and_is_put_right(copied: CopyBench, disk: Path) -> None:
    path = copied.original(5)
    good = (disk / path).read_bytes()
    flip_keeping_time(disk / path)
    assert copied.run("disk").is_well, "nobody sees it without reading"
    done = copied.run("disk", reads_all=True)
    assert (list(done.wrong), done.there) == ([path], COUNT)
    assert (disk / path).read_bytes() == good
    assert copied.counted_wrongly("disk", disk) == []
    assert [one for one in files_below(disk) if one.startswith("Damaged/") and one.endswith(path)]

    os.utime(disk / path, ns=(1, 1))
    assert (copied.run("disk").reread, copied.run("disk").reread) == (1, 0), "touched, and right"
    (disk / path).chmod(0o640)
    (disk / path).write_bytes(good[:-1] + b"?")
    (disk / copied.original(6)).unlink()
    done = copied.run("disk")
    assert (set(done.wrong), done.there) == ({path, copied.original(6)}, COUNT)
    assert copied.counted_wrongly("disk", disk) == []


def test_a_drill_finds_what_is_wrong_and_is_noted(copied: CopyBench, disk: Path) -> None:
    day = copied.original(2).split("/")[2]
    done = drill(copied, day)
    assert (done.day, done.wrong, done.database_ok) == (day, {}, None)
    assert done.ok == done.files > 1 and done.listed == 2
    flip_keeping_time(disk / copied.original(2))
    done = drill(copied, day)
    assert list(done.wrong) == [copied.original(2)]
    assert copied.flags() == (COUNT - 1, COUNT - 1)
    row = copied.row("disk")
    assert row.drill_result is not None and row.drill_result["wrong"] and row.drilled_at is not None
    assert not (copied.settings.state / "drill").exists()
    assert copied.run("disk").there == COUNT
    with pytest.raises(CopyTrouble, match="no photos of the day"):
        drill(copied, "1999-01-01")


def test_what_a_medium_writes_wrongly_does_not_count(bench: CopyBench, disk: Path) -> None:
    bench.add("disk", disk)
    bad = bench.original(7)

    class Rotting(Wrapped):
        def put(self, path: str, pieces: Iterable[bytes], *, replaces: bool = False) -> None:
            changed = (piece[:-1] + b"!" for piece in pieces) if path == bad else pieces
            self.inner.put(path, changed, replaces=replaces)

    done = bench.run("disk", wrap=lambda one: Rotting(one))
    assert (list(done.failed), done.there) == ([bad], COUNT - 1)
    assert bench.counted_wrongly("disk", disk) == []
    assert bench.run("disk").there == COUNT


def test_what_is_rotten_or_missing_here_is_not_copied(bench: CopyBench, disk: Path) -> None:
    bench.add("disk", disk)
    flip_keeping_time(bench.settings.storage / bench.original(1))
    (bench.settings.storage / bench.original(2)).unlink()
    done = bench.run("disk")
    assert set(done.failed) == {bench.original(1), bench.original(2)}
    assert not (disk / bench.original(1)).exists()
    assert done.there == COUNT - 2


def test_links_are_followed_nowhere(bench: CopyBench, disk: Path, tmp_path: Path) -> None:
    bench.add("disk", disk)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (disk / "Originals").symlink_to(elsewhere)
    done = bench.run("disk")
    assert (done.there, os.listdir(elsewhere)) == (0, [])
    assert done.failed or done.trouble


def test_what_moved_here_moves_there(copied: CopyBench, disk: Path) -> None:
    old = copied.original(4)
    new = "Originals/2020/2020-01-02/moved.jpg"
    (copied.settings.storage / new).parent.mkdir(parents=True)
    (copied.settings.storage / old).rename(copied.settings.storage / new)
    copied.sql("UPDATE media_assets SET final_path = :n WHERE final_path = :o", n=new, o=to_ledger(old))
    done = copied.run("disk")
    assert (done.moved, done.wrong, done.failed, done.there) == (1, {}, {}, COUNT)
    assert (disk / new).is_file() and not (disk / old).exists()
    assert copied.counted_wrongly("disk", disk) == []


def test_what_is_emptied_here_goes_there_after_a_grace(copied: CopyBench, disk: Path) -> None:
    for number, days in ((3, 40), (6, 3)):
        path, sha256 = copied.original(number), copied.hashes[number]
        copied.sql(
            "INSERT INTO trash (file_hash, file_size, original_name, trash_path, removed_by, act_id, asset, "
            "belongings, companions) SELECT file_hash, file_size, original_name, "
            "replace(final_path, 'Originals', 'Trash'), 'me', "
            "gen_random_uuid(), to_jsonb(a), '{}', '{}' FROM media_assets AS a WHERE file_hash = :h",
            h=sha256,
        )
        copied.sql("SELECT take_from_library(ARRAY[CAST(:h AS text)])", h=sha256)
        copied.sql("DELETE FROM trash")
        copied.sql(
            "INSERT INTO tombstones (file_hash, file_size, original_name, final_path, removed_at, removed_by, "
            "emptied_at, emptied_by, act_id) VALUES (:h, 1, 'x', :p, now(), 'me', now() - :d * interval '1 day', "
            "'me', gen_random_uuid())",
            h=sha256,
            p=path,
            d=days,
        )
    long_there = "UPDATE copied_files SET there_since = now() - interval '50 days'"
    copied.sql("UPDATE copies SET ran_at = now() + interval '1 year'")
    copied.sql(long_there)
    assert copied.run("disk").removed == 0, "the clock is wrong, or was"
    copied.sql("UPDATE copies SET ran_at = now() - interval '20 days'")
    assert copied.run("disk").removed == 0, "nobody saw before that the grace is over"
    copied.sql("UPDATE copied_files SET there_since = now()")
    assert copied.run("disk").removed == 0, "it came there later than it went from here"
    copied.sql(long_there)
    gone = {path for path in files_below(disk) if "IMG_0003" in path}
    assert len(gone) == 2
    before = files_below(disk)
    done = copied.run("disk")
    assert (done.removed, done.there) == (2, COUNT - 2)
    assert before.keys() - files_below(disk).keys() == gone
    assert copied.counted_wrongly("disk", disk) == []


def test_logs_grow_and_what_else_is_replaced_stays_in_earlier(copied: CopyBench, disk: Path) -> None:
    log = copied.settings.storage / "Overlay/2024/2024-07.jsonl"
    log.write_bytes(b'{"one": 1}\n{"two": 2}\n')
    assert (copied.run("disk").others, (disk / "Overlay/2024/2024-07.jsonl").read_bytes()) == (1, log.read_bytes())
    assert not (disk / "Earlier").exists()
    log.write_bytes(b'{"other": 1}\n')
    assert copied.run("disk").others == 1
    earlier = [content for path, content in files_below(disk).items() if path.startswith("Earlier/")]
    assert earlier == [b'{"one": 1}\n{"two": 2}\n']


def test_fetch_gives_the_very_bytes_or_nothing(copied: CopyBench, disk: Path, tmp_path: Path) -> None:
    good = (disk / copied.original(0)).read_bytes()
    with open(tmp_path / "into", "w+b") as into:
        into.write(b"longer than anything that was there before" * 100)
        into.flush()
        size = fetch(copied.settings, copied.sessions, "disk", copied.hashes[0], into.fileno())
        assert (size, (tmp_path / "into").read_bytes()) == (len(good), good)
        flip_keeping_time(disk / copied.original(0))
        with pytest.raises(NotAtCopy, match="other bytes"):
            fetch(copied.settings, copied.sessions, "disk", copied.hashes[0], into.fileno())
        assert (tmp_path / "into").read_bytes() == b""
        (disk / copied.original(0)).unlink()
        with pytest.raises(NotAtCopy, match="not there any more"):
            fetch(copied.settings, copied.sessions, "disk", copied.hashes[0], into.fileno())
        with pytest.raises(NotAtCopy, match="not known"):
            fetch(copied.settings, copied.sessions, "disk", "0" * 64, into.fileno())
        with pytest.raises(CopyTrouble, match="no copy"):
            fetch(copied.settings, copied.sessions, "none", copied.hashes[0], into.fileno())
        with pytest.raises(NotAnOriginal):
            fetch(copied.settings, copied.sessions, "disk", "../x", into.fileno())


def test_copies_are_counted_that_were_read_back_lately(copied: CopyBench, tmp_path: Path) -> None:
    copied.add("second", tmp_path / "second")
    assert copied.run("second").is_well
    one = copied.hashes[0]
    copied.sql("UPDATE copies SET has_own_disk = true")
    with copied.sessions() as session:
        assert copies_of(session, [one, "0" * 64], datetime.now(UTC) - timedelta(days=1)) == {one: 2}
    copied.sql("UPDATE copies SET has_own_disk = false WHERE name = 'disk'")
    with copied.sessions() as session:
        assert copies_of(session, [one], datetime.now(UTC) - timedelta(days=1)) == {one: 1}, "on the vault's disk"
    copied.sql("UPDATE copies SET has_own_disk = true")
    long_ago = "UPDATE copied_files SET read_back_at = now() - interval '70 days'"
    copied.sql(long_ago)
    with copied.sessions() as session:
        assert copies_of(session, [one], datetime.now(UTC) - timedelta(days=1)) == {}
    assert copied.run("second").reread > COUNT, "what was read back so long ago is read again"
    copied.sql("UPDATE copies SET has_own_disk = true")
    with copied.sessions() as session:
        assert copies_of(session, [one], datetime.now(UTC) - timedelta(days=1)) == {one: 1}


def test_three_two_one(copied: CopyBench) -> None:
    at_home = standing_of(copied.rows, copied.row("disk"), COUNT)
    assert at_home.has_all and not at_home.row.has_own_disk
    away = Standing(at_home.row._replace(kind="s3", has_own_disk=True), at_home.counts, COUNT)
    partly = Standing(away.row, at_home.counts._replace(originals=1), COUNT)
    here_by_ssh = Standing(at_home.row._replace(kind="sftp"), at_home.counts, COUNT)
    assert three_two_one(COUNT, [at_home, here_by_ssh]).as_json()["disks"] == 1
    assert three_two_one(COUNT, [at_home, partly]).as_json()["reached"] is False
    state = three_two_one(COUNT, [at_home, away])
    assert (state.copies, state.disks, state.elsewhere, state.is_reached) == (3, 2, 1, True)


def test_an_encrypted_copy_says_nothing_and_gives_all_back(bench: CopyBench, disk: Path, tmp_path: Path) -> None:
    import pyrage

    key = tmp_path / "key.txt"
    key.write_text(f"# made\n{pyrage.x25519.Identity.generate()}\n")
    bench.settings = with_credentials(bench.settings, tmp_path, f"[disk]\nage_key = {key}\n")
    bench.add("disk", disk, encrypted=True)
    done = bench.run("disk")
    assert done.is_well and bench.flags() == (COUNT, COUNT)
    there = files_below(disk)
    assert all(path.endswith(".age") or path in (MARKER, "README.txt") for path in there)
    assert not any(b"original IMG" in content for content in there.values())
    assert bench.run("disk").copied == 0
    with open(tmp_path / "into", "w+b") as into:
        fetch(bench.settings, bench.sessions, "disk", bench.hashes[1], into.fileno())
    assert (tmp_path / "into").read_bytes() == (bench.settings.storage / bench.original(1)).read_bytes()
    flip_keeping_time(disk / f"{bench.original(1)}.age")
    done = bench.run("disk", reads_all=True)
    assert (list(done.wrong), done.there) == ([bench.original(1)], COUNT)
    key.write_text(f"{pyrage.x25519.Identity.generate()}\n")
    with pytest.raises(CopyTrouble, match="another key"):
        bench.run("disk")
    assert bench.flags() == (COUNT, COUNT)


def with_credentials(settings: Settings, folder: Path, content: str) -> Settings:
    import dataclasses

    file = folder / "credentials"
    file.write_text(content)
    file.chmod(0o600)
    return dataclasses.replace(settings, copies_credentials=file)


def test_credentials_are_for_their_owner_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    assert credentials_of(None, "nas") == {}
    with pytest.raises(CopyTrouble, match="cannot be read"):
        credentials_of(file, "nas")
    file.write_text("[nas]\npassword = %secret\n")
    file.chmod(0o640)
    with pytest.raises(CopyTrouble, match="chmod 600"):
        credentials_of(file, "nas")
    file.chmod(0o600)
    assert (credentials_of(file, "NAS"), credentials_of(file, "other")) == ({"password": "%secret"}, {})
    file.write_text("[nas]\nsecret without a name\n")
    with pytest.raises(CopyTrouble) as caught:
        credentials_of(file, "nas")
    assert "secret" not in str(caught.value)


def test_forms_of_targets() -> None:
    assert [kind_of(one) for one in ("/media/x", "rel", "sftp://a@b/c", "s3://bucket")] == [
        *("folder", "folder", "sftp", "s3")
    ]
    with pytest.raises(CopyTrouble, match="is no target"):
        kind_of("ftp://x")


def test_a_pace_is_kept_and_can_be_stopped(copied: CopyBench) -> None:
    pace = Pace(1.0)
    pace.stop()
    done = copied.run("disk", pace=pace)
    assert (done.is_complete, done.trouble) == (False, None)


MOMENTS = st.lists(
    st.datetimes(datetime(2019, 1, 1), datetime(2026, 1, 1)).map(lambda one: one.replace(tzinfo=UTC, microsecond=0)),
    max_size=60,
)


@given(MOMENTS)
def test_which_dumps_stay(moments: list[datetime]) -> None:
    kept = retention.to_keep(moments)
    assert kept <= set(moments) and len(kept) <= 7 + 5 + 12
    newest = sorted(set(moments), reverse=True)
    assert kept >= set(newest[:1])
    days = sorted({one.date() for one in moments}, reverse=True)[:7]
    assert {one.date() for one in kept} >= set(days)
    months = sorted({(one.year, one.month) for one in moments}, reverse=True)[:12]
    assert {(one.year, one.month) for one in kept} >= set(months)
    weeks = sorted({one.isocalendar()[:2] for one in moments}, reverse=True)[:5]
    assert {one.isocalendar()[:2] for one in kept} >= set(weeks)
    names = [retention.dump_name(one) for one in moments]
    now, future = (
        datetime(2026, 1, 1, tzinfo=UTC),
        [f"photo-factory-{year}-01-01T000000Z.dump" for year in range(2027, 2040)],
    )
    removed = set(retention.to_remove([*names, "mine.dump", *future], now))
    assert removed == {retention.dump_name(one) for one in set(moments) - kept}
