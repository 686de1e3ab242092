"""What people have decided about an original, as fields of the selection language: title, description, tags, albums."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import exists, select

from Src.Library.selection.fields import Asked, Field, Meaning, like
from Src.Shared.models import Album, AlbumItem, AssetTag, MediaAsset, OverlayEvent


def _tag(asked: Asked) -> Meaning:
    tagged = select(AssetTag.asset_id).where(like(asked, AssetTag.tag, is_plain=True))
    return Meaning(MediaAsset.id.in_(tagged), f"tagged {asked.text}")


def _in(asked: Asked) -> Meaning:
    items = select(AlbumItem.asset_id).join(Album, Album.id == AlbumItem.album_id)
    return Meaning(MediaAsset.id.in_(items.where(like(asked, Album.name, is_plain=True))), f"in {asked.text}")


def _title(asked: Asked) -> Meaning:
    return Meaning(like(asked, MediaAsset.title, is_plain=True), f"titled {asked.text}")


def _description(asked: Asked) -> Meaning:
    return Meaning(like(asked, MediaAsset.description, is_plain=True), f"described as {asked.text}")


OVERLAY_FIELDS: Mapping[str, Field] = {
    "description": _description,
    "in": _in,
    "album": _in,
    "tag": _tag,
    "title": _title,
}
OVERLAY_FLAGS: Mapping[str, Meaning] = {
    "hidden": Meaning(MediaAsset.is_hidden.expression, "hidden"),
    "edited": Meaning(
        exists().where(OverlayEvent.file_hash == MediaAsset.file_hash), "about which something was decided"
    ),
}
OVERLAY_THINGS: Mapping[str, Meaning] = {
    "title": Meaning(MediaAsset.title.is_not(None), "with a title"),
    "description": Meaning(MediaAsset.description.is_not(None), "with a description"),
    "tag": Meaning(MediaAsset.id.in_(select(AssetTag.asset_id)), "with a tag"),
    "album": Meaning(MediaAsset.id.in_(select(AlbumItem.asset_id)), "in an album"),
}
