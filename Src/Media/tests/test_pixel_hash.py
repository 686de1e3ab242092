"""The hash of pixels: the same for one picture with other metadata, and for no other one."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from Src.Media.pictures import pixels
from Src.Media.pictures.process import NoPicture, PictureProcess
from Src.Testing.patience import PATIENCE

SIDE = 96


@pytest.fixture(scope="module")
def process() -> Iterator[PictureProcess]:
    process = PictureProcess(PATIENCE)
    yield process
    process.close()


@pytest.fixture
def hash_of(process: PictureProcess, tmp_path: Path) -> Callable[..., str]:
    def hash_of(content: bytes, kind: str = "JPEG") -> str:
        path = tmp_path / "photo"
        path.write_bytes(content)
        fd = os.open(path, os.O_RDONLY)
        try:
            return process.pixel_hash(fd, kind)
        finally:
            os.close(fd)

    return hash_of


def picture(mode: str = "RGB", side: int = SIDE) -> Image.Image:
    gradient = Image.linear_gradient("L").resize((side, side))
    if mode == "P":
        return gradient.convert("P")
    return Image.merge("RGB", (gradient, gradient.rotate(90), gradient.rotate(180))).convert(mode)


def saved(image: Image.Image, form: str = "JPEG", **more: object) -> bytes:
    out = BytesIO()
    image.save(out, form, **more)
    return out.getvalue()


def with_comment(jpeg: bytes) -> bytes:
    return jpeg[:2] + b"\xff\xfe\x00\x0b5 stars!!" + jpeg[2:]


@pytest.mark.parametrize(("form", "kind"), [("JPEG", "JPEG"), ("PNG", "PNG"), ("TIFF", "TIFF"), ("WEBP", "WEBP")])
def test_metadata_says_nothing_of_pixels(hash_of: Callable[..., str], form: str, kind: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Canon"
    if form != "TIFF":  # which Pillow turns by itself
        exif[0x0112] = 6
    plain, told = saved(picture(), form), saved(picture(), form, exif=exif)
    assert plain != told
    assert hash_of(plain, kind) == hash_of(told, kind)
    turned = saved(picture().rotate(90), form)
    assert hash_of(plain, kind) != hash_of(turned, kind)


def test_one_other_pixel_is_another_picture(hash_of: Callable[..., str]) -> None:
    for mode in ("RGB", "L", "P", "RGBA"):
        image = picture(mode)
        first = hash_of(saved(image, "PNG"), "PNG")
        image.putpixel((SIDE - 1, SIDE - 1), 77 if mode in ("L", "P") else (1, 2, 3))
        assert hash_of(saved(image, "PNG"), "PNG") != first, mode
    jpeg = saved(picture())
    assert hash_of(jpeg) == hash_of(with_comment(jpeg)) != hash_of(saved(picture(), quality=60))


def test_half_a_photo_is_not_the_same(hash_of: Callable[..., str]) -> None:
    jpeg = saved(picture(side=400))
    for cut in (len(jpeg) // 2, len(jpeg) - 40):
        with pytest.raises(NoPicture, match="cannot be read"):
            hash_of(jpeg[:cut])
    assert hash_of(jpeg), "the process serves on"


def test_all_pictures_of_a_file_count(hash_of: Callable[..., str]) -> None:
    one, other = picture("P"), picture("P").rotate(90)
    both = saved(one, "GIF", save_all=True, append_images=[other])
    twice = saved(one, "GIF", save_all=True, append_images=[one.rotate(180)])
    assert len({hash_of(content, "GIF") for content in (saved(one, "GIF"), both, twice)}) == 3


def png_of_16_bits(low: int) -> bytes:
    """Two by one pixels of three colors, written as RFC 2083 says: Pillow writes none."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" + struct.pack(">6H", 258, 513, 770, 1027, 1284, 1536 + low))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_of_what_pillow_drops_bits_nothing_is_said(hash_of: Callable[..., str]) -> None:
    for low in (1, 2):  # Pillow gives the same 8 bits of both
        with pytest.raises(NoPicture, match="not compared"):
            hash_of(png_of_16_bits(low), "PNG")
    gray = Image.new("I;16", (SIDE, SIDE), 258)
    first = hash_of(saved(gray, "PNG"), "PNG")
    gray.putpixel((1, 1), 259)
    assert hash_of(saved(gray, "PNG"), "PNG") != first, "all 16 bits of gray count"
    see_through = [hash_of(saved(picture(), "PNG", transparency=color), "PNG") for color in ((1, 2, 3), (3, 2, 1))]
    assert len(set(see_through)) == 2
    for mode, form in (("LAB", "TIFF"), ("F", "TIFF"), ("RGB", "BMP")):
        with pytest.raises(NoPicture, match="not compared"):
            hash_of(saved(Image.new(mode, (SIDE, SIDE)), form), form)


def with_segment(jpeg: bytes, marker: int, content: bytes) -> bytes:
    return jpeg[:2] + bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2) + content + jpeg[2:]


def test_a_film_behind_a_photo_counts(hash_of: Callable[..., str]) -> None:
    """A motion photo without its film, or with another one, is not the same."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x927C] = b"\xff\xd8 a thumbnail \xff\xd9 in the Exif"
    for more in ({}, {"progressive": True}, {"restart_marker_blocks": 2}, {"exif": exif}):
        jpeg = saved(picture(), **more)
        assert hash_of(jpeg) == hash_of(jpeg + bytes(512)) == hash_of(with_comment(jpeg)), more
        for behind in (b"\0\0\0\x18ftypmp42 a film", jpeg):
            with pytest.raises(NoPicture, match="more than its picture"):
                hash_of(jpeg + behind)
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x GCamera:MotionPhoto="1"/>'
    for said in (with_segment(jpeg, 0xE1, xmp), with_segment(jpeg, 0xE2, b"MPF\0II*\0")):
        with pytest.raises(NoPicture, match="more than its picture"):
            hash_of(said)


def test_heic_of_more_than_its_picture(hash_of: Callable[..., str]) -> None:
    heif = pytest.importorskip("pillow_heif")
    out = BytesIO()
    heif.from_pillow(picture()).save(out)
    assert hash_of(out.getvalue(), "HEIC")
    with pytest.raises(NoPicture, match="more than its picture"):
        hash_of(out.getvalue() + b"\0\0\0\x10mpvda film!", "HEIC")
    deep = BytesIO()
    heif.from_bytes("RGB;16", (SIDE, SIDE), bytes(range(256)) * (SIDE * SIDE * 6 // 256)).save(deep)
    with pytest.raises(NoPicture, match="not compared"):
        hash_of(deep.getvalue(), "HEIC")


def test_what_is_not_compared(hash_of: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("CR2", "MP4", "PSD", "JP2", "AVIF", "nonsense"):
        with pytest.raises(NoPicture, match="not compared"):
            hash_of(saved(picture()), kind)
    with pytest.raises(NoPicture, match="cannot be read"):
        hash_of(saved(picture(), "PNG"), "JPEG")
    with pytest.raises(NoPicture):
        hash_of(b"")
    monkeypatch.setattr(pixels, "MOST_PIXELS", SIDE * SIDE - 1)
    with pytest.raises(pixels.NotComparable, match="too large"):
        pixels.pixel_hash(BytesIO(saved(picture())), "JPEG")
