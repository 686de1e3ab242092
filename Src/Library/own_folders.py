"""The folders of this factory, by which a path of a person's is compared: through links and other mounts too."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from Src.Shared.disk.mounts import Place, mounts, place_of, places_at_and_below
from Src.Shared.settings import Settings


class OwnFolder(NamedTuple):
    """A folder of the factory, and what it is, in words."""

    name: str
    path: Path


class OwnFolders:
    """Those that are there, as they are mounted now."""

    def __init__(self, settings: Settings) -> None:
        # What lies in FACTORY_DATA beside these may be anybody's, as on a disk that holds old photos too.
        named = {
            "the vault's storage": settings.storage,
            "the vault": settings.originals,
            "the inbox": settings.inbox,
            "the database's folder": settings.db_data,
            "the factory's own folder": settings.run,
        }
        self._inner = [OwnFolder(name, path.resolve()) for name, path in named.items() if path.exists()]
        self._data = OwnFolder("FACTORY_DATA", settings.data.resolve()) if settings.data.exists() else None
        self._all = [*self._inner, *([self._data] if self._data else [])]
        self._mounts = mounts()

    def around(self, resolved: Path, *, or_data: bool = False) -> OwnFolder | None:
        """The one that a folder is, or is in. `or_data`: FACTORY_DATA counts too."""
        above = {_identity(folder) for folder in (resolved, *resolved.parents)}
        asked = self._all if or_data else self._inner
        return next((one for one in asked if _identity(one.path) in above or self._is_within(resolved, one)), None)

    def inside(self, resolved: Path) -> OwnFolder | None:
        """The one that a folder is, or that is in it; FACTORY_DATA counts too."""
        own = _identity(resolved)
        for one in self._all:
            if own in {_identity(folder) for folder in (one.path, *one.path.parents)} or self._holds(resolved, one):
                return one
        return None

    def _is_within(self, path: Path, folder: OwnFolder) -> bool:
        place = place_of(path, self._mounts)
        return place is not None and any(place.is_within(own) for own in self._places(folder))

    def _holds(self, path: Path, folder: OwnFolder) -> bool:
        seen_there = places_at_and_below(path, self._mounts)
        return any(
            own.is_within(seen) or (folder != self._data and seen.is_within(own))
            for own in self._places(folder)
            for seen in seen_there
        )

    def _places(self, folder: OwnFolder) -> list[Place]:
        """Where it is, with what is mounted in it: one year's folder can be another disk. Of FACTORY_DATA only itself:
        what is mounted there beside the others may be anybody's."""
        if folder != self._data:
            return places_at_and_below(folder.path, self._mounts)
        own = place_of(folder.path, self._mounts)
        return [] if own is None else [own]


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
