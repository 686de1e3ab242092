"""The Librarian: files go through the stages in batches. The one module that knows all stages.

    watch -> fingerprint, date and place (reader processes) -> decide -> place -> record -> clear

The incoming copy goes last, and every step can be repeated without harm: after a crash the file is simply still
there, is read again, is found in place already, and gets its row.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from Src.Librarian.clear.clearing import Cleared, Filed
from Src.Librarian.clear.leaving import LeavingFiles
from Src.Librarian.clear.moving import remove_sources
from Src.Librarian.collision_handler import decide
from Src.Librarian.companion_filing import CompanionFiling
from Src.Librarian.leftovers import drop_leftovers, not_duplicates_yet
from Src.Librarian.outcomes import FILED, after_clearing, outcome_of, outcome_unplaced
from Src.Librarian.passage import (
    Companion,
    Duplicate,
    Inspected,
    Inspection,
    Kept,
    LedgerEntry,
    New,
    NotMedia,
    Outcome,
    Passage,
    Placed,
    Restore,
    Sidecar,
    Twin,
    Undecided,
    Unwanted,
)
from Src.Librarian.place.copying import NotPlaced
from Src.Librarian.place.placing import Placer, Wanted
from Src.Librarian.read.reader_pool import ReaderPool
from Src.Librarian.record import ledger_entry, statements
from Src.Librarian.record.journal import Journal
from Src.Librarian.record.recorder import Recorder, Rejected
from Src.Librarian.relating import Relating, films_apart
from Src.Librarian.sidecars import ByItself, Sidecars, as_companion
from Src.Librarian.unpacking import drop_abandoned
from Src.Library import verdict
from Src.Library.belonging import Belonging
from Src.Library.damaged import CannotMoveAside
from Src.Library.file_acts import FileActs
from Src.Library.overlay.mirror import Mirror
from Src.Library.trash import Removed
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Library.verdict import Question, Verdict
from Src.Shared.database import Database
from Src.Shared.ledger_text import from_ledger
from Src.Shared.settings import Settings

logger = logging.getLogger(__name__)


class Librarian:
    """Files batches away into one vault and one ledger."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        *,
        clear: bool = True,
        may_link: bool = True,
        from_inbox: bool = True,
        sources: Sequence[Path] = (),
    ) -> None:
        """`clear`: remove the incoming copy in the end. `may_link`: place by hard link where that is possible.

        `from_inbox`: an incoming copy leaves the inbox and goes for good later; else, at its source, at once.
        `sources`: from where files come, and what its readers may read; none: the inbox.
        """
        self._database = database
        self.vault = Vault(settings.storage)
        self.belonging = Belonging(settings, self.vault)
        self.recorder = Recorder(database, Journal(self.vault.state / "journal"), self.vault, belonging=self.belonging)
        self.acts = FileActs(self.vault, database, settings.zone, self.belonging)
        self.readers = ReaderPool(
            settings.readers,
            settings.zone,
            settings.metadata_time_limit,
            readable=sources or [settings.inbox],
            trust_any_version=settings.exiftool_unsafe,
        )
        self._placer = Placer(self.vault, settings.readers)
        self._relating = Relating(self.recorder, self.vault)
        filing = CompanionFiling(self.recorder, self.vault, self._placer, may_link=may_link)
        self._sidecars = Sidecars(self.recorder, self.vault, filing, settings.zone)
        self._threads = settings.readers
        self._clear_incoming = clear
        self.leaving = LeavingFiles(
            self.vault,
            settings.inbox,
            grace=settings.leaving_grace,
            grace_without_lease=settings.leaving_grace_without_lease,
            disk_warning=settings.disk_warning,
            look_interval=settings.scan_interval,
            kept_now=self._kept_now,
        )
        self._from_inbox = from_inbox
        self._may_link = may_link

    def prepare(self) -> None:
        """Makes sure that the vault is there and the ledger its own, and creates it for a new factory.

        Raises VaultTrouble, which may be a WrongLedger.
        """
        if not self.vault.is_marked():
            known = self.recorder.has_originals()
            if known is None:
                raise VaultTrouble(
                    f"no vault at {self.vault.originals} yet, and the database cannot be reached to say whether there "
                    f"should be one: {self.recorder.away}"
                )
            if known:
                self.vault.check()
            self.recorder.found_vault()
        if not self.recorder.connect():  # the ledger of an existing vault may be new, or of an earlier version
            self.belonging.before_contact()
        with self.vault.lock():
            self._placer.clean_up()
            drop_abandoned(self.vault)
            self.recorder.catch_up()
            self.recorder.sweep()
        self._sidecars.finish_moves()
        if self._from_inbox:
            self.leaving.take_over()

    def show_life(self, show: Callable[[], None]) -> None:
        """`show` is called while something takes long and goes on."""
        self._placer.show_life = show

    def stop(self) -> None:
        """From another thread or a signal handler: a long copy or reading under way is given up and undone."""
        self._placer.interrupt()
        self.vault.interrupt()
        self.leaving.interrupt()

    def close(self) -> None:
        """Ends the readers."""
        self.readers.close()
        self._placer.close()
        self.leaving.close()

    def settle(self, inspections: Sequence[Inspection]) -> list[Outcome]:
        """Decides, places, records and clears a batch.

        Raises VaultTrouble, and then nothing of the batch is placed, recorded or cleared. A defect of ours that one
        file brings to light must not hold up the others: the batch is then settled file by file.
        """
        try:
            return self._settle(inspections)
        except VaultTrouble:
            raise
        except Exception as error:
            if len(inspections) == 1:
                logger.exception("a defect, please report it: %s", inspections[0].file.original_path)
                return [Outcome(inspections[0].file, "failed", reason=f"a defect in Photo Factory: {error!r}")]
        return [outcome for inspection in inspections for outcome in self.settle([inspection])]

    def _settle(self, inspections: Sequence[Inspection]) -> list[Outcome]:
        read = [one for one in inspections if isinstance(one, Inspected)]
        pictured = {one.file.path: one for one in self._that_belong_to_films(read)}
        media = self._sidecars.believed([one for one in read if one.file.path not in pictured])
        outcomes = [outcome for inspection in inspections if (outcome := outcome_unplaced(inspection)) is not None]
        notices = [_not_media_entry(inspection) for inspection in inspections if isinstance(inspection, NotMedia)]
        if media or notices:
            outcomes += self._filed(media, notices)
        by_itself: list[ByItself] = [one for one in inspections if isinstance(one, Sidecar | Companion)]
        by_itself += [companion for one in pictured.values() if (companion := as_companion(one)) is not None]
        # An import leaves nothing out that is a photo or video: what belongs to no film is filed as what it is.
        to_fall_back = set() if self._from_inbox else set(pictured)
        settled = self._clear_companions(by_itself, self._sidecars.settle(by_itself, to_fall_back))
        alone = {one.file.path for one in settled if one.result == "sidecar" and not one.busy} & to_fall_back
        if alone:
            outcomes += self._filed([pictured[path] for path in alone], [])
        return outcomes + [one for one in settled if one.file.path not in alone]

    def _filed(self, media: Sequence[Inspected], notices: Sequence[LedgerEntry]) -> list[Outcome]:
        later = films_apart(media)
        outcomes = self._file_away([one for one in media if one.file.path not in later], notices)
        if later:
            outcomes += self._file_away([one for one in media if one.file.path in later], [])
        filed = self._sidecars.join_filed(media, outcomes)
        of_path = {found.file.path: found for found in media}
        return [replace(outcome, found=of_path.get(outcome.file.path)) for outcome in filed]

    def _that_belong_to_films(self, read: Sequence[Inspected]) -> list[Inspected]:
        """Those that are photos or videos by their content, and a film's picture or small copy by their name."""
        found = [one for one in read if as_companion(one) is not None]
        alone = self._sidecars.asked_for([one.file.original_path for one in found])
        return [one for one in found if one.file.original_path not in alone]

    def catch_up_if_needed(self) -> None:
        """Brings the journal into the ledger as soon as that is back, also when no file comes. Raises VaultTrouble."""
        if self.recorder.must_catch_up():
            with self.vault.lock():
                self.recorder.catch_up()

    def mirror_decisions(self) -> None:
        """Brings what people have decided beside the vault. Raises VaultTrouble, and LedgerUnavailable."""
        Mirror(self.vault).bring_up(self._database, self.belonging)

    def note(self, entries: Sequence[LedgerEntry]) -> None:
        """Records fates that need no placing. Raises VaultTrouble."""
        with self.vault.lock():
            self.recorder.record(list(entries))

    def _file_away(self, media: Sequence[Inspected], notices: Sequence[LedgerEntry]) -> list[Outcome]:
        """The way of a batch through the stages after reading. `notices` are recorded with it."""
        self.vault.check()
        with self.vault.lock():
            self.recorder.catch_up()
            batch = self._decide(media)
            batch = self._place(batch)
            batch = self._swept(self._record(batch, notices))
            batch = drop_leftovers(batch, self.vault, self.recorder)
            self._relating.record(media, [outcome_of(one) for one in batch])
        if self._clear_incoming:
            batch = self._read_back(batch)
        return self._clear(batch)

    def _decide(self, media: Sequence[Inspected]) -> list[Passage]:
        hashes = [found.sha256 for found in media]
        known = self.recorder.known(hashes) if media else {}
        removed = self.recorder.removed(hashes) if media else {}
        if known.keys() & removed.keys():  # a run was killed before these had gone to the trash again
            self.recorder.sweep()
            known, removed = self.recorder.known(hashes), self.recorder.removed(hashes)
        batch = decide(media, known, self._verdicts(known) | self._verdicts_on_trash(removed, known), removed)
        if not self.recorder.knows_all():
            batch = not_duplicates_yet(batch, self.vault)
        return [self._with_room(one) for one in batch]

    def _verdicts(self, known: Mapping[str, Kept]) -> dict[str, Verdict]:
        """What became of kept originals, by their hash."""
        asked = [
            Question(one.final_path, sha256, one.size) for sha256, one in known.items() if one.final_path is not None
        ]
        found = zip(asked, self.vault.verdicts(asked, self._threads), strict=True)
        # A path that is none of an original leads to nothing.
        return dict.fromkeys(known, verdict.Gone()) | {question.sha256: answer for question, answer in found}

    def _verdicts_on_trash(self, removed: Mapping[str, Removed], known: Mapping[str, Kept]) -> dict[str, Verdict]:
        """What became of the copies in the trash, by their hash."""
        asked = [
            Question(one.trash_path, sha256, one.size)
            for sha256, one in removed.items()
            if one.trash_path is not None and sha256 not in known
        ]
        found = zip(asked, self.vault.verdicts(asked, self._threads), strict=True)
        return {question.sha256: answer for question, answer in found}

    def _swept(self, batch: Sequence[Passage]) -> list[Passage]:
        """What a person has removed and what came in again goes to the trash: where each is now."""
        unwanted = [one for one in batch if one.entry is not None and one.entry.event["fate"] == "unwanted"]
        if not unwanted:
            return list(batch)
        swept = self.recorder.sweep() if any(not isinstance(one.decision, Unwanted) for one in unwanted) else {}
        where = {id(one): swept.get(one.found.sha256) for one in unwanted}
        where |= {id(one): one.decision.trash_path for one in unwanted if isinstance(one.decision, Unwanted)}
        return [replace(one, in_trash=where.get(id(one))) for one in batch]

    def _with_room(self, one: Passage) -> Passage:
        """Moves a damaged original out of its place. Whatever happens next, it is then like one that had gone."""
        decision = one.decision
        if not isinstance(decision, Restore) or decision.rotten is None or decision.kept.final_path is None:
            return one
        try:
            kept_at = self.vault.put_away(decision.kept.final_path, decision.rotten)
        except CannotMoveAside as problem:
            return replace(
                one, decision=Undecided(f"its original is damaged ({decision.rotten.reason}), and {problem}")
            )
        damaged = ledger_entry.damaged_words(decision.rotten.reason, kept_at)
        return replace(one, decision=replace(decision, damaged=damaged))

    def _place(self, batch: Sequence[Passage]) -> list[Passage]:
        """Places what needs a place durably, or leaves nothing of it."""
        names = self._relating.names(batch)
        wanted = [wanted for one in batch if (wanted := self._wanted(one, names)) is not None]
        answers: list[Placed | NotPlaced] = []
        try:
            answers = self._placer.place(wanted)
            self.vault.check()  # unmounted under our hands?
        except BaseException:
            self._placer.take_back(answer for answer in answers if isinstance(answer, Placed))
            raise
        answer_of = {one.file.path: answer for one, answer in zip(wanted, answers, strict=True)}
        return [_with_place(one, answer_of.get(one.file.path)) for one in batch]

    def _wanted(self, one: Passage, names: Mapping[str, str]) -> Wanted | None:
        found = one.found
        match one.decision:
            case Restore(Kept(str(kept_path))):
                folder, name = os.path.split(kept_path)
            case New() | Restore():
                folder = self.vault.day_folder(found.metadata.captured_at.date())
                name = names.get(found.file.path, found.file.name)
            case _:
                return None
        return Wanted(found.file, found.sha256, folder, name, self._may_link or found.file.is_unpacked)

    def _record(self, batch: Sequence[Passage], notices: Sequence[LedgerEntry]) -> list[Passage]:
        """The batch as it is recorded. What was placed, and has no row for any reason, does not stay in the vault."""
        try:
            place_of = {one.file.path: one.placed for one in batch}
            entries = {one.file.path: entry for one in batch if (entry := _entry(one, place_of)) is not None}
            answers = self.recorder.record([*entries.values(), *notices])
        except BaseException:
            self._placer.take_back(one.placed for one in batch if one.placed is not None)
            raise
        answer_of = dict(zip(entries, answers[: len(entries)], strict=True))  # those for notices follow
        batch = [_as_recorded(one, answer_of.get(one.file.path)) for one in batch]
        self._placer.take_back(one.placed for one in batch if one.placed is not None and one.refusal is not None)
        return _without_refused_twins(batch)

    def _read_back(self, batch: Sequence[Passage]) -> list[Passage]:
        """What becomes the last copy once an incoming file is cleared, read once more.

        Not where it is the incoming file itself under another name, nor for what was copied from the inbox just now:
        that was hashed while it was written. A source that is moved has no exception.
        """
        asked = {one.file.path: question for one in batch if (question := _last_copy(one)) is not None}
        verdicts = dict(zip(asked, self.vault.verdicts(list(asked.values()), self._threads), strict=True))
        return [replace(one, read_back=verdicts[one.file.path]) if one.file.path in verdicts else one for one in batch]

    def _clear(self, batch: Sequence[Passage]) -> list[Outcome]:
        """Clears the incoming copies of what was filed, where that is wanted; what became of each file."""
        outcomes = [outcome_of(one) for one in batch]
        filed = {
            index: Filed(outcome.file, outcome.final_path, one.found.sha256)
            for index, (one, outcome) in enumerate(zip(batch, outcomes, strict=True))
            if outcome.reported and outcome.final_path is not None and not outcome.file.is_unpacked
        }
        if not self._clear_incoming or not filed:
            return outcomes
        for index, answer in zip(filed, self._let_go(list(filed.values())), strict=True):
            outcomes[index] = after_clearing(outcomes[index], answer)
        return outcomes

    def _clear_companions(self, found: Sequence[ByItself], outcomes: Sequence[Outcome]) -> list[Outcome]:
        """As `_clear`, of companions that stand in the vault. A source is removed only against what is read there."""
        hashes = {one.file.path: one.sha256 for one in found}
        filed = {
            index: Filed(one.file, one.final_path, hashes[one.file.path])
            for index, one in enumerate(outcomes)
            if self._clear_incoming and one.final_path is not None and not one.file.is_unpacked
        }
        if not self._from_inbox:
            asked = [Question(one.kept_path, one.sha256, one.file.state.size) for one in filed.values()]
            lives = self.vault.verdicts(asked, self._threads)
            filed = {
                index: one
                for (index, one), answer in zip(filed.items(), lives, strict=True)
                if isinstance(answer, verdict.Living)
            }
        cleared = list(outcomes)
        for index, answer in zip(filed, self._let_go(list(filed.values())), strict=True):
            before, after = outcomes[index], after_clearing(outcomes[index], answer)
            cleared[index] = replace(after, reason=after.reason or before.reason)
        return cleared

    def _kept_now(self, sha256: str) -> str | None:
        """Where an original is kept by what the ledger says now. Raises VaultTrouble while it cannot say."""
        try:
            known = self.recorder.ask(lambda session: statements.kept(session, [sha256]))
        except DBAPIError as error:
            raise VaultTrouble(f"the database cannot say where an original stands: {error.orig}") from error
        if known is None:  # it is away, or something waits in the journal
            raise VaultTrouble("the database cannot say now where an original stands")
        return known[sha256].final_path if sha256 in known else None

    def _let_go(self, filed: Sequence[Filed]) -> list[Cleared]:
        if not filed:
            return []
        return self.leaving.take(filed) if self._from_inbox else remove_sources(filed, self.vault)


def _with_place(one: Passage, answer: Placed | NotPlaced | None) -> Passage:
    if answer is None:
        return one
    return replace(one, placed=answer) if isinstance(answer, Placed) else replace(one, problem=answer)


def _entry(one: Passage, place_of: Mapping[str, Placed | None]) -> LedgerEntry | None:
    """What the ledger is to say of a file; None for what was not placed. `place_of`: by incoming path."""
    match one.decision:
        case Duplicate(kept_path):
            return ledger_entry.duplicate(one.file, one.found.sha256, kept_path)
        case Twin(first):
            placed = place_of[first.file.path]
            return ledger_entry.duplicate(one.file, one.found.sha256, placed.final_path) if placed else None
        case Unwanted(why=why):
            return ledger_entry.unwanted(one.file, one.found.sha256, why)
        case New() if one.placed is not None:
            return ledger_entry.ingested(one.found, one.placed.final_path)
        case Restore(damaged=damaged) if one.placed is not None:
            return ledger_entry.restored(one.found, one.placed.final_path, damaged)
    return None


def _as_recorded(one: Passage, answer: LedgerEntry | Rejected | None) -> Passage:
    if isinstance(answer, Rejected):
        return replace(one, entry=answer.entry, refusal=answer.reason)
    return replace(one, entry=answer) if answer is not None else one


def _without_refused_twins(batch: Sequence[Passage]) -> list[Passage]:
    """Twins of a file that the ledger refused are read again: each gets its own turn."""
    refused = {one.file.path for one in batch if one.refusal is not None}
    return [
        replace(one, decision=Undecided(None))
        if isinstance(one.decision, Twin) and one.refusal is None and one.decision.first.file.path in refused
        else one
        for one in batch
    ]


def _last_copy(one: Passage) -> Question | None:
    """What is to be read back before the incoming file goes."""
    if one.entry is None or one.refusal is not None or isinstance(one.decision, Undecided) or one.file.is_unpacked:
        return None
    event = one.entry.event
    linked = one.placed is not None and one.placed.is_linked
    if event["fate"] == "unwanted":
        if one.in_trash is None or linked:
            return None
        return Question(one.in_trash, one.found.sha256, one.file.state.size)
    is_move = event["source"] == "import" and event["fate"] in FILED and not linked
    if event["fate"] != "duplicate" and not is_move:
        return None
    kept_path, sha256, size = event["final_path"], event["file_hash"], event["file_size"]
    assert kept_path is not None and sha256 is not None and size is not None
    return Question(from_ledger(kept_path), sha256, size)


def _not_media_entry(inspection: NotMedia) -> LedgerEntry:
    reason = "not a photo or video by its content" if inspection.file.state.size else "empty"
    return LedgerEntry(ledger_entry.event_row(inspection.file, "not_media", message=reason))
