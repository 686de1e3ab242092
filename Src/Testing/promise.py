"""The promise, checked from outside: nothing of the factory's own code looks at the vault and the ledger here."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from Src.Shared.postgres.embedded import running_url
from Src.Shared.postgres.place import ledger_folder
from Src.Shared.settings import Settings
from Src.Testing.surroundings import PATIENT

_MARKER = ".photo-factory-vault"
_FILED = ("ingested", "duplicate", "restored", "unwanted")
_HIDDEN = ".factory-leaving"  # in an inbox on another filesystem than the vault


class Source(NamedTuple):
    """A photo or video that went in: its path as the ledger knows it (relative to the inbox; absolute where it is
    imported), and the SHA-256 of its content."""

    original_path: str
    sha256: str


def sha256_of_file(path: Path | str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sources_in(folder: Path, relative_to: Path | None = None) -> list[Source]:
    """Every regular file below a folder as a source, before it is filed. `relative_to`: the inbox; None: imported.

    (What is kept aside in an inbox is filed already.)
    """
    return [
        Source(str(path if relative_to is None else path.relative_to(relative_to)), sha256_of_file(path))
        for path in files_below(folder)
        if _HIDDEN not in path.parts
    ]


def ledger_rows(settings: Settings, sql: str) -> list[dict[str, Any]]:
    """The answer of the ledger to a query, over a connection of its own."""
    url = settings.database_url or running_url(ledger_folder(settings) or settings.db_data, PATIENT)
    assert url is not None, "the ledger does not run"
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(text(sql))]
    finally:
        engine.dispose()


def fates(settings: Settings) -> list[tuple[str, Source]]:
    """Every fate that the ledger tells, oldest first."""
    rows = ledger_rows(settings, "SELECT fate, original_path, file_hash FROM ingest_events ORDER BY happened_at")
    return [(row["fate"], Source(_unescaped(row["original_path"]), row["file_hash"])) for row in rows]


def vault_files(settings: Settings) -> dict[str, str]:
    """Path relative to the storage root -> SHA-256, of every original on disk.

    Beside a factory at work, too: what has gone when it is read, as a copy under its hidden name, is none.
    """
    beside = companion_paths(settings)
    return {
        name: sha256
        for path in files_below(settings.storage / "Originals")
        if path.name != _MARKER and (name := str(path.relative_to(settings.storage))) not in beside
        if (sha256 := _sha256_while_there(path)) is not None
    }


def _sha256_while_there(path: Path) -> str | None:
    """None: a factory at work has let it go."""
    with suppress(FileNotFoundError):
        return sha256_of_file(path)
    return None


def companion_paths(settings: Settings) -> set[str]:
    """Where companions stand by their rows, relative to the storage root; nowhere where no ledger can be asked.

    (The ledger may be an earlier version's, which has no such rows.)
    """
    try:
        rows = ledger_rows(
            settings,
            "SELECT to_jsonb(c) ->> 'final_path' AS path FROM companions c "
            "WHERE to_jsonb(c) ->> 'filed_at' IS NOT NULL AND to_jsonb(c) ->> 'final_path' IS NOT NULL",
        )
    except (AssertionError, SQLAlchemyError):
        return set()
    return {_unescaped(row["path"]) for row in rows}


def assert_companions_stand(settings: Settings) -> None:
    """Each companion that has a place is there, beside its original and called as that is, and no step of its way is
    left undone; what came in of an XMP file is kept.
    """
    rows = ledger_rows(
        settings,
        "SELECT c.*, a.final_path AS original_path_now FROM companions c "
        "LEFT JOIN media_assets a ON a.file_hash = c.original_hash",
    )
    for row in rows:
        assert row["left_path"] is None and row["moved_from"] is None, f"a move is not done with: {row}"
        if row["final_path"] is None:
            continue
        assert row["filed_at"] is not None, f"about to stand somewhere: {row}"
        path = settings.storage / _unescaped(row["final_path"])
        assert stat.S_ISREG(os.lstat(path).st_mode), f"{path} is no regular file"
        if row["kind"] != "xmp":
            assert sha256_of_file(path) == row["companion_hash"], f"{path} is not what came in"
        elif row.get("made_here"):
            assert sha256_of_file(path) == row["standing_hash"], f"{path} is not what was written there"
            assert row["coming_hash"] is None, f"about to be written: {row}"
        else:  # what stands there may be written to
            kept = settings.storage / "Overlay" / "Sidecars" / f"{row['companion_hash']}.xmp"
            assert sha256_of_file(kept) == row["companion_hash"], f"{kept} is not what came in"
        if row["original_hash"] is not None:
            original = Path(_unescaped(row["original_path_now"]))
            assert Path(_unescaped(row["final_path"])).parent == original.parent, f"parted: {row}"
            assert path.name.startswith((original.stem, original.name)), f"not called as its original: {row}"


def assert_promise_kept(
    settings: Settings, sources: Iterable[Source], *, lost_from_vault: Iterable[str] = (), read_only: bool = True
) -> None:
    """Every source is in the vault exactly once, has its row and its fate; the inbox copies of all are gone, and
    nothing is left over but files that were filed and are kept aside for a while. To be asked when the factory is at
    rest.

    `lost_from_vault`: hashes of originals that the test itself took away. `read_only`: the filesystem has modes.
    """
    wanted = list(sources)
    assert_companions_stand(settings)
    assert (settings.storage / "Originals" / _MARKER).is_file(), "the vault has lost its marker"
    kept = vault_files(settings)
    aside = files_aside(settings)
    _assert_vault_is_sound(settings, kept, aside, read_only=read_only)

    removed = ledger_rows(settings, "SELECT file_hash FROM trash UNION SELECT file_hash FROM tombstones")
    _assert_trash_agrees(settings)
    lost = set(lost_from_vault) | {row["file_hash"] for row in removed}
    expected = {source.sha256 for source in wanted} - lost
    assert set(kept.values()) == expected, (
        f"missing from the vault: {[one for one in wanted if one.sha256 in expected - set(kept.values())]}; "
        f"nobody's: {[path for path, sha256 in kept.items() if sha256 not in expected]}"
    )
    _assert_rows_agree(settings, kept, lost)
    _assert_fates_told(settings, kept, wanted, lost)
    _assert_nothing_left_over(settings, {source.sha256 for source in wanted})
    _assert_aside_is_sound(aside, {*kept.values(), *lost, *_beside_originals(settings)})


def files_aside(settings: Settings) -> list[Path]:
    """Files that have left the inbox and are kept for a while: they are another name of an original, or a copy."""
    beside_vault = files_below(settings.storage / ".factory" / "leaving")
    in_inbox = [path for path in files_below(settings.inbox) if path.parent.name == _HIDDEN]
    return [path for path in (*beside_vault, *in_inbox) if path.suffix != ".notes" and path.name != "inbox.json"]


def _assert_trash_agrees(settings: Settings) -> None:
    """What a person has removed stands in the trash as its row says, and nowhere else; nothing is about to move."""
    rows = ledger_rows(settings, "SELECT file_hash, trash_path FROM trash")
    there = {
        str(path.relative_to(settings.storage)): sha256_of_file(path)
        for path in files_below(settings.storage / "Trash")
    }
    assert {_unescaped(row["trash_path"]): row["file_hash"] for row in rows} == there, "rows and trash differ"
    in_library = ledger_rows(
        settings,
        "SELECT final_path FROM media_assets WHERE file_hash IN "
        "(SELECT file_hash FROM trash UNION SELECT file_hash FROM tombstones)",
    )
    assert not in_library, f"removed, and in the library: {in_library}"
    assert not ledger_rows(settings, "SELECT * FROM file_moves"), "moves that nobody has finished"


def _beside_originals(settings: Settings) -> set[str]:
    """The hashes of companions, and of XMP files as they came in."""
    paths = [settings.storage / path for path in companion_paths(settings)]
    return {sha256_of_file(path) for path in (*paths, *files_below(settings.storage / "Overlay" / "Sidecars"))}


def _assert_aside_is_sound(aside: list[Path], kept: set[str]) -> None:
    """(A Librarian that runs removes what has been aside for long enough; such a file is gone meanwhile.)"""
    for path in aside:
        with suppress(FileNotFoundError):
            assert sha256_of_file(path) in kept, f"{path} is kept nowhere but aside"
            assert not os.lstat(path.parent).st_mode & 0o077, f"{path.parent} is open to others"
            if path.parent.name != _HIDDEN:  # notes are beside the vault
                assert _is_noted(path) or not path.exists(), f"{path} has no note: nobody knows what it is"


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and number of a file; None where it is gone."""
    with suppress(FileNotFoundError):
        status = os.lstat(path)
        return status.st_dev, status.st_ino
    return None


def _is_noted(aside: Path) -> bool:
    return any(json.dumps(aside.name).encode() in notes.read_bytes() for notes in aside.parent.glob("*.notes"))


def _assert_vault_is_sound(settings: Settings, kept: dict[str, str], aside: list[Path], *, read_only: bool) -> None:
    other_names = Counter(file for path in aside if (file := _identity(path)))
    twice = [sha256 for sha256, count in Counter(kept.values()).items() if count > 1]
    assert not twice, f"in the vault twice: {[path for path, sha256 in kept.items() if sha256 in twice]}"
    same_name = Counter(_one_name(path) for path in kept)
    assert not [path for path in kept if same_name[_one_name(path)] > 1], "names that Windows or macOS take for one"
    for path in kept:
        status = os.lstat(settings.storage / path)
        assert stat.S_ISREG(status.st_mode), f"{path} is no regular file"
        file = status.st_dev, status.st_ino
        assert status.st_nlink <= 1 + other_names[file], f"{path} is still linked from elsewhere"
        assert not read_only or not status.st_mode & 0o222, f"{path} can be written"
        assert re.fullmatch(r"Originals/(\d{4})/\1-\d\d-\d\d/(?!\.factory-)[^/]+", path, re.DOTALL), path


def _assert_rows_agree(settings: Settings, kept: dict[str, str], lost: set[str]) -> None:
    rows = ledger_rows(settings, "SELECT file_hash, file_size, final_path, captured_at FROM media_assets")
    living = {_unescaped(row["final_path"]): row["file_hash"] for row in rows if row["file_hash"] not in lost}
    assert living == kept, f"rows and vault differ: {sorted(living.items() ^ kept.items())}"
    paths = [row["final_path"] for row in rows]
    assert len(set(paths)) == len(paths), "a path of the vault is used twice in the ledger"
    for row in rows:
        path = _unescaped(row["final_path"])
        assert path.split("/")[2] == row["captured_at"].date().isoformat(), f"{path}: {row['captured_at']}"
        if row["file_hash"] not in lost:
            assert (settings.storage / path).stat().st_size == row["file_size"], path


def _assert_fates_told(settings: Settings, kept: dict[str, str], wanted: list[Source], lost: set[str]) -> None:
    events = ledger_rows(settings, "SELECT * FROM ingest_events ORDER BY happened_at")
    filed = [event for event in events if event["fate"] in _FILED]
    told = Counter(Source(_unescaped(event["original_path"]), event["file_hash"]) for event in filed)
    untold = Counter(wanted) - told
    assert not untold, f"no fate is told of {list(untold)}"
    for sha256, count in Counter(event["file_hash"] for event in filed if event["fate"] == "ingested").items():
        assert count == 1, f"{sha256} was ingested {count} times"
    last = {event["file_hash"]: event for event in filed}
    for sha256, event in last.items():
        if sha256 not in lost and event["fate"] != "unwanted":
            # (an act that has moved it since has events of its own)
            moved = ledger_rows(settings, f"SELECT FROM left_paths WHERE file_hash = '{sha256}'")
            assert moved or kept.get(_unescaped(event["final_path"])) == sha256, (
                f"the last event points elsewhere: {event}"
            )


def _assert_nothing_left_over(settings: Settings, filed: set[str]) -> None:
    for name in ("journal", "copying"):
        folder = settings.storage / ".factory" / name
        left = sorted(os.listdir(folder)) if folder.is_dir() else []
        assert not left, f"left in {name}: {left}"
    in_inbox = [
        path
        for path in files_below(settings.inbox)
        if path.parent.name != _HIDDEN and _sha256_while_there(path) in filed
    ]
    assert not in_inbox, f"filed, and still in the inbox: {in_inbox}"


def files_below(folder: Path) -> list[Path]:
    """Regular files at any depth that a path reaches. Not by os.walk: it recurses, and gives up in a deep tree."""
    found: list[Path] = []
    folders = [str(folder)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        found.append(Path(entry.path))
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
    return sorted(found)


def _one_name(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())


def _unescaped(ledger_text: str) -> str:
    """`\\xNN` is a byte that is no UTF-8, two backslashes are one."""
    text_and_bytes = re.sub(
        rb"\\(\\|x[0-9a-f]{2})",
        lambda match: b"\\" if match[1] == b"\\" else bytes([int(match[1][1:], 16)]),
        ledger_text.encode(),
    )
    return os.fsdecode(text_and_bytes)
