"""The fast reader for TIFF and raw photos: where it answers at all, every field is what ExifTool's answer gives."""

import io
import os
import random
import shutil
import struct
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from exiftool import ExifTool
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from Src.Media.readers import rw2_reader, tiff_reader
from Src.Media.readers.exiftool_reader import ASKED
from Src.Shared.settings import PROJECT_ROOT
from Src.Testing.anew import write_anew
from Src.Testing.both_readers import BothReaders, damaged, fast, handed_over, kind_at, needs_exiftool
from Src.Testing.examples import examples
from Src.Testing.exiftool_tables import table
from Src.Testing.tiff_files import LONG, RATIONAL, SHORT, UNDEFINED, Directory, Value, numbers, text, tiff

SAMPLES = PROJECT_ROOT / "Src" / "Librarian" / "tests" / "samples"
REAL = [
    SAMPLES / name for name in ("Nikon.nef", "CanonRaw.cr2", "DNG.dng", "FujiFilm.raf", "Panasonic.rw2", "Arbitro.tiff")
]
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

Entry = tuple[int, int, Value]

# -- raw photos as their makers build them, small -----------------------------------------------------------


def packet(attributes: str) -> Entry:
    """XMP with these attributes."""
    body = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
        'xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" '
        f'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" {attributes}/></rdf:RDF></x:xmpmeta>'
    )
    return 0x2BC, 1, body.encode()


NOTES = {
    "NIKON CORPORATION": b"Nikon\0\2\x10\0\0" + tiff(Directory([text(4, "RAW"), numbers(0x1E, SHORT, 1)])),
    "Canon": tiff(Directory([numbers(0x10, LONG, 7), numbers(0x1C, SHORT, 1)]))[8:],
    "SONY": b"SONY DSC \0\0\0" + tiff(Directory([numbers(0x102, LONG, 2), numbers(0x2002, LONG, 3)]))[8:],
    "PENTAX": b"AOC\0II" + tiff(Directory([numbers(1, SHORT, 3), numbers(0x23F, SHORT, 3)]))[8:],
    "OLYMPUS CORPORATION": b"OLYMPUS\0II\3\0" + tiff(Directory([numbers(0x300, SHORT, 1)]))[8:],
    "SAMSUNG": tiff(Directory([numbers(1, LONG, 3)]))[8:],
    "Panasonic": b"Panasonic\0\0\0" + tiff(Directory([numbers(1, SHORT, 2)]))[8:],
    "FUJIFILM": b"FUJIFILM\x0c\0\0\0" + tiff(Directory([numbers(0x1431, LONG, 3)]))[8:],
}
MAKES = st.sampled_from([*NOTES, "Apple", "EASTMAN KODAK COMPANY", "", "true", "Leica Camera AG  "])
DATES = st.one_of(
    st.datetimes(datetime(1800, 1, 1), datetime(2030, 1, 1)).map(lambda moment: f"{moment:%Y:%m:%d %H:%M:%S}"),
    st.sampled_from(["0000:00:00 00:00:00", "1970:01:01 00:00:00", "    :  :     :  :  ", "2008:05", ""]),
)
SIZES = st.sampled_from([0, 1, 160, 4000, 65535])
SUBFILES = st.sampled_from(
    [numbers(0xFE, LONG, 0), numbers(0xFE, LONG, 1), numbers(0xFE, LONG, 2), numbers(0xFF, SHORT, 1)]
)
COMPRESSIONS = st.sampled_from([1, 6, 7, 8, 32767, 32769, 34713, 65535, 34892])
PICTURE = st.one_of(
    SUBFILES,
    st.tuples(st.sampled_from([0x100, 0x101]), SIZES).map(lambda pair: numbers(pair[0], LONG, pair[1])),
    COMPRESSIONS.map(lambda value: numbers(0x103, SHORT, value)),
    st.sampled_from([numbers(0x106, SHORT, 32803), numbers(0x106, SHORT, 2)]),
    st.integers(0, 9).map(lambda value: numbers(0x112, SHORT, value)),
    st.sampled_from(
        [
            numbers(0x111, LONG, 8),
            numbers(0x117, LONG, 4),
            numbers(0x111, LONG, 8000),
            numbers(0xC61F, LONG, 1, 2, 3, 4),
        ]
    ),
)
SIZED = st.builds(
    lambda subfile, width, height, others: [
        *subfile,
        numbers(0x100, LONG, width),
        numbers(0x101, SHORT, height),
        *others,
    ],
    st.lists(SUBFILES, max_size=1),
    SIZES,
    SIZES,
    st.lists(PICTURE, max_size=3),
)
MAIN = st.one_of(
    MAKES.map(lambda value: text(0x10F, value)),
    st.sampled_from(["X100", "  ", "", "False"]).map(lambda value: text(0x110, value)),
    DATES.map(lambda value: text(0x132, value)),
    DATES.map(lambda value: text(0x9003, value)),
    st.integers(0, 6).map(lambda value: numbers(0x4746, SHORT, value)),
    st.sampled_from(
        [
            packet('xmp:Rating="3"'), packet('xmp:CreateDate="2004-05-06T07:08:09"'), packet('tiff:Make="Other"'),
            packet('tiff:ImageWidth="18" exif:PixelXDimension="19"'), packet('tiff:Orientation="6"'),
            packet('exif:GPSLatitude="10,20.5S" exif:GPSLongitude="7,0.1E" tiff:Model="M" xmlns:o="o" o:Make="O"'),
            packet('exif:DateTimeOriginal="2004-05-06T07:08:09.5+02:00" photoshop:DateCreated="2003"'),
            (0x83BB, LONG, b"\x1c\x02\x37\0\x0820110203"), (0x8773, UNDEFINED, PROFILE),
            (0x8649, 1, b"8BIM\x04\x04\0\0\0\0\0\x0d\x1c\x02\x37\0\x0820110203\0"), (0xC612, 1, b"\1\4\0\0"),
            (0xC634, 1, b"Adobe\0MakN\0\0\0\6II\0\0\0\0"), (0xC634, 1, b"Adobe\0Pano\0\0\0\0"),
            (0xC634, 1, b"\1\2\3\4"),
            (0xC7D5, UNDEFINED, b"Nikon\0\1\0\0\0" + tiff(Directory([numbers(5, SHORT, 1)]))),
            (0xC7D5, UNDEFINED, b"Nikon\0 garbage"), (0xC634, 1, b"PENTAX \0II\1\0\1\0\3\0\1\0\0\0\3\0\0\0\0\0\0\0"),
            text(0x131, "Program"), numbers(0xC5D8, LONG, 7), numbers(0xC5D7, LONG, 7), numbers(0xBC80, LONG, 7),
        ]
    ),
)  # fmt: skip
INNER = st.one_of(
    st.tuples(st.sampled_from([0x9003, 0x9004, 0x132]), DATES).map(lambda pair: text(*pair)),
    st.sampled_from(["1", "010", "12 ", "x"]).map(lambda value: text(0x9291, value)),
    st.sampled_from(["+01:00", "-03:30", "Z", "   :  "]).map(lambda value: text(0x9011, value)),
    st.sampled_from([0, 21, 4001]).map(lambda value: numbers(0xA002, LONG, value)),
    st.sampled_from([0, 22, 3001]).map(lambda value: numbers(0xA003, SHORT, value)),
    st.sampled_from([*NOTES.values(), b"Maker's notes"]).map(lambda notes: (0x927C, UNDEFINED, notes)),
    st.just((0xA005, LONG, [Directory([text(1, "R98")])])),
)
PLACES = st.builds(
    lambda side, time: [
        text(1, side), numbers(2, RATIONAL, 10, 1, 20, 1, 3012, 100), text(3, "E"),
        numbers(4, RATIONAL, 7, 1, 0, 1, 1, 3), *time,
    ],
    st.sampled_from("NSX"),
    st.lists(st.just(text(0x1D, "2011:02:03")), max_size=1),
)  # fmt: skip


@st.composite
def photos(draw: Callable[..., object]) -> bytes:
    """A file of directories that makers use: previews, the sensor's, the thumbnail's, in whatever order."""
    choose: Callable[[st.SearchStrategy[object]], object] = draw
    sized = choose(SIZED)
    assert isinstance(sized, list)
    others = choose(st.lists(MAIN, max_size=5))
    inner = choose(st.lists(INNER, max_size=5))
    subs = choose(st.lists(SIZED, max_size=3))
    chain = choose(st.lists(st.one_of(SIZED, st.lists(st.one_of(PICTURE, MAIN), min_size=1, max_size=3)), max_size=2))
    place = choose(st.one_of(st.none(), PLACES))
    assert isinstance(others, list) and isinstance(inner, list) and isinstance(subs, list) and isinstance(chain, list)
    entries: list[Entry] = [*sized, *others]
    if subs:
        entries.append((0x14A, LONG, [Directory(one) for one in subs]))
    if inner:
        entries.append((0x8769, LONG, [Directory(inner)]))
    if isinstance(place, list):
        entries.append((0x8825, LONG, [Directory(place)]))
    if choose(st.booleans()):
        entries.sort(key=lambda entry: entry[0])
    following: Directory | None = None
    for one in reversed(chain):
        following = Directory(one, following)
    magic, behind = 42, b""
    form = choose(st.sampled_from(["", "", "", "ORF", "CR2"]))
    if form == "ORF":
        magic = 0x4F52
    elif form == "CR2":
        behind = b"CR\2\0\0\0\0\0"
    order = "<" if behind else choose(st.sampled_from("<>"))
    assert isinstance(order, str)
    return tiff(Directory(entries, following), order, magic, behind) + bytes(16)


def raw(make: str, first: list[Entry], sensor: list[Entry], chain: list[Entry] | None = None, **form: object) -> bytes:
    """A raw photo: its first directory, the sensor's below it, EXIF with the maker's notes, a place."""
    inner: list[Entry] = [
        text(0x9003, "2019:08:07 06:05:04"), text(0x9004, "2019:08:07 06:05:04"), text(0x9011, "+02:00"),
        (0x927C, UNDEFINED, NOTES[make]), text(0x9291, "070"), numbers(0xA002, LONG, 6000), numbers(0xA003, LONG, 4000),
    ]  # fmt: skip
    place: list[Entry] = [
        text(1, "S"), numbers(2, RATIONAL, 10, 1, 20, 1, 3012, 100),
        text(3, "E"), numbers(4, RATIONAL, 7, 1, 0, 1, 1, 3),
    ]  # fmt: skip
    entries = [
        *first,
        text(0x10F, make),
        text(0x110, "Model"),
        numbers(0x112, SHORT, 6),
        text(0x132, "2019:08:07 06:05:04"),
    ]
    if sensor:
        entries.append((0x14A, LONG, [Directory(sensor)]))
    entries += [(0x8769, LONG, [Directory(inner)]), (0x8825, LONG, [Directory(place)])]
    following = Directory(chain) if chain is not None else None
    return tiff(Directory(entries, following), **form) + bytes(64)  # type: ignore[arg-type]


def sized(width: int, height: int, *others: Entry) -> list[Entry]:
    return [numbers(0x100, LONG, width), numbers(0x101, LONG, height), *others]


REDUCED, FULL = numbers(0xFE, LONG, 1), numbers(0xFE, LONG, 0)
CFA = numbers(0x106, SHORT, 32803)


def compressed(kind: int) -> Entry:
    return numbers(0x103, SHORT, kind)


NIKON, OLYMPUS = "NIKON CORPORATION", "OLYMPUS CORPORATION"
DNG_VERSION: Entry = (0xC612, 1, b"\1\4\0\0")
CR2_SIGNATURE = b"CR\2\0\0\0\0\0"
SONY_DATA = Directory([numbers(0x7200, LONG, 40), numbers(0x7201, LONG, 64), numbers(0x7221, LONG, 7)])
SONY_DATA_CUT = Directory([numbers(0x7200, LONG, 40), numbers(0x7201, LONG, 64_000), numbers(0x7221, LONG, 7)])
MINOLTA_DATA = Directory([numbers(0x7250, LONG, 40)])
MADE = {
    "NEF": raw(NIKON, [REDUCED, *sized(160, 120)], [FULL, *sized(6016, 4016, compressed(34713), CFA)]),
    "NRW": raw(NIKON, [REDUCED, *sized(160, 120, compressed(6))], [FULL, *sized(4016, 3016, CFA)]),
    "CR2": raw("Canon", sized(5184, 3456), [], sized(668, 432), behind_the_header=CR2_SIGNATURE),
    "ARW": raw(
        "SONY",
        [REDUCED, compressed(6), (0xC634, 1, [SONY_DATA])],
        [FULL, *sized(6048, 4024, compressed(32767), CFA)],
        [REDUCED],
    ),
    "DNG": raw("SAMSUNG", [REDUCED, *sized(256, 192, compressed(7)), DNG_VERSION], [FULL, *sized(4032, 3024)]),
    "PEF": raw("PENTAX", sized(6080, 4032, compressed(65535), CFA), [], sized(160, 120)),
    "ORF": raw(OLYMPUS, sized(4640, 3472), [], magic=0x4F52),
    "SRW": raw("SAMSUNG", sized(6496, 4336), [FULL, *sized(6496, 4336, compressed(32770), CFA)]),
}
WIDTHS = {
    "NEF": 6016, "NRW": 4016, "CR2": 6000, "ARW": 6048, "DNG": 4032, "PEF": 6080, "ORF": 4640, "SRW": 6496,
}  # fmt: skip

# -- both say the same ------------------------------------------------------------------------------------

ask_often = settings(
    max_examples=examples(200),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@needs_exiftool
def test_both_readers_agree_on_every_real_file(both_readers: BothReaders) -> None:
    for path in REAL:
        kind = kind_at(path)
        assert kind is not None
        assert both_readers.answered([path], kind) == 1, path


@needs_exiftool
@pytest.mark.parametrize("kind", MADE)
def test_both_readers_agree_on_each_maker_s(kind: str, both_readers: BothReaders, tmp_path: Path) -> None:
    path = tmp_path / f"x.{kind.lower()}"
    path.write_bytes(MADE[kind])
    assert kind_at(path) == kind
    assert both_readers.answered([path], kind) == 1
    found = fast(path, kind)
    assert found is not None
    assert found.captured_at == datetime(2019, 8, 7, 6, 5, 4, 70000)
    assert (found.width, found.orientation, found.camera_model) == (WIDTHS[kind], 6, "Model")
    assert found.latitude is not None and found.latitude < -10


@pytest.mark.slow
@needs_exiftool
@ask_often
@given(data=photos())
def test_both_readers_agree_on_any_directories(data: bytes, both_readers: BothReaders, tmp_path: Path) -> None:
    path = tmp_path / "made"
    write_anew(path, data)
    kind = kind_at(path)
    assert kind is not None
    both_readers.answered([path], kind)


@pytest.mark.slow
@needs_exiftool
@pytest.mark.parametrize("kind", [*MADE, *(path.name for path in REAL[:5])])
def test_both_readers_agree_on_damaged_files(kind: str, both_readers: BothReaders, tmp_path: Path) -> None:
    chance = random.Random(kind)
    data = MADE[kind] if kind in MADE else (SAMPLES / kind).read_bytes()
    ending = os.path.splitext(kind)[1]
    paths: dict[str, list[Path]] = {}
    for number in range(max(100, examples(1000) // 10)):
        path = tmp_path / f"{number}{ending}"
        write_anew(path, damaged(data, chance, [150, 300, 700, 3000]))
        found = kind_at(path)
        if found is not None:
            paths.setdefault(found, []).append(path)
    answered = {found: both_readers.answered(some, found) for found, some in paths.items()}
    # What it never answers for would prove nothing.
    assert sum(answered.values()) > 0, answered


@pytest.fixture(scope="module")
def writer() -> Iterator[ExifTool]:
    """An ExifTool that writes."""
    with ExifTool(common_args=["-n", "-m", "-q", "-overwrite_original"]) as process:
        yield process


WRITTEN = st.fixed_dictionaries(
    {},
    optional={
        "EXIF:DateTimeOriginal": DATES, "EXIF:CreateDate": DATES, "EXIF:ModifyDate": DATES,
        "EXIF:SubSecTimeOriginal": st.sampled_from(["1", "010"]), "EXIF:OffsetTimeOriginal": st.just("+01:00"),
        "IFD0:Make": MAKES, "IFD0:Model": st.sampled_from(["X", "", "1.50"]), "IFD0:Rating": st.sampled_from("05"),
        "IFD0:Orientation": st.sampled_from("1368"), "GPS:GPSLatitude": st.floats(0, 90).map(str),
        "GPS:GPSLatitudeRef": st.sampled_from("NS"), "GPS:GPSLongitude": st.floats(0, 180).map(str),
        "GPS:GPSLongitudeRef": st.sampled_from("EW"), "XMP-xmp:Rating": st.sampled_from(["-1", "4", "9"]),
        "XMP-photoshop:DateCreated": DATES, "XMP-tiff:Make": MAKES, "IPTC:DateCreated": st.just("2001:02:03"),
        "XMP-tiff:ImageWidth": st.just("18"),
    },
)  # fmt: skip


def pages(**options: object) -> bytes:
    kept = io.BytesIO()
    first, *others = (Image.new("RGB", size) for size in ((5, 4), (3, 2)))
    first.save(kept, "TIFF", save_all=True, append_images=others, **options)
    return kept.getvalue()


TIFFS = {
    "deflate": pages(compression="tiff_adobe_deflate", icc_profile=PROFILE),
    "plain": pages(),
    "jpeg": pages(compression="jpeg"),
}


@pytest.mark.slow
@needs_exiftool
@settings(parent=ask_often, max_examples=max(1, examples(200) // 4))
@given(tags=WRITTEN, base=st.sampled_from([*TIFFS, *(path.name for path in REAL[:5])]))
def test_both_readers_agree_on_whatever_exiftool_writes(
    tags: dict[str, str], base: str, both_readers: BothReaders, writer: ExifTool, tmp_path: Path
) -> None:
    path = tmp_path / f"written{os.path.splitext(base)[1] or '.tif'}"
    if base in TIFFS:
        path.write_bytes(TIFFS[base])
    else:
        shutil.copyfile(SAMPLES / base, path)
    writer.execute(*(f"-{name}={value}" for name, value in tags.items()), str(path))
    kind = kind_at(path)
    assert kind is not None
    both_readers.answered([path], kind)


# -- what is handed over ----------------------------------------------------------------------------------


def plain(*entries: Entry, following: Directory | None = None) -> bytes:
    return tiff(Directory([*sized(5, 4), *entries], following)) + bytes(64)


LOOP = bytearray(plain())
struct.pack_into("<I", LOOP, 8 + 2 + 2 * 12, 8)


RAF, RW2 = (bytearray((SAMPLES / name).read_bytes()) for name in ("FujiFilm.raf", "Panasonic.rw2"))


def changed(data: bytearray, at: int, value: bytes) -> bytes:
    return bytes(data[:at] + value + data[at + len(value) :])


def without(data: bytearray, tag: int) -> bytes:
    """An RW2 without this tag in its first directory, which has another number there."""
    (count,) = struct.unpack_from("<H", data, 24)
    at = next(at for at in range(26, 26 + 12 * count, 12) if struct.unpack_from("<H", data, at)[0] == tag)
    return changed(data, at, struct.pack("<H", 0x0C))


ODD_RAWS = {
    "RAF: directory behind the end": ("RAF", changed(RAF, 0x5C, b"\x7f\0\0\0")),
    "RAF: directory of endless entries": ("RAF", changed(RAF, 0x5C, struct.pack(">I", 0x54))),
    "RAF: JPEG behind the end": ("RAF", changed(RAF, 0x58, b"\x7f\0\0\0")),
    "RAF: cut": ("RAF", bytes(RAF[:20_000])),
    "ARW: private data cut": ("ARW", raw("SONY", [(0xC634, 1, [SONY_DATA_CUT])], sized(6048, 4024))),
    "ARW: Minolta's data": ("ARW", raw("SONY", [(0xC634, 1, [MINOLTA_DATA])], sized(6048, 4024))),
    "RW2: no border": ("RW2", without(RW2, 7)),
    "RW2: another header": ("RW2", changed(RW2, 8, b"x")),
    "RW2: cut": ("RW2", bytes(RW2[:3000])),
}


@pytest.mark.parametrize("oddity", ODD_RAWS)
def test_a_raw_photo_with_an_oddity_is_handed_over(oddity: str, tmp_path: Path) -> None:
    kind, data = ODD_RAWS[oddity]
    path = tmp_path / f"x.{kind.lower()}"
    path.write_bytes(data)
    assert handed_over(path, kind)


def test_an_rw2_under_the_name_of_another_kind_is_handed_over(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(RW2)
    assert handed_over(path, "RW2")


ODD = {
    "cut": plain()[:30],
    "trailer": plain()[:-64] + b"CANON OPTIONAL DATA\0" + bytes(40),
    "linked to itself": bytes(LOOP),
    "EXIF in the first directory": plain((0x8769, LONG, struct.pack("<I", 8))),
    "EXIF behind the end": plain((0x8769, LONG, struct.pack("<I", 70_000))),
    "value behind the end": plain((0x10E, 2, b"x" * 100))[:-140],
    "GeoTIFF": plain(numbers(0x87AF, SHORT, 1, 1, 0, 0)),
    "Photoshop's layers": plain((0x935C, UNDEFINED, bytes(100))),
    "DNG that is none": plain((0xC612, 1, b"\1\4\0\0")),
    "magic": tiff(Directory([*sized(5, 4)]), magic=43),
    "no size": tiff(Directory([text(0x10F, "Maker")])),
    "ICC profile": plain((0x8773, UNDEFINED, PROFILE[:-1])),
    "two profiles": plain((0x8773, UNDEFINED, PROFILE), (0x8773, UNDEFINED, PROFILE)),
    "endless XMP": plain((0x2BC, 1, b"<x/>" + b" " * 2**19)),
    "endless strips": plain(
        numbers(0xFE, LONG, 1), numbers(0x103, SHORT, 1), (0x111, LONG, bytes(2**17)), (0x117, LONG, bytes(2**17))
    ),
    "large value": plain((0x10E, 2, bytes(9 * 2**20))),
    "many directories": plain((0x14A, LONG, [Directory(sized(5, 4)) for _ in range(11)])),
}


@pytest.mark.parametrize("oddity", ODD)
def test_a_tiff_with_an_oddity_is_handed_over(oddity: str, tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    path.write_bytes(ODD[oddity])
    assert handed_over(path, "TIFF")


def test_endless_directories_are_handed_over(tmp_path: Path) -> None:
    following: Directory | None = None
    for _ in range(100):
        following = Directory(sized(5, 4), following)
    path = tmp_path / "x.tif"
    path.write_bytes(plain(following=following))
    assert handed_over(path, "TIFF")


@pytest.mark.parametrize("ending", sorted(tiff_reader.BELIEVED_ENDINGS))
def test_a_name_by_which_exiftool_takes_another_size_is_handed_over(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{ending}"
    path.write_bytes(MADE["NEF"])
    assert handed_over(path, "NEF")
    os.rename(path, tmp_path / "x.nef")
    assert handed_over(tmp_path / "x.nef", "NEF") is None


# -- ExifTool's own tables --------------------------------------------------------------------------------

NAMES_ASKED = {name.lower() for name in ASKED}
# What ExifTool finds there belongs to the maker; the tables are looked at below.
LEADS_TO_A_MAKER_S = {0xC4A5, 0xC7D5}
# Names of a maker's that only films, or no field, are asked for in a maker's group.
# (Apple's are read)
OF_NO_USE_IN_NOTES = {"FirmwareVersion", "Rotation", "Rating", "BurstUUID", "MediaGroupUUID", "ContentIdentifier"}


def test_tags_that_are_passed_over_are_none_that_exiftool_is_asked_for() -> None:
    for identifier, name, leads_on in table("Exif::Main"):
        if identifier.isdigit() and int(identifier) in tiff_reader._PLAIN:
            assert name.lower() not in NAMES_ASKED, name
            assert not leads_on or int(identifier) in LEADS_TO_A_MAKER_S, name
    for identifier, name, _ in table("PanasonicRaw::Main"):
        if identifier.isdigit() and int(identifier) in rw2_reader._PLAIN:
            assert name.lower() not in NAMES_ASKED, name


def test_makers_notes_have_no_size_and_no_date_of_a_photo() -> None:
    tables = [
        *("Canon::Main", "Nikon::Main", "Nikon::PreviewIFD", "Sony::Main", "Sony::SR2Private"),
        *("Sony::SR2SubIFD", "SonyIDC::Main", "Olympus::Main", "Olympus::CameraSettings", "Panasonic::Main"),
        *("Samsung::Type2", "FujiFilm::Main", "FujiFilm::IFD", "Apple::Main", "PrintIM::Main"),
    ]
    assert {name for _, name, _ in table(*tables) if name.lower() in NAMES_ASKED} <= OF_NO_USE_IN_NOTES
