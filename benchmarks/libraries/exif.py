"""The Exif data that cameras and phones write alike (Exif 2.32); each device adds its own."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.libraries import pieces
from benchmarks.libraries.moments import OFFSET, TAKEN
from benchmarks.libraries.tiff import (
    Elsewhere,
    Ifd,
    Value,
    long,
    rational,
    raw_bytes,
    short,
    signed,
    text,
    tiff,
    undefined,
)

_DATE = TAKEN.strftime("%Y:%m:%d %H:%M:%S")
Entries = list[tuple[int, "Value | Elsewhere | Ifd"]]


@dataclass(frozen=True)
class Device:
    """A camera or phone, and the pictures that it takes."""

    make: str
    model: str
    software: str
    width: int
    height: int
    order: str = "<"  # of bytes


def camera_ifd(device: Device, orientation: int = 1) -> Entries:
    """The first directory, without links to others."""
    return [
        (0x010F, text(device.make)),
        (0x0110, text(device.model)),
        (0x0112, short(orientation)),
        (0x011A, rational(72, 1)),
        (0x011B, rational(72, 1)),
        (0x0128, short(2)),
        (0x0131, text(device.software)),
        (0x0132, text(_DATE)),
        (0x0213, short(1)),
    ]


def photo_ifd(device: Device, *, offsets: bool = True, fraction: str = "527") -> Entries:
    """The Exif directory. `offsets`: the times' offsets from UTC, which cameras of before 2017 do not know."""
    entries: Entries = [
        (0x829A, rational(1, 120)),
        (0x829D, rational(18, 10)),
        (0x8822, short(2)),
        (0x8827, short(50)),
        (0x9000, undefined(b"0232" if offsets else b"0221")),
        (0x9003, text(_DATE)),
        (0x9004, text(_DATE)),
        (0x9101, undefined(b"\1\2\3\0")),
        (0x9201, signed(6907, 1000)),
        (0x9202, rational(169, 100)),
        (0x9203, signed(611, 100)),
        (0x9204, signed(0, 100)),
        (0x9205, rational(169, 100)),
        (0x9207, short(5)),
        (0x9209, short(16)),
        (0x920A, rational(540, 100)),
        (0x9290, text(fraction)),
        (0x9291, text(fraction)),
        (0x9292, text(fraction)),
        (0xA000, undefined(b"0100")),
        (0xA001, short(1)),
        (0xA002, long(device.width)),
        (0xA003, long(device.height)),
        (0xA217, short(2)),
        (0xA301, undefined(b"\1")),
        (0xA402, short(0)),
        (0xA403, short(0)),
        (0xA404, rational(100, 100)),
        (0xA405, short(26)),
        (0xA406, short(0)),
    ]
    if offsets:
        entries += [(tag, text(OFFSET)) for tag in (0x9010, 0x9011, 0x9012)]
    return entries


def place_ifd(*more: tuple[int, Value]) -> Entries:
    """The GPS directory: a place in Berlin."""
    return [
        (0, raw_bytes(b"\2\3\0\0")),
        (1, text("N")),
        (2, rational(52, 1, 30, 1, 589932, 10000)),
        (3, text("E")),
        (4, rational(13, 1, 22, 1, 397824, 10000)),
        (5, raw_bytes(b"\0")),
        (6, rational(34500, 1000)),
        *more,
    ]


def gps_time() -> tuple[tuple[int, Value], tuple[int, Value]]:
    """Time and date of the GPS, which are UTC's."""
    return (7, rational(13, 1, 9, 1, 25, 1)), (0x1D, text(TAKEN.strftime("%Y:%m:%d")))


def thumbnail_ifd(size: int = 14_000) -> Entries:
    """The second directory: a small JPEG."""
    picture = pieces.jpeg(320, 240, size)
    return [
        (0x0103, short(6)),
        (0x011A, rational(72, 1)),
        (0x011B, rational(72, 1)),
        (0x0128, short(2)),
        (0x0201, Elsewhere(lambda _: picture)),
        (0x0202, long(len(picture))),
    ]


def whole(device: Device, photo: Ifd, place: Ifd | None, *, orientation: int = 1, thumbnail: bool = True) -> bytes:
    """The TIFF structure of it all."""
    first = [*camera_ifd(device, orientation), (0x8769, photo)]
    if place is not None:
        first.append((0x8825, place))
    return tiff(device.order, first, *([thumbnail_ifd()] if thumbnail else []))
