"""A vault and a ledger with many small originals in them, made without the Librarian: for who moves originals."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from Src.Library.vault import Vault
from Src.Shared.database import Database
from Src.Shared.ledger_text import to_ledger
from Src.Shared.models import MediaAsset

FIRST = datetime(2024, 7, 1, 9, 0, 0)


def fill(
    vault: Vault,
    database: Database,
    count: int,
    *,
    step: timedelta = timedelta(minutes=97),
    first: datetime = FIRST,
    names: Sequence[str] = (),
) -> list[str]:
    """Originals, each taken a step after the one before; their hashes, in that order."""
    if not vault.is_marked():
        vault.create()
    rows: list[dict[str, Any]] = []
    for number in range(count):
        name = names[number] if number < len(names) else f"IMG_{number:04d}.jpg"
        when = first + number * step
        content = os.fsencode(f"original {name} of {when}")
        final_path = f"{vault.day_folder(when.date())}/{name}"
        path = vault.storage / final_path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o440)
        rows.append(
            {
                "file_hash": hashlib.sha256(content).hexdigest(),
                "file_size": len(content),
                "original_name": to_ledger(name),
                "original_path": to_ledger(f"phone/{name}"),
                "final_path": to_ledger(final_path),
                "media_kind": "JPEG",
                "mime_type": "image/jpeg",
                "captured_at": when,
                "date_source": "exif:DateTimeOriginal",
                "has_errors": False,
            }
        )
    with database.session() as session:
        session.execute(insert(MediaAsset), rows)
    return [row["file_hash"] for row in rows]


def standing(storage: Path) -> dict[str, list[str]]:
    """Where contents stand below Originals and Trash: by hash, the paths relative to the storage root."""
    found: dict[str, list[str]] = {}
    for top in ("Originals", "Trash"):
        for folder, _, names in os.walk(storage / top):
            for name in names:
                path = Path(folder, name)
                if name != ".photo-factory-vault":
                    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
                    found.setdefault(sha256, []).append(str(path.relative_to(storage)))
    return found
