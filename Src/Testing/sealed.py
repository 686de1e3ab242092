"""A ledger with events of both kinds, sealed and signed beside a vault: for who seals, checks or certifies them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import CursorResult, text

from Src.Library.belonging import Belonging
from Src.Library.custody.manifests.events.accepting import NO_HEAD, Seen, accepted
from Src.Library.custody.manifests.events.checking import check_events
from Src.Library.custody.manifests.events.found import CheckedEvents
from Src.Library.custody.manifests.events.sealing import Head
from Src.Library.custody.manifests.store import signing_key
from Src.Library.custody.manifests.writing import Manifests
from Src.Library.vault import Vault
from Src.Shared.database import Database
from Src.Shared.models import new_id
from Src.Shared.settings import Settings

_FATE = (
    "INSERT INTO ingest_events (id, fate, source, original_name, original_path, file_hash, file_size, message) VALUES "
    "(:id, 'ingested', 'inbox', :name, :name, :hash, 7, :message)"
)
_DECISION = (
    "INSERT INTO overlay_events (id, act_id, who, file_hash, field, before, after) VALUES "
    "(:id, gen_random_uuid(), 'ada', :hash, 'title', NULL, CAST(:after AS jsonb))"
)


@dataclass
class Sealed:
    """The vault and the ledger of `factory_settings`."""

    settings: Settings
    database: Database
    vault: Vault

    def sql(self, statement: str, **values: object) -> list[Any]:
        with self.database.session() as session:
            answer = cast("CursorResult[Any]", session.execute(text(statement), values))
            return list(answer.all()) if answer.returns_rows else []

    def add(self, hashes: Sequence[str]) -> list[uuid.UUID]:
        """For each content a fate and a decision, in one transaction; their ids."""
        ids: list[uuid.UUID] = []
        with self.database.session() as session:
            for number, sha256 in enumerate(hashes):
                fate, decision = new_id(), new_id()
                name = f'IMG_{number:04d} "é".jpg'
                session.execute(text(_FATE), {"id": fate, "name": name, "hash": sha256, "message": "a\\b\n"})
                said = json.dumps({"title": name, "x": [1.50, None]})
                session.execute(text(_DECISION), {"id": decision, "hash": sha256, "after": said})
                ids += [fate, decision]
        return ids

    def manifests(self) -> Manifests:
        belonging = Belonging(self.settings, self.vault)
        belonging.establish(self.database)
        return Manifests(self.vault, self.database, belonging)

    def seal(self) -> Manifests:
        """All that waits, and all lists."""
        manifests = self.manifests()
        while manifests.are_behind() and manifests.write().is_something:
            pass
        return manifests

    def accept(self, words: str, found: CheckedEvents | None = None) -> None:
        """As a person who has seen what was `found` (now: all there is)."""
        found = found or self.check()
        sealed = NO_HEAD if found.head is None else Head(found.head[0], bytes.fromhex(found.head[1]))
        note = accepted(signing_key(self.vault), "ada", words, Seen(sealed, found.listed or NO_HEAD))
        self.manifests().write(1, note)

    def check(self) -> CheckedEvents:
        return check_events(self.vault, self.database, Belonging(self.settings, self.vault))
