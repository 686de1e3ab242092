"""Sidecars that are written: ExifTool reads them, and what other programs wrote stays."""

from __future__ import annotations

import json
import re
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Src.Media.capture_date import MAX_OFFSET_MINUTES, Stamp
from Src.Media.places import Place
from Src.Media.tests.xmp_made import LIGHTROOM, MADE, SAID
from Src.Media.xmp_document import NotXmp
from Src.Media.xmp_sidecar import Said, read_sidecar
from Src.Media.xmp_writing import Changes, written
from Src.Testing.plain_exiftool import PlainExifTool

WANTED = Changes(
    rating=4,
    taken=Stamp(datetime(2019, 5, 4, 12, 30, 15, 120_000), 330),
    place=Place(-33.8567844, 151.213108),
    title="שלום & <עולם>",
    description="first\nsecond \"line\" 'quoted'",
    tags=("Oma", "Лето", "Großmutter"),
)
NOTHING = Changes(None, None, None, None, None, ())
# As `exiftool -G1` names what is ours, and what it concludes from that.
_OURS = re.compile(
    r"XMP-xmp:Rating|XMP-exif:(DateTimeOriginal|GPSL(at|ong)itude(Ref)?)|XMP-photoshop:DateCreated"
    r"|XMP-dc:(Title|Description|Subject).*|Composite:.*|System:.*|SourceFile"
)


def _said_by_exiftool(tool: PlainExifTool, path: Path, content: bytes, *options: str) -> dict[str, Any]:
    """ExifTool reads UTF-16 only half, so it gets a copy in UTF-8, as from our readers (`SidecarText`)."""
    if b"\0" in content[:4]:
        content = content.removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff")
        content = content.decode("utf-16-le" if content[1:2] == b"\0" else "utf-16-be").encode()
    path.write_bytes(content)
    (found,) = json.loads(tool.run("-G1", "-struct", "-json", *options, path))
    assert isinstance(found, dict)
    return found


_NEEDS_EXIFTOOL = pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs ExifTool")
_READ_BY_EXIFTOOL = [name for name in MADE if name != "odd"]  # it knows no default namespace, and no CDATA


@_NEEDS_EXIFTOOL
@pytest.mark.parametrize("base", [None, *_READ_BY_EXIFTOOL])
def test_exiftool_reads_what_was_written(base: str | None, tmp_path: Path, plain_exiftool: PlainExifTool) -> None:
    content = written(None if base is None else MADE[base], WANTED)
    said = _said_by_exiftool(plain_exiftool, tmp_path / "a.xmp", content, "-n", "-a")
    assert said["XMP-xmp:Rating"] == 4
    assert said["XMP-exif:DateTimeOriginal"] == said["XMP-photoshop:DateCreated"] == "2019:05:04 12:30:15.12+05:30"
    assert said["XMP-exif:GPSLatitude"] == pytest.approx(-33.8567844, abs=1e-9)
    assert said["XMP-exif:GPSLongitude"] == pytest.approx(151.213108, abs=1e-9)
    assert said["XMP-dc:Title"] == WANTED.title
    assert said["XMP-dc:Description"] == WANTED.description
    assert set(said["XMP-dc:Subject"]) == set(WANTED.tags if isinstance(WANTED.tags, tuple) else ())
    warnings = {value for name, value in said.items() if name.endswith((":Warning", ":Error"))}
    assert warnings <= {"[minor] Fixed incorrect URI for xmlns:MicrosoftPhoto"}  # digiKam's own


@_NEEDS_EXIFTOOL
@pytest.mark.parametrize("base", _READ_BY_EXIFTOOL)
@pytest.mark.parametrize("changes", [WANTED, NOTHING], ids=["all", "nothing"])
def test_what_other_programs_wrote_stays(
    base: str, changes: Changes, tmp_path: Path, plain_exiftool: PlainExifTool
) -> None:
    content = MADE[base]
    after = written(content, changes)
    before = _said_by_exiftool(plain_exiftool, tmp_path / "a.xmp", content)
    now = _said_by_exiftool(plain_exiftool, tmp_path / "a.xmp", after)
    kept = {name: value for name, value in before.items() if not _OURS.fullmatch(name)}
    assert kept == {name: value for name, value in now.items() if not _OURS.fullmatch(name)}
    assert len(kept) > 3
    assert read_sidecar(after).regions == SAID[base].regions


def test_no_byte_of_another_program_changes() -> None:
    after = written(LIGHTROOM.encode(), Changes(rating=5, tags=("Familie", "See"))).decode()
    assert after == LIGHTROOM.replace('xmp:Rating="3"', 'xmp:Rating="5"').replace(">Großmutter<", ">See<", 1)


def test_other_languages_and_the_order_of_tags_stay() -> None:
    after = written(MADE["digikam"], Changes(description="Ein & ein Tag", tags=("Köln", "Oma", "neu"))).decode()
    assert '<rdf:li xml:lang="x-default">Ein &amp; ein Tag</rdf:li>' in after
    assert '<rdf:li xml:lang="en-US">A day</rdf:li>' in after
    assert read_sidecar(after.encode()).tags == ("Oma", "Köln", "neu")


@pytest.mark.parametrize("base", [None, *MADE])
def test_what_it_says_already_changes_no_byte(base: str | None) -> None:
    once = written(None if base is None else MADE[base], WANTED)
    assert written(once, WANTED) == once
    assert written(once, Changes()) == once
    if base is not None:
        said = SAID[base]
        same = Changes(said.rating, said.taken, said.place, said.title, said.description, said.tags)
        changed = written(MADE[base], same)
        assert written(changed, same) == changed
        if said.taken is None or base not in ("apple", "darktable", "NULs behind"):  # these have one date of the two
            assert changed == MADE[base]


@pytest.mark.parametrize("base", MADE)
def test_everything_can_be_taken_out(base: str) -> None:
    assert read_sidecar(written(MADE[base], NOTHING)) == Said(regions=SAID[base].regions)


@pytest.mark.parametrize("character", ["\0", "\x01", "\x1b", "\ud800", "\ufffe", "\uffff"])
@pytest.mark.parametrize("field", ["title", "description", "tags"])
def test_a_character_that_xml_cannot_hold_is_refused(character: str, field: str) -> None:
    text = f"a{character}b"
    changes = Changes(**{field: (text,) if field == "tags" else text})  # type: ignore[arg-type]
    with pytest.raises(NotXmp, match=f"U\\+{ord(character):04X}"):
        written(None, changes)


@pytest.mark.parametrize(
    "value",
    [
        '<xmp:Rating rdf:parseType="Resource"><rdf:value>3</rdf:value><a:who xmlns:a="urn:a">me</a:who></xmp:Rating>',
        "<xmp:Rating><rdf:Bag><rdf:li>3</rdf:li></rdf:Bag></xmp:Rating>",
    ],
)
def test_what_would_lose_a_part_is_refused(value: str) -> None:
    content = LIGHTROOM.replace('xmp:Rating="3"', "").replace("<dc:subject>", f"{value}<dc:subject>").encode()
    with pytest.raises(NotXmp, match="Rating"):
        written(content, Changes(rating=1))


@pytest.mark.parametrize(
    "changes",
    [Changes(rating=6), Changes(rating=-2), Changes(place=Place(91, 0)), Changes(place=Place(0, float("nan")))],
)
def test_what_is_no_rating_or_place_is_refused(changes: Changes) -> None:
    with pytest.raises(ValueError, match=r"rating|position"):
        written(None, changes)


def test_a_property_that_stands_twice_stands_once_then() -> None:
    twice = LIGHTROOM.replace("\n   <lr:", "\n   <xmp:Rating>1</xmp:Rating>\n   <lr:", 1)
    assert twice != LIGHTROOM
    assert written(twice.encode(), Changes(rating=3)) == LIGHTROOM.encode()


_texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=40).filter(
    lambda text: not re.search("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", text)
)
_stamps = st.builds(
    lambda when, offset: Stamp(when, offset),
    st.datetimes(datetime(1826, 1, 1), datetime(2100, 1, 1)),
    st.none() | st.integers(-MAX_OFFSET_MINUTES, MAX_OFFSET_MINUTES),
)
_places = st.builds(Place, st.floats(-90, 90), st.floats(-180, 180))
_changes = st.builds(
    Changes,
    rating=st.none() | st.integers(-1, 5),
    taken=st.none() | _stamps,
    place=st.none() | _places,
    title=st.none() | _texts,
    description=st.none() | _texts,
    tags=st.lists(_texts, max_size=5).map(tuple),
)


@given(base=st.sampled_from([None, *MADE.values()]), several=st.lists(_changes, min_size=1, max_size=3))
def test_what_is_written_is_read(base: bytes | None, several: list[Changes]) -> None:
    content = base
    for changes in several:
        content = written(content, changes)
        said = read_sidecar(content)
        assert said.rating == changes.rating
        assert said.taken == changes.taken
        assert said.title == (changes.title or None)
        assert said.description == (changes.description or None)
        assert isinstance(changes.tags, tuple)
        assert set(said.tags) == {tag for tag in changes.tags if tag.strip()}
        wanted = changes.place
        if wanted is None or all(abs(one) < 1e-9 for one in wanted):  # type: ignore[union-attr, arg-type]
            assert said.place is None
        else:
            assert said.place == pytest.approx(wanted, abs=2e-7)
        assert written(content, changes) == content
