"""When, where, with what: the design's table on real files, and whatever happens, an answer."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

import pytest
from PIL import ExifTags, Image
from tzfpy import get_tz

from Src.Librarian.metadata_extractor import MetadataExtractor, NotRead
from Src.Media.metadata import Metadata, Subject
from Src.Media.readers import jpeg_structure
from Src.Media.readers.exiftool_reader import ExifToolReader
from Src.Media.readers.fast_answer import Unusual
from Src.Media.readers.readings import Reading
from Src.Media.tests.iso_made import iphone_film, picture
from Src.Media.tests.test_metadata import BERLIN, MTIME, NOW, subject
from Src.Testing.both_readers import needs_exiftool
from Src.Testing.exiftool import LimitOnlyFor
from Src.Testing.patience import PATIENCE

SAMPLES = Path(__file__).parent / "samples"
CANON = SAMPLES / "Canon_40D.jpg"


@pytest.fixture(scope="module")
def extractor() -> Iterator[MetadataExtractor]:
    with MetadataExtractor(BERLIN, PATIENCE) as shared:
        yield shared


def extracted(extractor: MetadataExtractor, subjects: Sequence[Subject], now: datetime) -> list[Metadata]:
    """What it says where nothing of ours stands in the way."""
    found = extractor.extract(subjects, now)
    assert not [one for one in found if isinstance(one, NotRead)]
    return [one for one in found if isinstance(one, Metadata)]


# Of these ExifTool's author kept the headers only: as files they are cut short.
HEADERS_ONLY = {
    "IPTC.jpg", "Nikon.nef", "DNG.dng", "CanonRaw.cr2", "Panasonic.rw2", "FujiFilm.raf",
    "RIFF.avi", "Pentax.avi", "Matroska.mkv",
}  # fmt: skip

# -- real files -------------------------------------------------------------------------------------------


@needs_exiftool
@pytest.mark.parametrize(
    ("name", "kind", "when", "offset", "source", "size", "camera"),
    [
        ("Canon_40D.jpg", "JPEG", datetime(2008, 5, 30, 15, 56, 1), None, "exif:DateTimeOriginal",
         (100, 68), ("Canon", "Canon EOS 40D")),
        ("WWL_ION230.jpg", "JPEG", datetime(2008, 7, 31, 17, 32, 6), None, "exif:ModifyDate",
         (75, 100), ("WWL", "ION230")),
        ("image02206.jpg", "JPEG", datetime(2009, 8, 4, 10, 35, 3), 0, "xmp:CreateDate", None, (None, None)),
        ("IPTC.jpg", "JPEG", datetime(2004, 2, 26), None, "iptc:DateCreated", (8, 8), (None, None)),
        ("QuickTime.mov", "MOV", datetime(2005, 8, 11, 16, 3, 54), None, "quicktime:CreateDate",
         (320, 240), ("PENTAX DIGITAL CAMERA", None)),
        ("M2TS.mts", "M2TS", datetime(2008, 12, 31, 23, 16, 24), 60, "h264:DateTimeOriginal",
         (1920, 1080), ("Canon", None)),
        ("Matroska.mkv", "MKV", datetime(2010, 2, 3, 22, 17, 48), None, "matroska:DateTimeOriginal",
         (704, 576), (None, None)),
        ("RIFF.avi", "AVI", datetime(2003, 3, 10, 15, 4, 43), None, "riff:DateTimeOriginal",
         (320, 240), (None, None)),
        ("Nikon.nef", "NEF", datetime(2004, 6, 9, 16, 2, 35), None, "exif:DateTimeOriginal",
         (3040, 2014), ("NIKON CORPORATION", "NIKON D70")),
        ("CanonRaw.cr3", "CR3", datetime(2018, 2, 21, 12, 8, 56, 210000), 0, "exif:DateTimeOriginal",
         (6000, 4000), ("Canon", "Canon EOS M50")),
        ("samplefilehub.heif", "HEIC", MTIME, None, "mtime", (640, 426), (None, None)),
    ],
)  # fmt: skip
def test_samples(
    extractor: MetadataExtractor,
    name: str,
    kind: str,
    when: datetime,
    offset: int | None,
    source: str,
    size: tuple[int, int] | None,
    camera: tuple[str | None, str | None],
) -> None:
    (found,) = extracted(extractor, [subject(SAMPLES / name, kind)], NOW)
    assert (found.captured_at, found.captured_at_offset, found.date_source) == (when, offset, source)
    assert size is None or (found.width, found.height) == size
    assert (found.camera_make, found.camera_model) == camera
    assert found.error is None or name in HEADERS_ONLY


@needs_exiftool
def test_answers_come_in_order_whoever_gives_them(extractor: MetadataExtractor) -> None:
    names = ["Canon_40D.jpg", "GIF.gif", "Kodak_CX7530.jpg", "Nikon.nef", "IPTC.jpg", "Canon_40D.jpg"]
    kinds = ["JPEG", "GIF", "JPEG", "NEF", "JPEG", "JPEG"]
    asked = [subject(SAMPLES / name, kind) for name, kind in zip(names, kinds, strict=True)]
    together = extracted(extractor, asked, NOW)
    assert together == [extracted(extractor, [one], NOW)[0] for one in asked]
    assert together[0] == together[-1]
    assert len(set(together)) == 5
    assert extracted(extractor, [], NOW) == []


def test_a_camera_s_jpeg_needs_no_exiftool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExifToolReader, "read", lambda self, paths: pytest.fail("asked ExifTool"))
    with MetadataExtractor(BERLIN) as extractor:
        (found,) = extracted(extractor, [subject(CANON)], NOW)
    assert found.camera_model == "Canon EOS 40D"


@needs_exiftool
def test_who_has_read_a_file_is_counted_and_why_exiftool_was_asked(
    extractor: MetadataExtractor, tmp_path: Path
) -> None:
    names = {"a.jpg": CANON, "b.jpg": CANON, "c.jpg": CANON, "d.jpg": CANON, "e.jxl": SAMPLES / "JXL.jxl"}
    for name, sample in names.items():
        shutil.copyfile(sample, tmp_path / name)
    (tmp_path / "b.xmp").write_text("<x/>")
    (tmp_path / "c.jpg.json").write_text("{}")
    with (tmp_path / "d.jpg").open("ab") as file:
        file.write(bytes(60) + b"SEFT")
    extractor.take_readings()
    asked = [subject(tmp_path / name, "JXL" if name == "e.jxl" else "JPEG") for name in names]
    extracted(extractor, [*asked, subject(tmp_path / "b.xmp", "XMP"), asked[0]], NOW)
    assert extractor.take_readings() == {
        Reading("JPEG", None): 2,
        Reading("JPEG", "an XMP file of odd form"): 1,
        Reading("JPEG", "a Takeout note beside it"): 1,
        Reading("JPEG", "trailer SEFT of odd form"): 1,
        Reading("JXL", "no fast reader of this kind"): 1,
    }
    assert extractor.take_readings() == {}


def test_a_phone_s_film_and_picture_need_no_exiftool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExifToolReader, "read", lambda self, paths: pytest.fail("asked ExifTool"))
    (tmp_path / "film.mov").write_bytes(iphone_film())
    (tmp_path / "photo.heic").write_bytes(picture())
    with MetadataExtractor(BERLIN) as extractor:
        asked = [subject(tmp_path / "film.mov", "MOV"), subject(tmp_path / "photo.heic", "HEIC")]
        film, photo = extracted(extractor, asked, NOW)
    assert (film.date_source, photo.date_source) == ("quicktime:CreationDate", "exif:DateTimeOriginal")


@needs_exiftool
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Canon_40D.jpg", "JPEG"), ("made.png", "PNG"), ("made.webp", "WEBP"), ("Nikon.nef", "NEF"),
        ("CanonRaw.cr2", "CR2"), ("DNG.dng", "DNG"), ("made.tiff", "TIFF"),
        ("samplefilehub.heif", "HEIC"), ("made.heic", "HEIC"), ("made.mov", "MOV"), ("CanonRaw.cr3", "CR3"),
    ],
)  # fmt: skip
def test_a_file_says_the_same_by_whatever_way_it_is_read(
    extractor: MetadataExtractor, name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = SAMPLES / name
    if name in _BOXED:
        path = tmp_path / name
        path.write_bytes(_BOXED[name])
    elif not path.exists():
        path = tmp_path / name
        kept = Image.Exif()
        kept[ExifTags.Base.Make], kept[ExifTags.Base.DateTime] = "Maker", "2019:08:07 06:05:04"
        Image.new("RGB", (5, 4)).save(path, exif=kept)
    extractor.take_readings()
    quick = extracted(extractor, [subject(path, kind)], NOW)
    assert extractor.take_readings() == {Reading(kind, None): 1}
    monkeypatch.setattr("Src.Librarian.metadata_extractor.read_fast", hand_over)
    assert extracted(extractor, [subject(path, kind)], NOW) == quick
    assert extractor.take_readings() == {Reading(kind, "asked to"): 1}


_BOXED = {"made.heic": picture(), "made.mov": iphone_film()}


def hand_over(_kind: str, _file: object) -> NoReturn:
    raise Unusual("asked to")


@needs_exiftool
def test_a_jpeg_in_disguise_is_read_as_what_it_is(extractor: MetadataExtractor, tmp_path: Path) -> None:
    path = tmp_path / "really.mov"
    shutil.copyfile(CANON, path)
    assert extracted(extractor, [subject(path)], NOW) == extracted(extractor, [subject(CANON)], NOW)


@needs_exiftool
@pytest.mark.parametrize("beside", ["x.jpg.xmp", "x.xmp", "x.XMP", "x.jpg.Xmp"])
def test_a_sidecar_s_place_rating_and_date_are_taken(extractor: MetadataExtractor, tmp_path: Path, beside: str) -> None:
    path = tmp_path / "x.jpg"
    shutil.copyfile(SAMPLES / "PaintTool_sample.jpg", path)
    written = [
        "-XMP:GPSLatitude=52.5",
        "-XMP:GPSLongitude=-13.4",
        "-XMP:Rating=4",
        "-XMP:DateCreated=2011:02:03",
    ]
    made = tmp_path / "made.xmp"
    subprocess.run(["exiftool", "-q", *written, str(made)], check=True)
    made.rename(tmp_path / beside)
    (found,) = extracted(extractor, [subject(path)], NOW)
    assert (found.latitude, found.longitude, found.rating) == (52.5, -13.4, 4)
    assert (found.captured_at, found.date_source) == (datetime(2011, 2, 3), "sidecar:xmp:DateCreated")


@needs_exiftool
def test_a_camera_s_jpeg_is_asked_for_its_sidecar_too(extractor: MetadataExtractor, tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    shutil.copyfile(CANON, path)
    subprocess.run(["exiftool", "-q", "-XMP:Rating=4", str(tmp_path / "x.xmp")], check=True)
    (found,) = extracted(extractor, [subject(path)], NOW)
    assert (found.rating, found.date_source) == (4, "exif:DateTimeOriginal")


# -- broken files -----------------------------------------------------------------------------------------


@needs_exiftool
@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("Canon_40D.jpg", "JPEG", "JPEG format error"), ("32-lens_data.jpeg", "JPEG", "cut short"),
        ("PNG.png", "PNG", "Corrupted"), ("RIFF.webp", "WEBP", "cut short"),
        ("QuickTime.mov", "MOV", "cut short"), ("samplefilehub.heif", "HEIC", "cut short"),
        ("CanonRaw.cr3", "CR3", "cut short"), ("Nikon.nef", "NEF", "ends before its picture data"),
        ("Arbitro.tiff", "TIFF", "ends before its picture data"),
    ],
)  # fmt: skip
def test_a_file_cut_short_is_broken_and_answered_nonetheless(
    extractor: MetadataExtractor, tmp_path: Path, name: str, kind: str, told: str
) -> None:
    data = (SAMPLES / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(data[: len(data) // 2])
    whole, cut = extracted(extractor, [subject(SAMPLES / name, kind), subject(path, kind)], NOW)
    assert whole.error is None
    assert cut.error is not None
    assert re.search(told, cut.error)
    assert cut.captured_at <= NOW


@needs_exiftool
def test_a_broken_jpeg_keeps_what_its_headers_tell(extractor: MetadataExtractor, tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    path.write_bytes(CANON.read_bytes()[:-200])
    whole, cut = extracted(extractor, [subject(CANON), subject(path)], NOW)
    assert cut.error == jpeg_structure.CUT_SHORT
    assert cut._replace(error=None) == whole


@needs_exiftool
def test_no_sample_is_called_broken_that_is_not(extractor: MetadataExtractor) -> None:
    kinds = {"jpg": "JPEG", "jpeg": "JPEG", "mts": "M2TS", "heif": "HEIC"}
    asked = [
        subject(path, kinds.get(path.suffix[1:], path.suffix[1:].upper()))
        for path in sorted(SAMPLES.iterdir())
        if path.suffix != ".md"
    ]
    errors = zip(asked, extracted(extractor, asked, NOW), strict=True)
    assert {str(one.file).rpartition("/")[2] for one, found in errors if found.error} <= HEADERS_ONLY


@needs_exiftool
@pytest.mark.parametrize("content", [b"", b"\0" * 5000, b"\xff\xd8\xff", b"\xff\xd8\xff\xe1\xff\xff", b"text"])
@pytest.mark.parametrize("kind", ["JPEG", "HEIC", "NEF", "MP4"])
def test_no_content_is_a_trap(extractor: MetadataExtractor, tmp_path: Path, content: bytes, kind: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    (found,) = extracted(extractor, [subject(path, kind, name="20111213.x")], NOW)
    assert (found.captured_at, found.date_source) == (datetime(2011, 12, 13), "filename")
    assert found.error or (content == b"text" and kind != "JPEG")  # to ExifTool a text is fine as such


@needs_exiftool
def test_a_file_that_has_gone_costs_its_neighbours_nothing(extractor: MetadataExtractor, tmp_path: Path) -> None:
    other = subject(SAMPLES / "JXL.jxl", "JXL")
    for kind in ("JPEG", "JXL"):
        before, gone, after = extracted(extractor, [other, subject(tmp_path / "gone", kind), other], NOW)
        assert before == after == extracted(extractor, [other], NOW)[0]
        assert gone.error == "not a readable regular file"
        assert gone.captured_at == MTIME


# Tells its version, and stops at everything else.
HANGING = """#!/bin/sh
while read -r line; do
    case "$line" in
    -ver) asked=version ;;
    -execute*)
        [ "$asked" = version ] || kill -STOP $$
        asked=; number=${line#-execute}
        echo "{quiet$number}" >&2; echo "12.57{ready$number}" ;;
    esac
done
"""


def test_a_file_that_hangs_exiftool_goes_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit_only_for: LimitOnlyFor
) -> None:
    limit_only_for("JXL.jxl")
    tool = tmp_path / "exiftool"
    tool.write_text(HANGING)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with MetadataExtractor(BERLIN, time_limit=0.5) as extractor:
        assert extractor.exiftool_version == "12.57"
        fast, slow = extracted(extractor, [subject(CANON), subject(SAMPLES / "JXL.jxl", "JXL", "20111213.jxl")], NOW)
    assert fast.error is None
    assert slow.error == "ExifTool gave no answer in 0.5 s"
    assert slow.captured_at == datetime(2011, 12, 13)


# -- without ExifTool -------------------------------------------------------------------------------------


def test_without_exiftool_pillow_answers_what_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(CANON.read_bytes()[:-200])
    with MetadataExtractor(BERLIN) as extractor:
        assert extractor.exiftool_version is None
        canon, place, png, film, broken = extracted(
            extractor,
            [
                subject(CANON),
                subject(SAMPLES / "DSCN0010.jpg"),
                subject(SAMPLES / "PNG.png", "PNG", "2011-12-13 14.15.16.png"),
                subject(SAMPLES / "QuickTime.mov", "MOV"),
                subject(cut),
            ],
            NOW,
        )
    assert canon.camera_model == "Canon EOS 40D"
    assert place.captured_at == datetime(2008, 10, 22, 16, 28, 39)
    assert place.width == 640
    assert place.latitude == pytest.approx(43.46744833)
    assert (png.captured_at, png.width) == (datetime(2011, 12, 13, 14, 15, 16), 16)
    assert (film.captured_at, film.date_source, film.error) == (MTIME, "mtime", None)
    assert (broken.error, broken.camera_model) == (jpeg_structure.CUT_SHORT, "Canon EOS 40D")


# -- against ExifTool itself, read by other code than ours ------------------------------------------------


def corpus() -> Path:
    """The folder of real photos, which is not part of the checkout."""
    beside = Path(__file__).parents[4] / "shared" / "corpus"
    return Path(os.environ.get("FACTORY_CORPUS", beside))


def numbers(text: object) -> list[int]:
    return [int(digits) for digits in re.findall(r"[0-9]+", str(text))]


def stated_offset(text: object) -> int | None:
    found = re.search(r"([+-])(\d+):(\d\d)$|Z$", str(text or ""))
    if found is None:
        return None
    if found[0] == "Z":
        return 0
    return (int(found[2]) * 60 + int(found[3])) * (-1 if found[1] == "-" else 1)


def moment(text: object) -> datetime | None:
    parts = numbers(text)
    if len(parts) < 3 or "undef" in str(text):
        return None
    try:
        when = datetime(*[*parts, 0, 0, 0][:6])  # type: ignore[arg-type]
    except ValueError:
        return None
    zero = when in (datetime(1904, 1, 1), datetime(1970, 1, 1))
    return None if zero or when.year < 1826 or when > NOW + timedelta(days=1) else when


def expected(every: dict[str, Any], plain: dict[str, Any]) -> tuple[Any, ...]:
    """The design's table once more, on `exiftool -n -j -G1 -a` and on `exiftool -n -j`."""

    def first(*keys: str) -> Any:
        return next((every[key] for key in keys if str(every.get(key, "")).strip()), None)

    latitude, longitude = first("Composite:GPSLatitude"), first("Composite:GPSLongitude")
    if latitude is None or longitude is None:
        latitude, longitude = first("XMP-exif:GPSLatitude"), first("XMP-exif:GPSLongitude")
    if None in (latitude, longitude) or (latitude, longitude) == (0, 0):
        latitude = longitude = None
    zone = BERLIN if latitude is None else ZoneInfo(get_tz(longitude, latitude))
    when, offset = MTIME, None
    for keys, kind, subsecond, offset_key in (
        (
            ("ExifIFD:DateTimeOriginal", "IFD0:DateTimeOriginal"),
            "local",
            "SubSecTimeOriginal",
            "OffsetTimeOriginal",
        ),
        (("Keys:CreationDate",), "local", "", ""),
        (
            (
                "Reconyx:DateTimeOriginal",
                "FLIR:DateTimeOriginal",
                "PictureInfo:DateTimeOriginal",
                "CIFF:DateTimeOriginal",
            ),
            "local",
            "",
            "",
        ),
        (("ExifIFD:CreateDate",), "local", "SubSecTimeDigitized", "OffsetTimeDigitized"),
        (("QuickTime:CreateDate", "Track1:MediaCreateDate"), "utc", "", ""),
        (("XMP-photoshop:DateCreated",), "local", "", ""),
        (("XMP-exif:DateTimeOriginal",), "local", "", ""),
        (("XMP-xmp:CreateDate",), "local", "", ""),
        (("IPTC:DateCreated",), "iptc", "", ""),
        (("Composite:GPSDateTime",), "utc", "", ""),
        (("IFD0:ModifyDate",), "local", "SubSecTime", "OffsetTime"),
    ):
        text = first(*keys)
        if kind == "iptc" and text and first("IPTC:TimeCreated"):
            text = f"{text} {first('IPTC:TimeCreated')}"
        found = moment(text)
        if found is None:
            continue
        if kind == "utc":
            when = found.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)
            break
        fraction = str(every.get(f"ExifIFD:{subsecond}", "")).strip()
        fraction = fraction or "".join(re.findall(r":\d\d\.(\d+)", str(text)))
        when = found + timedelta(seconds=float(f"0.{fraction or 0}"))
        offset = stated_offset(every.get(f"ExifIFD:{offset_key}")) if offset_key else None
        offset = stated_offset(text) if offset is None else offset
        break
    camera = [
        str(first(f"IFD0:{tag}", f"QuickTime:{tag}", f"XMP-tiff:{tag}") or plain.get(tag) or "").strip()
        for tag in ("Make", "Model")
    ]
    size = plain.get("ImageWidth"), plain.get("ImageHeight")
    return (when, offset, latitude, longitude, *size, camera[0] or None, camera[1] or None)


def ask(paths: list[str], *options: str) -> list[dict[str, Any]]:
    run = subprocess.run(["exiftool", "-n", "-j", *options, *paths], capture_output=True, check=False)
    records: list[dict[str, Any]] = json.loads(run.stdout.decode("utf-8", "replace"), strict=False)
    assert len(records) == len(paths)
    return records


@needs_exiftool
@pytest.mark.skipif(not corpus().is_dir(), reason="no corpus of real photos here (FACTORY_CORPUS)")
def test_the_whole_corpus_means_what_exiftool_says(extractor: MetadataExtractor) -> None:
    kinds = {".jpg": "JPEG", ".jpeg": "JPEG", ".heic": "HEIC", ".heif": "HEIC", ".tiff": "TIFF"}
    files = [path for path in sorted(corpus().rglob("*")) if path.suffix.lower() in kinds]
    paths = [str(path) for path in files]
    assert paths
    found = extracted(extractor, [subject(path, kinds[path.suffix.lower()]) for path in files], NOW)
    for path, metadata, every, plain in zip(paths, found, ask(paths, "-G1", "-a"), ask(paths), strict=True):
        ours = (
            metadata.captured_at, metadata.captured_at_offset, metadata.latitude, metadata.longitude,
            metadata.width, metadata.height, metadata.camera_make, metadata.camera_model,
        )  # fmt: skip
        assert ours == expected(every, plain), path
