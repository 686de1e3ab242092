"""Are the manifests what the factory wrote, and do they say what the ledger says? Changes none of that."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from Src.Library.belonging import Belonging
from Src.Library.custody.manifests import days, lines
from Src.Library.custody.manifests.chain import GONE, LOG, Chain, paths_in
from Src.Library.custody.manifests.folder import FOLDER, SIGNATURE, ManifestFolder, NotOurs, unreadable
from Src.Library.custody.manifests.key import secret_key
from Src.Library.custody.manifests.minisign import NotMinisign, PublicKey
from Src.Library.custody.manifests.store import PUBLIC_KEY, BeingWritten, lock_of_manifests, noted_lines, read_signed
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble, vault_trouble
from Src.Shared.database import Database
from Src.Shared.errors import FactoryError

_AT_ONCE = 200  # days
_TRIES = 3
_ANEW = f"put it back from a backup, or move the folder Storage/{FOLDER} away, and ./factory up writes all of it anew"

logger = logging.getLogger(__name__)

Sessions = Callable[[], AbstractContextManager[Session]]


@dataclass(slots=True)
class CheckedManifests:
    """What was found."""

    days: int = 0  # that have manifests
    behind: int = 0  # that are not written yet: of these only bytes are compared that may not change
    head: str | None = None  # of the chain
    lost: tuple[str, str] | None = None  # the head of a chain that was lost, and before when
    public_key: str | None = None
    wrong: dict[str, str] = field(default_factory=dict)  # by path, relative to the folder of the manifests: why

    def as_json(self) -> dict[str, Any]:
        return {
            "days": self.days,
            "days_behind": self.behind,
            "head": self.head,
            "lost": None if self.lost is None else {"head": self.lost[0], "before": self.lost[1]},
            "public_key": self.public_key,
            "wrong": sorted(self.wrong),
            "why": dict(sorted(self.wrong.items())),
        }


def check_manifests(vault: Vault, database: Database, belonging: Belonging) -> CheckedManifests:
    """What is wrong is looked at again while nobody writes. Raises nothing: what cannot be checked is wrong."""
    found = CheckedManifests()
    try:
        belonging.establish(database)
        for _ in range(_TRIES):
            check = _Check(vault, database, found := CheckedManifests())
            check.run()
            if not found.wrong:
                break
            try:
                again = _again(vault, database, sorted(found.wrong))
            except BeingWritten as trouble:
                now = "somebody writes the lists just now, so nobody knows whether it is wrong: try again"
                found.wrong = {path: f"{now} ({why}; {_first_line(trouble)})" for path, why in found.wrong.items()}
                break
            if again is None:
                break
            if again or check.came_to_lists:
                found.wrong = again
                break  # else key or chain were read while somebody wrote them: all of it once more
    except (FactoryError, DBAPIError, OSError) as trouble:
        found.wrong.setdefault("", f"they cannot be checked: {_first_line(trouble)}")
    return found


def _again(vault: Vault, database: Database, paths: list[str]) -> dict[str, str] | None:
    """What is wrong of that while nobody writes, some at a time; None where that cannot be had. Raises BeingWritten."""
    wrong: dict[str, str] = {}
    try:
        for at in range(0, len(paths), _AT_ONCE):
            with lock_of_manifests(vault):
                _Check(vault, database, some := CheckedManifests()).run(set(paths[at : at + _AT_ONCE]))
            wrong |= some.wrong
    except BeingWritten:
        raise
    except (FactoryError, DBAPIError, OSError) as trouble:  # a disk that is read-only, say
        logger.debug("the signed lists are not looked at again: %s", trouble)
        return None
    return wrong


def _first_line(trouble: Exception) -> str:
    lines_of_it = str(trouble).splitlines()
    return lines_of_it[0] if lines_of_it else type(trouble).__name__


class _Check:
    def __init__(self, vault: Vault, database: Database, found: CheckedManifests) -> None:
        self._vault = vault
        self._database = database
        self._found = found
        self._only: set[str] | None = None
        self._coming: dict[str, set[str]] = {}  # by path: what a run that goes on, or died, was about to write there
        self.came_to_lists = False

    def run(self, only: set[str] | None = None) -> None:
        """`only`: of these lists. Raises VaultTrouble, LedgerUnavailable."""
        self._only = only
        with self._database.session() as session:
            head = days.known_head(session)
            marked = set(days.marked(session, None))
        self._found.behind = len(marked)
        with (
            ManifestFolder.opened(self._vault.storage) as folder,
            vault_trouble(f"read {self._vault.storage / FOLDER}"),
        ):
            if folder is None:
                if head is not None:
                    self._wrong("", f"the folder Storage/{FOLDER} is gone; ./factory up writes it anew")
                return
            self._check(folder, head, marked)

    def _check(self, folder: ManifestFolder, head: str | None, marked: set[str]) -> None:
        public = self._public_key(folder)
        if public is None:
            return
        self._found.public_key = public.text
        chain = self._chain(folder, public, head)
        if chain is None:
            return
        self._found.head, self._found.lost = chain.head, chain.follows
        self.came_to_lists = True
        living = {path: sha256 for path, sha256 in chain.last.items() if sha256 != GONE}
        for path in folder.names(self._wrong):
            if path not in living and not self._is_coming(folder, path):
                self._wrong(path, "the chain does not name it: look at it, and move it away")
        of_day: dict[str, dict[str, bytes]] = {}
        for path, sha256 in sorted(living.items()):
            if self._only is not None and path not in self._only:
                continue
            content = self._read(folder, path, sha256, public)
            day = days.day_of(path)
            if day is None:
                continue
            self._found.days += path == days.manifests_of(day)[0]
            if content is not None:
                of_day.setdefault(day, {})[path] = content
            if len(of_day) >= _AT_ONCE:
                self._compare(of_day, marked)
                of_day = {}
        self._compare(of_day, marked)
        with self._database.session() as session:
            marked |= set(days.marked(session, None))
            for day in days.all_days(session):
                path = days.manifests_of(day)[0]
                if path not in living and day not in marked and (self._only is None or path in self._only):
                    now = days.files_of(session, [day])[day]
                    if now.files:
                        self._wrong(path, "there is none, and the database has files of that day")

    def _public_key(self, folder: ManifestFolder) -> PublicKey | None:
        try:
            content = folder.read(PUBLIC_KEY)
            public = None if content is None else PublicKey.read(content)
        except (NotOurs, NotMinisign) as problem:
            self._wrong(PUBLIC_KEY, str(problem))
            public = None
        except OSError as error:
            self._wrong(PUBLIC_KEY, unreadable(error))
            public = None
        try:
            secret = secret_key(self._vault)
        except VaultTrouble as trouble:
            self._wrong(PUBLIC_KEY, str(trouble))
            secret = None
        if secret is not None and secret.public != public:
            self._wrong(PUBLIC_KEY, "it is not the key with which the factory signs")
            return secret.public
        if secret is None and public is not None and PUBLIC_KEY not in self._found.wrong:
            self._wrong(PUBLIC_KEY, "its secret key is gone: put Storage/.factory back from a backup")
        return public

    def _chain(self, folder: ManifestFolder, public: PublicKey, head: str | None) -> Chain | None:
        try:
            content = folder.read(LOG)
            if content is None:
                raise ValueError("it is gone")
            noted = noted_lines(self._vault)
            self._coming = paths_in(noted)
            chain = read_signed(public, content, folder.read(LOG + SIGNATURE), noted)
        except NotOurs as problem:
            self._wrong(LOG, str(problem))
            return None
        except ValueError as problem:
            self._wrong(LOG, f"{problem}: {_ANEW}")
            return None
        except OSError as error:
            self._wrong(LOG, unreadable(error))
            return None
        if head is not None and chain.paths_since(head) is None:
            self._wrong(
                LOG,
                "the line that the database knows as its last is not in it: an earlier one is there. Put the newest "
                f"one back from a backup, with {LOG}{SIGNATURE}; else another begins with the next list, and says so",
            )
        return chain

    def _read(self, folder: ManifestFolder, path: str, sha256: str, public: PublicKey) -> bytes | None:
        try:
            content = folder.read(path)
            coming = self._coming.get(path, set())
            if content is None:
                if GONE in coming:
                    return None
                raise NotMinisign("it is gone")
            standing = hashlib.sha256(content).hexdigest()
            if standing != sha256:
                if standing in coming:  # the next run has the chain say so
                    return content
                raise NotMinisign("it is another one than the chain names")
            if public.trusted_comment(folder.read(path + SIGNATURE) or b"", content) != path:
                raise NotMinisign("its signature is that of another file")
        except NotOurs as problem:
            self._wrong(path, str(problem))
            return None
        except NotMinisign as problem:
            self._wrong(path, f"{problem}: {_ANEW}")
            return None
        except OSError as error:
            self._wrong(path, unreadable(error))
            return None
        return content

    def _is_coming(self, folder: ManifestFolder, path: str) -> bool:
        if path not in self._coming:
            return False
        try:
            return hashlib.sha256(folder.read(path) or b"").hexdigest() in self._coming[path]
        except (NotOurs, OSError):
            return False  # so it is named

    def _compare(self, of_day: dict[str, dict[str, bytes]], were_marked: set[str]) -> None:
        with self._database.session() as session:
            now = days.files_of(session, list(of_day))
            marked = were_marked.union(days.marked(session, None))  # what was changed meanwhile is not wrong
        for day, contents in of_day.items():
            for path, hashes in zip(days.manifests_of(day), now[day], strict=True):
                if path not in contents:
                    continue
                try:
                    said = lines.read(contents[path])
                except ValueError as problem:
                    self._wrong(path, f"{problem}: {_ANEW}")
                    continue
                if day not in marked:
                    differ = sorted(name for name in said.keys() | hashes.keys() if said.get(name) != hashes.get(name))
                elif path == days.manifests_of(day)[0]:  # no list that is written later may say so
                    with self._database.session() as session:
                        differ = days.with_other_bytes(session, said, hashes)
                else:
                    differ = []
                if differ:
                    names = ", ".join(differ[:3]) + (" …" if len(differ) > 3 else "")
                    lacks = day not in marked and any(name not in hashes for name in said)
                    self._wrong(
                        path,
                        f"it does not say what the database says of {names}: "
                        + (
                            "./factory rebuild --missing adds what stands in the vault and not in the database"
                            if lacks
                            else "one of the two is older, or was changed; compare the files with both"
                        ),
                    )

    def _wrong(self, path: str, why: str) -> None:
        self._found.wrong.setdefault(path, why)
