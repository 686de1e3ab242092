"""What people have kept of the page Library leads to what it meant."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies
from starlette.datastructures import QueryParams

from Src.Dashboard.old_addresses import in_the_gallery
from Src.Library.selection.grammar import SelectionError
from Src.Library.selection.selection import read_selection

_PHOTO = str(uuid.UUID(int=7))


def _led(asked: str) -> dict[str, str]:
    page, _, query = in_the_gallery(QueryParams(asked)).partition("?")
    assert page == "gallery"
    return {name: value for name, [value] in parse_qs(query, strict_parsing=bool(query)).items()}


@pytest.mark.parametrize(
    ("asked", "leads"),
    [
        ("", {}),
        ("order=Recently+added&year=2024", {"order": "added"}),
        ("order=By+date+taken", {}),
        (f"photo={_PHOTO}&kind=", {"photo": _PHOTO}),
        ("at=2024-05", {"at": "2024-05"}),
        ("at=2024-05-17", {"at": "2024-05-17"}),
        (f"at=2024-05-17T10:00:00_{_PHOTO}", {"at": "2024-05-17"}),
        ("at=x", {}),
        ("at=2024-05-171", {}),
        ("kind=Raw+photos&year=2024", {"q": "kind:raw year:2024"}),
        ("kind=JPEG&camera=Canon+EOS+40D", {"q": 'kind:JPEG camera:"Canon EOS 40D"'}),
        ("camera=unknown", {"q": "-has:camera"}),
        ("name=IMG_1", {"q": "name:*IMG_1*"}),
        ("name=my+%22holiday%22", {"q": "name:*my??holiday?*"}),
        ("only=Favourites&only=With+errors&only=x", {"q": "is:favourite is:damaged"}),
        ("only=With+a+location&only=Guessed+dates&only=Hidden", {"q": "has:position date:guessed is:hidden"}),
    ],
)
def test_an_old_address_leads_to_what_it_meant(asked: str, leads: dict[str, str]) -> None:
    assert _led(asked) == leads


@given(strategies.text(max_size=20), strategies.text(max_size=20))
def test_any_name_and_camera_is_a_selection(name: str, camera: str) -> None:
    led = in_the_gallery(QueryParams({"name": name, "camera": camera, "kind": "Videos"}))
    [selection] = parse_qs(led.partition("?")[2])["q"]
    try:
        read_selection(selection, ZoneInfo("UTC"), datetime.now(UTC))
    except SelectionError as error:
        raise AssertionError(selection) from error
