"""A vault with originals and a ledger, for tests of the XMP files beside them: who decides, and who writes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import insert, select, text

from Src.Library.file_acts import FileActs
from Src.Library.held_files import path_id
from Src.Library.kept_xmp import KeptXmp
from Src.Library.overlay import changes
from Src.Library.overlay.changes import Decision, Done
from Src.Library.overlay.undo import last_act, undo
from Src.Library.selection.selection import read_selection
from Src.Library.vault import Vault
from Src.Library.xmp import writing
from Src.Library.xmp.looking import XmpLook
from Src.Library.xmp.writing import XmpFiles
from Src.Media.xmp_sidecar import Said, read_sidecar
from Src.Shared.database import Database
from Src.Shared.ledger_text import to_ledger
from Src.Shared.models import Companion, MediaAsset, new_id
from Src.Shared.settings import Settings
from Src.Testing.filled_vault import fill


def exiftool(path: Path, *options: str) -> dict[str, Any]:
    """What ExifTool reads there."""
    command = ["exiftool", "-config", "", "-G1", "-struct", "-json", *options, str(path)]
    (found,) = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert isinstance(found, dict)
    return found


class XmpBench:
    """`IMG_0000.jpg`, `IMG_0001.jpg`, … in one vault."""

    def __init__(self, settings: Settings, database: Database, count: int = 3) -> None:
        settings.storage.mkdir(parents=True, exist_ok=True)
        self.settings, self.database = settings, database
        self.vault = Vault(settings.storage)
        self.acts = FileActs(self.vault, database, settings.zone)
        self.hashes = fill(self.vault, database, count) if count else []
        self.later = 0.0
        self.start()

    def start(self) -> None:
        """Another process: nothing is remembered."""
        self.files = XmpFiles(self.vault, self.acts, lambda: time.monotonic() + self.later)
        self.look = XmpLook(self.vault, self.acts, self.files)

    def decide(self, decision: Decision, selection: str = "*") -> Done:
        condition = read_selection(selection, ZoneInfo("UTC"), datetime.now(UTC)).condition
        with self.database.session() as session:
            return changes.carry_out(session, decision, condition, who="ada", selection=selection)

    def undo(self) -> None:
        with self.database.session() as session:
            act = last_act(session)
            assert act is not None
            undo(session, act, "ada")

    def write(self) -> writing.Done:
        """All that waits."""
        done = writing.Done()
        while self.files.are_waiting():
            batch = self.files.write()
            done.add(batch)
            if not (batch.originals or batch.left):
                break
        return done

    def notice(self) -> writing.Done:
        """One look at everything, and what comes of it."""
        done = writing.Done()
        for one in self.look.round(lambda: time.time() + 60):
            done.add(one)
        with self.acts.turn() as mine:
            assert mine
            for act in self.acts.open_acts():
                for _ in self.acts.steps(act):
                    pass
        done.add(self.write())
        return done

    def path(self, number: int) -> Path:
        """Where an original stands."""
        with self.database.session() as session:
            asked = select(MediaAsset.final_path).where(MediaAsset.file_hash == self.hashes[number])
            return self.vault.storage / str(session.scalar(asked))

    def xmp(self, number: int) -> Path:
        path = self.path(number)
        return path.with_name(f"{path.name}.xmp")

    def said(self, number: int) -> Said:
        return read_sidecar(self.xmp(number).read_bytes())

    def came_in(self, number: int, content: bytes, ending: str = ".jpg.xmp") -> Path:
        """As the Librarian files an XMP file that came with a photo."""
        path = self.path(number).with_suffix(ending)
        path.write_bytes(content)
        path.chmod(0o440)
        kept = KeptXmp(self.vault.storage)
        kept.keep(content)
        name = f"phone/{path.name}"
        row = {
            "id": new_id(),
            "original_hash": self.hashes[number],
            "kind": "xmp",
            "path_id": path_id(name),
            "original_path": name,
            "companion_hash": _sha256(content),
            "companion_size": len(content),
            "final_path": to_ledger(str(path.relative_to(self.vault.storage))),
            "filed_at": datetime.now(UTC),
        }
        with self.database.session() as session:
            session.execute(insert(Companion), [row])
        return path

    def kept(self, content: bytes) -> bool:
        return KeptXmp(self.vault.storage).content(_sha256(content)) == content

    def events(self, number: int) -> list[tuple[str, str, Any, Any]]:
        """Who decided what about an original, in order."""
        asked = text("SELECT who, field, before, after FROM overlay_events WHERE file_hash = :sha256 ORDER BY seq")
        with self.database.session() as session:
            return [tuple(row) for row in session.execute(asked, {"sha256": self.hashes[number]})]

    def of(self, number: int, column: str) -> Any:
        with self.database.session() as session:
            asked = select(getattr(MediaAsset, column)).where(MediaAsset.file_hash == self.hashes[number])
            return session.scalar(asked)

    def rows(self, columns: str = "*") -> Sequence[dict[str, Any]]:
        with self.database.session() as session:
            asked = text(f"SELECT {columns} FROM companions ORDER BY id")
            return [dict(row) for row in session.execute(asked).mappings()]


def rewrite(path: Path, content: bytes, *, seconds_ago: float = 0.0) -> None:
    """As a program writes its file again, some time ago."""
    path.chmod(0o640)
    path.write_bytes(content)
    at = time.time() - seconds_ago
    os.utime(path, (at, at))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
