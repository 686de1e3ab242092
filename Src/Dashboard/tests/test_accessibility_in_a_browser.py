"""Each page for people who see, hear or point differently: axe-core's rules, the keyboard, narrow and dark screens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from Src.Dashboard.tests.browsing import LIMIT, PATIENT, PIN, RESTS, open_photo
from Src.Shared.database import Database
from Src.Shared.settings import Settings
from Src.Testing.patience import wait_until

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
        open_photo(page)
        page.keyboard.press("i")
        page.keyboard.press("4")
        page.locator(".told button").first.wait_for()
        page.locator(".facts dd", has_text="rated with 4 stars").first.wait_for()
        page.wait_for_function(PIN)
        found += [f"a photo in the gallery: {fault}" for fault in faults(page)]
    assert found == []


def test_an_empty_factory_has_no_serious_fault(browser: Any, dashboard: Settings, database: Database) -> None:
    from benchmarks.dashboard import serving

    with serving(dashboard, PATIENT) as (url, _process), looking(browser, 390, "dark") as page:
        page.goto(url)
        page.get_by_text("Add your first photos").first.wait_for()
        page.get_by_text(str(dashboard.inbox)).first.wait_for()
        assert faults(page) == []
        for name in ("gallery", "map", "activity"):
            page.goto(f"{url}/{name}")
            page.locator(".st-key-empty a").first.wait_for()
            assert faults(page) == []


def test_the_login_form_has_no_serious_fault(browser: Any) -> None:
    form = Path(__file__).parents[1] / "login.html"
    for scheme in ("light", "dark"):
        with looking(browser, 390, scheme) as page:
            page.set_content(form.read_text().replace("{message}", "Wrong password."))
            assert faults(page) == []


# Of every look at a moment when something in an expander is awaited: what of the page has faded.
WATCH = """() => {
    window.looks = [];
    setInterval(() => {
        if (!document.querySelector("[data-testid=stExpander] [data-stale=true]")) return;
        if (document.getAnimations().some((one) => one.playState === "running")) return;
        looks.push([...document.querySelectorAll("[data-testid=stMain] *")]
            .filter((part) => part.checkVisibility() && getComputedStyle(part).opacity < 0.5)
            .filter((part) => !part.ownerSVGElement)  // a chart hides words that would overlap
            .map((part) => part.outerHTML.slice(0, 200)));
    }, 100);
}"""


def test_what_is_being_refreshed_does_not_fade(browser: Any, address: str, database: Database) -> None:
    # Streamlit fades to a third what it is about to show anew: while the database is slow, nobody could read it.
    from playwright.sync_api import TimeoutError as NotYet

    with looking(browser) as page:
        page.goto(address)
        page.locator(PAGES[""]).first.wait_for()
        page.wait_for_function(RESTS)  # all of it is there: what has never come shows that it is awaited
        page.evaluate(WATCH)

        def is_seen() -> bool:
            # Slow, and not so slow that the dashboard asks no more: then nothing is awaited.
            with database.session() as session:
                session.execute(text("LOCK TABLE system_status, media_assets, ingest_events IN ACCESS EXCLUSIVE MODE"))
                with suppress(NotYet):
                    page.wait_for_function("looks.length > 0", timeout=1000)
            return bool(page.evaluate("looks.length > 0"))

        wait_until(is_seen, what="something in an expander is awaited")
        assert [part for look in page.evaluate("looks") for part in look] == []
