"""Manifests and chain as they stand beside the vault, and how they are changed so that a kill does no harm.

First a note of what comes (the chain's next lines, which name each file's new hash), then the files and their
signatures, then the chain and its signature. Whoever comes next knows by the note what of it is ours, and writes the
same days again: that they are written, the ledger only hears in the end.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from Src.Library.custody.manifests.chain import GONE, LOG, Chain, new_lines, paths_in, signed_bytes, unsettled
from Src.Library.custody.manifests.folder import FOLDER, SIGNATURE, ManifestFolder, NotOurs
from Src.Library.custody.manifests.key import key_path, make_key, secret_key, state_folder
from Src.Library.custody.manifests.minisign import NotMinisign, PublicKey, SecretKey
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble, vault_trouble
from Src.Shared.disk.files import NotARegularFile, open_regular
from Src.Shared.disk.locks import open_lock, take
from Src.Shared.disk.making import PRIVATE, make_folder
from Src.Shared.disk.whole_file import write_whole

logger = logging.getLogger(__name__)

PUBLIC_KEY = "minisign.pub"
PATIENCE = 30.0  # seconds for another process that writes them


class BeingWritten(VaultTrouble):
    """Another process writes them."""


class Known(NamedTuple):
    """A chain, and the files that it was read from or written into."""

    stamp: tuple[object, ...]
    chain: Chain


class Store:
    """To be used under its own lock, which one process has."""

    def __init__(
        self,
        vault: Vault,
        folder: ManifestFolder,
        key: SecretKey,
        now: Callable[[], datetime],
        known: Known | None = None,
    ) -> None:
        self._vault = vault
        self.folder = folder
        self._key = key
        self._public = key.public
        self._now = now
        self._note = _note(vault)
        with vault_trouble(f"read {self._note}"):
            self._noted = noted_lines(vault)
        self._ours = paths_in(self._noted)
        self.is_lost = False  # the chain is: another begins
        stamp = self._stamp()
        self.chain = known.chain if known is not None and known.stamp == stamp else self._read_chain()

    @classmethod
    @contextmanager
    def opened(
        cls,
        vault: Vault,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        patience: float = PATIENCE,
        known: Known | None = None,
    ) -> Iterator[Store]:
        """Makes what is missing, the key too. `known`: of an earlier opening, in this process.

        Raises VaultTrouble, which may be BeingWritten.
        """
        with (
            lock_of_manifests(vault, patience),
            ManifestFolder.made(vault.storage) as folder,
            vault_trouble(_doing(vault)),
        ):
            yield cls(vault, folder, _key(vault, folder), now, known)

    @property
    def public_key(self) -> bytes:
        return self._public.file()

    def known(self) -> Known | None:
        """For the next opening: the chain is not read again while the same files stand there. Raises OSError."""
        return Known(self._stamp(), self.chain) if self.chain.content else None

    def _stamp(self) -> tuple[object, ...]:
        return (self._public, self.folder.stamp(LOG), self.folder.stamp(LOG + SIGNATURE))

    def standing(self, path: str) -> bytes | None:
        """What we have written there; None where there is nothing. Raises NotOurs, OSError."""
        content = self.folder.read(path)
        if content is None:
            return None
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 == self.chain.last.get(path) or sha256 in self._ours.get(path, ()):
            return content
        try:
            signed = self._public.trusted_comment(self.folder.read(path + SIGNATURE) or b"", content)
        except NotMinisign:
            signed = ""
        if signed != path:
            raise NotOurs(
                f"{self.folder.named(path)} is not what the factory has written: look at it, and move it away; it is "
                "written anew then"
            )
        if path in self.chain.last:
            logger.warning("%s is an earlier one; it is written anew", self.folder.named(path))
        return content

    def bring(self, wanted: Mapping[str, bytes | None]) -> tuple[int, dict[str, str]]:
        """Makes files what they are to be (None: there is none) and has the chain say so: how many were changed, and
        why some are not. Raises VaultTrouble, OSError."""
        changes: list[tuple[str, str]] = []
        to_write: dict[str, bytes] = {}
        to_sign: dict[str, bytes] = {}
        refused: dict[str, str] = {}
        for path, content in sorted(wanted.items()):
            try:
                self._plan(path, content, changes, to_write, to_sign)
            except NotOurs as problem:
                refused[path] = str(problem)
        lines = new_lines(self.chain.head, changes, self._now())
        if lines or to_write or to_sign:
            self._cut_tail()
            self._take_note(lines)
        for path, content in to_write.items():
            self.folder.prepare(path, content)
        for path, content in to_sign.items():
            self.folder.prepare(path + SIGNATURE, self._key.signature(content, path))
        if to_write or to_sign:
            self.folder.take_names()
        if gone := [path for path, sha256 in changes if sha256 == GONE]:
            self.folder.remove([one for path in gone for one in (path, path + SIGNATURE)])
        if lines:
            self._lengthen(lines)
        return len(to_write) + len(to_sign.keys() - to_write.keys()) + len(gone), refused

    def _plan(
        self,
        path: str,
        content: bytes | None,
        changes: list[tuple[str, str]],
        to_write: dict[str, bytes],
        to_sign: dict[str, bytes],
    ) -> None:
        try:
            standing = self.standing(path)
        except NotOurs:
            if content is None or self._is_file(path) != content:
                raise
            standing = content  # ours by its bytes: chain and signature are lost
        if content is None:
            if standing is not None or self.chain.last.get(path, GONE) != GONE:
                changes.append((path, GONE))
            return
        sha256 = hashlib.sha256(content).hexdigest()
        is_signed = self._is_signed(path, content)
        if standing != content:
            to_write[path] = content
        if standing != content or not is_signed:
            to_sign[path] = content
        if self.chain.last.get(path) != sha256:
            changes.append((path, sha256))

    def _is_file(self, path: str) -> bytes | None:
        try:
            return self.folder.read(path)
        except NotOurs:
            return None

    def _is_signed(self, path: str, content: bytes) -> bool:
        """Raises NotOurs where something else than a file is in the signature's place."""
        signature = self.folder.read(path + SIGNATURE)
        try:
            return signature is not None and self._public.trusted_comment(signature, content) == path
        except NotMinisign:
            return False

    # The chain

    def _read_chain(self) -> Chain:
        """What is signed of it. A tail that a killed run has left is cut off when the next lines come. Raises
        VaultTrouble where anything else is there."""
        try:
            content, signature = self.folder.read(LOG), self.folder.read(LOG + SIGNATURE)
        except NotOurs as problem:
            raise VaultTrouble(str(problem)) from problem
        if content is None:
            self.is_lost = signature is not None
            return Chain()
        try:
            return read_signed(self._public, content, signature, self._noted)
        except ValueError as problem:
            raise VaultTrouble(
                f"{self.folder.named(LOG)} is not what the factory has signed ({problem}): put it back from a backup; "
                f"or move it and {LOG}{SIGNATURE} away, and another chain begins"
            ) from problem

    def begin_after(self, head: str) -> None:
        """The chain is lost, or an earlier one stands there: what begins now says which line it follows.

        Raises OSError.
        """
        log = self.folder.named(LOG)
        if self.chain.content:
            kept = f"chain.{self.chain.head[:12]}.log"
            logger.error(
                "%s was put back to an earlier state: the line %s is not in it, which was its last. It stays as %s; "
                "another chain begins, which says so",
                *(log, head, kept),
            )
            for end in ("", SIGNATURE):  # the log first: without it a signature is that of a lost one
                self.folder.rename(LOG + end, kept + end)
        else:
            logger.error("%s is gone; another chain begins, after the line %s", log, head)
        self.folder.remove([LOG + SIGNATURE])  # of the lost one: beside what begins it would be wrong after a kill
        self.chain = Chain(head=head)

    def _cut_tail(self) -> None:
        """What a killed run has left unsigned goes before the note of it does. Raises OSError."""
        self.folder.cut(LOG, len(self.chain.content))

    def _lengthen(self, lines: bytes) -> None:
        longer = self.chain.with_lines(lines)
        if self.chain.content:
            self.folder.append(LOG, lines, len(self.chain.content))
        else:
            self.folder.prepare(LOG, lines)
            self.folder.take_names()
        self.folder.prepare(LOG + SIGNATURE, self._key.signature(longer.content, longer.comment()))
        self.folder.take_names()
        self.chain = longer

    # The note

    def _take_note(self, lines: bytes) -> None:
        """What an earlier run was about to write, and may have, stays noted until the chain names its file."""
        note = lines + b"".join(unsettled(self._noted, self.chain.last))
        owner = None
        if os.geteuid() == 0:  # the services run as another
            above = self._vault.state.stat()
            owner = (above.st_uid, above.st_gid)
        with vault_trouble(f"write {self._note}"):
            write_whole(self._note, note, owner=owner)
        for path, hashes in paths_in(lines).items():
            self._ours.setdefault(path, set()).update(hashes)
        self._noted = note


def signing_key(vault: Vault, patience: float = PATIENCE) -> SecretKey:
    """The key of the vault's signed lists, for what else is signed: made where there is none yet. Raises VaultTrouble,
    as where the key is lost."""
    with (
        lock_of_manifests(vault, patience),
        ManifestFolder.made(vault.storage) as folder,
        vault_trouble(f"read the key of {vault.storage / FOLDER}"),
    ):
        return _key(vault, folder)


@contextmanager
def lock_of_manifests(vault: Vault, patience: float = PATIENCE) -> Iterator[None]:
    """Only one process writes them. Raises VaultTrouble, which may be BeingWritten."""
    with vault_trouble(_doing(vault)):
        os.stat(vault.storage)  # never made here: its disk may not be mounted
        make_folder(vault.state, PRIVATE)
        lock = open_lock(vault.state / "manifests.lock")
    try:

        def waiting(seconds: float) -> None:
            if seconds > patience:
                raise BeingWritten(f"cannot {_doing(vault)}: another process has been at it for {seconds:.0f} s")

        with vault_trouble(_doing(vault)):
            take(lock, waiting)
        yield
    finally:
        os.close(lock)


def noted_lines(vault: Vault) -> bytes:
    """The lines that were about to come last. Raises OSError."""
    try:
        with open(open_regular(str(_note(vault))), "rb") as file:
            return file.read()
    except (FileNotFoundError, NotARegularFile):
        return b""


def _note(vault: Vault) -> Path:
    return state_folder(vault) / "next"


def _doing(vault: Vault) -> str:
    return f"write {vault.storage / FOLDER}"


def read_signed(public: PublicKey, content: bytes, signature: bytes | None, noted: bytes = b"") -> Chain:
    """A chain as far as it is signed. `noted`: what may stand behind that. Raises ValueError."""
    signed = 0
    if signature is not None:
        for part in (content, *_shorter(signature, content)):
            with suppress(NotMinisign):
                signed = signed_bytes(public.trusted_comment(signature, part))
                break
        else:
            raise ValueError("its signature is not of it")
    chain, tail = Chain.read(content[:signed]), content[signed:]
    is_coming = noted.startswith(tail) and (not chain.content or noted.startswith(chain.head.encode()))
    if tail and not is_coming:
        raise ValueError("it has lines that are not signed")
    return chain


def _shorter(signature: bytes, content: bytes) -> Iterator[bytes]:
    """What the signature says that it is of, where that is less."""
    with suppress(ValueError, IndexError):
        signed = signed_bytes(signature.split(b"\n")[2].decode().removeprefix("trusted comment: "))
        if signed < len(content):
            yield content[:signed]


def _key(vault: Vault, folder: ManifestFolder) -> SecretKey:
    """Raises VaultTrouble."""
    key = secret_key(vault)
    try:
        public = folder.read(PUBLIC_KEY)
        if key is None:
            if public is not None or folder.read(LOG) is not None:
                raise VaultTrouble(
                    f"the secret key {key_path(vault)} is gone: put it back from a backup of Storage/.factory; or move "
                    f"{folder.named('')} away, and all is signed anew with another key"
                )
            return make_key(vault)
        if public is not None and PublicKey.read(public) != key.public:
            raise NotMinisign("it is another one")
    except NotOurs as problem:
        raise VaultTrouble(str(problem)) from problem
    except NotMinisign as problem:
        raise VaultTrouble(
            f"{folder.named(PUBLIC_KEY)} is not the public key of {key_path(vault)} ({problem}): look at it, and move "
            "away the wrong one"
        ) from problem
    return key
