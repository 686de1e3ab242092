"""`history`: what was decided about originals, and what was true of them at a moment."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from Src.Factory import report
from Src.Factory.moments import moment
from Src.Library.overlay.history import History, at, histories
from Src.Library.selection.selection import read_selection
from Src.Shared.database import Database
from Src.Shared.errors import ExitCode
from Src.Shared.settings import Settings

_MOST = 1000  # originals


def show_history(settings: Settings, *, name: str, at: str | None, as_json: bool) -> int:
    """FOUND: nothing is meant, or nothing was decided. Raises SelectionError, LedgerUnavailable."""
    now = datetime.now(UTC)
    meant = read_selection(name, settings.zone, now)
    then = None if at is None else moment(at, settings.zone, now, about="history", end_of_day=True)
    database = Database(settings, service="factory")
    try:
        database.ensure_ready()
        with database.session() as session:
            found = histories(session, meant.condition, _MOST)
            states = None if then is None else [_then(session, one, then) for one in found]
    finally:
        database.close()
    if states is not None:
        _print_states(found, states, then, as_json=as_json)
        return ExitCode.WELL if found else ExitCode.FOUND
    if as_json:
        originals = [{"path": one.final_path, "hash": one.file_hash, "events": _events(one)} for one in found]
        report.print_json({"means": meant.words, "originals": originals})
    else:
        _print(settings, found)
    return ExitCode.WELL if any(one.events for one in found) else ExitCode.FOUND


def _then(session: Any, history: History, then: datetime) -> dict[str, Any]:
    return at(session, history, then)


def _events(history: History) -> list[dict[str, Any]]:
    return [{**asdict(one), "id": str(one.id), "act": str(one.act)} for one in history.events]


def _print(settings: Settings, found: list[History]) -> None:
    rows = [
        (
            event.happened_at.astimezone(settings.zone).strftime("%Y-%m-%d %H:%M:%S"),
            event.who,
            event.kind if event.status != "undone" else f"{event.kind} (undone)",
            event.field,
            _words(event.before),
            _words(event.after) + _moved(event.before, event.after),
            one.final_path,
            str(event.act),
        )
        for one in found
        for event in one.events
    ]
    if rows:
        report.table(("when", "who", "act", "what", "before", "after", "original", "id of the act"), rows)
    elif found:
        report.say("Nothing was decided about it yet.")
    else:
        report.say("There is no original of that name.")


def _print_states(found: list[History], states: list[dict[str, Any]], then: datetime | None, *, as_json: bool) -> None:
    if as_json:
        originals = [
            {"path": one.final_path, "hash": one.file_hash, "then": state}
            for one, state in zip(found, states, strict=True)
        ]
        report.print_json({"at": then, "originals": originals})
        return
    for one, state in zip(found, states, strict=True):
        report.heading(one.final_path)
        for name, value in state.items():
            report.line(name, _words(value) or "-")


def _words(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    if isinstance(value, dict) and "name" in value:
        return str(value["name"])
    if isinstance(value, dict) and value.keys() == {"lat", "lon"}:
        return f"{value['lat']:.5f}, {value['lon']:.5f}"
    if isinstance(value, dict) and "captured_at" in value:
        return _taken(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _moved(before: Any, after: Any) -> str:
    """Where an original of an album only got another place in its order."""
    if not (isinstance(before, dict) and isinstance(after, dict)) or not {"id", "position"} <= before.keys():
        return ""
    if before["id"] != after.get("id") or after.get("position") in (None, before["position"]):
        return ""
    return " (moved forward)" if after["position"] < before["position"] else " (moved back)"


def _taken(value: dict[str, Any]) -> str:
    """A date as an event of it holds it, as exact as it is known."""
    when = datetime.fromisoformat(value["captured_at"])
    written = {"year": "%Y", "month": "%Y-%m", "day": "%Y-%m-%d"}.get(value["date_precision"], "%Y-%m-%d %H:%M:%S")
    offset = value["captured_at_offset"]
    if offset is None:
        return when.strftime(written)
    sign, minutes = "-" if offset < 0 else "+", abs(offset)
    return f"{when.strftime(written)} {sign}{minutes // 60:02}:{minutes % 60:02}"
