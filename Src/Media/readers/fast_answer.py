"""What a fast reader answers: tags that provably equal ExifTool's, or why it hands the file over to ExifTool."""

from __future__ import annotations

from dataclasses import dataclass

from Src.Media.metadata import Metadata
from Src.Media.tags import Tags


class Unusual(Exception):
    """Something whose reading by ExifTool is not known for sure: hand over.

    `reason` is counted (`readings.py`) and shown to people. It names a kind of thing ("trailer SEFT"), never a value of
    the file: files with the same oddity have the same reason.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def has_own_date(tags: Tags) -> bool:
    """Whether EXIF has the date that comes before all others, so that these may be left unread.

    Where it turns out to be none, a clock's zero, `FastAnswer.unsure` hands the file over.
    """
    return tags.get("EXIF:DateTimeOriginal", "").startswith(("19", "20"))


@dataclass(frozen=True, slots=True)
class FastAnswer:
    """`tags` as `Answer` has them."""

    tags: Tags
    other_dates: str | None = None
    """What may hold a date that was not read ("MakerNotes date"). None: ExifTool finds no other date either."""

    damage: str | None = None
    """Why the file is broken, as `damage.with_structure` would say it."""

    def unsure(self, metadata: Metadata) -> str | None:
        """Why ExifTool's tags may mean something else than `metadata`, which these tags mean; None: they do not.

        The reason is one of `Unusual`. A date that was not read counts only where the first source has none.
        """
        own = metadata.date_source == "exif:DateTimeOriginal" and metadata.date_precision == "second"
        return None if own else self.other_dates
