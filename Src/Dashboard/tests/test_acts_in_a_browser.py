"""What people do to photos, in a real browser: wide and narrow, light and dark, with axe-core's rules."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from Src.Dashboard.tests.browsing import HOSTILE, PIN, RESTS, open_photo
from Src.Dashboard.tests.test_accessibility_in_a_browser import SCREENS, faults, looking
from Src.Library.file_acts import FileActs
from Src.Library.vault import Vault
from Src.Shared.database import Database
from Src.Shared.models import Act, MediaAsset
from Src.Shared.settings import Settings
from Src.Testing.patience import PATIENCE
from Src.Testing.roles import as_service

pytestmark = pytest.mark.needs_programs


@pytest.fixture
def vault(library: Settings, database: Database) -> Vault:
    """The vault of that library, by its marker; what was noted as its sizes is what its files have."""
    vault = Vault(library.storage)
    vault.create()
    with database.session() as session:
        for one in session.scalars(select(MediaAsset)):
            content = Path(library.storage / one.final_path).read_bytes()
            assert hashlib.sha256(content).hexdigest() == one.file_hash
            one.file_size = len(content)
    return vault


def carry_out(library: Settings, vault: Vault) -> None:
    """What waits, as the Librarian does."""
    database = Database(as_service(library, "librarian"), service="librarian", answer_limit=PATIENCE)
    try:
        file_acts = FileActs(vault, database, library.zone)
        with file_acts.turn() as mine:
            assert mine
            for one in file_acts.open_acts():
                for _ in file_acts.steps(one):
                    pass
    finally:
        database.close()


def press(page: Any, name: str) -> None:
    button = page.get_by_role("button", name=name, exact=True).last
    button.wait_for()
    page.wait_for_function(RESTS)
    button.click()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: f"{screen[0]}-{screen[1]}")
def test_a_photo_is_changed_removed_and_brought_back(
    browser: Any, address: str, library: Settings, vault: Vault, database: Database, screen: tuple[int, str]
) -> None:
    found: list[str] = []
    with looking(browser, *screen) as page:

        def look(what: str) -> None:
            found.extend(f"{what}: {fault}" for fault in faults(page))
            page.wait_for_function("document.scrollingElement.scrollWidth <= innerWidth")

        told = page.locator(".told")
        page.goto(f"{address}/gallery")
        open_photo(page)
        page.keyboard.press("f")
        told.get_by_text("Favourite: done").wait_for()
        look("a favourite")
        told.get_by_role("button", name="Undo").click()
        told.get_by_text("Taken back: Favourite").wait_for()
        page.keyboard.press("e")
        page.wait_for_function("document.activeElement.ariaLabel === 'Description'")
        facts = page.locator(".facts")
        facts.get_by_label("Title", exact=True).fill(HOSTILE)
        page.keyboard.press("Enter")
        told.get_by_text("Title: done").wait_for()
        facts.get_by_label("Add: tag").fill(HOSTILE)
        page.keyboard.press("Enter")
        facts.locator(".names").get_by_text(HOSTILE).wait_for()
        page.wait_for_function(PIN)
        look("edited")
        facts.get_by_role("button", name="Turn right").click()
        page.locator(".pswp__img[src$='turned=90']").first.wait_for()
        page.locator(".facts").focus()
        page.keyboard.press("Delete")
        told.get_by_text("does not run now").wait_for()
        look("waiting")
        page.goto(f"{address}/operations")
        page.get_by_role("button", name="Take back").first.wait_for()
        look("what waits")
        carry_out(library, vault)
        page.get_by_role("button", name="Take back").first.wait_for(state="detached")
        look("what was done")
        page.goto(f"{address}/trash")
        page.locator("[data-testid=stDataFrame] canvas").first.wait_for()
        look("the trash")
        press(page, "Empty the trash")
        page.get_by_text("Nobody can bring them back").first.wait_for()
        look("asked once")
        press(page, "Delete them")
        page.get_by_text("Once more").first.wait_for()
        look("asked twice")
        press(page, "Keep them")
        page.get_by_text("Nobody can bring them back").first.wait_for(state="detached")
        press(page, "Bring all back")
        page.get_by_text("does not run now").first.wait_for()
        look("the bar while it waits")
        carry_out(library, vault)
        page.get_by_text("Out of the trash, 1 photo.").first.wait_for()
        page.locator(".st-key-empty a").first.wait_for()
        look("the bar when it is done")
    assert found == []
    with database.session() as session:
        assert session.scalar(text("SELECT count(*) FROM trash")) == 0
        changed = session.scalars(select(MediaAsset).where(MediaAsset.rotation == 90)).one()
        assert changed.title == HOSTILE and changed.rating is None
        kinds = session.scalars(select(Act.kind).order_by(Act.happened_at)).all()
        # A click each, and none besides.
        assert kinds == ["favourite", "undo", "title", "tag", "rotate", "remove", "restore"]


@pytest.mark.timeout(600)
def test_two_browsers_see_what_the_other_does(browser: Any, address: str, library: Settings, vault: Vault) -> None:
    with looking(browser) as one, looking(browser) as other:
        for page in (one, other):
            page.goto(f"{address}/gallery")
            open_photo(page)

        def says(page: Any, what: str) -> None:
            page.locator(".told").get_by_text(what).wait_for()

        one.keyboard.press("f")
        says(one, "Favourite: done")
        other.keyboard.press("f")  # for what it still shows
        says(other, "Favourite: it is so already")
        one.keyboard.press("Delete")
        says(one, "does not run now")
        carry_out(library, vault)
        says(one, "To the trash: done")
        other.keyboard.press("h")
        says(other, "it is not there any more")
        one.locator(".told").get_by_role("button", name="Undo").click()
        says(one, "Taken back: To the trash")
        carry_out(library, vault)
        other.keyboard.press("h")
        says(other, "Hidden: done")


@pytest.mark.timeout(900)  # twelve pages, each with all of axe's rules
def test_an_album_in_a_browser(browser: Any, address: str, vault: Vault, database: Database) -> None:
    from Src.Dashboard.tests.test_act_pages import operation

    operation(database, heartbeat_at=datetime(2024, 1, 1, tzinfo=UTC))
    found: list[str] = []
    for screen in SCREENS:
        with looking(browser, *screen) as page:
            page.goto(f"{address}/albums")
            page.get_by_label("New album").first.wait_for()
            page.wait_for_function(RESTS, arg="input[aria-label='New album']")  # what shows it anew takes its text away
            page.get_by_label("New album").fill(f"{screen} {HOSTILE}")
            press(page, "Make")
            page.locator("[class*=st-key-tile-album-]").filter(has_text=str(screen)).first.wait_for()
            found += [f"albums: {fault}" for fault in faults(page)]
            page.wait_for_function(RESTS)
            page.locator("[class*=st-key-tile-album-] a").last.click()
            page.get_by_text("Nothing is in this album yet").first.wait_for()
            found += [f"an album: {fault}" for fault in faults(page)]
            page.wait_for_function("document.scrollingElement.scrollWidth <= innerWidth")
            page.goto(f"{address}/operations")
            page.get_by_role("button", name="Discard").first.wait_for()
            found += [f"operations: {fault}" for fault in faults(page)]
            page.wait_for_function("document.scrollingElement.scrollWidth <= innerWidth")
    assert found == []
