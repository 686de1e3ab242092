"""Ledger entries: what may be in a name or a date comes out of the journal as it went in, and the ledger takes it."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from Src.Librarian.passage import AssetRow, EventRow, IncomingFile, Inspected, LedgerEntry
from Src.Librarian.record import ledger_entry
from Src.Media.kinds import KINDS
from Src.Media.metadata import Metadata, UsedSidecar
from Src.Shared.database import Database
from Src.Shared.disk.files import FileState
from Src.Shared.ledger_text import from_ledger
from Src.Shared.models import IngestEvent, MediaAsset

# Any name that Linux can have, and any text that a broken file can claim.
names = (
    st.binary(min_size=1, max_size=60)
    .map(lambda name: os.fsdecode(name.replace(b"\0", b"0").replace(b"/", b"_")))
    .filter(lambda name: name not in (".", ".."))  # these are folders everywhere
)
hostile = st.one_of(
    names,
    st.text(),
    st.text(st.characters(categories=["Cs", "Cc", "Cf", "Lo"])),
    st.sampled_from(
        ["", "\0", "'; DROP TABLE media_assets; --", "\\", "\\x00", "\udcff\\", "\u202e", '{"a": 1}', "%s"]
    ),
)
states = st.builds(
    FileState, st.integers(0, 2**63 - 1), *[st.integers(-(2**66), 2**66)] * 2, *[st.integers(0, 2**64)] * 2
)
hashes = st.binary(min_size=32, max_size=32).map(bytes.hex)
metadata = st.builds(
    Metadata,
    captured_at=st.datetimes(datetime(1826, 1, 1), datetime(9999, 12, 31)),
    captured_at_offset=st.none() | st.integers(-900, 900),
    date_source=st.sampled_from(["exif:DateTimeOriginal", "mtime"]),
    latitude=st.none() | st.floats(-90, 90),
    longitude=st.none() | st.floats(-180, 180),
    width=st.none() | st.integers(),
    height=st.none() | st.integers(),
    duration_seconds=st.none() | st.floats(0, allow_infinity=False),
    camera_make=st.none() | hostile,
    camera_model=st.none() | hostile,
    rating=st.none() | st.integers(),
    error=st.none() | hostile,
    sidecar=st.none(),
)
used = st.builds(UsedSidecar, name=names, sha256=hashes, size=st.integers(0, 2**63 - 1), without=metadata)
metadata = st.builds(lambda about, sidecar: about._replace(sidecar=sidecar), metadata, st.none() | used)


@st.composite
def files(draw: st.DrawFn) -> IncomingFile:
    name = draw(names)
    return IncomingFile(f"/inbox/{name}", name, draw(states), draw(st.sampled_from(["inbox", "import"])))


@st.composite
def entries(draw: st.DrawFn) -> LedgerEntry:
    file, sha256 = draw(files()), draw(hashes)
    place = f"Originals/2020/2020-01-01/{draw(names)}"
    kind = KINDS[draw(st.sampled_from(sorted(KINDS)))]
    match draw(st.sampled_from(["ingested", "restored", "duplicate", "failed"])):
        case "ingested":
            return ledger_entry.ingested(Inspected(file, sha256, kind, draw(metadata)), place)
        case "restored":
            return ledger_entry.restored(Inspected(file, sha256, kind, draw(metadata)), place)
        case "duplicate":
            return ledger_entry.duplicate(file, sha256, place)
    at = draw(
        st.none() | st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))
    )
    return LedgerEntry(ledger_entry.event_row(file, "failed", message=draw(hostile), attempts=3, next_try_at=at))


@given(entries())
def test_an_entry_comes_out_of_json_as_it_went_in(entry: LedgerEntry) -> None:
    line = json.dumps(ledger_entry.to_json(entry), ensure_ascii=True)
    assert "\n" not in line
    line.encode("ascii")
    assert ledger_entry.from_json(json.loads(line)) == entry


@given(entries())
def test_no_text_of_an_entry_holds_what_the_ledger_refuses(entry: LedgerEntry) -> None:
    rows: list[EventRow | AssetRow] = [entry.event, *([entry.asset] if entry.asset is not None else [])]
    for row in rows:
        for value in row.values():
            if isinstance(value, str):
                assert "\0" not in value
                value.encode("utf-8")


@given(files(), hashes, metadata, names)
def test_names_and_paths_can_be_had_back_exactly(file: IncomingFile, sha256: str, about: Metadata, name: str) -> None:
    place = f"Originals/2020/2020-01-01/{name}"
    entry = ledger_entry.ingested(Inspected(file, sha256, KINDS["JPEG"], about), place)
    assert entry.asset is not None
    for row in (entry.event, entry.asset):
        assert from_ledger(row["original_name"]) == file.name
        assert from_ledger(row["original_path"]) == file.original_path
        assert row["final_path"] is not None and from_ledger(row["final_path"]) == place
    assert (entry.event["message"] is None) == (name == file.name)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(entry=entries())
def test_the_ledger_takes_any_entry(database: Database, entry: LedgerEntry) -> None:
    with database.session() as session:
        session.add(IngestEvent(**entry.event))
        if entry.asset is not None:
            session.add(MediaAsset(**entry.asset))
        session.flush()
        session.rollback()


def test_an_entry_at_another_path_says_so() -> None:
    file = IncomingFile("/inbox/a.jpg", "a.jpg", FileState(1, 1, 1, 1, 1))
    about = Metadata(
        datetime(2020, 1, 1), None, "mtime", "second", None, None, None, None, None, None, None, None, None, None
    )
    entry = ledger_entry.ingested(Inspected(file, "0" * 64, KINDS["JPEG"], about), "Originals/2020/2020-01-01/a.jpg")
    moved = ledger_entry.placed_at(entry, "Originals/2020/2020-01-01/a_1.jpg")
    assert moved.asset is not None
    assert moved.asset["final_path"] == moved.event["final_path"] == "Originals/2020/2020-01-01/a_1.jpg"
    assert (entry.event["message"], moved.event["message"]) == (None, "renamed to a_1.jpg")
    assert (moved.event["id"], moved.asset["id"]) == (entry.event["id"], entry.asset and entry.asset["id"])
    restored = ledger_entry.restored(Inspected(file, "0" * 64, KINDS["JPEG"], about), "Originals/2020/2020-01-01/a.jpg")
    message = ledger_entry.placed_at(restored, "Originals/2020/2020-01-01/a_1.jpg").event["message"]
    assert message is not None and "took its place" in message


@pytest.mark.parametrize(
    "value", [{}, {"event": {}}, {"event": None, "asset": None}, {"event": {"id": 1}, "asset": None}]
)
def test_json_that_is_no_entry_is_refused(value: Any) -> None:
    with pytest.raises((KeyError, ValueError, TypeError, AttributeError)):
        ledger_entry.from_json(value)
