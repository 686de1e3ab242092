"""A copy in a bucket (S3). Names are written as ledger text, in UTF-8.

No ETag is believed: what counts was read back, whole, and hashed here. An object is there whole or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from Src.Library.custody.copies.spool import spooled
from Src.Library.custody.copies.target import PIECE, Spent, Stored, sha256_at
from Src.Library.custody.copies.trouble import CopyTrouble, FileRefused, NotThere
from Src.Shared.ledger_text import from_ledger, to_ledger

_FORM = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([A-Za-z0-9!_.*'()/-]*))?")
_IN_MEMORY = 8 << 20  # bytes; what is longer goes through a file here, and in parts
_PART = 8 << 20
_AT_ONCE = 2  # parts
_MOST_RENAMED = 1 << 30  # bytes that a server is asked to copy in one request; S3 refuses 5 GB
_PATIENCE = timedelta(seconds=60)  # for a connection
_SILENCE = timedelta(minutes=10)  # without a byte from there; while a part goes there, nothing comes
_WHOLE = timedelta(days=7)  # for a whole request, however slow the line is
_ESCAPED = re.compile("%([0-9A-F]{2})")
_TO_ESCAPE = re.compile(r"[\x00-\x1f\x7f-\x9f%\\]")
_NEEDED = ("access_key_id", "secret_access_key")


class S3Target:
    """One bucket, or what has one prefix in it."""

    def __init__(self, target: str, given: Mapping[str, str], scratch: Path, spent: Spent = lambda _: None) -> None:
        """`given`: `access_key_id`, `secret_access_key`, `endpoint`, `region`. `scratch`: a folder here, for what is
        long. Raises CopyTrouble."""
        match = _FORM.fullmatch(target)
        if match is None:
            raise CopyTrouble(f"{to_ledger(target)}: is no target; it should look like s3://BUCKET/FOLDER")
        if missing := [name for name in _NEEDED if name not in given]:
            raise CopyTrouble(f"{target}: the file that COPIES_CREDENTIALS names has no {missing[0]} for it")
        self._target, self._scratch, self._spent = target, scratch, spent
        endpoint = given.get("endpoint")
        more: dict[str, Any] = {} if endpoint is None else {"endpoint": endpoint}
        self._store = S3Store(
            match[1],
            prefix=(match[2] or "").strip("/") or None,
            region=given.get("region", "us-east-1"),
            access_key_id=given["access_key_id"],
            secret_access_key=given["secret_access_key"],
            virtual_hosted_style_request=False,
            checksum_algorithm="sha256",
            client_options={
                "allow_http": (endpoint or "").startswith("http://"),
                "connect_timeout": _PATIENCE,
                "read_timeout": _SILENCE,
                "timeout": _WHOLE,
            },
            retry_config={"max_retries": 3, "retry_timeout": _PATIENCE},
            **more,
        )

    @property
    def name(self) -> str:
        return self._target

    def close(self) -> None:
        """Nothing stays open."""

    def check_here(self) -> None:
        """The caller asks for its marker."""

    def stored(self, path: str) -> Stored | None:
        try:
            with self._asking("look at", path):
                return _stored(obstore.head(self._store, _key(path)))
        except NotThere:
            return None

    def files(self, folder: str) -> Iterator[tuple[str, Stored]]:
        with self._asking("list", folder):
            for some in obstore.list(self._store, prefix=folder):
                for one in some:
                    yield _path(one["path"]), _stored(one)

    def read(self, path: str) -> Iterator[bytes]:
        with self._asking("read", path):
            expected = 0
            found = obstore.get(self._store, _key(path))
            size = found.meta["size"]
            for piece in found.stream(min_chunk_size=PIECE):
                content = bytes(piece)
                expected += len(content)
                self._spent(len(content))
                yield content
            if expected != size:
                raise CopyTrouble(f"{self.name}/{to_ledger(path)}: the answer was cut off")

    def put(self, path: str, pieces: Iterable[bytes], *, replaces: bool = False) -> None:
        with spooled(self._scratch, _IN_MEMORY) as file:
            size = 0
            for piece in pieces:  # all of it, before anything goes there: what `pieces` raises comes at the end
                file.write(piece)
                size += len(piece)
                self._spent(len(piece))
            file.seek(0)
            with self._asking("write", path):
                try:
                    if size <= _IN_MEMORY:
                        mode: Literal["overwrite", "create"] = "overwrite" if replaces else "create"
                        obstore.put(self._store, _key(path), file.read(), mode=mode, use_multipart=False)
                    else:
                        obstore.put(
                            self._store,
                            _key(path),
                            iter(lambda: file.read(PIECE), b""),
                            use_multipart=True,
                            chunk_size=max(_PART, size // 9000),
                            max_concurrency=_AT_ONCE,
                        )
                except AlreadyExistsError:  # the caller reads back what stands there, and believes that
                    pass

    def settle(self) -> None:
        """An object that was put is there."""

    def move(self, path: str, new: str) -> bool:
        """Once more under the new name, read back there, and then no more under the old one."""
        stored = self.stored(path)
        if stored is None or self.stored(new) is not None:
            return False
        if stored.size > _MOST_RENAMED:
            self.put(new, self.read(path))
        else:
            with self._asking("rename", path):
                obstore.copy(self._store, _key(path), _key(new))
        if sha256_at(self, path) != sha256_at(self, new):
            raise FileRefused("it was copied there under another name, and reads back as other bytes")
        self.remove(path)
        return True

    def remove(self, path: str) -> None:
        with self._asking("remove", path):
            obstore.delete(self._store, _key(path))

    @contextmanager
    def _asking(self, doing: str, path: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise NotThere from None
        except (BaseError, OSError) as error:
            if "400 Bad Request" in str(error):  # as of a name that is too long
                raise FileRefused(f"the bucket cannot take it: {_words(error)}") from error
            raise CopyTrouble(f"cannot {doing} {self.name}/{to_ledger(path)}: {_words(error)}") from error


def _key(path: str) -> str:
    """Clients and servers change or refuse control characters, and a `\\` as ledger text has it."""
    return _TO_ESCAPE.sub(lambda match: f"%{ord(match[0]):02X}", to_ledger(path))


def _path(key: str) -> str:
    return from_ledger(_ESCAPED.sub(lambda match: chr(int(match[1], 16)), key))


def _stored(meta: Any) -> Stored:
    return Stored(meta["size"], f"{meta['size']}:{meta['e_tag']}")


def _words(error: BaseException) -> str:
    """The first line, without what an answer of the server holds."""
    return ((str(error).splitlines() or [""])[0] or type(error).__name__)[:300]
