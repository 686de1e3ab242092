"""Title, description, tags, stars and what shot it is: as ExifTool says, and as the sources have their order."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from Src.Media.metadata import rating_in
from Src.Media.readers.exiftool_reader import ExifToolReader
from Src.Media.readers.fast_readers import read_fast
from Src.Media.readers.sidecar_reader import read_sidecar
from Src.Media.shots import Shot, shot_of
from Src.Media.tags import BETWEEN, Tags
from Src.Media.tests.jpeg_made import (
    BYTE,
    DATED,
    DESCRIPTION,
    MAKE,
    MODEL,
    RDF,
    SHORT,
    UNDEFINED,
    Entry,
    data_set,
    exif_block,
    jpeg,
    resource,
    samsung_trailer,
    segment,
    xmp_segment,
)
from Src.Media.words import SAYS_NOTHING, Words, words_in
from Src.Testing.both_readers import BothReaders, both_readers, fast, handed_over, needs_exiftool  # noqa: F401
from Src.Testing.examples import examples
from Src.Testing.patience import PATIENCE

NOTES_UUID = "0A1B2C3D-1111-2222-3333-444455556666"


# -- which source counts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("beside", "tags", "said"),
    [
        ({}, {}, SAYS_NOTHING),
        ({}, {"EXIF:XPTitle": " A ", "EXIF:XPKeywords": "x; y ;;X"}, Words("A", None, ("x", "y"))),
        ({}, {"EXIF:XPTitle": "A", "IPTC:ObjectName": "B"}, Words("B")),
        ({}, {"IPTC:ObjectName": "B", "XMP:Title": "C"}, Words("C")),
        ({"XMP:Title": "D"}, {"XMP:Title": "C", "XMP:Description": "d"}, Words("D", "d")),
        ({"XMP:Title": " "}, {"XMP:Title": "C"}, Words("C")),
        ({}, {"IPTC:Caption-Abstract": "one\r\ntwo\r"}, Words(None, "one\ntwo")),
        ({}, {"IPTC:Keywords": f"a{BETWEEN}b", "EXIF:XPKeywords": "c"}, Words(tags=("a", "b"))),
        ({}, {"IPTC:Keywords": "a word that is cut", "XMP:Subject": "a word that is cut off"},
         Words(tags=("a word that is cut off",))),
        ({"XMP:Subject": "n"}, {"XMP:Subject": "o"}, Words(tags=("n",))),
        ({"XMP:Title": "n"}, {"XMP:Subject": "o"}, Words("n", tags=("o",))),
        ({}, {"XMP:Subject": f"Oma{BETWEEN}x\n y", "XMP:TagsList": f"People/oma{BETWEEN}Places/Köln",
              "XMP:HierarchicalSubject": "Places|Rome"}, Words(tags=("Oma", "x y", "Köln", "Rome"))),
        ({}, {"XMP:TagsList": "_Digikam_Internal_Tags_/Pick Label None"}, SAYS_NOTHING),
        ({}, {"XMP:Subject": "x" * 500}, Words(tags=("x" * 200,))),
        ({}, {"XMP:Subject": BETWEEN.join(map(str, range(5000)))}, Words(tags=tuple(map(str, range(1000))))),
    ],
)  # fmt: skip
def test_what_a_file_and_its_sidecar_say(beside: Tags, tags: Tags, said: Words) -> None:
    assert words_in(beside, tags) == said


@pytest.mark.parametrize(
    ("percent", "stars"),
    [(0, 0), (1, 1), (12, 1), (13, 2), (25, 2), (37, 2), (38, 3), (50, 3), (62, 3), (75, 4), (87, 4), (88, 5), (99, 5),
     (100, 5), (101, None), (-1, None)],
)  # fmt: skip
def test_per_cent_are_stars_as_windows_shows_them(percent: int, stars: int | None) -> None:
    for name in ("XMP:RatingPercent", "EXIF:RatingPercent"):
        assert rating_in({}, {name: str(percent)}) == stars
    assert rating_in({}, {"EXIF:RatingPercent": str(percent), "XMP:Rating": "-1"}) == -1
    assert rating_in({"XMP:RatingPercent": "25"}, {"XMP:Rating": "5"}) == 2


@pytest.mark.parametrize(
    ("name", "burst"),
    [
        ("00001IMG_00001_BURST20190203102530123.jpg", "20190203102530123"),
        ("00000IMG_00000_BURST20190203102530123_COVER.jpg", "20190203102530123"),
        ("DSC_0001_BURST20190203102530123(1).JPG", "20190203102530123"),
        ("PXL_20210101_120000123.BURST-01.COVER.jpg", "PXL_20210101_120000123"),
        ("IMG_20190203_102530_BURST1.jpg", None),
        ("BURST.jpg", None),
    ],
)
def test_bursts_by_name(name: str, burst: str | None) -> None:
    assert shot_of({}, name).burst_id == burst
    assert shot_of({"MakerNotes:BurstUUID": NOTES_UUID.lower()}, name).burst_id == NOTES_UUID


def test_an_identifier_of_odd_form_is_none() -> None:
    assert shot_of({"QuickTime:ContentIdentifier": "a b", "XMP:BurstID": "x" * 65}, "x.mov") == Shot()


# -- as ExifTool says ---------------------------------------------------------------------------------------------


def xmp(inner: str, attributes: str = "") -> str:
    spaces = (
        ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:digiKam="http://www.digikam.org/ns/1.0/"'
        ' xmlns:lr="http://ns.adobe.com/lightroom/1.0/" xmlns:MicrosoftPhoto="http://ns.microsoft.com/photo/1.0/"'
        ' xmlns:GCamera="http://ns.google.com/photos/1.0/camera/"'
    )
    return RDF.format(DESCRIPTION.format(spaces + attributes, inner))


def listed(name: str, words: list[str], container: str = "Bag") -> str:
    items = "".join(f"<rdf:li>{escape(word)}</rdf:li>" for word in words)
    return f"<{name}><rdf:{container}>{items}</rdf:{container}></{name}>"


def in_languages(name: str, texts: dict[str, str]) -> str:
    items = "".join(f'<rdf:li xml:lang="{one}">{escape(text)}</rdf:li>' for one, text in texts.items())
    return f"<{name}><rdf:Alt>{items}</rdf:Alt></{name}>"


def windows(tag: int, text: str, form: int = BYTE) -> Entry:
    value = text.encode("utf-16-le") + b"\0\0"
    return tag, form, len(value), value


def apples_notes(values: dict[int, bytes]) -> Entry:
    head = b"Apple iOS\0\0\1MM" + struct.pack(">H", len(values))
    at = len(head) + 12 * len(values) + 4
    data = b""
    for tag, value in values.items():
        head += struct.pack(">HHII", tag, 2, len(value), at + len(data))
        data += value
    notes = head + bytes(4) + data
    return 0x927C, UNDEFINED, len(notes), notes


IPTC = [(1, 90, b"\x1b%G"), (2, 5, "Überschrift".encode()), (2, 25, b"one"), (2, 25, b"TRUE"), (2, 120, b"Said\nhere")]
MADE: dict[str, tuple[bytes, Words | None, Shot | None]] = {
    "xmp": (
        jpeg(
            xmp_segment(
                xmp(
                    listed("dc:subject", ["Oma", "a & b", "12", "True", "007"])
                    + in_languages("dc:title", {"de": "Titel", "x-default": "Title <1>"})
                    + in_languages("dc:description", {"x-default": "Line\nline"})
                    + listed("digiKam:TagsList", ["Places/Köln"], "Seq")
                    + listed("lr:hierarchicalSubject", ["Places|Italy|Rome"])
                )
            )
        ),
        Words("Title <1>", "Line\nline", ("Oma", "a & b", "12", "true", "007", "Köln", "Rome")),
        None,
    ),
    "no default language": (
        jpeg(xmp_segment(xmp(in_languages("dc:title", {"de": "Titel"})))),
        SAYS_NOTHING,
        None,
    ),
    "iptc": (
        jpeg(segment(0xED, b"Photoshop 3.0\0" + resource(0x404, b"".join(data_set(*one) for one in IPTC)))),
        Words("Überschrift", "Said\nhere", ("one", "true")),
        None,
    ),
    "iptc beside a date": (
        jpeg(
            segment(0xE1, b"Exif\0\0" + exif_block([], DATED)),
            segment(0xED, b"Photoshop 3.0\0" + resource(0x404, data_set(2, 25, b"word"))),
        ),
        Words(tags=("word",)),
        None,
    ),
    "windows": (
        jpeg(
            segment(
                0xE1,
                b"Exif\0\0"
                + exif_block(
                    [(0x4749, SHORT, 1, b"\x4b\0"), windows(0x9C9B, "Größe"), windows(0x9C9E, "a;b c")], DATED
                ),
            )
        ),
        Words("Größe", None, ("a", "b c")),
        None,
    ),
    "apple": (
        jpeg(
            segment(
                0xE1,
                b"Exif\0\0"
                + exif_block(
                    [MAKE, MODEL],
                    [*DATED, apples_notes({0xB: NOTES_UUID.encode() + b"\0", 0x11: NOTES_UUID[::-1].encode() + b"\0"})],
                ),
            )
        ),
        None,
        Shot(NOTES_UUID[::-1], NOTES_UUID),
    ),
    "google": (
        jpeg(xmp_segment(xmp("", ' GCamera:MotionPhoto="1" GCamera:BurstID="0a1b2c3d-aa"'))),
        None,
        Shot(None, "0A1B2C3D-AA", True),
    ),
    "micro video": (
        jpeg(xmp_segment(xmp("<GCamera:MicroVideo>1</GCamera:MicroVideo>"))),
        None,
        Shot(None, None, True),
    ),
    "no motion": (jpeg(xmp_segment(xmp("", ' GCamera:MotionPhoto="0"'))), None, Shot()),
    "samsung": (
        jpeg(trailer=samsung_trailer([(0x0A30, b"MotionPhoto_Data", b"film" * 9)])),
        None,
        Shot(None, None, True),
    ),
}


@needs_exiftool
@pytest.mark.parametrize("name", MADE)
def test_both_readers_read_words_and_shots(both_readers: BothReaders, tmp_path: Path, name: str) -> None:  # noqa: F811
    content, words, shot = MADE[name]
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    quick, (slow,) = fast(path, "JPEG"), both_readers.slow([path], "JPEG")
    assert quick == slow, handed_over(path, "JPEG")
    assert quick is not None
    if words is not None:
        assert quick.words == words
    if shot is not None:
        assert quick.shot == shot


def _saved(form: str) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, form)
    return buffer.getvalue()


def _heic() -> bytes:
    buffer = BytesIO()
    pytest.importorskip("pillow_heif").from_pillow(Image.new("RGB", (64, 64))).save(buffer)
    return buffer.getvalue()


@needs_exiftool
def test_samsungs_film_behind_a_heic_makes_it_a_motion_photo(both_readers: BothReaders, tmp_path: Path) -> None:  # noqa: F811
    path = tmp_path / "a.heic"
    path.write_bytes(_heic() + (8 + 100).to_bytes(4, "big") + b"mpvd" + bytes(100))
    quick, (slow,) = fast(path, "HEIC"), both_readers.slow([path], "HEIC")
    assert quick == slow, handed_over(path, "HEIC")
    assert quick is not None
    assert quick.shot.is_motion_photo


KINDS: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: _saved("JPEG"),
    "PNG": lambda: _saved("PNG"),
    "WEBP": lambda: _saved("WEBP"),
    "TIFF": lambda: _saved("TIFF"),
    "HEIC": _heic,
}
WRITTEN = [
    "-XMP-dc:Title=Über", "-XMP-dc:Description=said", "-XMP-dc:Subject=one", "-XMP-dc:Subject=two",
    "-XMP-digiKam:TagsList=a/three", "-XMP-lr:HierarchicalSubject=a|four", "-XMP:RatingPercent=50",
]  # fmt: skip


@needs_exiftool
@pytest.mark.parametrize("kind", KINDS)
def test_what_exiftool_writes_both_read(both_readers: BothReaders, tmp_path: Path, kind: str) -> None:  # noqa: F811
    path = tmp_path / f"a.{kind.lower()}"
    path.write_bytes(KINDS[kind]())
    subprocess.run(["exiftool", "-q", "-overwrite_original", *WRITTEN, path], check=True)
    quick, (slow,) = fast(path, kind), both_readers.slow([path], kind)
    assert slow.words == Words("Über", "said", ("one", "two", "three", "four"))
    assert slow.rating == 3
    assert quick == slow, handed_over(path, kind)


@needs_exiftool
def test_iptc_and_windows_texts_in_a_tiff(both_readers: BothReaders, tmp_path: Path) -> None:  # noqa: F811
    path = tmp_path / "a.tif"
    path.write_bytes(_saved("TIFF"))
    for more, words in (
        (["-EXIF:XPTitle=Größe", "-EXIF:XPKeywords=a;b", "-EXIF:RatingPercent=99"], Words("Größe", None, ("a", "b"))),
        (["-IPTC:Keywords=c", "-IPTC:ObjectName=T"], Words("T", None, ("c",))),
    ):
        subprocess.run(["exiftool", "-q", "-overwrite_original", *more, path], check=True)
        (slow,) = both_readers.slow([path], "TIFF")
        assert slow.words == words and slow.rating == 5
        assert fast(path, "TIFF") in (None, slow)


@needs_exiftool
def test_a_sidecar_says_the_same_by_both_readers(tmp_path: Path) -> None:
    packet = xmp(
        listed("dc:subject", ["Oma"]) + in_languages("dc:title", {"x-default": "T"}), ' MicrosoftPhoto:Rating="75"'
    )
    path = tmp_path / "a.xmp"
    path.write_text(packet)
    quick = read_sidecar(str(path)).tags
    with ExifToolReader(PATIENCE) as reader:
        (slow,) = reader.read([str(path)])
    for tags in (quick, slow.tags):
        assert words_in(tags, {}) == Words("T", None, ("Oma",))
        assert rating_in(tags, {}) == 4


# -- whatever a packet holds --------------------------------------------------------------------------------------

TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=12
)
NAMES = st.sampled_from(
    ["dc:subject", "dc:Subject", "dc:title", "dc:description", "dc:rights", "digiKam:TagsList",
     "lr:hierarchicalSubject", "lr:HierarchicalSubject", "xmp:Title", "xmp:subject", "MicrosoftPhoto:Rating",
     "GCamera:BurstID",
     "GCamera:MotionPhoto", "GCamera:microVideo", "xmp:MotionPhoto"]
)  # fmt: skip
LISTED = st.builds(listed, NAMES, st.lists(TEXTS, max_size=3), st.sampled_from(["Bag", "Seq", "Alt"]))
LANGUAGES = st.dictionaries(st.sampled_from(["x-default", "de", "X-Default", "en-US"]), TEXTS, max_size=3)
SIMPLE = st.builds(lambda name, text: f"<{name}>{escape(text)}</{name}>", NAMES, TEXTS | st.sampled_from(["1", "50"]))
INNER = st.lists(LISTED | SIMPLE | st.builds(in_languages, NAMES, LANGUAGES), max_size=4).map("".join)
ATTRIBUTES = st.dictionaries(NAMES, TEXTS | st.sampled_from(["1", "75", "true"]), max_size=2).map(
    lambda said: "".join(f" {name}={quoteattr(text)}" for name, text in said.items())
)
PACKETS = st.builds(xmp, INNER, ATTRIBUTES)
DATA_SETS = st.tuples(
    st.sampled_from([1, 2, 2, 2]),
    st.sampled_from([5, 25, 25, 90, 120, 55]),
    TEXTS.map(str.encode) | st.binary(max_size=8),
)
RECORDS = st.lists(DATA_SETS, max_size=5).map(lambda sets: b"".join(data_set(*one) for one in sets))
XP = st.lists(
    st.builds(windows, st.sampled_from([0x9C9B, 0x9C9E, 0x9C9C]), TEXTS, st.sampled_from([BYTE, UNDEFINED, SHORT])),
    max_size=2,
)
JPEGS = st.builds(
    lambda packet, record, entries, dated: jpeg(
        segment(0xE1, b"Exif\0\0" + exif_block(entries, DATED if dated else None)),
        xmp_segment(packet),
        segment(0xED, b"Photoshop 3.0\0" + resource(0x404, record)),
    ),
    PACKETS,
    RECORDS,
    XP,
    st.booleans(),
)


@needs_exiftool
@pytest.mark.slow
@settings(
    max_examples=max(1, examples(1200) // 40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(files=st.lists(JPEGS, min_size=40, max_size=40))
def test_whatever_stands_in_a_file_both_say_the_same_words(
    files: list[bytes],
    both_readers: BothReaders,  # noqa: F811
    tmp_path: Path,
) -> None:
    paths = []
    for number, content in enumerate(files):
        paths.append(tmp_path / f"{number}.jpg")
        paths[-1].write_bytes(content)
    both_readers.answered(paths, "JPEG")


@needs_exiftool
def test_usual_words_are_not_handed_over(tmp_path: Path) -> None:
    """(A library whose every photo has tags must not be slow.)"""
    path = tmp_path / "a.jpg"
    path.write_bytes(MADE["xmp"][0])
    assert "XMP:Subject" in read_fast("JPEG", str(path)).tags


@needs_exiftool
def test_several_texts_come_out_of_exiftool_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(_saved("JPEG"))
    words = ["-XMP-dc:Subject=a", "-XMP-dc:Subject=1.50", "-IPTC:Keywords=010", "-IPTC:Keywords=true"]
    subprocess.run(["exiftool", "-q", "-overwrite_original", *words, path], check=True)
    with ExifToolReader(PATIENCE) as reader:
        (answer,) = reader.read([str(path)])
    assert answer.tags["XMP:Subject"] == f"a{BETWEEN}1.50"
    assert answer.tags["IPTC:Keywords"] == f"010{BETWEEN}true"
