"""`rebuild` beside what people and disks do: decisions that are taken back, files that rot, change and go."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from Src.Librarian.rebuild import Rebuild
from Src.Librarian.rebuild_whole import UndoneRebuild
from Src.Librarian.tests.test_rebuild import DAY, Bench, photo
from Src.Librarian.tests.test_rebuild_whole import KNOWABLE, Killed, act, decide, lose, said, state, whole
from Src.Librarian.tests.test_sidecars import xmp
from Src.Library.overlay import albums, changes
from Src.Library.overlay.undo import last_act, undo
from Src.Library.rebuilding.beside import Beside
from Src.Library.rebuilding.differences import REPORT
from Src.Library.rebuilding.placing import Placing
from Src.Library.rebuilding.standing import stands
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.database import Database
from Src.Shared.settings import Settings
from Src.Testing.roles import as_service

pytestmark = pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs ExifTool")


@pytest.fixture
def few(factory_settings: Settings) -> Iterator[Bench]:
    settings = replace(factory_settings, readers=1, batch_size=4, leaving_grace=0.0, leaving_grace_without_lease=0.0)
    database = Database(as_service(settings, "factory"))
    bench = Bench(settings, database)
    for number in range(4):
        bench.drop(f"{number}.jpg", photo(number))
    bench.drop("shot.jpg", photo(11))
    bench.drop("shot.AAE", b"adjusted")
    bench.ingest()
    yield bench
    database.close()


def path_of(bench: Bench, name: str) -> str:
    [(path,)] = bench.sql(f"SELECT final_path FROM media_assets WHERE original_name = '{name}'")
    return str(path)


def change(bench: Bench, path: str) -> None:
    """The file gets other bytes of the same size."""
    file = bench.settings.storage / path
    content = bytearray(file.read_bytes())
    content[-1] ^= 64
    file.chmod(0o644)
    file.write_bytes(content)


def take_back(bench: Bench) -> None:
    with bench.database.session() as session:
        last = last_act(session)
        assert last is not None and undo(session, last, "ada").by is not None


def test_what_was_decided_and_taken_back_meanwhile_does_not_come_again(
    few: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reading has seen the decision, and values look as before by the swap. Of another one the file has gone."""
    decide(few, "0.jpg", "1.jpg", decisions=[changes.rate(4), changes.tag(["Oma"], remove=False), albums.add("See")])
    decide(few, "0.jpg", decisions=[changes.rotate(90)])
    asked = {name: KNOWABLE[name] for name in ("words", "albums", "items")}
    asked["originals"] = f"{KNOWABLE['originals']} WHERE original_name <> '2.jpg'"
    before = state(few, asked)
    gone = path_of(few, "2.jpg")
    run = Rebuild.run

    def meanwhile(self: Rebuild) -> Any:
        decide(few, "0.jpg", decisions=[changes.rate(1), changes.tag(["neu"], remove=False), changes.rotate(90)])
        decide(few, "1.jpg", "3.jpg", decisions=[albums.add("Herbst")])
        (few.settings.storage / gone).unlink()
        done = run(self)
        take_back(few)
        decide(few, "0.jpg", decisions=[changes.rate(4), changes.tag(["neu"], remove=True), changes.rotate(270)])
        decide(few, "2.jpg", decisions=[changes.rate(3)])
        return done

    monkeypatch.setattr(Rebuild, "run", meanwhile)
    done = whole(few)
    assert state(few, asked) == before, said(done.differences)
    assert done.differences.counts["meanwhile"] and not done.differences.changes
    assert [one.name for one in done.differences.first if one.what == "gone"] == [gone]


def test_rot_gets_no_row_though_a_good_copy_stands_elsewhere(few: Bench) -> None:
    path = path_of(few, "0.jpg")
    few.put(f"{DAY}/0 copy.jpg", photo(0))
    change(few, path)
    before = state(few, KNOWABLE)
    for _ in range(2):
        done = whole(few)
        assert state(few, KNOWABLE) == before, said(done.differences)
        assert done.differences.wrong and {one.name for one in done.differences.first if one.what == "other bytes"} == {
            path
        }
        assert done.differences.changes == 0


def test_a_run_that_goes_on_reads_what_has_changed_since(few: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    rotten, gone = path_of(few, "0.jpg"), path_of(few, "1.jpg")

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as cut:
        cut.setattr(Placing, "put", die)
        with pytest.raises(Killed):
            whole(few)
    change(few, rotten)
    (few.settings.storage / gone).unlink()
    done = whole(few)
    assert done.resumed
    wrong = [(one.what, one.name) for one in done.differences.first if one.what in ("gone", "other bytes")]
    assert sorted(wrong) == [("gone", gone), ("other bytes", rotten)]


def test_who_does_not_trust_goes_on_with_nothing_that_was_only_believed(few: Bench) -> None:
    beside = Beside(few.settings, few.database)
    beside.open()
    assert not beside.begin(trusting=True) and beside.begin(trusting=True)
    assert not beside.begin(), "anew"
    assert beside.begin() and beside.begin(trusting=True) and not beside.begin()


def test_the_service_can_forget_no_original_that_came_in(few: Bench) -> None:
    """Whatever it writes into the place beside."""
    beside = Beside(few.settings, few.database)
    beside.open()
    rows = few.rows()
    with few.database.session() as session:
        connection = session.connection()
        connection.exec_driver_sql(
            f"INSERT INTO {beside.name}.kept (kind, key, after) "
            "SELECT 'original', file_hash, jsonb_build_object('final_path', final_path) FROM media_assets"
        )
        connection.exec_driver_sql(
            "INSERT INTO ingest_events (id, fate, source, original_name, original_path, file_hash) "
            "SELECT gen_random_uuid(), 'rebuilt', 'vault', 'x', 'x', file_hash FROM media_assets"
        )
        asked = "SELECT forget_rebuilt((SELECT array_agg(file_hash) FROM media_assets), '{}', '{}')"
        connection.exec_driver_sql(asked)
    assert few.rows() == rows
    rights = few.sql(
        "SELECT DISTINCT privilege_type FROM information_schema.role_table_grants "
        f"WHERE table_schema = '{beside.name}' AND grantee = 'pf_librarian'"
    )
    assert {name for (name,) in rights} == {"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"}


def test_undo_leaves_what_was_decided_since_with_the_same_value(few: Bench) -> None:
    decide(few, "0.jpg", decisions=[changes.rate(4), changes.tag(["Oma"], remove=False), albums.add("See")])
    few.sql("UPDATE media_assets SET rating = 1, width = 7 WHERE original_name IN ('0.jpg', '1.jpg')")
    few.sql("DELETE FROM asset_tags WHERE tag = 'Oma'")
    few.sql("DELETE FROM album_items")
    report = few.settings.storage / ".factory" / REPORT
    assert whole(few).differences.changes >= 3
    placed, right = report.read_bytes(), state(few, KNOWABLE)
    decide(few, "0.jpg", decisions=[changes.rate(2), changes.rate(4)])
    for remove in (True, False):
        decide(few, "0.jpg", decisions=[changes.tag(["Oma"], remove=remove)])
    with few.database.session() as session:
        album = albums.album_named(session, "See")
        assert album is not None
    decide(few, "0.jpg", decisions=[albums.remove(album)])
    decide(few, "0.jpg", decisions=[albums.add("See")])
    found = UndoneRebuild(few.settings, few.database).run()
    assert found.counts["not put back"] == 3, said(found)
    now = state(few, KNOWABLE)
    assert (now["words"], len(now["items"])) == (right["words"], 1)
    widths = few.sql("SELECT rating, width FROM media_assets WHERE original_name IN ('0.jpg', '1.jpg') ORDER BY 1")
    assert widths[1][0] == 4 and widths[0][1] == 7
    assert report.read_bytes() == placed and found.report != str(report)


def test_what_a_person_removed_gets_no_row_and_what_is_added_its_due(few: Bench) -> None:
    """Read-only, with its fates, and an XMP file's bytes are kept: all that only when it is put in place."""
    act(few, "remove", ["2.jpg", "3.jpg"])
    act(few, "empty", ["3.jpg"])
    for number in (2, 3):
        few.put(f"{DAY}/back {number}.jpg", photo(number))
    lose(few, "original_name = 'shot.jpg'")
    [(companion,)] = few.sql("SELECT final_path FROM companions")
    few.sql("DELETE FROM ingest_events WHERE fate = 'companion'")
    few.sql("DELETE FROM companions")
    new = few.put(f"{DAY}/new.jpg", photo(60))
    beside = few.put(f"{DAY}/new.jpg.xmp", xmp(xmp_Rating="3"))
    for file in (new, beside):
        file.chmod(0o644)
    kept = few.settings.storage / "Overlay" / "Sidecars"
    rows = few.rows()
    dry = whole(few, dry_run=True)
    assert dry.rebuilt.dry_run and few.rows() == rows
    assert all(stat.S_IMODE(os.stat(file).st_mode) == 0o644 for file in (new, beside))
    assert not kept.exists() or not os.listdir(kept)
    done = whole(few)
    assert done.differences.counts["removed"] == dry.differences.counts["removed"] == 2
    removed = {one.name for one in done.differences.first if one.what == "removed"}
    assert removed == {f"{DAY}/back 2.jpg", f"{DAY}/back 3.jpg"} and not removed & few.rows().keys()
    assert not any(stat.S_IMODE(os.stat(file).st_mode) & 0o222 for file in (new, beside))
    assert len(os.listdir(kept)) == 1
    fates = few.sql("SELECT fate, original_path FROM ingest_events WHERE source = 'vault' ORDER BY 2")
    added = {f"{DAY}/new.jpg", f"{DAY}/new.jpg.xmp", f"{DAY}/shot.jpg", companion}
    assert {path for _, path in fates} == added and len(fates) == 4
    assert not whole(few).differences.changes


def test_a_folder_that_cannot_be_looked_into_is_no_answer(few: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    vault, path = Vault(few.settings.storage), path_of(few, "0.jpg")
    size = os.stat(few.settings.storage / path).st_size
    assert (stands(vault, path, size), stands(vault, path, 1)) == (True, False)

    def refused(*_: Any) -> bool:
        raise VaultTrouble("cannot look at it")

    monkeypatch.setattr(Vault, "looks_kept", refused)
    assert stands(vault, path, size) is None
    shutil.rmtree(few.settings.originals)
    with pytest.raises(VaultTrouble):
        stands(vault, path, size)
