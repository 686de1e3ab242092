"""What somebody looks at is in the address: it survives a reload and Back, and links lead to what they name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from Src.Dashboard.tests.browsing import HOSTILE, LIMIT, RESTS
from Src.Dashboard.tests.test_acts_in_a_browser import press

pytestmark = pytest.mark.needs_programs


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    with browser.new_context(locale="en-GB", viewport={"width": 1440, "height": 900}, base_url=address) as context:
        page = context.new_page()
        page.set_default_timeout(LIMIT)
        yield page


def test_a_photo_survives_a_reload_and_back_closes_it(page: Any) -> None:
    page.goto("/library")
    page.locator(".grid button").first.click()
    page.locator(".pf-photo img").wait_for()
    page.wait_for_url(re.compile(r"/library\?photo=[0-9a-f-]{36}$"))
    first = page.url
    page.reload()
    page.locator(".pf-photo img").wait_for()
    page.go_back()
    page.locator(".pf-photo img").wait_for(state="detached")
    assert page.url.endswith("/library")
    page.locator(".grid button").first.click()
    page.locator(".pf-photo img").wait_for()
    press(page, "Older")
    page.wait_for_url(lambda url: "photo=" in url and url != first)
    page.wait_for_function(RESTS)  # what is being shown anew hears no key
    page.keyboard.press("Escape")
    page.wait_for_url(lambda url: url.endswith("/library"))


def test_filters_and_titles(page: Any) -> None:
    page.goto("/library?kind=HEIC&year=2024")
    page.locator(".grid button").first.wait_for()
    assert page.locator(".grid button").count() == 1
    assert page.title() == "Library · Photo Factory"
    page.get_by_text("By date taken", exact=True).first.wait_for()
    page.wait_for_function(RESTS)
    page.get_by_text("Recently added", exact=True).last.click()
    page.wait_for_url("**order=Recently+added**")
    page.goto("/map")
    page.wait_for_function("document.title === 'Map · Photo Factory'")


def test_dates_are_written_as_in_the_viewers_country(page: Any, browser: Any, address: str) -> None:
    """Of one dashboard, by two viewers at the same time."""
    with browser.new_context(locale="en-US", base_url=address) as context:
        american = context.new_page()
        for viewer, day in ((page, "Friday, 3 May 2024"), (american, "Friday, May 3, 2024")):
            viewer.goto("/library")
            viewer.get_by_role("heading", name=day).first.wait_for(timeout=LIMIT)


def test_the_map_keeps_its_place_and_back_leaves_it(page: Any) -> None:
    page.goto("/activity")
    page.get_by_role("link", name="Map", exact=True).click()
    page.locator(".cluster").wait_for()
    page.locator(".leaflet-control-zoom-out").click()
    page.wait_for_url(re.compile(r"/map\?at=43\.\d+_11\.\d+_8$"))
    place = page.url
    page.reload()
    page.locator(".cluster").click()
    page.locator(".grid button").wait_for()
    # The map comes nearer, and its new place follows when it rests.
    page.wait_for_url(lambda url: "area=43460_11880_43460_11880" in url and place.split("at=")[1] not in url)
    page.reload()
    page.locator(".grid button").wait_for()
    page.go_back()
    page.go_back()
    page.wait_for_url("**/activity")


def test_tiles_cards_and_rows_lead_to_what_they_are_about(page: Any) -> None:
    page.goto("/")
    page.locator(".st-key-tile-added-today a").click()
    page.wait_for_url("**/gallery?order=added")
    page.get_by_role("button", name=HOSTILE).first.wait_for()
    page.goto("/")
    page.locator("[class*=st-key-grid-cards-services] a").first.click()
    page.wait_for_url("**/services?service=*")
    page.goto("/")
    page.locator(".st-key-tile-not-photos a").click()
    page.wait_for_url("**/problems?show=not_photos")
    page.get_by_text("None of this kind").first.wait_for()
