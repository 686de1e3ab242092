"""What the signed lists name and a rebuild has not found: of a photo whose row is lost too, they are the last word.

It is only said, and no row is made of it: whether a list is what the factory wrote is `verify`'s to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from sqlalchemy import text
from sqlalchemy.orm import Session

from Src.Library.custody.manifests import lines
from Src.Library.custody.manifests.days import day_of, manifests_of
from Src.Library.custody.manifests.folder import ManifestFolder, NotOurs
from Src.Library.rebuilding.differences import Difference
from Src.Library.vault import Vault
from Src.Library.vault_trouble import vault_trouble
from Src.Shared.ledger_text import to_ledger

# A list may be a minute behind what people move and remove: that the ledger knows.
_UNKNOWN = """
SELECT l.path, l.file_hash, (
    SELECT a.file_hash FROM {made}media_assets AS a WHERE a.final_path = l.path
    UNION ALL SELECT c.companion_hash FROM {made}companions AS c WHERE c.final_path = l.path LIMIT 1
)
FROM unnest(CAST(:paths AS text[]), CAST(:hashes AS text[])) AS l (path, file_hash)
WHERE NOT EXISTS (SELECT FROM {made}media_assets AS a WHERE a.file_hash = l.file_hash)
AND NOT EXISTS (SELECT FROM {made}companions AS c WHERE c.companion_hash = l.file_hash)
AND NOT EXISTS (SELECT FROM media_assets AS a WHERE a.file_hash = l.file_hash)
AND NOT EXISTS (SELECT FROM companions AS c WHERE l.file_hash IN (c.companion_hash, c.standing_hash))
AND NOT EXISTS (SELECT FROM trash AS t WHERE t.file_hash = l.file_hash)
AND NOT EXISTS (SELECT FROM tombstones AS t WHERE t.file_hash = l.file_hash)
ORDER BY l.path
"""


def not_found(session: Session, vault: Vault, made: str = "") -> Iterator[Difference]:
    """Files of the lists of which no row was made. `made`: the schema of the rows that were, with its point.

    Of rows that the ledger has, the comparison speaks. Raises VaultTrouble.
    """
    statement = text(_UNKNOWN.format(made=made))
    with vault_trouble(f"read the signed lists of {vault.storage}"), ManifestFolder.opened(vault.storage) as folder:
        for path in () if folder is None else folder.names(lambda _path, _why: None):
            day = day_of(path)
            if folder is None or day is None or path != manifests_of(day)[0]:
                continue
            named: dict[str, str] = {}
            with suppress(NotOurs, ValueError):  # which `verify` names
                named = lines.read(folder.read(path) or b"")
            listed = {to_ledger(f"Originals/{name}"): sha256 for name, sha256 in named.items()}
            for name, sha256, now in session.execute(
                statement, {"paths": list(listed), "hashes": list(listed.values())}
            ):
                yield Difference(
                    "gone" if now is None else "other bytes",
                    "original",
                    name,
                    {"file_hash": sha256, "list": path},
                    None if now is None else {"file_hash": now},
                )
