"""What a reader has looked into does not stay in its memory."""

from __future__ import annotations

import gc
import os
import zlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import FrameType
from zoneinfo import ZoneInfo

import pytest

from Src.Librarian.passage import IncomingFile
from Src.Librarian.read.inspection import Inspector
from Src.Librarian.read.wire import HandedOver
from Src.Shared.disk.files import FileState
from Src.Shared.settings import PROJECT_ROOT


@pytest.fixture
def nothing_collected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def test_nothing_of_a_file_that_was_handed_over_waits_for_the_garbage_collector(
    tmp_path: Path, nothing_collected: None
) -> None:
    header = chunk(b"IHDR", b"\0\0\0\4\0\0\0\4\x08\2\0\0\0")
    bomb = chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(50_000_000)))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + bomb + chunk(b"IEND", b""))
    file = IncomingFile(str(tmp_path / "a.png"), "a.png", FileState.of(os.lstat(tmp_path / "a.png")))
    with Inspector(ZoneInfo("UTC"), 20.0) as inspector:
        (found,) = inspector.inspect([file], datetime(2026, 1, 1))
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
    assert isinstance(found, HandedOver)
    frames = [one.f_code for one in gc.garbage if isinstance(one, FrameType)]
    # What other tests have left in this process may become garbage just now.
    kept = [
        code.co_qualname for code in frames if Path(code.co_filename).is_relative_to(PROJECT_ROOT / "Src" / "Media")
    ]
    assert kept == []
