"""The gallery in a real browser, with real photos and films: looked through, played, chosen, taken out, searched."""

from __future__ import annotations

import io
import re
import uuid
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from Src.Dashboard.tests.acting import Librarian
from Src.Dashboard.tests.browsing import HOSTILE, LIMIT, PATIENT, open_photo
from Src.Dashboard.tests.gallery_library import Shot
from Src.Dashboard.tests.test_acts_in_a_browser import press
from Src.Shared.database import Database
from Src.Shared.models import Act, MediaAsset
from Src.Shared.settings import Settings
from Src.Testing.patience import wait_until

pytestmark = pytest.mark.needs_programs

WIDE, NARROW = 1440, 390
_IN_VIEW = "[...document.querySelectorAll('*')].find(one => one.shadowRoot?.querySelector('.gallery')).shadowRoot"

_SHOWN = "document.querySelector('.pswp__item[aria-hidden=false] .pswp__img:not(.pswp__img--placeholder)')"


@pytest.fixture(params=(WIDE, NARROW))
def page(browser: Any, gallery_address: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The gallery's page, which notes what it should not do."""
    size = {"width": request.param, "height": 900}
    with browser.new_context(
        locale="en-GB", viewport=size, has_touch=request.param == NARROW, reduced_motion="reduce"
    ) as context:
        page = context.new_page()
        page.set_default_timeout(LIMIT)
        wrong: list[str] = []
        page.on("dialog", lambda dialog: wrong.append(f"a script ran: {dialog.message}"))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        ours = (gallery_address, gallery_address.replace("http", "ws"), "data:", "blob:")
        page.on("request", lambda asked: wrong.append(asked.url) if not asked.url.startswith(ours) else None)
        page.goto(f"{gallery_address}/gallery")
        page.locator(".open img.there").first.wait_for()
        yield page
        assert wrong == []
        page.wait_for_function("document.scrollingElement.scrollWidth <= innerWidth")


def _shows(page: Any, photos: str) -> None:
    """Waits until the bar above says that there are so many: "46 photos". No other text will do."""
    page.locator(".total").filter(has_text=re.compile(f"^{photos}$")).wait_for()


def _chosen(page: Any, number: int) -> None:
    """Waits until the bar below says that so many are chosen."""
    page.locator(".bar strong").filter(has_text=re.compile(f"^{number} chosen$")).wait_for()


def _open(page: Any, name: str) -> None:
    _go_to(page, name)
    page.locator(f".open[aria-label^='{name},']").click()
    page.locator(".pswp--open").wait_for()
    page.locator(".pswp__caption", has_text=name).wait_for()


def _comes_to(photo: Any, top: float) -> None:
    """It is where it was, when all is laid out: until then another list may be there that has it, too."""
    wait_until(
        lambda: abs(photo.evaluate("one => one.getBoundingClientRect().top") - top) < 3, what="it is where it was"
    )


def _go_to(page: Any, name: str) -> None:
    """Scrolls until a photo is there."""
    scroller = page.locator(".scroller")
    scroller.evaluate("one => one.scrollTop = 0")
    open_ = page.locator(f".open[aria-label^='{name},']")
    for _ in range(100):
        if open_.count():
            open_.scroll_into_view_if_needed()
            return
        page.wait_for_function(f"!{_IN_VIEW}.querySelector('.cell:empty')")
        if not open_.count():
            scroller.evaluate("one => one.scrollTop += one.clientHeight / 2")
    raise AssertionError(f"{name} is nowhere")


def _visible(album: list[Shot]) -> list[Shot]:
    return sorted((shot for shot in album if not shot.hidden), key=lambda shot: shot.taken, reverse=True)


def test_photos_stand_by_their_days_and_days_with_few_share_a_row(page: Any) -> None:
    _shows(page, "46 photos")
    heads = page.locator(".head h2")
    assert [text.split(", ")[-1] for text in heads.all_inner_texts()[:4]] == [
        "3 May 2024", "2 May 2024", "1 May 2024", "10 Aug 2023",
    ]  # fmt: skip
    tops = heads.evaluate_all("all => all.map(one => Math.round(one.getBoundingClientRect().top))")
    if page.viewport_size["width"] == WIDE:
        assert tops[0] == tops[1] < tops[3]
    boxes = page.locator(".cell").evaluate_all(
        "all => all.map(one => { const { left, right, top } = one.getBoundingClientRect(); return [left, right, top] })"
    )
    edge = page.locator(".scroller").evaluate("one => one.getBoundingClientRect().right")
    assert max(right for _, right, _ in boxes) <= edge + 1
    full = {round(top) for _, right, top in boxes if abs(right - edge) < 2}
    assert len(full) >= 3, "rows are filled to the edge"


def test_the_arrow_keys_lead_through_all_photos(page: Any, album: list[Shot]) -> None:
    wanted = _visible(album)
    page.locator(".open").first.click()
    caption = page.locator(".pswp__caption")
    for shot in wanted:
        caption.filter(has_text=shot.name).wait_for()
        page.keyboard.press("ArrowRight")
    assert re.search("photo=", page.url)
    page.keyboard.press("Escape")
    page.locator(".pswp").wait_for(state="detached")
    page.wait_for_function("!location.search.includes('photo')")
    focused = page.evaluate(f"{_IN_VIEW}.activeElement.ariaLabel")
    assert focused.startswith(wanted[-1].name), "the keyboard is at the photo that was looked at last"


def test_a_photo_is_in_the_address(page: Any) -> None:
    _open(page, "IMG_0030.jpg")
    there = page.url
    page.reload()
    page.locator(".pswp__caption", has_text="IMG_0030.jpg").wait_for()
    assert page.url == there
    page.keyboard.press("ArrowRight")
    page.locator(".pswp__caption", has_text="IMG_0031.jpg").wait_for()
    page.keyboard.press("Escape")
    page.locator(".pswp").wait_for(state="detached")
    _open(page, "IMG_0032.jpg")
    page.go_back()
    page.locator(".pswp").wait_for(state="detached")
    page.wait_for_function("location.pathname.endsWith('/gallery') && !location.search")


def test_all_facts_are_there_and_hostile_names_are_text(page: Any) -> None:
    name = HOSTILE.replace("/", "_")
    page.locator(".rail").press("End")
    page.locator(".open").last.wait_for()
    page.locator(".open[aria-label^='<img']").click()
    page.locator(".pswp__caption", has_text="onerror").wait_for()
    page.keyboard.press("i")
    facts = page.locator(".facts")
    facts.get_by_text("28 Feb 2019").first.wait_for()
    assert name in facts.inner_text() and "Date known from" in facts.inner_text()
    page.keyboard.press("i")
    facts.wait_for(state="hidden")


def test_from_near_the_photo_itself_is_shown(page: Any) -> None:
    _open(page, "large.jpg")
    image = page.locator(".pswp__img[src*='pictures/large']").first
    image.wait_for()
    page.wait_for_function('document.querySelector(".pswp__item[aria-hidden=false] .pswp__img").naturalWidth === 1600')
    page.keyboard.press("z")
    page.wait_for_function('document.querySelector(".pswp__item[aria-hidden=false] .pswp__img").naturalWidth === 3000')


def test_films_play_what_the_browser_can_and_others_say_so(page: Any) -> None:
    parts: list[int] = []
    page.on("response", lambda answer: parts.append(answer.status) if "originals/" in answer.url else None)
    _open(page, "party.webm")
    film = page.locator(".film video").first
    film.evaluate("one => { one.muted = true; return one.play() }")
    page.wait_for_function("document.querySelector('.film video').currentTime > 0.3")
    film.evaluate("one => { one.currentTime = 2.5 }")
    page.wait_for_function("document.querySelector('.film video').currentTime >= 2.5")
    assert 206 in parts
    for name in ("old.avi", "odd.mov"):
        page.keyboard.press("ArrowRight")
        page.locator(".pswp__caption", has_text=name).wait_for()
        sorry = page.locator(".pswp__item[aria-hidden=false] .sorry")
        sorry.get_by_text(f"cannot play {name}").wait_for()
        with page.expect_download() as download:
            sorry.get_by_role("link", name="Download").click()
        assert download.value.suggested_filename == name
    page.keyboard.press("ArrowRight")
    page.locator(".pswp__caption", has_text="live.jpg").wait_for()
    page.evaluate("""document.addEventListener("timeupdate", ({ target }) => {
        if (target.matches(".live-film")) window.played = target.currentTime;
    }, true)""")  # it goes when it has ended, after two seconds
    page.get_by_role("button", name="Play the Live Photo").click()
    page.wait_for_function("window.played > 0.2")
    page.locator(".live-film").wait_for(state="detached")


def test_slides_follow_one_another(page: Any) -> None:
    _open(page, "IMG_0000.jpg")
    page.evaluate("""() => {
        const [caption, about] = [document.querySelector(".pswp__caption"), { childList: true, characterData: true }];
        window.seen = [];
        new MutationObserver(() => seen.push(caption.textContent)).observe(caption, { ...about, subtree: true });
    }""")  # each stays for four seconds
    page.get_by_role("button", name="Slideshow").click()
    for name in ("IMG_0001.jpg", "IMG_0002.jpg"):
        page.wait_for_function(f"seen.some((one) => one.includes('{name}'))")
    page.get_by_role("button", name="Slideshow").click()
    assert page.get_by_role("button", name="Slideshow").get_attribute("aria-pressed") == "false"


def test_one_is_taken_out_as_it_is_and_several_as_an_archive(page: Any, album: list[Shot]) -> None:
    content = {shot.name: shot.content for shot in album}
    _open(page, "Canon_40D.jpg")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.path().read_bytes() == content["Canon_40D.jpg"]
    page.keyboard.press("Escape")
    page.locator(".pswp").wait_for(state="detached")
    page.locator(".open[aria-label^='Canon_40D']").press(" ")
    _chosen(page, 1)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    _chosen(page, 3)
    with page.expect_download() as download:
        page.locator(".bar").get_by_role("button", name="Download").click()
    assert re.fullmatch(r"Photos [\d. -]+\.zip", download.value.suggested_filename)
    with zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes())) as archive:
        names = ["Canon_40D.jpg", "an iPhone's.heic", "large.jpg"]
        assert sorted(archive.namelist()) == sorted(names)
        assert all(archive.read(name) == content[name] for name in names)
    assert page.locator(".gallery").count() == 1, "the page is still there"


def test_many_are_chosen(page: Any) -> None:
    is_wide = page.viewport_size["width"] == WIDE
    first, last = ".open[aria-label^='IMG_0003']", ".open[aria-label^='IMG_0008']"
    _go_to(page, "IMG_0008.jpg")
    if is_wide:
        page.locator(first).hover()
        page.get_by_role("button", name="Choose IMG_0003.jpg").click()
    else:
        _hold(page, first)
    _chosen(page, 1)
    page.locator(last).click(modifiers=["Shift"])
    _chosen(page, 6)
    page.locator(last).click()
    _chosen(page, 5)
    assert page.locator(".pswp").count() == 0, "while photos are chosen a click chooses"
    page.get_by_role("button", name="Choose all of Thursday, 10 Aug 2023").first.click()
    _chosen(page, 36)
    page.get_by_role("button", name="Choose all of Thursday, 10 Aug 2023").first.click()
    page.locator(".bar").wait_for(state="hidden")


def _hold(page: Any, selector: str) -> None:
    """A finger that rests."""
    page.locator(selector).dispatch_event("pointerdown", {"pointerType": "touch"})
    _chosen(page, 1)
    page.locator(selector).dispatch_event("pointerup", {"pointerType": "touch"})
    page.locator(selector).dispatch_event("click")


def test_what_is_searched_for_is_found(page: Any) -> None:
    box = page.get_by_role("combobox", name="Search photos")
    box.fill("canon")
    page.get_by_role("option", name='camera:"Canon EOS 40D"').click()
    _shows(page, "1 photo")
    assert box.input_value() == 'camera:"Canon EOS 40D"'
    box.fill("summ")
    page.get_by_role("option", name='in:"Summer').first.wait_for()
    box.press("ArrowDown")
    box.press("ArrowDown")
    box.press("Enter")
    _shows(page, "10 photos")
    box.fill("00")
    box.press("Enter")
    page.wait_for_function("location.search.includes('q=*00*')")
    _shows(page, "37 photos")
    box.fill("tag:sea kolour:red")
    box.press("Enter")
    wrong = page.locator(".wrong")
    wrong.get_by_text("there is no field", exact=False).wait_for()
    assert wrong.locator("mark").inner_text() == "k" and "tag:sea " in wrong.inner_text()
    page.go_back()
    _shows(page, "37 photos")


def test_the_orders(page: Any) -> None:
    which = page.get_by_role("combobox", name="Which photos")
    for order, number in (
        ("Favourites", "1 photo"),
        ("Hidden", "1 photo"),
        ("Recently added", "46 photos"),
        ('Summer "23"', "10 photos"),
    ):
        which.select_option(label=order)
        _shows(page, number)
    page.reload()
    _shows(page, "10 photos")
    chosen = "one => one.selectedOptions[0]?.label"
    wait_until(lambda: which.evaluate(chosen) == 'Summer "23"', what="its album is offered, and chosen")


def test_where_one_was_is_kept(page: Any, gallery_address: str) -> None:
    _go_to(page, "IMG_0028.jpg")
    page.locator(".open[aria-label^='IMG_0028'] img.there").wait_for()
    place = "one => one.getBoundingClientRect().top"
    before = page.locator(".open[aria-label^='IMG_0028']").evaluate(place)
    here = f"JSON.stringify({_IN_VIEW}.querySelector('.gallery').gallery.grid.place())"
    page.wait_for_function(f"sessionStorage['gallery taken '] === {here}")
    page.reload()
    page.locator(".open[aria-label^='IMG_0028']").wait_for()
    _comes_to(page.locator(".open[aria-label^='IMG_0028']"), before)
    page.goto(f"{gallery_address}/map")
    page.get_by_role("heading", name="Map", exact=True).first.wait_for()
    page.go_back()
    page.locator(".open[aria-label^='IMG_0028']").wait_for()
    _comes_to(page.locator(".open[aria-label^='IMG_0028']"), before)


def test_who_followed_a_link_to_a_month_is_where_they_were_after_a_reload(page: Any, gallery_address: str) -> None:
    page.goto(f"{gallery_address}/gallery?at=2023-08")
    first, last = page.locator(".open[aria-label^='IMG_0000']"), page.locator(".open[aria-label^='IMG_0028']")
    first.wait_for()
    _go_to(page, "IMG_0028.jpg")
    place = "one => one.getBoundingClientRect().top"
    before = last.evaluate(place)
    grid = f"{_IN_VIEW}.querySelector('.gallery').gallery.grid"
    page.wait_for_function(f"JSON.stringify(history.state?.gallery) === JSON.stringify({grid}.place())")
    page.reload()
    last.wait_for()
    _comes_to(last, before)
    page.get_by_role("combobox", name="Which photos").select_option(label="Favourites")
    page.get_by_text("1 photo", exact=True).wait_for()
    page.go_back()
    page.get_by_text("46 photos", exact=True).wait_for()
    _comes_to(last, before)
    page.goto(f"{gallery_address}/map")
    page.get_by_role("heading", name="Map").first.wait_for()
    page.goto(f"{gallery_address}/gallery?at=2023-08")
    newest = page.get_by_role("button", name="Choose all of Thursday, 10 Aug 2023")
    wait_until(lambda: 0 <= newest.evaluate(place) < 300, what="the month's newest day is at the top")


def test_the_years_lead_anywhere(page: Any) -> None:
    rail = page.get_by_role("slider", name="Time")
    rail.press("End")
    page.locator(".open[aria-label^='<img']").wait_for()
    rail.press("ArrowUp")
    page.wait_for_function(f"{_IN_VIEW}.querySelector('.rail').ariaValueText.length > 0")
    rail.press("Home")
    assert rail.get_attribute("aria-valuetext") == "May 2024"
    page.goto(page.url.split("?")[0] + "?at=2023-08")
    page.locator(".open[aria-label^='IMG_0000']").wait_for()


def test_photos_are_one_stop_of_the_tab_key(page: Any) -> None:
    assert page.locator(".scroller [tabindex='0']").count() == 1
    page.locator(".open").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert page.locator(".scroller [tabindex='0']").count() == 1
    label = page.evaluate(f"{_IN_VIEW}.activeElement.ariaLabel")
    assert not label.startswith(("DSCN", "Canon")), "the next row"
    page.keyboard.press("Enter")
    page.locator(".pswp__caption", has_text=label.split(",")[0]).wait_for()


def test_what_is_done_to_chosen_photos_is_told_and_taken_back(
    browser: Any,
    dashboard: Settings,
    ids: list[uuid.UUID],
) -> None:
    from benchmarks.dashboard import serving

    with (
        serving(dashboard, PATIENT) as (url, _process),
        browser.new_context(viewport={"width": WIDE, "height": 900}) as context,
    ):
        page = context.new_page()
        page.set_default_timeout(LIMIT)
        page.goto(f"{url}/gallery")
        page.locator(".open").first.press(" ")
        page.locator(".open").nth(1).press(" ")
        page.locator(".bar").get_by_role("button", name="Favourite").click()
        page.locator(".cell .star").nth(1).wait_for()
        press(page, "Undo")
        page.locator(".cell .star").first.wait_for(state="detached")
        page.locator(".open").first.press(" ")
        page.locator(".bar").get_by_role("button", name="Add a tag").click()
        page.get_by_role("combobox", name="Tag").fill("sea")
        page.keyboard.press("Enter")
        page.get_by_text("Tag sea").first.wait_for()  # Streamlit may show the bar twice for a moment
        page.goto(f"{url}/gallery?q=tag:sea")
        _shows(page, "1 photo")


def test_acts_in_quick_succession_are_all_done_and_the_last_photo_too(
    browser: Any,
    dashboard: Settings,
    ids: list[uuid.UUID],
    database: Database,
    librarian: Librarian,
) -> None:
    from benchmarks.dashboard import serving

    def left() -> list[uuid.UUID]:
        with database.session() as session:
            return list(session.scalars(select(MediaAsset.id).order_by(MediaAsset.captured_at)))

    with (
        serving(dashboard, PATIENT) as (url, _process),
        browser.new_context(viewport={"width": WIDE, "height": 900}, reduced_motion="reduce") as context,
    ):
        page = context.new_page()
        page.set_default_timeout(LIMIT)

        def removals() -> int:
            with database.session() as session:
                return len(session.scalars(select(Act.id).where(Act.kind == "remove")).all())

        def answered(removed: int) -> None:
            """(A gallery that the page has made anew meanwhile waits for no answer.)"""
            page.wait_for_function(f"!{_IN_VIEW}.querySelector('.gallery').gallery.acts.acts.length")
            wait_until(lambda: removals() == removed, what=f"{removed} acts are written")

        page.goto(f"{url}/gallery")
        open_photo(page)
        for key in ("b", "ArrowRight", "Delete", "Delete"):  # nobody waits for what comes of one
            page.keyboard.press(key)
        answered(2)
        assert page.url.split("photo=")[1] == str(ids[1])
        page.get_by_text("To the trash").first.wait_for()  # the bar is there, though the address names a photo
        librarian()
        assert left() == [ids[0], ids[1], ids[4]]
        with database.session() as session:
            assert session.get_one(MediaAsset, ids[4]).rating == 5
        page.keyboard.press("End")
        page.wait_for_function(f"location.search.endsWith('{ids[0]}')")
        page.keyboard.press("Delete")  # the last one: the viewer closes, and the address changes
        page.locator(".pswp").wait_for(state="detached")
        answered(3)
        librarian()
        assert left() == [ids[1], ids[4]]
        open_photo(page, f".open[data-photo='{ids[1]}']")
        page.keyboard.press("Delete")
        page.keyboard.press("Escape")
        answered(4)
        librarian()
        assert left() == [ids[4]]


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_what_is_done_in_the_viewer_is_taken_back_in_the_viewer(
    browser: Any, dashboard: Settings, ids: list[uuid.UUID], database: Database, librarian: Librarian, width: int
) -> None:
    from benchmarks.dashboard import serving

    def row(photo: uuid.UUID) -> MediaAsset | None:
        with database.session() as session:
            return session.get(MediaAsset, photo)

    with (
        serving(dashboard, PATIENT) as (url, _process),
        browser.new_context(
            viewport={"width": width, "height": 900}, reduced_motion="reduce", has_touch=width == NARROW
        ) as context,
    ):
        page = context.new_page()
        page.set_default_timeout(LIMIT)
        told = page.locator(".told")
        page.goto(f"{url}/gallery?photo={ids[4]}")
        page.wait_for_function("document.activeElement.closest('.pswp')")  # it hears the keys from then on
        page.keyboard.press("Delete")
        told.get_by_text("To the trash").wait_for()
        told.get_by_role("button", name="Undo").click()
        told.get_by_text("Taken back: To the trash").or_(told.get_by_text("To the trash: taken back")).wait_for()
        librarian()
        assert row(ids[4]) is not None
        page.keyboard.press("ArrowLeft")
        page.wait_for_function(f"location.search.endsWith('{ids[4]}')")
        page.keyboard.press("i")
        facts = page.locator(".facts")
        facts.get_by_role("button", name="4 stars").click()
        facts.get_by_role("button", name="Turn right").click()
        facts.get_by_role("textbox", name="Title").fill("A <b>walk</b>")
        page.keyboard.press("Enter")
        facts.locator("dd", has_text='title "A <b>walk</b>", on the dashboard').wait_for()
        facts.locator("dd", has_text="turned, now by 90°").wait_for()
        found = row(ids[4])
        assert found is not None and (found.rating, found.rotation, found.title) == (4, 90, "A <b>walk</b>")
        told.get_by_role("button", name="Undo").click()
        facts.locator("dd", has_text="title taken away, taken back").wait_for()
        page.keyboard.press("2")
        told.get_by_text("2 of 5 stars").wait_for()
        page.keyboard.press("u")
        page.locator(".stars [aria-pressed=true][aria-label='4 stars']").wait_for()
        page.wait_for_function("document.scrollingElement.scrollWidth <= innerWidth")
        page.keyboard.press("Delete")
        told.get_by_text("To the trash").wait_for()
        librarian()
        page.goto(f"{url}/gallery?photo={ids[4]}")
        says = page.locator(".says")
        says.filter(has_text="This photo is in the trash.").wait_for()
        says.get_by_role("link", name="Open the trash").click()
        page.get_by_role("heading", name="Trash", exact=True).first.wait_for()


def test_originals_are_for_who_was_shown_their_page(gallery_address: str, dashboard: Settings) -> None:
    import requests

    for path in ("originals/x", "originals/WyJhIiwgImIiLCAiYyJd.aaaa"):
        assert requests.get(f"{gallery_address}/{path}", timeout=LIMIT / 1000).status_code == 404
    for path in ("gallery/x/days", "gallery//days"):  # Streamlit answers with its empty page
        assert "json" not in requests.get(f"{gallery_address}/{path}", timeout=LIMIT / 1000).headers["content-type"]
