"""A picture of every kind of original, upright; and what makes none costs nothing else."""

from __future__ import annotations

import io
import os
import random
import shutil
import signal
import struct
import time
import zlib
from concurrent.futures import wait
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pillow_heif
import pytest
from PIL import Image

from Src.Library.original import Original, open_original
from Src.Library.pictures import TRY_AGAIN_AFTER, Size, Thumbnails
from Src.Library.tests.conftest import PutIntoVault
from Src.Media.pictures.process import NoPicture, PictureProcess
from Src.Shared.settings import PROJECT_ROOT
from Src.Testing.patience import PATIENCE
from Src.Testing.plain_exiftool import PlainExifTool

SAMPLES = PROJECT_ROOT / "Src" / "Librarian" / "tests" / "samples"
LIMIT = PATIENCE + 60.0  # seconds; more than a picture may take

DAY = "Originals/2024/2024-01-01"


def picture(thumbnails: Thumbnails, original: Original, size: Size = Size.SMALL) -> Image.Image | None:
    data = thumbnails.picture(original, size).result(LIMIT)
    while thumbnails._under_way:  # it is forgotten only after it is told; who asks before that is told the same again
        time.sleep(0.001)
    if data is None:
        return None
    image = Image.open(io.BytesIO(data))
    image.load()
    assert image.format == "JPEG" and max(image.size) <= size.side
    return image


def shown(thumbnails: Thumbnails, original: Original, size: Size = Size.SMALL) -> Image.Image:
    image = picture(thumbnails, original, size)
    assert image is not None, why(thumbnails, original, size)
    return image


def why(thumbnails: Thumbnails, original: Original, size: Size = Size.SMALL) -> str:
    return thumbnails.path(original.file_hash, size).with_suffix(".none").read_text()


def flag(width: int = 800, height: int = 600) -> Image.Image:
    """Blue, with a red upper left corner: it tells how it was turned."""
    image = Image.new("RGB", (width, height), (0, 0, 255))
    image.paste((255, 0, 0), (0, 0, width // 2, height // 2))
    return image


def as_file(image: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def is_upright(image: Image.Image) -> bool:
    """Whether the red corner is where `flag` has it, and nowhere else."""
    right, bottom = image.width - 1, image.height - 1
    at = [image.convert("RGB").getpixel((x, y)) for x, y in ((8, 8), (right - 8, 8), (8, bottom - 8))]
    return [isinstance(pixel, tuple) and pixel[0] > 150 > pixel[2] for pixel in at] == [True, False, False]


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """As a camera stores what EXIF's Orientation then puts right."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    return image.transpose(undo[orientation]) if orientation in undo else image


def with_orientation(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


# -- every kind ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("DSCN0010.jpg", "JPEG"), ("32-lens_data.jpeg", "JPEG"), ("Arbitro.tiff", "TIFF"), ("GIF.gif", "GIF"),
        ("PNG.png", "PNG"), ("QuickTime.heic", "HEIC"), ("samplefilehub.heif", "HEIF"), ("RIFF.webp", "WEBP"),
        ("FujiFilm.raf", "RAF"), ("Panasonic.rw2", "RW2"),
    ],
)  # fmt: skip
def test_samples(thumbnails: Thumbnails, put: PutIntoVault, name: str, kind: str) -> None:
    assert shown(thumbnails, put((SAMPLES / name).read_bytes(), kind)).mode == "RGB"


@pytest.mark.parametrize(
    ("form", "kind"), [("JPEG", "JPEG"), ("PNG", "PNG"), ("WEBP", "WEBP"), ("TIFF", "TIFF"), ("AVIF", "AVIF")]
)
@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
def test_photos_are_upright(thumbnails: Thumbnails, put: PutIntoVault, form: str, kind: str, orientation: int) -> None:
    stored = turned(flag(), orientation)
    image = shown(thumbnails, put(as_file(stored, form, exif=with_orientation(orientation)), kind))
    assert image.size == (400, 300) and is_upright(image)


def test_heic_is_upright(thumbnails: Thumbnails, put: PutIntoVault) -> None:
    pillow_heif.register_heif_opener()
    content = as_file(turned(flag(), 6), "HEIF", exif=with_orientation(6).tobytes(), quality=90)
    image = shown(thumbnails, put(content, "HEIC"))
    assert image.size == (400, 300) and is_upright(image)


@pytest.mark.parametrize(
    ("sample", "kind", "tag"),
    [
        ("CanonRaw.cr2", "CR2", "PreviewImage"), ("DNG.dng", "DNG", "PreviewImage"), ("Nikon.nef", "NEF", "JpgFromRaw"),
        ("Panasonic.rw2", "RW2", "JpgFromRaw"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("orientation", [1, 6, 8])
def test_raw_photos_by_their_preview(
    thumbnails: Thumbnails,
    put: PutIntoVault,
    plain_exiftool: PlainExifTool,
    tmp_path: Path,
    sample: str,
    kind: str,
    tag: str,
    orientation: int,
) -> None:
    preview, raw = tmp_path / "preview.jpg", tmp_path / sample
    preview.write_bytes(as_file(turned(flag(), orientation), "JPEG"))
    shutil.copy(SAMPLES / sample, raw)
    change = [f"-{tag}<={preview}", f"-IFD0:Orientation#={orientation}"]
    plain_exiftool.run("-q", "-q", "-m", "-overwrite_original", *change, raw)
    image = shown(thumbnails, put(raw.read_bytes(), kind))
    assert image.size == (400, 300) and is_upright(image)


@pytest.mark.parametrize(
    ("name", "kind", "codec"),
    [
        ("a.mp4", "MP4", "libx264"), ("a.mov", "MOV", "mpeg4"), ("a.avi", "AVI", "mjpeg"), ("a.mkv", "MKV", "libx264"),
        ("a.webm", "WEBM", "libvpx-vp9"), ("a.ts", "M2TS", "libx264"),
    ],
)  # fmt: skip
def test_videos_by_a_frame(
    thumbnails: Thumbnails, put: PutIntoVault, tmp_path: Path, name: str, kind: str, codec: str
) -> None:
    image = shown(thumbnails, put(video(tmp_path / name, codec), kind))
    assert image.size == (400, 300) and is_upright(image)


@pytest.mark.parametrize(("degrees", "orientation"), [(90, 6), (180, 3), (270, 8)])
def test_videos_are_upright(
    thumbnails: Thumbnails, put: PutIntoVault, tmp_path: Path, degrees: int, orientation: int
) -> None:
    content = video(tmp_path / "a.mp4", "libx264", turned(flag(), orientation))
    image = shown(thumbnails, put(with_rotation(content, degrees), "MP4"))
    assert image.size == (400, 300) and is_upright(image)


def video(path: Path, codec: str, picture: Image.Image | None = None, frames: int = 20) -> bytes:
    image = picture or flag()
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=Fraction(10))
        stream.width, stream.height = image.size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for _ in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_image(image)))  # type: ignore[no-untyped-call]
        container.mux(stream.encode())
    return path.read_bytes()


def with_rotation(content: bytes, degrees: int) -> bytes:
    """The matrix of the track's header (ISO/IEC 14496-12, 8.3.2) says how a player turns the film."""
    cos, sin = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    one = 1 << 16
    matrix = struct.pack(">9i", cos * one, sin * one, 0, -sin * one, cos * one, 0, 0, 0, 1 << 30)
    at = content.index(b"tkhd") + 4 + 40  # version 0: 40 bytes before the matrix
    return content[:at] + matrix + content[at + len(matrix) :]


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "I;16", "1"])
def test_png_of_every_mode(thumbnails: Thumbnails, put: PutIntoVault, mode: str) -> None:
    grey = Image.new("I;16", (600, 500), 40_000) if mode == "I;16" else flag().convert("L").convert(mode)
    image = shown(thumbnails, put(as_file(grey, "PNG"), "PNG"))
    if mode == "I;16":
        assert 150 < image.convert("L").getpixel((50, 50)) < 162  # type: ignore[operator]


def test_print_colours(thumbnails: Thumbnails, put: PutIntoVault) -> None:
    assert is_upright(shown(thumbnails, put(as_file(flag().convert("CMYK"), "JPEG"), "JPEG")))


def test_what_is_transparent_is_white(thumbnails: Thumbnails, put: PutIntoVault) -> None:
    image = shown(thumbnails, put(as_file(Image.new("RGBA", (500, 500), (0, 0, 0, 0)), "PNG"), "PNG"))
    assert image.getpixel((10, 10)) == (255, 255, 255)


def test_nothing_is_told_that_the_photo_knows(thumbnails: Thumbnails, put: PutIntoVault) -> None:
    exif = with_orientation(1)
    exif[0x010F] = "Secret Camera"
    image = shown(thumbnails, put(as_file(flag(), "JPEG", exif=exif, comment=b"secret"), "JPEG"), Size.LARGE)
    assert dict(image.getexif()) == {} and "comment" not in image.info


def test_a_large_size(thumbnails: Thumbnails, put: PutIntoVault) -> None:
    original = put(as_file(flag(4000, 3000), "JPEG"), "JPEG")
    assert shown(thumbnails, original, Size.LARGE).size == (1600, 1200)
    assert shown(thumbnails, original).size == (400, 300)


# -- what makes no picture ----------------------------------------------------------------------------------


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    data = zlib.compress(bytes(width * 4 + 1) * 64)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def progressive_jpeg(width: int, height: int) -> bytes:
    """In CMYK, of one colour: its one scan says of each block of each part that nothing changes, which is a bit."""

    def segment(marker: int, data: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data

    parts = (1, 2, 3, 4)
    blocks = len(parts) * -(-width // 8) * -(-height // 8)
    return b"".join(
        (
            b"\xff\xd8",
            segment(0xDB, bytes((0, *[1] * 64))),
            segment(0xC2, struct.pack(">BHHB", 8, height, width, 4) + b"".join(bytes((n, 0x11, 0)) for n in parts)),
            segment(0xC4, bytes((0, 1, *[0] * 15, 0))),  # the one code: 0
            segment(0xDA, bytes((4, *(byte for n in parts for byte in (n, 0)), 0, 0, 0))),
            bytes(blocks // 8 + 1),
            b"\xff\xd9",
        )
    )


JPEG = as_file(flag(), "JPEG")


@pytest.mark.parametrize(
    ("content", "kind", "reason"),
    [
        (b"", "JPEG", "cannot be read"),
        (b"", "MP4", "cannot be read"),
        (b"", "CR2", "carries no preview|ExifTool cannot"),
        (random.Random(1).randbytes(5000), "HEIC", "cannot be read"),
        (random.Random(2).randbytes(5000), "MP4", "cannot be read"),
        (random.Random(3).randbytes(5000), "NEF", "carries no preview|ExifTool cannot"),
        (JPEG[:50], "JPEG", "cannot be read"),
        (as_file(flag(), "PNG"), "JPEG", "cannot be read"),  # by its kind's reader, or not at all
        (b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", "MP4", "cannot be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "TIFF", "cannot be read"),
        (png(60_000, 60_000), "PNG", "too large to be shown: 60000 × 60000"),
        (JPEG + b"1", "JXL", "no picture is made of JXL"),
        (JPEG + b"2", "TXT", "no picture is made of TXT"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_no_picture(thumbnails: Thumbnails, put: PutIntoVault, content: bytes, kind: str, reason: str) -> None:
    original = put(content, kind)
    assert picture(thumbnails, original) is None
    assert any(word in why(thumbnails, original) for word in reason.split("|"))
    good = put(JPEG, "JPEG", "good")
    assert is_upright(shown(thumbnails, good))


def test_half_a_photo_is_shown(thumbnails: Thumbnails, put: PutIntoVault) -> None:
    content = (SAMPLES / "DSCN0010.jpg").read_bytes()
    assert shown(thumbnails, put(content[: len(content) // 2], "JPEG")).size == (400, 300)


@pytest.mark.slow  # it takes as much memory and time as a picture may
def test_what_needs_too_much_memory(fresh_thumbnails: Thumbnails, put: PutIntoVault) -> None:
    pixels = 10_900  # allowed; but progressive JPEGs are taken apart in memory as a whole
    original = put(progressive_jpeg(pixels, pixels), "JPEG")
    image = picture(fresh_thumbnails, original)
    assert image is not None or "memory" in why(fresh_thumbnails, original) or "ends" in why(fresh_thumbnails, original)
    assert is_upright(shown(fresh_thumbnails, put(JPEG, "JPEG", "good")))


def test_a_process_that_dies_is_replaced(storage: Path, put: PutIntoVault) -> None:
    process = PictureProcess(PATIENCE)
    fd = open_original(storage, put(JPEG, "JPEG").final_path)
    process.make(fd, "JPEG", 400, 80)
    assert process._process is not None
    os.kill(process._process.pid, signal.SIGKILL)
    process._process.wait()
    assert process.make(fd, "JPEG", 400, 80)
    os.close(fd)
    process.close()


def test_a_process_that_does_not_answer_is_ended(storage: Path, put: PutIntoVault) -> None:
    process = PictureProcess(time_limit=1.0)
    fd = open_original(storage, put(JPEG, "JPEG").final_path)
    process._start()
    stopped = process._process
    assert stopped is not None
    os.kill(stopped.pid, signal.SIGSTOP)
    with pytest.raises(NoPicture, match="longer than 1 s") as caught:
        process.make(fd, "JPEG", 400, 80)
    assert not caught.value.lasting, "it was given no time of a processor"
    assert stopped.returncode == -signal.SIGKILL
    os.close(fd)


# -- what is kept -------------------------------------------------------------------------------------------


def test_a_picture_is_made_once(thumbnails: Thumbnails, put: PutIntoVault, storage: Path) -> None:
    original = put(JPEG, "JPEG")
    futures = {thumbnails.picture(original, Size.SMALL) for _ in range(20)}
    wait(futures, LIMIT)
    kept = thumbnails.path(original.file_hash, Size.SMALL)
    assert kept == storage / "Derivatives" / "Thumbnails" / original.file_hash[:2] / f"{original.file_hash}.jpg"
    before = kept.stat()
    (storage / original.final_path).unlink()  # it is not needed any more
    assert picture(thumbnails, original) is not None
    assert kept.stat() == before or kept.stat().st_mtime_ns == before.st_mtime_ns
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]


def test_an_original_is_not_touched(thumbnails: Thumbnails, put: PutIntoVault, storage: Path) -> None:
    original = put(JPEG, "JPEG")
    path = storage / original.final_path
    before = path.stat()
    assert picture(thumbnails, original) is not None
    after = path.stat()
    assert path.read_bytes() == JPEG
    assert (after.st_mtime_ns, after.st_ctime_ns, after.st_ino) == (
        before.st_mtime_ns,
        before.st_ctime_ns,
        before.st_ino,
    )


def test_what_cannot_be_shown_is_tried_again_after_a_day(
    thumbnails: Thumbnails, put: PutIntoVault, storage: Path
) -> None:
    original = put(b"nothing", "JPEG")
    assert picture(thumbnails, original) is None
    note = thumbnails.path(original.file_hash, Size.SMALL).with_suffix(".none")
    (storage / original.final_path).write_bytes(JPEG)
    assert picture(thumbnails, original) is None
    later = Thumbnails(storage, threads=1)  # after a restart
    assert picture(later, original) is None
    a_day_ago = time.time() - TRY_AGAIN_AFTER
    os.utime(note, (a_day_ago, a_day_ago))
    assert picture(later, original) is not None
    later.close()


def test_an_original_that_is_away_is_no_lasting_matter(
    thumbnails: Thumbnails, put: PutIntoVault, storage: Path
) -> None:
    original = put(JPEG, "JPEG")
    (storage / original.final_path).rename(storage / "elsewhere")
    assert picture(thumbnails, original) is None
    assert not (storage / "Derivatives").exists()
    (storage / "elsewhere").rename(storage / original.final_path)
    thumbnails._hopeless.clear()
    assert picture(thumbnails, original) is not None


def test_without_room_pictures_are_made_each_time(thumbnails: Thumbnails, put: PutIntoVault, storage: Path) -> None:
    (storage / "Derivatives").write_text("in the way")
    original = put(JPEG, "JPEG")
    assert picture(thumbnails, original) is not None
    assert picture(thumbnails, original) is not None


def test_an_empty_file_left_by_a_power_cut_is_made_again(thumbnails: Thumbnails, put: PutIntoVault) -> None:
    original = put(JPEG, "JPEG")
    kept = thumbnails.path(original.file_hash, Size.SMALL)
    kept.parent.mkdir(parents=True)
    kept.touch()
    assert picture(thumbnails, original) is not None
    assert kept.stat().st_size > 0


# -- only what is in the vault ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "Originals/../secret.jpg", "Originals/./secret.jpg", "secret.jpg", "/etc/passwd", "Originals", "Originals/",
        "Originals//etc/passwd", "Derivatives/x", "", "../../../../etc/passwd", "Originals/secret.jpg", DAY,
        f"{DAY}/link.jpg", f"{DAY}/fifo", f"{DAY}/folder", f"{DAY}/folder/secret.jpg", f"{DAY}/../../../secret.jpg",
        "Originals/2025/2025-01-01/secret.jpg", "Originals/2026/2026-01-01/secret.jpg", f"{DAY}/\\x2e\\x2e",
    ],
)  # fmt: skip
def test_nothing_outside_the_vault_is_opened(storage: Path, path: str) -> None:
    outside = storage / "outside"
    for folder in (storage, outside, outside / "2026-01-01"):
        folder.mkdir(exist_ok=True)
        (folder / "secret.jpg").write_bytes(JPEG)
    day = storage / DAY
    (day / "folder").mkdir(parents=True)
    (day / "link.jpg").symlink_to(storage / "secret.jpg")
    os.mkfifo(day / "fifo")
    (storage / "Originals/2025").mkdir()
    (storage / "Originals/2025/2025-01-01").symlink_to(outside)
    (storage / "Originals/2026").symlink_to(outside)
    with pytest.raises(OSError, match=r"."):
        open_original(storage, path)


@pytest.mark.parametrize("sha256", ["../" * 21 + "x", "/etc/passwd", "A" * 64, ""])
def test_a_hash_that_is_none_leads_to_no_file(
    thumbnails: Thumbnails, put: PutIntoVault, storage: Path, sha256: str, caplog: pytest.LogCaptureFixture
) -> None:
    original = replace(put(JPEG, "JPEG"), file_hash=sha256)
    before = sorted(storage.rglob("*"))
    assert picture(thumbnails, original) is None
    assert thumbnails.kept(sha256, Size.SMALL) is None
    assert sorted(storage.rglob("*")) == before
    assert f"row of {original.final_path!r} is not believed" in caplog.text


def test_names_that_are_no_text(thumbnails: Thumbnails, storage: Path) -> None:
    (storage / DAY).mkdir(parents=True)
    folder = os.fsencode(storage / DAY)
    with open(folder + b"/caf\xe9 \\ \n.jpg", "wb") as file:
        file.write(JPEG)
    assert picture(thumbnails, Original("a" * 64, f"{DAY}/caf\\xe9 \\\\ \n.jpg", "JPEG")) is not None
