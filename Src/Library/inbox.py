"""The files of an inbox, or of a folder that is imported.

Names that are never content are passed over: hidden files, half-done transfers, what systems leave lying about.
"""

from __future__ import annotations

import fnmatch
import logging
import os
import re
from collections.abc import Callable, Iterator

from Src.Library.leaving import HIDDEN
from Src.Library.tree import File, Folder, Odd, Skipped, walk, walk_all
from Src.Shared.disk.files import FileState
from Src.Shared.disk.making import DROP_ZONE, PRIVATE, make_folder
from Src.Shared.disk.top import Top, open_top
from Src.Shared.settings import Settings

logger = logging.getLogger(__name__)

MOVING = ".factory-moving-"  # begins the name of a source that an import was just removing when it was killed
_HALF_DONE = "half-done transfer"
_SYSTEM = "left by a system or program"
_RECYCLED = "recycle bin"
# Why files are left alone, by their names. docs/OPERATIONS.md has the same list (a test compares them).
LEFT_FILES: dict[str, tuple[str, ...]] = {
    _HALF_DONE: (
        "~syncthing~*.tmp",
        ".syncthing.*",
        ".goutputstream-*",  # GNOME's file manager
        ".pending-*",  # Android's media store
        ".in.*",  # ProFTPD and others
        "*.part",  # Firefox, wget, KDE, aMule
        "*.partial",  # rclone, Internet Explorer, rsync --partial-dir by some front ends
        "*.filepart",  # WinSCP
        "*.crdownload",  # Chrome
        "*.download",  # Safari
        "*.opdownload",  # Opera
        "*.downloading",
        "*.uploading",
        "*.incomplete",
        "*.inprogress",
        "*.unconfirmed",
        "*.aria2",
        "*.!sync",  # Resilio
        "*.bts",
        "*.!ut",  # BitTorrent programs
        "*.!qb",
        "*.!bt",
        "*.bc!",
        "*.jc!",  # FlashGet
        "*.fstemp",  # FolderSync
        "*.ffs_tmp",  # FreeFileSync
        "*.fdmdownload",
        "*.dtapart",
        "*.dctmp",
        "*.xltd",
        "*.td",
        "*.tmp",
        "*.temp",
        "*.~tmp",
        "*.sb-????????-??????",  # macOS, while it saves
        "*.lftp-pget-status",
        "*.octransferid*",  # ownCloud and Nextcloud, on the server's side
    ),
    _SYSTEM: ("thumbs.db", "ehthumbs.db", "desktop.ini", "sync.ffs_db", "*.ffs_db", "*.ffs_lock", "~$*"),
    "hidden": (".*",),  # also .stignore, .DS_Store, ._*, ownCloud's .name.~hash, iCloud's placeholders
}
# Why folders are left alone, with all that is in them. No pattern of a file skips a folder.
LEFT_FOLDERS: dict[str, tuple[str, ...]] = {
    _RECYCLED: ("#recycle", "@recycle", "$recycle.bin", "recycler", "recycled", ".trash", ".trash-*", ".trashes"),
    _SYSTEM: ("@eadir", "@recently-snapshot", "system volume information", "lost+found", "_gsdata_"),
    "hidden": (".*",),  # also .stfolder, .stversions
}
IN_A_LIBRARY = "made by a photo library of its originals"
# Inside a photo library of Apple's: originals are in `originals` (`Masters` before 2019); all else is made from them.
_APPLE_LIBRARY = (".photoslibrary", ".migratedphotolibrary", ".photolibrary", ".aplibrary")
_APPLE_MADE = frozenset(
    {"resources", "database", "scopes", "private", "external", "internal", "previews", "thumbnails"}
)


def _matcher(patterns: tuple[str, ...]) -> Callable[[str], object]:
    return re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns)).match


_FILES = [(why, _matcher(patterns)) for why, patterns in LEFT_FILES.items()]
_FOLDERS = [(why, _matcher(patterns)) for why, patterns in LEFT_FOLDERS.items()]
_is_left_file = _matcher(tuple(pattern for patterns in LEFT_FILES.values() for pattern in patterns))


def why_ignored(name: str) -> str | None:
    """Why a file of this name is left alone; None: it is not."""
    if not is_ignored(name):
        return None
    return next(why for why, matches in _FILES if matches(name.lower()))


def is_ignored(name: str) -> bool:
    """Whether a file of this name is left alone. Conflict copies (`*.sync-conflict-*`) are content."""
    return _is_left_file(name.lower()) is not None and not name.startswith(MOVING)


def why_ignored_folder(name: str, parent: str = "") -> str | None:
    """Why a folder of this name, in a folder of that name, is left alone; None: it is not."""
    if parent.lower().endswith(_APPLE_LIBRARY) and name.lower() in _APPLE_MADE:
        return IN_A_LIBRARY
    return next((why for why, matches in _FOLDERS if matches(name.lower())), None)


def is_ignored_folder(name: str, parent: str = "") -> bool:
    """Whether a folder of this name, in a folder of that name, is left alone."""
    return why_ignored_folder(name, parent) is not None


def is_passed_over(name: str, parent: str, is_folder: bool) -> bool:
    """Whether a walk leaves alone what is named so in a folder of that name."""
    return is_ignored_folder(name, parent) if is_folder else is_ignored(name)


def why_passed_over(name: str, parent: str, is_folder: bool) -> str | None:
    """Why a walk leaves it alone."""
    return why_ignored_folder(name, parent) if is_folder else why_ignored(name)


def is_ignored_path(relative: str) -> bool:
    """Whether a file's path relative to the inbox is ignored, by its name or by one of its folders."""
    *folders, name = relative.split("/")
    return is_ignored(name) or any(
        is_ignored_folder(folder, parent) for parent, folder in zip(["", *folders], folders, strict=False)
    )


def is_inbox_path(relative: str) -> bool:
    """Whether a path leads to a place inside the inbox: what a row of the ledger states may be anything."""
    try:
        os.fsencode(relative)
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        return False
    return "\0" not in relative and not set(relative.split("/")) & {"", ".", ".."}


def walk_files(
    top: str | Top,
    *,
    skip: tuple[int, int] | None = None,
    skip_marked: str | None = None,
    odd: Callable[[Odd], None] | None = None,
    skipped: Callable[[Skipped], None] | None = None,
    own_inbox: bool = False,
) -> Iterator[tuple[str, FileState]]:
    """All regular files below a folder that are not ignored by name, folder by folder, without following links.

    Passed over are the folder of device and inode `skip`, and those that hold a file named `skip_marked`.
    `odd` is called with what stays because nobody can file it; what cannot be read is logged, too. `skipped` with every
    other entry, however deep, that is passed over, but in this factory's `own_inbox` what waits to leave there.
    """

    def closed(fd: int, names: Iterator[str]) -> str | None:
        if skip is not None and identity(fd) == skip:
            return "the factory's own storage"
        if skip_marked is not None and skip_marked in names:
            logger.warning("%s is passed over: it is a vault", os.readlink(f"/proc/self/fd/{fd}"))
            return "part of a vault"
        return None

    top = top if isinstance(top, Top) else Top(top, None)
    prefix = top.path.rstrip("/") + "/"
    try:
        root = open_top(top)
    except OSError as error:
        _tell(Odd(top.path, "unreadable", f"cannot be read: {error.strerror}", None), odd)
        return
    try:
        found: File | Folder | Odd | Skipped
        everything = skipped is not None
        way = walk_all(root, passed_over=why_passed_over, closed=closed) if everything else None
        for found in way or walk(root, passed_over=is_passed_over, closed=closed):
            match found:
                case File():
                    yield prefix + found.path, found.state
                case Odd():
                    _tell(found._replace(path=prefix + found.path if found.path else top.path), odd)
                case Skipped():
                    is_ours = own_inbox and found.path.startswith(HIDDEN + "/")
                    if skipped is not None and not is_ours:
                        skipped(found._replace(path=prefix + found.path if found.path else top.path))
    finally:
        os.close(root)


def _tell(found: Odd, odd: Callable[[Odd], None] | None) -> None:
    if found.kind == "unreadable":
        logger.warning("%s %s", found.path, found.reason)
    if odd is not None:
        odd(found)


def identity(folder: str | int) -> tuple[int, int]:
    """Device and inode of a folder, given by its path or its descriptor."""
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def make_inbox(settings: Settings) -> None:
    """Makes the inbox where there is none: for its owner, or for `FACTORY_GROUP` to put photos in. Raises OSError."""
    if settings.group is None:
        make_folder(settings.inbox, PRIVATE)
    else:
        make_folder(settings.inbox, DROP_ZONE, settings.group)
