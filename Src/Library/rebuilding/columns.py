"""What a rebuild can know of an original, and which of two answers is right where old and new rows differ."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from Src.Media.date_sources import GUESSES

_DATE = ("captured_at", "captured_at_offset", "date_source", "date_precision")
_GUESSES = (*GUESSES, "filename")  # in the vault a file may have another name than it came with
# What stands in the file, beside it or in the overlay. All else (when it came and as what, what later stages did) only
# the old ledger knows, and it stays.
COMPARED = (
    *("file_size", "final_path", "media_kind", "mime_type", "width", "height", "duration_seconds"),
    *_DATE,
    *("location", "camera_make", "camera_model", "rating", "orientation", "title", "description"),
    *("is_hidden", "rotation", "content_id", "burst_id", "is_motion_photo", "has_errors", "error_message"),
)
TAGS_OF = (
    'coalesce((SELECT string_agg(t.tag, chr(1) ORDER BY t.tag COLLATE "C") FROM {schema}.asset_tags AS t '
    "WHERE t.asset_id = {row}.id), '')"
)

# What a file says at most by being there: that one says nothing of it takes nothing back. By column the field of the
# event that may; None: no event speaks of it.
_SET = {"is_hidden": "hidden", "rotation": "rotation", "is_motion_photo": None}
_ERROR = ("has_errors", "error_message")

Row = Mapping[str, Any]  # a row as JSON


class Merged(NamedTuple):
    """By column: what the new row says and is right, and what only the old one says and stays."""

    taken: dict[str, Any]
    stays: dict[str, Any]


def merge(old: Row, new: Row, decided: Collection[str] = ()) -> Merged:
    """Which values of the new row count. `final_path` is not judged here: who looks at the vault says where a file is.
    `decided`: fields of which events have spoken; the new row has what they say.

    What the vault does not say is no reason to forget what the ledger knows: a value gives way to another one, never
    to nothing. A guessed date gives way to none, for it rests on what the vault does not have (when and as what a file
    came). And the folder is the day: a date that fits it does not give way to one that does not. A reading that failed
    knows less than one that did not, and of the file nothing but its size; one that did not fail ends an earlier error.
    """
    if new["has_errors"] and not old["has_errors"]:
        differs = {column: new[column] for column in COMPARED if old[column] != new[column] and column != "final_path"}
        size = {column: differs.pop(column) for column in ("file_size",) if column in differs}
        return Merged(size, differs)
    is_well_again = old["has_errors"] and not new["has_errors"]
    taken: dict[str, Any] = {}
    stays: dict[str, Any] = {}
    for column in COMPARED:
        if column in _DATE or column == "final_path" or old[column] == new[column]:
            continue
        if column in _SET:
            is_known = bool(new[column]) or _SET[column] in decided
        else:
            is_known = new[column] is not None or (column in _ERROR and is_well_again)
        (taken if is_known else stays)[column] = new[column]
    date = {column: new[column] for column in _DATE if new[column] != old[column]}
    if new["date_source"] in GUESSES and old["date_source"] in GUESSES:
        date = {}  # the file's time on the disk it came from, or when it came: neither is known here
    if new["date_source"] in _GUESSES or (_fits(old) and not _fits(new)):
        stays |= date
    else:
        taken |= date
    return Merged(taken, stays)


def _fits(row: Row) -> bool:
    return str(row["captured_at"])[:10] == str(row["final_path"]).split("/")[2]
