"""What earlier imports have done: a file that is as it was then, and is kept, is not read again.

Whether it is as it was, the hash cache says, and whether its content is kept, its original's row and a look at that.
Only what has no hash (it is no photo or video) or no original of its own (a sidecar) is known by its fate, size and
time; so is a member of an archive, whose bytes are read and compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Text, and_, any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from Src.Librarian.passage import IncomingFile, Outcome
from Src.Library.hash_cache import CachedFile, HashCache
from Src.Library.held_files import path_id
from Src.Library.original_path import path_in_row
from Src.Library.vault import Vault
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.ledger_text import from_ledger, to_ledger
from Src.Shared.models import Companion, IngestEvent, MediaAsset

UNCHANGED = "unchanged since an earlier import"
_REMEMBERED = ("new", "duplicate", "restored")
_BY_FATE = ("not_media", "companion")

_ASSET = (MediaAsset.captured_at, MediaAsset.date_source, MediaAsset.final_path)
_OF_HASHES = select(MediaAsset.file_hash, *_ASSET).where(
    MediaAsset.file_hash == any_(bindparam("hashes", type_=ARRAY(Text)))
)
_LAST_FATES = (
    select(
        IngestEvent.original_path,
        IngestEvent.fate,
        IngestEvent.file_size,
        IngestEvent.source_mtime_ns,
        IngestEvent.file_hash,
        Companion.final_path,
        *_ASSET,
    )
    .outerjoin(MediaAsset, MediaAsset.file_hash == IngestEvent.file_hash)
    .outerjoin(
        Companion,
        and_(
            IngestEvent.fate == "companion",
            Companion.path_id == any_(bindparam("path_ids", type_=ARRAY(UUID(as_uuid=True)))),
            Companion.original_path == IngestEvent.original_path,
            Companion.companion_hash == IngestEvent.file_hash,
            Companion.filed_at.is_not(None),
        ),
    )
    .where(
        IngestEvent.original_path == any_(bindparam("paths", type_=ARRAY(Text))),
        IngestEvent.source == "import",
    )
    .order_by(IngestEvent.id)
)


@dataclass(frozen=True, slots=True)
class Earlier:
    """What is known of a path. `is_same`: the file there is what it was then, as far as can be told unread."""

    fate: str
    is_same: bool
    sha256: str | None
    captured_at: datetime | None = None
    date_source: str | None = None
    kept_path: str | None = None  # where the original stands, or the companion


class EarlierImports:
    """What the ledger knows of them."""

    def __init__(self, database: Database, vault: Vault, *, only_look: bool = False) -> None:
        self._database = database
        self._vault = vault
        self.cache = HashCache(database, only_look=only_look)

    def of(self, files: Sequence[IncomingFile]) -> dict[str, Earlier]:
        """What is known of each path. Nothing while the ledger is away."""
        hashes = self.cache.hashes(CachedFile(file.path, file.state) for file in files)
        try:
            with self._database.session() as session:
                asked = {"hashes": list(set(hashes.values()))}
                rows = session.execute(_OF_HASHES, asked).all() if hashes else []
                kept = {row[0]: _kept(*row) for row in rows}
                known = {
                    path: Earlier("ingested", True, sha256, *kept[sha256])
                    for path, sha256 in hashes.items()
                    if sha256 in kept
                }
                rest = {one.original_path: one for one in files if one.original_path not in known}
                return known | (self._by_fate(session, rest) if rest else {})
        except LedgerUnavailable:
            return {}

    def of_members(self, files: Sequence[IncomingFile]) -> dict[str, Earlier]:
        """As `of`, for members of archives: of those the caller reads the bytes."""
        by_path = {one.original_path: one for one in files}
        try:
            with self._database.session() as session:
                return self._by_fate(session, by_path, fates=None)
        except LedgerUnavailable:
            return {}

    def remember(self, outcomes: Sequence[Outcome], *, read_since: float) -> None:
        """Which hash the files have that were filed, or are kept. `read_since`: as of HashCache.remember."""
        files = [
            (CachedFile(one.file.path, one.file.state), one.found.sha256)
            for one in outcomes
            if one.found is not None and one.reported and one.result in _REMEMBERED and not one.file.is_unpacked
        ]
        if files:
            self.cache.remember(files, read_since=read_since)

    def outcomes(self, files: Sequence[IncomingFile], earlier: Mapping[str, Earlier]) -> list[Outcome | None]:
        """What files count as that need not be read; None: it is to be read. Raises VaultTrouble.

        Their source stays where it is, so a look at the kept files is enough here; their bytes are not read.
        """
        known = [one if (one := earlier.get(file.original_path)) and one.is_same else None for file in files]
        asked = [
            (one.kept_path, file.state.size)
            for file, one in zip(files, known, strict=True)
            if one is not None and one.kept_path is not None
        ]
        kept = {path for (path, _), is_kept in zip(asked, self._vault.look_kept(asked), strict=True) if is_kept}
        return [_outcome(file, one, kept) if one is not None else None for file, one in zip(files, known, strict=True)]

    @staticmethod
    def _by_fate(
        session: Any, files: Mapping[str, IncomingFile], fates: Sequence[str] | None = _BY_FATE
    ) -> dict[str, Earlier]:
        found = {}
        asked = {
            "paths": [to_ledger(path) for path in files],
            "path_ids": [path_id(path) for path in files],
        }
        for path, fate, size, mtime_ns, sha256, beside, *asset in session.execute(_LAST_FATES, asked):
            file = files[from_ledger(path)]
            is_same = (size, mtime_ns) == (file.state.size, file.state.mtime_ns)
            stands = path_in_row(beside, path) if beside else None
            kept = (None, None, stands) if fate in _BY_FATE else _kept(sha256, *asset)
            found[file.original_path] = Earlier(fate, is_same, sha256, *kept)
        return {path: one for path, one in found.items() if fates is None or one.fate in fates}


def _outcome(file: IncomingFile, known: Earlier, kept: Set[str]) -> Outcome | None:
    if known.fate == "not_media":
        return Outcome(file, "not_media", reason=UNCHANGED)
    if known.kept_path not in kept:
        return None
    return Outcome(file, "companion" if known.fate == "companion" else "duplicate", known.kept_path, UNCHANGED)


def _kept(
    sha256: str | None, captured_at: datetime | None, date_source: str | None, final_path: str | None
) -> tuple[datetime | None, str | None, str | None]:
    return captured_at, date_source, path_in_row(final_path, f"of {sha256}") if final_path else None
