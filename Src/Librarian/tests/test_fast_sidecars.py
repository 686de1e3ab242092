"""XMP sidecars that are made: whatever one holds, it is read as ExifTool reads it, or handed over."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, target
from hypothesis import strategies as st

from Src.Librarian.metadata_extractor import SIDECAR, MetadataExtractor, NotRead
from Src.Media.metadata import Metadata, Subject
from Src.Media.readers.fast_answer import Unusual
from Src.Media.readers.window import MOST_XMP
from Src.Media.tests.jpeg_made import DATED, DESCRIPTION, MAKE, MODEL, PLACE, RDF, jpeg, text
from Src.Media.tests.test_jpeg_differences import PACKETS, exif, generated, several
from Src.Testing.both_readers import needs_exiftool
from Src.Testing.patience import PATIENCE

pytestmark = [pytest.mark.slow, needs_exiftool]

ZONE, NOW = ZoneInfo("Europe/Berlin"), datetime(2026, 11, 21, 12, 0)
LIGHTROOM = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe">\n'
    ' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n  <rdf:Description rdf:about=""'
    ' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/"'
    ' xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/"\n   xmp:Rating="4" crs:Exposure2012="+0.35"'
    ' exif:DateTimeOriginal="2019-05-06T07:08:09" exif:GPSLatitude="35,41.37N" exif:GPSLongitude="139,41.5E"/>\n'
    ' </rdf:RDF>\n</x:xmpmeta>\n<?xpacket end="w"?>\n'
)
PHOTOS = (
    jpeg(exif([MAKE, MODEL], DATED, PLACE)),
    jpeg(exif([MAKE])),
    jpeg(exif([text(0x132, "2008:05:04 16:47:24")], [text(0x9003, "0000:00:00 00:00:00")])),
    jpeg(),
)


@pytest.fixture(scope="module")
def extractor() -> Iterator[MetadataExtractor]:
    with MetadataExtractor(ZONE, PATIENCE) as extractor:
        yield extractor


def subjects(folder: Path, number: int, sidecar: bytes) -> list[Subject]:
    """A photo with its sidecar, and the sidecar by itself."""
    photo, beside = folder / f"{number}.jpg", folder / f"{number}.xmp"
    photo.write_bytes(PHOTOS[number % len(PHOTOS)])
    beside.write_bytes(sidecar)
    return [Subject(str(photo), "x", "JPEG", 0), Subject(str(beside), "x.xmp", SIDECAR, 0)]


def fast(extractor: MetadataExtractor, subject: Subject) -> Metadata | None:
    try:
        return extractor.extract_fast(subject, NOW)
    except Unusual:
        return None


def slow(extractor: MetadataExtractor, some: Sequence[Subject]) -> list[Metadata | NotRead]:
    return extractor.extract_by_exiftool(some, ["test"] * len(some), NOW)


def handed_over(extractor: MetadataExtractor, subject: Subject) -> str:
    with pytest.raises(Unusual) as unusual:
        extractor.extract_fast(subject, NOW)
    return unusual.value.reason


def test_what_editors_write_is_read_without_exiftool(extractor: MetadataExtractor, tmp_path: Path) -> None:
    for number, _ in enumerate(PHOTOS):
        both = subjects(tmp_path, number, LIGHTROOM.encode())
        found = [fast(extractor, subject) for subject in both]
        assert found == slow(extractor, both)
        for one in found:
            assert one is not None and (one.rating, one.captured_at) == (4, datetime(2019, 5, 6, 7, 8, 9))
        assert found[0] is not None and found[0].sidecar is not None and found[0].sidecar.without.rating is None


@pytest.mark.parametrize(
    ("sidecar", "reason"),
    [
        (LIGHTROOM.encode("utf-16"), "an XMP file of odd form"),
        (b"\xef\xbb\xbf" + LIGHTROOM.encode(), "an XMP file of odd form"),
        (b"<svg>" + LIGHTROOM.encode(), "an XMP file of odd form"),
        (b"no XMP at all", "an XMP file of odd form"),
        (b"", "an XMP file of odd form"),
        (LIGHTROOM.encode() + b" " * MOST_XMP, "a very large XMP file"),
        (LIGHTROOM.replace("xmp:Rating", "xmp:Label").split("exif:Date")[0].encode() + b"/></rdf:RDF></x:xmpmeta>",
         "an XMP file that says little"),
        (LIGHTROOM.encode()[:-120], "XMP of odd form in an XMP file"),
    ],
)  # fmt: skip
def test_what_is_odd_is_handed_over(extractor: MetadataExtractor, tmp_path: Path, sidecar: bytes, reason: str) -> None:
    for subject in subjects(tmp_path, 0, sidecar):
        assert handed_over(extractor, subject) == reason


def test_a_link_is_nobody_s_sidecar(extractor: MetadataExtractor, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text(LIGHTROOM)
    photo, _ = subjects(tmp_path, 0, b"")
    (tmp_path / "0.xmp").unlink()
    (tmp_path / "0.xmp").symlink_to("elsewhere")
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        inside = Subject(photo.file, photo.name, photo.kind, 0, folder)
        found = fast(extractor, inside)
    finally:
        os.close(folder)
    assert found is not None and found.rating is None and found.sidecar is None


BEFORE = st.sampled_from(["", "", "", " \n", "\ufeff", '<?xml version="1.0"?>\n', "<!-- x -->", "x", "\0"])
BEHIND = st.sampled_from(["", "", "", '<?xpacket end="w"?>', "\n" * 300, "x", "\0\0", "<?xpacket end='r'?>\n<x/>"])
ENCODINGS = st.sampled_from(["utf-8"] * 6 + ["utf-16", "utf-16-le", "latin-1", "utf-32-be"])
CUTS = st.sampled_from([None, None, None, None, -1, -10, 100])
FILES = st.builds(
    lambda before, packet, behind, encoding, cut: (before + packet + behind).encode(encoding, "replace")[:cut],
    BEFORE, PACKETS, BEHIND, ENCODINGS, CUTS,
)  # fmt: skip
# A date, a place and ratings where editors write them, and a value of each that is odd.
WRITTEN = st.builds(
    lambda values, toolkit: RDF.replace("<x:xmpmeta", f"<x:xmpmeta{toolkit}").format(
        DESCRIPTION.format(
            ' xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"'
            + "".join(f' {name}="{value}"' for name, value in values.items()),
            "",
        )
    ).encode(),
    st.fixed_dictionaries(
        {"xmp:Rating": st.sampled_from(["0", "3", "5", "-1", "6"])},
        optional={
            "exif:DateTimeOriginal": st.sampled_from(["2006-05-04T16:47:24Z", "2006-05", "1970-01-01T00:00:00", ""]),
            "photoshop:DateCreated": st.sampled_from(["2007-05-04T16:47:24.5+02:00", "2007-05-04", "2008-05"]),
            "xmp:CreateDate": st.sampled_from(["2005-01-02T03:04:05", "0000-00-00T00:00:00"]),
            "xmp:ModifyDate": st.sampled_from(["2015-01-02T03:04:05", ""]),
            "exif:GPSLatitude": st.sampled_from(["43,28.046983N", "43,28,2.8S", "0,0.0N"]),
            "exif:GPSLongitude": st.sampled_from(["11,53.1076E", "11,53,6W", "0,0.0E"]),
        },
    ),
    st.sampled_from(["", ' x:xmptk="XMP Core 4.4.0-Exiv2"']),
)  # fmt: skip


@generated(120)
@given(files=several(st.one_of(WRITTEN, FILES, PACKETS.map(str.encode))))
def test_sidecars(files: list[bytes], extractor: MetadataExtractor, tmp_path: Path) -> None:
    some = [subject for number, content in enumerate(files) for subject in subjects(tmp_path, number, content)]
    answers = [(subject, answer) for subject in some if (answer := fast(extractor, subject)) is not None]
    target(float(len(answers)))  # what is handed over proves nothing
    for (subject, answer), expected in zip(answers, slow(extractor, [one for one, _ in answers]), strict=True):
        assert answer == expected, (str(subject.file)[-6:], Path(str(subject.file)).with_suffix(".xmp").read_bytes())
