"""Tags of a file, as its readers give them: text under ExifTool's names, before anybody says what they mean."""

from __future__ import annotations

from dataclasses import dataclass, field

Tags = dict[str, str]

LISTS = frozenset({"Subject", "Keywords", "TagsList", "HierarchicalSubject"})
"""Names of tags that hold several texts: all of them, with `BETWEEN` between two. Of any other list only the first."""
BETWEEN = "\0"


@dataclass(frozen=True, slots=True)
class Answer:
    """What ExifTool says about one file.

    `tags` holds a value under "Group:Name" (the group of family 0), and under the bare "Name" the one that
    ExifTool prefers over all groups. Values are text exactly as ExifTool wrote it, numbers too; see `LISTS`.
    """

    tags: Tags = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    error: str | None = None
    ours: bool = field(default=False, compare=False)  # the error says nothing of the file: ask again later
