"""An encrypted copy: each file as `age` makes it (https://age-encryption.org), under its name with `.age` at the end.

What is read back is opened with the key and hashed: that it can be opened is checked with that.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import pyrage

from Src.Library.custody.copies import readme
from Src.Library.custody.copies.marker import MARKER
from Src.Library.custody.copies.spool import spool_trouble, spooled
from Src.Library.custody.copies.target import PIECE, Stored, Target
from Src.Library.custody.copies.trouble import CopyTrouble, FileRefused, NotThere

_SUFFIX = ".age"
_KEY_CHECK = ".photo-factory-key"
_PLAIN = (MARKER, readme.NAME)
_IN_MEMORY = 8 << 20  # bytes; what is longer goes through a file here that has no name


class SealedTarget:
    """A target in which all but the marker and the page of instructions is encrypted."""

    def __init__(self, inner: Target, given: Mapping[str, str], scratch: Path) -> None:
        """`given`: `age_key`, the file that `age-keygen` has written. Raises CopyTrouble."""
        self._inner, self._scratch = inner, scratch
        self._key = _key_of(given)

    @property
    def name(self) -> str:
        return self._inner.name

    def check_here(self) -> None:
        self._inner.check_here()

    def close(self) -> None:
        self._inner.close()

    def note_key(self) -> None:
        """Leaves a file by which the key is known again. Raises CopyTrouble, FileRefused."""
        self.put(_KEY_CHECK, [_KEY_CHECK.encode()])
        self.settle()
        self.check_key()

    def check_key(self) -> None:
        """Raises CopyTrouble where this is not the key with which the copy was made."""
        try:
            is_right = b"".join(self.read(_KEY_CHECK)) == _KEY_CHECK.encode()
        except NotThere:
            raise CopyTrouble(
                f"{self.name}: {_KEY_CHECK}{_SUFFIX} is missing; nobody knows whether the key is right"
            ) from None
        except FileRefused:
            is_right = False
        if not is_right:
            raise CopyTrouble(
                f"{self.name}: was encrypted with another key than that in its section of COPIES_CREDENTIALS"
            )

    def settle(self) -> None:
        self._inner.settle()

    def stored(self, path: str) -> Stored | None:
        return self._inner.stored(_sealed(path))

    def files(self, folder: str) -> Iterator[tuple[str, Stored]]:
        for path, stored in self._inner.files(folder):
            if path.endswith(_SUFFIX):
                yield path.removesuffix(_SUFFIX), stored

    def read(self, path: str) -> Iterator[bytes]:
        if path in _PLAIN:
            yield from self._inner.read(path)
            return
        with self._spooled() as sealed, self._spooled() as opened:
            for piece in self._inner.read(_sealed(path)):
                sealed.write(piece)
            sealed.seek(0)
            try:
                pyrage.decrypt_io(sealed, opened, [self._key])
            except pyrage.DecryptError as error:
                raise FileRefused(
                    f"it cannot be decrypted: its bytes are wrong there, or the key is ({error})"
                ) from error
            opened.seek(0)
            while piece := opened.read(PIECE):
                yield piece

    def put(self, path: str, pieces: Iterable[bytes], *, replaces: bool = False) -> None:
        if path in _PLAIN:
            self._inner.put(path, pieces, replaces=replaces)
            return
        with self._spooled() as opened, self._spooled() as sealed:
            for piece in pieces:  # all of it: what `pieces` raises comes at the end
                opened.write(piece)
            opened.seek(0)
            try:
                pyrage.encrypt_io(opened, sealed, [self._key.to_public()])
            except pyrage.EncryptError as error:  # whatever the disk here says is one, too
                raise spool_trouble(self._scratch, str(error)) from error
            sealed.seek(0)
            self._inner.put(_sealed(path), iter(lambda: sealed.read(PIECE), b""), replaces=replaces)

    def move(self, path: str, new: str) -> bool:
        return self._inner.move(_sealed(path), _sealed(new))

    def remove(self, path: str) -> None:
        self._inner.remove(_sealed(path))

    def _spooled(self) -> AbstractContextManager[tempfile.SpooledTemporaryFile[bytes]]:
        return spooled(self._scratch, _IN_MEMORY)


def _sealed(path: str) -> str:
    return path if path in _PLAIN else f"{path}{_SUFFIX}"


def _key_of(given: Mapping[str, str]) -> pyrage.x25519.Identity:
    """Raises CopyTrouble, which holds nothing of the key."""
    if "age_key" not in given:
        raise CopyTrouble("an encrypted copy needs a key: age_key = FILE in its section of COPIES_CREDENTIALS")
    file = Path(given["age_key"]).expanduser()
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError) as error:
        raise CopyTrouble(f"{file}: cannot be read ({getattr(error, 'strerror', None) or 'no text'})") from None
    for line in lines:
        if line.startswith("AGE-SECRET-KEY-"):
            try:
                return pyrage.x25519.Identity.from_str(line.strip())
            except Exception:
                break
    raise CopyTrouble(f"{file}: has no key as age-keygen writes it")
