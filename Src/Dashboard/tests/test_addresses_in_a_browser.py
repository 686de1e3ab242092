"""What somebody looks at is in the address: it survives a reload and Back, and links lead to what they name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from Src.Dashboard.tests.browsing import HOSTILE, LIMIT

pytestmark = pytest.mark.needs_programs


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    with browser.new_context(locale="en-GB", viewport={"width": 1440, "height": 900}, base_url=address) as context:
        page = context.new_page()
        page.set_default_timeout(LIMIT)
        yield page


def test_addresses_of_a_page_that_is_no_more_lead_to_the_gallery(page: Any) -> None:
    page.goto("/activity")
    page.locator("[data-testid=stDataFrame]").wait_for()
    page.goto("/library?kind=HEIC&year=2024")
    page.wait_for_url("**/gallery?q=kind%3AHEIC+year%3A2024")
    page.locator(".open").first.wait_for()
    assert page.locator(".open").count() == 1
    page.wait_for_function("document.title === 'Gallery · Photo Factory'")
    photo = page.locator(".open").get_attribute("data-photo")
    page.goto(f"/library?photo={photo}")
    page.locator(".pswp__caption", has_text="an iPhone's.heic").wait_for()
    page.goto(f"/gallery?q=tag:sea&photo={photo}")
    page.get_by_text("This photo is not among these.").wait_for()
    page.get_by_role("link", name="Show it").click()
    page.locator(".pswp__caption", has_text="an iPhone's.heic").wait_for()
    page.goto(f"/activity?photo={photo}")
    page.get_by_role("link", name="Open this photo in the gallery").click()
    page.locator(".pswp__caption", has_text="an iPhone's.heic").wait_for()
    page.wait_for_function("document.activeElement.closest('.pswp')")  # it hears the keys from then on
    page.keyboard.press("Escape")
    page.locator(".pswp").wait_for(state="detached")
    page.wait_for_url(lambda url: url.endswith("/gallery"))


def test_photos_of_other_pages_lead_to_the_gallery_and_back(page: Any) -> None:
    page.goto("/")
    page.get_by_role("link", name="broken.jpg, 1 May 2024").first.click()
    page.locator(".pswp__caption", has_text="broken.jpg").wait_for()
    assert "order=added" in page.url
    page.reload()
    page.locator(".pswp__caption", has_text="broken.jpg").wait_for()
    page.go_back()
    page.get_by_role("heading", name="Overview").first.wait_for()


def test_dates_are_written_as_in_the_viewers_country(page: Any, browser: Any, address: str) -> None:
    """Of one dashboard, by two viewers at the same time."""
    with browser.new_context(locale="en-US", base_url=address) as context:
        american = context.new_page()
        for viewer, day in ((page, "Friday, 3 May 2024"), (american, "Friday, May 3, 2024")):
            viewer.goto("/gallery")
            viewer.get_by_role("button", name=f"Choose all of {day}").wait_for(timeout=LIMIT)


def test_the_map_keeps_its_place_and_back_leaves_it(page: Any) -> None:
    page.goto("/activity")
    page.get_by_role("link", name="Map", exact=True).click()
    page.locator(".cluster").wait_for()
    page.locator(".leaflet-control-zoom-out").click()
    page.wait_for_url(re.compile(r"/map\?at=43\.\d+_11\.\d+_8$"))
    place = page.url
    page.reload()
    page.locator(".cluster").click()
    page.locator(".pf-strip a").first.wait_for()
    # The map comes nearer, and its new place follows when it rests.
    page.wait_for_url(lambda url: "area=43460_11880_43460_11880" in url and place.split("at=")[1] not in url)
    page.reload()
    page.locator(".pf-strip a").first.wait_for()
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
