"""Fixtures of the dashboard's tests: pages on a real ledger of their own."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
import streamlit as st
from sqlalchemy.engine import make_url
from streamlit.testing.v1 import AppTest

from Src.Dashboard import resources
from Src.Dashboard.tests.acting import ids, librarian, vault  # noqa: F401 (fixtures)
from Src.Dashboard.tests.browsing import address, browser, library  # noqa: F401 (fixtures)
from Src.Dashboard.tests.gallery_library import album, gallery_address  # noqa: F401 (fixtures)
from Src.Shared.database import Database
from Src.Shared.settings import Settings
from Src.Testing.patience import PATIENCE
from Src.Testing.roles import as_service

Show = Callable[..., AppTest]

PAGE_LIMIT = 240.0  # for a whole page, which may ask many things
_LIMITS = (
    "Src.Dashboard.ledger.FIRST_WAIT",
    "Src.Dashboard.data.activity.SEARCH_LIMIT",
    "Src.Dashboard.data.inbox.MOST_SECONDS",
)


@pytest.fixture
def database(factory_settings: Settings) -> Iterator[Database]:
    """The way to the fresh ledger of `factory_settings`."""
    database = Database(factory_settings, answer_limit=PATIENCE)
    yield database
    database.close()


@pytest.fixture
def dashboard(factory_settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """What a page asks is this factory."""
    assert factory_settings.database_url is not None
    as_dashboard = as_service(factory_settings, "dashboard")
    url = make_url(as_dashboard.database_url or "").set(drivername="postgresql")
    monkeypatch.setenv("FACTORY_DATA", str(factory_settings.data))
    monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
    for name in ("DOCKER_HOST", "SYNCTHING_API_KEY", "SYNCTHING_URL", "INBOX_PATH", "STORAGE_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(factory_settings.data))  # where a Syncthing of this machine's user may be
    for name in ("DISK_WARNING", "DISK_ERROR"):  # whatever room this machine has left
        monkeypatch.setenv(name, "0")
    for limit in _LIMITS:
        monkeypatch.setattr(limit, PATIENCE)
    patient = Database(as_dashboard, service="dashboard", answer_limit=PATIENCE)
    monkeypatch.setattr(resources, "database", patient)
    factory_settings.inbox.mkdir(parents=True)
    _forget()
    yield factory_settings
    resources.ledger().database.close()
    _forget()


def _forget() -> None:
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def show(dashboard: Settings) -> Show:
    """Runs one page, by the name of its module, with what its address asks for."""

    def run(page: str, **asked: str) -> AppTest:
        script = f"from Src.Dashboard.views import {page}\n{page}.show()\n"
        app = AppTest.from_string(script, default_timeout=PAGE_LIMIT)
        for name, value in asked.items():
            app.query_params[name] = value
        shown = app.run()
        assert not shown.exception, [one.message for one in shown.exception]
        return shown

    return run


class Linked(NamedTuple):
    """A photo of a strip."""

    name: str
    href: str


def photos(page: AppTest) -> list[list[Linked]]:
    """Of each strip of photos on a page."""
    written = (one.proto.body for one in page.get("html"))
    links = (re.findall(r'<a href="([^"]*)" title="([^"]*)"', body) for body in written if "pf-strip" in body)
    return [[Linked(html.unescape(name), html.unescape(href)) for href, name in strip] for strip in links]


def texts(page: AppTest) -> str:
    """Everything on the page that is text."""
    parts = (page.title, page.header, page.markdown, page.caption, page.text, page.code, page.metric)
    alerts = (page.success, page.info, page.warning, page.error)
    return "\n".join(str(one.value) for part in (*parts, *alerts) for one in part)
