"""Whose a companion is that came by itself: the photo that was filed from beside it, if only one can be meant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from Src.Librarian.passage import IN_ARCHIVE, IncomingFile
from Src.Librarian.record import companions
from Src.Librarian.record.companions import FiledPhoto
from Src.Librarian.record.recorder import Recorder
from Src.Media.companion_names import CompanionKind
from Src.Shared.disk.files import regular_file_state

# Cameras use names again: of a photo that came longer ago, a companion of its name says little.
_LATEST = timedelta(days=1)
_TOGETHER = "put it into the inbox once more together with its photo"
_NEWER = "if it says more than that one, copy it over that one"  # what programs write there is taken over
_WHAT: dict[CompanionKind, str] = {
    "xmp": "an XMP file",
    "aae": "an AAE file",
    "thm": "a THM file",
    "audio": "a sound file",
    "srt": "an SRT file",
    "lrv": "a small film",
    "takeout": "a JSON file of Google Takeout",
}


class NotJoined(Exception):
    """A companion is joined to no photo now. The message is one line: why, and what to do."""


class LedgerAway(NotJoined):
    """It is asked again."""

    def __init__(self) -> None:
        super().__init__("the database cannot be reached, or was changed meanwhile")


def what(kind: CompanionKind) -> str:
    """A file of that kind, in words: an XMP file."""
    return _WHAT[kind]


def photo_of(recorder: Recorder, file: IncomingFile, kind: CompanionKind) -> FiledPhoto:
    """The one photo that a companion can belong to. Raises NotJoined. Under the vault's lock."""

    def ask(session: Session) -> list[tuple[FiledPhoto, str | None]]:
        photos = companions.photos_beside(session, file, kind)
        return [(one, _in_the_way(session, one, file, kind)) for one in photos]

    found = recorder.ask(ask)
    if found is None:
        raise LedgerAway
    if file.source == "import":
        found = [(photo, in_the_way) for photo, in_the_way in found if _stands(photo)]
    best = min((photo.rank for photo, _ in found), default=0)
    found = [one for one in found if one[0].rank == best]
    if not found:
        raise NotJoined(f"{what(kind)} whose photo has not come: put the photo beside it")
    if len(found) > 1:
        raise NotJoined(f"{what(kind)} of one of {len(found)} photos of that name: {_TOGETHER}")
    ((photo, in_the_way),) = found
    if in_the_way is not None:
        raise NotJoined(f"{what(kind)}, and the photo of that name has {in_the_way}")
    if file.source != "import" and datetime.now(UTC) - photo.happened_at > _LATEST:
        raise NotJoined(f"{what(kind)}, and the photo of that name came more than a day before it: {_TOGETHER}")
    return photo


def _in_the_way(session: Session, photo: FiledPhoto, file: IncomingFile, kind: CompanionKind) -> str | None:
    """What has its place beside the photo, so that it may be meant for the next photo of that name; and what to do.

    An XMP file that comes with its photo is known by the photo's reader, and never asked about here; one that came from
    another folder with the same photo says nothing against it: a duplicate keeps what all its sidecars say. Of others,
    what came with the photo before has no say about what comes with it now; and an imported photo still stands there.
    """
    if kind == "xmp":
        path = companions.xmp_from_folder_since(session, photo, file.original_path)
        return None if path is None else f"one already, {path}: {_NEWER}; or, if it is another photo's, {_TOGETHER}"
    taken = file.source != "import" and companions.has_since(session, photo, file.original_path)
    return f"one already: {_TOGETHER}" if taken else None


def _stands(photo: FiledPhoto) -> bool:
    """Whether an imported photo still stands at its source as it was. (In an archive: whether that is there.)"""
    archive, inside, _ = photo.original_path.partition(IN_ARCHIVE)
    try:
        state = regular_file_state(archive)
    except OSError:
        return False
    return state is not None and (bool(inside) or (state.size, state.mtime_ns) == (photo.size, photo.mtime_ns))
