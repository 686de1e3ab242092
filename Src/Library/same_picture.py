"""Does the vault have the picture of a photo, in a file with other bytes? By the hash of decoded pixels.

A program that writes a rating, a date or a place into a photo gives it other bytes and leaves its pixels as they are.
Which originals could be the same picture the ledger says, by kind and size, and by name or date; only those are
decoded, in the confined process that makes pictures. What comes out is for people to know: nothing may be removed by
it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.orm import Session

from Src.Library.finding_rows import SPEAKS_OF_MODE
from Src.Library.original import open_original
from Src.Media.pictures.alike import Picture
from Src.Media.pictures.process import NoPicture, PictureProcess
from Src.Shared.disk.files import sha256_of
from Src.Shared.ledger_text import from_ledger, to_ledger

MOST_SECONDS = 600.0  # for all pictures of a run; one that is begun is compared to its end
_MOST_CANDIDATES = 20  # of one picture: a burst has many of one second
_CANDIDATES = text(f"""
    SELECT file_hash, final_path FROM media_assets AS a
    WHERE NOT EXISTS (SELECT FROM original_findings AS f WHERE f.asset_id = a.id AND f.finding <> '{SPEAKS_OF_MODE}')
        AND media_kind = :kind AND ((width, height) = (:width, :height) OR (width, height) = (:height, :width))
        AND (captured_at = :captured_at OR lower(original_name) = lower(:name))
    ORDER BY lower(original_name) = lower(:name) DESC, captured_at = :captured_at DESC, id LIMIT :most
""")


class SamePictures:
    """Asks one vault; to be closed. Raises LedgerUnavailable, and WrongLedger, wherever it is asked."""

    def __init__(self, storage: Path, sessions: Callable[[], AbstractContextManager[Session]]) -> None:
        self._storage = storage
        self._sessions = sessions
        self._process = PictureProcess()
        self._until = time.monotonic() + MOST_SECONDS
        self._hashes: dict[str, str | None] = {}  # of originals, by their bytes; None: not to be had

    def close(self) -> None:
        self._process.close()

    @property
    def is_over(self) -> bool:
        """Its time is over: it is not to be asked any more."""
        return time.monotonic() > self._until

    def find(self, file: int, picture: Picture) -> str | None:
        """Where an original with the pixels of an open file stands, relative to the storage root.

        None: there is none among those that are alike, or it is not known. An original counts that is what was filed:
        with no finding, and by its bytes.
        """
        asked = picture._asdict() | {"name": to_ledger(picture.name), "most": _MOST_CANDIDATES}
        with self._sessions() as session:
            alike = [(str(sha256), str(path)) for sha256, path in session.execute(_CANDIDATES, asked)]
        wanted = self._hash(file, picture.kind) if alike else None
        if wanted is None:
            return None
        for sha256, path in alike:
            if sha256 not in self._hashes:
                self._hashes[sha256] = self._hash_of_original(path, sha256, picture.kind)
            if self._hashes[sha256] == wanted:
                return from_ledger(path)
        return None

    def _hash_of_original(self, path: str, sha256: str, kind: str) -> str | None:
        try:
            fd = open_original(self._storage, path)
        except OSError:
            return None
        try:
            return self._hash(fd, kind) if sha256_of(fd) == sha256 else None
        except OSError:
            return None
        finally:
            os.close(fd)

    def _hash(self, file: int, kind: str) -> str | None:
        try:
            return self._process.pixel_hash(file, kind)
        except NoPicture:
            return None
