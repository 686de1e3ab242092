"""Kinds that are known by how they begin: containers and raw streams of video, and a few kinds of photo."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_VIDEO = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")
_MXF = bytes.fromhex("060e2b34020501010d0102")
# Theora, Dirac, VP8, OGM, Daala: what the first page of a stream of pictures says.
_OGG_VIDEO = (b"\x80theora", b"BBCD\0", b"OVP80", b"\x01video", b"\x80daala")
_BITMAP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
_H264_PROFILES = (66, 77, 88, 100, 110, 122, 244, 44, 83, 86, 118, 128)
_H264_START = re.compile(rb"\0{0,3}\0\0\x01(?:\x09.\0{0,3}\0\0\x01)?[\x27\x47\x67](.)", re.DOTALL)
_H264_PICTURE = re.compile(rb"\0\0\x01[\x28\x48\x68]")
_HEVC_START = re.compile(rb"\0{0,3}\0\0\x01(?:\x46\x01.\0{0,3}\0\0\x01)?\x40\x01", re.DOTALL)
_HEVC_PICTURE = re.compile(rb"\0\0\x01\x42\x01.*\0\0\x01\x44\x01", re.DOTALL)


def kind_by_signature(head: bytes) -> str | None:
    """The kind of a file that begins so."""
    return next((kind for kind, is_it in _TESTS.items() if is_it(head)), None)


def _is_bitmap(head: bytes) -> bool:
    if head[:2] != b"BM" or len(head) < 30:
        return False
    size, (reserved,) = int.from_bytes(head[14:18], "little"), struct.unpack_from("<I", head, 6)
    planes = head[22:24] if size == 12 else head[26:28]
    return size in _BITMAP_HEADERS and planes == b"\1\0" and (reserved == 0 or head[2:6] != b"\0\0\0\0")


def _is_program_stream(head: bytes) -> bool:
    """ISO/IEC 11172-1 and 13818-1: a pack, whose fixed bits are as they must be; or pictures alone."""
    if head[:4] == b"\0\0\1\xba" and len(head) > 12:
        first_version = head[4] & 0xF1 == 0x21 and head[6] & 1 and head[8] & 1
        return bool(first_version or (head[4] & 0xC4 == 0x44 and head[6] & 4 and head[8] & 4 and head[9] & 1))
    if head[:4] != b"\0\0\1\xb3" or len(head) < 12:
        return False
    width, height = head[4] << 4 | head[5] >> 4, (head[5] & 0x0F) << 8 | head[6]
    shape, rate = head[7] >> 4, head[7] & 0x0F
    return bool(width and height and 1 <= shape <= 14 and 1 <= rate <= 8 and head[10] & 0x20)


def _is_ogg_video(head: bytes) -> bool:
    """Whether one of the streams that begin in the first pages is one of pictures."""
    position = 0
    while head[position : position + 4] == b"OggS" and len(head) >= position + 27 and head[position + 5] & 2:
        count = head[position + 26]
        content = position + 27 + count
        if head[content : content + 8].startswith(_OGG_VIDEO):
            return True
        position = content + sum(head[position + 27 : content])
    return False


def _is_flash_video(head: bytes) -> bool:
    """Its flags name sound and pictures; some programs leave them empty."""
    return head[:4] == b"FLV\1" and head[5:9] == b"\0\0\0\x09" and head[4] & 0xFA == 0 and head[4] != 4


def _is_dv(head: bytes) -> bool:
    """IEC 61834: a header block, subcode blocks, auxiliary data, each 80 bytes."""
    if len(head) < 320 or head[:3] != b"\x1f\x07\0" or head[3] not in (0x3F, 0xBF):
        return False
    return head[80] & 0xE0 == 0x20 and head[240] & 0xE0 == 0x40


def _is_h264(head: bytes) -> bool:
    found = _H264_START.match(head)
    return found is not None and found[1][0] in _H264_PROFILES and _H264_PICTURE.search(head) is not None


def _is_hevc(head: bytes) -> bool:
    return _HEVC_START.match(head) is not None and _HEVC_PICTURE.search(head) is not None


_TESTS: dict[str, Callable[[bytes], bool]] = {
    "BMP": _is_bitmap,
    "PSD": lambda head: head[:6] == b"8BPS\0\1",
    "PSB": lambda head: head[:6] == b"8BPS\0\2",
    "J2C": lambda head: head[:5] == b"\xff\x4f\xff\x51\0",
    "CRW": lambda head: head[:2] in (b"II", b"MM") and head[6:14] in (b"HEAPCCDR", b"HEAPJPGM"),
    "MRW": lambda head: head[:4] in (b"\0MRM", b"\0MRI"),
    "X3F": lambda head: head[:4] == b"FOVb",
    "MPEG": _is_program_stream,
    "WMV": lambda head: head[:16] == _ASF and _ASF_VIDEO in head,
    "FLV": _is_flash_video,
    "OGV": _is_ogg_video,
    "MXF": lambda head: head[:11] == _MXF,
    "RM": lambda head: head[:4] == b".RMF" and b"video/x-pn-" in head,
    "DV": _is_dv,
    "H264": _is_h264,
    "HEVC": _is_hevc,
    "R3D": lambda head: head[:2] == b"\0\0" and head[4:8] in (b"RED1", b"RED2"),
}
