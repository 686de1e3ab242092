"""`rebuild`: the whole ledger anew, compared with the old one and put in place; and `--undo`."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from Src.Librarian.rebuild import Rebuild
from Src.Librarian.rebuild_whole import RebuiltWhole, UndoneRebuild, WholeRebuild
from Src.Librarian.service import InboxService
from Src.Librarian.tests.test_rebuild import SAMPLES, Bench, photo
from Src.Librarian.tests.test_sidecars import UNDATED, xmp
from Src.Library.belonging import Belonging
from Src.Library.custody.manifests.keeping import manifests_now
from Src.Library.file_acts import FileActs
from Src.Library.overlay import albums, changes
from Src.Library.overlay.changes import carry_out
from Src.Library.rebuilding.beside import Beside, RebuildProblem
from Src.Library.rebuilding.columns import COMPARED
from Src.Library.rebuilding.differences import Differences
from Src.Library.redating import shift_parameters
from Src.Library.vault import Vault
from Src.Shared.database import Database
from Src.Shared.models import MediaAsset
from Src.Shared.settings import Settings
from Src.Testing.promise import vault_files
from Src.Testing.roles import as_service

pytestmark = pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs ExifTool")

KNOWABLE = {
    "originals": f"SELECT file_hash, {', '.join(COMPARED)} FROM media_assets",
    "words": "SELECT file_hash, tag FROM asset_tags JOIN media_assets ON id = asset_id",
    "companions": "SELECT final_path, original_hash, kind, companion_hash FROM companions",
    "relations": "SELECT kind, from_hash, to_hash FROM asset_relations",
    "albums": "SELECT id, name FROM albums",
    "items": "SELECT name, file_hash, position FROM album_items JOIN albums ON albums.id = album_id "
    "JOIN media_assets AS a ON a.id = asset_id",
    "trash": "SELECT file_hash, trash_path, asset FROM trash",
    "tombstones": "SELECT file_hash, final_path FROM tombstones",
    "left": "SELECT * FROM left_paths",
    "decisions": "SELECT id, field, file_hash, before, after FROM overlay_events",
    "acts": "SELECT id, kind, status FROM acts",
    "days": "SELECT * FROM library_days",
}
WHOLE = {
    **KNOWABLE,
    "originals": "SELECT * FROM media_assets",
    "companions": "SELECT * FROM companions",
    "relations": "SELECT * FROM asset_relations",
    "fates": "SELECT * FROM ingest_events WHERE source <> 'vault'",
}


class Killed(BaseException):
    pass


def state(bench: Bench, queries: dict[str, str] = WHOLE) -> dict[str, list[str]]:
    return {name: sorted(map(str, bench.sql(query))) for name, query in queries.items()}


def act(bench: Bench, kind: str, names: Sequence[str], **parameters: Any) -> None:
    """As the commands do it."""
    vault = Vault(bench.settings.storage)
    belonging = Belonging(bench.settings, vault)
    belonging.establish(bench.database)
    acts = FileActs(vault, bench.database, bench.settings.zone, belonging)
    given = ", ".join(f"'{name}'" for name in names)
    asked = f"SELECT file_hash FROM {{}} WHERE original_name IN ({given}) ORDER BY 1"
    table = "trash" if kind == "empty" else "media_assets"
    hashes = [row[0] for row in bench.sql(asked.format(table))]
    assert len(hashes) == len(names)
    with acts.turn(), acts.session() as session:
        begun = acts.begin(session, kind, "ada", hashes, parameters)
    assert [one.done for one in acts.steps(begun.id)] == [len(hashes)]


def decide(bench: Bench, *names: str, decisions: Sequence[changes.Decision]) -> None:
    for decision in decisions:
        with bench.database.session() as session:
            meant = MediaAsset.original_name.in_(names)
            assert carry_out(session, decision, meant, who="ada").changed


@pytest.fixture
def bench(factory_settings: Settings) -> Iterator[Bench]:
    settings = replace(factory_settings, readers=1, batch_size=4, leaving_grace=0.0, leaving_grace_without_lease=0.0)
    database = Database(as_service(settings, "factory"))
    yield Bench(settings, database)
    database.close()


@pytest.fixture
def library(bench: Bench) -> Bench:
    """Photos with all that a ledger can say of them."""
    for number in range(6):
        bench.drop(f"{number}.jpg", photo(number))
    bench.drop("IMG_20200102_030405.jpg", UNDATED)
    bench.drop("undated.jpg", UNDATED + b"2")
    bench.drop("said.jpg", photo(10))
    bench.drop("said.jpg.xmp", xmp(xmp_Rating="3"))
    bench.drop("shot.AAE", b"adjusted")
    bench.drop("shot.WAV", b"spoken")
    bench.drop("shot.jpg", photo(11))
    bench.drop("shot-edited.jpg", photo(12))
    bench.drop("DNG.dng", (SAMPLES / "DNG.dng").read_bytes())
    taken = {"title": "t.jpg", "photoTakenTime": {"timestamp": "1212162000"}, "favorited": True, "description": "Lake"}
    folder = "Takeout/Google Photos/Lisbon"
    for name, content in (
        ("t.jpg", photo(13)),
        ("t.jpg.json", json.dumps(taken).encode()),
        ("Metadaten.json", json.dumps({"title": "Lisbon", "date": {}}).encode()),
    ):
        (bench.settings.inbox / folder).mkdir(parents=True, exist_ok=True)
        (bench.settings.inbox / folder / name).write_bytes(content)
    bench.drop("late.jpg", UNDATED + b"3")
    bench.ingest()
    bench.drop("late.xmp", xmp(exif_DateTimeOriginal="1987-06-05T04:03:02", xmp_Rating="2"))
    bench.drop("0 again.jpg", photo(0))
    bench.ingest()
    decide(bench, "0.jpg", "1.jpg", decisions=[changes.rate(4), changes.tag(["Oma", "See"], remove=False)])
    decide(bench, "1.jpg", decisions=[changes.tag(["see"], remove=True), changes.title("x"), changes.rotate(90)])
    decide(bench, "2.jpg", "shot.jpg", decisions=[albums.add("Sommer"), changes.hide(off=False)])
    decide(bench, "2.jpg", decisions=[changes.place(-33.8, 151.2)])
    act(bench, "redate", ["shot.jpg", "shot-edited.jpg", "3.jpg"], **shift_parameters(timedelta(days=3)))
    act(bench, "remove", ["4.jpg", "5.jpg"])
    act(bench, "empty", ["5.jpg"])
    bench.ingest()
    assert bench.sql("SELECT count(*) FROM companions WHERE filed_at IS NOT NULL") >= [(5,)]
    assert bench.sql("SELECT count(*) FROM tombstones") == bench.sql("SELECT count(*) FROM trash") == [(1,)]
    return bench


@pytest.fixture
def few(bench: Bench) -> Bench:
    for number in range(3):
        bench.drop(f"{number}.jpg", photo(number))
    bench.drop("shot.jpg", photo(11))
    bench.drop("shot.AAE", b"adjusted")
    bench.ingest()
    return bench


def whole(bench: Bench, **options: Any) -> RebuiltWhole:
    return WholeRebuild(bench.settings, bench.database, **options).run()


def said(found: Differences) -> list[tuple[str, str, str, Any, Any]]:
    return [(one.what, one.kind, one.name, one.before, one.after) for one in found.first]


def test_of_a_whole_library_nothing_differs_and_nothing_is_changed(library: Bench) -> None:
    before, vault = state(library), vault_files(library.settings)
    done = whole(library)
    assert done.placed and done.rebuilt.complete and not done.in_place
    assert done.rebuilt.failed.files == []
    assert [one for one in said(done.differences) if one[0] != "stays"] == []
    assert state(library) == before and vault_files(library.settings) == vault
    with pytest.raises(RebuildProblem, match="nothing to undo"):
        UndoneRebuild(library.settings, library.database).run()


# What may befall a ledger: each statement, with an original's hash that stands for whose row it is.
DAMAGES = (
    "UPDATE media_assets SET width = 7, camera_model = 'none' WHERE file_hash = '{0}'",
    "UPDATE media_assets SET captured_at = captured_at + interval '400 days', date_source = 'exif:ModifyDate' "
    "WHERE file_hash = '{0}' AND date_source LIKE 'exif:%'",
    "UPDATE media_assets SET is_hidden = false, rotation = 0 WHERE file_hash = '{0}'",
    "UPDATE media_assets SET rating = NULL, title = NULL, location = NULL WHERE file_hash = '{0}'",
    "UPDATE media_assets SET media_kind = 'PNG', file_size = 1 WHERE file_hash = '{0}'",
    "UPDATE media_assets SET final_path = 'Originals/2001/2001-01-01/' || original_name WHERE file_hash = '{0}'",
    "DELETE FROM asset_tags WHERE asset_id = (SELECT id FROM media_assets WHERE file_hash = '{0}')",
    "DELETE FROM companions WHERE original_hash = '{0}'",
    "DELETE FROM asset_relations WHERE from_hash = '{0}' OR to_hash = '{0}'",
    "DELETE FROM album_items WHERE asset_id = (SELECT id FROM media_assets WHERE file_hash = '{0}')",
    "UPDATE companions SET original_hash = repeat('0', 64) WHERE original_hash = '{0}'",
    "UPDATE media_assets SET final_path = CASE file_hash WHEN '{0}' THEN (SELECT final_path FROM media_assets WHERE "
    "file_hash = '{1}') ELSE (SELECT final_path FROM media_assets WHERE file_hash = '{0}') END "
    "WHERE file_hash IN ('{0}', '{1}')",
)


def damage(bench: Bench, number: random.Random) -> None:
    hashes = [row[0] for row in bench.sql("SELECT file_hash FROM media_assets ORDER BY 1")]
    exchanged: set[str] = set()
    for statement in number.sample(DAMAGES, 6):
        one, other = number.sample(hashes, 2)
        if "CASE" in statement:  # (PostgreSQL checks what is unique row by row)
            exchanged = {one, other}
            bench.sql("DROP INDEX uq_media_assets_final_path")
            bench.sql(statement.format(one, other))
            bench.sql("CREATE UNIQUE INDEX uq_media_assets_final_path ON media_assets (final_path)")
        else:
            bench.sql(statement.format(one, other))
    dated = bench.sql("SELECT file_hash FROM media_assets WHERE date_source LIKE 'exif:%' ORDER BY 1")
    # (of bytes that nothing knows, at a path that another's row names, nobody can say whether they are rot)
    lost = number.choice([sha256 for (sha256,) in dated if sha256 not in exchanged])
    lose(bench, f"file_hash = '{lost}'")


def lose(bench: Bench, which: str) -> None:
    """Whole: its fates, too."""
    for table, column, named in (
        ("asset_tags", "asset_id", "id"),
        ("album_items", "asset_id", "id"),
        ("ingest_events", "file_hash", "file_hash"),
    ):
        bench.sql(f"DELETE FROM {table} WHERE {column} IN (SELECT {named} FROM media_assets WHERE {which})")
    bench.sql(f"DELETE FROM media_assets WHERE {which}")


def test_whatever_the_ledger_lost_or_says_wrongly_is_right_again_and_undo_brings_it_back(library: Bench) -> None:
    before, vault = state(library, KNOWABLE), vault_files(library.settings)
    for seed in (5, 8, 9):
        damage(library, random.Random(seed))
        damaged = state(library)
        done = whole(library)
        assert done.placed and done.differences.changes, seed
        if seed == 5:
            assert_rebuilt_when_placed(library)
        assert state(library, KNOWABLE) == before, (seed, said(done.differences))
        lines = Path(done.differences.report or "").read_text(encoding="utf-8").splitlines()
        assert len(lines) == done.differences.counts.total()
        found = UndoneRebuild(library.settings, library.database).run()
        assert state(library) == damaged, (seed, said(found))
        assert whole(library).placed
        assert state(library, KNOWABLE) == before
        assert vault_files(library.settings) == vault
    assert whole(library).differences.changes == 0


def assert_rebuilt_when_placed(bench: Bench) -> None:
    """Else the seals would say that somebody has given these fates an older time."""
    beside = Beside(bench.settings, bench.database)
    beside.open()
    times = bench.sql("SELECT max(happened_at) FROM ingest_events WHERE fate = 'rebuilt'")
    assert times == bench.sql(f"SELECT placed_at FROM {beside.name}.state") != [(None,)]


def test_killed_anywhere_the_ledger_answers_as_before_and_the_next_run_goes_on(
    library: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = state(library, KNOWABLE)
    damage(library, random.Random(7))
    damaged = state(library)
    session, left = Database.session, [0]

    @contextmanager
    def killed(self: Database) -> Iterator[Session]:
        """At the end of the session: what it has written is not committed."""
        with session(self) as given:
            yield given
            left[0] -= 1
            if left[0] == 0:
                raise Killed

    kills = 0
    with monkeypatch.context() as cut:
        cut.setattr(Database, "session", killed)
        for after in range(2, 200, 3):
            left[0] = after
            try:
                done = whole(library)
                break
            except Killed:
                kills += 1
            left[0] = 0
            assert state(library) == damaged
    assert kills > 5 and done.resumed
    assert state(library, KNOWABLE) == right
    found = UndoneRebuild(library.settings, library.database).run()
    assert state(library) == damaged, said(found)


def test_killed_when_all_is_in_place_it_is(few: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    right = state(few, KNOWABLE)
    few.sql("UPDATE media_assets SET width = 7 WHERE original_name = '0.jpg'")
    lose(few, "original_name = 'shot.jpg'")
    damaged = state(few)

    def die(_: Beside) -> None:
        raise Killed

    with monkeypatch.context() as cut:
        cut.setattr(Beside, "clean_up", die)
        with pytest.raises(Killed):
            whole(few)
    assert state(few, KNOWABLE) == right
    done = whole(few)
    assert not done.resumed and not done.differences.changes
    UndoneRebuild(few.settings, few.database).run()
    assert state(few) == damaged, "of the last that changed something"


def test_what_others_do_meanwhile_is_not_lost(library: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the reading and the swap photos come, are decided about, moved and removed."""
    damage(library, random.Random(5))
    run = Rebuild.run

    def meanwhile(self: Rebuild) -> Any:
        done = run(self)
        library.drop("new.jpg", photo(50))
        library.drop("new.AAE", b"new")
        InboxService(library.settings, library.database, once=True).run()
        decide(library, "new.jpg", "said.jpg", decisions=[changes.rate(1), changes.tag(["neu"], remove=False)])
        decide(library, "said.jpg", decisions=[albums.add("Herbst")])
        act(library, "redate", ["t.jpg"], **shift_parameters(timedelta(days=-9)))
        act(library, "remove", ["late.jpg"])
        return done

    names = ("'new.jpg'", "'said.jpg'", "'t.jpg'", "'late.jpg'")
    for name in names[1:]:  # whose rows the damage has taken are not these
        if not library.sql(f"SELECT FROM media_assets WHERE original_name = {name}"):
            pytest.skip("the damage has taken a row that this test needs")
    with monkeypatch.context() as patched:
        patched.setattr(Rebuild, "run", meanwhile)
        done = whole(library)
    assert done.placed
    rows = dict(
        library.sql(f"SELECT original_name, rating FROM media_assets WHERE original_name IN ({', '.join(names)})")
    )
    assert (rows["new.jpg"], rows["said.jpg"]) == (1, 1) and "late.jpg" not in rows
    assert library.sql("SELECT count(*) FROM album_items JOIN albums ON id = album_id WHERE name = 'Herbst'") == [(1,)]
    assert {path for (path,) in library.sql("SELECT final_path FROM media_assets")} == set(
        vault_files(library.settings)
    )
    again = whole(library)
    assert again.differences.counts["meanwhile"] == 0
    paths = {path for (path,) in library.sql("SELECT final_path FROM media_assets")}
    assert paths == set(vault_files(library.settings))


def test_undo_leaves_what_was_changed_since(few: Bench) -> None:
    few.sql("UPDATE media_assets SET width = 7 WHERE original_name IN ('0.jpg', '1.jpg')")
    lose(few, "original_name IN ('2.jpg', 'shot.jpg')")
    assert whole(few).differences.counts["added"] >= 2
    few.sql("UPDATE media_assets SET width = 9 WHERE original_name = '1.jpg'")
    decide(few, "2.jpg", decisions=[changes.rate(2)])
    found = UndoneRebuild(few.settings, few.database).run()
    widths = dict(few.sql("SELECT original_name, width FROM media_assets WHERE original_name IN ('0.jpg', '1.jpg')"))
    assert widths == {"0.jpg": 7, "1.jpg": 9}
    assert few.sql("SELECT rating FROM media_assets WHERE original_name = '2.jpg'") == [(2,)]
    assert few.sql("SELECT FROM media_assets WHERE original_name = 'shot.jpg'") == []
    assert found.counts["not put back"] == 2


def test_what_has_gone_or_rotted_keeps_its_row_and_is_named(few: Bench) -> None:
    before = state(few, KNOWABLE)
    (gone, rotten) = (
        few.sql(f"SELECT final_path FROM media_assets WHERE original_name = '{name}'")[0][0]
        for name in ("0.jpg", "1.jpg")
    )
    (few.settings.storage / gone).unlink()
    bad = few.settings.storage / rotten
    content = bytearray(bad.read_bytes())
    content[-1] ^= 64
    bad.chmod(0o644)
    bad.write_bytes(content)
    done = whole(few)
    assert [(one.what, one.name) for one in done.differences.first if one.what in ("gone", "other bytes")] == [
        ("other bytes", rotten),
        ("gone", gone),
    ]
    assert done.differences.wrong == 2 and done.differences.changes == 0
    assert state(few, KNOWABLE) == before


def test_with_trust_in_what_did_not_change_little_is_read(few: Bench) -> None:
    """And what is read is compared. What the cache speaks for is believed, whatever its row says."""
    few.sql(
        "INSERT INTO original_looks (asset_id, mtime_ns, ingested_at) SELECT id, 0, ingested_at FROM media_assets "
        "ON CONFLICT DO NOTHING"
    )
    for path, id_ in few.sql("SELECT final_path, id FROM media_assets"):
        mtime = os.stat(few.settings.storage / path).st_mtime_ns
        few.sql(f"UPDATE original_looks SET mtime_ns = {mtime} WHERE asset_id = '{id_}'")
    before = state(few, KNOWABLE)
    count = len(few.rows())
    [(touched,)] = few.sql("SELECT final_path FROM media_assets WHERE original_name = '0.jpg'")
    os.utime(few.settings.storage / touched, ns=(1, 1))
    few.sql("UPDATE media_assets SET width = 7 WHERE original_name = '0.jpg'")
    done = whole(few, trust_cache=True)
    assert done.rebuilt.believed == count - 1
    assert (done.differences.counts["corrected"], state(few, KNOWABLE)) == (1, before)


def test_what_only_the_signed_lists_know_is_named(few: Bench) -> None:
    manifests_now(few.settings, few.database)
    [(path, sha256)] = few.sql("SELECT final_path, file_hash FROM media_assets WHERE original_name = '0.jpg'")
    (few.settings.storage / path).unlink()
    few.sql("DELETE FROM media_assets WHERE original_name = '0.jpg'")
    done = whole(few)
    [one] = [one for one in done.differences.first if one.what == "gone"]
    assert (one.name, (one.before or {})["file_hash"]) == (path, sha256)
    assert done.differences.wrong == 1


def test_a_dry_run_only_says_it(few: Bench) -> None:
    few.sql("UPDATE media_assets SET width = 7 WHERE original_name = '0.jpg'")
    damaged = state(few)
    done = whole(few, dry_run=True)
    assert done.differences.changes and not done.placed
    assert state(few) == damaged
    assert not whole(few).resumed


def test_a_ledger_without_originals_is_filled_where_it_is(library: Bench) -> None:
    right = {name: state(library, KNOWABLE)[name] for name in ("words", "relations", "albums", "items", "decisions")}
    trashed = library.sql("SELECT file_hash FROM trash")
    library.sql(
        "TRUNCATE media_assets, ingest_events, vault, inbox_files, companions, original_looks, original_findings, "
        "acts, overlay_events, asset_tags, albums, album_items, asset_relations, trash, tombstones, left_paths"
    )
    done = whole(library)
    assert done.in_place and done.placed and trashed
    now = state(library, KNOWABLE)
    assert {name: now[name] for name in right} == right
    assert set(library.rows()) == {path for path in vault_files(library.settings) if path in library.rows()}


def test_the_place_beside_is_made_anew_for_other_tables(bench: Bench) -> None:
    beside = Beside(bench.settings, bench.database)
    beside.open()
    assert not beside.begin() and beside.begin()
    bench.sql(f"UPDATE {beside.name}.state SET schema_revision = '0001'")
    beside.open()
    assert not beside.begin()
    with closing(beside.database()) as database, database.session() as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM media_assets").scalar() == 0
