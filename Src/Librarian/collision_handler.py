"""Decide: is it new, a duplicate, or does it take the place of an original that lives no more?

Same SHA-256 as a kept original makes a duplicate only where that original lives, by its bytes (promise 4). Names that
collide are told apart where the file is placed: the folder itself knows best which names are taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from Src.Librarian.passage import Decision, Duplicate, Inspected, Kept, New, Passage, Restore, Twin, Undecided, Unwanted
from Src.Library.trash import Removed, removed_words
from Src.Library.verdict import Gone, Living, Rotten, Unknown, Verdict


def decide(
    batch: Sequence[Inspected],
    known: Mapping[str, Kept],
    verdicts: Mapping[str, Verdict],
    removed: Mapping[str, Removed],
) -> list[Passage]:
    """The batch, in order, each file with what it is.

    `known` are the kept originals among the batch's hashes, `removed` what a person has removed of them; `verdicts`:
    what became of each, in the vault or the trash.
    """
    decided: list[Passage] = []
    first_of: dict[str, Inspected] = {}
    for found in batch:
        first, kept = first_of.get(found.sha256), known.get(found.sha256)
        decision: Decision
        if first is not None:
            decision = Twin(first)
        elif kept is None:
            decision = _unless_removed(removed.get(found.sha256), verdicts.get(found.sha256))
        else:
            decision = _against(found, kept, verdicts[found.sha256])
        if isinstance(decision, New | Restore):
            first_of[found.sha256] = found
        decided.append(Passage(found, decision))
    return decided


def _against(found: Inspected, kept: Kept, verdict: Verdict) -> Decision:
    match verdict:
        case Living():
            assert kept.final_path is not None
            return Duplicate(kept.final_path)
        case Gone():
            return Restore(kept)
        case Rotten(state) if state[3:] == found.file.state[3:]:  # the incoming file is another name of it
            same = state.same_content(found.file.state)
            return Undecided("two readings of it differ; check the disk and the memory" if same else None)
        case Rotten():
            return Restore(kept, verdict)
        case Unknown(reason):
            return Undecided(reason)


def _unless_removed(removed: Removed | None, verdict: Verdict | None) -> Decision:
    """New; what has gone from the trash is placed like it, and goes there again once its row is written."""
    if removed is None or removed.trash_path is None:
        return New()
    match verdict:
        case Living():
            return Unwanted(removed.trash_path, removed_words(removed))
        case Unknown(reason):
            return Undecided(f"its copy in the trash: {reason}")
        case _:
            return New()
