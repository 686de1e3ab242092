"""The sources of an import: whether each may be imported, and the files in them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from Src.Librarian.passage import IncomingFile
from Src.Library.inbox import walk_files
from Src.Library.own_folders import OwnFolders
from Src.Library.tree import Odd, Skipped
from Src.Media.companions import find_sidecar
from Src.Shared.disk.files import regular_file_state
from Src.Shared.disk.top import Top
from Src.Shared.errors import FactoryError
from Src.Shared.settings import Settings
from Src.Shared.vault_marker import MARKER


class SourceError(FactoryError):
    """A source cannot be imported. The message is one line: what, where, what to do."""

    about = "import"


class Sources:
    """Folders and files outside the factory."""

    def __init__(self, given: Sequence[Path], settings: Settings, *, move: bool, compares: bool = False) -> None:
        """Raises SourceError for one that is missing, unreadable, or the factory's own; nothing is read before.

        `compares`: with the vault, so that nothing of a vault may be taken for another copy.
        """
        self._settings = settings
        self._without_vaults = move or compares
        why = "which --move would empty; import it without --move" if move else "and no other copy of it"
        self.paths = _checked(given, settings, of_vault=why if self._without_vaults else None)
        self._tops: dict[Path, Top] = {}
        self.odd: dict[str, Odd] = {}  # what the walks have found that nobody can file, by path

    @property
    def readable(self) -> list[Path]:
        """What readers must see: the sources, and the sidecars of those that are files."""
        beside = [find_sidecar(str(path)) for path in self.paths if path.is_file()]
        return [*self.paths, *(Path(path) for path in beside if path is not None)]

    def entries(self) -> Iterator[str]:
        """The path of everything that is there by now, as `files` finds it: of what is left alone too."""
        beside: list[str] = []
        for file in self.files(lambda one: beside.append(one.path), lambda one: beside.append(one.path)):
            yield file.path
            yield from beside
            beside.clear()
        yield from beside

    def files(
        self, skipped: Callable[[Skipped], None] | None = None, odd: Callable[[Odd], None] | None = None
    ) -> Iterator[IncomingFile]:
        """All regular files; `skipped` is called with every entry that is left alone, `odd` with what nobody can
        file."""
        storage = _identity(self._settings.storage)
        marker = MARKER if self._without_vaults else None
        for source in self.paths:
            if source.is_dir():
                top = self._top(source, source)
                for path, state in walk_files(
                    top, skip=storage, skip_marked=marker, odd=odd or self._note_odd, skipped=skipped
                ):
                    yield IncomingFile(path, path, state, "import", top)
                continue
            state_ = regular_file_state(str(source))
            if state_ is not None:
                yield IncomingFile(str(source), str(source), state_, "import", self._top(source, source.parent))

    def _top(self, source: Path, folder: Path) -> Top:
        return self._tops.get(source) or self._tops.setdefault(source, Top.of(folder))

    def _note_odd(self, found: Odd) -> None:
        self.odd[found.path] = found


def _checked(given: Sequence[Path], settings: Settings, *, of_vault: str | None) -> list[Path]:
    own = OwnFolders(settings)
    checked: list[Path] = []
    for source in given:
        try:
            exists = source.exists()
        except OSError as error:
            raise SourceError(f"{source}: cannot be looked at: {error.strerror}") from error
        if not exists:
            raise SourceError(f"{source}: no such file or folder")
        resolved = source.resolve()
        _refuse_own(own, source, resolved)
        if not os.access(source, os.R_OK | (os.X_OK if source.is_dir() else 0)):
            raise SourceError(f"{source}: cannot be read; check its permissions")
        if not source.is_dir() and not source.is_file():
            raise SourceError(f"{source}: is neither a folder nor a regular file")
        if of_vault is not None and _is_of_vault(source, resolved):
            raise SourceError(f"{source}: is part of a vault, {of_vault}")
        checked.append(resolved)
    # A source inside another is imported with that one, and once.
    return [one for one in dict.fromkeys(checked) if not any(other in one.parents for other in checked)]


def _is_of_vault(given: Path, resolved: Path) -> bool:
    for folder in (resolved, *resolved.parents):
        try:
            os.lstat(folder / MARKER)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise SourceError(f"{given}: cannot be looked at: {error.strerror}") from error
        return True
    return False


def _refuse_own(own: OwnFolders, given: Path, resolved: Path) -> None:
    """Raises SourceError for a source that is a folder of this factory, is in one, or has one in it."""
    around = own.around(resolved)
    if around is not None:
        raise SourceError(
            f"{given}: is part of {around.name}, {around.path}, where photos are already the factory's; "
            "give a source outside of it"
        )
    inside = own.inside(resolved)
    if inside is not None:
        raise SourceError(f"{given}: holds {inside.name}, {inside.path}; give the folders with your photos one by one")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
