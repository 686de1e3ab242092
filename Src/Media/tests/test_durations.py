"""How long a film is that ExifTool only estimates, and whether one made of packets is cut: films made by FFmpeg."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Src.Media.structure import Structure, structure_of

av = pytest.importorskip("av")


def film(path: Path, format_: str, codec: str, rate: int, pictures: int) -> Path:
    """A film of so many pictures, the same each time: where it is cut is always the same place in a packet."""
    chance = random.Random(0)
    with av.open(str(path), "w", format=format_) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(pictures):
            frame = av.VideoFrame(64, 48, "yuv420p")
            for plane in frame.planes:
                plane.update(chance.randbytes(8) * (plane.buffer_size // 8))
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("format_", "codec", "kind"),
    [
        ("mpeg", "mpeg1video", "MPEG"), ("vob", "mpeg2video", "MPEG"), ("svcd", "mpeg2video", "MPEG"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("rate", "pictures"), [(25, 10), (30, 100), (24, 1500)])
def test_a_film_is_as_long_as_its_pictures(
    tmp_path: Path, format_: str, codec: str, kind: str, rate: int, pictures: int
) -> None:
    path = film(tmp_path / "film", format_, codec, rate, pictures)
    found = structure_of(str(path), kind)
    assert found.duration == pytest.approx(pictures / rate, abs=1.5 / rate)
    assert found.damage is None


def test_the_last_page_of_an_ogg_film_says_how_long_it_is() -> None:
    sample = Path(__file__).parent / "samples" / "v07_clip.ogv"
    assert structure_of(str(sample), "OGV").duration == pytest.approx(0.4)


@pytest.mark.parametrize(("format_", "codec", "kind"), [("flv", "flv", "FLV"), ("asf", "wmv2", "WMV")])
def test_a_film_of_packets_that_is_cut_is_broken_and_a_whole_one_is_not(
    tmp_path: Path, format_: str, codec: str, kind: str
) -> None:
    path = film(tmp_path / "film", format_, codec, 25, 50)
    whole = path.read_bytes()
    assert structure_of(str(path), kind) == Structure(True)
    path.write_bytes(whole + bytes(1000))  # padding, as some programs leave it
    assert structure_of(str(path), kind) == Structure(True)
    path.write_bytes(whole[: len(whole) * 2 // 3 - 7])
    assert "cut short" in str(structure_of(str(path), kind).damage)


@given(st.sampled_from(["MPEG", "OGV", "FLV", "WMV"]), st.binary(max_size=300))
def test_no_bytes_make_it_fail(tmp_path_factory: pytest.TempPathFactory, kind: str, content: bytes) -> None:
    starts = {
        "MPEG": b"\0\0\1\xb3\1\0\1\x13\0\0\1\xe0\0\0\x80\x80\5", "OGV": b"OggS\0\2" + bytes(21) + b"\x80theora",
        "FLV": b"FLV\1\5\0\0\0\x09\0\0\0\0\x09", "WMV": bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"),
    }  # fmt: skip
    path = tmp_path_factory.mktemp("film") / "film"
    path.write_bytes(starts[kind] + content)
    structure_of(str(path), kind)
