"""`status`: is all well, and if not, what is it? Each line has a state, which is its colour, what `--quiet` leaves, and
the exit code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from Src.Factory import report
from Src.Factory.status import gather
from Src.Library.findings import FINDINGS, WHAT_TO_DO, WORDS
from Src.Library.held_words import ADVICE, failed_words
from Src.Shared.dashboard_exposure import is_loopback, refusal, url
from Src.Shared.errors import ExitCode
from Src.Shared.instance import instance_title
from Src.Shared.services import DASHBOARD, SERVICES, service_named
from Src.Shared.settings import Settings
from Src.Shared.words import counted

State = Literal["good", "plain", "note", "warning", "error"]

_STYLES: dict[State, str] = {"good": "green", "plain": "", "note": "yellow", "warning": "yellow", "error": "red"}
_CODES = {"warning": ExitCode.FOUND, "error": ExitCode.ERROR}
_SHOWN = 20
_STAYING = {
    "companions": ("changed file of a photo", "changed files of photos"),
    "sidecars": ("file of no photo here", "files of no photo here"),
    "unreadable": ("unreadable", "unreadable"),
    "links": ("link", "links"),
    "special": ("special", "special"),
}
_OURS = tuple(service.name for service in SERVICES if service.module is not None)


@dataclass(frozen=True, slots=True)
class Line:
    """One thing about the factory. `note`: worth knowing, and nothing is wrong."""

    about: str
    words: str
    state: State = "plain"


def show_status(settings: Settings, *, as_json: bool, quiet: bool, readers: bool) -> ExitCode:
    """Prints how the factory is, or with `quiet` only what is wrong; the worst line is the exit code.

    Works with the database away: then what only the ledger knows is left out. `readers`: only what has read the files.
    """
    if readers:
        from Src.Factory.show_readers import show_readers  # all readers of photos: else for nothing

        return show_readers(settings, as_json=as_json)
    found = gather(settings)
    wants_dashboard = settings.dashboard_port != 0 and refusal(settings) is None
    lines = [*_service_lines(found["services"], wants_dashboard=wants_dashboard), *_lines(found)]
    code = max((_CODES.get(line.state, ExitCode.WELL) for line in lines), default=ExitCode.WELL)
    if as_json:
        report.print_json({"state": {ExitCode.FOUND: "WARNING", ExitCode.ERROR: "ERROR"}.get(code, "OK"), **found})
    elif quiet:
        _print(line for line in lines if line.state in _CODES)
    else:
        report.heading(f"Photo Factory at {found['factory']}")
        _print(lines)
        _print_tables(found)
        if any(one["name"] == DASHBOARD and _runs(one) for one in found["services"]) and wants_dashboard:
            has_password = settings.dashboard_password or not is_loopback(settings.dashboard_address)
            report.heading(where_to_look(url(settings), has_password=bool(has_password)))
    return code


def where_to_look(address: str, *, has_password: bool) -> str:
    """The sentence that ends a status."""
    return f"Dashboard: {address}{' (./factory password shows its password)' if has_password else ''}"


def _print(lines: Iterable[Line]) -> None:
    before = ""
    for line in lines:
        report.line("" if line.about == before else line.about, line.words, _STYLES[line.state])
        before = line.about


def _runs(service: dict[str, Any]) -> bool:
    return not service["silent"] and service["current_task"] != "stopped"


def _service_lines(services: list[dict[str, Any]], *, wants_dashboard: bool) -> Iterator[Line]:
    """A service that stopped while others of ours run is missing; where all have stopped, a person stopped them."""
    ours = [one for one in services if one["name"] in _OURS]
    running = {one["name"] for one in ours if _runs(one)}
    if not services:
        yield Line("services", "none has reported yet; ./factory up starts them")
    for service in services:
        title, name = _title(service, services), service["name"]
        state: State = {"OK": "good", "WARNING": "warning"}.get(service["status"], "error")  # type: ignore[assignment]
        status = service["status"]
        if service["stands_still"]:
            status = "STANDS STILL"
        elif service["silent"]:
            status, state = "SILENT", "error"
        elif not _runs(service):
            is_wanted = name in _OURS and (name != DASHBOARD or wants_dashboard)
            status = "STOPPED" if name in _OURS else "not watched now"
            state = "error" if running and is_wanted and name not in running else "plain"
        words = [status, _task(service), f"heartbeat {report.ago(service['last_heartbeat'])}"]
        yield Line(title, ", ".join(word for word in words if word), state)
        if service["message"] and status != "not watched now":
            yield Line(title, service["message"], state)
        if state == "error" and name in _OURS and not service["stands_still"] and not _runs(service):
            consequence = service_named(name).consequence
            advice = "start it: ./factory up, or docker compose up -d"
            yield Line(title, f"{consequence}; {advice}" if consequence else advice, state)
    known = {one["name"] for one in services}
    for name in _OURS:
        is_wanted = service_named(name).is_everywhere and (name != DASHBOARD or wants_dashboard)
        if running and name not in known and is_wanted:
            yield Line(name, "has not reported yet; it starts, or look into its log", "warning")
    if ours and not running and not any(one["silent"] for one in ours):
        yield Line("services", "nothing runs here, so photos wait in the inbox: ./factory up starts it", "warning")


def _task(service: dict[str, Any]) -> str:
    return "" if service["current_task"] in (None, "stopped") else str(service["current_task"])


def _title(service: dict[str, Any], services: list[dict[str, Any]]) -> str:
    """Which instance it is, where there are several of its service."""
    is_one = sum(other["name"] == service["name"] for other in services) == 1
    return service["name"] if is_one else instance_title(service["name"], service["instance"])


def _lines(found: dict[str, Any]) -> Iterator[Line]:
    yield from _library_lines(found)
    yield from _inbox_lines(found)
    yield from _ledger_lines(found["database"])
    yield from _machine_lines(found)


def _library_lines(found: dict[str, Any]) -> Iterator[Line]:
    assets, vault, damaged = found["assets"], found["vault"], found["damaged"]
    if assets is not None:
        last = f", last filed {report.ago(assets['last_ingested_at'])}" if assets["count"] else ""
        errors = f", {assets['with_errors']:,} with errors" if assets["with_errors"] else ""
        yield Line("originals", f"{assets['count']:,} ({report.size(assets['bytes'])}){errors}{last}")
    for name in ("inbox", "vault"):
        if not found[name]["answers"]:
            yield Line(name, f"ITS DISK DOES NOT ANSWER: {found[name]['path']}", "error")
    if vault["answers"] and vault["present"] is False and assets is not None and assets["count"] > 0:
        yield Line("vault", f"NOT THERE: {vault['path']}; mount its disk", "error")
    if vault["wrong_ledger"]:
        reachable = found["database"]["reachable"]  # else the line of the database says it
        if reachable:
            yield Line("vault", f"WRONG DATABASE, nothing is added: {vault['wrong_ledger']}", "error")
    if vault["trouble"]:
        yield Line("vault", vault["trouble"], "error")
    for one in found["stopped_operations"]:
        yield Line("operations", one["offer"], "warning")
    yield from _look_lines(found["originals"])
    if damaged["count"] is None:
        yield Line("damaged", f"cannot be looked at: {damaged['error']}", "warning")
    elif damaged["count"]:
        was = "was" if damaged["count"] == 1 else "were"
        what = f"{counted(damaged['count'], 'damaged original')} {was} moved aside, for a good copy to take the place"
        yield Line("damaged", f"{what}: check the disk; look at what was moved and remove it yourself", "error")
        for path in damaged["paths"][:_SHOWN]:
            yield Line("damaged", path, "error")
        if damaged["count"] > _SHOWN:
            yield Line("damaged", f"and {damaged['count'] - _SHOWN:,} more; ./factory problems lists all", "error")


def _look_lines(looked: dict[str, Any] | None) -> Iterator[Line]:
    """What the last look at all originals has found."""
    if looked is None:
        return
    bad = [f"{looked[kind]:,} {WORDS[kind]}" for kind in FINDINGS if looked[kind]]
    if bad:
        is_only_writable = not any(looked[kind] for kind in FINDINGS if kind != "writable")
        words = f"{', '.join(bad)}: ./factory problems says what to do"
        yield Line("originals", words, "warning" if is_only_writable else "error")
    elif looked["looked_at"] is not None and looked["looked_originals"]:
        yield Line(
            "originals", f"all {looked['looked_originals']:,} looked at {report.ago(looked['looked_at'])}, as filed"
        )


def _inbox_lines(found: dict[str, Any]) -> Iterator[Line]:
    inbox, leaving = found["inbox"], found["leaving"]
    is_wrong = inbox["failing"] or inbox["dead_letters"] or inbox["unreadable"]
    yield Line(
        "inbox",
        f"{inbox['waiting']:,} waiting ({report.size(inbox['waiting_bytes'])}), {inbox['not_media']:,} not photos or "
        f"videos, {failed_words(inbox['failing'], inbox['dead_letters'])}"
        + "".join(f", {counted(inbox[name], *forms)}" for name, forms in _STAYING.items() if inbox[name])
        + (f", {inbox['ignored']:,} left alone by their names" if inbox["ignored"] else ""),
        "warning" if is_wrong else "plain",
    )
    if is_wrong:
        yield Line("inbox", "some files failed: ./factory problems says which, why, and what to do", "warning")
    if leaving is not None and leaving["files"]:
        room = f", {report.size(leaving['room'])} of it beside the originals" if leaving["room"] else ""
        size = report.size(leaving["bytes"])
        yield Line("leaving", f"{leaving['files']:,} filed and kept aside for a while ({size}{room})")


def _ledger_lines(ledger: dict[str, Any]) -> Iterator[Line]:
    if ledger["reachable"]:
        yield Line("database", f"{ledger['mode']}, PostgreSQL {ledger['version']}, {report.size(ledger['bytes'])}")
        if ledger.get("path"):
            yield Line("database", f"in {ledger['path']}")
        if ledger["roles"]:
            yield Line("database", ", ".join(f"{service} as {role}" for service, role in ledger["roles"].items()))
    else:
        yield Line("database", f"AWAY ({ledger['mode']}): {ledger['error']}", "error")
    if ledger["journal_error"]:
        yield Line("to record", ledger["journal_error"], "warning")
    if ledger["journaled"]:
        wait = "waits" if ledger["journaled"] == 1 else "wait"
        yield Line(
            "to record", f"{counted(ledger['journaled'], 'entry', 'entries')} {wait} for the database", "warning"
        )
    if ledger["rejected"]:
        words = f"{counted(ledger['rejected'], 'row')} by the database; ./factory retry tries again"
        yield Line("refused", words, "warning")


def _machine_lines(found: dict[str, Any]) -> Iterator[Line]:
    for name, disk in found["disk"].items():
        if disk is not None:
            yield Line(f"{name} disk", f"{report.size(disk['free'])} free of {report.size(disk['total'])}")
    if found["exiftool_problem"] is not None:
        is_missing = found["exiftool_version"] is None
        missing = "MISSING: dates and places of many kinds cannot be read"
        yield Line("exiftool", missing if is_missing else f"REFUSED: {found['exiftool_problem']}", "warning")
    for unread in found["unread"]:
        yield Line("cannot read", unread, "note")
    yield _confinement_line(found["confinement"])
    for warning in found["warnings"]:
        yield Line("WARNING", warning, "warning")


def _confinement_line(parts: dict[str, Any]) -> Line:
    """What the processes that read photos cannot do here, whatever a photo makes of them."""
    kept = {
        "files": "write or read other files",
        "network": "connect",
        "signals": "signal others",
        "refused_calls": "make calls that no reader needs",
    }
    held = [words for name, words in kept.items() if parts[name]]
    missing = [words for name, words in kept.items() if not parts[name]]
    text = f"readers cannot {', '.join(held)}" if held else "readers run with all rights of this user"
    if missing:
        text += f"; this kernel cannot keep them from: {', '.join(missing)} (Landlock {parts['landlock_abi']})"
    return Line("confinement", text, "plain" if parts["files"] else "note")


def _print_tables(found: dict[str, Any]) -> None:
    """The first files of each trouble; `./factory problems` has all of them, and says more."""
    if found["originals"] is not None and found["originals"]["problems"]:
        report.table(
            ("original", "is", "what was found", "what to do"),
            (
                (one["path"], WORDS[one["finding"]], one["message"], WHAT_TO_DO[one["finding"]])
                for one in found["originals"]["problems"][:_SHOWN]
            ),
        )
        _print_more(sum(found["originals"][kind] for kind in FINDINGS))
    if found["rejected"]:
        report.table(
            ("refused by the database", "reason"), ((one["path"], one["reason"]) for one in found["rejected"][:_SHOWN])
        )
        _print_more(found["database"]["rejected"])
    if found["inbox"]["problems"]:
        report.table(
            ("file in the inbox", "state", "tries", "reason", "next try, or what to do"),
            (
                (one["path"], one["state"].replace("_", " "), one["attempts"], one["error"], _next(one))
                for one in found["inbox"]["problems"][:_SHOWN]
            ),
        )
        _print_more(len(found["inbox"]["problems"]))


def _print_more(count: int) -> None:
    if count > _SHOWN:
        report.say(f"  and {count - _SHOWN:,} more: ./factory problems")


def _next(problem: dict[str, Any]) -> str:
    if problem["state"] in ADVICE:
        return ADVICE[problem["state"]]
    return "./factory retry" if problem["state"] == "dead_letter" else report.ago(problem["next_try_at"])
