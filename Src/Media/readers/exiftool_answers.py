"""What ExifTool prints, as answers: one for each file."""

import json
from typing import Any

from Src.Media.tags import BETWEEN, LISTS, Answer, Tags

_NOT_OPENED = "Error opening file"


def records(output: bytes) -> list[dict[str, Any]]:
    """The files' records in what was printed; none where it is no such list."""
    # Numbers stay the text they are in the file: the fraction of a second "010" or a model "1.50" is none.
    try:
        found = json.loads(output.decode("utf-8", "replace"), strict=False, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return []
    return [record for record in found if isinstance(record, dict)] if isinstance(found, list) else []


def answer(record: dict[str, Any]) -> Answer:
    """What one file's record says."""
    tags: Tags = {}
    warnings: list[str] = []
    error: str | None = None
    for key, value in record.items():
        group, _, rest = key.partition(":")
        copy, _, name = rest.rpartition(":")
        text = _texts(value) if name in LISTS else _text(value)
        if text is None or not name:
            continue
        if name == "Warning":
            warnings.append(text)
        elif name == "Error":
            error = error or text
        elif copy:  # not the preferred one: as `-j -G0` does, the first of its group stands for it
            tags.setdefault(f"{group}:{name}", text)
        else:
            tags[f"{group}:{name}"] = tags[name] = text
    # What it was given is a regular file that is open here: that ExifTool may not open it says where it stands just now
    # (moved out of the folders that a confined reader may read), and nothing of what it holds.
    return Answer(tags, tuple(warnings), error, ours=record.get("ExifTool:Error") == _NOT_OPENED)


def _texts(value: Any) -> str | None:
    texts = [text for one in (value if isinstance(value, list) else [value]) if (text := _text(one)) is not None]
    return BETWEEN.join(texts) if texts else None


def _text(value: Any) -> str | None:
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, bool):
        return "true" if value else "false"  # ExifTool writes any text "True" so
    return value if isinstance(value, str) else None
