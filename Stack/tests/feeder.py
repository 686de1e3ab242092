"""Feeds an inbox as people and programs do: hostile names, colliding names, duplicates, folders."""

from __future__ import annotations

import hashlib
import os
import random
from itertools import islice
from pathlib import Path

from Src.Testing.promise import Source
from Stack.tests.photos import unique_jpegs

# What people and programs call files, as bytes on disk.
NAMES = [
    *[f"IMG_{number:04}.JPG".encode() for number in range(40)],  # the same from every camera: collisions
    b"line\nbreak.jpg",
    b"-rf.jpg",
    b"--version",
    b"no ending",
    b'quote\'s "double" `back`.jpg',
    b"$(reboot) ${HOME} %s %(x)s.jpg",
    b"back\\slash \\x41.jpg",
    b"tab\tand \x1b[31mred\x1b[0m.jpg",
    b"latin-1 \xe9t\xe9.jpg",
    b"\xff\xfe\xfd.jpg",
    "עברית ‮gpj.exe".encode(),
    "café.jpg".encode(),
    "cafe\u0301.jpg".encode(),
    b"CASE.jpg",
    b"case.JPG",
    b"trailing. ",
    b" leading.jpg",
    b"[brackets] {braces} *stars* ?.jpg",
    b"x" * 251 + b".jpg",
    ("日本" * 41).encode() + b".jpg",
    "📷🏔️.jpg".encode(),
    b"photo.sync-conflict-20240101-120000-ABCDEFG.jpg",
]
FOLDERS = [b"", b"phone", b"phone/DCIM/100APPLE", b"a/b/c/d/e", b"new\nline/\xe9", b"  ", "ünï".encode()]


class Feeder:
    """Puts photos into an inbox and remembers what it has put there."""

    def __init__(self, inbox: Path, chance: random.Random) -> None:
        self._inbox = os.fsencode(inbox)
        self._chance = chance
        self._contents = unique_jpegs(chance)
        self._recent: list[bytes] = []
        self.sources: list[Source] = []

    def waiting(self) -> int:
        """Files in the inbox. (Those that are filed and kept aside stand in a hidden folder.)"""
        return sum(len(names) for base, _, names in os.walk(self._inbox) if not base.endswith(b"/.factory-leaving"))

    def feed(self, count: int) -> None:
        """New photos and some duplicates, each by rename, each under a path that was never used before."""
        for content in islice(self._contents, count):
            if self._recent and self._chance.random() < 0.15:
                content = self._chance.choice(self._recent)
            self._recent = [*self._recent[-30:], content]
            self.bring(content)

    def bring(self, content: bytes) -> None:
        """A photo of this content."""
        used = {source.original_path for source in self.sources}
        while True:
            folder, name = self._chance.choice(FOLDERS), self._chance.choice(NAMES)
            if self._chance.random() < 0.5:
                folder = os.path.join(folder, b"%d" % self._chance.randrange(100))
            path = os.fsdecode(os.path.join(folder, name))
            if path not in used:
                break
        self.sources.append(Source(path, hashlib.sha256(content).hexdigest()))
        self._put(os.path.join(self._inbox, os.fsencode(path)), content)

    def _put(self, target: bytes, content: bytes) -> None:
        temporary = os.path.join(self._inbox, b".being-written")
        Path(os.fsdecode(temporary)).write_bytes(content)
        while True:
            try:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                os.rename(temporary, target)
                return
            except (FileNotFoundError, FileExistsError):  # a factory that runs removes empty folders
                continue  # (FileExistsError: makedirs found one, and then did not)
