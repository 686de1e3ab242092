"""Decide: is it new, a duplicate, or does it take the place of an original that has gone?

Same SHA-256 as a kept original makes a duplicate only where that original lives (promise 4). Names that collide are
settled where the file is placed: the folder itself knows best which names are taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from Src.Librarian.inspection import Inspected
from Src.Librarian.recorder import Kept


@dataclass(frozen=True, slots=True)
class New:
    """Content that the vault does not have."""

    found: Inspected


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The content of a living original."""

    found: Inspected
    kept: Kept


@dataclass(frozen=True, slots=True)
class Twin:
    """The content of another file of the same batch, which is to be placed first."""

    found: Inspected
    first: Inspected


@dataclass(frozen=True, slots=True)
class Restore:
    """The content of an original that has gone from the vault."""

    found: Inspected
    gone: Kept


Decision = New | Duplicate | Twin | Restore


def decide(batch: Sequence[Inspected], known: Mapping[str, Kept], lives: Callable[[str, int], bool]) -> list[Decision]:
    """What each file of a batch is, in order.

    `known` are the kept originals among the batch's hashes; `lives` tells whether one is still there, given its path
    and size.
    """
    decisions: list[Decision] = []
    first_of: dict[str, Inspected] = {}
    for found in batch:
        kept = known.get(found.sha256)
        if found.sha256 in first_of:
            decisions.append(Twin(found, first_of[found.sha256]))
        elif kept is None:
            first_of[found.sha256] = found
            decisions.append(New(found))
        elif lives(kept.final_path, kept.size):
            decisions.append(Duplicate(found, kept))
        else:
            first_of[found.sha256] = found
            decisions.append(Restore(found, kept))
    return decisions
