"""A photo that has taken over the process that reads it gets nowhere. The real reader, and what the kernel answers."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from Src.Librarian.passage import Inspected, Inspection, Unreadable
from Src.Librarian.read import reader_process
from Src.Librarian.read.reader_pool import ReaderPool
from Src.Librarian.read.reader_process import Orders, ReaderProcess
from Src.Librarian.read.wire import Request
from Src.Librarian.tests import early_reader, hostile_reader
from Src.Librarian.tests.test_reader_pool import SAMPLES, incoming
from Src.Shared.confinement import parts_here
from Src.Testing.patience import PATIENCE
from Src.Testing.targets import READS, look, succeeded, targets

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not parts_here().files or not parts_here().refused_calls, reason="this kernel has no Landlock"),
]


def read(pool: ReaderPool, path: Path) -> Inspection:
    pool.put([incoming(path)])
    found: list[Inspection] = []
    while not found:
        found = pool.get(PATIENCE)
        assert found, "no answer"
    return found[0]


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    inbox = tmp_path / "Photos_Inbox"
    inbox.mkdir()
    shutil.copy(SAMPLES / "Canon_40D.jpg", inbox / "hostile.jpg")
    return inbox


@pytest.fixture
def pool(inbox: Path) -> ReaderPool:
    return ReaderPool(1, ZoneInfo("Europe/Berlin"), PATIENCE, readable=[inbox])


def test_a_reader_that_is_taken_over_gets_nowhere(
    pool: ReaderPool, inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_process, "MODULE", hostile_reader.__name__)
    monkeypatch.setenv("DB_PASSWORD", "secret")
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:secret@host/name")
    monkeypatch.setenv("ALERT_URLS", "mailtos://user:secret@host")
    vault, other = tmp_path / "Storage", tmp_path / "other"
    (vault / "Originals").mkdir(parents=True)
    other.mkdir()
    with targets(inbox / "hostile.jpg", vault, other) as around:
        (inbox / "orders.json").write_text(json.dumps(around.orders))
        look(around)
        try:
            inspection = read(pool, inbox / "hostile.jpg")
        finally:
            pool.close()
        assert isinstance(inspection, Unreadable)
        said = json.loads(inspection.reason)
        assert succeeded(said["acts"]) == READS
        assert around.harmed() == []
    assert said["secrets"] == []
    opened = Counter(os.path.basename(one.partition(":")[0]) for one in said["open"])
    own = Counter({"socket": 1, "pipe": 3, "mountinfo": 1, "orders.json": 1})  # the pipes are its ExifTool's
    assert opened <= own


def test_the_same_acts_succeed_where_nobody_is_confined(inbox: Path, tmp_path: Path) -> None:
    """So the test above refuses what there is to refuse."""
    from Src.Testing.hostile_acts import attempts

    vault, other = tmp_path / "Storage", tmp_path / "other"
    (vault / "Originals").mkdir(parents=True)
    other.mkdir()
    with targets(inbox / "hostile.jpg", vault, other) as around:
        orders = around.orders
        orders["writable"] = [str(vault)]
        look(around)
        acts = attempts(orders)
        refused = acts.keys() - succeeded(acts)
        assert {name for name in refused if "photo" not in name and "ExifTool" not in name} == set()
        assert around.harmed() != []


def test_a_reader_reads_an_inbox_that_was_made_anew(pool: ReaderPool, inbox: Path) -> None:
    """What the kernel allows is a folder, not its name."""
    try:
        assert isinstance(read(pool, inbox / "hostile.jpg"), Inspected)
        inbox.rename(inbox.with_name("away"))
        inbox.mkdir()
        shutil.copy(SAMPLES / "PNG.png", inbox / "b.png")
        assert isinstance(read(pool, inbox / "b.png"), Inspected)
    finally:
        pool.close()


def test_a_reader_that_started_while_the_inbox_was_away_is_replaced_when_it_is_back(
    inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a disk that was unplugged for a second: its very folder is back, and the reader may not read it."""
    monkeypatch.setattr(reader_process, "MODULE", early_reader.__name__)
    names = tmp_path / "names"
    names.mkdir()
    reader = ReaderProcess(Orders("UTC", PATIENCE, False, str(names), [str(inbox)]))
    request = Request([incoming(inbox / "hostile.jpg")], datetime(2026, 1, 1), False)
    try:
        reader.start()
        early_reader.away(inbox).rename(inbox)
        monkeypatch.undo()
        (inspection,) = reader.ask(request).inspections
    finally:
        reader.end()
    assert isinstance(inspection, Inspected)


def test_what_is_not_readable_for_readers_is_told_of_and_not_read(pool: ReaderPool, tmp_path: Path) -> None:
    path = Path(shutil.copy(SAMPLES / "Canon_40D.jpg", tmp_path / "outside.jpg"))
    try:
        inspection = read(pool, path)
    finally:
        pool.close()
    assert isinstance(inspection, Unreadable) and "Permission denied" in inspection.reason


@pytest.mark.parametrize(
    "name", ["-o x.jpg", "a | touch pwned |", "pipe |", "a\n-o\nx.jpg", "$(touch pwned).jpg", "caf\udce9.png"]
)
def test_names_mean_nothing_to_exiftool(pool: ReaderPool, inbox: Path, name: str) -> None:
    path = inbox / name
    shutil.copy(SAMPLES / "PNG.png", path)
    before = sorted(os.listdir(inbox))
    try:
        inspection = read(pool, path)
    finally:
        pool.close()
    assert isinstance(inspection, Inspected) and inspection.metadata.width == 16
    assert sorted(os.listdir(inbox)) == before
