"""`Storage/Manifests/YYYY/YYYY-MM-DD.events`: the seals that were the last ones at some moments of that day (UTC).

    NUMBER SEAL

Lines are only ever added. The list is signed, and `chain.log` names each state of it, as of every list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from Src.Library.custody.manifests.chain import GONE, Chain
from Src.Library.custody.manifests.events.sealing import Head

END = ".events"
_LINE = re.compile(rb"([1-9][0-9]{0,18}) ([0-9a-f]{64})")
_PATH = re.compile(r"(\d{4})/\1-\d\d-\d\d\.events", re.ASCII)


def path_of(day: str) -> str:
    """Relative to the folder of the manifests."""
    return f"{day[:4]}/{day}{END}"


def is_path(path: str) -> bool:
    return _PATH.fullmatch(path) is not None


def read(content: bytes) -> list[Head]:
    """In their order. Raises ValueError where a line is none of ours."""
    found: list[Head] = []
    for line in content.split(b"\n")[:-1]:
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError("a line of it is none that the factory writes")
        found.append(Head(int(match[1]), bytes.fromhex(match[2].decode())))
    return found


def line(head: Head) -> bytes:
    """Without its newline."""
    return b"%d %s" % (head.number, head.seal.hex().encode())


def with_heads(standing: bytes, heads: Iterable[Head]) -> bytes:
    """What stands there stays: a ledger that was restored from a backup does not know all of it."""
    known = set(standing.split(b"\n"))
    return standing + b"".join(one + b"\n" for head in heads if (one := line(head)) not in known)


def last_path(chain: Chain) -> str | None:
    """The list that was changed last; None: there is none."""
    at = chain.content.rfind(f"{END}\n".encode())
    if at < 0:
        return None
    line = chain.content[chain.content.rfind(b"\n", 0, at) + 1 : at + len(END)].decode()
    path = line.rpartition(" ")[2]
    return None if chain.last.get(path, GONE) == GONE or not is_path(path) else path
