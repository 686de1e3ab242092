"""`copies`: the vault and its database once more elsewhere, read back from there, and tried out."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from Src.Factory import report
from Src.Factory.backup import prove_backup, write_backup
from Src.Factory.ledger_server import local_programs
from Src.Factory.lists import write_lists
from Src.Factory.operate import looking, operating, say_stopped
from Src.Factory.problems import Problem
from Src.Factory.progress import progress_shown
from Src.Library.belonging import Belonging
from Src.Library.custody.copies.done import CopyDone
from Src.Library.custody.copies.drill import Drill, Drilled
from Src.Library.custody.copies.dumps import Dump
from Src.Library.custody.copies.opening import add_copy, check_marker, open_copy, vault_of
from Src.Library.custody.copies.pace import Pace, Stopped
from Src.Library.custody.copies.retention import FOLDER, dump_name, to_remove
from Src.Library.custody.copies.rows import CopyRow, CopyRows
from Src.Library.custody.copies.run import CopyRun
from Src.Library.custody.copies.standing import standing_of, three_two_one
from Src.Library.custody.copies.trouble import CopyTrouble
from Src.Library.custody.rows import Sessions
from Src.Library.vault import Vault
from Src.Shared.database import Database
from Src.Shared.disk.making import PRIVATE, make_folder
from Src.Shared.errors import ExitCode
from Src.Shared.ledger_text import to_ledger
from Src.Shared.settings import Settings
from Src.Shared.words import counted

_ANSWER_LIMIT = 300.0  # seconds
_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_RATE = re.compile("([0-9]{1,9})([KMG]?)")
_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3}
_SHOWN = 20
_TAKES = {"add": 2, "list": 0, "run": 1, "drill": 1, "remove": 1}


def run_copies(
    settings: Settings,
    *,
    words: Sequence[str],
    limit: str | None = None,
    day: str | None = None,
    read: bool = False,
    encrypt: bool = False,
    as_json: bool,
) -> int:
    """Does what the words say; the exit code. Raises Problem, CopyTrouble, WrongLedger, VaultTrouble."""
    verb, *names = words or ("list",)
    if _TAKES.get(verb) != len(names):
        raise Problem("copies: say add NAME TARGET, list, run NAME, drill NAME, or remove NAME")
    if (day is not None and verb != "drill") or (read and verb != "run") or (encrypt and verb != "add"):
        raise Problem("copies: --day goes with drill, --read with run, and --encrypt with add")
    if limit is not None and verb not in ("run", "drill"):
        raise Problem("copies: --limit goes with run and drill")
    pace = Pace(_rate(limit))
    if names and _NAME.fullmatch(names[0]) is None:
        raise Problem(f"copies: {names[0]!r} is no name: use letters, digits, '_', '.' and '-'")
    with _opened(settings) as (database, sessions):
        match verb:
            case "add":
                return _add(settings, sessions, *names, encrypt=encrypt, as_json=as_json)
            case "list":
                return _list(sessions, as_json=as_json)
            case "remove":
                return _remove(sessions, names[0], as_json=as_json)
            case "drill":
                return _drill(settings, sessions, names[0], day, pace, as_json=as_json)
            case _:
                given = {"name": names[0], "limit": limit, "read": read}
                return _run(settings, database, sessions, given, pace, as_json=as_json)


@contextlib.contextmanager
def _opened(settings: Settings) -> Iterator[tuple[Database, Sessions]]:
    """The vault's own ledger. Raises WrongLedger, VaultTrouble, LedgerUnavailable."""
    vault = Vault(settings.storage)
    database = Database(settings, service="factory", answer_limit=_ANSWER_LIMIT)
    try:
        vault.check()
        database.ensure_ready()
        belonging = Belonging(settings, vault)
        belonging.establish(database)

        @contextlib.contextmanager
        def sessions() -> Iterator[Session]:
            with database.session() as session:
                belonging.check(session)
                yield session

        yield database, sessions
    finally:
        database.close()


def _rate(limit: str | None) -> float | None:
    if limit is None:
        return None
    match = _RATE.fullmatch(limit)
    if match is None or not int(match[1]):
        raise Problem(f"copies: --limit {limit!r} is no number of bytes a second, as 500K or 5M")
    return float(match[1]) * _UNITS[match[2]]


def _known(sessions: Sessions, name: str) -> CopyRow:
    row = CopyRows(sessions).named(name)
    if row is None:
        raise CopyTrouble(f"there is no copy {name!r}; ./factory copies list has them all")
    return row


# add, list, remove


def _add(settings: Settings, sessions: Sessions, name: str, target: str, *, encrypt: bool, as_json: bool) -> int:
    row, was_one = add_copy(settings, sessions, name, target, encrypted=encrypt)
    if as_json:
        said = {"name": row.name, "kind": row.kind, "target": row.target, "was_one": was_one}
        said["encrypted"] = row.is_encrypted
        report.print_json({**said, "has_own_disk": row.has_own_disk})
        return ExitCode.WELL
    report.say(f"{row.target} is the copy {row.name} from now on; ./factory copies run {row.name} fills it.")
    if was_one:
        report.say("It was a copy of this vault before: what is there is read back, and not copied again.")
    if not row.has_own_disk:
        report.line("", "it is on a disk of the vault's, or nobody knows: safe --copies will not count it", "yellow")
    return ExitCode.WELL


def _remove(sessions: Sessions, name: str, *, as_json: bool) -> int:
    row = _known(sessions, name)
    CopyRows(sessions).remove(row.id)
    if as_json:
        report.print_json({"name": row.name, "target": row.target, "removed": True})
    else:
        report.say(f"{row.name} counts no more. Nothing was removed from {row.target}.")
    return ExitCode.WELL


def _list(sessions: Sessions, *, as_json: bool) -> int:
    rows = CopyRows(sessions)
    originals = rows.originals()
    found = [standing_of(rows, one, originals) for one in rows.all()]
    state = three_two_one(originals, found)
    if as_json:
        said = {"originals": originals, "three_two_one": state.as_json()}
        report.print_json({"copies": [one.as_json() for one in found], **said})
        return ExitCode.WELL
    if found:
        table = [
            (one.row.name, one.row.target, one.words, report.ago(one.row.ran_at), one.drill_words) for one in found
        ]
        report.table(("copy", "where", "originals there", "last run", "last drill"), table)
    else:
        report.say("There are no copies. ./factory copies add NAME FOLDER makes one.")
    report.say(state.words)
    return ExitCode.WELL


# run


def _run(
    settings: Settings, database: Database, sessions: Sessions, given: dict[str, Any], pace: Pace, *, as_json: bool
) -> int:
    row = _known(sessions, given["name"])
    write_lists(settings, database)  # so that those that go there are today's
    with progress_shown(f"Copying to {row.name}") as show_step:
        with (
            open_copy(settings, sessions, row, pace.spent) as target,
            operating(settings, database, "copies", given, show=show_step, stop=pace.stop, gives_way=True) as one,
        ):
            dump, why = _dumped(settings)
            run = CopyRun(settings, database, row, pace=pace, dump=dump, reads_all=bool(given["read"]))
            run.progress = one.progress
            if why is not None:
                run.done.failed[FOLDER] = why
            done = run.run(target)
            stopped = one.was_stopped
        say_stopped(settings, database)
    if as_json:
        report.print_json(done.as_json())
    else:
        _print_run(done, row)
    if stopped:
        return ExitCode.INTERRUPTED
    if done.trouble is not None:
        raise CopyTrouble(done.trouble)
    return ExitCode.WELL if done.is_well else ExitCode.FOUND


def _dumped(settings: Settings) -> tuple[Dump | None, str | None]:
    """A new backup of the database on this machine, restored once to see; or why there is none."""
    folder = settings.state / "database"
    try:
        make_folder(folder, PRIVATE)
        file = folder / dump_name(datetime.now(UTC))
        backup = Database(settings, service="backup")
        try:
            copied = write_backup(local_programs(backup), str(file), force=True)
        finally:
            backup.close()
        for name in to_remove((one.name for one in folder.iterdir()), datetime.now(UTC)):
            (folder / name).unlink(missing_ok=True)
    except (Problem, OSError) as error:
        return None, f"the database could not be backed up: {error}"
    return Dump(file, copied.rows), None


def _print_run(done: CopyDone, row: CopyRow) -> None:
    missing = done.originals - done.there
    if done.is_complete and not missing:
        report.heading(f"{row.name} has all {counted(done.originals, 'original')}, each read back from there.")
    else:
        report.heading(
            f"{row.name} has {done.there:,} of {counted(done.originals, 'original')}; run it again to go on."
        )
    report.line("copied", f"{counted(done.copied, 'original')} ({report.size(done.bytes)}), read back from there")
    for count, label, words in (
        (done.moved, "moved", "stand at another place by now, here and there"),
        (done.others, "others", "companions, lists and decisions"),
        (done.reread, "read again", "that were there, and are right"),
        (done.removed, "removed", "that were emptied from the trash here"),
    ):
        if count:
            report.line(label, f"{count:,} {words}")
    report.line("database", done.database or "no new backup of it is there")
    for label, names in (("wrong", done.wrong), ("failed", done.failed)):
        for path, why in sorted(names.items())[:_SHOWN]:
            report.line(label, f"{to_ledger(path)}: {why}", "red")
        if len(names) > _SHOWN:
            report.say(f"  and {len(names) - _SHOWN:,} more; --json lists them")


# drill


def _drill(settings: Settings, sessions: Sessions, name: str, day: str | None, pace: Pace, *, as_json: bool) -> int:
    row = _known(sessions, name)
    scratch = settings.state / f"drill-{row.id}"

    def restore(file: Path) -> dict[str, int]:
        backup = Database(settings, service="backup")
        try:
            return prove_backup(local_programs(backup), str(file))
        finally:
            backup.close()

    try:
        with (
            progress_shown(f"Trying out {row.name}") as show,
            looking(show, pace.stop),
            open_copy(settings, sessions, row, pace.spent) as target,
        ):
            vault_id = vault_of(sessions)
            drill = Drill(CopyRows(sessions), row, target, scratch, lambda: check_marker(target, row, vault_id))
            done = drill.run(restore, day)
    except Stopped:
        report.note("Stopped; nothing is said.")
        return ExitCode.INTERRUPTED
    except OSError as error:
        raise CopyTrouble(f"cannot restore into {scratch}: {error.strerror or error}") from error
    if as_json:
        report.print_json(done.as_json())
    else:
        _print_drill(done)
    return ExitCode.WELL if done.is_well else ExitCode.FOUND


def _print_drill(done: Drilled) -> None:
    heading = "All that was tried came back right." if done.is_well else "Not all of it came back right."
    report.heading(f"{done.name}: {heading}")
    if done.day is None:
        report.line("photos", "none are there yet", "yellow")
    else:
        report.line("photos", f"of {done.day}: {counted(done.files, 'file')} restored, {done.ok:,} as they should be")
    if done.database_ok:
        report.line("database", f"{done.database}, restored: {counted(done.database_rows, 'row')}")
    else:
        report.line("database", f"{done.database or ''} {done.database_why}".strip(), "red")
    for path, why in sorted(done.wrong.items())[:_SHOWN]:
        report.line("wrong", f"{to_ledger(path)}: {why}", "red")
    if done.wrong:
        report.say(f"./factory copies run {done.name} brings there what is missing or wrong.")
