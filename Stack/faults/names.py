"""A fuzzer of file names: all that a filesystem takes, and most of all what somebody will take for something else."""

from __future__ import annotations

import os
import random
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from Stack.faults.formats import png, tiny_jpeg
from Stack.faults.given import Fate, Given, give

_LONGEST = 255  # bytes, on every common filesystem
_ENDINGS = (b".jpg", b".JPG", b".jpeg", b".heic", b".mov", b".xmp", b".jpg.xmp", b".txt", b"", b".", b" ", b".jpg ")
_PIECES = (
    *(b"\n", b"\r\n", b"\t", b"\x07", b"\x7f", b"\x1b[31m", b"\x1b[2J", b"\x1b]0;title\x07", b"\xc2\x9b31m"),
    *(b"-", b"--", b"-execute\n", b"-@", b"-o", b"{ready1}", b"#[CSTR]", b"@", b"&", b"|", b";", b"$(reboot)", b"`id`"),
    *(b"'", b'"', b"\\", b"\\\\", b"\\x41", b"\\n", b"%s", b"%(name)s", b"{0}", b"${HOME}", b"'; DROP TABLE x"),
    *(b"*", b"?", b"[a-z]", b"[!", b"[", b"]", b"{a,b}", b"~", b"!", b"#", b":", b"<", b">", b"^", b"=", b",", b" "),
    *(b"\xff", b"\xfe", b"\xc3", b"\xe2\x82", b"\xed\xa0\x80", b"\xed\xb2\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf"),
    *("\u202e", "\u202d", "\u2066", "\u200f", "\u200b", "\ufeff", "\u2028", "\u2029", "\u0085", "\u00a0", "\ufffe"),
    *("é", "e\u0301", "Å", "A\u030a", "\u212b", "ﬁ", "ß", "ẞ", "İ", "ı", "ſ", "Σ", "ς", "\u1e9b\u0323", "한"),
    *("日本", "עברית", "العربية", "📷", "🏳️‍🌈", "\U0010ffff", "\u0300" * 20, "１", "Ｊ", "／", "．．"),
    *(b"IMG_0001", b"img_0001", b"IMG_0001_1", b"DSC0", b"photo", b"_1", b"_2", b"1", b"(1)", b"a", b"A", b"~1"),
    *(b"20231225_123456", b"2024-02-30", b"99999999_999999", b"1" * 40, b"0000-00-00", b"20991231", b"1970-01-01"),
    *(b".sync-conflict-20240101-120000-ABCDEFG", b".factory-", b".photo-factory-vault", b".jpg", b".", b".."),
)  # fmt: skip
_FIXED = (
    *(b"...", b".. ", b"..\n", b"..jpg", b". .", b" ", b"  ", b"-", b"--", b"--help", b"~", b"*", b"?", b"\\", b"\n"),
    *(b"CON", b"con.jpg", b"NUL", b"nul.jpg", b"AUX.jpg", b"PRN", b"COM1", b"com1.jpg", b"LPT9.txt", "COM¹".encode()),
    *(b"CLOCK$", b"CONIN$", b"a:b.jpg", b"a.jpg:stream", b"$MFT", b"lost+found", b"thumbs.db.jpg", b"Icon\r"),
    *(b".factory-0123456789abcdef", b".factory-", b".photo-factory-vault", b".syncthing.IMG_1.jpg.tmp", b".DS_Store"),
    *(b"~syncthing~IMG_1.jpg.tmp", b"Thumbs.db", b"DESKTOP.INI", b"@eaDir", b"a.part", b"a.CRDOWNLOAD", b"a.jpg.tmp"),
    *(b"._IMG_1.jpg", b".stfolder", b".nomedia", b".jpg", b"a.tmp.jpg", b"a.parts", b"tmp", b"a.jpg.tmp "),
    *(b"factory", b"journal", b"copying", b"vault.lock", b"NULL", b"None", b"null", b"true", b"0", b"nan", b"-1"),
)  # fmt: skip
_FOLDERS = (
    *(b"plain", b"\x1b[31mred", b"new\nline", b"-rf", b"latin-1 \xe9t\xe9", b" ", b"...", b"*", b"a.jpg", b"%s"),
    *("\u202egpj".encode(), "e\u0301".encode(), "é".encode(), b"\\x41", b"CON", b".hidden", b"half.part", b"y" * 255),
)


def give_names(inbox: Path, chance: random.Random, count: int) -> Iterator[Given]:
    """Tiny photos, like no other each, and some that are none; nearly all in one folder."""
    given = 0
    for path in _paths(chance):
        if given == count:
            return
        content, fate = _content(given, chance)
        if _left_alone(path):
            fate = "ignored"
        try:
            os.makedirs(os.path.join(os.fsencode(inbox), os.path.dirname(path)), exist_ok=True)
            one = give(inbox, path, content, fate)
        except OSError:  # taken already, or no name for this filesystem
            continue
        given += 1
        yield one


def _content(number: int, chance: random.Random) -> tuple[bytes, Fate]:
    kind = chance.random()
    if kind < 0.90:
        return tiny_jpeg(number), "filed"
    if kind < 0.95:  # which only ExifTool reads: the name goes through its argument file
        return png() + b"%d" % number, "filed"
    return b"no photo, number %d\n" % number, "stays"


def _left_alone(path: bytes) -> bool:
    """Hidden, half-done and system's own names are no content, whatever is in them (docs: the watcher's rule)."""
    *folders, name = path.lower().split(b"/")
    return (
        name.startswith(b".")
        or name.endswith((b".part", b".crdownload", b".tmp"))
        or name in (b"thumbs.db", b"desktop.ini")
        or any(folder.startswith(b".") or folder in (b"@eadir", b"lost+found") for folder in folders)
    )


def _paths(chance: random.Random) -> Iterator[bytes]:
    """Endless, and not without repetitions."""
    yield from _FIXED
    recent: list[bytes] = list(_FIXED)
    while True:
        name = chance.choice((_pieces, _pieces, _noise, _long, _relative_of))(chance, recent)
        name = name.replace(b"/", b"").replace(b"\0", b"")[:_LONGEST]
        if name in (b"", b".", b".."):
            continue
        recent = [*recent[-200:], name]
        yield os.path.join(chance.choice(_FOLDERS), name) if chance.random() < 0.02 else name


def _pieces(chance: random.Random, _: list[bytes]) -> bytes:
    pieces = chance.choices(_PIECES, k=chance.randint(1, 6))
    return b"".join(one.encode() if isinstance(one, str) else one for one in pieces) + chance.choice(_ENDINGS)


def _noise(chance: random.Random, _: list[bytes]) -> bytes:
    return chance.randbytes(chance.choice((1, 2, 3, 8, 64, 255))) + chance.choice(_ENDINGS)


def _long(chance: random.Random, _: list[bytes]) -> bytes:
    """As long as a name can be; names that differ only where a suffix must go."""
    ending = chance.choice(_ENDINGS)
    stem = chance.choice(("x", "é", "日", "📷", "e\u0301", "X")).encode() * _LONGEST
    tail = b"%d" % chance.randrange(1000)
    return stem[: _LONGEST - len(ending) - len(tail)] + tail + ending


def _relative_of(chance: random.Random, recent: list[bytes]) -> bytes:
    """A name that some system takes for the same as another."""
    name = chance.choice(recent)
    decoded = name.decode("utf-8", "surrogateescape")
    form = chance.randrange(6)
    if form == 0:
        return name.swapcase()
    if form == 1:
        return name + chance.choice((b".", b" ", b". .", b"..."))
    if form == 2:
        stem, dot, ending = name.rpartition(b".")
        return stem + b"_1" + dot + ending
    other = (decoded.upper(), unicodedata.normalize("NFC", decoded), unicodedata.normalize("NFD", decoded))[form - 3]
    return other.encode("utf-8", "surrogateescape")
