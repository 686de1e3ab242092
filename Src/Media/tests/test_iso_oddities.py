"""The fast readers of films and pictures in ISO boxes: what they read, and one oddity each that they hand over."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from Src.Media.readers.fast_answer import Unusual
from Src.Media.readers.fast_readers import read_fast
from Src.Media.tests import iso_made
from Src.Media.tests.iso_made import Item, box, full, keyed, spoken
from Src.Media.tests.test_iso_readers import CANON, MADE, fast, kept


def reason(kind: str, path: Path) -> str | None:
    """Why the file is handed over; None: it is answered."""
    try:
        read_fast(kind, str(path))
    except Unusual as unusual:
        return unusual.reason
    return None


# ExifTool would go through so many descriptions, be they of no bytes at all.
_ONE_SOUND, _BILLIONS_OF_SOUNDS = (
    struct.pack(">I", count) + size + b"mp4a" for count, size in ((1, b"\0\0\0\x24"), (0xFFFFFFFF, bytes(4)))
)


def of_film(*more: bytes, top: bytes = b"", header: bytes | None = None) -> bytes:
    """A film with these boxes in its `moov`, and others behind that."""
    movie = box(b"moov", header or iso_made.movie_header(), iso_made.picture_track(), *more)
    return box(b"ftyp", b"mp42", bytes(4), b"mp42") + movie + box(b"mdat", bytes(9)) + top


def test_a_film_of_a_phone_is_read(tmp_path: Path) -> None:
    found = fast(kept(tmp_path, MADE["iphone.mov"]))
    assert found is not None
    assert (found.captured_at, found.captured_at_offset) == (datetime(2020, 9, 13, 16, 26, 40), 120)
    assert (found.latitude, found.longitude, found.orientation) == (48.1374, 11.5755, 6)
    assert (found.width, found.height) == (1920, 1080)
    assert found.duration_seconds == pytest.approx(7300 / 600)
    assert (found.camera_make, found.camera_model) == ("Apple", "iPhone 12")


def test_a_picture_of_a_phone_is_read(tmp_path: Path) -> None:
    found = fast(kept(tmp_path, MADE["photo.heic"]))
    assert found is not None
    assert (found.captured_at, found.captured_at_offset) == (datetime(2001, 2, 3, 4, 5, 6), 120)
    assert (found.latitude, found.longitude, found.orientation) == (48.1375, 48.1375, 8)
    assert (found.width, found.height, found.rating) == (4032, 3024, 4)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(of_film(iso_made.movie_header()), "doubled box", id="two headers"),
        pytest.param(of_film(box(b"uuid", bytes(40))), "box uuid", id="a box of a maker"),
        pytest.param(of_film(top=of_film()[20:]), "doubled box", id="two films"),
        pytest.param(of_film(top=box(b"moof")), "box moof", id="fragments"),
        pytest.param(of_film(top=box(b"free", b"\0\0\0 Seri")), "padding with content", id="padding with content"),
        pytest.param(of_film(top=b"trailer of some camera"), "box sizes", id="bytes behind the last box"),
        pytest.param(of_film()[:-5], "box sizes", id="cut short"),
        pytest.param(
            of_film(header=iso_made.movie_header(length=2**60, version=1)), "unknown duration", id="unknown duration"
        ),
        pytest.param(
            of_film(header=iso_made.movie_header(created=2**40, version=1)),
            "date far in the future",
            id="the year 36812",
        ),
        pytest.param(of_film(box(b"udta", box(b"date", b"2001"))), "box date", id="a date of another kind"),
        pytest.param(of_film(box(b"udta", box(b"loci", bytes(40)))), "box loci", id="a place of another kind"),
        pytest.param(
            of_film(box(b"udta", box(b"\xa9mak", spoken(b"mak", b"Maker")[8:] * 2))),
            "text in several languages",
            id="German",
        ),
        pytest.param(of_film(box(b"udta", spoken(b"mak", b"A"), spoken(b"mak", b"B"))), "doubled box", id="two makers"),
        pytest.param(
            of_film(box(b"udta", spoken(b"xyz", b"+1248.00-07015.00/"))), "odd place", id="degrees and minutes"
        ),
        pytest.param(
            of_film(keyed({b"DateTimeOriginal": b"2001:02:03 04:05:06"})), "unknown key", id="a key of any name"
        ),
        pytest.param(
            of_film(keyed({b"com.apple.quicktime.make": b"M\xe4ker"})), "text that is not ASCII", id="text not ASCII"
        ),
        pytest.param(
            of_film(full(b"meta", iso_made.handler(b"mdta"))), "box of unknown type", id="meta with a version"
        ),
        pytest.param(
            of_film(iso_made.sound_track()).replace(_ONE_SOUND, _BILLIONS_OF_SOUNDS),
            "descriptions of samples",
            id="hang",
        ),
        pytest.param(
            of_film(box(b"trak", iso_made.track_header(), iso_made.media(b"vide", iso_made.description(), version=2))),
            "version of a box",
            id="version of a box",
        ),
    ],
)
def test_a_film_with_an_oddity_is_handed_over(content: bytes, why: str, tmp_path: Path) -> None:
    assert reason("MP4", kept(tmp_path, content)) == why


def changed_photo(number: int, **values: object) -> list[Item]:
    items = list(iso_made.PHOTO)
    items[number] = items[number]._replace(**values)  # type: ignore[arg-type]
    return items


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(
            iso_made.picture(changed_photo(2, method=1)),
            "metadata stored in an unusual way",
            id="EXIF among the descriptions",
        ),
        pytest.param(
            iso_made.picture(changed_photo(2, protection=1)), "metadata stored in an unusual way", id="protected EXIF"
        ),
        pytest.param(iso_made.picture(changed_photo(2, describes=2)), "doubled metadata", id="EXIF of another image"),
        pytest.param(
            iso_made.picture(changed_photo(2, content=iso_made.exif(thumbnail=iso_made.MAIN))),
            "EXIF tag of the thumbnail, too",
            id="a camera and a rotation of the thumbnail",
        ),
        pytest.param(
            iso_made.picture(changed_photo(2, content=iso_made.exif()[10:])),
            "header of EXIF",
            id="EXIF without its header",
        ),
        pytest.param(
            iso_made.picture(changed_photo(3, coding=b"deflate")), "metadata stored in an unusual way", id="coded XMP"
        ),
        pytest.param(
            iso_made.picture(changed_photo(4, content=iso_made.RATED)),
            "XMP about another image",
            id="a rating of another image",
        ),
        pytest.param(iso_made.picture(changed_photo(4, describes=1)), "doubled metadata", id="two packets"),
        pytest.param(iso_made.picture([*iso_made.PHOTO, iso_made.PHOTO[2]]), "doubled metadata", id="doubled EXIF"),
        pytest.param(iso_made.picture(changed_photo(0, properties=(1,))), "size of an image", id="no size"),
        pytest.param(iso_made.picture(changed_photo(0, properties=(1, 2, 4))), "size of an image", id="two sizes"),
        pytest.param(
            iso_made.picture(properties=[*iso_made.PROPERTIES, box(b"irot", b"\1")]),
            "rotations of several images",
            id="two rotations",
        ),
        pytest.param(
            iso_made.picture(properties=[*iso_made.PROPERTIES, box(b"xxxx")]),
            "box of unknown type",
            id="a property of a maker",
        ),
        pytest.param(iso_made.picture() + iso_made.iphone_film()[20:], "box moov", id="a film in it"),
        pytest.param(iso_made.picture() + iso_made.picture()[24:], "doubled box", id="described twice"),
        pytest.param(iso_made.picture()[:-1], "box sizes", id="cut short"),
    ],
)
def test_a_picture_with_an_oddity_is_handed_over(content: bytes, why: str, tmp_path: Path) -> None:
    assert reason("HEIC", kept(tmp_path, content)) == why


def raw(name: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Canon's raw photo, with a change to the content of one of its boxes."""
    roots, tail = iso_made.tree(CANON.read_bytes())
    (movie,) = (node for node in roots if node.name == b"moov")
    metadata = movie.inner[0]
    for node in (*roots, *movie.inner, *metadata.inner):
        if node.name == name:
            node.own = change(node.own)
            break
    return b"".join(node.bytes() for node in roots) + tail


# The number of samples of a size of 29 bytes.
_ONE, _BILLIONS = (b"stsz" + struct.pack(">III", 0, 29, count) for count in (1, 0xFFFFFFFF))


_GIGABYTES = b"stsz" + struct.pack(">III", 0, 0x7C25B081, 1)


def _width(pixels: int) -> bytes:
    return struct.pack("<HHII", 0x100, 3, 1, pixels)


def test_a_raw_photo_is_read(tmp_path: Path) -> None:
    found = fast(kept(tmp_path, raw(b"none", bytes)))
    assert found is not None
    assert (found.captured_at, found.captured_at_offset) == (datetime(2018, 2, 21, 12, 8, 56, 210000), 0)
    assert (found.width, found.height, found.orientation, found.rating) == (6000, 4000, 1, 0)
    assert (found.camera_make, found.camera_model) == ("Canon", "Canon EOS M50")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(raw(b"CNCV", lambda _: b"CanonCRM0001"), "Canon's raw film", id="film"),
        pytest.param(
            raw(b"CMT1", lambda own: own.replace(_width(6000), _width(5990))), "size of an image", id="two sizes"
        ),
        pytest.param(raw(b"CMT1", lambda own: own.replace(b"Canon\0", bytes(6))), "no camera in EXIF", id="no camera"),
        pytest.param(CANON.read_bytes().replace(_ONE, _BILLIONS, 1), "tables of samples", id="billions of samples"),
        pytest.param(CANON.read_bytes().replace(_ONE, _GIGABYTES, 1), "tables of samples", id="gigabytes"),
        pytest.param(raw(b"CMT4", lambda own: own[:2]), "EXIF without a TIFF header", id="cut block"),
        pytest.param(
            raw(b"CMT3", lambda own: own) + box(b"uuid", bytes(40)), "box uuid", id="a box of Canon's software"
        ),
    ],
)
def test_a_raw_photo_with_an_oddity_is_handed_over(content: bytes, why: str, tmp_path: Path) -> None:
    assert reason("CR3", kept(tmp_path, content)) == why


@pytest.mark.parametrize("behind", [bytes(8), bytes(5000), b"\0\0\0\0\0\0\0\5"])
def test_padding_behind_the_last_box_is_no_oddity(behind: bytes, tmp_path: Path) -> None:
    for name in ("iphone.mov", "photo.heic"):
        padded = fast(kept(tmp_path, MADE[name] + behind))
        assert padded is not None
        assert padded == fast(kept(tmp_path, MADE[name]))


@pytest.mark.parametrize("name", MADE)
def test_wherever_a_file_is_cut_it_is_handed_over(name: str, tmp_path: Path) -> None:
    whole = MADE[name]
    path = tmp_path / name
    starts = {0}
    for node in iso_made.tree(whole)[0]:
        starts.add(max(starts) + len(node.bytes()))
    path.write_bytes(whole)
    for length in reversed(range(len(whole))):
        os.truncate(path, length)  # a filesystem may take milliseconds where a file is written anew
        why = reason("MP4" if name.endswith(("mov", "mp4", "m4v")) else "HEIC", path)
        assert why is not None or length in starts, length  # between two boxes nothing is missing that is stated


def test_many_boxes_cost_little(tmp_path: Path) -> None:
    """What is hostile is handed over by its first kilobytes."""
    path = kept(tmp_path, of_film(*[box(b"free")] * 5000))
    assert reason("MP4", path) == "many boxes"
    path = kept(tmp_path, of_film(*[iso_made.sound_track()] * 100))
    assert reason("MP4", path) == "many tracks"
    hidden = iso_made.description((5, 4), struct.pack(">I4s", 36, b"gama"), *[box(b"gama")] * 100, b"odd")
    path = kept(tmp_path, of_film(box(b"trak", iso_made.track_header(), iso_made.media(b"vide", hidden))))
    assert reason("MP4", path) == "descriptions of samples"
    path = kept(tmp_path, of_film() + box(b"wide") * 100)
    assert reason("MP4", path) == "many boxes"
