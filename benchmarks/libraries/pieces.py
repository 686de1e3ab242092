"""What encoders make: pictures and clips of a wanted size. Kept between runs, for encoders are slow."""

from __future__ import annotations

import hashlib
import io
import os
import random
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pillow_heif
from PIL import Image, ImageFilter

from benchmarks.case import NotPossible

FOLDER = Path(tempfile.gettempdir()) / f"photo-factory-benchmarks-{os.getuid()}"
_BLOCK = 1_000_000


def kept(what: str, make: Callable[[], bytes]) -> bytes:
    """The bytes known by the name `what`, made only where they are not kept."""
    file = FOLDER / hashlib.sha256(what.encode()).hexdigest()[:24]
    if not file.exists():
        FOLDER.mkdir(mode=0o700, exist_ok=True)
        made = make()
        beside = file.with_suffix(".new")
        beside.write_bytes(made)
        beside.rename(file)
    return file.read_bytes()


def noise(size: int, seed: str) -> bytes:
    """Bytes that look like compressed picture data and hold no JPEG marker."""
    return random.Random(seed).randbytes(min(size, _BLOCK)).replace(b"\xff", b"\xfe") * (size // _BLOCK + 1)


def filled(content: bytes, size: int, seed: str) -> bytes:
    """Content with picture data after it, `size` bytes in all at least."""
    missing = max(0, size - len(content))
    return content + noise(missing, seed)[:missing]


def picture(width: int, height: int, seed: int = 1) -> Image.Image:
    """Clouds and grain, as much as a real photo is hard to compress."""
    chance = random.Random(seed)
    clouds = Image.frombytes("RGB", (16, 12), chance.randbytes(16 * 12 * 3)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    grain = Image.effect_noise((width // 2, height // 2), 40).resize((width, height)).filter(ImageFilter.SMOOTH)
    return Image.blend(clouds, grain.convert("RGB"), 0.35)


def jpeg(width: int, height: int, size: int, *, progressive: bool = False) -> bytes:
    """A JPEG of that many pixels and about so many bytes: JFIF header, then picture data."""

    def make() -> bytes:
        image = picture(width, height)
        low, high = 5, 99
        while high - low > 2:
            middle = (low + high) // 2
            low, high = (middle, high) if len(_encoded(image, middle, progressive)) < size else (low, middle)
        return _encoded(image, low, progressive)

    return kept(f"jpeg 1 {width} {height} {size} {progressive}", make)


def _encoded(image: Image.Image, quality: int, progressive: bool) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality, progressive=progressive)
    return stream.getvalue()


def rows_of_screenshot(width: int, height: int) -> tuple[bytes, int]:
    """The rows of a PNG (RGB, filter 0) but the last: compressed, not ended, and their Adler-32."""

    def make() -> bytes:
        screen = Image.new("RGB", (width, height), (250, 250, 252))
        photo = picture(width // 2, height // 4)
        screen.paste(photo, (width // 4, height // 8))
        data = screen.tobytes()
        rows = b"".join(b"\0" + data[at : at + 3 * width] for at in range(0, 3 * width * (height - 1), 3 * width))
        packer = zlib.compressobj(6)
        packed = packer.compress(rows) + packer.flush(zlib.Z_FULL_FLUSH)
        return zlib.adler32(rows).to_bytes(4, "big") + packed

    made = kept(f"rows 1 {width} {height}", make)
    return made[4:], int.from_bytes(made[:4], "big")


def heic(width: int, height: int) -> bytes:
    """What pillow-heif makes of a picture: one HEVC image in ISO media."""

    def make() -> bytes:
        stream = io.BytesIO()
        heif = pillow_heif.from_pillow(picture(width, height))
        heif.save(stream, quality=60)
        return stream.getvalue()

    return kept(f"heic 1 {width} {height}", make)


def clip(ending: str, *arguments: str, seconds: int, size: str = "1920x1080") -> bytes:
    """A film that ffmpeg encodes, moving picture and sound. Raises NotPossible."""

    def make() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / f"clip.{ending}"
            run(
                "ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc2=size={size}:rate=30",
                "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
                "-t", str(seconds), *arguments, str(target),
            )  # fmt: skip
            return target.read_bytes()

    return kept(f"clip 1 {ending} {arguments} {seconds} {size}", make)


def with_tags_of(source: Path, content: bytes, *arguments: str) -> bytes:
    """A JPEG into which ExifTool copies all that a real photo or raw photo says, maker notes and all."""

    def make() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "photo.jpg"
            target.write_bytes(content)
            copied = ("-TagsFromFile", str(source), "-all:all", "-MakerNotes", "-unsafe", "-ThumbnailImage")
            run("exiftool", "-q", "-q", "-m", "-overwrite_original", *copied, *arguments, str(target))
            return target.read_bytes()

    digest = hashlib.sha256(content + source.read_bytes()).hexdigest()
    return kept(f"tags 1 {digest} {arguments}", make)


def run(program: str, *arguments: str) -> None:
    """Raises NotPossible where the program is not here or fails."""
    command: Sequence[str] = (program, *arguments)
    try:
        subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise NotPossible(f"{program} is not installed") from error
    except subprocess.CalledProcessError as error:
        raise NotPossible(f"{program} failed: {error.stderr.decode(errors='replace').strip()}") from error
