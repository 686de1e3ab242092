"""A certificate of one content: its hash, what became of it and was decided about it with the seals, its signed line.

Plain data, which `check_certificate.py` checks without us (docs/CUSTODY.md has the form). What is not proven says so.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from Src.Library.backed_up import UNKNOWN
from Src.Library.custody.manifests import days, lines
from Src.Library.custody.manifests.chain import GONE, LOG
from Src.Library.custody.manifests.events import canonical, heads
from Src.Library.custody.manifests.events.canonical import event_hash, lines_of, moment
from Src.Library.custody.manifests.events.sealing import DAY
from Src.Library.custody.manifests.events.signed import undisturbed
from Src.Library.custody.manifests.folder import SIGNATURE, ManifestFolder, NotOurs
from Src.Library.custody.manifests.minisign import NotMinisign, PublicKey
from Src.Library.custody.manifests.store import PUBLIC_KEY, noted_lines, read_signed
from Src.Library.vault import Vault
from Src.Library.vault_trouble import vault_trouble
from Src.Shared.ledger_text import from_ledger

FORM = 1  # of the JSON

_ORIGINAL = text(f"""
    SELECT id, file_hash, file_size, original_name, original_path, final_path, media_kind,
        {moment("ingested_at")} AS kept_since, {moment("verified_at")} AS verified_at
    FROM media_assets WHERE file_hash = :hash
""")
_GONE = text(f"""
    SELECT file_size, original_name, trash_path AS path, {moment("removed_at")} AS at, removed_by AS who,
        'in_trash' AS state FROM trash WHERE file_hash = :hash
    UNION ALL SELECT file_size, original_name, final_path, {moment("emptied_at")}, emptied_by, 'deleted'
        FROM tombstones WHERE file_hash = :hash
""")
_EVENTS = text("""
    SELECT event, id FROM (
        SELECT 'fate' AS event, id, happened_at FROM ingest_events WHERE file_hash = :hash
        UNION ALL SELECT 'decision', id, happened_at FROM overlay_events WHERE file_hash = :hash
    ) AS about ORDER BY happened_at, id
""")
_SEALS = text("SELECT event_id, number FROM event_seals WHERE event_id = ANY (:ids) ORDER BY number")
_HEAD = text(
    f"SELECT number, seal, to_char(timezone('UTC', sealed_at), '{DAY}') FROM seal_heads AS h "
    "WHERE number >= :number AND is_signed AND isfinite(sealed_at) AND EXISTS ("
    "SELECT FROM event_seals AS s WHERE s.number = h.number AND s.seal = h.seal) ORDER BY number LIMIT 1"
)
_LINKS = text(f"""
    SELECT number, {moment("written_at")}, encode(event_hash, 'hex') FROM event_seals
    WHERE number BETWEEN :first AND :last ORDER BY number
""")
_BEFORE = text("SELECT encode(seal, 'hex') FROM event_seals WHERE number = :number")
_FINDINGS = text(f"""
    SELECT finding, message, {moment("first_seen_at")} AS first_seen_at, {moment("last_seen_at")} AS last_seen_at
    FROM original_findings WHERE asset_id = :id ORDER BY finding
""")
_COPIES = text(f"""
    SELECT name, kind, {moment("min(there_since)")} AS there_since, {moment("max(read_back_at)")} AS read_back_at
    FROM copied_files JOIN copies ON copies.id = copy_id WHERE file_hash = :hash AND read_back_at > {UNKNOWN}
    GROUP BY name, kind ORDER BY name
""")
_RUNS = text(f"""
    SELECT kind, status, {moment("started_at")} AS began_at, {moment("ended_at")} AS ended_at, done AS files
    FROM operations WHERE kind IN ('verify', 'look') AND ended_at IS NOT NULL
        AND ended_at >= (SELECT ingested_at FROM media_assets WHERE file_hash = :hash) ORDER BY ended_at
""")


@dataclass(frozen=True, slots=True)
class _List:
    """A signed list that is what the chain names."""

    text: str
    signature: str


class _Lists:
    """The signed lists that a certificate needs, with its key and chain."""

    def __init__(self, folder: ManifestFolder, vault: Vault) -> None:
        """Raises NotOurs, ValueError, OSError."""
        self._folder = folder
        self._public = PublicKey.read(folder.read(PUBLIC_KEY) or b"")
        content = folder.read(LOG) or b""
        self._chain = read_signed(self._public, content, folder.read(LOG + SIGNATURE), noted_lines(vault))
        self.used: dict[str, _List] = {}

    def head(self) -> dict[str, Any]:
        return {"key": self._public.text, "chain": {"lines": self._chain.lines, "head": self._chain.head}}

    def read(self, path: str) -> bytes | None:
        """One of them, which is in the certificate from then on; None where it proves nothing. Raises OSError."""
        try:
            content, signature = self._folder.read(path), self._folder.read(path + SIGNATURE)
        except NotOurs:
            return None
        if content is None or signature is None or self._chain.last.get(path, GONE) != _sha256(content):
            return None
        try:
            if self._public.trusted_comment(signature, content) != path:
                return None
        except NotMinisign:
            return None
        self.used[path] = _List(content.decode(errors="surrogateescape"), signature.decode(errors="replace"))
        return content


def certificate(session: Session, vault: Vault, sha256: str) -> dict[str, Any] | None:
    """None: nothing is known of this content. The session reads as of one moment. Raises VaultTrouble."""
    row = session.execute(_ORIGINAL, {"hash": sha256}).mappings().first()
    gone = session.execute(_GONE, {"hash": sha256}).mappings().first()
    events = session.execute(_EVENTS, {"hash": sha256}).all()
    if row is None and gone is None and not events:
        return None
    made: dict[str, Any] = {
        "certificate": FORM,
        "sha256": sha256,
        "original": _original(row, gone),
        "checks": _checks(session, row, sha256),
        "copies": [dict(one) for one in session.execute(_COPIES, {"hash": sha256}).mappings()],
        "made_at": session.execute(text(f"SELECT {moment('now()')}")).scalar_one(),
    }
    with undisturbed(vault), ManifestFolder.opened(vault.storage) as folder, vault_trouble("read the signed lists"):
        found: _Lists | None = None
        trouble = "no list was signed yet"
        if folder is not None:
            try:
                found = _Lists(folder, vault)
            except (NotOurs, ValueError) as problem:
                trouble = f"the signed lists are not as the factory wrote them: {problem}"
        made |= {"key": None, "chain": None} if found is None else found.head()
        made["lists_trouble"] = trouble if found is None else None
        made["signed_line"] = None if found is None or row is None else _signed_line(found, row["final_path"], sha256)
        made |= _sealed(session, found, [(event, id_) for event, id_ in events])
        used = {} if found is None else found.used
        made["lists"] = {path: {"text": one.text, "signature": one.signature} for path, one in sorted(used.items())}
    return made


def _original(row: Any, gone: Any) -> dict[str, Any]:
    if row is not None:
        return {
            "state": "kept",
            "size": row["file_size"],
            "kind": row["media_kind"],
            "path": row["final_path"],
            "name": row["original_name"],
            "came_as": row["original_path"],
            "kept_since": row["kept_since"],
        }
    if gone is not None:
        return {
            "state": gone["state"],
            "size": gone["file_size"],
            "path": gone["path"],
            "name": gone["original_name"],
            "since": gone["at"],
            "by": gone["who"],
        }
    return {"state": "never_kept"}


def _checks(session: Session, row: Any, sha256: str) -> dict[str, Any]:
    """What is known of reading it back; runs are those of which the ledger still knows (30 days)."""
    if row is None:
        return {"verified_at": None, "findings": [], "runs": []}
    return {
        "verified_at": row["verified_at"],
        "findings": [dict(one) for one in session.execute(_FINDINGS, {"id": row["id"]}).mappings()],
        "runs": [dict(one) for one in session.execute(_RUNS, {"hash": sha256}).mappings()],
    }


def _signed_line(found: _Lists, final_path: str, sha256: str) -> dict[str, str] | None:
    """The line of the day's list that has this file with this hash."""
    name = from_ledger(final_path).partition("/")[2]
    day = name[5:15]
    if not days.is_day(day):
        return None
    path = days.manifests_of(day)[0]
    content = found.read(path)
    line = lines.written({name: sha256})
    if content is None or line not in content.splitlines(keepends=True):
        return None
    return {"list": path, "line": line.decode(errors="surrogateescape").removesuffix("\n")}


def _sealed(session: Session, found: _Lists | None, events: Sequence[tuple[str, uuid.UUID]]) -> dict[str, Any]:
    """Each event with its number, in that order, and for each head that they need: the links up to it."""
    lines_by_id = lines_of(session, events)
    asked = session.execute(_SEALS, {"ids": [id_ for _, id_ in events]}).all() if events else []
    numbers: dict[uuid.UUID, int] = dict(asked)
    stretches: list[dict[str, Any]] = []
    proven_to = 0
    for number in sorted(numbers.values()):
        if number <= proven_to or found is None:
            continue
        stretch = _stretch(session, found, number)
        if stretch is not None:
            stretches.append(stretch)
            proven_to = stretch["links"][-1][0]
    hashes = {link[0]: link[2] for one in stretches for link in one["links"]}
    return {
        "events": [
            {"line": line, "number": numbers.get(id_), "state": _state(line, numbers.get(id_), hashes)}
            for _, id_ in sorted(
                events, key=lambda event: numbers.get(event[1], len(events) + max(numbers.values(), default=0))
            )
            for line in [lines_by_id[id_]]
        ],
        "stretches": stretches,
    }


def _state(line: str, number: int | None, hashes: Mapping[int, str]) -> str:
    """`signed`: a signed list proves it; `sealed`: none does yet; `waiting`: it has no seal yet; `changed`."""
    if number is None:
        return "waiting"
    if number not in hashes:
        return "sealed"
    return "signed" if hashes[number] == event_hash(line).hex() else "changed"


def _stretch(session: Session, found: _Lists, number: int) -> dict[str, Any] | None:
    """None where no signed list has a seal at or after that number: it is not proven yet."""
    head = session.execute(_HEAD, {"number": number}).first()
    if head is None:
        return None
    last, seal, day = head[0], bytes(head[1]), head[2]
    path = heads.path_of(day)
    content = found.read(path)
    if content is None or b"%d %s" % (last, seal.hex().encode()) not in content.split(b"\n"):
        return None
    before = session.execute(_BEFORE, {"number": number - 1}).scalar()
    links = [list(row) for row in session.execute(_LINKS, {"first": number, "last": last})]
    if len(links) != last - number + 1 or (before is None and number > 1):
        return None  # some are gone: `verify --events` names them
    at = bytes.fromhex(before or "0" * 64)
    for one, written, hash_ in links:
        at = canonical.seal(at, one, written, bytes.fromhex(hash_))
    if at != seal:
        return None  # as before
    return {"list": path, "previous": before or "0" * 64, "links": links, "seal": seal.hex()}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
