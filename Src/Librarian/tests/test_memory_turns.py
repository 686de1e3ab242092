"""One file at a time has more memory than usual, whichever reader reads it."""

from __future__ import annotations

import shutil
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import cast

import pytest

from Src.Librarian.passage import Inspected, Unreadable
from Src.Librarian.read import reader_process
from Src.Librarian.read.reader_pool import ReaderPool
from Src.Librarian.read.reader_process import Orders, ReaderDied, ReaderProcess
from Src.Librarian.read.wire import Request
from Src.Librarian.tests import turn_taking_reader
from Src.Librarian.tests.test_reader_pool import SAMPLES, ZONE, answers, incoming, photos
from Src.Media.readers.exiftool_reader import CRASHED, KEPT_MEMORY, ExifToolReader
from Src.Media.readers.stay_open import look_at_process
from Src.Testing.both_readers import needs_exiftool
from Src.Testing.patience import PATIENCE
from Src.Testing.surroundings import WaitFor

pytestmark = pytest.mark.slow


def inflating(path: Path, size: int) -> Path:
    """A PNG with a text of so many MB."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 3, 8, 0, 0, 0, 0))
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(size * 2**20)))
    picture = chunk(b"IDAT", zlib.compress(bytes(15)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + text + picture + chunk(b"IEND", b""))
    return path


@needs_exiftool
def test_what_needs_more_memory_than_usual_gets_it_in_a_turn(tmp_path: Path) -> None:
    turns: list[str] = []

    @contextmanager
    def turn() -> Iterator[None]:
        turns.append("began")
        yield
        turns.append("ended")

    little, much, too_much = (str(inflating(tmp_path / f"{size}.png", size)) for size in (2, 16, 60))
    with ExifToolReader(PATIENCE, turn=turn) as reader:
        assert reader.read([little])[0].tags["ImageWidth"] == "4" and turns == []
        (answer,) = reader.read([much])
        assert answer.error is None and answer.tags["ImageWidth"] == "4"
        assert turns == ["began", "ended"]
        (answer,) = reader.read([too_much])
        assert answer.error == CRASHED and turns == 2 * ["began", "ended"]
        several = reader.read([little, much, little])
        assert [one.error for one in several] == [None, None, None] and turns == 3 * ["began", "ended"]


@needs_exiftool
def test_what_a_file_made_it_take_in_a_turn_is_not_kept_after_it(tmp_path: Path) -> None:
    with ExifToolReader(PATIENCE) as reader:
        assert reader.read([str(inflating(tmp_path / "much.png", 16))])[0].error is None
        assert reader.process_id is not None
        assert look_at_process(reader.process_id).data <= KEPT_MEMORY


@needs_exiftool
def test_a_confined_reader_s_exiftool_gets_more_memory(tmp_path: Path) -> None:
    """Its process is another one's, whose limit the kernel must let it raise."""
    pool = ReaderPool(1, ZONE, PATIENCE, readable=[tmp_path])
    try:
        pool.put([incoming(inflating(tmp_path / "much.png", 16))])
        (found,) = answers(pool, 1)
    finally:
        pool.close()
    assert isinstance(found, Inspected)
    assert (found.metadata.error, found.metadata.width) == (None, 4)


class Turn:
    """A lock that counts how often it was not given."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.refused = 0

    def acquire(self, timeout: float) -> bool:
        given = self.lock.acquire(timeout=timeout)
        self.refused += not given
        return given

    def release(self) -> None:
        self.lock.release()


class Asking(threading.Thread):
    """Asks a reader about a photo."""

    def __init__(self, folder: Path, turn: Turn) -> None:
        super().__init__()
        (names_in := folder / "names").mkdir()
        self.reader = ReaderProcess(
            Orders("Europe/Berlin", PATIENCE, False, str(names_in), None), cast(threading.Lock, turn)
        )
        self._files = photos(folder, 1)
        self.found: list[type] = []

    def run(self) -> None:
        try:
            reply = self.reader.ask(Request(self._files, datetime(2026, 1, 1), False, None, False))
            self.found += map(type, reply.inspections)
        except ReaderDied as death:
            self.found.append(type(death))
        finally:
            self.reader.end()


def test_all_readers_of_a_pool_have_one_turn() -> None:
    pool = ReaderPool(3, ZONE, PATIENCE)
    pool.start()
    try:
        assert pool._crew is not None
        assert len({id(reader._turn) for reader in pool._crew._readers}) == 1
    finally:
        pool.close()


def test_a_reader_waits_while_another_has_the_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_for: WaitFor
) -> None:
    monkeypatch.setattr(reader_process, "MODULE", turn_taking_reader.__name__)
    turn = Turn()
    turn.lock.acquire()
    asking = Asking(tmp_path, turn)
    asking.start()
    wait_for(lambda: turn.refused, what="a reader that waits")
    assert asking.found == []
    turn.release()
    asking.join(PATIENCE)
    assert asking.found == [Inspected]
    assert not turn.lock.locked()


def test_a_reader_that_waits_for_its_turn_can_be_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_for: WaitFor
) -> None:
    monkeypatch.setattr(reader_process, "MODULE", turn_taking_reader.__name__)
    turn = Turn()
    turn.lock.acquire()
    asking = Asking(tmp_path, turn)
    asking.start()
    wait_for(lambda: turn.refused, what="a reader that waits")
    asking.reader.close()
    asking.join(PATIENCE)
    assert not asking.is_alive() and asking.found == [ReaderDied]
    assert turn.lock.locked(), "it is another's"


def test_a_reader_that_dies_in_its_turn_leaves_it_to_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_process, "MODULE", turn_taking_reader.__name__)
    deadly = incoming(Path(shutil.copy(SAMPLES / "Kodak_CX7530.jpg", tmp_path / "dies.jpg")))
    pool = ReaderPool(2, ZONE, PATIENCE, chunk=1)
    try:
        pool.put([deadly, *photos(tmp_path, 10)])
        found = {one.file.name: type(one) for one in answers(pool, 11)}
    finally:
        pool.close()
    assert found.pop("dies.jpg") is Unreadable
    assert set(found.values()) == {Inspected}
