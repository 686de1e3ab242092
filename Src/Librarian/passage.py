"""What travels through the stages: an incoming file, and what each of them finds out about it.

`Passage` is the one object that a photo or video has on its way through a batch.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal, NamedTuple, TypedDict

from Src.Media.companion_names import CompanionKind
from Src.Media.kinds import Kind
from Src.Media.metadata import Metadata
from Src.Media.pictures.alike import Picture
from Src.Media.takeout import TakeoutNote
from Src.Shared.disk.files import FileState
from Src.Shared.disk.top import Top

if TYPE_CHECKING:  # readers import this module too, and need nothing of the vault
    from Src.Library.vault_folder import VaultFolder
    from Src.Library.verdict import Rotten, Verdict

Source = Literal["inbox", "import", "vault"]
Fate = Literal[
    "ingested", "duplicate", "restored", "rebuilt", "unwanted", "companion", "not_media", "failed", "dead_letter"
]
IN_ARCHIVE = "!/"  # between an archive's path and its member's


class IncomingFile(NamedTuple):
    """A complete file that waits to be filed away. Paths are as `os.fsdecode` gives them.

    (It and all else that goes between processes is a tuple: pickling a dataclass takes several times as long.)
    """

    path: str  # absolute
    original_path: (
        str  # relative to the inbox; absolute where it is imported (a.zip!/b.jpg); relative to the storage: vault
    )
    state: FileState
    source: Source = "inbox"
    below: Top | None = None  # the inbox or the imported folder, from which it is reached without following a link
    is_unpacked: bool = False  # our own copy of a member of an archive; `original_path` names that

    @property
    def top(self) -> Top:
        """The folder from which it is reached; for a file by itself the one that it is in."""
        return self.below or Top(os.path.dirname(self.path), None)

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]  # (asked a dozen times of each file: basename takes three times as long)


class StillChanging(Exception):
    """The file is not as it was when it was found complete, or somebody has it open for writing."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An original that the ledger or the journal knows."""

    final_path: str | None  # as on disk, relative to the storage root; None: the row's path is none of an original
    size: int
    row: uuid.UUID | None = field(default=None, compare=False)  # None while it waits in the journal


class Inspected(NamedTuple):
    """A photo or video, read."""

    file: IncomingFile
    sha256: str
    kind: Kind
    metadata: Metadata


class Sidecar(NamedTuple):
    """An XMP sidecar by itself, and what it would say of a photo."""

    file: IncomingFile
    sha256: str
    says: Metadata


class Companion(NamedTuple):
    """A file that belongs to a photo or film, by itself."""

    file: IncomingFile
    sha256: str
    kind: CompanionKind
    note: TakeoutNote | None = None  # what Takeout's JSON says
    album: str | None = None  # the title of the album that its folder is, as Takeout says beside it


@dataclass(frozen=True, slots=True)
class NotMedia:
    """Read far enough to see that it is no photo or video."""

    file: IncomingFile


@dataclass(frozen=True, slots=True)
class Changing:
    """Not complete after all: it changed while it was read, or somebody has it open for writing."""

    file: IncomingFile


@dataclass(frozen=True, slots=True)
class Gone:
    """No longer there, or no regular file any more."""

    file: IncomingFile


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The file could not be read; to be tried again."""

    file: IncomingFile
    reason: str


Inspection = Inspected | Sidecar | Companion | NotMedia | Changing | Gone | Unreadable


@dataclass(frozen=True, slots=True)
class New:
    """Content that the vault does not have."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The content of a living original."""

    kept_path: str


@dataclass(frozen=True, slots=True)
class Twin:
    """The content of another file of the same batch, which is to be placed first."""

    first: Inspected


@dataclass(frozen=True, slots=True)
class Restore:
    """The content of an original that is gone from the vault, or rotten there: then that is to be moved aside first."""

    kept: Kept
    rotten: Rotten | None = None
    damaged: str | None = None  # once it is moved aside: what was wrong with it, and where it is now


@dataclass(frozen=True, slots=True)
class Undecided:
    """Nobody knows whether the original of this content lives: the file waits."""

    reason: str | None  # None: the incoming file itself was changed meanwhile, and is to be read again


@dataclass(frozen=True, slots=True)
class Unwanted:
    """Content that a person has removed, and whose copy in the trash lives."""

    trash_path: str
    why: str


Decision = New | Duplicate | Twin | Restore | Unwanted | Undecided


@dataclass(frozen=True, slots=True)
class Placed:
    """A file in the vault. Durable once `Placer.place` has returned it."""

    final_path: str  # relative to the storage root
    folder: VaultFolder
    name: str
    inode: int
    created: bool  # False: it stood there already, from an earlier run that was cut off
    mode_before: int | None  # of the incoming file, where it shares the inode

    @property
    def is_linked(self) -> bool:
        """Whether it is the incoming file itself under another name."""
        return self.mode_before is not None


class EventRow(TypedDict):
    """A row of `ingest_events`. Names and paths are ledger text."""

    id: uuid.UUID
    happened_at: datetime
    fate: Fate
    source: Source
    original_name: str
    original_path: str
    file_hash: str | None
    file_size: int | None
    source_mtime_ns: int | None
    final_path: str | None
    message: str | None
    attempts: int | None
    next_try_at: datetime | None


class AssetRow(TypedDict):
    """A row of `media_assets` as the Librarian writes it. Names and paths are ledger text."""

    id: uuid.UUID
    file_hash: str
    file_size: int
    original_name: str
    original_path: str
    final_path: str
    media_kind: str
    mime_type: str
    width: int | None
    height: int | None
    duration_seconds: float | None
    captured_at: datetime
    captured_at_offset: int | None
    date_source: str
    date_precision: str
    orientation: int | None
    location: dict[str, float] | None
    camera_make: str | None
    camera_model: str | None
    rating: int | None
    ingested_at: datetime
    has_errors: bool
    error_message: str | None
    title: str | None
    description: str | None
    content_id: str | None
    burst_id: str | None
    is_motion_photo: bool


class CompanionRow(TypedDict):
    """A row of `companions` before its file is in the vault. Paths are ledger text."""

    id: uuid.UUID
    original_hash: str | None
    kind: CompanionKind
    path_id: uuid.UUID
    original_path: str
    companion_hash: str
    companion_size: int
    moved_from: str | None
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What the ledger is to say of one incoming file: its fate, and the row of its original if there is one.

    For the fate `restored`, `asset` is the row as it should read now; it exists already under the same hash.
    """

    event: EventRow
    asset: AssetRow | None = None
    companion: CompanionRow | None = None  # of the sidecar that had a say
    tags: tuple[str, ...] = ()  # of a new original, as its file says


@dataclass(frozen=True, slots=True)
class Passage:
    """A photo or video on its way through a batch, and what each stage has answered so far.

    A stage returns a new one; None stands for a stage that the file has not come to.
    """

    found: Inspected
    decision: Decision
    placed: Placed | None = None
    problem: Exception | None = None  # why it could not be placed
    entry: LedgerEntry | None = None  # as the ledger or the journal has it now
    refusal: str | None = None  # why the ledger does not take its row
    in_trash: str | None = None  # unwanted: where its content is now
    read_back: Verdict | None = None  # on what becomes the last copy once the incoming file has gone

    @property
    def file(self) -> IncomingFile:
        return self.found.file


Result = Literal[
    "new", "duplicate", "restored", "unwanted", "companion", "sidecar", "not_media", "failed", "changing", "gone"
]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file."""

    file: IncomingFile
    result: Result
    final_path: str | None = None  # where its content is kept, relative to the storage root
    reason: str | None = None
    cleared: bool = False  # the incoming copy is gone
    busy: bool = False  # it is not gone, and to be asked again: it is written to, or was changed
    reported: bool = False  # its fate is in the ledger or the journal
    needs_room: int = 0  # bytes that the vault's disk does not have for it now
    sidecar: str | None = None  # the original path of the sidecar that is recorded with it
    found: Inspected | None = None  # a photo or video as it was read
    companion_sha256: str | None = None  # of a companion, in a dry run


class Account(NamedTuple):
    """What became of one entry of a source, or would: a line of a report."""

    path: str
    fate: str
    reason: str | None = None
    where: str | None = None  # relative to the storage root
    sha256: str | None = None
    captured_at: datetime | None = None
    date_source: str | None = None
    content: str | None = None  # in a comparison: the SHA-256 of what was read, of companions too
    file: IncomingFile | None = None  # in a comparison, of a file
    picture: Picture | None = None  # in a comparison, of a photo whose bytes the vault does not have
