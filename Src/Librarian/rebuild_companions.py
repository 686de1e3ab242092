"""Companions that stand in the vault without a row: whose each is, its name beside the original's says."""

from __future__ import annotations

import os
from collections.abc import Sequence

from sqlalchemy.orm import Session

from Src.Librarian.kept_sidecars import KeptSidecars
from Src.Librarian.passage import Companion, CompanionRow, EventRow, Inspected, Inspection, Sidecar, StillChanging
from Src.Librarian.record import companions, ledger_entry, statements
from Src.Librarian.sidecars import ByItself, as_companion
from Src.Library.vault import Vault
from Src.Media.companion_names import PICTURED, CompanionKind, companion_kind, says_so_itself, stands_beside
from Src.Shared.disk.files import NotARegularFile
from Src.Shared.ledger_text import to_ledger


def companion_in(found: Inspection) -> ByItself | None:
    """What was read, as a companion that it may be by its name."""
    if isinstance(found, Inspected):
        return as_companion(found)
    return found if isinstance(found, Sidecar | Companion) else None


class StandingCompanions:
    """Finds whose companions are, by what stands beside them, and gives them rows."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._kept = KeptSidecars(vault.storage)
        self._names: tuple[str, list[str]] = "", []  # of the folder that was looked into last

    def owner(self, session: Session, one: ByItself) -> str | None:
        """The hash of the original that has the best right to it. Raises OSError."""
        paths = self.beside(one)
        owners = statements.owners(session, [to_ledger(path) for path in paths])
        known = (owners.get(to_ledger(path)) for path in paths)
        return next((sha256 for sha256 in known if sha256 is not None and " " not in sha256), None)

    def beside(self, one: ByItself) -> list[str]:
        """The paths of what it may belong to, the best first. Raises OSError."""
        return self._ranked(one.file.original_path, _kind(one))

    def is_own(self, path: str, sidecar: str) -> bool:
        """Whether nothing beside an original has a better right to the XMP file of that name. Raises OSError."""
        ranked = self._ranked(f"{os.path.dirname(path)}/{sidecar}", "xmp")
        return not ranked or ranked[0] == path

    def _ranked(self, path: str, kind: CompanionKind) -> list[str]:
        folder, name = os.path.split(path)
        if self._names[0] != folder:
            with self._vault.opened(folder) as fd:
                self._names = folder, os.listdir(fd)
        ranks = [(rank, other) for other in self._names[1] if (rank := stands_beside(kind, name, other)) is not None]
        return [f"{folder}/{other}" for _, other in sorted(ranks)]

    def may_stand_alone(self, one: ByItself) -> bool:
        """Whether it was filed by itself, as a person wanted: by its name it can be nothing else."""
        kind = _kind(one)
        return kind not in PICTURED and says_so_itself(kind)

    def record(self, session: Session, found: Sequence[tuple[ByItself, str | None]], *, keep: bool) -> None:
        """Gives each a row, with its owner; `keep`: the bytes of XMP files are kept. Under the vault's lock. Raises
        VaultTrouble."""
        rows: dict[str, CompanionRow] = {}
        events: list[EventRow] = []
        for one, owner in found:
            path, kind = one.file.original_path, _kind(one)
            if keep and kind == "xmp":
                try:
                    self._kept.keep(one.file, one.sha256)
                except (StillChanging, FileNotFoundError, NotARegularFile):  # the next run finds it as it is by then
                    continue
            rows[path] = ledger_entry.companion_row(owner, kind, path, one.sha256, one.file.state.size)
            message = "found in the vault without a row"
            events.append(ledger_entry.event_row(one.file, "companion", sha256=one.sha256, message=message))
        companions.add(session, list(rows.values()))
        companions.intend(session, {row["id"]: path for path, row in rows.items()})
        companions.filed(session, [row["id"] for row in rows.values()], [], events)


def _kind(one: ByItself) -> CompanionKind:
    kind = companion_kind(one.file.name)
    assert kind is not None
    return kind
