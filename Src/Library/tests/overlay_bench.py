"""A ledger with originals, for tests of the overlay: acts by their words, and all that the overlay knows."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

from sqlalchemy import Table, insert, select, text

from Src.Library.overlay import albums, changes
from Src.Library.overlay.changes import Decision, Done
from Src.Library.overlay.mirror import Mirror
from Src.Library.overlay.undo import Undone, last_act, undo
from Src.Library.selection.selection import read_selection
from Src.Library.vault import Vault
from Src.Shared.database import Database
from Src.Shared.models import Act, AssetTag, MediaAsset, new_id
from Src.Shared.settings import Settings

TABLES = ("media_assets", "asset_tags", "albums", "album_items", "acts", "overlay_events")
_STATE = {
    "originals": "SELECT file_hash, rating, location, title, description, is_hidden, rotation, captured_at, "
    "captured_at_offset, date_source, date_precision FROM media_assets ORDER BY 1",
    "tags": "SELECT file_hash, tag FROM asset_tags JOIN media_assets ON id = asset_id ORDER BY 1, 2",
    "albums": "SELECT * FROM albums ORDER BY id",
    "items": "SELECT album_id, file_hash, position FROM album_items JOIN media_assets ON id = asset_id ORDER BY 1, 2",
    "acts": "SELECT * FROM acts ORDER BY id",
    "events": "SELECT id, act_id, happened_at, who, file_hash, field, before, after, undoes "
    "FROM overlay_events ORDER BY seq",
}


def sha256_of(number: int) -> str:
    return f"{number:064x}"


class OverlayBench:
    """Originals `0.jpg`, `1.jpg`, ... with their hashes, and who decides about them."""

    def __init__(self, settings: Settings, database: Database, originals: int = 6) -> None:
        self.database = database
        self.vault = Vault(settings.storage)
        self.mirror = Mirror(self.vault)
        self.originals = originals
        settings.storage.mkdir(parents=True, exist_ok=True)
        if not self.vault.is_marked():
            self.vault.create()
        self.fill()

    def fill(self) -> None:
        """Rows as a rebuild makes them: of what the files say."""
        rows = [
            {
                "id": new_id(),
                "file_hash": sha256_of(number),
                "file_size": 1,
                "original_name": f"{number}.jpg",
                "original_path": f"{number}.jpg",
                "final_path": f"Originals/2024/2024-01-{number % 28 + 1:02}/{number}.jpg",
                "media_kind": "JPEG",
                "mime_type": "image/jpeg",
                "captured_at": datetime(2024, 1, number % 28 + 1, 12),
                "date_source": "exif:DateTimeOriginal",
                "rating": number if number < 6 else None,
                "location": {"lat": 1.5, "lon": 2.5} if number % 2 else None,
            }
            for number in range(self.originals)
        ]
        with self.database.session() as session:
            session.execute(insert(cast(Table, MediaAsset.__table__)), rows)
            session.execute(insert(AssetTag), [{"asset_id": row["id"], "tag": "of the file"} for row in rows[:3]])

    def lose_ledger(self) -> None:
        """All of it; the originals get their rows back, with other ids."""
        with self.database.session() as session:
            session.execute(text(f"TRUNCATE {', '.join(TABLES)}"))
        self.fill()

    def decide(self, decision: Decision, selection: str = "*", *, dry_run: bool = False) -> Done:
        condition = read_selection(selection, ZoneInfo("UTC"), datetime.now(UTC)).condition
        with self.database.session() as session:
            return changes.carry_out(session, decision, condition, who="ada", selection=selection, dry_run=dry_run)

    def remove_from_album(self, name: str, selection: str = "*") -> Done | None:
        with self.database.session() as session:
            album = albums.album_named(session, name)
        return None if album is None else self.decide(albums.remove(album), selection)

    def undo(self, act: Act | uuid.UUID | None = None, *, dry_run: bool = False) -> Undone | None:
        """Without an act the last one."""
        with self.database.session() as session:
            found = (
                last_act(session) if act is None else session.get(Act, act if isinstance(act, uuid.UUID) else act.id)
            )
            return None if found is None else undo(session, found, "ada", dry_run=dry_run)

    def bring_up(self) -> int:
        return self.mirror.bring_up(self.database, None)

    def state(self) -> dict[str, list[tuple[Any, ...]]]:
        with self.database.session() as session:
            return {name: [tuple(row) for row in session.execute(text(sql))] for name, sql in _STATE.items()}

    def of(self, number: int, column: str) -> Any:
        with self.database.session() as session:
            return session.scalar(select(getattr(MediaAsset, column)).where(MediaAsset.file_hash == sha256_of(number)))

    def tags(self, number: int) -> list[str]:
        """In the order of the alphabet."""
        return sorted((tag for sha256, tag in self.state()["tags"] if sha256 == sha256_of(number)), key=str.lower)
