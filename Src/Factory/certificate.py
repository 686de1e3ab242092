"""`certificate`: what proves that an original is what came in, and what became of it."""

from __future__ import annotations

import contextlib
import html
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from Src.Factory import report
from Src.Factory.new_file import NewFile
from Src.Factory.problems import Problem
from Src.Library.belonging import Belonging
from Src.Library.custody.certificate import certificate
from Src.Library.selection.selection import read_selection
from Src.Library.vault import Vault
from Src.Shared.database import Database
from Src.Shared.errors import ExitCode
from Src.Shared.logs import escaped
from Src.Shared.models import MediaAsset
from Src.Shared.settings import Settings
from Src.Shared.words import counted
from Src.Shared.words import size as size_in_words

_FEW = 5  # names, where one was to be given
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_STATES = {
    "signed": "sealed and signed",
    "sealed": "sealed; no signed list has it yet",
    "waiting": "not sealed yet",
    "changed": "NOT WHAT WAS SEALED",
}
_KEPT = {
    "kept": "in the vault",
    "in_trash": "in the trash",
    "deleted": "deleted for good",
    "never_kept": "never kept: only what became of the file that came in is known",
}
_CHECK = "python3 Storage/Manifests/check_certificate.py CERTIFICATE.json KEY --photo FILE"
_STYLE = (
    "body{font:11pt/1.4 sans-serif;max-width:48em;margin:2em auto;padding:0 1em}th{text-align:left;vertical-align:top;"
    "padding-right:1em;white-space:nowrap;font-weight:600}td{overflow-wrap:anywhere;padding-bottom:.3em}"
    "code,pre{font:9pt monospace;overflow-wrap:anywhere;white-space:pre-wrap}@page{margin:2cm}"
)


def run_certificate(settings: Settings, *, name: str, page: str | None, as_json: bool) -> int:
    """FOUND: nothing is known of it, or not all of it is proven. Raises Problem, SelectionError, LedgerUnavailable,
    VaultTrouble, WrongLedger."""
    vault = Vault(settings.storage)
    database = Database(settings, service="factory")
    with contextlib.closing(database):
        database.ensure_ready()
        vault.check()
        Belonging(settings, vault).establish(database)
        with database.session() as session:
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            sha256 = _meant(settings, session, name)
            made = None if sha256 is None else certificate(session, vault, sha256)
    if made is None:
        report.note(f"Nothing is known of {name}; ./factory find looks for parts of a name.")
        return ExitCode.FOUND
    if page is not None:
        with NewFile(Path(page), settings.storage, about="certificate: --page") as file:
            file.write(_page(made))
    if as_json:
        print(json_of(made), flush=True)
    else:
        _print(made)
    return ExitCode.WELL if not _unproven(made) else ExitCode.FOUND


def json_of(made: dict[str, Any]) -> str:
    """ASCII: what is signed must come out byte for byte, names that are no UTF-8 too; and nothing steers a terminal."""
    return json.dumps(made, ensure_ascii=True).replace("\x7f", "\\u007f")


def _meant(settings: Settings, session: Any, name: str) -> str | None:
    """The hash that is meant. Raises Problem where that is more than one."""
    if _SHA256.fullmatch(name):
        return name.lower()
    meant = read_selection(name, settings.zone, datetime.now(UTC))
    asked = select(MediaAsset.file_hash, MediaAsset.final_path).where(meant.condition).order_by(MediaAsset.final_path)
    rows = session.execute(asked.limit(_FEW + 1)).all()
    if len(rows) > 1:
        names = ", ".join(path for _, path in rows[:_FEW]) + (", …" if len(rows) > _FEW else "")
        raise Problem(f"certificate: {name} means more than one original ({names}): give the SHA-256 of one")
    return rows[0][0] if rows else None


def _unproven(made: dict[str, Any]) -> list[str]:
    """What is not proven, as sentences."""
    found: list[str] = []
    if made["lists_trouble"] is not None:
        found.append(made["lists_trouble"])
    elif made["signed_line"] is None and made["original"]["state"] == "kept":
        found.append("no signed list has the file with this hash yet")
    states = [one["state"] for one in made["events"]]
    if not states:
        found.append("no event says how it came")
    if "changed" in states:
        found.append(f"{counted(states.count('changed'), 'event')} not what was sealed: ./factory verify --events")
    if waiting := states.count("waiting"):
        found.append(f"{counted(waiting, 'event')} not sealed yet")
    if sealed := states.count("sealed"):
        found.append(f"{counted(sealed, 'event')} sealed, and proven by no signed list: ./factory verify --events")
    for one in made["checks"]["findings"]:
        found.append(f"{one['finding']}: {one['message']}")
    return found


def _parts(made: dict[str, Any]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Headings, and what stands under each: for the terminal and for the page."""
    original, checks = made["original"], made["checks"]
    facts = [("SHA-256", made["sha256"]), ("state", _KEPT[original["state"]])]
    for key, label in (("path", "stands at"), ("name", "name"), ("came_as", "came as"), ("kept_since", "kept since")):
        if original.get(key) is not None:
            facts.append((label, str(original[key])))
    if original.get("size") is not None:
        facts.append(("size", f"{original['size']:,} bytes ({size_in_words(original['size'])})"))
    if original.get("by") is not None:
        facts.append(("by", f"{original['by']}, {original['since']}"))
    yield "The photo", facts
    yield "What became of it", [_event(one) for one in made["events"]] or [("", "nothing is known")]
    runs = [
        (one["kind"], f"{one['status']}, {one['ended_at']}, {counted(one['files'], 'file')}") for one in checks["runs"]
    ]
    read = checks["verified_at"] or "never since it came"
    yield (
        "Checks since",
        [("read, and right", read), *((one["finding"], one["message"]) for one in checks["findings"]), *runs],
    )
    copies = [(one["name"], f"{one['kind']}, read back from there {one['read_back_at']}") for one in made["copies"]]
    yield "Copies elsewhere", copies or [("", "none known")]
    signed = []
    if made["signed_line"] is not None:
        signed = [("list", f"Storage/Manifests/{made['signed_line']['list']}"), ("line", made["signed_line"]["line"])]
    for one in made["stretches"]:
        signed.append((f"seal {one['links'][-1][0]:,}", f"{one['seal']}, in Storage/Manifests/{one['list']}"))
    if made["key"] is not None:
        signed += [
            ("key", made["key"]),
            ("chain", f"{made['chain']['lines']:,} lines; the last is {made['chain']['head']}"),
        ]
    yield "Signed", signed or [("", "nothing")]
    yield (
        "How to check",
        [("", _CHECK), ("", "CERTIFICATE.json is what --json prints; KEY: the one that you noted elsewhere")],
    )


def _event(one: dict[str, Any]) -> tuple[str, str]:
    said = json.loads(one["line"])
    if said["event"] == "fate":
        what = f"{said['fate']}, from {said['source']}: {said['original_path']}"
    else:
        what = f"{said['field']} by {said['who']}: {said['before'] or '-'} → {said['after'] or '-'}"
    number = "" if one["number"] is None else f" as number {one['number']:,}"
    return (said["happened_at"] or "?", f"{what} ({_STATES[one['state']]}{number})")


def _print(made: dict[str, Any]) -> None:
    unproven = _unproven(made)
    report.heading("Certificate" if not unproven else "Certificate; not all of it is proven")
    for heading, rows in _parts(made):
        report.heading(heading)
        for label, value in rows:
            report.line(label, value)
    for sentence in unproven:
        report.line("not proven", sentence, "yellow")
    report.say(f"Made at {made['made_at']}.")


def _page(made: dict[str, Any]) -> str:
    parts = [
        f"<h2>{_html(heading)}</h2><table>"
        + "".join(f"<tr><th>{_html(label)}</th><td>{_html(value)}</td></tr>" for label, value in rows)
        + "</table>"
        for heading, rows in _parts(made)
    ]
    not_proven = "".join(f"<li>{_html(sentence)}</li>" for sentence in _unproven(made))
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Certificate {made["sha256"][:12]}</title>'
        f"<style>{_STYLE}</style><h1>Certificate of a photo</h1>{''.join(parts)}"
        + (f"<h2>Not proven</h2><ul>{not_proven}</ul>" if not_proven else "")
        + f"<p>Made by Photo Factory at {_html(made['made_at'])}.</p></html>\n"
    )


def _html(value: str) -> str:
    return html.escape(escaped(value))
