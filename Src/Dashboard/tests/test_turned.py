"""A picture that a person has turned is shown turned, and its pixels are those that were made."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageOps

from Src.Dashboard.turned import turned

RED, BLUE = (255, 0, 0), (0, 0, 255)


def _picture() -> bytes:
    """Twice as wide as high: red at the left, blue at the right."""
    image = Image.new("RGB", (64, 32), RED)
    image.paste(BLUE, (32, 0, 64, 32))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=95)
    return out.getvalue()


def _is(pixel: object, colour: tuple[int, int, int]) -> bool:
    assert isinstance(pixel, tuple)
    return all(abs(one - other) < 30 for one, other in zip(pixel, colour, strict=True))


@pytest.mark.parametrize(
    ("degrees", "size", "red_at", "blue_at"),
    [
        (0, (64, 32), (4, 16), (60, 16)),
        (90, (32, 64), (16, 4), (16, 60)),  # clockwise: what was left is above
        (180, (64, 32), (60, 16), (4, 16)),
        (270, (32, 64), (16, 60), (16, 4)),
    ],
)
def test_it_is_shown_turned_clockwise(
    degrees: int, size: tuple[int, int], red_at: tuple[int, int], blue_at: tuple[int, int]
) -> None:
    picture = _picture()
    shown = ImageOps.exif_transpose(Image.open(io.BytesIO(turned(picture, degrees))))
    assert shown.size == size
    assert _is(shown.getpixel(red_at), RED) and _is(shown.getpixel(blue_at), BLUE)
    assert turned(picture, degrees).endswith(picture[2:])


def test_what_is_no_jpeg_or_no_turn_stays_as_it_is() -> None:
    assert turned(b"<svg/>", 90) == b"<svg/>"
    assert turned(_picture(), 45) == _picture()
