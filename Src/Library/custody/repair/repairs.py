"""What a person has asked to be put right, of what a run of `verify` has found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from Src.Library.custody.examine import Examiner
from Src.Library.custody.item import Item, Seen
from Src.Library.custody.repair.good_bytes import GoodBytes, GoOn
from Src.Library.custody.repair.putting_right import PutRight, Repairer, Stays
from Src.Library.custody.rows import Rows, Sessions
from Src.Library.custody.verified import Verified
from Src.Library.vault import Vault
from Src.Shared.ledger_text import to_ledger


@dataclass(frozen=True, slots=True)
class Repair:
    """What is asked for. With a source, a mode is put right too."""

    source: GoodBytes | None = None
    accepts_moves: bool = False


class Repairs:
    """Puts right, and takes up in `done`, what it can. All else stays as it was found, with the reason."""

    def __init__(
        self,
        vault: Vault,
        root: int,
        rows: Rows,
        sessions: Sessions,
        journaled: Callable[[], set[str]],
        done: Verified,
        go_on: GoOn,
    ) -> None:
        self._examiner = Examiner(vault.originals, root, go_on)
        self._repairer = Repairer(vault, root, rows, sessions, journaled, go_on)
        self._done = done
        self._go_on = go_on

    def work(self, repair: Repair, wrong: Sequence[tuple[Item, Seen]]) -> Iterator[tuple[Item, Seen]]:
        """Each item that is right by now, read back from its place: for the ledger, before the next one is begun.

        Raises VaultTrouble, LedgerUnavailable and SourceTrouble.
        """
        self._repairer.take_up()
        to_restore: list[tuple[Item, Seen]] = []
        for item, seen in wrong:
            self._go_on()
            standing = self._done.moved.get(item.path) if repair.accepts_moves else None
            if standing is not None:
                yield from self._settled(item, seen, self._repairer.accept_move(item, standing), standing)
            elif repair.source is not None and seen.word == "mode":
                yield from self._settled(item, seen, self._repairer.make_read_only(item))
            elif repair.source is not None:
                to_restore.append((item, seen))
        if repair.source is None or not to_restore:
            return
        repair.source.look([item for item, _ in to_restore], self._go_on)
        for item, seen in to_restore:
            self._go_on()
            yield from self._settled(item, seen, self._repairer.restore(item, repair.source))

    def _settled(
        self, item: Item, seen: Seen, answer: PutRight | Stays, standing: str | None = None
    ) -> Iterator[tuple[Item, Seen]]:
        done = self._done
        if isinstance(answer, Stays):
            done.why[item.path] = f"{seen.why}; it was not put right: {answer.why}"
            return
        now = item
        if answer.followed_to is not None:
            now = item._replace(path=answer.followed_to, text=to_ledger(answer.followed_to))
        again = self._examiner.read(now)
        if again.word == "mode" and isinstance(self._repairer.make_read_only(now), PutRight):
            again = self._examiner.read(now)
        if answer.kept_at is not None:
            done.kept_aside[item.path] = answer.kept_at
        if again.word != "ok":
            done.why[item.path] = f"{answer.words}, and then {again.why}"
            return
        done.put_right(item, seen, answer.words)
        if standing is None:
            done.restored.append(item.path)
        else:
            done.unknown.remove(standing)
            done.why.pop(standing, None)
            del done.moved[item.path]
            (done.moved_back if answer.followed_to is None else done.followed)[item.path] = standing
        yield now._replace(found=seen.finding or item.found), again
