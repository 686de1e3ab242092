"""What an XMP sidecar says, and which ones are refused."""

from __future__ import annotations

import pytest

from Src.Media.places import Place
from Src.Media.tests.xmp_made import DARKTABLE, LIGHTROOM, MADE, SAID
from Src.Media.xmp_document import MOST_DEPTH, MOST_PARTS, NotXmp
from Src.Media.xmp_sidecar import Said, read_sidecar


@pytest.mark.parametrize("program", MADE)
def test_what_other_programs_wrote_is_read(program: str) -> None:
    assert read_sidecar(MADE[program]) == SAID[program]


def _with(*properties: str) -> bytes:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
        'xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"{''.join(properties)}</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


@pytest.mark.parametrize(
    ("latitude", "longitude", "place"),
    [
        ("33,51.6S", "151,12.3E", Place(-33.86, 151.205)),
        ("33,51,36S", "151,12,18E", Place(-33.86, 151.205)),
        ("-33.86", "+151.205", Place(-33.86, 151.205)),
        ("33.86", "151.205", None),  # either side of the equator
        ("0,0N", "0,0E", None),
        ("91,0N", "0,0E", None),
        ("33,51.6S", "", None),
    ],
)
def test_a_place_is_signed_degrees(latitude: str, longitude: str, place: Place | None) -> None:
    content = _with(
        f"<exif:GPSLatitude>{latitude}</exif:GPSLatitude>", f"<exif:GPSLongitude>{longitude}</exif:GPSLongitude>"
    )
    found = read_sidecar(content).place
    assert found == place if place is None else found == pytest.approx(place)


@pytest.mark.parametrize(("text", "rating"), [("-1", -1), (" 4 ", 4), ("6", None), ("many", None), ("", None)])
def test_a_rating_is_minus_one_to_five(text: str, rating: int | None) -> None:
    assert read_sidecar(_with(f"<xmp:Rating>{text}</xmp:Rating>")).rating == rating


def test_what_is_no_plain_value_is_none() -> None:
    assert read_sidecar(_with("<xmp:Rating><rdf:Bag><rdf:li>3</rdf:li></rdf:Bag></xmp:Rating>")) == Said()


_BOMB = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>' + LIGHTROOM.replace("3", "&b;")
_DEEP = "<a>" * (MOST_DEPTH + 1) + "</a>" * (MOST_DEPTH + 1)
_MANY_ATTRIBUTES = "<a {}/>".format(" ".join(f"b{number}=''" for number in range(1000)))
HOSTILE = {
    "an entity": (_BOMB.encode(), "DTD"),
    "a file of this machine": (
        b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + LIGHTROOM.replace("Am See", "&a;").encode(),
        "DTD",
    ),
    "a DTD elsewhere": (b'<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd">' + LIGHTROOM.encode(), "DTD"),
    "an entity of nobody": (LIGHTROOM.replace("Am See", "&a;").encode(), "not well-formed"),
    "deep": (_with(_DEEP), "elements deep"),
    "many elements": (_with("<a/>" * MOST_PARTS), "parts"),
    "many attributes": (
        _with(*[_MANY_ATTRIBUTES] * (MOST_PARTS // 1000)),
        "parts",
    ),
    "large": (_with("x" * 16 * 2**20), "more than 16 MB"),
    "cut": (LIGHTROOM.encode()[:2000], "not well-formed"),
    "no prefix": (_with("<nobody:knows/>"), "'nobody'"),
    "not text": (b"\xff\xfe\x00\xd8", "no text in UTF-16-LE"),
    "not UTF-8": (LIGHTROOM.encode("latin-1"), "no text in UTF-8"),
    "another encoding": (DARKTABLE.replace("UTF-8", "ISO-8859-1").encode(), "ISO-8859-1"),
    "another language": (b"<svg/>", "no XMP"),
    "two": (
        LIGHTROOM.replace("</x:", "<r:RDF xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#'/></x:").encode(),
        "not one",
    ),
    "empty": (b"", "not well-formed"),
    "a NUL inside": (LIGHTROOM.replace("Am See", "Am\0See").encode(), "not well-formed"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_hostile_or_no_xmp_is_refused_with_the_reason(what: str) -> None:
    content, reason = HOSTILE[what]
    with pytest.raises(NotXmp, match=reason) as refused:
        read_sidecar(content)
    assert "\n" not in str(refused.value)
