"""The tables' rules, as the database keeps them."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from Src.Shared.database import Database
from Src.Shared.models import IngestEvent, MediaAsset, new_id


def _asset(**values: Any) -> MediaAsset:
    defaults: dict[str, Any] = {
        "file_hash": "a" * 64,
        "file_size": 1,
        "original_name": "a.jpg",
        "original_path": "a.jpg",
        "final_path": "Originals/2024/2024-01-01/a.jpg",
        "media_kind": "JPEG",
        "mime_type": "image/jpeg",
        "captured_at": datetime(2024, 1, 1),
        "date_source": "EXIF:DateTimeOriginal",
    }
    return MediaAsset(**defaults | values)


def test_ids_are_version_7_and_ordered_by_time() -> None:
    ids = []
    for _ in range(3):
        ids.append(new_id())
        moment = time.time_ns() // 1_000_000
        while time.time_ns() // 1_000_000 == moment:
            pass
    assert ids == sorted(ids)
    assert {i.version for i in ids} == {7}
    assert {i.variant for i in ids} == {"specified in RFC 4122"}


def test_ids_do_not_repeat() -> None:
    assert len({new_id() for _ in range(10_000)}) == 10_000


def test_a_new_asset_waits_in_every_queue(database: Database) -> None:
    with database.session() as session:
        session.add(_asset())
    with database.session() as session:
        asset = session.scalars(select(MediaAsset)).one()
    assert asset.is_ingested
    assert not (asset.is_geocoded or asset.is_thumbnailed or asset.is_backed_up or asset.has_errors)
    assert asset.ingested_at.tzinfo is not None
    assert asset.captured_at == datetime(2024, 1, 1)


@pytest.mark.parametrize("same", ["file_hash", "final_path"])
def test_no_two_assets_have_the_same(database: Database, same: str) -> None:
    other = {"file_hash": "b" * 64, "final_path": "Originals/2024/2024-01-01/b.jpg"}
    del other[same]
    with pytest.raises(IntegrityError, match=f"uq_media_assets_{same}"), database.session() as session:
        session.add_all([_asset(), _asset(**other)])


def test_an_unknown_fate_is_refused(database: Database) -> None:
    with pytest.raises(IntegrityError, match="ck_ingest_events_fate"), database.session() as session:
        session.add(IngestEvent(fate="lost", source="inbox", original_name="a", original_path="a"))


def test_a_path_longer_than_an_index_entry_fits(database: Database) -> None:
    path = "/".join(f"{i:0250}" for i in range(40))
    with database.session() as session:
        session.add(IngestEvent(fate="failed", source="inbox", original_name="a", original_path=path))
    with database.session() as session:
        found = session.scalars(select(IngestEvent).where(IngestEvent.original_path == path)).one()
    assert found.original_path == path


@pytest.mark.parametrize("stage", ["geocoded", "thumbnailed", "backed_up"])
def test_a_queue_is_read_from_its_partial_index(database: Database, stage: str) -> None:
    with database.session() as session:
        session.execute(text("SET LOCAL enable_seqscan = off"))
        plan = session.scalars(
            text(f"EXPLAIN SELECT id FROM media_assets WHERE NOT is_{stage} ORDER BY id LIMIT 10")
        ).all()
    assert f"ix_media_assets_not_{stage}" in "\n".join(plan)


@given(st.integers(min_value=0, max_value=2**48 - 1))
def test_an_id_tells_its_millisecond(milliseconds: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: milliseconds * 1_000_000)
        assert new_id().int >> 80 == milliseconds


BAD_PATHS = [
    *("", "a.jpg", "/etc/passwd", "../../etc/passwd", "Originals/../inbox/x", "Originals/2024/2024-01-01/"),
    *("Originals/2024/2024-01-01/..", "Originals/2024/2024-01-01/.", "Originals/2024/2024-01-01/a/b.jpg"),
    *("Originals/2024/2024-01-01/../2024-01-02/a.jpg", "Originals/2023/2024-01-01/a.jpg", "x\nOriginals/2024/a.jpg"),
    *("Originals//2024-01-01/a.jpg", "originals/2024/2024-01-01/a.jpg", "Originals/2024/2024-01-01\n/a.jpg"),
]


@pytest.mark.parametrize("path", BAD_PATHS)
def test_a_path_that_is_none_of_an_original_is_refused(database: Database, path: str) -> None:
    with pytest.raises(IntegrityError, match="ck_media_assets_final_path"), database.session() as session:
        session.add(_asset(final_path=path))
    event = IngestEvent(fate="duplicate", source="inbox", original_name="a", original_path="a", final_path=path)
    with pytest.raises(IntegrityError, match="ck_ingest_events_final_path"), database.session() as session:
        session.add(event)


@pytest.mark.parametrize("sha256", ["", "a" * 63, "A" * 64, "../" * 21 + "a", "a" * 63 + "\n"])
def test_a_hash_that_is_none_is_refused(database: Database, sha256: str) -> None:
    with pytest.raises(IntegrityError, match="ck_media_assets_file_hash"), database.session() as session:
        session.add(_asset(file_hash=sha256))
    event = IngestEvent(fate="failed", source="inbox", original_name="a", original_path="a", file_hash=sha256)
    with pytest.raises(IntegrityError, match="ck_ingest_events_file_hash"), database.session() as session:
        session.add(event)


@pytest.mark.parametrize("name", ["a.jpg", "line\nbreak.jpg", "\\xe9 \\\\.jpg", "...", ".hidden", "a.", "日本.jpg"])
def test_any_name_that_a_file_may_have_is_taken(database: Database, name: str) -> None:
    with database.session() as session:
        session.add(_asset(final_path=f"Originals/1826/1826-01-01/{name}"))
