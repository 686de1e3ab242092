"""What a run has done, in numbers: every entry of the inbox or a source counted once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from Src.Librarian.passage import Outcome
from Src.Library.held_words import FAILED, HeldState
from Src.Library.tree import Odd
from Src.Media.date_sources import GUESSES
from Src.Shared.ledger_text import plain_text, to_ledger

_COUNTED = {
    "new": "new",
    "duplicate": "duplicates",
    "restored": "restored",
    "unwanted": "unwanted",
    "companion": "companions",
    "sidecar": "not_media",
    "not_media": "not_media",
    "failed": "failed",
}
_FILED = ("new", "duplicates", "restored", "unwanted")
_ADDED = ("new", "restored")
_LEFT_OUT = ("not_media", "failed")
_NO_MEDIA = "not a photo or video"
_NOTE = "a JSON file; those of Google Takeout are read together with their photos"
_FIRST = 3  # names that are given with a reason
_MOST_REASONS = 50
_OTHER = "other reasons"
_WHY_ODD = {"link": "symbolic link", "special": "no file (a FIFO, device or socket)"}


@dataclass(frozen=True, slots=True)
class Why:
    """How many entries were left out for one reason, and the first of them."""

    reason: str
    count: int
    first: tuple[str, ...]  # ledger text


class LeftOut:
    """What was not added, by the reason."""

    def __init__(self) -> None:
        self._whys: dict[str, Why] = {}

    def add(self, reason: str, path: str) -> None:
        reason, path = self._known(reason), to_ledger(path)
        why = self._whys.get(reason, Why(reason, 0, ()))
        first = (*why.first, path) if len(why.first) < _FIRST else why.first
        self._whys[reason] = Why(reason, why.count + 1, first)

    def take_back(self, reason: str, path: str) -> None:
        """It was added for that reason, and another one counts by now."""
        reason, path = self._known(reason), to_ledger(path)
        why = self._whys[reason]
        if why.count == 1:
            del self._whys[reason]
        else:
            self._whys[reason] = Why(reason, why.count - 1, tuple(one for one in why.first if one != path))

    def _known(self, reason: str) -> str:
        """As what a reason is counted: each file may have its own, and only so many are counted apart.

        While some are counted together, a new reason joins them: one that did so must be found there again.
        """
        reason = plain_text(reason)
        has_room = len(self._whys) < _MOST_REASONS and _OTHER not in self._whys
        return reason if reason in self._whys or has_room else _OTHER

    def listed(self) -> list[Why]:
        """The most frequent first."""
        return sorted(self._whys.values(), key=lambda one: (-one.count, one.reason))


@dataclass(slots=True)
class Tally:
    """Counts of entries by what became of them; `bytes` are those of photos and videos filed or found again.

    An entry is whatever lies below, at any depth, and is no folder; and a folder that cannot be read.
    """

    new: int = 0
    duplicates: int = 0
    restored: int = 0
    companions: int = 0  # sidecars of photos that are filed
    unwanted: int = 0  # removed by a person before: in the trash, or back there
    not_media: int = 0
    failed: int = 0
    skipped_by: Counter[str] = field(default_factory=Counter)  # by the reason
    archives: int = 0  # zip archives that were read; each member is an entry, and the archive itself is none
    left: int = 0  # filed, and not removed at the source, as a move should
    bytes: int = 0
    guessed: int = 0  # photos and videos added under a date that is only their file's
    left_out: LeftOut = field(default_factory=LeftOut)
    began: float = field(default_factory=time.monotonic)
    # What is there still, and may be dealt with again in this run: how it is counted now and why it was left out, by
    # a hash of its path.
    _here: dict[int, tuple[str, str]] = field(default_factory=dict)

    def add(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            name = _COUNTED.get(outcome.result)
            if name is None:
                continue
            key = hash(outcome.file.original_path)
            before, before_why = self._here.get(key, (None, ""))
            why = _why_left_out(outcome) if name in _LEFT_OUT else ""
            if before not in _FILED:
                if before is not None:
                    self._count(before, -1, before_why, outcome.file.original_path)
                self._count(name, 1, why, outcome.file.original_path)
                if name in _FILED:
                    self.bytes += outcome.file.state.size
                if name in _ADDED and outcome.found is not None:
                    self.guessed += outcome.found.metadata.date_source in GUESSES
            is_here = name not in _FILED or (outcome.reported and outcome.reason is not None)
            if is_here and not outcome.cleared:
                self._here[key] = (name, why) if before not in _FILED else (before, before_why)
            else:
                self._here.pop(key, None)

    def add_staying(self, original_path: str, state: HeldState | None) -> None:
        """A file that is there still, with what the register of the inbox says of it from before."""
        if hash(original_path) in self._here:  # counted in this run
            return
        if state is None:
            self.skip("not complete yet", original_path)
        elif state in FAILED:
            self.skip("failed before, not tried in this run", original_path)
        else:
            name = _COUNTED.get(state, "failed")
            self._count(name, 1, _NO_MEDIA if name == "not_media" else f"failed before ({state})", original_path)

    def skip(self, reason: str, path: str) -> None:
        """An entry that is left alone."""
        self.skipped_by[reason] += 1
        self.left_out.add(reason, path)

    def add_odd(self, found: Odd) -> None:
        """What nobody can file as it is. What is in an unreadable folder, nobody knows."""
        if found.kind == "unreadable":
            self._count("failed", 1, found.reason, found.path)
        else:
            self.skip(_WHY_ODD[found.kind], found.path)

    def _count(self, name: str, by: int, why: str, path: str) -> None:
        setattr(self, name, getattr(self, name) + by)
        if name in _LEFT_OUT:
            (self.left_out.add if by > 0 else self.left_out.take_back)(why, path)

    @property
    def skipped(self) -> int:
        return self.skipped_by.total()

    @property
    def files(self) -> int:
        """Files that were dealt with."""
        filed = self.new + self.duplicates + self.restored
        return filed + self.companions + self.unwanted + self.not_media + self.failed

    @property
    def entries(self) -> int:
        return self.files + self.skipped

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.began

    def report(self) -> dict[str, object]:
        """The object that `--json` prints: the first eight add up to `entries`."""
        return {
            "new": self.new,
            "duplicates": self.duplicates,
            "restored": self.restored,
            "companions": self.companions,
            "unwanted": self.unwanted,
            "not_media": self.not_media,
            "failed": self.failed,
            "skipped": self.skipped,
            "entries": self.entries,
            "skipped_by": dict(sorted(self.skipped_by.items())),
            "archives": self.archives,
            "left": self.left,
            "guessed_dates": self.guessed,
            "left_out": [asdict(one) for one in self.left_out.listed()],
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
        }


def _why_left_out(outcome: Outcome) -> str:
    if outcome.result == "not_media":
        if outcome.file.name.lower().endswith(".json"):
            return _NOTE
        return _NO_MEDIA if outcome.file.state.size else "empty"
    return outcome.reason or "unknown"
