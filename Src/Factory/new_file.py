"""A file that a command writes for a person: new, whole or not at all, and outside the vault."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from Src.Factory.problems import Problem
from Src.Shared.disk.naming import rename_unless_taken
from Src.Shared.disk.syncing import fsync_folder


class NewFile:
    """Text goes to a hidden file beside FILE, which gets its name in the end; a context manager."""

    def __init__(self, target: Path, storage: Path, *, about: str) -> None:
        """`about`: the command and its option, as `import: --report`. Raises Problem where FILE cannot be written, or
        is there already."""
        self._target = target
        self._about = about
        folder = target.resolve().parent
        if os.path.lexists(target):
            raise Problem(f"{about} {target}: is there already; give another name")
        if folder.is_relative_to(storage.resolve()):
            raise Problem(f"{about} {target}: is in the vault's storage; give a file elsewhere")
        try:
            prefix = f".{about.partition(':')[0]}-{about.rpartition('-')[2]}-"
            fd, self._path = tempfile.mkstemp(prefix=prefix, suffix=".tmp", dir=folder)
        except OSError as error:
            raise self.problem(error) from error
        self.file = os.fdopen(fd, "w", encoding="utf-8", newline="")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        except OSError as trouble:
            raise self.problem(trouble) from trouble
        finally:
            with contextlib.suppress(OSError):  # the disk is full; the error above says so
                self.file.close()
            if os.path.lexists(self._path):
                os.unlink(self._path)

    def write(self, text: str) -> None:
        """Raises Problem where the disk is full."""
        try:
            self.file.write(text)
        except OSError as error:
            raise self.problem(error) from error

    def _finish(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())
        os.chmod(self._path, 0o644 & ~_umask())
        try:
            rename_unless_taken(self._path, str(self._target))
        except FileExistsError as error:
            raise Problem(f"{self._about} {self._target}: is there by now; give another name") from error
        fsync_folder(self._target.resolve().parent)

    def problem(self, error: OSError) -> Problem:
        return Problem(f"{self._about} {self._target}: cannot be written: {error.strerror}")


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
