"""The vault's marker: what it says, and that it is never lost."""

from __future__ import annotations

import errno
import os
import stat
import uuid
from pathlib import Path

import pytest

from Src.Shared.vault_marker import (
    MARKER,
    MARKER_TEXT,
    Marker,
    against_a_new_ledger,
    change_marker,
    drop_half_written,
    holds_originals,
    read_ledger_note,
    read_marker,
    refusal_of_stack,
    write_ledger_note,
)

ID = uuid.UUID("0da2c5d4-ce23-4695-8037-657d93f68f18")
FULL = Marker(ID, "external db:5432/photos", True)


@pytest.fixture
def originals(tmp_path: Path) -> Path:
    folder = tmp_path / "Originals"
    folder.mkdir()
    return folder


def put(originals: Path, path: str, content: bytes = b"x") -> None:
    (originals / path).parent.mkdir(parents=True, exist_ok=True)
    (originals / path).write_bytes(content)


@pytest.mark.parametrize("marker", [Marker(), Marker(ID), Marker(ID, "embedded"), FULL])
def test_what_is_written_is_read_again(originals: Path, marker: Marker) -> None:
    assert change_marker(originals, lambda _: marker) == marker
    assert read_marker(originals) == marker
    assert (originals / MARKER).read_text().startswith(MARKER_TEXT)
    assert os.listdir(originals) == [MARKER]


@pytest.mark.parametrize("content", [b"", MARKER_TEXT.encode(), b"\xff\0vault_id: nonsense\nledger:\n", b"x" * 100_000])
def test_one_of_before_or_by_hand_says_nothing_and_is_completed(originals: Path, content: bytes) -> None:
    (originals / MARKER).write_bytes(content)
    assert read_marker(originals) == Marker()
    change_marker(originals, lambda _: FULL)
    assert read_marker(originals) == FULL


def test_no_marker(originals: Path) -> None:
    assert read_marker(originals) is None
    assert read_marker(originals / "unmounted") is None
    (originals / MARKER).mkdir()
    with pytest.raises(IsADirectoryError):
        change_marker(originals, lambda _: FULL)


@pytest.mark.parametrize("step", ["open", "fsync", "rename"])
def test_a_full_disk_leaves_the_old_marker(originals: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    change_marker(originals, lambda _: Marker(ID))
    real = getattr(os, step)

    def refuse(*arguments: object, **options: object) -> object:
        if step == "open" and arguments[0] != f"{MARKER}.new":
            return real(*arguments, **options)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(os, step, refuse)
        with pytest.raises(OSError, match="No space"):
            change_marker(originals, lambda _: FULL)
    assert read_marker(originals) == Marker(ID)
    assert os.listdir(originals) == [MARKER]


def test_what_a_kill_has_left_goes(originals: Path) -> None:
    change_marker(originals, lambda _: Marker(ID))
    (originals / f"{MARKER}.new").write_text("half")
    drop_half_written(originals)
    assert os.listdir(originals) == [MARKER]
    (originals / f"{MARKER}.new").write_text("half")
    change_marker(originals, lambda _: FULL)
    assert (read_marker(originals), os.listdir(originals)) == (FULL, [MARKER])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_leaves_the_marker_to_its_owner(originals: Path) -> None:
    change_marker(originals, lambda _: Marker())
    os.chown(originals / MARKER, 1234, 1235)
    os.chmod(originals / MARKER, 0o640)
    change_marker(originals, lambda _: FULL)
    status = (originals / MARKER).stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (1234, 1235, 0o640)


def test_a_link_is_no_marker(originals: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text(FULL.text)
    (originals / MARKER).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        read_marker(originals)


def test_which_files_are_originals(originals: Path) -> None:
    assert not holds_originals(originals / "unmounted")
    change_marker(originals, lambda _: FULL)
    put(originals, "2024/2024-01-01/.factory-copy-1-0")
    put(originals, "2024/2024-01-01/reserved.jpg", b"")
    put(originals, "lost+found/x.jpg")
    put(originals, "notes.txt")
    (originals / "2023").symlink_to(originals / "2024")
    assert not holds_originals(originals)
    put(originals, "2024/2024-01-02/a.jpg")
    assert holds_originals(originals)


def test_a_new_ledger_for_a_new_factory_only(originals: Path) -> None:
    assert against_a_new_ledger(originals / "none", "embedded", "/db") is None
    change_marker(originals, lambda _: Marker(ID, "embedded"))
    assert against_a_new_ledger(originals, "embedded", "/db") is None
    put(originals, "2024/2024-01-02/a.jpg")
    reason = against_a_new_ledger(originals, "embedded", "/db")
    assert reason is not None
    assert "/db" in reason and "restore" in reason and "rebuild --missing" in reason and "\n" not in reason
    assert against_a_new_ledger(originals, "embedded", "/db", may_be_full=True) is None
    change_marker(originals, lambda _: Marker(ID, "stack"))
    reason = against_a_new_ledger(originals, "embedded", "/db", may_be_full=True)
    assert reason is not None
    assert "docker compose up -d" in reason and "\n" not in reason


def test_the_stacks_init_makes_no_second_ledger_and_notes_its_own(originals: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    made = ledger / "18" / "PG_VERSION"
    made.parent.mkdir(parents=True)

    def refusal() -> str | None:
        return refusal_of_stack(originals, ledger, "18/PG_VERSION")

    assert refusal() is None, "a new factory"
    change_marker(originals, lambda _: Marker(ID, "embedded", True))
    assert "second one" in (refusal() or "")
    change_marker(originals, lambda _: Marker(ID, "stack", True))
    put(originals, "2024/2024-01-02/a.jpg")
    assert refusal() is None, "a lost one may be made anew; the Librarian refuses to file"
    assert read_ledger_note(ledger) is None
    made.touch()
    assert refusal() is None
    assert read_ledger_note(ledger) == ID


def test_a_note_beside_the_ledger(tmp_path: Path) -> None:
    assert read_ledger_note(tmp_path) is None
    (tmp_path / "vault-id").write_bytes(b"\xff torn")
    assert read_ledger_note(tmp_path) is None
    write_ledger_note(tmp_path, ID)
    write_ledger_note(tmp_path, ID)
    assert read_ledger_note(tmp_path) == ID
    assert os.listdir(tmp_path) == ["vault-id"]
