"""`verify --events`: is what became of each file, and each decision, still what was sealed?"""

from __future__ import annotations

from collections.abc import Sequence

from Src.Factory import report
from Src.Factory.operate import looking
from Src.Factory.problems import Problem
from Src.Factory.progress import Show, Step, progress_shown
from Src.Library.belonging import Belonging
from Src.Library.custody.manifests.events.accepting import NO_HEAD, Seen, accepted
from Src.Library.custody.manifests.events.checking import check_events
from Src.Library.custody.manifests.events.found import WRONG, CheckedEvents, Wrong
from Src.Library.custody.manifests.events.sealing import Head
from Src.Library.custody.manifests.store import signing_key
from Src.Library.custody.manifests.writing import Manifests
from Src.Library.vault import Vault
from Src.Shared.database import Database
from Src.Shared.errors import ExitCode
from Src.Shared.ledger_text import plain_text
from Src.Shared.person import login_name
from Src.Shared.settings import Settings
from Src.Shared.words import counted

_SHOWN = 20
_ANSWER_LIMIT = 300.0  # seconds: to compare a million events with their seals takes some of them
_WORDS = {
    "changed": "not what was sealed",
    "dropped": "sealed, and gone",
    "inserted": "there without a seal",
    "swapped": "exchanged with another",
    "broken": "not as it follows from the one before",
    "backdated": "of another time than when it was written",
    "lost": "in the signed lists, and not in the database",
    "late": "written while nothing else was for a while: as when the database was away, or was rebuilt",
}


def verify_events(settings: Settings, *, accept: str | None, as_json: bool) -> int:
    """Checks; the exit code. `accept`: a person's word on what is lost or backdated, which is sealed.

    Raises Problem, WrongLedger, VaultTrouble, LedgerUnavailable.
    """
    why = None if accept is None else plain_text(accept).strip()
    if why == "":
        raise Problem("verify: --accept needs words, as --accept 'restored from the backup of Sunday'")
    vault = Vault(settings.storage)
    database = Database(settings, service="factory", answer_limit=_ANSWER_LIMIT)
    try:
        vault.check()
        database.ensure_ready()
        stop: list[bool] = []
        with progress_shown("Checking events") as show_step, looking(show_step, lambda: stop.append(True)) as one:
            if why is not None:
                _seal(settings, vault, database, stop)  # else what waits would be wrong only after they have signed
            found = _check(settings, vault, database, show_step, stop)
            if why is not None and not one.was_stopped:
                if not found.counts["lost"] and not found.counts["backdated"]:
                    raise Problem("verify: nothing is lost and nothing backdated, so there is nothing to accept")
                _accept(settings, vault, database, why, found)
                found = _check(settings, vault, database, show_step, stop)
            stopped = one.was_stopped
    finally:
        database.close()
    if as_json:
        report.print_json({**found.as_json(), "complete": not stopped})
    else:
        _print(found, stopped=stopped)
    if stopped:
        return ExitCode.INTERRUPTED
    return ExitCode.WELL if found.is_well else ExitCode.FOUND


def _check(settings: Settings, vault: Vault, database: Database, show: Show, stop: list[bool]) -> CheckedEvents:
    return check_events(
        vault,
        database,
        Belonging(settings, vault),
        progress=lambda done, all_: show(Step(done, all_)),
        stopped=lambda: bool(stop),
    )


def _manifests(settings: Settings, vault: Vault, database: Database) -> Manifests:
    belonging = Belonging(settings, vault)
    belonging.establish(database)
    return Manifests(vault, database, belonging)


def _seal(settings: Settings, vault: Vault, database: Database, stop: Sequence[bool]) -> None:
    manifests = _manifests(settings, vault, database)
    while not stop and manifests.write(1).sealed:
        pass


def _accept(settings: Settings, vault: Vault, database: Database, why: str, found: CheckedEvents) -> None:
    """Signs that they know of what was found, and of nothing that came since."""
    lost, late = found.counts["lost"], found.counts["backdated"]
    said = f"{why} ({counted(lost, 'signed seal')} lost, {counted(late, 'event')} of another time)"
    sealed = NO_HEAD if found.head is None else Head(found.head[0], bytes.fromhex(found.head[1]))
    note = accepted(signing_key(vault), login_name(), said, Seen(sealed, found.listed or NO_HEAD))
    _manifests(settings, vault, database).write(1, note)


def _print(found: CheckedEvents, *, stopped: bool) -> None:
    if stopped:
        report.heading("Stopped before the end.")
    elif found.is_well:
        report.heading("Nothing is wrong." if found.sealed else "Nothing is sealed yet.")
    else:
        report.heading("Something is wrong. Nothing was changed.")
    signed = f", up to {found.signed:,} in the signed lists" if found.signed else ", none of them in a signed list yet"
    report.line("sealed", counted(found.sealed, "event") + (signed if found.sealed else ""))
    if found.waiting:
        report.line("not yet", f"{counted(found.waiting, 'event')} not sealed yet, so nothing proves them", "yellow")
    for kind, words in _WORDS.items():
        if found.counts[kind]:
            style = "red" if kind in WRONG else "yellow"
            report.line(kind, f"{counted(found.counts[kind], 'event')}: {words}", style)
    rows = [(kind, *_shown(one)) for kind in _WORDS for one in found.found[kind][:_SHOWN]]
    if rows:
        report.table(("", "number", "event", "about", "why"), rows)
    if any(count > _SHOWN for count in found.counts.values()):
        report.say("  and more; --json lists them")
    for path, why in sorted(found.wrong_lists.items())[:_SHOWN]:
        report.line("list", f"Storage/Manifests/{path}: {why}", "red")
    for note in found.notes:
        if note["lost_seal"] is not None or note["kind"] == "accepted":
            report.line("note", f"{note['number']:,}: {note['happened_at']:%Y-%m-%d} {note['who']}: {note['message']}")
            if not note.get("is_signed", True):
                what = "is not signed with the factory's key for this database, so it covers nothing"
                report.line("", f"what {note['number']:,} accepts {what}", "red")
    if found.accepted:
        report.line("accepted", f"{found.accepted:,} of these things, by a person: see the notes")
    if found.counts["lost"] or found.counts["backdated"]:
        report.say(
            "If the database was made anew or restored from a backup, or the clock was wrong, sign that you "
            "know: ./factory verify --events --accept 'WHY'. Else restore a newer backup."
        )
    if found.head is not None:
        report.line("last seal", f"{found.head[0]:,}: {found.head[1]}")


def _shown(one: Wrong) -> tuple[object, object, object, str]:
    return (one.number, f"{one.event} {one.id}" if one.event else None, one.name, one.why)
