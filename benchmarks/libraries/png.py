"""Screenshots (PNG, ISO/IEC 15948): rows that are the same each time, but for the last."""

from __future__ import annotations

import struct
import zlib

from benchmarks.libraries import pieces

Chunk = tuple[bytes, bytes]  # name and data


def screenshot(width: int, height: int, number: int, *before: Chunk, piece: int = 8192) -> bytes:
    """Screenshot `number`, its picture data in pieces of a size, after these chunks."""
    packed, checksum = pieces.rows_of_screenshot(width, height)
    row = b"\0" + number.to_bytes(4, "big") + bytes(3 * width - 4)
    packer = zlib.compressobj(wbits=-15)
    packed += packer.compress(row) + packer.flush() + zlib.adler32(row, checksum).to_bytes(4, "big")
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = [(b"IDAT", packed[at : at + piece]) for at in range(0, len(packed), piece)]
    chunks = [(b"IHDR", header), *before, *data, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, chunks))


def _chunk(chunk: Chunk) -> bytes:
    name, data = chunk
    return struct.pack(">I", len(data)) + name + data + zlib.crc32(name + data).to_bytes(4, "big")
