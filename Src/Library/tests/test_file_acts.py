"""Acts that touch files: dates, trash, and what takes them back, with a real ledger."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text

from Src.Library.file_acts import ActRefused, FileActs, Progress, undo_moves
from Src.Library.move_plan import plan
from Src.Library.open_places import OpenPlaces
from Src.Library.overlay.lines import EventLine, line_of_event, read_line
from Src.Library.redating import DateRefused, set_parameters, shift_parameters
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.disk.beneath import rename_unless_taken_at
from Src.Shared.models import (
    Act,
    Album,
    AlbumItem,
    AssetTag,
    FileMove,
    LeftPath,
    LibraryDay,
    MediaAsset,
    OverlayEvent,
    Tombstone,
    TrashItem,
)
from Src.Shared.settings import Settings
from Src.Testing.filled_vault import FIRST, fill, standing

HOURS = shift_parameters(timedelta(hours=-12))


@pytest.fixture
def vault(factory_settings: Settings) -> Vault:
    factory_settings.storage.mkdir(parents=True)
    return Vault(factory_settings.storage)


@pytest.fixture
def file_acts(factory_settings: Settings, vault: Vault, database: Database) -> FileActs:
    return FileActs(vault, database, factory_settings.zone)


Do = Callable[..., Progress]


@pytest.fixture
def do(file_acts: FileActs) -> Do:
    def do(kind: str, hashes: Sequence[str], **parameters: Any) -> Progress:
        with file_acts.session() as session:
            act = file_acts.begin(session, kind, "ada", hashes, parameters)
        return finish(file_acts, act)

    return do


def finish(file_acts: FileActs, act: Act) -> Progress:
    with file_acts.turn() as mine:
        assert mine
        *_, progress = file_acts.steps(act.id)
    return progress


def undo(file_acts: FileActs, act: uuid.UUID) -> Progress:
    with file_acts.session() as session:
        back = undo_moves(session, file_acts, session.get_one(Act, act), "bob")
    return finish(file_acts, back)


def rows(database: Database) -> dict[str, tuple[str, Any]]:
    with database.session() as session:
        found = session.execute(select(MediaAsset.file_hash, MediaAsset.final_path, MediaAsset.captured_at))
        return {sha256: (path, when) for sha256, path, when in found}


def in_trash(database: Database) -> dict[str, str]:
    with database.session() as session:
        return dict(session.execute(select(TrashItem.file_hash, TrashItem.trash_path)).all())


def assert_all_agrees(database: Database, vault: Vault, hashes: Sequence[str]) -> None:
    """Every file is at one place, the rows say so, the folder is the day, and nothing is under way."""
    there = standing(vault.storage)
    assert all(len(paths) == 1 for paths in there.values()), there
    known = rows(database)
    trashed = in_trash(database)
    assert not known.keys() & trashed.keys()
    assert {sha256: path for sha256, (path, _) in known.items()} | trashed == {s: p[0] for s, p in there.items()}
    assert set(there) == set(hashes)
    for path, when in known.values():
        assert path.split("/")[2] == when.date().isoformat()
    with database.session() as session:
        assert session.scalar(select(func.count()).select_from(FileMove)) == 0
        counted = dict(session.execute(select(LibraryDay.day, LibraryDay.originals)).all())
    days = [when.date() for _, when in known.values()]
    assert counted == {day: days.count(day) for day in set(days)}


def days(vault: Vault, top: str = "Originals") -> list[str]:
    return sorted(path.name for path in (vault.storage / top).glob("*/*") if path.is_dir())


def test_a_shift_moves_each_original_to_its_day_and_undo_brings_it_back(
    do: Do, file_acts: FileActs, vault: Vault, database: Database
) -> None:
    hashes = fill(vault, database, 60)
    before, there_before = rows(database), standing(vault.storage)
    done = do("redate", hashes, **HOURS)
    assert (done.done, done.stay) == (60, {})
    assert_all_agrees(database, vault, hashes)
    after = rows(database)
    assert all(after[s][1] == before[s][1] - timedelta(hours=12) for s in hashes)
    with database.session() as session:
        assert set(session.scalars(select(MediaAsset.date_source))) == {"correction"}
        events = session.scalars(select(OverlayEvent).where(OverlayEvent.act_id == done.act)).all()
        assert len(events) == 60 and {event.who for event in events} == {"ada"}
        assert session.get_one(Act, done.act).status == "done"
    undone = undo(file_acts, done.act)
    assert undone.done == 60
    assert (rows(database), standing(vault.storage)) == (before, there_before)
    assert_all_agrees(database, vault, hashes)
    with database.session() as session:
        assert set(session.scalars(select(MediaAsset.date_source))) == {"exif:DateTimeOriginal"}
        assert session.get_one(Act, done.act).status == "undone"


def test_undo_leaves_what_was_changed_again_since(
    do: Do, file_acts: FileActs, vault: Vault, database: Database
) -> None:
    hashes = fill(vault, database, 3)
    first = do("redate", hashes, **HOURS)
    do("redate", hashes[:1], **HOURS)
    undone = undo(file_acts, first.act)
    assert undone.stay == {hashes[0]: "its date was changed again since"}
    assert rows(database)[hashes[0]][1] == FIRST - timedelta(hours=24)
    assert rows(database)[hashes[1]][1] == FIRST + timedelta(minutes=97)
    assert_all_agrees(database, vault, hashes)


def test_a_date_is_set_for_a_whole_sequence(do: Do, vault: Vault, database: Database) -> None:
    hashes = fill(vault, database, 3)
    do("redate", hashes, **set_parameters("2019-12-31 23:59:00+01:00", "60"))
    found = rows(database)
    assert [str(found[sha256][1]) for sha256 in hashes] == [
        "2019-12-31 23:59:00",
        "2020-01-01 00:00:00",
        "2020-01-01 00:01:00",
    ]
    with database.session() as session:
        assert set(session.scalars(select(MediaAsset.captured_at_offset))) == {60}
    assert_all_agrees(database, vault, hashes)


@pytest.mark.parametrize("days_", [-80_000, 80_000, 10**9])
def test_a_date_that_none_can_have_is_refused_for_all(do: Do, vault: Vault, database: Database, days_: int) -> None:
    hashes = fill(vault, database, 3)
    before = standing(vault.storage)
    with pytest.raises(DateRefused, match="nothing was changed"):
        do("redate", hashes, shift=days_ * 86_400)
    assert standing(vault.storage) == before
    with database.session() as session:
        assert session.scalar(select(func.count()).select_from(Act)) == 0


def test_a_name_that_is_taken_gets_a_number_and_loses_it_again(
    do: Do, file_acts: FileActs, vault: Vault, database: Database
) -> None:
    """Two names that differ only in capitals are one name."""
    hashes = fill(vault, database, 2, step=timedelta(days=1), names=["a.jpg", "A.JPG"])
    done = do("redate", hashes[:1], **shift_parameters(timedelta(days=1)))
    assert rows(database)[hashes[0]][0] == "Originals/2024/2024-07-02/a_1.jpg"
    undo(file_acts, done.act)
    assert rows(database)[hashes[0]][0] == "Originals/2024/2024-07-01/a.jpg"
    assert_all_agrees(database, vault, hashes)


def test_a_path_that_an_original_has_left_goes_to_no_other(do: Do, vault: Vault, database: Database) -> None:
    hashes = fill(vault, database, 2, step=timedelta(days=1), names=["a.jpg", "a.jpg"])
    do("redate", hashes[:1], **shift_parameters(timedelta(days=-5)))
    do("redate", hashes[1:], **shift_parameters(timedelta(days=-1)))
    assert rows(database)[hashes[1]][0] == "Originals/2024/2024-07-01/a_1.jpg"
    assert_all_agrees(database, vault, hashes)


def test_a_strangers_file_is_never_replaced_and_its_folder_stays(do: Do, vault: Vault, database: Database) -> None:
    hashes = fill(vault, database, 2, step=timedelta(hours=1))
    stranger = vault.storage / "Originals/2024/2024-07-02/IMG_0000.jpg"
    stranger.parent.mkdir()
    stranger.write_text("a stranger's")
    note = vault.storage / "Originals/2024/2024-07-01/note.txt"
    note.write_text("another's")
    do("redate", hashes, **shift_parameters(timedelta(days=1)))
    assert stranger.read_text() == "a stranger's"
    assert {path for path, _ in rows(database).values()} == {
        "Originals/2024/2024-07-02/IMG_0000_1.jpg",
        "Originals/2024/2024-07-02/IMG_0001.jpg",
    }
    assert days(vault) == ["2024-07-01", "2024-07-02"]
    note.unlink()


def test_what_comes_to_the_name_between_plan_and_move_is_not_replaced(
    do: Do, vault: Vault, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes = fill(vault, database, 1)
    stranger = vault.storage / "Originals/2024/2024-07-02/IMG_0000.jpg"

    def planned(*given: Any) -> Any:
        made = plan(*given)
        if not stranger.exists():
            stranger.write_text("a stranger's")
        return made

    monkeypatch.setattr("Src.Library.file_acts.plan", planned)
    done = do("redate", hashes, **shift_parameters(timedelta(days=1)))
    assert (done.done, done.stay) == (1, {})
    assert stranger.read_text() == "a stranger's"
    assert rows(database)[hashes[0]][0] == "Originals/2024/2024-07-02/IMG_0000_1.jpg"


@pytest.mark.parametrize("what", ["link", "refusing", "file"])
def test_a_folder_that_cannot_be_used_keeps_only_its_own(
    do: Do, vault: Vault, database: Database, tmp_path: Path, what: str
) -> None:
    if what == "refusing" and os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    hashes = fill(vault, database, 2, step=timedelta(days=3))
    in_the_way = vault.storage / "Originals/2024/2024-07-02"
    if what == "link":
        in_the_way.symlink_to(tmp_path)
    elif what == "file":
        in_the_way.write_text("no folder")
    else:
        in_the_way.mkdir(mode=0o500)
    done = do("redate", hashes, **shift_parameters(timedelta(days=1)))
    assert done.done == 1 and list(done.stay) == hashes[:1]
    assert os.listdir(tmp_path) and not (tmp_path / "IMG_0000.jpg").exists()
    found = rows(database)
    assert found[hashes[0]] == ("Originals/2024/2024-07-01/IMG_0000.jpg", FIRST)
    assert found[hashes[1]][0] == "Originals/2024/2024-07-05/IMG_0001.jpg"
    with database.session() as session:
        assert "one stays" in (session.get_one(Act, done.act).message or "")
    if what != "link":
        in_the_way.chmod(0o700)


@pytest.mark.parametrize(("code", "stay"), [(errno.EACCES, 1), (errno.ENOSPC, 4)])
def test_a_refused_rename_keeps_its_file_and_a_full_disk_ends_the_act(
    do: Do, vault: Vault, database: Database, monkeypatch: pytest.MonkeyPatch, code: int, stay: int
) -> None:
    hashes = fill(vault, database, 4)
    names = []

    def rename(source: int, name: str, target: int, new_name: str) -> None:
        names.append(name)
        if code == errno.ENOSPC or len(names) == 2:
            raise OSError(code, os.strerror(code), name)
        rename_unless_taken_at(source, name, target, new_name)

    monkeypatch.setattr("Src.Library.moves.rename_unless_taken_at", rename)
    if code == errno.ENOSPC:
        with pytest.raises(VaultTrouble, match="No space left"):
            do("redate", hashes, **shift_parameters(timedelta(days=1)))
    else:
        assert list(do("redate", hashes, **shift_parameters(timedelta(days=1))).stay) == [hashes[1]]
    assert_all_agrees(database, vault, hashes)
    assert sum(path.startswith("Originals/2024/2024-07-01/") for path, _ in rows(database).values()) == stay


@pytest.mark.parametrize("name", ["a\nb'; DROP TABLE trash;--.jpg", "caf\udce9.jpg", "ä" * 120 + ".jpg", "a\\b%_.jpg"])
def test_hostile_names_go_to_the_trash_and_come_back(do: Do, vault: Vault, database: Database, name: str) -> None:
    hashes = fill(vault, database, 1, names=[name])
    before = standing(vault.storage)
    do("redate", hashes, **HOURS)
    do("remove", hashes)
    assert list(standing(vault.storage).values()) == [[f"Trash/2024/2024-06-30/{name}"]]
    do("restore", hashes)
    do("redate", hashes, **shift_parameters(timedelta(hours=12)))
    assert standing(vault.storage) == before


def test_removed_originals_come_back_with_all_that_was_known(do: Do, vault: Vault, database: Database) -> None:
    hashes = fill(vault, database, 20)
    with database.session() as session:
        ids = session.scalars(select(MediaAsset.id).order_by(MediaAsset.captured_at)).all()
        album = Album(name="Summer")
        session.add(album)
        session.flush()
        session.execute(insert(AssetTag), [{"asset_id": id_, "tag": "Grandma"} for id_ in ids])
        session.execute(
            insert(AlbumItem), [{"album_id": album.id, "asset_id": id_, "position": n} for n, id_ in enumerate(ids)]
        )
        session.execute(text('UPDATE media_assets SET rating = 4, location = \'{"lat": 1.25, "lon": -2}\''))
        gone = Album(name="gone")
        session.add(gone)
        session.flush()
        session.execute(insert(AlbumItem), [{"album_id": gone.id, "asset_id": ids[0], "position": 1}])

    def everything() -> list[Any]:
        with database.session() as session:
            return [
                sorted(map(tuple, session.execute(text(f"SELECT {columns} FROM {table}")).all()), key=repr)
                for table, columns in (
                    ("media_assets", "to_jsonb(media_assets)"),
                    ("asset_tags", "*"),
                    ("album_items", "*"),
                    ("library_days", "*"),
                )
            ]

    before, there_before = everything(), standing(vault.storage)
    assert do("remove", hashes).done == 20
    assert rows(database) == {} and days(vault) == []
    assert everything() == [[], [], [], []]
    assert_all_agrees(database, vault, hashes)
    trash = vault.storage / "Trash"
    assert {trash.stat().st_mode & 0o777, (trash / "2024").stat().st_mode & 0o777} == {0o700}
    with database.session() as session:
        session.execute(text("DELETE FROM albums WHERE name = 'gone'"))
    assert do("restore", hashes).done == 20
    before[2] = [row for row in before[2] if row[0] == album.id]
    assert (everything(), standing(vault.storage)) == (before, there_before)
    assert_all_agrees(database, vault, hashes)
    assert not list(trash.glob("*"))


def test_what_takes_back_is_taken_back_too(do: Do, file_acts: FileActs, vault: Vault, database: Database) -> None:
    hashes = fill(vault, database, 3)
    before = rows(database)
    first = do("redate", hashes, **HOURS)
    after = rows(database)
    back = undo(file_acts, first.act)
    assert rows(database) == before
    undo(file_acts, back.act)
    assert rows(database) == after
    removal = do("remove", hashes)
    back = undo(file_acts, removal.act)
    assert rows(database) == after
    undo(file_acts, back.act)
    assert set(in_trash(database)) == set(hashes)
    emptied = do("empty", hashes)
    with pytest.raises(ActRefused, match="cannot be taken back"):
        undo(file_acts, emptied.act)
    with database.session() as session:
        undone = [event.undoes for event in session.scalars(select(OverlayEvent).order_by(OverlayEvent.seq))]
    assert [one is None for one in undone] == [True] * 3 + [False] * 6 + [True] * 3 + [False] * 6 + [True] * 3


def test_removing_and_restoring_are_undone(do: Do, file_acts: FileActs, vault: Vault, database: Database) -> None:
    hashes = fill(vault, database, 4)
    before = rows(database)
    removal = do("remove", hashes)
    undo(file_acts, removal.act)
    assert rows(database) == before
    do("remove", hashes[:2])
    restoring = do("restore", hashes[:2])
    undo(file_acts, restoring.act)
    assert set(in_trash(database)) == set(hashes[:2])
    assert_all_agrees(database, vault, hashes)


def test_only_emptying_takes_bytes_and_it_leaves_tombstones(
    do: Do, file_acts: FileActs, vault: Vault, database: Database
) -> None:
    hashes = fill(vault, database, 3)
    do("remove", hashes[:2])
    other = vault.storage / "Trash/2024/2024-07-01/stranger.txt"
    other.write_text("a stranger's")
    assert do("empty", hashes).done == 2  # the third is in the library
    assert set(standing(vault.storage)) - set(hashes) and hashes[2] in standing(vault.storage)
    assert not set(hashes[:2]) & set(standing(vault.storage))
    assert other.read_text() == "a stranger's"
    with database.session() as session:
        stones = {stone.file_hash: stone for stone in session.scalars(select(Tombstone))}
        assert set(stones) == set(hashes[:2])
        assert stones[hashes[0]].emptied_by == "ada"
        assert stones[hashes[0]].final_path == "Originals/2024/2024-07-01/IMG_0000.jpg"
    assert in_trash(database) == {}


def test_what_the_acts_write_beside_the_vault_can_be_read_again(do: Do, vault: Vault, database: Database) -> None:
    hashes = fill(vault, database, 3)
    do("redate", hashes, **HOURS)
    do("remove", hashes)
    do("restore", hashes[:1])
    do("empty", hashes[1:])
    with database.session() as session:
        events = list(session.execute(select(OverlayEvent).order_by(OverlayEvent.seq)).scalars())
        read = [read_line(line_of_event(event).encode()) for event in events]
    assert [(one.field, one.after) for one in read if isinstance(one, EventLine)][3:] == [
        *[("removed", True)] * 3,
        ("removed", None),
        *[("removed", "emptied")] * 2,
    ]


def test_what_stands_in_the_trash_in_the_place_of_a_removed_original_is_not_deleted(
    do: Do, vault: Vault, database: Database
) -> None:
    hashes = fill(vault, database, 1)
    do("remove", hashes)
    (path,) = in_trash(database).values()
    (vault.storage / path).unlink()
    (vault.storage / path).write_text("somebody's")
    done = do("empty", hashes)
    assert list(done.stay) == hashes and (vault.storage / path).read_text() == "somebody's"
    assert set(in_trash(database)) == set(hashes)


def test_what_a_killed_run_left_is_finished_whichever_place_a_file_is_at(
    file_acts: FileActs, vault: Vault, database: Database
) -> None:
    hashes = fill(vault, database, 6)
    with file_acts.session() as session, OpenPlaces(vault.storage) as places, vault.lock():
        act = file_acts.begin(session, "redate", "ada", hashes, shift_parameters(timedelta(days=1)))
        asked = file_acts.deed(session, act).wanted(session, hashes, places)
        moves = plan(session, act.id, asked.wanted, vault).moves
    one, two, three, four, *_ = moves
    for move in (one, two):
        assert move.to_path
        os.rename(vault.storage / move.from_path, vault.storage / move.to_path)
    (vault.storage / str(three.to_path)).write_text("a stranger's")
    (vault.storage / str(four.to_path)).touch()  # a name reserved, where no rename spares
    with vault.lock():
        assert file_acts.finish_left() == 6
        assert file_acts.finish_left() == 0
    assert (vault.storage / str(three.to_path)).read_text() == "a stranger's"
    assert file_acts.open_acts() == [act.id]
    done = finish(file_acts, act)
    assert (done.done, done.stay) == (6, {})
    (vault.storage / str(three.to_path)).unlink()
    assert_all_agrees(database, vault, hashes)
    with database.session() as session:
        assert session.scalar(select(func.count()).select_from(OverlayEvent)) == 6
        assert session.get_one(Act, act.id).status == "done"


def test_a_ledger_that_goes_away_after_the_renames_is_told_later(
    file_acts: FileActs, vault: Vault, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes = fill(vault, database, 5)
    with file_acts.session() as session:
        act = file_acts.begin(session, "remove", "ada", hashes)

    def away(*_: Any) -> None:
        raise LedgerUnavailable("it has gone away")

    with monkeypatch.context() as patched:
        patched.setattr(FileActs, "_write", away)
        with pytest.raises(LedgerUnavailable):
            finish(file_acts, act)
    assert all(paths[0].startswith("Trash/") for paths in standing(vault.storage).values())
    assert len(rows(database)) == 5
    assert finish(file_acts, act).done == 5
    assert_all_agrees(database, vault, hashes)
    assert rows(database) == {}


def test_what_the_ledger_refuses_goes_back_and_holds_up_nothing(do: Do, vault: Vault, database: Database) -> None:
    hashes = fill(vault, database, 4)
    with database.session() as session:
        session.execute(
            text(f"ALTER TABLE media_assets ADD CHECK (file_hash <> '{hashes[1]}' OR date_source <> 'correction')")
        )
    done = do("redate", hashes, **shift_parameters(timedelta(days=1)))
    assert list(done.stay) == [hashes[1]] and "refuses" in done.stay[hashes[1]]
    assert done.done == 3
    assert rows(database)[hashes[1]][0] == "Originals/2024/2024-07-01/IMG_0001.jpg"
    assert_all_agrees(database, vault, hashes)


def test_what_cannot_get_its_row_back_stays_in_the_trash(do: Do, vault: Vault, database: Database) -> None:
    """A file in the library without its row would be known to nobody."""
    hashes = fill(vault, database, 3)
    do("remove", hashes[:2])
    with database.session() as session:  # another original has the id by now
        session.execute(
            text(
                "UPDATE trash SET asset = jsonb_set(asset, '{id}', to_jsonb(a.id)) "
                "FROM media_assets AS a WHERE trash.file_hash = :one"
            ),
            {"one": hashes[0]},
        )
    done = do("restore", hashes[:2])
    assert (done.done, list(done.stay)) == (1, [hashes[0]])
    assert "refuses" in done.stay[hashes[0]]
    assert set(in_trash(database)) == {hashes[0]}
    assert_all_agrees(database, vault, hashes)


def test_an_act_of_the_dashboard_names_ids(file_acts: FileActs, vault: Vault, database: Database) -> None:
    hashes = fill(vault, database, 3)
    with database.session() as session:
        id_ = session.scalars(select(MediaAsset.id).order_by(MediaAsset.captured_at)).first()
        session.add(Act(who="ada", kind="remove", parameters={"ids": [str(id_)]}, status="pending"))
        session.add(Act(who="ada", kind="rate", parameters={}, status="pending"))
        session.add(Act(who="ada", kind="redate", parameters={"hashes": ["x"], "set": "soon"}, status="pending"))
    with database.session() as session:
        acts = sorted((session.get_one(Act, one) for one in file_acts.open_acts()), key=lambda act: act.kind)[::-1]
    assert [act.kind for act in acts] == ["remove", "redate"]
    assert finish(file_acts, acts[0]).done == 1
    assert set(in_trash(database)) == {hashes[0]}
    with pytest.raises(DateRefused):
        finish(file_acts, acts[1])
    assert file_acts.open_acts() == []
    with database.session() as session:
        failed = session.get_one(Act, acts[1].id)
        assert failed.status == "failed" and "not understood" in (failed.message or "")


def test_only_one_process_carries_out_acts(file_acts: FileActs, vault: Vault, database: Database) -> None:
    fill(vault, database, 1)
    other = FileActs(vault, database, file_acts._zone)
    with file_acts.turn() as mine, other.turn() as theirs:
        assert (mine, theirs) == (True, False)
    with other.turn() as theirs:
        assert theirs


def test_paths_that_are_left_are_noted_once(do: Do, vault: Vault, database: Database) -> None:
    hashes = fill(vault, database, 1)
    for _ in range(2):
        do("remove", hashes)
        do("restore", hashes)
    with database.session() as session:
        assert session.scalars(select(LeftPath.final_path)).all() == ["Originals/2024/2024-07-01/IMG_0000.jpg"]
