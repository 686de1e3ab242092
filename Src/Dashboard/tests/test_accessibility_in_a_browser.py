"""Each page for people who see, hear or point differently: axe-core's rules, the keyboard, narrow and dark screens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from Src.Dashboard.tests.browsing import LIMIT, RESTS
from Src.Shared.database import Database
from Src.Shared.settings import Settings

pytestmark = pytest.mark.needs_programs

SCREENS = ((1440, "light"), (1440, "dark"), (390, "light"), (390, "dark"))
# Of each page what is there when it is whole.
PAGES = {
    "": "[data-testid=stVegaLiteChart], [class*=st-key-grid-cards-machine] [data-testid=stProgress]",
    "gallery": ".open img.there",
    "map": ".cluster",
    "albums": "[class*=st-key-tile-album-] img, [data-testid=stAlert]",
    "activity": "[data-testid=stDataFrame] canvas",
    "operations": "[data-testid=stProgress], [data-testid=stAlert]",
    "trash": "[data-testid=stDataFrame] canvas, .st-key-empty a",
    "problems": "[data-testid=stAlert]",
    "services": "h2",
    "phone": "[data-testid=stAlert]",
}


@pytest.fixture
def address(library: Settings) -> Iterator[str]:
    """The dashboard as people run it: the patient one of other tests is shown in Streamlit's own colours."""
    from benchmarks.dashboard import serving

    with serving(library) as (url, _process):
        yield url


@contextmanager
def looking(browser: Any, width: int = 1440, scheme: str = "light") -> Iterator[Any]:
    # Without motion: a colour that is on its way to another is no page's colour.
    size = {"width": width, "height": 900}
    with browser.new_context(locale="en-GB", viewport=size, color_scheme=scheme, reduced_motion="reduce") as context:
        page = context.new_page()
        page.set_default_timeout(LIMIT)
        yield page


def faults(page: Any) -> list[str]:
    """What axe-core calls serious or critical."""
    from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]

    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['html'][:200]} {node['failureSummary']}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


@pytest.mark.timeout(900)  # nine pages, each with all of axe's rules
@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: f"{screen[0]}-{screen[1]}")
def test_no_page_has_a_serious_fault(browser: Any, address: str, screen: tuple[int, str]) -> None:
    found: list[str] = []
    with looking(browser, *screen) as page:
        for path, whole in PAGES.items():
            page.goto(f"{address}/{path}")
            page.locator(whole).first.wait_for()
            found += [f"{path}: {fault}" for fault in faults(page)]
            page.wait_for_function("document.scrollingElement.scrollWidth <= innerWidth")
        page.goto(f"{address}/gallery")
        page.locator(".open").first.click()
        page.wait_for_function("document.activeElement.closest('.pswp')")  # it hears the keys from then on
        page.keyboard.press("i")
        page.locator(".facts .place").wait_for()
        page.wait_for_function("document.querySelector('.facts .place').shadowRoot.querySelector('.pin')")
        page.keyboard.press("4")
        page.locator(".told button").first.wait_for()
        found += [f"a photo in the gallery: {fault}" for fault in faults(page)]
    assert found == []


def test_an_empty_factory_has_no_serious_fault(browser: Any, dashboard: Settings, database: Database) -> None:
    from benchmarks.dashboard import serving

    with serving(dashboard) as (url, _process), looking(browser, 390, "dark") as page:
        page.goto(url)
        page.get_by_text("Add your first photos").wait_for()
        page.get_by_text(str(dashboard.inbox)).first.wait_for()
        assert faults(page) == []
        for name in ("gallery", "map", "activity"):
            page.goto(f"{url}/{name}")
            page.locator(".st-key-empty a").wait_for()
            assert faults(page) == []


def test_the_login_form_has_no_serious_fault(browser: Any) -> None:
    form = Path(__file__).parents[1] / "login.html"
    for scheme in ("light", "dark"):
        with looking(browser, 390, scheme) as page:
            page.set_content(form.read_text().replace("{message}", "Wrong password."))
            assert faults(page) == []


def test_what_is_being_refreshed_does_not_fade(browser: Any, address: str, database: Database) -> None:
    # Streamlit fades to a third what it is about to show anew: while the database is slow, nobody could read it.
    faded = """() => [...document.querySelectorAll("[data-testid=stMain] *")]
        .filter((part) => part.checkVisibility() && getComputedStyle(part).opacity < 0.5)
        .map((part) => part.outerHTML.slice(0, 200))"""
    with looking(browser) as page:
        page.goto(address)
        page.locator(PAGES[""]).first.wait_for()
        page.wait_for_function(RESTS)  # all of it is there: what has never come shows that it is awaited
        with database.session() as session:
            session.execute(text("LOCK TABLE system_status, media_assets, ingest_events IN ACCESS EXCLUSIVE MODE"))
            page.locator("[data-testid=stExpander] [data-stale=true]").first.wait_for()
            page.wait_for_function("document.getAnimations().every((one) => one.playState !== 'running')")
            assert page.evaluate(faded) == []
