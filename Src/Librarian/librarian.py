"""The Librarian: files go through the stages in batches. The one module that knows all stages.

    watch -> fingerprint, date and place (worker processes) -> decide -> place -> record -> clear

The incoming copy goes last, and every step can be repeated without harm: after a crash the file is simply still
there, is read again, is found in place already, and gets its row.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from Src.Librarian import ledger_entry
from Src.Librarian.clearing import clear
from Src.Librarian.collision_handler import Decision, Duplicate, New, Restore, Twin, decide
from Src.Librarian.copying import NotPlaced, ReadTrouble
from Src.Librarian.fingerprint import StillChanging
from Src.Librarian.incoming import IncomingFile
from Src.Librarian.inspection import Changing, Finding, Gone, Inspected, NotMedia, Unreadable
from Src.Librarian.journal import Journal
from Src.Librarian.ledger_entry import LedgerEntry
from Src.Librarian.leftovers import drop_leftovers, not_duplicates_yet
from Src.Librarian.placing import Placed, Placer, Wanted
from Src.Librarian.recorder import Recorder
from Src.Librarian.vault import Vault
from Src.Librarian.vault_trouble import VaultTrouble
from Src.Librarian.worker_pool import WorkerPool
from Src.Shared.database import Database
from Src.Shared.ledger_text import from_ledger
from Src.Shared.settings import Settings

logger = logging.getLogger(__name__)

Result = Literal["new", "duplicate", "restored", "not_media", "failed", "changing", "gone"]
_RESULTS: dict[str, Result] = {"ingested": "new", "duplicate": "duplicate", "restored": "restored"}


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


class Librarian:
    """Files batches away into one vault and one ledger."""

    def __init__(self, settings: Settings, database: Database, *, clear: bool = True, may_link: bool = True) -> None:
        """`clear`: remove the incoming copy in the end. `may_link`: place by hard link where that is possible."""
        self.vault = Vault(settings.storage)
        self.recorder = Recorder(database, Journal(self.vault.state / "journal"), self.vault)
        self.workers = WorkerPool(settings.workers, settings.zone, settings.metadata_time_limit)
        self._placer = Placer(self.vault, settings.workers)
        self._clear_incoming = clear
        self._may_link = may_link

    def prepare(self) -> None:
        """Makes sure that the vault is there, and creates it for a new factory.

        Raises VaultTrouble.
        """
        if not self.vault.is_marked():
            known = self.recorder.has_originals()
            if known is None:
                raise VaultTrouble(
                    f"no vault at {self.vault.originals} yet, and the ledger is away and cannot say whether there "
                    f"should be one: {self.recorder.away}"
                )
            if known:
                self.vault.check()
            self.vault.create()
            logger.info("created the vault %s", self.vault.originals)
        self.recorder.connect()  # the ledger of an existing vault may be new, or of an earlier version
        with self.vault.lock():
            self._placer.clean_up()
            self.recorder.catch_up()

    def stop(self) -> None:
        """From another thread or a signal handler: a long copy under way is given up and undone."""
        self._placer.interrupt()

    def close(self) -> None:
        """Ends the workers."""
        self.workers.close()
        self._placer.close()

    def settle(self, findings: Sequence[Finding]) -> list[Outcome]:
        """Decides, places, records and clears a batch.

        Raises VaultTrouble, and then nothing of the batch is placed, recorded or cleared. A defect of ours that one
        file brings to light must not hold up the others: the batch is then settled file by file.
        """
        try:
            return self._settle(findings)
        except VaultTrouble:
            raise
        except Exception as error:
            if len(findings) == 1:
                logger.exception("a defect, please report it: %s", findings[0].file.original_path)
                return [Outcome(findings[0].file, "failed", reason=f"a defect in Photo Factory: {error!r}")]
        return [outcome for finding in findings for outcome in self.settle([finding])]

    def _settle(self, findings: Sequence[Finding]) -> list[Outcome]:
        media = [finding for finding in findings if isinstance(finding, Inspected)]
        outcomes = [outcome for finding in findings if (outcome := _without_placing(finding)) is not None]
        notices = [_not_media_entry(finding) for finding in findings if isinstance(finding, NotMedia)]
        if media or notices:
            outcomes += self._file_away(media, notices)
        return outcomes

    def catch_up_if_needed(self) -> None:
        """Brings the journal into the ledger as soon as that is back, also when no file comes. Raises VaultTrouble."""
        if self.recorder.must_catch_up():
            with self.vault.lock():
                self.recorder.catch_up()

    def note(self, entries: Sequence[LedgerEntry]) -> None:
        """Records fates that need no placing. Raises VaultTrouble."""
        with self.vault.lock():
            self.recorder.record(list(entries))

    def _file_away(self, media: Sequence[Inspected], notices: Sequence[LedgerEntry]) -> list[Outcome]:
        self.vault.check()
        with self.vault.lock():
            self.recorder.catch_up()
            known = self.recorder.known([found.sha256 for found in media]) if media else {}
            decisions = decide(media, known, self.vault.holds)
            if not self.recorder.knows_all():
                decisions = not_duplicates_yet(decisions, self.vault)
            to_place = [one for one in decisions if isinstance(one, New | Restore)]
            answers = self._place([self._wanted(one) for one in to_place])
            placed = {
                one.found.file.path: answer
                for one, answer in zip(to_place, answers, strict=True)
                if isinstance(answer, Placed)
            }
            entries = {path: entry for one in decisions for path, entry in _entry(one, placed)}
            batch = [*entries.values(), *notices]
            try:
                rejections = self.recorder.record(batch)
            except BaseException:
                self._placer.take_back(_where_now(placed, dict(zip(entries, batch, strict=False))).values())
                raise
            recorded = dict(zip(entries, batch, strict=False))
            rejected = {one.entry.event["id"]: one.reason for one in rejections}
            refused = {path: rejected[id_] for path, one in recorded.items() if (id_ := one.event["id"]) in rejected}
            now = _where_now(placed, recorded)
            self._placer.take_back(now[path] for path in refused if path in now)
            touched = drop_leftovers(_duplicates(decisions, recorded, refused), self.vault, self.recorder)

        problems = {
            one.found.file.path: answer
            for one, answer in zip(to_place, answers, strict=True)
            if not isinstance(answer, Placed)
        }
        return [
            Outcome(one.found.file, "changing")  # to be asked again
            if (file := touched.get(one.found.file.path, one.found.file)) is None
            else self._outcome(one, file, recorded, problems, refused)
            for one in decisions
        ]

    def _place(self, wanted: Sequence[Wanted]) -> list[Placed | NotPlaced]:
        """Places a batch durably, or leaves nothing of it."""
        answers: list[Placed | NotPlaced] = []
        try:
            with self.vault.durably():
                answers = self._placer.place(wanted)
            self.vault.check()  # unmounted under our hands?
        except BaseException:
            self._placer.take_back(answer for answer in answers if isinstance(answer, Placed))
            raise
        return answers

    def _wanted(self, decision: New | Restore) -> Wanted:
        found = decision.found
        folder, name = self.vault.day_folder(found.metadata.captured_at.date()), found.file.name
        if isinstance(decision, Restore):
            folder, name = os.path.split(decision.gone.final_path)
        return Wanted(found.file, found.sha256, folder, name, self._may_link)

    def _outcome(
        self,
        decision: Decision,
        file: IncomingFile,
        recorded: Mapping[str, LedgerEntry],
        problems: Mapping[str, Exception],
        refused: Mapping[str, str],
    ) -> Outcome:
        if file.path in refused:
            return Outcome(file, "failed", reason=f"the ledger refuses its row: {refused[file.path]}")
        if file.path in problems:
            return _not_placed(file, problems[file.path])
        entry = recorded.get(file.path)
        result = _RESULTS.get(entry.event["fate"]) if entry is not None else None
        if entry is None or result is None or (isinstance(decision, Twin) and decision.first.file.path in refused):
            return Outcome(file, "changing")  # the first of its content was not placed: this one gets its own turn
        # As the ledger has it: what seemed new may be a duplicate after all, and stand under another name.
        kept = from_ledger(entry.event["final_path"])
        cleared = clear(file, f"{self.vault.storage}/{kept}") if self._clear_incoming else "stays"
        return Outcome(file, result, kept, cleared=cleared == "gone", busy=cleared == "not_now", reported=True)


def _duplicates(
    decisions: Sequence[Decision], recorded: Mapping[str, LedgerEntry], refused: Mapping[str, str]
) -> list[tuple[Inspected, str]]:
    """The duplicates of a batch, each with the path of the living original."""
    return [
        (one.found, from_ledger(recorded[path].event["final_path"]))
        for one in decisions
        if isinstance(one, Duplicate | Twin)
        and (path := one.found.file.path) in recorded
        and not (isinstance(one, Twin) and one.first.file.path in refused)
    ]


def _where_now(placed: Mapping[str, Placed], recorded: Mapping[str, LedgerEntry]) -> dict[str, Placed]:
    """What was placed, under the names that it has since the ledger was asked."""
    now = dict(placed)
    for path, one in placed.items():
        asset = recorded[path].asset
        final_path = from_ledger(asset["final_path"]) if asset is not None else one.final_path
        now[path] = replace(one, final_path=final_path, name=os.path.basename(final_path))
    return now


def _without_placing(finding: Finding) -> Outcome | None:
    match finding:
        case NotMedia():
            return Outcome(finding.file, "not_media", reported=True)
        case Changing():
            return Outcome(finding.file, "changing")
        case Gone():
            return Outcome(finding.file, "gone")
        case Unreadable():
            return Outcome(finding.file, "failed", reason=finding.reason)
        case Inspected():
            return None


def _not_placed(file: IncomingFile, problem: Exception) -> Outcome:
    if isinstance(problem, ReadTrouble):
        return Outcome(file, "failed", reason=str(problem))
    return Outcome(file, "changing" if isinstance(problem, StillChanging) else "gone")


def _not_media_entry(finding: NotMedia) -> LedgerEntry:
    reason = "not a photo or video by its content" if finding.file.state.size else "empty"
    return LedgerEntry(ledger_entry.event_row(finding.file, "not_media", message=reason))


def _entry(decision: Decision, placed: dict[str, Placed]) -> list[tuple[str, LedgerEntry]]:
    """What the ledger shall say, under the incoming path; nothing for what was not placed."""
    found = decision.found
    file, sha256 = found.file, found.sha256
    match decision:
        case Duplicate():
            return [(file.path, ledger_entry.duplicate(file, sha256, decision.kept.final_path))]
        case Twin():
            first = placed.get(decision.first.file.path)
            return [(file.path, ledger_entry.duplicate(file, sha256, first.final_path))] if first else []
        case New() | Restore():
            place = placed.get(file.path)
            if place is None:
                return []
            make = ledger_entry.ingested if isinstance(decision, New) else ledger_entry.restored
            return [(file.path, make(file, sha256, found.kind, found.metadata, place.final_path))]


if __name__ == "__main__":
    from Src.Librarian.service import main

    with contextlib.suppress(KeyboardInterrupt):
        raise SystemExit(main())
