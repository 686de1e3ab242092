"""The lines in which acts and events stand beside the vault: one JSON object each (docs/OVERLAY.md)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from Src.Library.original_path import checked_hash
from Src.Library.overlay.events import EMPTIED
from Src.Shared.models import OVERLAY_FIELDS, ROTATIONS, Act, OverlayEvent

_MEMBERS = {
    "captured_at": {"captured_at", "captured_at_offset", "date_source", "date_precision"},
    "location": {"lat", "lon"},
}


@dataclass(frozen=True, slots=True)
class ActLine:
    """An act; its status is not written, for it follows from what others take back."""

    id: uuid.UUID
    happened_at: datetime
    who: str
    kind: str
    selection: str | None
    parameters: dict[str, Any]
    message: str | None
    undoes: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class EventLine:
    """An event of an act that stands in a line before it."""

    id: uuid.UUID
    act: uuid.UUID
    happened_at: datetime
    who: str
    file_hash: str | None
    field: str
    before: Any
    after: Any
    undoes: uuid.UUID | None


def line_of_act(act: Act) -> str:
    """With its end of line."""
    return _line(
        {
            "act": act.id,
            "at": act.happened_at,
            "who": act.who,
            "kind": act.kind,
            "selection": act.selection,
            "parameters": act.parameters,
            "message": act.message,
            "undoes": act.undoes,
        }
    )


def line_of_event(event: OverlayEvent) -> str:
    """With its end of line."""
    return _line(
        {
            "event": event.id,
            "act": event.act_id,
            "at": event.happened_at,
            "who": event.who,
            "original": event.file_hash,
            "field": event.field,
            "before": event.before,
            "after": event.after,
            "undoes": event.undoes,
        }
    )


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, default=_plain) + "\n"


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def read_line(line: bytes) -> ActLine | EventLine:
    """The reverse. Raises ValueError, with the reason, where it is none of our lines."""
    try:
        value = json.loads(line.decode(), parse_constant=_refuse)
        _refuse_what_is_no_text(value)
        return _event(value) if "event" in value else _act(value)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a line of the overlay ({error})") from error


def _act(value: dict[str, Any]) -> ActLine:
    parameters = value["parameters"]
    if not isinstance(parameters, dict):
        raise TypeError("parameters")
    return ActLine(
        uuid.UUID(value["act"]),
        _instant(value["at"]),
        _text(value["who"]),
        _text(value["kind"]),
        _text_or_none(value["selection"]),
        parameters,
        _text_or_none(value["message"]),
        _id_or_none(value["undoes"]),
    )


def _event(value: dict[str, Any]) -> EventLine:
    sha256, field = value["original"], value["field"]
    if sha256 is not None:
        checked_hash(sha256)
    if field not in OVERLAY_FIELDS:
        raise ValueError(f"the field {field!r} is not known to this version")
    if sha256 is None and field != "album":
        raise ValueError("an event without an original")
    for one in (value["before"], value["after"]):
        if one is not None and not _fits(field, one, of_album=sha256 is None):
            raise ValueError(f"no {field}")
    if field in ("tag", "album", "person") and value["before"] is None and value["after"] is None:
        raise ValueError(f"no {field}")
    return EventLine(
        uuid.UUID(value["event"]),
        uuid.UUID(value["act"]),
        _instant(value["at"]),
        _text(value["who"]),
        sha256,
        field,
        value["before"],
        value["after"],
        _id_or_none(value["undoes"]),
    )


def _fits(field: str, value: Any, *, of_album: bool) -> bool:
    """Whether the ledger can take it: a line may have been written by anybody."""
    match field:
        case "rating":
            return _whole(value, 100)
        case "rotation":
            return value in ROTATIONS and _whole(value, 270)
        case "hidden":
            return isinstance(value, bool)
        case "removed":
            return isinstance(value, bool) or value == EMPTIED
        case "title" | "description" | "tag" | "person":
            return isinstance(value, str)
        case "location":
            return value.keys() == _MEMBERS[field] and all(
                isinstance(one, int | float) and abs(one) <= 180 for one in value.values()
            )
        case "captured_at":
            if value.keys() != _MEMBERS[field] or value["date_precision"] not in ("second", "day", "month", "year"):
                return False
            offset = value["captured_at_offset"]
            if datetime.fromisoformat(value["captured_at"]).tzinfo is not None:
                return False
            return isinstance(value["date_source"], str) and (offset is None or _whole(abs(offset), 24 * 60))
        case _:
            uuid.UUID(value["id"])
            if not isinstance(value["name"], str):
                return False
            if not of_album:
                return _whole(abs(value["position"]), 2**62)
            _instant(value["made_at"])
            return value["cover"] is None or bool(checked_hash(value["cover"]) or True)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _refuse_what_is_no_text(value: Any) -> None:
    """The ledger holds no NUL, and no half of a character."""
    if isinstance(value, str):
        value.encode()
        if "\0" in value:
            raise ValueError("a NUL")
    elif isinstance(value, list | dict):
        for one in (*value, *value.values()) if isinstance(value, dict) else value:
            _refuse_what_is_no_text(one)


def _whole(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -1 <= value <= most


def _instant(value: str) -> datetime:
    at = datetime.fromisoformat(value)
    if at.tzinfo is None:
        raise ValueError("a time without its zone")
    return at


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is missing")
    return value


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)


def _id_or_none(value: Any) -> uuid.UUID | None:
    return None if value is None else uuid.UUID(value)
