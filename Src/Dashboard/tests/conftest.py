"""Fixtures of the dashboard's tests: a vault with whatever is put into it, and pages on a real ledger of their own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import streamlit as st
from sqlalchemy.engine import make_url
from streamlit.testing.v1 import AppTest

from Src.Dashboard import resources
from Src.Dashboard.picture_process import PictureProcess
from Src.Dashboard.thumbnails import Original, Thumbnails
from Src.Shared.database import Database
from Src.Shared.settings import Settings

PutIntoVault = Callable[..., Original]
Show = Callable[[str], AppTest]

# Seconds. A busy machine may stand still at any line, and how long a page waits for what is hardly ever the point.
PATIENCE = 120.0
PAGE_LIMIT = 240.0  # for a whole page, which may ask many things
_LIMITS = (
    "Src.Dashboard.ledger.FIRST_WAIT",
    "Src.Dashboard.resources.ANSWER_LIMIT",
    "Src.Dashboard.data.activity.SEARCH_LIMIT",
    "Src.Dashboard.data.library.SEARCH_LIMIT",
    "Src.Dashboard.data.inbox.MOST_SECONDS",
    "Src.Shared.database.CONNECT_LIMIT",
    "Src.Shared.database.LOCK_LIMIT",
)


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """A storage root with an empty vault."""
    (tmp_path / "Storage" / "Originals").mkdir(parents=True)
    return tmp_path / "Storage"


@pytest.fixture
def put(storage: Path) -> PutIntoVault:
    """Puts a content into the vault, as a kind."""

    def put(content: bytes, kind: str, name: str = "a photo") -> Original:
        path = storage / "Originals" / "2024" / "2024-01-01" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return Original(hashlib.sha256(content).hexdigest(), f"Originals/2024/2024-01-01/{name}", kind)

    return put


@pytest.fixture
def thumbnails(storage: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Thumbnails]:
    """Of that vault; one process is enough."""
    monkeypatch.setattr("Src.Dashboard.thumbnails.PictureProcess", partial(PictureProcess, PATIENCE))
    made = Thumbnails(storage, workers=1)
    yield made
    made.close()


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
    url = make_url(factory_settings.database_url).set(drivername="postgresql")
    monkeypatch.setenv("FACTORY_DATA", str(factory_settings.data))
    monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
    for name in ("DOCKER_HOST", "SYNCTHING_API_KEY", "SYNCTHING_URL", "INBOX_PATH", "STORAGE_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(factory_settings.data))  # where a Syncthing of this machine's user may be
    for name in ("DISK_WARNING", "DISK_ERROR"):  # whatever room this machine has left
        monkeypatch.setenv(name, "0")
    for limit in _LIMITS:
        monkeypatch.setattr(limit, PATIENCE)
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
    """Runs one page, by the name of its module."""

    def run(page: str) -> AppTest:
        script = f"from Src.Dashboard.views import {page}\n{page}.show()"
        shown = AppTest.from_string(script, default_timeout=PAGE_LIMIT).run()
        assert not shown.exception, [one.message for one in shown.exception]
        return shown

    return run


def texts(page: AppTest) -> str:
    """Everything on the page that is text."""
    parts = (page.title, page.subheader, page.markdown, page.caption, page.text, page.code, page.metric)
    alerts = (page.success, page.info, page.warning, page.error)
    return "\n".join(str(one.value) for part in (*parts, *alerts) for one in part)
