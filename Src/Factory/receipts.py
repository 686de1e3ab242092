"""`safe` and `account`: may this be deleted, and may this disk go?

One comparison has three outputs: what `import --dry-run` finds of each file, and these two, which also ask the vault
when it last read those bytes back.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence, Set
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from Src.Factory import report
from Src.Factory.batch import check_exiftool
from Src.Factory.operate import looking, stoppable
from Src.Factory.problems import Problem
from Src.Factory.progress import progress_shown
from Src.Factory.receipt_text import receipt_comment, receipt_text
from Src.Factory.same_pictures import same_pictures
from Src.Factory.signed_file import SignedFile, signed_file
from Src.Factory.verify import journaled
from Src.Librarian.importer import Importer
from Src.Librarian.passage import IN_ARCHIVE, Account, IncomingFile
from Src.Librarian.sources import SourceError
from Src.Library.custody.listed import is_list, read_list
from Src.Library.custody.manifests.folder import SIGNATURE
from Src.Library.custody.receipt import VERDICTS, Elsewhere, Line, Receipts, asking_copies
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.database import Database
from Src.Shared.disk.files import FileState, NotARegularFile, sha256_of
from Src.Shared.disk.top import open_regular_below, regular_state_below
from Src.Shared.disk.whole import Whole, whole_disk
from Src.Shared.errors import ExitCode
from Src.Shared.ledger_text import to_ledger
from Src.Shared.settings import Settings
from Src.Shared.words import counted

WITHIN = 90  # days
_ANSWER_LIMIT = 300.0  # seconds
_SHOWN = 20
_CHANGED = "it was changed since it was read; ask again"
_CAME = "it came meanwhile; ask again"
_SAME_PICTURE = "the vault has the same picture with other metadata (a date, a rating, ...): these bytes would be lost"
_NO_VAULT = "there is no vault yet, or it is not mounted"
_WORDS = {
    "safe": "safe: the vault has the same bytes, and has read them back",
    "not_reread": "here, not re-read: the vault has the same bytes, and must read them back first",
    "other_bytes": "other bytes under that name are in the vault; these are not",
    "not_here": "not here",
    "own": "the vault's own file, or it may be: no other copy",
}
# What `account` calls an entry: each is one of these.
WHATS = {
    "in_vault": "in the vault, read back",
    "not_reread": "in the vault, not re-read",
    "own": "the vault's own files, or they may be: no other copies",
    "same_picture": "not in the vault, which has the same pictures with other metadata",
    "other_bytes": "not in the vault, where their names have other bytes",
    "in_trash": "not in the vault: a person has removed them",
    "not_media": "not in the vault: not photos or videos",
    "left_alone": "not in the vault: left alone by name, or as no file",
    "unreadable": "not in the vault: they could not be read",
    "not_in": "not in the vault",
}


class Entry(NamedTuple):
    """One file of the source, what an import would do with it, and what the vault says."""

    account: Account
    line: Line
    same_picture: str | None = None  # where the vault has its picture in a file with other bytes

    @property
    def what(self) -> str:
        """What `account` calls it."""
        match self.line.verdict, self.account.fate:
            case "safe", _:
                return "in_vault"
            case "not_reread", _:
                return "not_reread"
            case "own", _:
                return "own"
            case _ if self.same_picture is not None:
                return "same_picture"
            case _, "unwanted":
                return "in_trash"
            case _, "failed":
                return "unreadable"
            case _, "skipped":
                return "left_alone"
            case "other_bytes", _:
                return "other_bytes"
            case _, "not_media":
                return "not_media"
            case _:
                return "not_in"


class Asked(NamedTuple):
    """What is asked of the vault."""

    within: timedelta
    reads: bool
    copies: int = 0  # elsewhere


class Stopped(Exception):
    """A person has stopped it: nothing is said."""


def run_safe(
    settings: Settings,
    *,
    source: str,
    read: bool,
    within: str | None,
    copies: str | None,
    receipt: str | None,
    as_json: bool,
) -> int:
    """Says of each file whether it is safe; the exit code. Raises Problem, SourceError, LedgerUnavailable."""
    if re.fullmatch("[0-9]{1,3}", copies or "0") is None:
        raise Problem(f"safe: --copies {copies!r} is no number of copies")
    asked = Asked(_within("safe", within), read, int(copies or "0"))
    path = Path(source)
    try:
        with contextlib.ExitStack() as opened:
            files: SignedFile | None = None
            if receipt is not None:
                _refuse_within(Path(receipt), path)
                files = opened.enter_context(
                    signed_file(Path(receipt), Vault(settings.storage), about="safe: --receipt")
                )
            if is_list(path) and _looked("safe", source, os.path.isfile):
                lines = judge(settings, read_list(path), asked)
            else:
                lines = [one.line for one in compare(settings, path, asked, about="safe")]
            if files is not None:
                files.write(
                    receipt_text(path, asked.within, asked.copies, lines, files.public_key), receipt_comment(lines)
                )
    except Stopped:
        report.note("Stopped; nothing is said.")
        return ExitCode.INTERRUPTED
    if as_json:
        for line in lines:
            report.print_json(line.as_json())
    else:
        _print_safe(lines, asked, receipt, files)
    return ExitCode.WELL if lines and all(one.verdict == "safe" for one in lines) else ExitCode.FOUND


def run_account(settings: Settings, *, folder: str, read: bool, within: str | None, as_json: bool) -> int:
    """Accounts for every file of a folder; the exit code. Raises Problem, SourceError, LedgerUnavailable."""
    asked = Asked(_within("account", within), read)
    path = Path(folder)
    if _looked("account", folder, os.path.lexists) and not _looked("account", folder, os.path.isdir):
        raise Problem(f"account: {folder}: is no folder; for a file there is ./factory safe")
    try:
        entries, not_compared = with_same_pictures(settings, compare(settings, path, asked, about="account"))
    except Stopped:
        report.note("Stopped; nothing is said.")
        return ExitCode.INTERRUPTED
    counts = Counter(one.what for one in entries)
    missing = [one for one in entries if one.what != "in_vault"]
    may_go = bool(entries) and not missing
    disk = whole_disk(path, (settings.storage, settings.originals, settings.db_data))
    if as_json:
        files = [{"path": to_ledger(one.account.path), "what": one.what, **_of_entry(one)} for one in entries]
        sums = {what: counts[what] for what in WHATS}
        of_disk = {"whole_disk": disk.is_whole, "vault_on_disk": disk.has_others}
        report.print_json({"entries": len(entries), **sums, "may_go": may_go, **of_disk, "files": files,
                           "pictures_not_compared": not_compared})  # fmt: skip
    else:
        _print_account(entries, counts, missing, asked, disk)
        if not_compared:
            report.say(
                f"There was no time to compare the pictures of {counted(not_compared, 'photo')} with the vault's."
            )
    return ExitCode.WELL if may_go else ExitCode.FOUND


def _looked(about: str, given: str, look: Callable[[str], bool]) -> bool:
    """What a look at a path says, unless it is refused. Raises Problem."""
    try:
        os.lstat(given)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise Problem(f"{about}: {given}: cannot be looked at: {why}") from error
    return look(given)


def _refuse_within(receipt: Path, source: Path) -> None:
    """Raises Problem where the receipt of a folder would be one of its files."""
    try:
        is_within = source.is_dir() and any(one.samefile(source) for one in receipt.resolve().parents if one.exists())
    except (OSError, RuntimeError):
        return  # which is said of the source, or of the receipt
    if is_within:
        raise Problem(f"safe: --receipt {receipt}: is in {source}, which may go by it; give a file elsewhere")


def _within(about: str, days: str | None) -> timedelta:
    if days is None:
        return timedelta(days=WITHIN)
    if re.fullmatch("[1-9][0-9]{0,4}", days) is None:
        raise Problem(f"{about}: --within {days!r} is no number of days, as 90")
    return timedelta(days=int(days))


# The comparison


def compare(settings: Settings, source: Path, asked: Asked, *, about: str) -> list[Entry]:
    """Every entry of a source, read and compared with the vault. Raises Problem, SourceError, Stopped."""
    accounts: list[Account] = []
    check_exiftool(settings)
    database = Database(settings, service="factory", answer_limit=_ANSWER_LIMIT)
    try:
        try:
            importer = Importer(settings, database, [source], dry_run=True, compares=True, told=accounts.append)
        except SourceError as error:
            raise Problem(f"{about}: {error}") from error
        with progress_shown("Comparing") as show, looking(show, importer.stop) as one:
            importer.progress = one.progress
            importer.workload()
            tally = importer.run()
            if one.was_stopped:
                raise Stopped
        went_in = importer.went_in()
        if len(accounts) != tally.entries or Counter(one.path for one in accounts) != went_in:
            raise Problem(
                f"{about}: the sum does not add up: {counted(went_in.total(), 'entry', 'entries')} found, "
                f"{tally.entries:,} counted, {len(accounts):,} accounted for; nothing may be deleted by this. "
                "Please report it"
            )
        files = [_elsewhere(one) for one in accounts]
        if not importer.knows_ledger:
            lines = _without_vault(files)
        else:
            lines = _judged(settings, database, files, asked, lambda go_on: _as_they_are(accounts, importer, go_on))
        entries = [Entry(account, line) for account, line in zip(accounts, lines, strict=True)]
        return [_on_host(one) for one in (*entries, *_came_meanwhile(importer))]
    finally:
        database.close()


def _on_host(entry: Entry) -> Entry:
    path = report.on_host(entry.line.path)
    return Entry(entry.account._replace(path=path), entry.line._replace(path=path))


def _came_meanwhile(importer: Importer) -> list[Entry]:
    """What nobody has read, as it came after the walk had passed. Raises Stopped."""
    with stoppable(lambda: None) as stopped:

        def go_on() -> None:
            if stopped:
                raise Stopped

        came = importer.came_meanwhile(go_on)
        go_on()
    return [Entry(Account(path, "new"), Line(path, "not_here", None, None, 0, _CAME, None, None)) for path in came]


def judge(settings: Settings, files: Sequence[Elsewhere], asked: Asked) -> list[Line]:
    """What the vault says of a list. Raises Stopped, LedgerUnavailable."""
    if not Vault(settings.storage).is_marked():
        return _without_vault(files)
    database = Database(settings, service="factory", answer_limit=_ANSWER_LIMIT)
    try:
        database.ensure_ready()
        return _judged(settings, database, files, asked, lambda _: list(files))
    finally:
        database.close()


def _without_vault(files: Sequence[Elsewhere]) -> list[Line]:
    return [Line(one.path, "not_here", None, None, 0, _NO_VAULT, one.sha256, one.size) for one in files]


def _judged(
    settings: Settings,
    database: Database,
    files: Sequence[Elsewhere],
    asked: Asked,
    by_now: Callable[[Callable[[], None]], list[Elsewhere]],
) -> list[Line]:
    """`by_now`: the files as they are when all else is known: what has changed since it was read is safe no more."""
    receipts = Receipts(settings, database, within=asked.within)
    stops: list[Callable[[], None]] = []
    stopped: list[bool] = []

    def stop() -> None:
        stopped.append(True)
        for one in stops:
            one()

    def go_on() -> None:
        if stopped:
            raise Stopped

    with progress_shown("Reading back") as show, looking(show, stop) as working:
        try:
            items = receipts.to_read(files, receipts.lines(files, go_on)) if asked.reads else []
            if items:
                verify = receipts.reading(items, lambda: journaled(settings))
                verify.progress = working.progress
                stops.append(verify.stop)
                go_on()
                verify.run()
                go_on()
                receipts.take_over(verify)
            lines = receipts.lines(by_now(go_on), go_on)
        except VaultTrouble:  # a wait for the vault's lock that was given up, for one
            go_on()
            raise
        go_on()
        return asking_copies(lines, asked.copies, asked.within)


def _elsewhere(account: Account) -> Elsewhere:
    is_read = account.fate not in ("failed", "skipped")
    size = account.file.state.size if account.file is not None else None
    state = account.file.state if account.file is not None and not account.file.is_unpacked else None
    return Elsewhere(account.path, account.content if is_read else None, size, account.reason or "", state)


def _as_they_are(accounts: Sequence[Account], importer: Importer, go_on: Callable[[], None]) -> list[Elsewhere]:
    """What was changed since it was read has no bytes that are known. Raises Stopped."""
    changed = importer.changed_archives()
    return [_as_it_is(account, changed, go_on) for account in accounts]


def _as_it_is(account: Account, changed_archives: Set[str], go_on: Callable[[], None]) -> Elsewhere:
    go_on()
    said, file = _elsewhere(account), account.file
    if file is None or said.sha256 is None:
        return said
    if file.is_unpacked:
        is_changed = any(account.path.startswith(archive + IN_ARCHIVE) for archive in changed_archives)
        return said._replace(sha256=None, why=_CHANGED) if is_changed else said
    state = _state_as_read(file, said.sha256, go_on)
    return said._replace(sha256=None, why=_CHANGED) if state is None else said._replace(state=state)


def _state_as_read(file: IncomingFile, sha256: str, go_on: Callable[[], None]) -> FileState | None:
    """What it is like by now; None: other bytes. A card with FAT numbers its files anew now and then, so what looks
    changed is read once more."""
    try:
        state = regular_state_below(file.top, file.path)
        if state is None or state == file.state:
            return state
        fd = open_regular_below(file.top, file.path)
        try:
            before = FileState.of(os.fstat(fd))
            is_same = sha256_of(fd, go_on) == sha256
            return before if is_same and FileState.of(os.fstat(fd)) == before else None
        finally:
            os.close(fd)
    except (OSError, NotARegularFile):
        return None


def with_same_pictures(settings: Settings, entries: Sequence[Entry]) -> tuple[list[Entry], int]:
    """Of what the vault does not have: where it has the picture. And of how many there was no time for that.

    Raises Stopped, LedgerUnavailable.
    """
    may_be_there = [one.account if one.line.verdict in ("other_bytes", "not_here") else None for one in entries]
    found = same_pictures(settings, may_be_there)
    if found.was_stopped:
        raise Stopped
    return [
        one
        if (at := found.at.get(number)) is None
        else one._replace(same_picture=at, line=_of_same_picture(one.line, at))
        for number, one in enumerate(entries)
    ], found.not_compared


def _of_same_picture(line: Line, at: str) -> Line:
    """`kept_at` stays for what has the bytes, or the name."""
    return line._replace(reason=f"{_SAME_PICTURE} ({to_ledger(at)})", kept_at=None)


# What is said


def _of_entry(one: Entry) -> dict[str, Any]:
    return {**_of_line(one.line), "same_picture": None if one.same_picture is None else to_ledger(one.same_picture)}


def _of_line(line: Line) -> dict[str, Any]:
    said = line.as_json()
    return {name: said[name] for name in ("verdict", "kept_at", "read_back_at", "copies", "reason", "sha256", "size")}


def _print_safe(lines: Sequence[Line], asked: Asked, receipt: str | None, files: SignedFile | None) -> None:
    counts = Counter(one.verdict for one in lines)
    if not lines:
        report.heading("There is nothing to compare.")
    elif counts["safe"] == len(lines):
        report.heading(f"All of it is safe: {counted(len(lines), 'file')}.")
    else:
        report.heading(f"{len(lines) - counts['safe']:,} of {counted(len(lines), 'file')} must stay.")
    for verdict in VERDICTS:
        if counts[verdict]:
            report.line(f"{counts[verdict]:,}", _WORDS[verdict], "" if verdict == "safe" else "yellow")
    stay = [one for one in lines if one.verdict != "safe"]
    _print_list([(one.path, one.verdict, one) for one in stay])
    days = counted(asked.within.days, "day")
    elsewhere = f", here and from {counted(asked.copies, 'copy', 'copies')} elsewhere" if asked.copies else ""
    report.say(f"Safe means read back within {days}{elsewhere}.")
    if counts["not_reread"] and not asked.reads:
        report.say("With --read, what was not re-read is read now.")
    if receipt is not None and files is not None:
        report.line("receipt", receipt)
        if files.public_key is None:
            report.line("", "it is not signed: there is no vault yet, or it is not mounted", "yellow")
        else:
            report.line("", f"its signature is {receipt}{SIGNATURE}, by the key {files.public_key}")


def _print_account(
    entries: Sequence[Entry], counts: Counter[str], missing: Sequence[Entry], asked: Asked, disk: Whole
) -> None:
    is_disk = disk.is_whole and disk.has_others is False
    if not entries:
        report.heading("There is nothing here.")
    for what, words in WHATS.items():
        if counts[what]:
            report.line(f"{counts[what]:,}", words, "" if what == "in_vault" else "yellow")
    report.line(f"{len(entries):,}", "in all")
    _print_list([(one.account.path, one.what, one.line) for one in missing])
    if entries and not missing:
        days = counted(asked.within.days, "day")
        what = "This disk" if is_disk else "This folder"
        report.heading(f"{what} may go: the vault has all of it, and has read it back within {days}.")
        if disk.has_others:
            report.line("", "but the vault, or its database, is on this disk: the disk must stay", "red")
        elif not is_disk:
            report.say("Nothing is said of the rest of its disk.")
    elif counts["not_reread"] == len(missing) and missing:
        report.heading("All of it is in the vault, and some must be read back first: --read does that now.")
    elif missing:
        entries_ = counted(len(missing), "entry", "entries")
        what = "disk" if is_disk else "folder"
        report.heading(f"This {what} must stay: {entries_} would be lost, or must be read back first.")


def _print_list(stay: Sequence[tuple[str, str, Line]]) -> None:
    if not stay:
        return
    rows = [
        (to_ledger(path), word, line.reason if line.kept_at is None else f"{line.reason} ({to_ledger(line.kept_at)})")
        for path, word, line in stay[:_SHOWN]
    ]
    report.table(("stays", "", "why"), rows)
    if len(stay) > _SHOWN:
        report.say(f"  and {len(stay) - _SHOWN:,} more; --json lists them")
