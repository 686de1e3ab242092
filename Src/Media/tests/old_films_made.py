"""Makes AVI, GIF and MPEG files for tests, whole ones and odd ones."""

import struct
from datetime import datetime

from hypothesis import strategies as st
from PIL import ImageCms

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    'xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" '
    'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:xmpDM="http://ns.adobe.com/xmp/1.0/DynamicMedia/" {}/>'
    "</rdf:RDF></x:xmpmeta>"
)

# -- AVI --------------------------------------------------------------------------------------------------


def chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def listed(form: bytes, *chunks: bytes) -> bytes:
    return chunk(b"LIST", form + b"".join(chunks))


def avi(*chunks: bytes) -> bytes:
    return chunk(b"RIFF", b"AVI " + b"".join(chunks))


def header(width: int = 320, height: int = 240, frames: int = 50) -> bytes:
    numbers = [40_000, 0, 0, 16, frames, 0, 1, 0, width, height, 0, 0, 0, 0]
    return chunk(b"avih", struct.pack("<14I", *numbers))


def stream(kind: bytes = b"vids", width: int = 320, height: int = 240, *more: bytes, length: int = 50) -> bytes:
    head = struct.pack("<4s4s10I8x", kind, b"MJPG", 0, 0, 0, 1, 25, 0, length, 0, 0, 0)
    form = struct.pack("<IiiHH4sIIIII", 40, width, height, 1, 24, b"MJPG", 0, 0, 0, 0, 0)
    return listed(b"strl", chunk(b"strh", head), chunk(b"strf", form), *more)


def film(*behind: bytes, inside: bytes = b"") -> bytes:
    return avi(listed(b"hdrl", header(), stream(), inside), listed(b"movi", chunk(b"00dc", bytes(99))), *behind)


DATES = st.one_of(
    st.datetimes(datetime(1900, 1, 1), datetime(2030, 1, 1)).flatmap(
        lambda moment: st.sampled_from(
            [
                f"{moment:%a %b %d %H:%M:%S %Y}", f"{moment:%a %b %e %H:%M:%S %Y}", f"{moment:%Y/%m/%d %H:%M:%S}",
                f"{moment:%Y/%m/%d/ %H:%M}", f"{moment:%Y/%e/%d  %I:%M%p}", f"{moment:%Y-%m-%d  %H:%M:%S}",
                f"{moment:%Y:%m:%d %H:%M:%S}", f"{moment:%A %B %d %H:%M:%S %Y}", f"{moment:%Y-%m-%dT%H:%M:%S}",
                f"{moment:%a %b %d %H:%M:%S %Y}".upper(), f"{moment:%d %b %Y}", f"{moment:%Y/%m/%d %H:%M}",
            ]
        )
    ),
    st.sampled_from(["", "2003", "Mon Foo 10 15:04:43 2003", "0000/00/00 00:00:00", "x", "Mon Mar 0 0:0:0 0", "é"]),
)  # fmt: skip
ENDS = st.sampled_from([b"", b"\0", b"\n\0", b" \0", b"\0\0\0", b"\nx"])
SIDES = st.sampled_from([0, 1, 320, 1920, 2**31 - 1])
DATE_CHUNK = st.builds(lambda date, end: chunk(b"IDIT", date.encode() + end), DATES, ENDS)
HEADER_PARTS = st.one_of(
    DATE_CHUNK,
    st.builds(header, SIDES, SIDES, st.sampled_from([0, 1, 50, 2**32 - 1])),
    st.builds(
        lambda kind, width, height, more: stream(kind, width, height, *more),
        st.sampled_from([b"vids", b"vids", b"auds", b"txts", b"iavs", b"vid\0"]),
        SIDES,
        st.one_of(SIDES, st.sampled_from([-240, -(2**31)])),
        st.lists(
            st.sampled_from([
                chunk(b"strn", b"Film\0"), chunk(b"strd", b"Text"), chunk(b"strd", b"AVIF0000II*\0"),
                chunk(b"strd", bytes(20)), chunk(b"strd", b"Zora\0Maker\0"), chunk(b"vprp", bytes(60)),
                chunk(b"JUNK", b"OLYMDigital Camera"), chunk(b"strf", bytes(39)), chunk(b"strh", b"auds"),
                chunk(b"strf", struct.pack("<III", 40, 7, 8)),
            ]),
            max_size=2,
        ),
    ),
    st.sampled_from([
        listed(b"odml", chunk(b"dmlh", struct.pack("<I", 75))), chunk(b"JUNK", bytes(30)), chunk(b"avih", bytes(36)),
        listed(b"INFO", chunk(b"IDIT", b"2003/03/10 15:04:00\0")), chunk(b"ISMP", b"0:00"), chunk(b"IDIT", b""),
    ]),
)  # fmt: skip
INFO_PARTS = st.one_of(
    st.builds(lambda date, end: chunk(b"ICRD", date.encode() + end), DATES, ENDS),
    st.sampled_from([
        chunk(b"ISFT", b"Lavf59\0"), chunk(b"IRTD", b"4\0"), chunk(b"INAM", b"Error"), chunk(b"DTIM", b"1 2\0"),
        chunk(b"IDIT", b"2003/03/10 15:04:00\0"), chunk(b"TLEN", b"9000\0"), chunk(b"LANG", b"Make\0"), b"xxxx",
        chunk(b"IART", b"\xe9\0"), chunk(b"abcd", b""),
    ]),
)  # fmt: skip
ATTRIBUTES = st.lists(
    st.sampled_from(
        [
            'xmp:Rating="4"', 'xmp:CreateDate="2004-05-06T07:08:09"', 'tiff:Make="Maker"', 'tiff:ImageWidth="18"',
            'xmpDM:duration="7"', 'exif:DateTimeOriginal="2004-05-06T07:08:09.5+02:00"', 'tiff:Model="M"',
            'exif:GPSLatitude="10,20.5S" exif:GPSLongitude="7,0.1E"', 'photoshop:DateCreated="2003"',
        ]
    ),
    max_size=2,
    unique=True,
)  # fmt: skip
XMPS = ATTRIBUTES.map(lambda attributes: XMP.format(" ".join(attributes)).encode())
NOTES = b"PENTAX \0MM" + struct.pack(">HHHIHHI", 1, 6, 7, 4, 0x07D9, 0x0A1B, 0)
TOP_PARTS = st.one_of(
    st.lists(INFO_PARTS, max_size=3).map(lambda parts: listed(b"INFO", *parts)),
    XMPS.map(lambda packet: chunk(b"_PMX", packet)),
    DATE_CHUNK,
    st.sampled_from([
        chunk(b"JUNK", b"OLYMDigital Camera\0\0" + bytes(200)), chunk(b"JUNK", b"some text\0"),
        chunk(b"JUNK", bytes(9)),
        chunk(b"JUNK", b"PENTDigital Camera\0\0Maker\0" + bytes(300)), chunk(b"JUNK", b"IIII\1\0" + b"Model" * 9),
        chunk(b"JUNK", b"QVMI" + bytes(6) + b"\0\1" + bytes(30)), chunk(b"JUNK", b""), chunk(b"idx1", bytes(16)),
        chunk(b"idx1", b""), chunk(b"abcd", b"x"), listed(b"movi"), listed(b"hydt", chunk(b"hymn", NOTES)),
        listed(b"hydt", chunk(b"hymn", NOTES.replace(b"\0\6\0\7", b"\2\x3f\0\2"))), listed(b"rec ", b"x"),
        listed(b"ncdt", chunk(b"nctg", struct.pack("<HH6sHH2s", 3, 6, b"NIKON\0", 4, 2, b"D5"))),
        listed(b"exif", chunk(b"ecor", b"Maker\0"), chunk(b"emdl", b"Model\0")), chunk(b"RIFF", b"AVIX"),
        chunk(b"CSET", bytes(8)), listed(b"Tdat", chunk(b"tc_O", bytes(18))), listed(b"JUNK", b"OLYM" + bytes(9)),
        chunk(b"RIFF", b"AVI " + listed(b"hdrl", header(7, 8))), b"LIST\2\0\0\0ab", b"end",
        chunk(b"RIFF", b"AVIX" + listed(b"movi", bytes(8)) + chunk(b"ix00", bytes(8))),
    ]),
)  # fmt: skip
AVIS = st.builds(
    lambda first, parts, before, behind: avi(*before, listed(b"hdrl", *first, *parts), *behind),
    st.sampled_from([[header(), stream()], [header()], [stream()], []]),
    st.lists(HEADER_PARTS, max_size=3),
    st.lists(TOP_PARTS, max_size=1),
    st.lists(TOP_PARTS, max_size=3),
)

# -- GIF --------------------------------------------------------------------------------------------------


def blocks(data: bytes) -> bytes:
    return b"".join(bytes([len(data[at : at + 255])]) + data[at : at + 255] for at in range(0, len(data), 255)) + b"\0"


def application(name: bytes, content: bytes) -> bytes:
    return b"!\xff" + bytes([len(name)]) + name + content


def gif_xmp(packet: bytes, end: bytes = b'<?xpacket end="w"?>') -> bytes:
    landing = b"\1" + bytes(range(255, -1, -1)) + b"\0"
    return application(b"XMP DataXMP", packet + end + landing)


def graphic_control(delay: int) -> bytes:
    return b"!\xf9\4" + struct.pack("<BHB", 4, delay, 0) + b"\0"


PICTURE = b"," + struct.pack("<HHHHB", 0, 0, 4, 3, 0) + b"\2" + blocks(b"\x84\x8f\xa9\xcb")


def gif(*parts: bytes, flags: int = 0, width: int = 4, height: int = 3, end: bytes = b";") -> bytes:
    colours = bytes(3 * (2 << (flags & 7))) if flags & 0x80 else b""
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, flags, 0, 0)
    return head + colours + b"".join(parts) + end


GIF_PARTS = st.one_of(
    st.integers(0, 65535).map(graphic_control),
    st.builds(lambda size: b"," + bytes(9) + b"\2" + blocks(bytes(size)), st.sampled_from([0, 1, 255, 256, 3000])),
    st.builds(lambda flags: b"," + bytes(8) + bytes([flags]) + bytes(3 * (2 << (flags & 7))) + b"\2" + blocks(b"x"),
              st.sampled_from([0x80, 0x87, 0xC1])),
    XMPS.map(gif_xmp),
    st.sampled_from([
        application(b"NETSCAPE2.0", b"\3\1\0\0\0"), application(b"ANIMEXTS1.0", b"\3\1\0\0\0"),
        b"!\xfe" + blocks(b"text"),
        b"!\xfe\0", b"!\xfe" + blocks(bytes(700)), application(b"MIDICTRLJon", blocks(b"ab")), b"!\xf9\0",
        application(b"ICCRGBG1012", blocks(bytes(200))), application(b"NETSCAPE2", b"\0"),
        application(b"ICCRGBG1012", blocks(PROFILE)),
        b"!\1\x0c" + bytes(12) + b"\0",
        b"!\x42" + blocks(b"other"), b"\0", b"x", PICTURE, gif_xmp(b"<x/>", b""), b"!\xf9\5" + bytes(5) + b"\0",
    ]),
)  # fmt: skip
GIFS = st.builds(
    lambda parts, flags, width, height, end: gif(*parts, flags=flags, width=width, height=height, end=end),
    st.lists(GIF_PARTS, max_size=6),
    st.sampled_from([0, 0x80, 0xF7]),
    st.integers(0, 65535),
    st.integers(0, 65535),
    st.sampled_from([b";", b";", b";trailer", b"", b";;"]),
)

# -- MPEG -------------------------------------------------------------------------------------------------

PACK = bytes.fromhex("000001ba2100010001800001")


def sequence(width: int = 352, height: int = 288, shape: int = 1, rate: int = 3) -> bytes:
    return b"\0\0\1\xb3" + struct.pack(">I", width << 20 | height << 8 | shape << 4 | rate) + b"\xff\xff\xe0\x18"


def packet(number: int, content: bytes, seconds: float | None = None) -> bytes:
    """As MPEG-1 has it: perhaps a time, then content."""
    time = b"\x0f"
    if seconds is not None:
        clock = round(seconds * 90_000)
        time = bytes(
            [
                0x21 | clock >> 29 & 0x0E,
                clock >> 22 & 255,
                clock >> 14 & 254 | 1,
                clock >> 7 & 255,
                clock << 1 & 254 | 1,
            ]
        )
    return b"\0\0\1" + bytes([number]) + struct.pack(">H", len(time + content)) + time + content


GROUP = b"\0\0\1\xb8" + bytes(4)
MPEG_PARTS = st.one_of(
    st.builds(sequence, st.integers(0, 4095), st.integers(0, 4095), st.integers(0, 15), st.integers(0, 15)),
    st.builds(
        lambda seconds, number: packet(0xE0, GROUP + b"\0\0\1\0" + bytes([number]) + b"\x88", seconds),
        st.one_of(st.none(), st.floats(0, 5000)),
        st.integers(0, 9),
    ),
    st.sampled_from([
        PACK, packet(0xC0, b"\xff\xfd\xa4\0" + bytes(50), 1.0), packet(0xC0, b"\xff\xfb\x90\x64" + bytes(90)),
        packet(0xBE, bytes(30)), b"\0\0\1\xbb\0\x0c" + bytes(12), b"\0\0\1\xb9", bytes(300), b"\xff\xfb\x90\x64",
        b"\0\0\1\xc0", b"\0\0\1\xb3", b"\xff" * 20,
    ]),
)  # fmt: skip
MPEGS = st.builds(
    lambda start, parts, end: start + b"".join(parts) + end,
    st.sampled_from([PACK, PACK + sequence(), sequence(), b"\0\0\1\xba\x47" + PACK[5:] + sequence()]),
    st.lists(MPEG_PARTS, max_size=6),
    st.sampled_from([bytes(40), b""]),
)
