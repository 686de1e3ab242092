"""A small library, served, and a browser to look at it with. Fixtures: import them where they are used."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import text

from Src.Shared.database import Database
from Src.Shared.settings import PROJECT_ROOT, Settings
from Src.Testing.patience import wait_until

SAMPLES = PROJECT_ROOT / "Src" / "Librarian" / "tests" / "samples"
HOSTILE = "<img src=x onerror=alert(1)> **b** [a](javascript:alert(2)) :smile:.jpg"
LIMIT = 120_000  # milliseconds; a busy machine takes a while
# Streamlit shows what it makes anew beside what was there, until it has made all; a click on what goes then is lost.
RESTS = """(of) => document.querySelector("[data-testid=stApp]").dataset.testScriptState === "notRunning"
    && (!of || document.querySelectorAll(of).length === 1)"""
PIN = "document.querySelector('.facts .place')?.shadowRoot.querySelector('.pin')"
PATIENT = "Src.Dashboard.tests.patient_dashboard"
_ROW = text("""
    INSERT INTO media_assets (id, file_hash, file_size, original_name, original_path, final_path, media_kind, mime_type,
        captured_at, date_source, camera_model, location)
    VALUES (uuidv7(), :hash, 1, :name, :name, :path, :kind, '', :taken, 'mtime', :name, CAST(:location AS jsonb))
""")
_EVENT = text("""
    INSERT INTO ingest_events (id, fate, source, original_name, original_path, file_hash, file_size, final_path)
    VALUES (uuidv7(), 'ingested', 'inbox', :name, :name, :hash, 1, :path)
""")


def open_photo(page: Any, which: str = ".open") -> None:
    """Opens the first such photo of the gallery, and waits until it hears the keys: what the grid lays out anew takes a
    click with it."""
    from playwright.sync_api import TimeoutError as NotYet

    def is_open() -> bool:
        with suppress(NotYet):
            if not page.locator(".pswp").count():
                page.locator(which).first.click(timeout=5000)  # it may open just now, and lie over what is clicked
            page.wait_for_function("document.activeElement.closest('.pswp')", timeout=5000)
        return bool(page.evaluate("Boolean(document.activeElement.closest('.pswp'))"))

    page.locator(".open img.there").first.wait_for()
    wait_until(is_open, what="a photo lies over the page")


@pytest.fixture
def library(dashboard: Settings, database: Database) -> Settings:
    """Three originals: a photo with a place, one of another kind, and one that is no photo at all."""
    for number, (name, kind, content) in enumerate(
        (
            (HOSTILE, "JPEG", (SAMPLES / "DSCN0010.jpg").read_bytes()),
            ("an iPhone's.heic", "HEIC", (SAMPLES / "samplefilehub.heif").read_bytes()),
            ("broken.jpg", "JPEG", b"not a photo"),
        )
    ):
        path = f"Originals/2024/2024-05-0{3 - number}/{number}"
        (dashboard.storage / path).parent.mkdir(parents=True)
        (dashboard.storage / path).write_bytes(content)
        values = {
            "hash": hashlib.sha256(content).hexdigest(), "name": name, "path": path, "kind": kind,
            "taken": f"2024-05-0{3 - number}", "location": '{"lat": 43.46, "lon": 11.88}' if number == 0 else None,
        }  # fmt: skip
        with database.session() as session:
            session.execute(_ROW, values)
            session.execute(_EVENT, values)
    return dashboard


@pytest.fixture
def address(library: Settings) -> Iterator[str]:
    """Where it is served."""
    from benchmarks.dashboard import serving

    with serving(library, PATIENT) as (url, _process):
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One for all tests of a module: each opens a context of its own, which shares nothing with the others'."""
    from playwright.sync_api import sync_playwright

    assert shutil.which("chromium") is not None, "Chromium is needed: see requirements/debian-test.txt"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=PROJECT_ROOT / "Stack/tests/steady_chromium.py",
            args=["--no-sandbox"],
            timeout=LIMIT,
        )
        yield browser
        browser.close()
