"""A person's word that they know of lost or late events, signed with the key of the lists.

Who writes into the database by hand has no such signature. It says up to where the word goes: what was sealed, and what
stood in the lists, when the person looked. So it covers nothing that comes later, whoever writes it down again.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from Src.Library.custody.manifests.events.canonical import NOTHING
from Src.Library.custody.manifests.events.sealing import Head, Note
from Src.Library.custody.manifests.minisign import NotMinisign, PublicKey, SecretKey

NO_HEAD = Head(0, NOTHING)
_COMMENT = re.compile(r"accepted: sealed (\d{1,19}) ([0-9a-f]{64}), listed (\d{1,19}) ([0-9a-f]{64})", re.ASCII)


class Seen(NamedTuple):
    """What there was when a person looked; `NO_HEAD`: nothing."""

    sealed: Head  # the last seal of the database
    listed: Head  # the last one in the signed lists


def accepted(key: SecretKey, who: str, words: str, seen: Seen) -> Note:
    """What is to be sealed."""
    comment = (
        f"accepted: sealed {seen.sealed.number} {seen.sealed.seal.hex()}, "
        f"listed {seen.listed.number} {seen.listed.seal.hex()}"
    )
    return Note("accepted", who, words, signature=key.signature(_content(who, words), comment).decode())


def seen_by(public: PublicKey | None, who: str, words: str, signature: str | None) -> Seen | None:
    """None: it is not signed with this key, so it covers nothing."""
    if public is None or signature is None:
        return None
    try:
        comment = public.trusted_comment(signature.encode(), _content(who, words))
    except NotMinisign:
        return None
    match = _COMMENT.fullmatch(comment)
    if match is None:
        return None
    return Seen(Head(int(match[1]), bytes.fromhex(match[2])), Head(int(match[3]), bytes.fromhex(match[4])))


def _content(who: str, words: str) -> bytes:
    return json.dumps([who, words]).encode()
