"""The tags that a sidecar says which comes after its photo."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from Src.Librarian.record import companions
from Src.Library.overlay.current import key_of, same_word
from Src.Shared.ledger_text import plain_text
from Src.Shared.models import AssetTag, OverlayEvent


def take_over(session: Session, asset_id: uuid.UUID, sha256: str, tags: Sequence[str]) -> None:
    """Gives an original the words of a sidecar that is about to be recorded as its own.

    They take the place of those that the file says, as where both come together. An original that has another sidecar
    already (a duplicate's) gets them in addition. A word on which somebody has decided stays as it is.
    """
    if not tags:
        return
    events = select(OverlayEvent.before, OverlayEvent.after).where(
        OverlayEvent.file_hash == sha256, OverlayEvent.field == "tag"
    )
    decided = {key_of(sha256, "tag", *row).part for row in session.execute(events)}
    here = AssetTag.asset_id == asset_id
    has = {same_word(word): word for word in session.scalars(select(AssetTag.tag).where(here))}
    if not companions.has_any(session, sha256, "xmp"):
        gone = [word for key, word in has.items() if key not in decided]
        session.execute(delete(AssetTag).where(here, AssetTag.tag.in_(gone)))
        has = {key: word for key, word in has.items() if key in decided}
    said = {same_word(word): word for tag in reversed(tags) if (word := plain_text(tag))}
    new = [{"asset_id": asset_id, "tag": word} for key, word in said.items() if key not in decided | has.keys()]
    if new:
        session.execute(insert(AssetTag), new)
