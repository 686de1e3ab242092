"""`operations`: long commands, how far they are, and what can be done with those that stopped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from Src.Factory import report
from Src.Factory.batch import run_import
from Src.Factory.copies import run_copies
from Src.Factory.rebuild import run_rebuild
from Src.Factory.verify import run_verify
from Src.Library.operation import Operation, OperationProblem, offer, short
from Src.Library.operations import Operations
from Src.Shared.database import Database
from Src.Shared.errors import ExitCode
from Src.Shared.settings import Settings
from Src.Shared.words import short_span

VERBS = ("resume", "cancel", "discard")


def run_operations(settings: Settings, *, words: Sequence[str], as_json: bool) -> int:
    """Lists them, or does what the words say; the exit code. Raises OperationProblem, LedgerUnavailable."""
    verb, id_ = verb_and_id(words)
    database = Database(settings, service="factory")
    try:
        database.ensure_ready()
        operations = Operations(settings, database)
        if verb == "":
            return _list(operations.listed(), as_json=as_json)
        one = operations.named(id_)
        if verb != "resume":
            return _end(operations, one, verb, as_json=as_json)
        if not one.is_stopped:
            raise OperationProblem(f"operation {short(one.id)} cannot be resumed: it {_state(one)}")
    finally:
        database.close()
    return _resume(settings, one, as_json=as_json)


def verb_and_id(words: Sequence[str]) -> tuple[str, str]:
    """Empty words list them. Raises OperationProblem."""
    if not words:
        return "", ""
    if len(words) != 2 or words[0] not in VERBS:
        raise OperationProblem("say nothing, or one of resume, cancel and discard with the id of an operation")
    return words[0], words[1]


def _resume(settings: Settings, one: Operation, *, as_json: bool) -> int:
    """By the command that it was: what is filed is known, and passed over."""
    given = one.parameters
    if one.kind == "import":
        return run_import(
            settings,
            sources=given["sources"],
            move=bool(given["move"]),
            report_file=given["report_file"],
            as_json=as_json,
        )
    if one.kind == "rebuild":
        flags = {name: bool(given.get(name)) for name in ("missing", "trust_cache", "dry_run")}
        return run_rebuild(settings, **flags, as_json=as_json)
    if one.kind == "verify":
        return run_verify(
            settings,
            quick=False,
            sample=given["sample"],
            budget=given["budget"],
            restore_from=given.get("restore_from"),
            accept_moves=bool(given.get("accept_moves")),
            as_json=as_json,
        )
    if one.kind == "copies":
        words, limit = ["run", given["name"]], given["limit"]
        return run_copies(settings, words=words, limit=limit, read=bool(given["read"]), as_json=as_json)
    raise OperationProblem(f"operation {short(one.id)} goes on by itself: it is the {one.who}'s")


def _end(operations: Operations, one: Operation, verb: str, *, as_json: bool) -> int:
    if verb == "discard":
        operations.discard(one)
        runs = False
    else:
        runs = operations.cancel(one)
    if as_json:
        report.print_json({"id": str(one.id), "status": "cancelling" if runs else "cancelled"})
    else:
        what = "ends within seconds; what it has done stays done" if runs else "is not offered any more"
        report.say(f"Operation {short(one.id)} {what}.")
    return ExitCode.WELL


def _list(found: Sequence[Operation], *, as_json: bool) -> int:
    if as_json:
        report.print_json({"operations": [one.as_json() for one in found]})
        return ExitCode.WELL
    if not found:
        report.say("No operations within the last 30 days.")
        return ExitCode.WELL
    rows = [(short(one.id), one.name, one.words, _details(one), one.who, report.ago(_when(one))) for one in found]
    report.table(("id", "what", "how far", "", "who", "when"), rows)
    for one in found:
        if one.is_stopped and not one.is_scheduled:
            report.say(offer(one))
    return ExitCode.WELL


def _when(one: Operation) -> datetime:
    return one.ended_at or one.heartbeat_at


def _state(one: Operation) -> str:
    return "runs" if one.status in ("pending", "running", "paused") else f"is {one.status}"


def _details(one: Operation) -> str:
    parts = []
    if one.is_alive and one.per_second:
        parts.append(f"{one.per_second:,.0f} files/s")
        if one.total is not None and one.total > one.done:
            parts.append(f"{short_span((one.total - one.done) / one.per_second)} left")
    elif one.started_at is not None and one.status == "completed":
        parts.append(short_span(max(0.0, (_when(one) - one.started_at).total_seconds())))
    if one.errors:
        parts.append(f"{one.errors:,} {one.errors_word}")
    if one.message:
        parts.append(one.message)
    if one.current_item and (one.is_alive or one.is_stopped):
        parts.append(f"at {one.current_item}")
    return ", ".join(parts)
