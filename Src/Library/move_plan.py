"""The plan of moves: which file gets which name, written down in the ledger before the first of them moves."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from sqlalchemy import Table, Text, any_, delete, insert, literal, select, union_all
from sqlalchemy.dialects.postgresql import ARRAY, UUID
from sqlalchemy.orm import Session

from Src.Library.beside import Beside, is_named_after, renamed
from Src.Library.moves import Move
from Src.Library.vault import Vault
from Src.Library.vault_folder import VaultFolder, name_key
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.ledger_text import from_ledger, to_ledger
from Src.Shared.models import FileMove, LeftPath, MediaAsset, new_id

_MOVES = cast(Table, FileMove.__table__)
_ASSETS = cast(Table, MediaAsset.__table__)
_LEFT = cast(Table, LeftPath.__table__)


@dataclass(frozen=True)
class Wanted:
    """An original that shall move, with what stands beside it. Paths are as on disk."""

    file_hash: str
    size: int
    from_path: str
    folder: str | None  # relative to the storage root; None: it goes for good
    name: str = ""  # as it shall be called where nobody has that name
    beside: Sequence[Beside] = ()


@dataclass
class Plan:
    """The moves, and what cannot be planned, with the reason."""

    moves: list[Move] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)  # by hash


def plan(session: Session, act: uuid.UUID, wanted: Sequence[Wanted], vault: Vault) -> Plan:
    """Chooses names that nobody has, on disk or in the ledger, and writes the moves down: the caller commits.

    Under the vault's lock.
    """
    made = Plan()
    folders: dict[str, VaultFolder] = {}
    for name in dict.fromkeys(one.folder for one in wanted if one.folder is not None):
        try:
            folders[name] = vault.folder(name)
        except VaultTrouble as trouble:
            made.refused |= {one.file_hash: str(trouble) for one in wanted if one.folder == name}
    for one in wanted:
        if one.folder is None:
            made.moves += _moves(act, one, None)
    naming = _Naming(folders)
    waiting = [one for one in wanted if one.folder in folders]
    while waiting:
        named = [(one, naming.choose(one)) for one in waiting]
        anothers = _anothers(session, {path: one.file_hash for one, names in named for path in _paths(one, names)})
        waiting = []
        for one, names in named:
            if refused := [path for path in _paths(one, names) if path in anothers]:
                naming.refuse(refused)
                waiting.append(one)
            else:
                made.moves += _moves(act, one, names)
    if made.moves:
        session.execute(insert(_MOVES), [_row(move) for move in made.moves])
    return made


def moves_left(session: Session) -> list[Move]:
    """What was written down and is not done with, act by act."""
    rows = session.execute(select(_MOVES).order_by(_MOVES.c.act_id, _MOVES.c.id)).mappings()
    return [
        Move(
            row["id"],
            row["act_id"],
            row["file_hash"],
            row["file_size"],
            from_ledger(row["from_path"]),
            None if row["to_path"] is None else from_ledger(row["to_path"]),
            row["companion_id"],
        )
        for row in rows
    ]


def forget(session: Session, moves: Sequence[Move]) -> None:
    """They are done with: in the transaction that writes what has become of them."""
    ids = literal([move.id for move in moves], ARRAY(UUID(as_uuid=True)))
    session.execute(delete(_MOVES).where(_MOVES.c.id == any_(ids)))


def own_name(original_name: str, standing: str) -> str:
    """What a file that stands under a name is called where that is free: as it came in, without its number."""
    if standing == original_name:
        return standing
    stem, dot, ending = original_name.rpartition(".")
    if not stem:
        stem, dot, ending = original_name, "", ""
    numbered = rf"{re.escape(stem)}_[1-9]\d*{re.escape(dot + ending)}"
    return original_name if re.fullmatch(numbered, standing, re.DOTALL) else standing


class _Naming:
    """Chooses names for one plan: no two files get one that Windows or macOS may take for the same."""

    def __init__(self, folders: Mapping[str, VaultFolder]) -> None:
        self._folders = folders
        self._taken: dict[str, set[str]] = {name: set() for name in folders}

    def choose(self, one: Wanted) -> list[str]:
        """The names of an original and of what stands beside it, of one number."""
        assert one.folder is not None
        folder, taken = self._folders[one.folder], self._taken[one.folder]
        old = os.path.basename(one.from_path)
        own = [os.path.basename(each.path) for each in one.beside]
        # What is not named after its original keeps its name, whatever number that gets.
        follow = [is_named_after(name, old) for name in own]
        for candidate in folder.free_names(one.name):
            others = [renamed(name, old, candidate) for name in own]
            if name_key(candidate) in taken or not all(
                self._is_free(other, folder, taken)
                for other, each, follows in zip(others, one.beside, follow, strict=True)
                if follows and f"{one.folder}/{other}" != each.path
            ):
                continue
            names = [candidate]
            taken.add(name_key(candidate))
            for other in others:
                names.append(next(free for free in folder.free_names(other) if name_key(free) not in taken))
                taken.add(name_key(names[-1]))
            return names
        raise AssertionError("numbered names never end")

    def _is_free(self, name: str, folder: VaultFolder, taken: set[str]) -> bool:
        return folder.holder(name) is None and name_key(name) not in taken

    def refuse(self, paths: Sequence[str]) -> None:
        for path in paths:
            folder, name = os.path.split(path)
            self._taken[folder].add(name_key(name))


def _paths(one: Wanted, names: Sequence[str]) -> list[str]:
    return [f"{one.folder}/{name}" for name in names]


def _moves(act: uuid.UUID, one: Wanted, names: Sequence[str] | None) -> Iterator[Move]:
    to_paths: list[str | None] = [None] * (1 + len(one.beside)) if names is None else [*_paths(one, names)]
    yield Move(new_id(), act, one.file_hash, one.size, one.from_path, to_paths[0])
    for each, to_path in zip(one.beside, to_paths[1:], strict=True):
        yield Move(new_id(), act, one.file_hash, each.size, each.path, to_path, each.id)


def _anothers(session: Session, whose: Mapping[str, str]) -> set[str]:
    """Paths that belong, or ever belonged, to other originals than those that are to get them (by path: the hash)."""
    texts = {to_ledger(path): path for path in whose}
    return {texts[one] for one, owners in claims(session, list(texts)).items() if owners - {whose[texts[one]]}}


def claims(session: Session, paths: Sequence[str]) -> dict[str, set[str]]:
    """Whose these paths (ledger text) are, or ever were: hashes. No path is used twice (promise 1)."""
    texts = literal(list(paths), ARRAY(Text))
    asked = union_all(
        *(
            select(table.c.final_path, table.c.file_hash).where(table.c.final_path == any_(texts))
            for table in (_ASSETS, _LEFT)
        )
    )
    found: dict[str, set[str]] = {}
    for path, sha256 in session.execute(asked):
        found.setdefault(path, set()).add(sha256)
    return found


def _row(move: Move) -> dict[str, object]:
    return {
        "id": move.id,
        "act_id": move.act_id,
        "file_hash": move.file_hash,
        "file_size": move.size,
        "companion_id": move.companion,
        "from_path": to_ledger(move.from_path),
        "to_path": None if move.to_path is None else to_ledger(move.to_path),
    }
