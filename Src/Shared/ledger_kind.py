"""Which kind of ledger the settings name, in words that a vault's marker may hold: no secrets."""

from __future__ import annotations

from Src.Shared.ledger_way import plain_url
from Src.Shared.settings import Settings

STACK_HOST = "factory-db"  # the ledger's service in the Docker stack

_PORT = 5432


def ledger_kind(settings: Settings) -> str:
    """`embedded`, `stack`, or `external HOST:PORT/NAME`."""
    if settings.database_url is None:
        return "embedded"
    plain = plain_url(settings.database_url)
    if plain is not None:
        return _kind(plain["host"], plain.get("port", _PORT), plain["dbname"])
    from sqlalchemy.engine import make_url  # only here: whoever just looks into the ledger does without

    url = make_url(settings.database_url)
    host = url.query.get("host") or url.host or "localhost"
    return _kind(host, url.query.get("port") or url.port or _PORT, url.database or "")


def _kind(host: object, port: object, name: str) -> str:
    if host == STACK_HOST:
        return "stack"
    return "external " + "".join(char if char.isprintable() else "?" for char in f"{host}:{port}/{name}")
