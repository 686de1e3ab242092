"""The heads in the signed lists, read as far as key, chain and signatures are right."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from Src.Library.custody.manifests.chain import GONE, LOG, Chain
from Src.Library.custody.manifests.events import heads
from Src.Library.custody.manifests.events.sealing import Head
from Src.Library.custody.manifests.folder import FOLDER, SIGNATURE, ManifestFolder, NotOurs, unreadable
from Src.Library.custody.manifests.key import secret_key
from Src.Library.custody.manifests.minisign import NotMinisign, PublicKey
from Src.Library.custody.manifests.store import PUBLIC_KEY, lock_of_manifests, noted_lines, read_signed
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


def read_signed_heads(vault: Vault) -> SignedHeads:
    """While nobody writes, where that can be had. Raises VaultTrouble."""
    found = SignedHeads()
    with (
        undisturbed(vault),
        ManifestFolder.opened(vault.storage) as folder,
        vault_trouble(f"read {vault.storage / FOLDER}"),
    ):
        if folder is not None:
            _read(vault, folder, found)
    return found


@contextmanager
def undisturbed(vault: Vault) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(lock_of_manifests(vault))
        except VaultTrouble as trouble:  # of a disk that is read-only, say
            logger.debug("the signed lists are read without their lock: %s", trouble)
        yield


def _read(vault: Vault, folder: ManifestFolder, found: SignedHeads) -> None:
    try:
        public = _public_key(vault, folder)
        content = folder.read(LOG)
        if public is None and content is None:
            return
        if public is None or content is None:
            raise ValueError("it is gone")
        chain = read_signed(public, content, folder.read(LOG + SIGNATURE), noted_lines(vault))
    except (NotOurs, ValueError, VaultTrouble) as problem:
        found.wrong[LOG] = f"{problem}; ./factory verify says more"
        return
    for path in sorted(path for path, sha256 in chain.last.items() if sha256 != GONE and heads.is_path(path)):
        try:
            found.heads += [(path, head) for head in _heads(folder, public, chain, path)]
            found.lists += 1
        except OSError as error:
            found.wrong[path] = unreadable(error)
        except (NotOurs, ValueError) as problem:
            found.wrong[path] = f"{problem}: {ANEW}"


def _public_key(vault: Vault, folder: ManifestFolder) -> PublicKey | None:
    """The factory's own, where it is there. Raises NotMinisign, NotOurs, VaultTrouble."""
    secret = secret_key(vault)
    if secret is not None:
        return secret.public
    content = folder.read(PUBLIC_KEY)
    return None if content is None else PublicKey.read(content)


def _heads(folder: ManifestFolder, public: PublicKey, chain: Chain, path: str) -> list[Head]:
    """Raises NotOurs, ValueError, OSError."""
    content = folder.read(path)
    if content is None:
        raise ValueError("it is gone")
    if hashlib.sha256(content).hexdigest() != chain.last[path]:
        raise ValueError("it is another one than the chain names")
    if public.trusted_comment(folder.read(path + SIGNATURE) or b"", content) != path:
        raise NotMinisign("its signature is that of another file")
    return heads.read(content)
