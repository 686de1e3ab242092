"""The hash of pixels: the same for one picture with other metadata, and for no other one."""

from __future__ import annotations

import os
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


def test_what_is_not_compared(hash_of: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("CR2", "MP4", "nonsense"):
        with pytest.raises(NoPicture, match="not compared"):
            hash_of(saved(picture()), kind)
    with pytest.raises(NoPicture, match="cannot be read"):
        hash_of(saved(picture(), "PNG"), "JPEG")
    with pytest.raises(NoPicture):
        hash_of(b"")
    monkeypatch.setattr(pixels, "MOST_PIXELS", SIDE * SIDE - 1)
    with pytest.raises(pixels.NotComparable, match="too large"):
        pixels.pixel_hash(BytesIO(saved(picture())), "JPEG")
