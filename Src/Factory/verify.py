"""`verify`: is every original in the vault what the database says?"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from Src.Factory import report
from Src.Factory.lists import write_lists
from Src.Factory.operate import absolute, looking, operating, say_stopped
from Src.Factory.problems import Problem
from Src.Factory.progress import progress_shown
from Src.Factory.verify_events import verify_events
from Src.Librarian.record.journal import Journal
from Src.Library.belonging import Belonging
from Src.Library.custody.copies.fetching import NotAtCopy, fetch
from Src.Library.custody.copies.rows import CopyRows
from Src.Library.custody.copies.trouble import CopyTrouble
from Src.Library.custody.manifests.checking import CheckedManifests, check_manifests
from Src.Library.custody.repair.good_bytes import BytesByHash, FolderOfBytes, GoodBytes, SourceTrouble
from Src.Library.custody.repair.repairs import Repair
from Src.Library.custody.verified import Verified
from Src.Library.custody.verify import Plan, Verify
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.database import Database
from Src.Shared.errors import ExitCode
from Src.Shared.ledger_text import from_ledger, to_ledger
from Src.Shared.settings import Settings
from Src.Shared.words import counted, short_span

_SHOWN = 20
_ANSWER_LIMIT = 300.0  # seconds: to put a million originals into order takes some of them
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def run_verify(
    settings: Settings,
    *,
    quick: bool,
    sample: str | None,
    budget: str | None,
    restore_from: str | None = None,
    accept_moves: bool = False,
    as_json: bool,
    events: bool = False,
    accept: str | None = None,
) -> int:
    """Verifies; the exit code. Raises Problem, WrongLedger, VaultTrouble, LedgerUnavailable, SourceTrouble.

    What goes away while something is put right ends that, and not the report of what was found.
    """
    if events or accept is not None:
        others = quick or sample is not None or budget is not None or restore_from is not None or accept_moves
        if others or not events:
            raise Problem("verify: --events is a run of its own, and --accept goes with it")
        return verify_events(settings, accept=accept, as_json=as_json)
    plan = plan_of(quick=quick, sample=sample, budget=budget)
    if accept_moves and (sample is not None or budget is not None):
        raise Problem("verify: --accept-moves needs a look at all of the vault; leave --sample or --budget out")
    database = Database(settings, service="factory", answer_limit=_ANSWER_LIMIT)
    try:
        repair = None
        if accept_moves or restore_from is not None:
            source = None if restore_from is None else _source(settings, database, restore_from)
            repair = Repair(source, accept_moves)
        verify = Verify(settings, database, plan, journaled=lambda: journaled(settings), repair=repair)
        parameters = _parameters(sample, budget, restore_from, accept_moves=accept_moves)
        with progress_shown("Verifying") as show_step:
            try:
                with (
                    looking(show_step, verify.stop)
                    if quick
                    else operating(
                        *(settings, database, "verify", parameters),
                        show=show_step,
                        stop=verify.stop,
                        gives_way=True,
                    )
                ) as one:
                    verify.progress = one.progress
                    done = verify.run(one.begun_at)
                    stopped = one.was_stopped
                    if verify.trouble is not None and not stopped:
                        raise verify.trouble  # the operation has not ended well: it can be resumed
            except (SourceTrouble, VaultTrouble) as trouble:
                if trouble is not verify.trouble:
                    raise
            if repair is not None:  # what was put right is an event, which is sealed now
                write_lists(settings, database)
            lists: CheckedManifests | None = None
            if done.is_searched and done.is_complete and not stopped:
                vault = Vault(settings.storage)
                lists = check_manifests(vault, database, Belonging(settings, vault))
            say_stopped(settings, database)
    finally:
        database.close()
    if as_json:
        report.print_json({**_readable(done), "manifests": lists and lists.as_json()})
    else:
        _print(done)
        _print_repairs(done, repair)
        if lists is not None:
            _print_lists(lists)
    if stopped:
        return ExitCode.INTERRUPTED
    is_well = done.is_well and verify.trouble is None and not (lists and lists.wrong)
    return ExitCode.WELL if is_well else ExitCode.FOUND


def _parameters(
    sample: str | None, budget: str | None, restore_from: str | None, *, accept_moves: bool
) -> dict[str, object]:
    """By which a stopped run is known again. A run that puts nothing right has none of that."""
    parameters: dict[str, object] = {"sample": sample, "budget": budget}
    if restore_from is not None:
        is_path = "/" in restore_from or os.path.lexists(restore_from)
        parameters["restore_from"] = absolute(restore_from) if is_path else restore_from
    return {**parameters, "accept_moves": True} if accept_moves else parameters


def _source(settings: Settings, database: Database, given: str) -> GoodBytes:
    """A folder, or a copy by its name. Raises Problem, LedgerUnavailable."""
    try:
        os.stat(given)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        if "/" not in given and isinstance(error, FileNotFoundError):
            if CopyRows(database.session).named(given) is not None:
                return _copy(settings, database, given)
            why = "no folder of that name is here, and no copy has it"
        raise Problem(f"verify: --restore-from {given}: {why}") from error
    if not os.path.isdir(given):
        raise Problem(f"verify: --restore-from {given}: is no folder")
    return FolderOfBytes(Path(given))


def _copy(settings: Settings, database: Database, name: str) -> GoodBytes:
    def fetched(sha256: str, into: int) -> int:
        return fetch(settings, database.session, name, sha256, into)

    return BytesByHash(name, fetched, has_none=NotAtCopy, trouble=CopyTrouble)


def plan_of(*, quick: bool, sample: str | None, budget: str | None) -> Plan:
    """What the words mean. Raises Problem."""
    if quick + (sample is not None) + (budget is not None) > 1:
        raise Problem("verify: give one of --quick, --sample and --budget")
    if sample is not None:
        if not re.fullmatch(r"[1-9][0-9]{0,8}", sample):
            raise Problem(f"verify: --sample {sample!r} is no number of originals, as 3000")
        return Plan("sample", sample=int(sample))
    if budget is not None:
        match = re.fullmatch(r"([0-9]{1,7}(?:\.[0-9]{1,3})?)([smhd]?)", budget)
        if match is None or not float(match[1]):
            raise Problem(f"verify: --budget {budget!r} is no length of time, as 90s, 30m or 2h")
        return Plan("budget", budget=float(match[1]) * _UNITS[match[2]])
    return Plan("quick" if quick else "full")


def journaled(settings: Settings) -> set[str]:
    """The paths of originals that were filed while the database was away, and are not in it yet."""
    journal = Journal(settings.storage / ".factory" / "journal")
    return {
        from_ledger(entry.asset["final_path"])
        for segment in journal.segments()
        for entry in journal.entries(segment)
        if entry.asset is not None
    }


def _readable(done: Verified) -> dict[str, object]:
    """Names may hold what is no text: they stand there as in the database."""
    said = done.as_json()
    for name, value in said.items():
        if name == "why":
            said[name] = {to_ledger(path): why for path, why in value.items()}
        elif name == "trouble":
            said[name] = to_ledger(value)
        elif name in ("moved", "moved_back", "kept_aside"):
            said[name] = [{word: to_ledger(path) for word, path in one.items()} for one in value]
        elif isinstance(value, list):
            said[name] = [to_ledger(path) for path in value]
    return said


def _print(done: Verified) -> None:
    if not done.is_complete:
        report.heading("Stopped before the end; what was read need not be read again.")
    elif done.is_well:
        report.heading("Nothing is wrong." if done.checked else "There was nothing to verify.")
    else:
        is_changed = done.restored or done.moved_back or done.kept_aside
        report.heading("Something is wrong." if is_changed else "Something is wrong. Nothing was changed.")
    report.line("checked", f"{counted(done.checked, 'file')}, {done.ok:,} as they should be")
    report.line("read", f"{counted(done.read, 'file')} ({report.size(done.bytes)}), from the disk")
    if done.checked > done.read and done.how == "quick":
        report.line("", "the others by name, size and time only: that a disk has lost bytes does not show there")
    if not done.is_searched:
        report.line("", "nobody looked for files that the database does not know")
    kinds: list[tuple[str, Sequence[str], str, str]] = [
        ("missing", done.missing, "not at its place", "red"),
        ("changed", done.changed, "not what was filed", "red"),
        ("unreadable", done.unreadable, "cannot be looked at or read, so nothing is known of it", "red"),
        ("unknown", done.unknown, "in the vault, and the database does not know it", "yellow"),
        ("mode", done.mode, "a mode by which somebody may change it, or its owner may not read it", "yellow"),
        ("time", done.touched, "right bytes, and another time than before; it is not named again", ""),
        ("XMP", done.in_use, "written by another program; it may", ""),
    ]
    for label, names, words, style in kinds:
        if names:
            report.line(label, f"{counted(len(names), 'file')}: {words}", style)
    rows = [(to_ledger(name), label, _why(done, name)) for label, names, _, _ in kinds for name in _first(names)]
    if rows:
        report.table(("in the vault", "", "why"), rows)
    if any(len(names) > _SHOWN for _, names, _, _ in kinds):
        report.say("  and more; --json lists them")
    if done.sample_bound is not None:
        share = f"{100 * done.sample_bound:.2g} %"
        report.say(f"None of {done.originals_read:,} is bad: with 95 % confidence fewer than {share} of all are.")
    _print_read_back(done)


def _print_repairs(done: Verified, repair: Repair | None) -> None:
    if repair is None:
        return
    kinds = [
        (done.restored, "put right"),
        (list(done.moved_back), "moved back to its place"),
    ]
    for names, words in kinds:
        if names:
            report.line("right now", f"{counted(len(names), 'file')}: {words}", "green")
    rows = [(to_ledger(name), done.why.get(name, "")) for names, _ in kinds for name in _first(names)]
    if rows:
        report.table(("in the vault", "what was done"), rows)
    if done.kept_aside:
        what = counted(len(done.kept_aside), "bad file")
        report.say(f"{what} kept aside: ./factory problems lists what was moved there. Only you remove it.")
    if done.trouble:
        report.line("trouble", to_ledger(done.trouble), "yellow")


def _print_lists(lists: CheckedManifests) -> None:
    behind = f"; those of {counted(lists.behind, 'day')} wait to be written" if lists.behind else ""
    report.line("lists", f"the signed lists of {counted(lists.days, 'day')} were checked{behind}")
    for path, why in sorted(lists.wrong.items())[:_SHOWN]:
        report.line("", f"Storage/Manifests/{path}: {why}", "red")
    if lists.lost is not None:
        head, before = lists.lost
        report.line("", f"a chain of them was lost, or put back to an earlier state, before {before}", "yellow")
        report.line("", f"its last line was {head}", "yellow")
    if lists.public_key is not None:
        report.line("", f"signed with {lists.public_key}; the last line of their chain is {lists.head}")


def _print_read_back(done: Verified) -> None:
    if not done.originals:
        return
    if done.read_back_since is None:
        report.say(f"None of {counted(done.originals, 'original')} was read back, and right, since it came.")
        return
    within = short_span(max(0.0, (datetime.now(UTC) - done.read_back_since).total_seconds()))
    of_all = f"{done.read_back:,} of {counted(done.originals, 'original')}"
    report.say(f"{of_all} read back, and right, within the last {within}.")


def _first(names: Iterable[str]) -> list[str]:
    return sorted(names)[:_SHOWN]


def _why(done: Verified, name: str) -> str:
    if name in done.moved:
        return f"the same bytes stand at {to_ledger(done.moved[name])}"
    return done.why.get(name, "")
