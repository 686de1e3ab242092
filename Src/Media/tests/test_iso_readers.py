"""The fast readers of films and pictures in ISO boxes: where they answer, every field is what ExifTool's answer is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from PIL import Image

from Src.Media.damage import with_structure
from Src.Media.kind_detection import HEAD_SIZE, kind_of
from Src.Media.metadata import Metadata, Subject, interpret
from Src.Media.readers.exiftool_reader import ExifToolReader
from Src.Media.readers.fast_answer import Unusual
from Src.Media.readers.fast_readers import read_fast
from Src.Media.tags import Answer
from Src.Media.tests import iso_made
from Src.Media.tests.iso_made import Change, box, keyed, spoken
from Src.Media.tests.test_jpeg_reader import NOW, ZONE, corpus, writer
from Src.Shared.settings import PROJECT_ROOT
from Src.Testing.anew import write_anew
from Src.Testing.both_readers import needs_exiftool
from Src.Testing.examples import examples
from Src.Testing.patience import PATIENCE

__all__ = ["writer"]

SAMPLES = [
    *(PROJECT_ROOT / "Src" / "Librarian" / "tests" / "samples").iterdir(),
    *(PROJECT_ROOT / "Src" / "Media" / "tests" / "samples").iterdir(),
]
BOXED = ("HEIC", "HEIF", "AVIF", "MP4", "MOV", "M4V", "3GP", "CR3")
MADE = {
    "iphone.mov": iso_made.iphone_film(), "android.mp4": iso_made.android_film(), "camera.mov": iso_made.camera_film(),
    "itunes.m4v": iso_made.itunes_film(), "photo.heic": iso_made.picture(),
    "other.heif": iso_made.picture(brand=b"mif1"), "photo.avif": iso_made.picture(brand=b"avif"),
}  # fmt: skip
CANON = PROJECT_ROOT / "Src" / "Librarian" / "tests" / "samples" / "CanonRaw.cr3"
CHANGED = {**MADE, "raw.cr3": CANON.read_bytes()}
patient = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=150
)


@pytest.fixture(scope="module")
def exiftool() -> Iterator[ExifToolReader]:
    with ExifToolReader(PATIENCE) as reader:
        yield reader


def kind(path: Path | str) -> str | None:
    """The kind by content, as the factory knows it."""
    with open(path, "rb") as file:
        found = kind_of(file.fileno(), file.read(HEAD_SIZE))
    return found.name if found is not None else None


def fast(path: Path | str) -> Metadata | None:
    """What `extract` would take from the fast reader."""
    of_kind = kind(path)
    if of_kind not in BOXED:
        return None
    try:
        answer = read_fast(of_kind, str(path))
    except Unusual:
        return None
    metadata = interpret(Subject(str(path), "x", of_kind, 0), Answer(answer.tags), None, ZONE, NOW)
    return metadata if answer.unsure(metadata) is None else None


def slow(path: Path | str, exiftool: ExifToolReader) -> Metadata:
    """What ExifTool's answer means."""
    of_kind = kind(path)
    assert of_kind is not None
    subject = Subject(str(path), "x", of_kind, 0)
    (answer,) = exiftool.read([str(path)])
    return interpret(subject, with_structure(subject, answer), None, ZONE, NOW)


def agree(path: Path, exiftool: ExifToolReader) -> bool:
    """Whether the fast reader answers; it must agree then."""
    answered = fast(path)
    assert answered is None or answered == slow(path, exiftool), path
    return answered is not None


def answered(path: Path, exiftool: ExifToolReader) -> str:
    """Both readers agree; for hypothesis' statistics, which say whether it tries what the fast reader answers."""
    return "answered" if agree(path, exiftool) else "handed over"


def kept(tmp_path: Path, content: bytes, name: str = "made") -> Path:
    path = tmp_path / name
    write_anew(path, content)
    return path


# -- real files -------------------------------------------------------------------------------------------


@needs_exiftool
def test_both_readers_agree_on_every_sample(exiftool: ExifToolReader) -> None:
    boxed = [path for path in SAMPLES if path.is_file() and kind(path) in BOXED]
    answered = {path.name for path in boxed if agree(path, exiftool)}
    assert {"samplefilehub.heif", "QuickTime.heic", "06-anamorphic.mp4", "F08_itemlist_day.m4v"} <= answered
    assert CANON.name in answered


@needs_exiftool
@pytest.mark.skipif(not corpus().is_dir(), reason="no corpus of real photos here (FACTORY_CORPUS)")
def test_both_readers_agree_on_the_whole_corpus(exiftool: ExifToolReader, capsys: pytest.CaptureFixture[str]) -> None:
    boxed = [path for path in sorted(corpus().rglob("*.[hH][eE][iI]*")) if kind(path) in BOXED]
    answered = [path for path in boxed if agree(path, exiftool)]
    with capsys.disabled():
        print(f"\nthe fast readers answer for {len(answered)} of the corpus' {len(boxed)} HEIF pictures")
    assert answered


# -- made files -------------------------------------------------------------------------------------------


@needs_exiftool
@pytest.mark.parametrize("name", MADE)
def test_what_phones_and_cameras_write_is_answered(name: str, tmp_path: Path, exiftool: ExifToolReader) -> None:
    path = kept(tmp_path, MADE[name], name)
    assert agree(path, exiftool)


def film(path: Path, codec: str, size: tuple[int, int], options: dict[str, str], said: dict[str, str]) -> Path:
    """A film by FFmpeg, its format by its name's ending."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w", options=options) as container:
        container.metadata.update(said)
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number in range(3):
            frame = av.VideoFrame(*size, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@needs_exiftool
@pytest.mark.parametrize("ending", ["mp4", "mov", "3gp"])
@pytest.mark.parametrize(
    ("options", "said", "is_answered"),
    [
        ({}, {}, True),
        ({"movflags": "faststart"}, {"creation_time": "2021-02-03T04:05:06Z"}, True),
        ({}, {"creation_time": "2021-02-03T04:05:06Z", "title": "Name", "comment": "none", "date": "2011"}, True),
        ({}, {"location": "+12.5000-070.2500/"}, None),  # as `loci` in 3GP
        ({"movflags": "use_metadata_tags"}, {"location": "+12.5-070.2/", "creation_time": "2021-02-03"}, False),
        ({"movflags": "use_metadata_tags"}, {"com.apple.quicktime.make": "Maker"}, None),
        ({"movflags": "frag_keyframe+empty_moov"}, {}, False),
    ],
)
def test_what_ffmpeg_writes(
    ending: str,
    options: dict[str, str],
    said: dict[str, str],
    is_answered: bool | None,
    tmp_path: Path,
    exiftool: ExifToolReader,
) -> None:
    path = film(tmp_path / f"film.{ending}", "h263" if ending == "3gp" else "mpeg4", (176, 144), options, said)
    answered = agree(path, exiftool)
    assert is_answered is None or answered == is_answered


@needs_exiftool
@pytest.mark.parametrize("format_", ["HEIF", "AVIF"])
@pytest.mark.parametrize("orientation", [None, 1, 3, 6, 8])
def test_what_libheif_writes(format_: str, orientation: int | None, tmp_path: Path, exiftool: ExifToolReader) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    image = Image.new("RGB", (64, 48), "green")
    exif = Image.Exif()
    exif.update({0x10F: "Maker", 0x110: "Model"})
    exif.get_ifd(0x8769)[0x9003] = "2020:01:02 03:04:05"
    if orientation is not None:
        exif[0x112] = orientation
    path = tmp_path / ("photo.heic" if format_ == "HEIF" else "photo.avif")
    try:
        image.save(path, format=format_, exif=exif.tobytes(), quality=20)
    except (KeyError, OSError) as reason:
        pytest.skip(f"no encoder: {reason}")
    assert agree(path, exiftool)


# -- what it may never get wrong --------------------------------------------------------------------------

CHANGE = st.builds(
    Change,
    st.sampled_from(iso_made.CHANGES),
    st.integers(0, 200),
    st.integers(0, 400),
    st.one_of(st.integers(0, 255), st.integers(0, len(iso_made.NUMBERS) - 1)),
)


@pytest.mark.slow
@needs_exiftool
@settings(patient, max_examples=examples(150))
@given(
    name=st.sampled_from(sorted(CHANGED)),
    changes=st.lists(CHANGE, min_size=1, max_size=4),
    behind=st.sampled_from([b"", b"", b"\0\0\0\0\0\0\0\5", bytes(99), bytes(4) + b"camera's trailer"]),
)
def test_both_readers_agree_on_changed_boxes(
    name: str, changes: list[Change], behind: bytes, exiftool: ExifToolReader, tmp_path: Path
) -> None:
    """Cut, doubled, swapped and foreign boxes, sizes that lie, other versions, clocks and scales."""
    event(answered(kept(tmp_path, iso_made.changed(CHANGED[name], changes) + behind, name), exiftool))


WORDS = st.one_of(
    st.text(st.sampled_from("Aa1 .-&<:0+TtrRuUeE/Z"), max_size=14).map(str.encode),
    st.sampled_from([b"GoPro AVC", b"HD7.01.50", b"Lavc60", b"true", b"1.50", b"\xe9", b"\0", b"2010", b"1904-01-01"]),
)
DEGREE = st.floats(-200, 200).flatmap(
    lambda value: st.sampled_from([f"{value:+08.4f}", f"{value:+.0f}", f"{value:+.12f}", f"{value:+09.4f}"])
)
PLACE = st.one_of(
    st.tuples(DEGREE, DEGREE, st.sampled_from(["", "/", "+12.3/", "CRSWGS_84/"])).map("".join), WORDS.map(str)
)
MOMENT = st.one_of(
    st.datetimes(datetime(1800, 1, 1), datetime(2030, 1, 1)).flatmap(
        lambda moment: st.sampled_from(["", "Z", "+0200", "-03:30", "+99:00", " +01:00"]).map(
            lambda zone: f"{moment:%Y-%m-%dT%H:%M:%S}{zone}"
        )
    ),
    st.sampled_from(["2010", "2010-05", "2010-05-06", "1970-01-01T00:00:00Z", "2010-05-06 07:08:09", "0000-00-00"]),
)
SAID = {
    "make": WORDS, "model": WORDS, "software": WORDS, "creationdate": MOMENT.map(str.encode), "year": WORDS,
    "location.ISO6709": PLACE.map(str.encode), "location.date": MOMENT.map(str.encode), "title": WORDS,
}  # fmt: skip
SPOKEN = {b"mak": WORDS, b"mod": WORDS, b"xyz": PLACE.map(str.encode), b"day": MOMENT.map(str.encode), b"nam": WORDS}
CLOCKS = st.one_of(
    st.integers(0, 2**32 - 1), st.sampled_from([0, 1, iso_made.EPOCH, iso_made.EPOCH - 1, iso_made.CREATED])
)
TURNS = st.sampled_from(
    [(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0), (-1, 0, 0, 1), (0, 0, 0, 0), (1, 1, 1, 1)]
)
LANGUAGES = st.sampled_from([0, 0x15C7, 0x55C4, 0x10E5, 4, 0x7FFF])
TRACKS = st.lists(
    st.one_of(
        st.builds(
            lambda turn, size, said, created: box(
                b"trak",
                iso_made.track_header(size, turn),
                iso_made.media(b"vide", iso_made.description(size, said), created=created),
            ),
            TURNS,
            st.tuples(st.integers(0, 5000), st.integers(0, 5000)),
            WORDS.map(lambda text: bytes([len(text)]) + text),
            CLOCKS,
        ),
        st.just(iso_made.sound_track()),
        WORDS.map(lambda said: box(b"trak", iso_made.track_header((0, 0)), iso_made.media(b"meta", said=said))),
    ),
    min_size=1,
    max_size=3,
)


@pytest.mark.slow
@needs_exiftool
@settings(patient, max_examples=examples(150))
@given(
    brand=st.sampled_from([b"qt  ", b"mp42", b"isom", b"M4V ", b"3gp4"]),
    header=st.builds(
        iso_made.movie_header, CLOCKS, st.sampled_from([0, 1, 600, 90000]), CLOCKS, st.sampled_from([0, 1])
    ),
    tracks=TRACKS,
    keys=st.sets(st.sampled_from(sorted(SAID)), max_size=3).flatmap(
        lambda names: st.fixed_dictionaries({f"com.apple.quicktime.{name}".encode(): SAID[name] for name in names})
    ),
    texts=st.lists(
        st.sampled_from(sorted(SPOKEN)).flatmap(lambda name: st.builds(spoken, st.just(name), SPOKEN[name], LANGUAGES)),
        max_size=3,
    ),
    language=st.sampled_from([0, 0x10E5, 0x444510E5, 0x5A5A0000, 0x12, 0x444555C4]),
    order=st.permutations(range(3)),
)
def test_both_readers_agree_on_whatever_a_film_says(
    brand: bytes,
    header: bytes,
    tracks: list[bytes],
    keys: dict[bytes, bytes],
    texts: list[bytes],
    language: int,
    order: list[int],
    exiftool: ExifToolReader,
    tmp_path: Path,
) -> None:
    about = [b"".join(tracks), keyed(keys, language) if keys else b"", box(b"udta", *texts) if texts else b""]
    movie = box(b"moov", header, *(about[index] for index in order))
    path = kept(tmp_path, box(b"ftyp", brand, bytes(4), brand) + movie + box(b"mdat", bytes(30)))
    event(answered(path, exiftool))


VALUES = {
    "XMP-xmp:Rating": st.sampled_from(["-1", "0", "5", "3.5"]),
    "XMP-xmp:CreateDate": st.just("2001:02:03 04:05:06"),
    "XMP-exif:GPSLatitude": st.just("12.5"),
    "XMP-exif:GPSLongitude": st.just("-70.25"),
    "XMP-photoshop:DateCreated": st.sampled_from(["2001:02:03", "2002:02:03 04:05:06+01:00", "2003:04"]),
    "XMP-exif:DateTimeOriginal": st.just("2004:02:03 04:05:06.25"),
    "XMP-tiff:Make": st.sampled_from(["Maker", "Another"]),
    "XMP-tiff:Model": st.just("Model 9"),
    "XMP-tiff:ImageWidth": st.just("18"),
    "XMP-dc:Title": st.just("Name"),
    "QuickTime:CreateDate": st.sampled_from(["2001:02:03 04:05:06", "1904:01:01 00:00:00", "1970:01:01 00:00:00"]),
    "QuickTime:MediaCreateDate": st.just("2002:02:03 04:05:06"),
    "Keys:CreationDate": st.sampled_from(["2001:02:03 04:05:06+02:00", "2001:02:03 04:05:06"]),
    "Keys:GPSCoordinates": st.sampled_from(["12.5 -70.25 3", "0 0", "-89.999999 179.9"]),
    "Keys:Make": st.sampled_from(["Maker", "1.50", "Fabriqué"]),
    "Keys:Model": st.just("Model 7"),
    "ItemList:ContentCreateDate": st.sampled_from(["2010", "2001:02:03 04:05:06Z", "2010:05:06"]),
    "ItemList:Title": st.just("Name"),
    "UserData:Make": st.just("Other"),
    "UserData:GPSCoordinates": st.just("12.5 -70.25"),
    "UserData:Title-deu": st.just("Titel"),
    "Composite:Rotation": st.sampled_from(["0", "90", "180", "270", "45"]),
    "EXIF:DateTimeOriginal": st.just("2003:02:03 04:05:06"),
    "EXIF:all": st.just(""),
    "EXIF:Make": st.just("Maker"),
    "IFD1:Make": st.just("Another"),
    "IFD1:Orientation": st.sampled_from(["1", "6"]),
    "IFD1:ModifyDate": st.just("2004:02:03 04:05:06"),
    "EXIF:Model": st.just("Model"),
    "EXIF:GPSLatitude": st.just("12.5"),
    "EXIF:GPSLatitudeRef": st.sampled_from(["N", "S"]),
    "EXIF:GPSLongitude": st.just("70.25"),
    "EXIF:GPSLongitudeRef": st.sampled_from(["E", "W"]),
    "EXIF:Orientation": st.sampled_from(["1", "6"]),
}


@pytest.mark.slow
@needs_exiftool
@settings(patient, max_examples=examples(60))
@given(
    name=st.sampled_from(sorted(CHANGED)),
    tags=st.sets(st.sampled_from(sorted(VALUES)), max_size=5).flatmap(
        lambda names: st.fixed_dictionaries({name: VALUES[name] for name in sorted(names)})
    ),
)
def test_both_readers_agree_on_whatever_exiftool_writes(
    name: str, tags: dict[str, str], exiftool: ExifToolReader, writer: ExifToolReader, tmp_path: Path
) -> None:
    path = kept(tmp_path, CHANGED[name], name)
    assert writer._process is not None
    writer._process.ask([*(f"-{tag}={value}".encode() for tag, value in tags.items()), os.fsencode(path)])
    event(answered(path, exiftool))
