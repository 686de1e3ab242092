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
        check_here: Callable[[], None],
        go_on: GoOn,
    ) -> None:
        """`check_here`: raises VaultTrouble where `root` is not the vault any more."""
        self._examiner = Examiner(vault.originals, root, go_on)
        self._repairer = Repairer(vault, root, rows, sessions, journaled, check_here, done.kept_aside, go_on)
        self._done = done
        self._go_on = go_on
        self._rest: dict[str, Seen] = {}  # what is asked for and not settled yet, by path

    def work(self, repair: Repair, wrong: Sequence[tuple[Item, Seen]]) -> Iterator[tuple[Item, Seen]]:
        """Each item that is right by now, read back from its place: for the ledger, before the next one is begun.

        Raises VaultTrouble, LedgerUnavailable and SourceTrouble.
        """
        moved = self._done.moved.copy() if repair.accepts_moves else {}
        self._rest = {item.path: seen for item, seen in wrong if repair.source is not None or item.path in moved}
        self._repairer.take_up()
        to_restore: list[tuple[Item, Seen]] = []
        for item, seen in wrong:
            self._go_on()
            standing = moved.get(item.path)
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

    def give_up(self, why: str) -> None:
        """Says of the rest why it stays."""
        for path, seen in self._rest.items():
            self._say_stays(path, seen, why)

    def _say_stays(self, path: str, seen: Seen, why: str) -> None:
        self._done.why[path] = f"{seen.why}; it was not put right: {why}"

    def _settled(
        self, item: Item, seen: Seen, answer: PutRight | Stays, standing: str | None = None
    ) -> Iterator[tuple[Item, Seen]]:
        done = self._done
        self._rest.pop(item.path, None)
        if isinstance(answer, Stays):
            self._say_stays(item.path, seen, answer.why)
            return
        again = self._examiner.read(item)
        if again.word == "mode" and isinstance(self._repairer.make_read_only(item), PutRight):
            again = self._examiner.read(item)
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
            done.moved_back[item.path] = standing
        yield item._replace(found=seen.finding or item.found), again
