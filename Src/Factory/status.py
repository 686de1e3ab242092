"""How the factory is: what the ledger, the disks and this machine say at this moment."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

from Src.Library.belonging_verdict import trouble_between
from Src.Library.custody.manifests.behind import Behind, manifests_behind
from Src.Library.custody.manifests.events.waiting import Waiting, events_waiting
from Src.Library.findings import FINDINGS, Findings, read_findings
from Src.Library.held_words import WAYS_OUT
from Src.Library.inbox import walk_files
from Src.Library.leaving import leaving_now
from Src.Library.operation import COLUMNS, UNDER_WAY, Operation, of_row, offer
from Src.Library.overlay.unmirrored import unmirrored_words
from Src.Library.refused_rows import RefusedRow, refused_rows
from Src.Library.tree import Odd, Skipped
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Media.exiftool_program import exiftool_here
from Src.Media.unread import unread_here
from Src.Shared.confinement import parts_here
from Src.Shared.deadline import NoAnswer, within
from Src.Shared.disk.beneath import lstat_beneath, open_folder
from Src.Shared.ledger_kind import ledger_kind
from Src.Shared.ledger_look import look_into_ledger
from Src.Shared.ledger_text import from_ledger, to_ledger
from Src.Shared.ledger_way import Ask, LedgerRefused, LedgerUnavailable
from Src.Shared.liveness import Lives, still_words
from Src.Shared.monitor.disks import Disk
from Src.Shared.openness import open_inbox, readable_settings
from Src.Shared.postgres.place import shown_ledger_folder
from Src.Shared.postgres.roles import ROLES
from Src.Shared.services import SILENT_AFTER
from Src.Shared.settings import PROJECT_ROOT, Settings

_SYNCTHINGS = ".stfolder"  # its sign in an inbox, which nobody misses
_MOST_FOUND = 1000
_ANSWER_LIMIT = 5.0  # seconds
_SERVICES = [role.service for role in ROLES]
_STATUS = (
    "SELECT service_name, instance, host, status, last_heartbeat, interval_seconds, current_task, message "
    "FROM system_status ORDER BY service_name, instance"
)
_ASSETS = (
    "SELECT count(*), coalesce(sum(file_size), 0), count(*) FILTER (WHERE has_errors), max(ingested_at) "
    "FROM media_assets"
)
_STAYS = "SELECT original_path, state, attempts, last_error, next_try_at FROM inbox_files"
_STOPPED = (
    f"SELECT {', '.join(COLUMNS)} FROM operations "
    f"WHERE status IN ({', '.join(map(repr, (*UNDER_WAY, 'failed')))}) AND NOT is_scheduled ORDER BY created_at"
)
_SERVER = "SELECT pg_database_size(current_database()), current_setting('server_version')"
_CONNECTED = """
    SELECT application_name, string_agg(DISTINCT usename::text, ', ')
    FROM pg_stat_activity WHERE datname = current_database() AND application_name = ANY (%(services)s)
    GROUP BY application_name ORDER BY application_name
"""


class _Heartbeat(NamedTuple):
    """As `_STATUS` asks for it."""

    service: str
    instance: str
    host: str | None
    status: str
    last: datetime
    interval: float
    task: str | None
    message: str | None


def _operation(row: tuple[Any, ...], settings: Settings) -> Operation:
    return of_row(dict(zip(COLUMNS, row, strict=True)), settings.run / "operations")


def _offered(one: Operation) -> dict[str, Any]:
    return {**one.as_json(), "offer": offer(one)}


def gather(settings: Settings) -> dict[str, Any]:
    """All that is known, as `--json` prints it. With the database away it lacks what only the ledger knows."""
    # It takes longer than all the rest: beside it.
    asked = Thread(target=exiftool_here, kwargs={"trust_any_version": settings.exiftool_unsafe}, daemon=True)
    asked.start()
    is_embedded = settings.database_url is None
    ledger: dict[str, Any] = {"mode": "embedded" if is_embedded else "external"}
    if is_embedded:
        ledger["path"] = shown_ledger_folder(settings)
    services: list[dict[str, Any]] = []
    lives = Lives(settings.run, settings.loop_limit, settings.host)
    assets: dict[str, Any] | None = None
    stays: dict[str, tuple[str, int, str | None, datetime | None]] = {}
    vault = Vault(settings.storage)
    present: bool | None = False
    trouble: str | None = None
    full: str | None = None
    answers = {"inbox": _answers(settings.inbox), "vault": _answers(settings.storage)}
    findings: Findings | None = None
    wrong: str | None = None
    unmirrored: str | None = None
    lists: Behind | None = None
    events: Waiting | None = None
    stopped: list[dict[str, Any]] = []
    try:
        with look_into_ledger(settings, "factory") as ask:
            services = [_service(_Heartbeat(*row), lives) for row in ask(_STATUS, {})]
            [(count, size, errors, last)] = ask(_ASSETS, {})
            assets = {"count": count, "bytes": int(size), "with_errors": errors, "last_ingested_at": last}
            stays = {from_ledger(row[0]): (row[1], row[2], row[3], row[4]) for row in ask(_STAYS, {})}
            stopped = [_offered(one) for row in ask(_STOPPED, {}) if (one := _operation(row, settings)).is_stopped]
            [(ledger["bytes"], ledger["version"])] = ask(_SERVER, {})
            ledger["roles"] = dict(ask(_CONNECTED, {"services": _SERVICES}))
            findings = read_findings(ask, _MOST_FOUND)
            unmirrored = unmirrored_words(ask)
            lists = manifests_behind(ask)
            events = events_waiting(ask)
            wrong = _wrong_ledger(settings, vault, ask) if answers["vault"] else None
        ledger["reachable"] = True
    except LedgerUnavailable as error:
        ledger |= {"reachable": False, "error": str(error)}
        wrong = str(error) if isinstance(error, LedgerRefused) else None
    rejected: list[RefusedRow] = []
    ledger |= {"rejected": None, "journaled": None, "journal_error": None}
    if answers["vault"]:
        present, trouble, full = _vault_state(settings, vault)
        try:
            rejected, ledger["journaled"] = refused_rows(vault.state), _journaled(vault)
            ledger["rejected"] = len(rejected)
        except VaultTrouble as error:
            ledger["journal_error"] = str(error)
    is_open = open_inbox(settings.inbox) if answers["inbox"] else None  # a look at a disk that hangs never ends
    asked.join()
    exiftool = exiftool_here(trust_any_version=settings.exiftool_unsafe)
    return {
        "factory": str(settings.data),
        "services": services,
        "assets": assets,
        "stopped_operations": stopped,
        "inbox": _inbox(settings, stays, answers=answers["inbox"]),
        "leaving": leaving_now(settings.state, settings.inbox)._asdict() if all(answers.values()) else None,
        "vault": {
            "path": str(vault.originals),
            "answers": answers["vault"],
            "present": present,
            "wrong_ledger": wrong,
            "trouble": trouble,
        },
        "manifests": lists and lists.as_json(),
        "events": events and events.as_json(),
        "originals": None if findings is None else _findings(findings),
        "damaged": _damaged(vault) if answers["vault"] else {"count": 0, "paths": []},
        "rejected": [one._asdict() for one in rejected[:_MOST_FOUND]],
        "database": ledger,
        "disk": {
            "inbox": _disk(settings.inbox) if answers["inbox"] else None,
            "vault": _disk(settings.storage) if answers["vault"] else None,
        },
        "exiftool": exiftool.is_used,
        "exiftool_version": exiftool.version,
        "exiftool_problem": exiftool.problem,
        "unread": unread_here(trust_any_version=settings.exiftool_unsafe),
        "confinement": parts_here().as_json(),
        "warnings": [
            one
            for one in (
                is_open,
                readable_settings(PROJECT_ROOT / ".env"),
                full,
                unmirrored,
                lists and lists.words(),
                events and events.words(),
            )
            if one
        ],
    }


def _answers(folder: Path) -> bool:
    """Whether the disk of a folder answers at all; one that hangs would take this command along."""
    try:
        within(_ANSWER_LIMIT, lambda: _look_into(folder))
    except NoAnswer:
        return False
    except OSError:
        pass
    return True


def _journaled(vault: Vault) -> int:
    """How many entries wait for the ledger. Raises VaultTrouble."""
    if not any(vault.state.glob("journal/*.jsonl")):
        return 0
    from Src.Librarian.record.journal import Journal  # what a file says, and SQLAlchemy: else for nothing

    journal = Journal(vault.state / "journal")
    return sum(1 for segment in journal.segments() for _ in journal.entries(segment))


def _vault_state(settings: Settings, vault: Vault) -> tuple[bool | None, str | None, str | None]:
    """Whether it is there (None: that cannot be told), why it is not in order, and whether its disk fills up.

    No service needs to run for that.
    """
    folder = settings.storage
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    disk = Disk("vault", settings.storage, settings.disk_warning, settings.disk_error).look()["vault"]
    full = None if disk.state == "OK" else f"{disk.message}; {disk.advice}"
    try:
        present = vault.is_marked()
        read_only = bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except VaultTrouble as trouble:
        return None, str(trouble), full
    except OSError as error:
        return None, f"{settings.storage} cannot be looked at: {error.strerror}", full
    if read_only:
        words = f"READ-ONLY, nothing is filed: {settings.storage}; remount its disk writable (after an error, check it)"
        return present, words, full
    return (present, full, None) if disk.state == "ERROR" else (present, None, full)


def _look_into(folder: Path) -> None:
    with os.scandir(folder) as entries:
        next(entries, None)


def _wrong_ledger(settings: Settings, vault: Vault, ask: Ask) -> str | None:
    """Why this ledger is not the vault's; None where it is, or where that cannot be told."""
    try:
        return trouble_between(ask, vault, ledger_kind(settings))
    except VaultTrouble as trouble:
        return str(trouble)


def _findings(findings: Findings) -> dict[str, Any]:
    """What the last look at all originals has found."""
    return {
        "looked_at": findings.looked_at,
        "looked_originals": findings.looked_originals,
        **{kind: findings.counts.get(kind, 0) for kind in FINDINGS},
        "problems": [
            {"path": to_ledger(one.final_path), "finding": one.finding, "message": one.message, "since": one.since}
            for one in findings.first
        ],
    }


def _service(row: _Heartbeat, lives: Lives) -> dict[str, Any]:
    age = (datetime.now(UTC) - row.last).total_seconds()
    stopped = row.task == "stopped"
    still = None if stopped else lives.stands_still(row.service, age, row.instance, row.host)
    return {
        "name": row.service,
        "instance": row.instance,
        "host": row.host,
        "status": row.status if still is None else "ERROR",
        "silent": age > SILENT_AFTER * row.interval and not stopped,
        "stands_still": still is not None,
        "last_heartbeat": row.last,
        "seconds_ago": round(age, 1),
        "current_task": row.task,
        "message": row.message if still is None else still_words(still),
    }


def _inbox(
    settings: Settings, stays: dict[str, tuple[str, int, str | None, datetime | None]], *, answers: bool
) -> dict[str, Any]:
    """What is there now, told apart by what the ledger knows of it."""
    counts = {"waiting": 0, "waiting_bytes": 0, "not_media": 0, "failing": 0, "dead_letters": 0}
    counts |= {"companions": 0, "sidecars": 0, "unreadable": 0, "links": 0, "special": 0, "ignored": 0}
    problems: list[dict[str, Any]] = []
    if not answers:
        return {"path": str(settings.inbox), "answers": False, "present": False, **counts, "problems": problems}
    inbox = str(settings.inbox.resolve())
    odd: list[Odd] = []
    ignored: list[Skipped] = []
    for path, state in (
        walk_files(inbox, odd=odd.append, skipped=ignored.append, own_inbox=True) if settings.inbox.is_dir() else ()
    ):
        name = path[len(inbox) + 1 :]
        known = stays.get(name)
        if known is None:
            counts["waiting"] += 1
            counts["waiting_bytes"] += state.size
        elif known[0] in WAYS_OUT:
            counts["waiting"] += 1  # it was that; now it is a file, which the Librarian takes up
        elif known[0] in ("not_media", "companion"):
            counts["companions" if known[0] == "companion" else "not_media"] += 1
        else:
            counts[{"dead_letter": "dead_letters", "sidecar": "sidecars"}.get(known[0], "failing")] += 1
            problems.append(
                dict(zip(("path", "state", "attempts", "error", "next_try_at"), (name, *known), strict=True))
            )
    for name, kind, reason in _odd(settings, inbox, odd, stays):
        counts["links" if kind == "link" else kind] += 1
        problems.append({"path": name, "state": kind, "attempts": 0, "error": reason, "next_try_at": None})
    counts["ignored"] = sum(f"/{_SYNCTHINGS}/" not in f"{one.path}/" for one in ignored)
    return {"path": inbox, "answers": True, "present": settings.inbox.is_dir(), **counts, "problems": problems}


def _odd(
    settings: Settings, inbox: str, found: list[Odd], stays: dict[str, tuple[str, int, str | None, datetime | None]]
) -> Iterator[tuple[str, str, str | None]]:
    """What nobody can file, as it is found now, and as an import or the Librarian (maybe another user) found it."""
    here = {one.path[len(inbox) + 1 :]: one for one in found if one.path != inbox}
    for name, one in here.items():
        yield name, one.kind, one.reason
    for name, (state, _, reason, _) in stays.items():
        if state in WAYS_OUT and name not in here and (name.startswith("/") or _stands(settings, name)):
            yield name, state, reason


def _stands(settings: Settings, name: str) -> bool:
    try:
        root = open_folder(settings.inbox)
    except OSError:
        return True
    try:
        return stat.S_ISDIR(lstat_beneath(root, name).st_mode)  # (a file is counted already)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    finally:
        os.close(root)


def _damaged(vault: Vault) -> dict[str, Any]:
    """Damaged originals that were moved aside."""
    try:
        paths = vault.damaged.listed()
    except OSError as error:
        return {"count": None, "error": error.strerror, "paths": []}
    return {"count": len(paths), "paths": [to_ledger(path) for path in paths]}


def _disk(folder: Path) -> dict[str, int] | None:
    while not folder.exists():
        folder = folder.parent
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return {"total": usage.total, "free": usage.free}
