"""What must outlive a restart: complete or not at all, and never a reason to end."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from Src.Shared.monitor import memory as module
from Src.Shared.monitor.memory import Memory


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name == module.__name__]


def test_what_was_saved_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "run" / "memory.json"
    assert Memory(path).load() == {}
    Memory(path).save({"told": {"a": 1}})
    assert Memory(path).load() == {"told": {"a": 1}}
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["memory.json"]


def test_it_is_written_only_when_it_changes(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "memory.json")
    memory.save({"a": 1})
    before = (tmp_path / "memory.json").stat().st_ino
    memory.save({"a": 1})
    assert (tmp_path / "memory.json").stat().st_ino == before
    memory.save({"a": 2})
    assert memory.load() == {"a": 2}


@pytest.mark.parametrize("content", [b"", b'{"told":', b"\xff\xfe", b"[]", b"null"])
def test_a_broken_file_is_one_line_and_a_new_beginning(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "memory.json"
    path.write_bytes(content)
    memory = Memory(path)
    assert memory.load() == {}
    assert len(told(caplog)) == 1
    memory.save({"a": 1})
    assert Memory(path).load() == {"a": 1}


def test_what_cannot_be_written_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    memory = Memory(tmp_path / "file" / "memory.json")
    caplog.set_level(logging.WARNING)
    memory.save({"a": 1})
    memory.save({"a": 2})
    assert len(told(caplog)) == 1
