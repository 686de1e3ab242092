"""A copy on another machine, by SSH (SFTP): its host key must be known. Names are written as ledger text, in UTF-8.

What is read back comes from that machine, which may have it in memory: only its own disk is further away.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import posixpath
import re
import socket
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import paramiko

from Src.Library.custody.copies.target import PIECE, Spent, Stored
from Src.Library.custody.copies.trouble import CopyTrouble, FileRefused, NotThere
from Src.Shared.ledger_text import from_ledger, to_ledger

logger = logging.getLogger(__name__)

_FORM = re.compile(r"sftp://(?:([^@/:\s]+)@)?([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?(/[^\0\n]*)")
_TEMPORARY = ".factory-part-"
_PATIENCE = 60.0  # seconds for an answer
_ANSWER = 32 << 10  # bytes of one
_CUT = (paramiko.SSHException, paramiko.SFTPError, EOFError)
_LOST = (*_CUT, socket.error)


class SftpTarget:
    """One connection."""

    def __init__(self, target: str, given: Mapping[str, str], spent: Spent = lambda _: None) -> None:
        """`given`: `key` (a private key's file), `password` (of that key, or to log in), `known_hosts`.

        Raises CopyTrouble.
        """
        match = _FORM.fullmatch(target)
        if match is None:
            raise CopyTrouble(f"{to_ledger(target)}: is no target; it should look like sftp://USER@HOST/FOLDER")
        self._target, self._spent = target, spent
        self._top = posixpath.normpath(match[4])
        self._put: list[tuple[str, bool]] = []
        self._folders: set[str] = set()
        self._client = paramiko.SSHClient()
        known = Path(given.get("known_hosts", "~/.ssh/known_hosts")).expanduser()
        try:
            self._client.load_host_keys(str(known))
            self._client.set_missing_host_key_policy(paramiko.RejectPolicy())
            self._client.connect(
                match[2].strip("[]"),
                int(match[3] or 22),
                username=match[1],
                key_filename=given.get("key"),
                password=None if "key" in given else given.get("password"),
                passphrase=given.get("password") if "key" in given else None,
                allow_agent="key" not in given,
                look_for_keys="key" not in given,
                timeout=_PATIENCE,
                banner_timeout=_PATIENCE,
                auth_timeout=_PATIENCE,
            )
            self._sftp = self._client.open_sftp()
            channel = self._sftp.get_channel()
            if channel is not None:
                channel.settimeout(_PATIENCE)
            self._sftp.stat(self._top)
        except FileNotFoundError as error:
            self._client.close()
            what = f"there is no file {known}" if error.filename else f"there is no folder {self._top} on it; make it"
            raise CopyTrouble(f"{self.name}: {what}") from error
        except paramiko.AuthenticationException as error:
            self._client.close()
            raise CopyTrouble(f"{self.name}: the login was refused; COPIES_CREDENTIALS names the key") from error
        except (*_LOST, ValueError) as error:
            self._client.close()
            raise CopyTrouble(f"{self.name}: cannot be reached: {_words(error)}") from error

    @property
    def name(self) -> str:
        return to_ledger(self._target)

    def close(self) -> None:
        with contextlib.suppress(Exception):
            for path, _ in self._put:
                self._sftp.remove(self._temporary(path))
        self._client.close()

    def check_here(self) -> None:
        try:
            with self._asking("look at", ""):
                self._sftp.stat(self._top)
        except (NotThere, FileRefused) as error:
            raise CopyTrouble(f"{self.name}: {str(error) or 'the folder is gone'}; is its disk there?") from None

    def stored(self, path: str) -> Stored | None:
        try:
            with self._asking("look at", path):
                self._check_folders(path)
                status = self._sftp.lstat(self._at(path))
        except NotThere:
            return None
        if not stat.S_ISREG(status.st_mode or 0):
            raise FileRefused("a folder, a link or something else stands in its place")
        return _stored(status)

    def files(self, folder: str) -> Iterator[tuple[str, Stored]]:
        try:
            with self._asking("list", folder):
                self._check_folders(f"{folder}/")
                found = self._sftp.listdir_attr(self._at(folder))
        except NotThere:
            return
        for one in sorted(found, key=lambda each: each.filename):
            path = f"{folder}/{from_ledger(one.filename)}"
            if stat.S_ISDIR(one.st_mode or 0):
                yield from self.files(path)
            elif stat.S_ISREG(one.st_mode or 0) and not one.filename.startswith(_TEMPORARY):
                yield path, _stored(one)

    def read(self, path: str) -> Iterator[bytes]:
        if self.stored(path) is None:  # no link, and through none
            raise NotThere
        with self._asking("read", path), self._sftp.open(self._at(path), "rb") as file:
            size = file.stat().st_size or 0
            for start in range(0, size, PIECE):  # asked for ahead, and never more than a piece
                end = min(start + PIECE, size)
                asked = [(at, min(_ANSWER, end - at)) for at in range(start, end, _ANSWER)]
                piece = b"".join(file.readv(asked))
                self._spent(len(piece))
                yield piece

    def put(self, path: str, pieces: Iterable[bytes], *, replaces: bool = False) -> None:
        temporary = self._temporary(path)
        with self._asking("write", path):
            self._check_folders(path, makes=True)
            with contextlib.suppress(FileNotFoundError):  # of a run that was killed
                self._sftp.remove(temporary)
            try:
                with self._sftp.open(temporary, "wxb") as file:
                    file.set_pipelined(True)  # which says nothing of what was refused
                    size = 0
                    for piece in pieces:
                        file.write(piece)
                        size += len(piece)
                        self._spent(len(piece))
                if self._sftp.lstat(temporary).st_size != size:
                    raise OSError("not all of it was written")
            except BaseException:
                with contextlib.suppress(*_LOST):
                    self._sftp.remove(temporary)
                raise
        self._put.append((path, replaces))

    def settle(self) -> None:
        put, self._put = self._put, []
        for path, replaces in put:
            try:
                with self._asking("write", path):
                    self._give_name(path, replaces=replaces)
            except FileRefused as error:  # the reading back shows that it is not there
                logger.warning("%s/%s: %s", self.name, to_ledger(path), error)
                with contextlib.suppress(*_LOST):
                    self._sftp.remove(self._temporary(path))

    def _give_name(self, path: str, *, replaces: bool) -> None:
        temporary, final = self._temporary(path), self._at(path)
        if replaces:
            self._sftp.posix_rename(temporary, final)
            return
        try:
            self._sftp.rename(temporary, final)
        except OSError as error:
            try:
                self._sftp.lstat(final)  # the caller reads back what stands there, and believes that
            except FileNotFoundError:
                raise error from None
            self._sftp.remove(temporary)

    def move(self, path: str, new: str) -> bool:
        try:
            with self._asking("rename", path):
                self._check_folders(path)
                self._sftp.lstat(self._at(path))
                self._check_folders(new, makes=True)
                with contextlib.suppress(FileNotFoundError):
                    self._sftp.lstat(self._at(new))
                    return False
                self._sftp.rename(self._at(path), self._at(new))
        except NotThere:
            return False
        return True

    def remove(self, path: str) -> None:
        with contextlib.suppress(NotThere), self._asking("remove", path):
            self._check_folders(path)
            self._sftp.remove(self._at(path))

    # Parts

    def _at(self, path: str) -> str:
        return f"{self._top}/{to_ledger(path)}" if path else self._top

    def _temporary(self, path: str) -> str:
        folder, _, name = path.rpartition("/")
        return self._at(f"{folder}/{_hidden(name)}" if folder else _hidden(name))

    def _check_folders(self, path: str, *, makes: bool = False) -> None:
        """All on the way to a path are folders, and no links: each is looked at once for a connection.

        Raises FileRefused, and FileNotFoundError where one is missing and is not to be made.
        """
        at = ""
        for part in path.split("/")[:-1]:
            at = f"{at}/{part}" if at else part
            if at in self._folders:
                continue
            try:
                status = self._sftp.lstat(self._at(at))
            except FileNotFoundError:
                if not makes:
                    raise
                self._sftp.mkdir(self._at(at), 0o750)
                status = self._sftp.lstat(self._at(at))
            if not stat.S_ISDIR(status.st_mode or 0):
                raise FileRefused(f"a link or something else stands in the place of its folder {to_ledger(at)}")
            self._folders.add(at)

    def _answers(self, doing: str) -> bool:
        """Whether the copy is there, and takes what is written: SFTP has no word for a full disk."""
        try:
            self._sftp.stat(self._top)
            if doing in ("write", "rename"):
                probe = f"{self._top}/{_TEMPORARY}probe"
                with contextlib.suppress(FileNotFoundError):
                    self._sftp.remove(probe)
                try:
                    with self._sftp.open(probe, "wxb") as file:
                        file.write(bytes(PIECE))
                finally:
                    self._sftp.remove(probe)
        except _LOST:
            return False
        return True

    @contextlib.contextmanager
    def _asking(self, doing: str, path: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            self._folders.clear()
            raise NotThere from None
        except _LOST as error:
            if not isinstance(error, _CUT) and self._answers(doing):  # a file's trouble, and no other's
                raise FileRefused(f"that machine refuses to {doing} it: {_words(error)}") from error
            at = f"/{to_ledger(path)}" if path else ""
            raise CopyTrouble(
                f"cannot {doing} {self.name}{at}: {_words(error)}; is its disk full, or the line cut?"
            ) from error


def _stored(status: paramiko.SFTPAttributes) -> Stored:
    return Stored(status.st_size or 0, f"{status.st_size}:{status.st_mtime}")


def _hidden(name: str) -> str:
    return _TEMPORARY + hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _words(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__
