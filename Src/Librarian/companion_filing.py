"""Filing companions: each gets its place beside its original, under that one's name, and its row says where.

The row names the place before the file gets there, so whatever a killed run has left is known, and the next run ends
what it began. Companions are never one file for two originals, however equal their bytes are. All of this happens while
the ledger is there: without it a companion waits where it is.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import islice

from Src.Librarian.kept_sidecars import KeptSidecars
from Src.Librarian.outcomes import not_placed
from Src.Librarian.passage import EventRow, IncomingFile, Outcome, Placed, StillChanging
from Src.Librarian.place.copying import NotPlaced
from Src.Librarian.place.placing import Placer, Wanted
from Src.Librarian.record import companions, statements
from Src.Librarian.record.companions import Known
from Src.Librarian.record.recorder import Recorder
from Src.Librarian.whose import LedgerAway, NotJoined
from Src.Library.vault import Vault
from Src.Library.vault_folder import is_one_entry, numbered_names
from Src.Library.vault_trouble import VaultTrouble
from Src.Library.verdict import Gone, Living, Rotten
from Src.Media.companion_names import names_beside
from Src.Shared.disk.files import NotARegularFile
from Src.Shared.disk.syncing import fsync
from Src.Shared.ledger_text import to_ledger

logger = logging.getLogger(__name__)

_MOST_NAMES = 10_000  # that are tried for one companion


@dataclass(frozen=True, slots=True)
class ToFile:
    """A companion whose owner is known, with its row."""

    file: IncomingFile
    row: Known
    original: str | None  # the path of its original (as on disk); None: it is filed by itself
    day: date  # of one that is filed by itself
    event: EventRow | None  # what the ledger is still to say of it


class CompanionFiling:
    """Puts companions into the vault. To be used under the vault's lock."""

    def __init__(self, recorder: Recorder, vault: Vault, placer: Placer, *, may_link: bool) -> None:
        self._recorder = recorder
        self._vault = vault
        self._placer = placer
        self._may_link = may_link
        self._kept = KeptSidecars(vault.storage)

    def clean_up(self) -> None:
        """Removes what a killed run has left half-done beside the vault."""
        self._kept.clean_up()

    def file(self, wanted: Sequence[ToFile]) -> list[Outcome]:
        """Files companions durably; what became of each, in order.

        Raises LedgerAway, and VaultTrouble; what stands in the vault by then is known by its row.
        """
        outcomes: dict[int, Outcome] = {}
        to_place: list[int] = []
        for index, one in enumerate(wanted):
            settled = self._settled(one)
            if settled is None:
                to_place.append(index)
            else:
                outcomes[index] = settled
        paths = self._planned([wanted[index] for index in to_place])
        if paths and not self._recorder.ask(partial(companions.intend, paths=paths)):
            raise LedgerAway
        answers: dict[int, Placed | NotPlaced] = {}
        if to_place:
            asked = [_wanted(wanted[index], paths[wanted[index].row.id], self._may_link) for index in to_place]
            answers = dict(zip(to_place, self._placer.place(asked), strict=True))
            self._vault.check()  # unmounted under our hands?
        for index, answer in answers.items():
            one = wanted[index]
            if isinstance(answer, Placed):
                outcomes[index] = Outcome(
                    one.file, "companion", answer.final_path, f"stands at {to_ledger(answer.final_path)}", reported=True
                )
            else:
                outcomes[index] = not_placed(one.file, answer)
        done = [wanted[index].row.id for index, answer in answers.items() if isinstance(answer, Placed)]
        undone = [wanted[index].row.id for index, answer in answers.items() if not isinstance(answer, Placed)]
        events = [
            one.event
            for index, one in enumerate(wanted)
            if one.event is not None and outcomes[index].result == "companion"
        ]
        if not self._recorder.ask(partial(companions.filed, ids=done, not_filed=undone, events=events)):
            raise LedgerAway
        return [outcomes[index] for index in range(len(wanted))]

    def _settled(self, one: ToFile) -> Outcome | None:
        """What becomes of a companion that needs no place; None for one that does."""
        row, file = one.row, one.file
        if row.kind == "xmp":
            try:
                self._kept.keep(file, row.sha256)
            except (StillChanging, FileNotFoundError, NotARegularFile) as problem:
                return not_placed(file, problem)
        if row.is_filed and row.final_path is not None:
            verdict = self._vault.verdict(row.final_path, row.sha256, row.size)
            where = to_ledger(row.final_path)
            if not isinstance(verdict, Living) and row.standing_hash is not None and row.standing_size is not None:
                # (What came in is kept for ever. What stands there, people here have decided, or it was taken over.)
                verdict = self._vault.verdict(row.final_path, row.standing_hash, row.standing_size)
            if isinstance(verdict, Living):
                return Outcome(file, "companion", row.final_path, f"stands at {where}", reported=True)
            if not isinstance(verdict, Gone):  # somebody may have written what they think of the photo into it
                return Outcome(file, "companion", None, f"stands at {where}, where it was changed since", reported=True)
        for other in self._same(row):
            return Outcome(file, "companion", other, f"the same stands at {to_ledger(other)}", reported=True)
        return None

    def _same(self, row: Known) -> list[str]:
        """Where the same companion of the same original stands already."""
        if row.original_hash is None:
            return []
        found = self._recorder.ask(partial(companions.of_originals, hashes=[row.original_hash]))
        if found is None:
            raise LedgerAway
        return [
            one.final_path
            for one in found
            if one.id != row.id
            and (one.kind, one.sha256) == (row.kind, row.sha256)
            and one.is_filed
            and one.final_path is not None
            and isinstance(self._vault.verdict(one.final_path, one.sha256, one.size), Living)
        ]

    # Names

    def _planned(self, wanted: Sequence[ToFile]) -> dict[uuid.UUID, str]:
        """Where each is to stand, by its row: at a path that nothing ever had."""
        paths: dict[uuid.UUID, str] = {}
        for one in wanted:
            if one.row.final_path is not None:  # it is about to stand there, or has gone from there
                paths[one.row.id] = one.row.final_path
                continue
            if one.original is not None:
                folder, beside = os.path.split(one.original)
                names = names_beside(one.file.name, beside)
            else:
                folder = self._vault.day_folder(one.day)
                names = numbered_names(one.file.name)
            in_vault = self._vault.folder(folder)
            for name in islice(names, _MOST_NAMES):
                path = f"{folder}/{name}"
                if in_vault.holder(name) is None and path not in paths.values() and self._is_nobodys(path):
                    paths[one.row.id] = path
                    break
            else:
                raise VaultTrouble(f"no name is free for {one.file.original_path} in {folder}")
        return paths

    def _is_nobodys(self, path: str) -> bool:
        text = to_ledger(path)
        owners = self._recorder.ask(partial(statements.owners, paths=[text]))
        if owners is None:
            raise LedgerAway
        return text not in owners

    # With the original

    def link_at(self, original_hash: str, old: str, new: str) -> list[tuple[Known, str]]:
        """Gives the companions of an original that gets another path a second name beside that; each with it.

        The caller makes the names durable, then the rows, and then calls `finish`. Raises OSError, NotJoined where
        one cannot be moved, and VaultTrouble.
        """
        found = self._recorder.ask(partial(companions.of_originals, hashes=[original_hash]))
        if found is None:
            raise LedgerAway
        moved: list[tuple[Known, str]] = []
        old_folder, new_folder = os.path.dirname(old), os.path.dirname(new)
        for one in found:
            if one.final_path is None or os.path.dirname(one.final_path) != old_folder:
                continue
            if one.left_path is not None:
                raise NotJoined(
                    f"{one.final_path} still stands at {one.left_path} too, where it was changed: look at both"
                )
            source, target = self._vault.folder(old_folder), self._vault.folder(new_folder)
            name = os.path.basename(one.final_path)
            try:
                inode = os.lstat(source.at(name)).st_ino
            except FileNotFoundError:  # its row stays: whoever brings it again puts it there
                continue
            for candidate in islice(names_beside(_as_it_came(name, old), os.path.basename(new)), _MOST_NAMES):
                path = f"{new_folder}/{candidate}"
                if target.name_of(inode) == candidate:  # by a run that was killed
                    break
                if target.holder(candidate) is None and self._is_nobodys(path):
                    try:
                        os.link(source.at(name), target.at(candidate), follow_symlinks=False)
                    except FileExistsError:
                        continue
                    target.add(candidate, inode)
                    target.changed_only_by_us()
                    break
            else:
                raise NotJoined(f"no name is free for {one.final_path} in {new_folder}")
            moved.append((one, path))
        return moved

    def finish(self) -> None:
        """Ends what killed runs have begun. Raises VaultTrouble."""
        found = self._recorder.ask(companions.unfinished)
        if not found:
            return
        placed, gone, left = [], [], []
        self._vault.sync()  # what they had placed is not known to be on disk
        for one in found:
            if one.final_path is not None and not one.is_filed:
                verdict = self._vault.verdict(one.final_path, one.sha256, one.size)
                if isinstance(verdict, Living):
                    placed.append(one.id)
                elif isinstance(verdict, Gone | Rotten):  # it has not come there; what stands there is somebody else's
                    gone.append(one.id)
            if one.left_path is not None and self._has_left(one):
                left.append(one.id)
        if placed or gone:
            self._recorder.ask(partial(companions.filed, ids=placed, not_filed=gone, events=[]))
        if left:
            self._recorder.ask(partial(companions.left, ids=left))

    def _has_left(self, one: Known) -> bool:
        """Whether nothing of a companion stands at its old place any more; what is right there goes."""
        assert one.left_path is not None
        if one.left_path == one.final_path or one.final_path is None:
            return True
        old, new = self._vault.storage / one.left_path, self._vault.storage / one.final_path
        if isinstance(self._vault.verdict(one.left_path, one.sha256, one.size), Gone):
            return True
        parent, name = os.path.split(one.left_path)
        folder = self._vault.folder(parent)
        try:
            if is_one_entry(str(old), str(new)):
                return True
            standing = os.lstat(folder.at(name))
            if not os.path.samestat(standing, os.lstat(new)):  # another program has replaced one of them: both stay
                return False
            os.unlink(folder.at(name))
            fsync(folder.fd)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise VaultTrouble.from_os(error, f"move {one.left_path} to {one.final_path}") from error
        folder.remove(name, standing.st_ino)
        folder.changed_only_by_us()
        return True


def _wanted(one: ToFile, path: str, may_link: bool) -> Wanted:
    folder, name = os.path.split(path)
    # An XMP file is changed later, and must not share its bytes with what somebody else may still write to.
    link = (may_link or one.file.is_unpacked) and one.row.kind != "xmp"
    return Wanted(one.file, one.row.sha256, folder, name, link, only_name=True)


def _as_it_came(name: str, original: str) -> str:
    """A name that asks for the same form beside the original's next name as a companion has beside the present one."""
    beside = os.path.basename(original)
    return f"x.jpg{name[len(beside) :]}" if name.startswith(beside) else f"x{os.path.splitext(name)[1]}"
