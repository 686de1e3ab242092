"""The system account that the embedded PostgreSQL runs as.

PostgreSQL refuses to run as root. Where we are root it runs as the owner of its data, or else as the account
`pgserver`, which is made; that account must be able to get at its program and its data, and at no more.
"""

from __future__ import annotations

import logging
import os
import pwd
import shutil
import stat
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ACCOUNT = "pgserver"

log = logging.getLogger(__name__)


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


def let_through(account: Account, path: Path) -> None:
    """Lets the account pass the folders above `path`: `o+x`, and only where it cannot pass now."""
    if account.is_ours:
        return
    for folder in reversed(path.resolve().parents):
        status = folder.stat()
        if not _may(account, status, stat.S_IXOTH):
            folder.chmod(stat.S_IMODE(status.st_mode) | stat.S_IXOTH)
            log.warning("Let other users pass through %s (o+x), so that PostgreSQL reaches %s", folder, path)


def let_read(account: Account, tree: Path) -> None:
    """Lets the account read (and run) the program in `tree`, where it cannot now."""
    if account.is_ours:
        return
    widened = 0
    for path in (tree, *tree.rglob("*")):
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            continue
        need = stat.S_IROTH | (stat.S_IXOTH if status.st_mode & stat.S_IXUSR else 0)
        if not _may(account, status, need):
            path.chmod(stat.S_IMODE(status.st_mode) | need)
            widened += 1
    if widened:
        log.warning("Let other users read %d files of %s, so that PostgreSQL can run", widened, tree)


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
