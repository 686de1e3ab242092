"""The files that are kept aside for one inbox, and the notes on disk that they still need."""

from __future__ import annotations

import contextlib
import marshal
import os
from collections import Counter
from collections.abc import Collection

from Src.Librarian.clear import leaving_notes
from Src.Librarian.clear.leaving_notes import Note
from Src.Library.leaving import HIDDEN, INBOX, NOTES
from Src.Shared.disk.files import FileState


class Entry:
    """A file that is kept aside.

    There may be 100,000 of them, with long names: what is seldom asked for is kept packed.
    """

    __slots__ = ("_packed", "ctime_ns", "folder", "key", "leased", "linked", "problem", "taken_at")

    def __init__(
        self,
        note: Note,
        folder: str,
        taken_at: float,
        ctime_ns: int | None = None,
        leased: bool = False,
        linked: bool = False,
    ) -> None:
        self.key = os.fsencode(note.name)
        self._packed = _packed(note)
        self.folder = folder  # where it is
        self.taken_at = taken_at  # steady time
        self.ctime_ns = ctime_ns  # since it was taken; None: nobody has seen that it was what had been filed
        self.leased = leased
        self.linked = linked  # it was another name of the original
        self.problem: str | None = None  # as it was logged last

    @property
    def name(self) -> str:
        """Under which it is kept aside."""
        return os.fsdecode(self.key)

    @property
    def note(self) -> Note:
        """What was noted when it left the inbox."""
        return _unpacked(self.name, self._packed)

    def is_kept_at(self, path: str) -> None:
        """The original with its content stands at another path by now. (On disk the note stays as it is.)"""
        self._packed = _packed(self.note._replace(kept_path=path))

    def has_changed(self, status: os.stat_result) -> bool:
        """Whether a file is not as it was filed.

        Its ctime alone says only that it must be read: another name of it elsewhere may have been made or removed.
        """
        state = self.note.state
        return (status.st_size, status.st_mtime_ns) != (state.size, state.mtime_ns)

    def must_be_read(self, status: os.stat_result) -> bool:
        """Whether its state does not prove its bytes.

        Somebody may have had it open, or touched it since, or nobody has looked since it was taken, or its disk has
        another number: after a restart of the machine that is no change.
        """
        known = self.leased and self.ctime_ns == status.st_ctime_ns
        state = self.note.state
        return not known or (status.st_ino, status.st_dev) != (state.inode, state.device)


def _packed(note: Note) -> bytes:
    """All but its name. Most files have one name, wherever they are: it is not kept again.

    Nor is it where it is longer than the name under which it is kept aside may be, and is cut there.
    """
    original = _without(note.original_path, leaving_notes.name_in_inbox(note.name))
    kept = _without(note.kept_path, os.path.basename(note.original_path))
    # (marshal keeps any text and number; this never leaves the process)
    return marshal.dumps((original, kept, _half_as_long(note.sha256), tuple(note.state), note.at))


def _unpacked(name: str, packed: bytes) -> Note:
    original, kept, sha256, state, at = marshal.loads(packed)
    original_path = _with(original, leaving_notes.name_in_inbox(name))
    sha256 = sha256.hex() if isinstance(sha256, bytes) else sha256
    return Note(name, original_path, _with(kept, os.path.basename(original_path)), sha256, FileState(*state), at)


def _half_as_long(sha256: str) -> str | bytes:
    """What cannot be made again exactly stays as it is."""
    with contextlib.suppress(ValueError):
        if (raw := bytes.fromhex(sha256)).hex() == sha256:
            return raw
    return sha256


def _without(path: str, name: str) -> tuple[str, int, str, int]:
    """A path as its folder, what its name begins with of another one, its own middle, what it ends with of that."""
    folder, own = path[: path.rfind("/") + 1], path[path.rfind("/") + 1 :]
    if own == name:  # nearly always; to look letter by letter takes some microseconds
        return folder, len(name), "", 0
    begins = _same(own, name)
    ends = _same(own[begins:][::-1], name[begins:][::-1])
    return folder, begins, own[begins : len(own) - ends], ends


def _same(one: str, other: str) -> int:
    """With how many letters both begin."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _with(path: tuple[str, int, str, int], name: str) -> str:
    folder, begins, middle, ends = path
    return folder + name[:begins] + middle + name[len(name) - ends :]


class Register:
    """All entries by the name under which the file is kept aside."""

    def __init__(self, folder: str) -> None:
        """`folder`: for the notes of what leaves from now on."""
        self._folder = folder
        self._entries: dict[bytes, Entry] = {}
        self._segments: Counter[tuple[str, str]] = Counter()  # folder of the notes and segment -> files that are left
        self._noted_elsewhere: dict[bytes, str] = {}  # key -> folder of its note, where that is another

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: str) -> bool:
        return os.fsencode(name) in self._entries

    def __getitem__(self, name: str) -> Entry:
        return self._entries[os.fsencode(name)]

    def get(self, key: bytes) -> Entry | None:
        """The entry with this key, if its file is still kept aside."""
        return self._entries.get(key)

    def entries(self) -> Collection[Entry]:
        """A view of all of them."""
        return self._entries.values()

    def add_segment(self, folder: str, segment: str) -> None:
        """Notes there may be without any file that is kept aside."""
        self._segments[folder, segment] += 0

    def add(self, entry: Entry, notes: str) -> None:
        """`notes`: the folder in which its note is."""
        self._entries[entry.key] = entry
        if notes != self._folder:
            self._noted_elsewhere[entry.key] = notes
        self._segments[notes, leaving_notes.segment_of(entry.name)] += 1

    def drop(self, entry: Entry) -> None:
        """Its file is not kept aside any more."""
        if self._entries.pop(entry.key, None) is not None:
            notes = self._noted_elsewhere.pop(entry.key, self._folder)
            self._segments[notes, leaving_notes.segment_of(entry.name)] -= 1
            if os.path.basename(entry.folder) == HIDDEN:
                with contextlib.suppress(OSError):
                    os.rmdir(entry.folder)  # fails where it is not empty

    def forget_segments(self) -> None:
        """Removes notes all of whose files have gone, and the folders of inboxes that are no more."""
        for (folder, segment), left in list(self._segments.items()):
            if left > 0:
                continue
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(folder, f"{segment}{NOTES}"))
            del self._segments[folder, segment]
            if folder != self._folder and not any(other == folder for other, _ in self._segments):
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(folder, INBOX))
                    os.rmdir(folder)
