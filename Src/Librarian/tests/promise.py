"""The promise, checked from outside: nothing of the factory's own code looks at the vault and the ledger here."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import create_engine, text

from Src.Shared.embedded_postgres import running_url
from Src.Shared.settings import Settings

_MARKER = ".photo-factory-vault"
_FILED = ("ingested", "duplicate", "restored")


class Source(NamedTuple):
    """A photo or video that went in: its path as the ledger knows it (relative to the inbox; absolute where it is
    imported), and the SHA-256 of its content."""

    original_path: str
    sha256: str


def sha256_of_file(path: Path | str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sources_in(folder: Path, relative_to: Path | None = None) -> list[Source]:
    """Every regular file below a folder as a source, before it is filed. `relative_to`: the inbox; None: imported."""
    return [
        Source(str(path if relative_to is None else path.relative_to(relative_to)), sha256_of_file(path))
        for path in files_below(folder)
    ]


def ledger_rows(settings: Settings, sql: str) -> list[dict[str, Any]]:
    """The answer of the ledger to a query, over a connection of its own."""
    url = settings.database_url or running_url(settings.db_data)
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
    """Path relative to the storage root -> SHA-256, of every original on disk."""
    return {
        str(path.relative_to(settings.storage)): sha256_of_file(path)
        for path in files_below(settings.storage / "Originals")
        if path.name != _MARKER
    }


def assert_promise_kept(
    settings: Settings, sources: Iterable[Source], *, lost_from_vault: Iterable[str] = (), read_only: bool = True
) -> None:
    """Every source is in the vault exactly once, has its row and its fate; the inbox copies of all are gone, and
    nothing is left over. To be asked when the factory is at rest.

    `lost_from_vault`: hashes of originals that the test itself took away. `read_only`: the filesystem has modes.
    """
    wanted = list(sources)
    assert (settings.storage / "Originals" / _MARKER).is_file(), "the vault has lost its marker"
    kept = vault_files(settings)
    _assert_vault_is_sound(settings, kept, read_only=read_only)

    lost = set(lost_from_vault)
    expected = {source.sha256 for source in wanted} - lost
    assert set(kept.values()) == expected, (
        f"missing from the vault: {[one for one in wanted if one.sha256 in expected - set(kept.values())]}; "
        f"nobody's: {[path for path, sha256 in kept.items() if sha256 not in expected]}"
    )
    _assert_rows_agree(settings, kept, lost)
    _assert_fates_told(settings, kept, wanted, lost)
    _assert_nothing_left_over(settings, {source.sha256 for source in wanted})


def _assert_vault_is_sound(settings: Settings, kept: dict[str, str], *, read_only: bool) -> None:
    twice = [sha256 for sha256, count in Counter(kept.values()).items() if count > 1]
    assert not twice, f"in the vault twice: {[path for path, sha256 in kept.items() if sha256 in twice]}"
    same_name = Counter(_one_name(path) for path in kept)
    assert not [path for path in kept if same_name[_one_name(path)] > 1], "names that Windows or macOS take for one"
    for path in kept:
        status = os.lstat(settings.storage / path)
        assert stat.S_ISREG(status.st_mode), f"{path} is no regular file"
        assert status.st_nlink == 1, f"{path} is still linked from elsewhere"
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
        if sha256 not in lost:
            assert kept.get(_unescaped(event["final_path"])) == sha256, f"the last event points elsewhere: {event}"


def _assert_nothing_left_over(settings: Settings, filed: set[str]) -> None:
    for name in ("journal", "copying"):
        folder = settings.storage / ".factory" / name
        left = sorted(os.listdir(folder)) if folder.is_dir() else []
        assert not left, f"left in {name}: {left}"
    in_inbox = [path for path in files_below(settings.inbox) if sha256_of_file(path) in filed]
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
