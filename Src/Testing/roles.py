"""The settings of a factory whose service has a role of its own in the ledger, as in the stack."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy.engine import make_url

from Src.Shared.postgres.roles import role_of
from Src.Shared.settings import Settings


def as_service(settings: Settings, service: str) -> Settings:
    """`settings` name the ledger's owner; the server of the tests trusts everybody who can reach it."""
    url = make_url(settings.database_url or "").set(username=role_of(service))
    return replace(settings, database_url=url.render_as_string(hide_password=False))
