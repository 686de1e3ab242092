"""What became of each file, as those who brought it are to hear it."""

from __future__ import annotations

from dataclasses import replace

from Src.Librarian.clear.clearing import Cleared
from Src.Librarian.passage import (
    Changing,
    Companion,
    Gone,
    IncomingFile,
    Inspected,
    Inspection,
    NotMedia,
    Outcome,
    Passage,
    Result,
    Sidecar,
    StillChanging,
    Undecided,
    Unreadable,
)
from Src.Librarian.place.copying import NameTaken, ReadTrouble
from Src.Librarian.place.room import NoRoom
from Src.Library.verdict import Living, Unknown, Verdict
from Src.Shared.ledger_text import from_ledger

FILED: dict[str, Result] = {"ingested": "new", "duplicate": "duplicate", "restored": "restored"}  # by fate
_WHY_NOT_CLEARED: dict[Cleared, str] = {
    "not_now": "it was changed, or is being written",
    "stays": "it cannot be removed",
    "unsure": "the kernel does not say whether somebody writes to it (another user's file, or a network share)",
}


def outcome_unplaced(inspection: Inspection) -> Outcome | None:
    """Of a file that is none for the vault, at least for now; None for a photo or video that was read."""
    match inspection:
        case NotMedia():
            return Outcome(inspection.file, "not_media", reported=True)
        case Changing():
            return Outcome(inspection.file, "changing")
        case Gone():
            return Outcome(inspection.file, "gone")
        case Unreadable():
            return Outcome(inspection.file, "failed", reason=inspection.reason)
        case Inspected() | Sidecar() | Companion():
            return None


def outcome_of(one: Passage) -> Outcome:
    """Of a photo or video that has been through all stages but the last."""
    file = one.file
    if isinstance(one.decision, Undecided):
        return Outcome(file, "changing" if one.decision.reason is None else "failed", reason=one.decision.reason)
    if one.refusal is not None:
        return Outcome(file, "failed", reason=f"the database refuses its row: {one.refusal}")
    if one.problem is not None:
        return not_placed(file, one.problem)
    # As the ledger has it: what seemed new may be a duplicate after all, and stand under another name.
    event = one.entry.event if one.entry is not None else None
    if event is not None and event["fate"] == "unwanted":
        is_kept = one.in_trash is not None and (one.read_back is None or isinstance(one.read_back, Living))
        return Outcome(file, "unwanted", one.in_trash, reported=True) if is_kept else Outcome(file, "changing")
    filed = FILED.get(event["fate"]) if event is not None else None
    if event is None or filed is None or event["final_path"] is None:
        return Outcome(file, "changing")  # the first of its content was not placed: this one gets its own turn
    if one.read_back is not None and not isinstance(one.read_back, Living):
        return _not_kept(file, filed, one.read_back)
    return Outcome(file, filed, from_ledger(event["final_path"]), reported=True)


def after_clearing(outcome: Outcome, answer: Cleared) -> Outcome:
    """The outcome of a filed file once its incoming copy was to go."""
    return replace(outcome, cleared=answer == "gone", busy=answer == "not_now", reason=_WHY_NOT_CLEARED.get(answer))


def not_placed(file: IncomingFile, problem: Exception) -> Outcome:
    """Of a file that could not be placed."""
    if isinstance(problem, ReadTrouble):
        return Outcome(file, "failed", reason=str(problem))
    if isinstance(problem, NoRoom):
        return Outcome(file, "failed", reason=str(problem), needs_room=problem.needed)
    return Outcome(file, "changing" if isinstance(problem, StillChanging | NameTaken) else "gone")


def _not_kept(file: IncomingFile, filed: Result, found: Verdict) -> Outcome:
    """What should be kept was read once more, and does not live: the incoming file stays."""
    if isinstance(found, Unknown):
        return Outcome(file, "failed", reason=found.reason)
    if filed == "duplicate":
        return Outcome(file, "changing")  # asked again, it takes the place
    return Outcome(
        file, "failed", reason="what was written into the vault reads back as something else; check the disk"
    )
