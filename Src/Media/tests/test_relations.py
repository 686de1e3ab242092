"""Pairs and edited copies, by name, camera and time."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from Src.Media.relations import Item, beginnings, is_pair, relations
from Src.Media.takeout import EDITED

NOON = datetime(2024, 5, 1, 12)


def item(name: str, kind: str, seconds: float = 0, camera: str | None = "X") -> Item:
    return Item(name, name, kind, NOON + timedelta(seconds=seconds), camera)


@pytest.mark.parametrize(
    ("one", "other", "kinds"),
    [
        (item("IMG_1.MOV", "MOV"), item("IMG_1.HEIC", "HEIC", 60), ["live_photo"]),
        (item("IMG_1.MOV", "MOV"), item("IMG_1.HEIC", "HEIC", 61), []),
        (item("IMG_1.MP4", "MP4"), item("IMG_1.JPG", "JPEG", -3), ["live_photo"]),
        (item("IMG_1.MOV", "MOV"), item("IMG_2.HEIC", "HEIC"), []),
        (item("A.JPG", "JPEG"), item("A.CR2", "CR2", 2), ["raw_jpeg"]),
        (item("A.JPG", "JPEG"), item("A.CR2", "CR2", 3), []),
        (item("A.JPG", "JPEG", camera="Y"), item("A.CR2", "CR2"), []),
        (item("IMG_E1234.JPG", "JPEG", 9999), item("IMG_1234.HEIC", "HEIC"), ["edited"]),
        (item("IMG_E1234.MOV", "MOV"), item("IMG_1234.HEIC", "HEIC"), []),
        (item("IMG_E1234.JPG", "JPEG"), item("IMG_1235.HEIC", "HEIC"), []),
        (item("A.PNG", "PNG"), item("A.JPG", "JPEG"), []),
        *((item(f"A-{word}(1).jpg", "JPEG"), item("A(1).HEIC", "HEIC"), ["edited"]) for word in EDITED),
    ],
)
def test_what_two_files_are_to_each_other(one: Item, other: Item, kinds: list[str]) -> None:
    found = relations(one, other)
    assert [(relation.kind, relation.from_hash, relation.to_hash) for relation in found] == [
        (kind, one.sha256, other.sha256) for kind in kinds
    ]
    assert relations(other, one) == found
    assert is_pair(one, other) == bool({"live_photo", "raw_jpeg"} & set(kinds))
    for name in (one.name, other.name) if kinds else ():
        for start in ([one.name, other.name], [other.name, one.name]):
            assert any(start[1].startswith(first) for first in beginnings(start[0])), name


def test_a_file_is_nothing_to_itself() -> None:
    assert relations(item("A.JPG", "JPEG"), item("A.JPG", "JPEG")) == []
