"""`chain.log`: which file of the manifests had which hash from when on; each line holds the hash of the line before.

    PREVIOUS TIME HASH PATH

PREVIOUS is the SHA-256 of the line before with its newline (64 zeros: there is none), HASH that of the file at PATH, or
`-` from when on there is none. The signature is of the whole file: of its head, and so of all lines before.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

LOG = "chain.log"
GONE = "-"
NOTHING_BEFORE = "0" * 64
_SIGNED = re.compile(r"chain\.log lines:(\d+) bytes:(\d+) head:([0-9a-f]{64})")
_LINE = re.compile(rb"([0-9a-f]{64}) (\S+) ([0-9a-f]{64}|-) (\S+)")


@dataclass(slots=True)
class Chain:
    """What is signed of it."""

    content: bytes = b""
    head: str = NOTHING_BEFORE
    lines: int = 0
    last: dict[str, str] = field(default_factory=dict)  # by path: its hash, or GONE

    @classmethod
    def read(cls, content: bytes) -> Chain:
        """Raises ValueError where it is none, or a line is missing in it."""
        return cls().with_lines(content)

    @property
    def follows(self) -> tuple[str, str] | None:
        """The last line of a chain that was lost, and the time before which it was; None where it is the first one."""
        first = self.content[: self.content.find(b"\n")].decode().split(" ")
        return None if len(first) < 4 or first[0] == NOTHING_BEFORE else (first[0], first[1])

    def with_lines(self, added: bytes) -> Chain:
        """Raises ValueError where they are none, or a line is missing in them."""
        chain = Chain(self.content + added, self.head, self.lines, dict(self.last))
        for number, line in enumerate(added.split(b"\n")[:-1], self.lines + 1):
            match = _LINE.fullmatch(line)
            if match is None:
                raise ValueError(f"line {number} is not as the factory writes them")
            if match[1].decode() != chain.head and number > 1:
                raise ValueError(f"line {number} does not follow the line before it")
            chain.lines = number
            chain.last[match[4].decode()] = match[3].decode()
            chain.head = hashlib.sha256(line + b"\n").hexdigest()
        return chain

    def comment(self) -> str:
        """What the signature says."""
        return f"chain.log lines:{self.lines} bytes:{len(self.content)} head:{self.head}"

    def paths_since(self, head: str | None) -> set[str] | None:
        """Of which files there are lines after a head; None where no line is that head."""
        if head == self.head:
            return set()
        paths: set[str] = set()
        before = self.content.split(b"\n")[:-1]
        for line in reversed(before):
            fields = line.decode().split(" ")
            paths.add(fields[3])
            if fields[0] == head:
                return paths
        return None


def new_lines(head: str, changes: Sequence[tuple[str, str]], now: datetime) -> bytes:
    """Lines for files (path and hash, or GONE) that follow a head."""
    at = f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    lines: list[bytes] = []
    for path, sha256 in changes:
        line = f"{head} {at} {sha256} {path}\n".encode()
        head = hashlib.sha256(line).hexdigest()
        lines.append(line)
    return b"".join(lines)


def paths_in(lines: bytes) -> dict[str, set[str]]:
    """By path: the hashes that some lines name."""
    found: dict[str, set[str]] = {}
    for line in lines.split(b"\n"):
        match = _LINE.fullmatch(line)
        if match is not None:
            found.setdefault(match[4].decode(), set()).add(match[3].decode())
    return found


def unsettled(lines: bytes, last: Mapping[str, str]) -> list[bytes]:
    """Those of some lines whose file a run that died may have written: the chain names none of its hashes."""
    settled = {path for path, hashes in paths_in(lines).items() if last.get(path) in hashes}
    return [line for line in lines.splitlines(keepends=True) if settled.isdisjoint(paths_in(line))]


def signed_bytes(comment: str) -> int:
    """How much of the file a signature is of, by its comment. Raises ValueError."""
    match = _SIGNED.fullmatch(comment)
    if match is None:
        raise ValueError("the signature is of something else")
    return int(match[2])
