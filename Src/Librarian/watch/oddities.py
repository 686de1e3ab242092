"""What stays in the inbox because nobody can file it as it is: unreadable folders, links, FIFOs, devices, sockets."""

from __future__ import annotations

import logging
from collections.abc import Collection

from Src.Library.tree import Odd

logger = logging.getLogger(__name__)


class Oddities:
    """As the last looks have found them; each is logged once for as long as it is there."""

    def __init__(self) -> None:
        self._known: dict[str, Odd] = {}  # by path, relative to the inbox

    def all(self) -> list[Odd]:
        return list(self._known.values())

    def add(self, found: Odd) -> None:
        """Something odd was seen."""
        known = self._known.get(found.path)
        if known is None or (known.kind, known.reason) != (found.kind, found.reason):
            logger.warning("%s in the inbox: %s; it stays there", found.path, found.reason)
        self._known[found.path] = found

    def drop(self, path: str) -> None:
        """It is odd no longer, or has gone."""
        self._known.pop(path, None)

    def keep_only(self, paths: Collection[str]) -> None:
        """A look at everything has found these, and no others."""
        for path in [path for path in self._known if path not in paths]:
            del self._known[path]

    def hides(self, path: str) -> bool:
        """Whether a path is, or lies below, what cannot be looked into: then it need not be gone."""
        return any(
            one.kind == "unreadable" and (path == one.path or path.startswith(f"{one.path}/"))
            for one in self._known.values()
        )
