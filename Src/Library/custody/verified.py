"""What verifying the vault has found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from Src.Library.custody.item import Item, Seen

How = Literal["full", "quick", "sample", "budget", "these"]


@dataclass(slots=True)
class Verified:
    """Names are paths as on disk, relative to the storage root. Each item that was checked is `ok`, or is named in
    exactly one of `missing`, `changed`, `unreadable` and `mode`; what is `unknown` is no item."""

    how: How
    is_complete: bool = False
    is_searched: bool = False  # for files that no row names
    checked: int = 0
    ok: int = 0
    read: int = 0  # whose bytes were read
    bytes: int = 0  # that were read
    missing: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    mode: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    touched: list[str] = field(default_factory=list)  # right, with another time: named, and nothing wrong
    in_use: list[str] = field(default_factory=list)  # XMP files that another program has written: it may
    moved: dict[str, str] = field(default_factory=dict)  # of what is missing: where the same bytes stand
    restored: list[str] = field(default_factory=list)  # put right in this run: they count as `ok`
    kept_aside: dict[str, str] = field(default_factory=dict)  # where that is which stood in a place of an original
    moved_back: dict[str, str] = field(default_factory=dict)  # `ok` again: from where
    trouble: str = ""  # why nothing more was put right, or what of the source could not be looked at
    why: dict[str, str] = field(default_factory=dict)
    originals: int = 0
    originals_read: int = 0  # in this run, by their bytes, whatever was found
    bad_originals: int = 0
    never_read: int = 0  # originals that were never read back since they came
    read_back: int = 0  # originals that were, and of which nothing that was found since says otherwise
    read_back_since: datetime | None = None  # the oldest look at those

    @property
    def wrong(self) -> int:
        """How many things are wrong. A time is none: the bytes were read, and are right."""
        return len(self.missing) + len(self.changed) + len(self.unreadable) + len(self.mode) + len(self.unknown)

    @property
    def is_well(self) -> bool:
        """Nothing is wrong with what was looked at."""
        return not self.wrong

    @property
    def sample_bound(self) -> float | None:
        """With 95 % confidence fewer than this share of all originals are bad: 3/n (the rule of three), where none of n
        was. None: nothing is proved, or nothing needs to be."""
        if self.how != "sample" or not self.originals_read or self.bad_originals:
            return None
        return min(1.0, 3 / self.originals_read)

    def count(self, item: Item, seen: Seen) -> None:
        """Takes up what is found of one item."""
        self.checked += 1
        is_read = seen.read > 0 or seen.state is not None
        self.read += is_read
        self.bytes += seen.read
        if item.companion is None:
            self.originals_read += is_read or seen.word != "ok"
            self.bad_originals += seen.word not in ("ok", "mode")
        if seen.word == "ok":
            self.ok += 1
        else:
            getattr(self, seen.word).append(item.path)
        if seen.why:
            self.why[item.path] = seen.why
        if seen.is_touched:
            self.touched.append(item.path)
        if seen.is_in_use:
            self.in_use.append(item.path)

    def put_right(self, item: Item, seen: Seen, words: str) -> None:
        """Takes back what `count` has said of an item that is right by now."""
        getattr(self, seen.word).remove(item.path)
        self.ok += 1
        self.why[item.path] = ", and ".join(filter(None, (seen.why, words)))

    def as_json(self, names: Sequence[str] = ("missing", "changed", "unreadable", "mode", "unknown")) -> dict[str, Any]:
        """The first of it is the form that stays."""
        wrong = {name: sorted(getattr(self, name)) for name in names}
        return {
            "checked": self.checked,
            "ok": self.ok,
            **wrong,
            "touched": sorted(self.touched),
            "moved": [{"path": path, "found_at": at} for path, at in sorted(self.moved.items())],
            "restored": sorted(self.restored),
            "kept_aside": [{"path": path, "kept_at": at} for path, at in sorted(self.kept_aside.items())],
            "moved_back": [{"path": path, "found_at": at} for path, at in sorted(self.moved_back.items())],
            "trouble": self.trouble,
            "xmp_changed": sorted(self.in_use),
            "why": dict(sorted(self.why.items())),
            "how": self.how,
            "complete": self.is_complete,
            "searched": self.is_searched,
            "read": self.read,
            "bytes": self.bytes,
            "originals": self.originals,
            "never_read_back": self.never_read,
            "read_back": self.read_back,
            "read_back_since": self.read_back_since,
            "sample_bound": self.sample_bound,
        }
