"""Every service of the factory, one entry each: what is known of it before anybody asks it.

A new service is one entry here, a module that calls `service.run`, a Dockerfile, and a block in the compose file:
CONTRIBUTING.md says more. Nothing but the standard library: the stack's `init` reads this too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LIBRARIAN, DASHBOARD, MONITOR = "librarian", "dashboard", "service-monitor"
FACTORY_DB, SYNCTHING = "factory-db", "syncthing"

SILENT_AFTER = 3.0  # intervals: without a heartbeat for longer than that, a service is silent


@dataclass(frozen=True)
class Rights:
    """What a service may do in the ledger, and as which role. It may write its own heartbeats whatever stands here."""

    role: str
    tables: Mapping[str, tuple[str, ...]]  # by table: privileges; `UPDATE (column)` for one column
    functions: tuple[str, ...] = ()
    also_connects: tuple[str, ...] = ()  # what names itself so to the server (`Database(service=...)`)
    memberships: tuple[str, ...] = ()  # in roles that PostgreSQL comes with


@dataclass(frozen=True)
class Service:
    """One service."""

    name: str  # in the ledger, in docker-compose.yml, and to people
    container: str  # in a stack without a name of its own
    module: str | None = None  # `python -m MODULE` runs it; None: it is not ours
    rights: Rights | None = None  # None: it does not use the ledger
    secrets: tuple[str, ...] = ()  # that it gets in the stack, beside its role's password (`stack_init.py`)
    interval: float | None = None  # seconds between its heartbeats; None: HEARTBEAT_INTERVAL
    reported_by: str | None = None  # who writes its heartbeats, where it cannot do so itself
    may_be_many: bool = False  # several may run at once, here and on other machines (`instance.py`)
    is_everywhere: bool = False  # a factory without it lacks something
    subject: str = ""  # how a sentence about it begins; "": The NAME
    consequence: str = ""  # of its absence, at the end of such a sentence
    advice: str = "Look into its log on the page Services."  # where it is not well; Markdown

    @property
    def sends_heartbeats(self) -> bool:
        return self.module is not None or self.reported_by is not None


_HEARTBEATS = {
    "alembic_version": ("SELECT",),
    "system_status": ("SELECT", "INSERT", "UPDATE"),
    "system_status_history": ("SELECT", "INSERT"),
}
_LIBRARY = (
    "media_assets",
    "ingest_events",
    "inbox_files",
    "companions",
    "asset_relations",
    "library_days",
    "library_facets",
    "library_places",
    "ingest_hours",
    "vault",
    "manifest_marks",
    "event_seals",
    "seal_heads",
    "seal_notes",
    "unsealed_events",
    "copies",
    "copied_files",
    "original_findings",
    "original_looks",
    "asset_tags",
    "albums",
    "album_items",
    "acts",
    "overlay_events",
    "file_moves",
    "left_paths",
    "trash",
    "tombstones",
    "operations",
    "hash_cache",
)
# What people decide, by whoever they decide it with. Events are only ever added; an act's status moves.
_OVERLAY = {
    "asset_tags": ("SELECT", "INSERT", "DELETE"),
    "albums": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "album_items": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "acts": ("SELECT", "INSERT", "UPDATE (status)", "UPDATE (message)"),
    "overlay_events": ("SELECT", "INSERT"),
}
_DECIDED = ("rating", "location", "is_geocoded", "title", "description", "is_hidden", "rotation")  # of media_assets

# In the order in which they are shown.
SERVICES = (
    Service(
        LIBRARIAN,
        container="librarian",
        module="Src.Librarian",
        rights=Rights(
            "pf_librarian",
            tables={
                **_HEARTBEATS,
                "media_assets": ("SELECT", "INSERT", "UPDATE"),
                "file_moves": ("SELECT", "INSERT", "DELETE"),
                "left_paths": ("SELECT", "INSERT", "UPDATE (act_id)"),
                "trash": ("SELECT", "INSERT", "UPDATE", "DELETE"),
                "tombstones": ("SELECT", "INSERT", "UPDATE", "DELETE"),
                "ingest_events": ("SELECT", "INSERT"),
                "inbox_files": ("SELECT", "INSERT", "UPDATE", "DELETE"),
                "companions": ("SELECT", "INSERT", "UPDATE"),
                "asset_relations": ("SELECT", "INSERT"),
                "library_days": ("SELECT",),  # which days' folders other programs may have put XMP files into
                "vault": ("SELECT", "INSERT", "UPDATE"),
                "manifest_marks": ("SELECT", "INSERT", "DELETE"),
                # What is sealed, nobody may change: the triggers queue events, and the queue is all that shrinks.
                "event_seals": ("SELECT", "INSERT"),
                "seal_heads": ("SELECT", "INSERT", "UPDATE (is_signed)"),
                "seal_notes": ("SELECT", "INSERT"),
                "unsealed_events": ("SELECT", "DELETE"),
                "original_findings": ("SELECT", "INSERT", "UPDATE", "DELETE"),
                "original_looks": ("SELECT", "INSERT", "UPDATE", "DELETE"),
                **_OVERLAY,
                "overlay_events": ("SELECT", "INSERT", "UPDATE (is_mirrored)", "UPDATE (is_in_xmp)"),
                "acts": (*_OVERLAY["acts"], "UPDATE (parameters)"),  # which originals those of the dashboard mean
                "operations": ("SELECT", "INSERT", "UPDATE"),
                "hash_cache": ("SELECT", "INSERT", "UPDATE", "DELETE"),
                "copies": ("SELECT", "INSERT", "UPDATE", "DELETE"),
                "copied_files": ("SELECT", "INSERT", "UPDATE", "DELETE"),
            },
            functions=("ask_for_retry", "take_from_library", "open_rebuild", "close_rebuild", "forget_rebuilt"),
            also_connects=("factory",),  # the commands that work on photos or look at them
        ),
        secrets=("plate_id",),
        is_everywhere=True,
        consequence="photos wait in the inbox",
        advice="Restart it (`./factory up`, or `docker compose restart librarian`). Photos wait safely in the inbox.",
    ),
    Service(
        MONITOR,
        container="service_monitor",
        module="Src.Shared.service_monitor",
        rights=Rights(
            "pf_monitor",
            tables={
                **_HEARTBEATS,
                "system_status": ("SELECT", "INSERT", "UPDATE", "DELETE"),
                # The update is only for `FOR UPDATE`: the policy lets no changed row through.
                "system_status_history": ("SELECT", "INSERT", "DELETE", "UPDATE (id)"),
                "operations": ("SELECT", "DELETE"),
                "hash_cache": ("SELECT", "DELETE"),
            },
            functions=("mark_silent", "forget_instance"),
            also_connects=("cleanup",),
            memberships=("pg_read_all_stats",),  # how many connections are there, and whose?
        ),
        secrets=("syncthing_api_key", "alert_urls", "plate_id"),
        advice="Restart it. Until then nothing notices a service that has stopped, and no alerts are sent.",
    ),
    Service(
        DASHBOARD,
        container="dashboard",
        module="Src.Dashboard",
        rights=Rights(
            "pf_dashboard",
            tables={
                **_HEARTBEATS,
                **dict.fromkeys(_LIBRARY, ("SELECT",)),
                **_OVERLAY,
                # What leads to the disk is not among them: a photo's date moves its file, which the librarian does.
                "media_assets": ("SELECT", *(f"UPDATE ({column})" for column in _DECIDED)),
                "accounts": ("SELECT", "INSERT", "UPDATE"),
                "account_sessions": ("SELECT", "INSERT", "UPDATE", "DELETE"),
            },
            functions=("ask_for_retry", "ask_of_operation"),
            also_connects=("accounts",),  # who logs everybody out
        ),
        secrets=("syncthing_api_key", "dashboard_password", "plate_id"),
        interval=300.0,
        may_be_many=True,
        is_everywhere=True,
        advice="Restart it. Nothing else depends on it.",
    ),
    Service(
        FACTORY_DB,
        container="factory_postgres",
        reported_by=MONITOR,
        subject="The database",
        advice="Start PostgreSQL, or look into its log. Photos are added meanwhile; the database gets them later.",
    ),
    Service(
        SYNCTHING,
        container="syncthing",
        secrets=("syncthing_api_key", "syncthing_gui_password", "plate_id"),
        reported_by=MONITOR,
        subject="Syncthing",
        advice="Restart it. Until then no photos come from phones.",
    ),
    Service("docker-proxy", container="docker_proxy"),
    Service("gate", container="factory_gate"),
)
_BY_NAME = {service.name: service for service in SERVICES}


def service_named(name: str) -> Service:
    """The service's entry; of one that this version does not know, what its name says."""
    return _BY_NAME.get(name) or Service(name, container=name)
