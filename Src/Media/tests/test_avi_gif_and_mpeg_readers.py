"""The fast readers for AVI, GIF and MPEG: where they answer at all, every field is what ExifTool's answer gives."""

import io
import random
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from PIL import Image

from Src.Media.readers import avi_reader, gif_reader
from Src.Media.readers.exiftool_reader import ASKED
from Src.Media.readers.fast_answer import Unusual
from Src.Media.readers.fast_readers import read_fast
from Src.Media.tests.old_films_made import (
    AVIS,
    GIFS,
    GROUP,
    MPEGS,
    PACK,
    PICTURE,
    PROFILE,
    XMP,
    application,
    avi,
    blocks,
    chunk,
    film,
    gif,
    gif_xmp,
    graphic_control,
    listed,
    packet,
    sequence,
    stream,
)
from Src.Shared.settings import PROJECT_ROOT
from Src.Testing.anew import write_anew
from Src.Testing.both_readers import BothReaders, damaged, fast, handed_over, kind_at, needs_exiftool
from Src.Testing.examples import examples
from Src.Testing.exiftool_tables import table

SAMPLES = (PROJECT_ROOT / "Src/Librarian/tests/samples", PROJECT_ROOT / "Src/Media/tests/samples")
ENDINGS = {"AVI": "avi", "GIF": "gif", "MPEG": "mpg"}
# -- both say the same ------------------------------------------------------------------------------------

ask_often = settings(
    max_examples=examples(100),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@needs_exiftool
def test_both_readers_agree_on_every_sample(both_readers: BothReaders) -> None:
    paths = [path for folder in SAMPLES for path in sorted(folder.iterdir()) if path.is_file()]
    of_kind = {kind: [path for path in paths if kind_at(path) == kind] for kind in ENDINGS}
    answered = {kind: both_readers.answered(of_kind[kind], kind) for kind in ENDINGS}
    assert answered["MPEG"] == len(of_kind["MPEG"]) >= 3
    assert answered["GIF"] == len(of_kind["GIF"]) >= 1
    assert answered["AVI"] >= 2, "of those that are whole"


def _check(data: bytes, kind: str, both_readers: BothReaders, folder: Path) -> None:
    path = folder / f"made.{ENDINGS[kind]}"
    path.write_bytes(data)
    both_readers.answered([path], kind)


@pytest.mark.slow
@needs_exiftool
@ask_often
@given(data=AVIS)
def test_both_readers_agree_on_any_avi(data: bytes, both_readers: BothReaders, tmp_path: Path) -> None:
    _check(data, "AVI", both_readers, tmp_path)


@pytest.mark.slow
@needs_exiftool
@ask_often
@given(data=GIFS)
def test_both_readers_agree_on_any_gif(data: bytes, both_readers: BothReaders, tmp_path: Path) -> None:
    _check(data, "GIF", both_readers, tmp_path)


@pytest.mark.slow
@needs_exiftool
@ask_often
@given(data=MPEGS)
def test_both_readers_agree_on_any_mpeg(data: bytes, both_readers: BothReaders, tmp_path: Path) -> None:
    _check(data, "MPEG", both_readers, tmp_path)


def moving_gif() -> bytes:
    kept = io.BytesIO()
    first, *others = (Image.new("RGB", (5, 4), colour) for colour in ("red", "green", "blue"))
    first.save(kept, "GIF", save_all=True, append_images=others, duration=[70, 40, 50], loop=0)
    return kept.getvalue()


def sound(kind: str) -> bytes:
    """A file with everything that is read."""
    if kind == "AVI":
        texts = listed(b"INFO", chunk(b"ISFT", b"Camera\0"), chunk(b"ICRD", b"2004-05-06\0"))
        packet_of_xmp = chunk(b"_PMX", XMP.format('xmp:Rating="4" tiff:Make="Maker"').encode())
        return film(
            texts, chunk(b"idx1", bytes(16)), packet_of_xmp, inside=chunk(b"IDIT", b"Mon Mar 10 15:04:43 2003\n\0")
        )
    if kind == "GIF":
        picture = moving_gif()
        return picture[:-1] + gif_xmp(XMP.format('xmp:Rating="4" tiff:Make="Maker"').encode()) + b";"
    pictures = (packet(0xE0, GROUP + b"\0\0\1\0\0\x08", time) for time in (0.5, 1.5, 2.5))
    return PACK + packet(0xE0, sequence(), 0.5) + b"".join(pictures) + bytes(40)


@pytest.mark.slow
@needs_exiftool
@pytest.mark.parametrize("kind", ENDINGS)
def test_both_readers_agree_on_damaged_files(kind: str, both_readers: BothReaders, tmp_path: Path) -> None:
    chance = random.Random(kind)
    paths = []
    for number in range(examples(300)):
        path = tmp_path / f"{number}.{ENDINGS[kind]}"
        write_anew(path, damaged(sound(kind), chance, [60, 900, 1500]))
        paths.append(path)
    # What it never answers for would prove nothing.
    assert both_readers.answered(paths, kind) > len(paths) / 50


# -- what is passed over ----------------------------------------------------------------------------------


@needs_exiftool
def test_chunks_that_are_passed_over_have_no_tag_that_exiftool_is_asked_for() -> None:
    """What ExifTool may find in them, against what is read or handed over."""
    asked = {name.lower() for name in ASKED}
    read = {"IDIT", "ICRD", "DTIM", "avih"}
    # A rating and keywords of this kind nobody reads (`rating_in`, `words_in`).
    harmless = {"IRTD", "IKEY"}
    in_lists = ("RIFF::Info", "RIFF::Hdrl", "RIFF::Stream", "RIFF::OpenDML", "RIFF::ExtAVIHdr", "RIFF::StreamHeader")
    for identifier, name, _ in table(*in_lists, "RIFF::AudioFormat"):
        assert name.lower() not in asked or identifier in read | harmless, f"{identifier}: {name}"
    assert {name for _, name, _ in table("RIFF::AVIHeader")} & set(ASKED) == {"ImageHeight", "ImageWidth"}
    # Of Pentax's notes `_PENTAX_MODEL` looks for the one; the others count in a QuickTime film, or in an Ogg, alone.
    assert {name for _, name, _ in table("Pentax::Main") if name.lower() in asked} == {
        "Model",
        "FirmwareVersion",
        "Date",
    }
    assert not [name for _, name, _ in table("GIF::Animation", "GIF::Main") if name.lower() in asked - {"duration"}]
    assert {name for _, name, _ in table("MPEG::Video", "MPEG::Audio", "MPEG::Xing", "MPEG::Lame")} & set(ASKED) == {
        "ImageWidth",
        "ImageHeight",
    }


# -- what is read, and what is handed over ----------------------------------------------------------------


def test_a_camera_s_avi_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.avi"
    path.write_bytes(sound("AVI"))
    found = fast(path, "AVI")
    assert found is not None
    assert (found.captured_at, found.date_source) == (datetime(2003, 3, 10, 15, 4, 43), "riff:DateTimeOriginal")
    assert (found.width, found.height, found.duration_seconds) == (320, 240, 2.0)
    assert (found.camera_make, found.rating) == ("Maker", 4)


def test_a_moving_gif_lasts_as_long_as_its_pictures(tmp_path: Path) -> None:
    path = tmp_path / "x.gif"
    path.write_bytes(sound("GIF"))
    found = fast(path, "GIF")
    assert found is not None
    assert (found.width, found.height, found.duration_seconds, found.rating) == (5, 4, 0.16, 4)


def test_a_gif_of_many_blocks_is_read_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "x.gif"
    picture = b"," + bytes(9) + b"\2" + blocks(b"\1" * 3_000_000)
    path.write_bytes(gif(graphic_control(7), picture, graphic_control(9), picture))
    found = fast(path, "GIF")
    assert found is not None
    assert found.duration_seconds == 0.16


def test_an_mpeg_lasts_from_its_first_picture_to_its_last(tmp_path: Path) -> None:
    path = tmp_path / "x.mpg"
    path.write_bytes(sound("MPEG"))
    found = fast(path, "MPEG")
    assert found is not None
    assert (found.width, found.height, found.duration_seconds) == (352, 288, 2.04)


@needs_exiftool
def test_a_header_that_begins_within_a_broken_one_counts(both_readers: BothReaders, tmp_path: Path) -> None:
    path = tmp_path / "x.mpg"
    path.write_bytes(PACK + b"\0\0\1\xb3\0\0\1\xb9" + sequence(16, 32) + sequence(48, 64) + bytes(40))
    assert both_readers.answered([path], "MPEG") == 1
    assert read_fast("MPEG", str(path)).tags["ImageWidth"] == "16"


ODD: dict[str, tuple[str, Callable[[], bytes]]] = {
    "AVI cut": ("AVI", lambda: sound("AVI")[:-60]),
    "AVI with bytes behind": ("AVI", lambda: sound("AVI") + b"end"),
    "AVI with two dates": ("AVI", lambda: film(inside=chunk(b"IDIT", b"2003/03/10 15:04:00\0") * 2)),
    "AVI with a maker's JUNK": ("AVI", lambda: film(chunk(b"JUNK", b"OLYMDigital Camera" + bytes(90)))),
    "AVI with a maker's stream": ("AVI", lambda: avi(listed(b"hdrl", stream(b"vids", 7, 8, chunk(b"strd", b"AVIF"))))),
    "AVI with EXIF of sound": ("AVI", lambda: film(listed(b"exif", chunk(b"ecor", b"Maker\0")))),
    "AVI with Nikon's notes": ("AVI", lambda: film(listed(b"ncdt", chunk(b"nctg", bytes(8))))),
    "AVI with Pentax's model": ("AVI", lambda: film(listed(b"hydt", chunk(b"hymn", b"PENTAX \0MM\0\1\x02\x3f")))),
    "AVI with an unknown chunk": ("AVI", lambda: film(chunk(b"abcd", b"x"))),
    "AVI with endless chunks": ("AVI", lambda: film(chunk(b"JUNK", b"x") * 1000)),
    "AVI with endless texts": ("AVI", lambda: film(listed(b"INFO", chunk(b"ISFT", bytes(2**19))))),
    "AVI twice": ("AVI", lambda: film(film())),
    "GIF cut": ("GIF", lambda: sound("GIF")[:-1]),
    "GIF cut in a block": ("GIF", lambda: gif(PICTURE[:-3], end=b"")),
    "GIF with a broken profile": ("GIF", lambda: gif(application(b"ICCRGBG1012", blocks(PROFILE[:-1])))),
    "GIF with two profiles": ("GIF", lambda: gif(application(b"ICCRGBG1012", blocks(PROFILE)) * 2)),
    "GIF with sound": ("GIF", lambda: gif(application(b"MIDISONGDm7", blocks(bytes(200))))),
    "GIF with XMP twice": ("GIF", lambda: gif(gif_xmp(XMP.format("").encode()) * 2)),
    "GIF with endless XMP": ("GIF", lambda: gif(gif_xmp(XMP.format("").encode() + b" " * 2**19))),
    "GIF with a length in XMP": ("GIF", lambda: gif(gif_xmp(XMP.format('xmpDM:duration="7"').encode()))),
    "GIF with endless blocks": ("GIF", lambda: gif(b"," + bytes(9) + b"\2" + b"\1\1" * 500_000 + b"\0")),
    "GIF with endless empty comments": ("GIF", lambda: gif(b"!\xfe\0" * 500_000)),
    "MPEG without a size": ("MPEG", lambda: PACK + packet(0xC0, bytes(80))),
    "MPEG whose size comes late": ("MPEG", lambda: PACK + bytes(2**18) + sequence()),
}  # fmt: skip


@pytest.mark.parametrize("oddity", ODD)
def test_an_oddity_is_handed_over(oddity: str, tmp_path: Path) -> None:
    kind, made = ODD[oddity]
    path = tmp_path / f"x.{ENDINGS[kind]}"
    path.write_bytes(made())
    assert handed_over(path, kind)


@pytest.mark.parametrize("kind", ENDINGS)
def test_a_name_of_another_kind_is_handed_over(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x.mp3"
    path.write_bytes(sound(kind))
    assert handed_over(path, kind) == "name of another kind"


def test_dates_of_cameras_are_given_as_exiftool_gives_them() -> None:
    texts = {
        "Mon Mar 10 15:04:43 2003\n\0": "2003:03:10 15:04:43",
        "2009/10/27 12:14:34\0": "2009:10:27 12:14:00",
        "2002-12-16  15:35:01\0\0": "2002:12:16 15:35:01",
    }
    assert {text: avi_reader._date_of(text) for text in texts} == texts


def test_a_broken_gif_is_no_endless_loop(tmp_path: Path) -> None:
    path = tmp_path / "x.gif"
    path.write_bytes(gif(PICTURE, end=b"!\xfe" + b"\xff" * 100))
    with path.open("rb") as file, pytest.raises(Unusual):
        gif_reader.read_gif(file.fileno())
    path.write_bytes(moving_gif())
    assert read_fast("GIF", str(path)).tags["Duration"] == "0.16"
