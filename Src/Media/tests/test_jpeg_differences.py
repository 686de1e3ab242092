"""JPEGs that are made: whatever one holds, the fast reader answers as ExifTool does, or hands it over."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, target
from hypothesis import strategies as st

from Src.Media.readers import exif_reader, jpeg_segments
from Src.Media.readers.exiftool_reader import ASKED, ExifToolReader
from Src.Media.tests.jpeg_made import (
    BYTE,
    DATED,
    DESCRIPTION,
    LONG,
    MAKE,
    MODEL,
    PLACE,
    RATIONAL,
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
    text,
    xmp_segment,
)
from Src.Media.tests.test_jpeg_reader import fast, slow
from Src.Testing.both_readers import needs_exiftool
from Src.Testing.examples import examples
from Src.Testing.exiftool_tables import table
from Src.Testing.patience import PATIENCE

pytestmark = [pytest.mark.slow, needs_exiftool]

_AT_ONCE = 40  # files that ExifTool is asked about together


@pytest.fixture(scope="module")
def exiftool() -> Iterator[ExifToolReader]:
    with ExifToolReader(PATIENCE) as reader:
        yield reader


def generated(usual: int) -> settings:
    """`usual`: files that are made without --examples."""
    return settings(
        max_examples=max(1, examples(usual) // _AT_ONCE),
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    )


class Files(list[bytes]):
    """Files that ExifTool is asked about together; what they are says the assertion."""

    def __repr__(self) -> str:
        return f"{len(self)} files"


def several(files: st.SearchStrategy[bytes]) -> st.SearchStrategy[list[bytes]]:
    return st.lists(files, min_size=_AT_ONCE, max_size=_AT_ONCE).map(Files)


def assert_equal(files: Sequence[bytes], exiftool: ExifToolReader, folder: Path) -> None:
    """Both readers agree on those that the fast one answers for."""
    paths = []
    for number, content in enumerate(files):
        path = folder / f"{number}.jpg"
        path.write_bytes(content)
        paths.append(str(path))
    answers = {path: answer for path in paths if (answer := fast(path)) is not None}
    target(float(len(answers)))  # what it hands over proves nothing
    for (name, answer), expected in zip(answers.items(), slow(list(answers), exiftool), strict=True):
        assert answer == expected, Path(name).read_bytes()[:3000]


def exif(*directories: list[Entry]) -> bytes:
    return segment(0xE1, b"Exif\0\0" + exif_block(*directories))


DATES = st.sampled_from(
    [
        "2008:05:04 16:47:24", "0000:00:00 00:00:00", "    :  :     :  :  ", "1980:01:01 00:00:00", "2014", "true", "",
        "2010:01:02", "2011:02:03 04:05:06.789+02:00", " 2012:03:04 05:06:07 ", "2013-04-05T06:07:08",
        "2009:13:45 99:00:00",
    ]
)  # fmt: skip
EXIFS = st.sampled_from(
    [
        [],
        [exif([MAKE, MODEL])],
        [exif([MAKE, MODEL], DATED)],
        [exif([MAKE], DATED, PLACE)],
        [exif([MODEL], [text(0x9004, "2008:05:04 16:47:24")])],
        [exif([MAKE, MODEL, text(0x132, "2008:05:04 16:47:24")], [text(0x9003, "0000:00:00 00:00:00")])],
        [exif([(0x4746, SHORT, 1, b"\3\0")])],
    ]
)

# -- XMP --------------------------------------------------------------------------------------------------

NAMESPACES = {
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "acdsee": "http://ns.acdsee.com/iptc/1.0/",
    "MicrosoftPhoto": "http://ns.microsoft.com/photo/1.0/",
    "drone-dji": "http://www.dji.com/drone-dji/1.0/",
    "GDepth": "http://ns.google.com/photos/1.0/depthmap/",
    "other": "http://example.org/other/",
}
XMP_VALUES = {
    "Rating": ["0", "5", "-1", "3.5", "4.0", "", "99", "true", "&#51;", "1/2"],
    "rating": ["4"],
    "CreateDate": ["2008-05-04T16:47:24+09:00", "2008-05-04", "2008-05", "2008", "2008-05-04T16:47", "x", "",
                   "2008-05-04T16:47:24.123Z", "2008:05:04 16:47:24", "0000-00-00T00:00:00"],
    "DateCreated": ["2007-05-04T16:47:24", "2008-05-04", "1999", "2007-05-04T16:47:24-03:30"],
    "DateTimeOriginal": ["2006-05-04T16:47:24Z", "2006-05-04T16:47:24.50", "2006"],
    "createDate": ["2005-01-01"],
    "GPSTimeStamp": ["2008-05-04T07:47:24Z", "2008-05-04T07:47:24"],
    "GPSLatitude": ["43,28.046983N", "43,28,2.8S", "0,0.0N", "91,0.0N", "43.5", "-43.5", "43,28.05"],
    "GPSLongitude": ["11,53.1076E", "11,53,6W", "0,0.0E", "181,0E", "11.5", "11,53.1076"],
    "GPSLatitudeRef": ["N", "S"],
    "GpsLatitude": ["12.5"],
    "Make": ["Maker of XMP", "", " padded ", "caf\u00e9", "true", "A &amp; B"],
    "Model": ["Model of XMP", "1.50", "007"],
    "ImageWidth": ["18"],
    "ImageLength": ["19"],
    "Title": ["CreateDate", "Rating"],
    "Error": ["broken"],
}  # fmt: skip
PROPERTY = st.sampled_from(sorted(XMP_VALUES)).flatmap(
    lambda name: st.tuples(
        st.sampled_from([*NAMESPACES, "xmp", "exif", "tiff", "photoshop"]),
        st.just(name),
        st.sampled_from(XMP_VALUES[name]),
        st.sampled_from(["attribute", "attribute", "element", "element", "nested", "list", "resource"]),
    )
)
# Names where they belong, most of the time: else hardly a packet is plain.
USUAL = {
    "rating": "acdsee",
    "Rating": "xmp", "CreateDate": "xmp", "DateCreated": "photoshop", "DateTimeOriginal": "exif", "GPSLatitude": "exif",
    "GPSLongitude": "exif", "GPSTimeStamp": "exif", "Make": "tiff", "Model": "tiff", "ImageWidth": "tiff",
    "ImageLength": "tiff",
}  # fmt: skip
PLACED = st.sampled_from(sorted(USUAL)).flatmap(
    lambda name: st.tuples(
        st.just(USUAL[name]),
        st.just(name),
        st.sampled_from(XMP_VALUES[name]),
        st.sampled_from(["attribute", "element"]),
    )
)
SHAPES = {
    "element": "<{0}>{1}</{0}>",
    "nested": "<other:In><rdf:Description><{0}>{1}</{0}></rdf:Description></other:In>",
    "list": "<{0}><rdf:Seq><rdf:li>{1}</rdf:li></rdf:Seq></{0}>",
    "resource": '<{0} rdf:resource="{1}"/>',
}


def packet(properties: list[tuple[str, str, str, str]], prefix: str) -> str:
    attributes, elements = "", ""
    for namespace, name, value, shape in {(one[0], one[1], one[3]): one for one in properties}.values():
        whole = f"{namespace}:{name}"
        if shape == "attribute" and f" {whole}=" not in attributes:
            attributes += f' {whole}="{value}"'
        elif shape != "attribute":
            elements += SHAPES[shape].format(whole, value)
    declared = "".join(f' xmlns:{name}="{uri}"' for name, uri in NAMESPACES.items() if name != "xmp")
    return prefix + RDF.format(DESCRIPTION.format(declared + attributes, elements))


PACKETS = st.builds(
    packet,
    st.lists(st.one_of(PLACED, PLACED, PLACED, PLACED, PROPERTY), max_size=6),
    st.sampled_from(
        ["", '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>', '<?xml version="1.0" encoding="UTF-8"?>']
    ),
)


@generated(200)
@given(
    files=several(
        st.builds(
            lambda before, written, behind: (
                jpeg(*before, behind_the_frame=xmp_segment(written)) if behind else jpeg(*before, xmp_segment(written))
            ),
            EXIFS,
            PACKETS,
            st.booleans(),
        )
    )
)
def test_xmp(files: list[bytes], exiftool: ExifToolReader, tmp_path: Path) -> None:
    assert_equal(files, exiftool, tmp_path)


# -- IPTC -------------------------------------------------------------------------------------------------

SETS = st.one_of(
    st.builds(
        data_set, st.just(2), st.just(55), st.sampled_from([b"20050102", b"20051345", b"2005", b"00000000", b""])
    ),
    st.builds(
        data_set, st.just(2), st.just(60), st.sampled_from([b"010203", b"010203+0200", b"010203-0330", b"1:2:3", b"25"])
    ),
    st.builds(data_set, st.sampled_from([1, 2, 3, 9]), st.integers(0, 255), st.binary(max_size=5)),
)
RESOURCES = st.one_of(
    st.builds(resource, st.just(0x404), st.lists(SETS, max_size=4).map(b"".join), st.sampled_from([b"", b"x", b"ab"])),
    st.builds(resource, st.sampled_from([0x3ED, 0x40C, 0x425, 0x2710]), st.binary(max_size=9)),
)


@generated(200)
@given(
    files=several(
        st.builds(
            lambda before, resources, more: jpeg(
                *before, segment(0xED, b"Photoshop 3.0\0" + b"".join(resources)), *(segment(0xED, one) for one in more)
            ),
            EXIFS,
            st.lists(RESOURCES, max_size=3),
            st.lists(RESOURCES.map(lambda one: b"Photoshop 3.0\0" + one), max_size=1),
        )
    )
)
def test_iptc(files: list[bytes], exiftool: ExifToolReader, tmp_path: Path) -> None:
    assert_equal(files, exiftool, tmp_path)


# -- EXIF -------------------------------------------------------------------------------------------------

TEXTS = DATES | st.sampled_from(["N", "S", "Maker", "1", "+02:00", "12 ", "W", "E", "x"])
NUMBER = st.sampled_from([0, 1, 2, 3, 7, 60, 59_999, 100, 1000, 2**31, 2**32 - 1])
VALUES = st.one_of(
    TEXTS.map(lambda value: text(0, value)),
    st.integers(0, 9).map(lambda value: (0, SHORT, 1, struct.pack("<H", value))),
    st.integers(0, 9).map(lambda value: (0, LONG, 1, struct.pack("<I", value))),
    st.lists(NUMBER, min_size=6, max_size=6).map(lambda parts: (0, RATIONAL, 3, struct.pack("<6I", *parts))),
    st.binary(min_size=1, max_size=12).map(lambda value: (0, UNDEFINED, len(value), value)),
    st.binary(min_size=1, max_size=12).map(lambda value: (0, BYTE, len(value), value)),
)
READ = sorted(exif_reader._READ)


def entries(*usual: int) -> st.SearchStrategy[list[Entry]]:
    tags = st.one_of(st.sampled_from(usual), st.integers(0, 0xFFFF), st.sampled_from(READ))
    return st.lists(st.builds(lambda tag, value: (tag, *value[1:]), tags, VALUES), max_size=5)


TIMES = st.lists(st.sampled_from([0, 1, 3, 12, 23, 24, 59, 60, 1234, 4_294_967_295]), min_size=3, max_size=3).flatmap(
    lambda over: st.lists(st.sampled_from([1, 1, 1, 0, 7, 100, 1000]), min_size=3, max_size=3).map(
        lambda under: struct.pack("<6I", over[0], under[0], over[1], under[1], over[2], under[2])
    )
)
DEGREES = st.tuples(st.integers(0, 200), st.integers(0, 60), st.integers(0, 10**9), st.sampled_from([0, 1, 10**7])).map(
    lambda parts: struct.pack("<6I", parts[0], 1, parts[1], 1, parts[2], parts[3])
)
GPS = st.fixed_dictionaries(
    {},
    optional={
        1: st.sampled_from(["N", "S", "", "X", "n"]).map(lambda side: text(1, side)),
        2: DEGREES.map(lambda value: (2, RATIONAL, 3, value)),
        3: st.sampled_from(["E", "W"]).map(lambda side: text(3, side)),
        4: DEGREES.map(lambda value: (4, RATIONAL, 3, value)),
        7: TIMES.map(lambda value: (7, RATIONAL, 3, value)),
        0x1D: st.sampled_from(["2011:02:03", "2011-02-03", "", "0000:00:00"]).map(lambda day: text(0x1D, day)),
        0x1F: st.just((0x1F, RATIONAL, 1, bytes(8))),
    },
).map(lambda found: list(found.values()))


@generated(200)
@given(
    files=several(
        st.builds(
            lambda *directories: jpeg(exif(*directories)),
            entries(0x10F, 0x110, 0x132, 0x112, 0x4746),
            entries(0x9003, 0x9004, 0x9291, 0x9290, 0x9010, 0x9011),
            GPS | entries(1, 2, 3, 4, 7, 0x1D),
            st.just([]) | entries(0x10F, 0x112, 0x201),
        )
    )
)
def test_exif(files: list[bytes], exiftool: ExifToolReader, tmp_path: Path) -> None:
    assert_equal(files, exiftool, tmp_path)


@generated(200)
@given(
    files=several(
        st.builds(
            lambda main, own, gps: jpeg(exif(main, own, gps)),
            st.sampled_from([[MAKE, MODEL], [MAKE], [MAKE, MODEL, text(0x132, "2009:01:02 03:04:05")]]),
            st.lists(
                st.builds(lambda tag, value: text(tag, value), st.sampled_from([0x9003, 0x9004]), DATES), max_size=2
            ),
            GPS,
        )
    )
)
def test_gps(files: list[bytes], exiftool: ExifToolReader, tmp_path: Path) -> None:
    assert_equal(files, exiftool, tmp_path)


# -- segments and trailers --------------------------------------------------------------------------------

KNOWN = [
    (marker, beginning)
    for table in (jpeg_segments._WITHOUT_TAGS, jpeg_segments._WITH_OTHER_TAGS, jpeg_segments._NOT_THE_MAKERS)
    for marker, beginnings in table.items()
    for beginning in beginnings
]
KNOWN += [
    *((0xE1, beginning) for beginning in (b"http://ns.adobe.com/x", b"Exif\0", b"PARROT\0II*\0")),
    *((0xE2, beginning) for beginning in (b"\xff\xd8\xff\xe0", b"....IJPEG\0")),
    *((0xE6, beginning) for beginning in (b"GoPro\0", b"EPPIM\0", b"TDHD\x01\0\0\0", b"NITF\0", b"DTAT\0\0x{")),
    *((0xE7, beginning) for beginning in (b"PENTAX \0II", b"HUAWEI\0\0II", b"\x1aQualcomm Camera Attributes")),
    *((0xE5, b"RMETA\0"), (0xE8, b"SPIFF\0"), (0xEB, b"JP\0\0\0\1\0\0\0\x20jumb"), (0xEF, b"Q 90")),
]
INSIDE = st.one_of(
    st.binary(max_size=60),
    st.just(exif_block([MAKE, text(0x9003, "1999:01:02 03:04:05"), (0x100, SHORT, 1, b"\7\0")])),
    st.just(b"\0\0\0\1" + PLACE[1][3]),
    st.just(b'{"DateTimeOriginal":"1999:01:02 03:04:05","Make":"X","Error":"y"}'),
    st.just(b"[picture info]\r\nTimeDate=934900000\r\nType=SR84\r\nID=OLYMPUS\r\n"),
)
SEGMENTS = st.builds(
    lambda known, marker, inside: segment(marker or known[0], known[1] + inside),
    st.sampled_from(KNOWN),
    st.sampled_from([0, 0, 0, *range(0xE3, 0xF0)]),  # another marker than where it belongs
    INSIDE,
)


@generated(200)
@given(
    files=several(
        st.builds(
            lambda before, segments, fill: jpeg(*before, *segments, b"\xff" * fill),
            EXIFS | st.just([exif([MAKE, MODEL], DATED)]),
            st.lists(SEGMENTS, min_size=1, max_size=3),
            st.integers(0, 2),
        )
    )
)
def test_segments_of_makers(files: list[bytes], exiftool: ExifToolReader, tmp_path: Path) -> None:
    assert_equal(files, exiftool, tmp_path)


BLOCKS = st.lists(
    st.tuples(
        st.sampled_from([0x0A01, 0x0A30, 0x0001, 0x0100, 0x0AA1, 0x0AB1, 0x0AB3, 0x0B40, 0x0BA1, 0x0C81]),
        st.sampled_from([b"Image_UTC_Data", b"MotionPhoto_Data", b"x"]),
        st.one_of(
            st.sampled_from([b"1600000000000", b"204", b"ftypmp42", b"DOFS\3\0\0\0"]),
            st.binary(max_size=40),
            st.just(jpeg(exif([MAKE, MODEL], DATED))),
        ),
    ),
    max_size=3,
)
TAILS = st.one_of(
    BLOCKS.map(samsung_trailer),
    st.builds(lambda one, other: samsung_trailer(one) + samsung_trailer(other), BLOCKS, BLOCKS),
    st.builds(
        lambda data, tail: data + tail, st.binary(max_size=80), st.sampled_from([b"\0\0SEFT", b"\0\0QDIOBS", b""])
    ),
    st.builds(
        lambda tail, data, blocks: tail + data + samsung_trailer(blocks),
        st.sampled_from([b"CANON OPTIONAL DATA\0" + bytes(44), b"AXS!" + bytes(8), b"cbipcbbl", b"\0\0\0\x18ftypmp42"]),
        st.sampled_from([b"", bytes(30)]),
        BLOCKS,
    ),
)


@generated(200)
@given(files=several(st.builds(lambda before, tail: jpeg(*before, trailer=tail), EXIFS, TAILS)))
def test_trailers(files: list[bytes], exiftool: ExifToolReader, tmp_path: Path) -> None:
    assert_equal(files, exiftool, tmp_path)


# -- ExifTool's own tables --------------------------------------------------------------------------------

NAMES_ASKED = {name.lower() for name in ASKED}


def test_exif_tags_that_are_passed_over_are_none_that_exiftool_is_asked_for() -> None:
    read = exif_reader._OF_IFD0 | exif_reader._OF_EXIF
    # The size counts only where it is found after the frame's; PrintIM's table is looked at below. Xiaomi's keys are
    # looked at in each file.
    harmless = {0x100, 0x101, 0xC4A5, 0x9999}
    for identifier, name, leads_on in table("Exif::Main"):
        tag = int(identifier) if identifier.isdigit() else None
        if tag is None or tag in exif_reader._MORE | read | harmless:
            continue
        if tag < exif_reader._PRIVATE or tag in exif_reader._HARMLESS_PRIVATE:
            assert name.lower() not in NAMES_ASKED and not leads_on, f"{tag:#x} {name}"


def test_segments_and_trailers_that_are_passed_over_have_no_tag_that_exiftool_is_asked_for() -> None:
    tables = [
        *("JFIF::Main", "JFIF::Extension", "JPEG::AVI1", "JPEG::Ocad", "MPF::Main", "MPF::MPImage", "Kodak::Meta"),
        *("Kodak::SpecialEffects", "Kodak::Borders", "Stim::Main", "Scalado::Main", "Samsung::APP5", "JPEG::HDR"),
        *(
            "APP12::Ducky",
            "JPEG::AdobeCM",
            "JPEG::Adobe",
            "PrintIM::Main",
            "Samsung::Trailer",
            "Samsung::DualShotExtra",
        ),
        "Samsung::SingleShotMeta",
    ]
    asked = NAMES_ASKED - {"embeddedvideotype"}  # which is read
    assert not [name for _, name, _ in table(*tables) if name.lower() in asked]
    of_profiles = {name for _, name, _ in table("ICC_Profile::Main", "ICC_Profile::Header")} & set(ASKED)
    assert of_profiles <= {"DeviceManufacturer"}, "which counts in XML alone"
