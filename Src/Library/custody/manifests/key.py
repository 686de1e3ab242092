"""The secret key of one vault's manifests: `Storage/.factory/manifests/minisign.key`, made once, for its owner only."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
from pathlib import Path

from Src.Library.custody.manifests.minisign import NotMinisign, SecretKey
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.disk.files import NotARegularFile, open_regular
from Src.Shared.disk.filesystem import NO_MODES, filesystem_type
from Src.Shared.disk.making import PRIVATE, PRIVATE_FILE, make_folder
from Src.Shared.disk.naming import name_in_one_step
from Src.Shared.disk.syncing import fsync_folder

_LONGEST = 4096
_told: set[Path] = set()  # of which keys the mount decides who may read them

logger = logging.getLogger(__name__)


def state_folder(vault: Vault) -> Path:
    return vault.state / "manifests"


def key_path(vault: Vault) -> Path:
    return state_folder(vault) / "minisign.key"


def secret_key(vault: Vault) -> SecretKey | None:
    """None where there is none. One that others may read is closed to them. Raises VaultTrouble."""
    path = key_path(vault)
    try:
        with open(open_regular(str(path)), "rb") as file:
            if _is_open(file.fileno()) and not NO_MODES.fullmatch(filesystem_type(path.parent)):
                _close(file.fileno(), path)
            return SecretKey.read(file.read(_LONGEST))
    except FileNotFoundError:
        return None
    except NotARegularFile as error:
        raise VaultTrouble(f"the secret key {path} is no file: look at it, and move it away") from error
    except NotMinisign as error:
        raise VaultTrouble(f"the secret key {path} cannot be used: {error}; put it back from a backup") from error
    except OSError as error:
        raise VaultTrouble.from_os(error, f"read the secret key {path}") from error


def _is_open(fd: int) -> bool:
    return bool(os.fstat(fd).st_mode & 0o077)


def _close(fd: int, path: Path) -> None:
    """For its owner only, where the mount does not decide that. Raises VaultTrouble where that is another user."""
    status = os.fstat(fd)
    mode = f"{stat.S_IMODE(status.st_mode):04o}"
    try:
        os.fchmod(fd, PRIVATE_FILE)
    except OSError as error:
        if error.errno != errno.EPERM or os.geteuid() not in (0, status.st_uid):
            raise VaultTrouble(
                f"others may read the secret key {path} (its mode is {mode}): chmod 600 it, and chown it to the user "
                "as whom the factory runs"
            ) from error
    if not _is_open(fd):
        logger.warning("others could read the secret key %s (its mode was %s); now its owner can only", path, mode)
    elif path not in _told:
        _told.add(path)
        logger.warning("others may read the secret key %s: its mount says so (%s), and does not change it", path, mode)


def make_key(vault: Vault) -> SecretKey:
    """Makes it durably, where there is none. Under the lock of the manifests. Raises VaultTrouble."""
    path = key_path(vault)
    temporary = path.with_name(f".{path.name}.new")
    key = SecretKey.new()
    try:
        make_folder(path.parent, PRIVATE)
        with contextlib.suppress(FileNotFoundError):  # of a run that was killed: nobody has seen it
            temporary.unlink()
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_FILE)
        try:
            if os.geteuid() == 0:  # the services run as another
                above = path.parent.parent.stat()
                for one in (fd, path.parent):
                    with contextlib.suppress(OSError):  # where the mount decides
                        os.chown(one, above.st_uid, above.st_gid)
            with open(fd, "wb", closefd=False) as file:
                file.write(key.file())
            os.fsync(fd)
        finally:
            os.close(fd)
        name_in_one_step(temporary, str(path))
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        for folder in (path.parent, vault.state):
            fsync_folder(folder)
    except OSError as error:
        raise VaultTrouble.from_os(error, f"make the secret key {path}") from error
    return key
