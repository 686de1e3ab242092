"""The heads in the signed lists, read as far as key, chain and signatures are right."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from Src.Library.custody.manifests.chain import GONE, LOG, NOTHING_BEFORE, Chain, paths_in
from Src.Library.custody.manifests.events import heads
from Src.Library.custody.manifests.events.sealing import Head
from Src.Library.custody.manifests.folder import FOLDER, SIGNATURE, ManifestFolder, NotOurs, unreadable
from Src.Library.custody.manifests.key import secret_key
from Src.Library.custody.manifests.minisign import NotMinisign, PublicKey
from Src.Library.custody.manifests.store import PUBLIC_KEY, BeingWritten, lock_of_manifests, noted_lines, read_signed
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble, vault_trouble

ANEW = f"put it back from a backup, or move the folder Storage/{FOLDER} away, and ./factory up writes all of it anew"

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class SignedHeads:
    """What the lists say."""

    heads: list[tuple[str, Head]] = field(default_factory=list)  # with the path of their list, in their order
    lists: int = 0
    wrong: dict[str, str] = field(default_factory=dict)  # by path: why it is not believed
    public: PublicKey | None = None
    is_there: bool = False  # the log that names the lists, or what is left of them


@contextmanager
def signed_heads(vault: Vault) -> Iterator[SignedHeads]:
    """In the block nobody writes them, where that can be had. Raises VaultTrouble."""
    found = SignedHeads()
    with undisturbed(vault):
        with ManifestFolder.opened(vault.storage) as folder, vault_trouble(f"read {vault.storage / FOLDER}"):
            if folder is not None:
                _read(vault, folder, found)
        yield found


@contextmanager
def undisturbed(vault: Vault) -> Iterator[None]:
    """Raises BeingWritten where another process writes them for a while: what is read then may look wrong."""
    with ExitStack() as stack:
        try:
            stack.enter_context(lock_of_manifests(vault))
        except BeingWritten as error:
            raise BeingWritten(f"somebody writes {vault.storage / FOLDER} just now: try again ({error})") from error
        except VaultTrouble as trouble:  # of a disk that is read-only, say
            logger.debug("the signed lists are read without their lock: %s", trouble)
        yield


def _read(vault: Vault, folder: ManifestFolder, found: SignedHeads) -> None:
    try:
        found.public = public = _public_key(vault, folder)
        content, noted = folder.read(LOG), noted_lines(vault)
        if content is None and not _was_there(folder, noted):
            return
        found.is_there = True
        if public is None or content is None:
            raise ValueError("it is gone" if content is None else f"{PUBLIC_KEY} is gone")
        chain = read_signed(public, content, folder.read(LOG + SIGNATURE), noted)
    except (NotOurs, ValueError, VaultTrouble) as problem:
        found.is_there = True
        found.wrong[LOG] = f"{problem}; ./factory verify says more"
        return
    coming = paths_in(noted)
    for path in sorted(path for path, sha256 in chain.last.items() if sha256 != GONE and heads.is_path(path)):
        try:
            found.heads += [(path, head) for head in _heads(folder, public, chain, path, coming.get(path, set()))]
            found.lists += 1
        except OSError as error:
            found.wrong[path] = unreadable(error)
        except (NotOurs, ValueError) as problem:
            found.wrong[path] = f"{problem}: {ANEW}"


def _was_there(folder: ManifestFolder, noted: bytes) -> bool:
    """Whether anything says that there was a log. A first one that a kill has kept from being written is none."""
    if folder.read(LOG + SIGNATURE) is not None or (noted and not noted.startswith(NOTHING_BEFORE.encode())):
        return True
    coming = paths_in(noted)
    return any(path not in coming for path in folder.names(lambda _path, _why: None))


def _public_key(vault: Vault, folder: ManifestFolder) -> PublicKey | None:
    """The factory's own, where it is there. Raises NotMinisign, NotOurs, VaultTrouble."""
    secret = secret_key(vault)
    if secret is not None:
        return secret.public
    content = folder.read(PUBLIC_KEY)
    return None if content is None else PublicKey.read(content)


def _heads(folder: ManifestFolder, public: PublicKey, chain: Chain, path: str, coming: Collection[str]) -> list[Head]:
    """`coming`: the hashes of what a run that goes on, or died, was about to write there. Raises NotOurs, ValueError,
    OSError."""
    content = folder.read(path)
    if content is None:
        raise ValueError("it is gone")
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != chain.last[path]:
        if sha256 not in coming:
            raise ValueError("it is another one than the chain names")
    elif public.trusted_comment(folder.read(path + SIGNATURE) or b"", content) != path:
        raise NotMinisign("its signature is that of another file")
    return heads.read(content)
