"""Hemispheres: whatever way a file states them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Src.Media.places import NOWHERE, place_in

LATITUDES, LONGITUDES = st.floats(0.001, 90), st.floats(0.001, 180)
SIDES = st.sampled_from([("N", "E"), ("N", "W"), ("S", "E"), ("S", "W")])


@given(LATITUDES, LONGITUDES, SIDES, st.booleans(), st.booleans())
def test_a_ref_beside_the_number_decides(
    latitude: float, longitude: float, sides: tuple[str, str], minus: bool, in_words: bool
) -> None:
    """Whether the number is signed already, or even signed wrongly."""
    north, east = 1 if sides[0] == "N" else -1, 1 if sides[1] == "E" else -1
    words = {"N": "North", "S": "south", "E": "East", "W": "west"}
    tags = {
        "XMP:GPSLatitude": repr(-latitude if minus else latitude),
        "XMP:GPSLongitude": repr(-longitude if minus else longitude),
        "XMP:GPSLatitudeRef": words[sides[0]] if in_words else sides[0],
        "XMP:GPSLongitudeRef": words[sides[1]] if in_words else sides[1],
    }
    assert place_in(tags) == (north * latitude, east * longitude)


@given(LATITUDES, LONGITUDES)
def test_a_number_alone_may_lie_on_either_side(latitude: float, longitude: float) -> None:
    bare = {"XMP:GPSLatitude": repr(latitude), "XMP:GPSLongitude": repr(longitude)}
    stated = {"Composite:StatedGPSLatitude": repr(latitude), "Composite:StatedGPSLongitude": repr(longitude)}
    assert place_in(bare) == place_in(bare | stated) == NOWHERE


@given(LATITUDES, LONGITUDES, SIDES)
def test_a_letter_behind_the_number_is_its_sign(latitude: float, longitude: float, sides: tuple[str, str]) -> None:
    north, east = 1 if sides[0] == "N" else -1, 1 if sides[1] == "E" else -1
    tags = {
        "XMP:GPSLatitude": repr(north * latitude),
        "XMP:GPSLongitude": repr(east * longitude),
        "Composite:StatedGPSLatitude": f"{latitude:.6f},0{sides[0]}",
        "Composite:StatedGPSLongitude": f"{longitude:.6f},0{sides[1]}",
    }
    assert place_in(tags) == (north * latitude, east * longitude)


def test_a_minus_is_a_sign() -> None:
    tags = {"XMP:GPSLatitude": "-33.8", "XMP:GPSLongitude": "-70.6"}
    tags |= {"Composite:StatedGPSLatitude": "-33.8", "Composite:StatedGPSLongitude": "-70.6"}
    assert place_in(tags) == (-33.8, -70.6)


@pytest.mark.parametrize("group", ["EXIF", "H264"])
@pytest.mark.parametrize("ref", ["", "X", "0", None])
def test_numbers_without_sign_and_ref_are_no_place(group: str, ref: str | None) -> None:
    """ExifTool takes whatever is no S or W for north and east."""
    tags = {
        "Composite:GPSLatitude": "33.8",
        "Composite:GPSLongitude": "70.6",
        f"{group}:GPSLatitude": "33.8",
        f"{group}:GPSLongitude": "70.6",
        f"{group}:GPSLongitudeRef": "E",
    }
    if ref is not None:
        tags[f"{group}:GPSLatitudeRef"] = ref
    assert place_in(tags) == NOWHERE
    assert place_in({**tags, f"{group}:GPSLatitudeRef": "N"}) == (33.8, 70.6)


@given(st.dictionaries(st.sampled_from(["Composite:GPSLatitude", "XMP:GPSLatitude", "XMP:GPSLongitudeRef"]), st.text()))
def test_no_text_is_a_trap(tags: dict[str, str]) -> None:
    place_in(tags)
