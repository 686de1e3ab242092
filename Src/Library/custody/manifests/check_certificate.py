#!/usr/bin/env python3
"""Checks a certificate of Photo Factory, without Photo Factory: Python 3.8 or newer and nothing else.

    python3 check_certificate.py CERTIFICATE.json [PUBLIC_KEY] [--photo FILE]

PUBLIC_KEY: the key that you noted elsewhere (RWQ...). Without it the key in the certificate is believed, which a forger
could have put there. FILE: the photo itself. Exit code 0: each event in it and the line of the file are signed. 1:
something is wrong, or not all of it is proven. 2: it cannot be checked.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import sys
from typing import Any, Tuple

# Ed25519 (RFC 8032, 5.1), to verify only

Point = Tuple[int, int, int, int]

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def recover_x(y: int, sign: int) -> int | None:
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    return P - x if x & 1 != sign else x


def point(data: bytes) -> Point | None:
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    x = recover_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


def add(one: Point, other: Point) -> Point:
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c, d = 2 * one[3] * other[3] * D % P, 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(number: int, one: Point) -> Point:
    result: Point = (0, 1, 1, 0)
    while number:
        if number & 1:
            result = add(result, one)
        one, number = add(one, one), number >> 1
    return result


Y = 4 * pow(5, P - 2, P) % P
X = recover_x(Y, 0) or 0
BASE = (X, Y, 1, X * Y % P)


def ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature is right."""
    if len(public) != 32 or len(signature) != 64:
        return False
    a, r, s = point(public), point(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    left, right = times(s, BASE), add(r, times(h, a))
    return all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))


# minisign (https://jedisct1.github.io/minisign/)


def is_signed(key: str, content: bytes, signature: str, path: str) -> bool:
    """Whether a signature file is of this content, under this name, by this key."""
    lines = signature.split("\n")
    try:
        public, data, whole = (base64.b64decode(one, validate=True) for one in (key, lines[1], lines[3]))
    except (ValueError, IndexError):
        return False
    if len(public) != 42 or public[:2] != b"Ed" or len(data) != 74 or data[:2] != b"ED" or data[2:10] != public[2:10]:
        return False
    if lines[2] != "trusted comment: " + path:
        return False
    comment = path.encode("utf-8", "surrogateescape")
    hashed = hashlib.blake2b(content).digest()
    return ed25519(public[10:], hashed, data[10:]) and ed25519(public[10:], data[10:] + comment, whole)


# The certificate

LINK = re.compile(r"[0-9a-f]{64} [1-9][0-9]* (-|-?infinity|[0-9T:.-]+Z( BC)?) [0-9a-f]{64}\n")
NOBODY = (
    "nobody signs what the certificate says in `original`, `checks`, `copies` and `made_at`, and events may have been "
    "left out of it"
)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def in_bytes(text: str) -> bytes:
    """Names on disk are bytes; those that are no UTF-8 stand in the JSON as lone surrogates (PEP 383)."""
    return text.encode("utf-8", "surrogateescape")


def no_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A member that stands there twice is read in two ways."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands in it twice")
    return found


def shown(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()


class Check:
    def __init__(self, certificate: dict[str, Any], key: str) -> None:
        self.said, self.key, self.bad, self.unproven = certificate, key, False, False
        if re.fullmatch("[0-9a-f]{64}", certificate["sha256"]) is None:
            raise ValueError("its sha256 is none")

    def right(self, text: str) -> None:
        print("right  " + shown(text))

    def wrong(self, text: str) -> None:
        self.bad = True
        print("WRONG  " + shown(text))

    def not_proven(self, text: str) -> None:
        self.unproven = True
        self.note(text)

    def note(self, text: str) -> None:
        print("note   " + shown(text))

    def lists(self) -> dict[str, list[bytes]]:
        """The signed lists; those that are not right are not believed any more."""
        good = {}
        for path, one in sorted(self.said["lists"].items()):
            if is_signed(self.key, in_bytes(one["text"]), one["signature"], path):
                good[path] = in_bytes(one["text"]).split(b"\n")
                self.right(f"the list {path} is signed with this key")
            else:
                self.wrong(f"the list {path} is not signed with this key")
        return good

    def line(self, lists: dict[str, list[bytes]]) -> None:
        line = self.said["signed_line"]
        if line is None:
            is_kept = self.said["original"]["state"] == "kept"
            (self.not_proven if is_kept else self.note)("no signed list has the file with this hash")
            return
        path, text = line["list"], line["line"]
        if not path.endswith(".sha256") or in_bytes(text) not in lists.get(path, ()):
            self.wrong(f"the list {path} does not have the line of this file")
        elif not (text[1:] if text.startswith("\\") else text).startswith(self.said["sha256"] + "  "):
            self.wrong(f"the line of the list {path} is of other bytes")
        else:
            self.right(f"the list {path} has the file with this hash")

    def links(self, lists: dict[str, list[bytes]]) -> dict[int, tuple[str, str]]:
        """By number: the hash of the event that a signed list proves to be sealed there, and when it was written."""
        proven: dict[int, tuple[str, str]] = {}
        for stretch in self.said["stretches"]:
            seal, path, hashes = stretch["previous"], stretch["list"], {}
            number = None
            for number, written, event in stretch["links"]:
                link = f"{seal} {number} {written or '-'} {event}\n"
                if LINK.fullmatch(link) is None:
                    raise ValueError("a link is none that the factory writes")
                seal, hashes[number] = sha256(link.encode()), (event, written or "")
            if path.endswith(".events") and f"{number} {seal}".encode() in lists.get(path, ()):
                proven.update(hashes)
                self.right(f"the seal {number} follows from its links, and the list {path} has it")
            else:
                self.wrong(f"the seal {number} is not the one that the list {path} has")
        return proven

    def events(self, proven: dict[int, tuple[str, str]]) -> None:
        if not self.said["events"]:
            self.not_proven("it has no event: nothing says how the file came")
        for one in self.said["events"]:
            number, event = one["number"], json.loads(one["line"], object_pairs_hook=no_twice)
            about = event.get("fate") or event.get("field")
            what = f"{event['event']} {event['id']}, {event['happened_at']} ({about})"
            if event.get("file_hash") != self.said["sha256"]:
                self.wrong(f"{what} is about other bytes")
            elif number is None:
                self.not_proven(f"{what} is not sealed yet: nothing proves it")
            elif number not in proven and one["state"] == "sealed":
                self.not_proven(f"{what} has the seal {number}, and no signed list proves it yet")
            elif number not in proven or proven[number][0] != sha256(in_bytes(one["line"]) + b"\n"):
                self.wrong(f"{what} is not what was sealed as number {number}")
            else:
                written = proven[number][1]
                self.right(f"{what} is number {number}" + (f", written {written}" if written else ""))

    def chain(self) -> None:
        """Beside the lists themselves: the log names each state of each list."""
        here = os.path.dirname(os.path.abspath(__file__))
        try:
            with open(os.path.join(here, "minisign.pub"), "rb") as file:
                beside = file.read().partition(b"\n")[2].partition(b"\n")[0]
        except FileNotFoundError:
            return
        if beside != in_bytes(self.key):
            self.wrong("the key is not the one beside this script, in minisign.pub")
            return
        try:
            with open(os.path.join(here, "chain.log"), "rb") as file:
                named = {tuple(line.split(b" ")[2:]) for line in file.read().split(b"\n")}
        except FileNotFoundError:
            self.note("there is no chain.log beside this script")
            return
        for path, one in sorted(self.said["lists"].items()):
            if (sha256(in_bytes(one["text"])).encode(), path.encode()) in named:
                self.right(f"chain.log, beside this script, names the list {path} as it is here")
            else:
                self.wrong(f"chain.log, beside this script, never named the list {path} as it is here")


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Checks a certificate of Photo Factory. Exit code 0: all of it is proven."
    )
    parser.add_argument("certificate", help="the JSON file")
    parser.add_argument("public_key", nargs="?", help="the key that you noted elsewhere (RWQ...)")
    parser.add_argument("--photo", help="the photo itself: is it the one that the certificate is of?")
    given = parser.parse_args()
    try:
        with open(given.certificate, encoding="utf-8") as file:
            said = json.load(file, object_pairs_hook=no_twice)
        if said["certificate"] != 1:
            raise ValueError("it is of a form that this script does not know")
        check = Check(said, given.public_key or said["key"] or "")
        if given.public_key is None:
            check.note("the key in the certificate is believed: " + check.key)
        lists = check.lists()
        check.line(lists)
        check.events(check.links(lists))
        check.chain()
        check.note(NOBODY)
        if given.photo is not None:
            digest = hashlib.sha256()
            with open(given.photo, "rb") as file:
                for part in iter(lambda: file.read(1 << 20), b""):
                    digest.update(part)
            if digest.hexdigest() == said["sha256"]:
                check.right("the photo has the bytes of the certificate")
            else:
                check.wrong("the photo has other bytes than the certificate")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        print(f"cannot be checked: {type(error).__name__}: {shown(str(error))}", file=sys.stderr)
        return 2
    if check.bad:
        print("Something is wrong: see above.")
    elif check.unproven:
        print("Nothing is wrong, but not all of it is proven: see above.")
    else:
        print("The events and the line of the file in it are signed.")
    return int(check.bad or check.unproven)


if __name__ == "__main__":
    sys.exit(main())
