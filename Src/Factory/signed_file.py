"""A text that a command writes for a person, and its signature beside it, by the key of the vault's signed lists.

`minisign -Vm FILE -P KEY` checks it, without the factory (https://jedisct1.github.io/minisign/).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from Src.Factory.new_file import NewFile
from Src.Library.custody.manifests.folder import SIGNATURE
from Src.Library.custody.manifests.minisign import SecretKey
from Src.Library.custody.manifests.store import signing_key
from Src.Library.vault import Vault


class SignedFile:
    """FILE, and FILE.minisig where there is a vault, which has a key."""

    def __init__(self, text: NewFile, signature: NewFile | None, key: SecretKey | None) -> None:
        self._text = text
        self._signature = signature
        self._key = key
        self.public_key = None if key is None else key.public.text  # as `minisign -P` takes it

    def write(self, text: str, comment: str) -> None:
        """All of the text. `comment`: one line, which the signature holds, and signs too. Raises Problem where the disk
        is full."""
        if self._key is not None and self._signature is not None:
            self._signature.write(self._key.signature(text.encode(), comment).decode())
        self._text.write(text)


@contextlib.contextmanager
def signed_file(target: Path, vault: Vault, *, about: str) -> Iterator[SignedFile]:
    """New files, each whole or not at all. The signature gets its name first: FILE never stands there without one.

    `about`: as of NewFile. Raises Problem, and VaultTrouble where nothing can be signed, before any work.
    """
    with NewFile(target, vault.storage, about=about) as text:
        if not vault.is_marked():
            yield SignedFile(text, None, None)
            return
        key = signing_key(vault)
        with NewFile(target.with_name(target.name + SIGNATURE), vault.storage, about=about) as signature:
            yield SignedFile(text, signature, key)
