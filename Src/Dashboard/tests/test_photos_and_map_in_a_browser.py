"""Overview and Map in a real browser: pictures are there, hostile names are text, no other host is asked."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from Src.Dashboard.components import MAP_SCRIPT
from Src.Dashboard.tests.browsing import HOSTILE, LIMIT, PATIENT, PIN, RESTS
from Src.Shared.settings import PROJECT_ROOT, Settings
from Src.Testing.patience import wait_until

pytestmark = pytest.mark.needs_programs

WIDTHS = (1400, 390)


@pytest.fixture(params=WIDTHS)
def page(browser: Any, address: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A page that notes what it should not do."""
    with browser.new_context(locale="en-GB", viewport={"width": request.param, "height": 900}) as context:
        page = context.new_page()
        page.set_default_timeout(LIMIT)
        wrong: list[str] = []
        page.on("dialog", lambda dialog: wrong.append(f"a script ran: {dialog.message}"))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda asked: wrong.append(asked.url) if not _is_ours(asked.url, address) else None)
        yield page
        assert wrong == []
        page.wait_for_function("document.scrollingElement.scrollWidth <= innerWidth")


def _is_ours(url: str, address: str) -> bool:
    return url.startswith((address, address.replace("http", "ws"), "data:", "blob:"))


def test_a_page_shows_photos_and_the_gallery_all_it_knows(page: Any, address: str, library: Settings) -> None:
    page.goto(address)
    photo = page.get_by_role("link", name=f"{HOSTILE}, 3 May 2024").first
    photo.wait_for()
    wide = "[...document.querySelectorAll('.pf-strip img')].filter((one) => one.naturalWidth === 400)"
    page.wait_for_function(f"new Set({wide}.map((one) => one.src)).size === 2")
    thumbnails = library.storage / "Derivatives" / "Thumbnails"
    wait_until(lambda: [len(list(thumbnails.glob(kind))) for kind in ("*/*.jpg", "*/*.none")] == [2, 1])
    photo.click()
    page.wait_for_function("document.querySelector('.pswp__item[aria-hidden=false] .pswp__img')?.naturalWidth === 640")
    page.wait_for_function("document.activeElement.closest('.pswp')")  # it hears the keys from then on
    page.keyboard.press("i")
    facts = page.locator(".facts")
    facts.get_by_text("43.46000, 11.88000").wait_for()
    assert HOSTILE in facts.inner_text()
    page.wait_for_function(PIN)
    page.keyboard.press("ArrowLeft")
    page.locator(".pswp__caption", has_text="an iPhone's.heic").wait_for()
    page.keyboard.press("Escape")
    page.locator(".pswp").wait_for(state="detached")


def test_the_map_shows_where_photos_were_taken(page: Any, address: str) -> None:
    page.goto(f"{address}/map")
    page.locator(".cluster").click()
    photo = page.locator(".pf-strip a").first
    photo.wait_for()
    assert photo.get_attribute("aria-label") == f"{HOSTILE}, 3 May 2024"
    page.wait_for_function(RESTS, arg=".pf-strip a")
    photo.click()
    page.locator(".pswp__caption", has_text=HOSTILE).wait_for()
    assert "q=near" in page.url


def test_a_page_that_answers_late_shows_what_was_clicked(page: Any, address: str) -> None:
    """The map has come to rest, and said so, before the answer to the click is here."""
    held: list[Any] | None = None

    def between(route: Any) -> None:
        server = route.connect_to_server()

        def answer(message: Any) -> None:
            if held is None:
                route.send(message)
            else:
                held.append((route, message))

        server.on_message(answer)

    page.route_web_socket(re.compile("_stcore/stream"), between)
    page.goto(f"{address}/map")
    page.locator(".cluster").wait_for()
    page.wait_for_function(RESTS)
    held = []
    page.locator(".cluster").click()
    page.wait_for_url("**/map?at=*")
    late, held = held, None
    for route, message in late:
        route.send(message)
    page.locator(".pf-strip a").first.wait_for()
    page.wait_for_function("location.search.includes('at=') && location.search.includes('area=')")
    page.go_back()
    page.wait_for_function("location.search.includes('at=') && !location.search.includes('area=')")
    page.locator(".pf-strip a").first.wait_for(state="detached")


def test_tiles_are_asked_for_only_where_they_are_set(browser: Any, library: Settings) -> None:
    """From a host of our own here, which is another one for the browser."""
    from benchmarks.dashboard import serving

    tile = BytesIO()
    Image.new("RGB", (256, 256), (200, 30, 30)).save(tile, "png")
    asked: list[str] = []

    class Tiles(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.end_headers()
            self.wfile.write(tile.getvalue())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Tiles) as server, pytest.MonkeyPatch.context() as environment:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment.setenv("MAP_TILES", f"http://127.0.0.1:{server.server_port}/{{z}}/{{x}}/{{y}}.png")
        environment.setenv("MAP_CREDIT", "© <b>Somebody</b>")
        with serving(library, PATIENT) as (url, _process), browser.new_context(locale="en-GB") as context:
            page = context.new_page()
            page.set_default_timeout(LIMIT)
            page.goto(f"{url}/map")
            page.locator("img.leaflet-tile-loaded").first.wait_for()
            page.get_by_text("© <b>Somebody</b>").first.wait_for()
            page.locator(".cluster").wait_for()
            policy = page.request.get(url, timeout=LIMIT).headers["content-security-policy"]
        server.shutdown()
    assert asked and all(re.fullmatch(r"/\d+/\d+/\d+\.png", path) for path in asked)
    assert f"img-src 'self' data: blob: http://127.0.0.1:{server.server_port}" in policy.split("; ")


def test_pictures_are_for_who_was_shown_their_page(address: str, library: Settings) -> None:
    import requests

    for path in ("pictures/small/x", "pictures/large/WyJhIiwgImIiLCAiYyJd.aaaa", "pictures/huge/x", "assets/x.js"):
        assert requests.get(f"{address}/{path}", timeout=LIMIT / 1000).status_code == 404
    assert requests.get(f"{address}/assets/..%2fserver.py", timeout=LIMIT / 1000).status_code >= 400


@pytest.fixture
def map_alone(browser: Any) -> Iterator[Any]:
    """A page that has the map's module, and no server; `places` has one photo in Berlin."""

    def answer(route: Any) -> None:
        asked = route.request.url.removeprefix("http://map.test/")
        path = PROJECT_ROOT / "Src" / "Dashboard" / asked
        if asked == "map.js":
            route.fulfill(body=MAP_SCRIPT, content_type="text/javascript")
        elif asked == "places":
            route.fulfill(body="[52520, 13400, 1]", content_type="application/json")
        elif path.is_file():
            route.fulfill(path=path)
        else:
            style = "".join((path / "assets" / name).read_text() for name in ("vendor/leaflet.css", "photo_map.css"))
            colours = (
                ":root { --st-text-color: #222; --st-background-color: #fff; --st-secondary-background-color: #eee }"
            )
            route.fulfill(body=f'<style>{colours}{style}</style><div class="map"></div>', content_type="text/html")

    with browser.new_context(locale="en-GB", viewport={"width": 1200, "height": 900}) as context:
        page = context.new_page()
        page.set_default_timeout(LIMIT)
        page.route("http://map.test/**", answer)
        page.goto("http://map.test/")
        yield page


_SHOW = """async ([data, wanted]) => {
    const { default: show } = await import("http://map.test/map.js");
    window.end = show({ data: { height: 300, ...data }, parentElement: document, setTriggerValue: () => {} });
    while (!document.querySelector(wanted)) await new Promise((go) => setTimeout(go, 10));
}"""
_COLOURS = """() => {
    const canvas = document.querySelector("canvas");
    const points = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer);
    return new Set(points).size;
}"""


def test_a_map_that_goes_before_it_is_drawn_is_not_drawn(map_alone: Any) -> None:
    """As when a photo is closed on a busy machine. The module itself, with frames that come when we say so."""
    map_alone.evaluate(
        """() => {
            window.frames_ = new Map();
            window.requestAnimationFrame = (act) => { frames_.set(frames_.size + 1, act); return frames_.size; };
            window.cancelAnimationFrame = (number) => frames_.set(number, () => {});
        }"""
    )
    map_alone.evaluate(
        """async () => {
            const { pointMap } = await import("http://map.test/map.js");
            const place = document.querySelector(".map");
            place.style.height = "300px";
            window.end = pointMap(place, [43.46, 11.88], {});
            while (!document.querySelector(".pin")) await new Promise((go) => setTimeout(go, 10));
        }"""
    )
    wrong = map_alone.evaluate(
        """() => {
            end();
            const wrong = [];
            for (const act of [...frames_.values()]) try { act(0); } catch (error) { wrong.push(error.message); }
            return wrong;
        }"""
    )
    assert wrong == []


def test_no_part_of_the_map_is_empty(map_alone: Any) -> None:
    """From the whole world down to the middle of a country and of the sea: something is drawn, with its place."""
    asked: list[str] = []
    map_alone.on("request", lambda request: asked.append(request.url))
    for view, country in (
        ([20, 10, 0.5], ""), ([-10, -170, 4], ""), ([52.5, 13.4, 5], "Germany"), ([48.2, 11.5, 15], "Germany"),
        ([-10, -140, 15], ""), ([-80, 100, 6], "Antarctica"), ([66, -175, 6], "Russia"),
    ):  # fmt: skip
        asked.clear()
        map_alone.reload()
        map_alone.evaluate(_SHOW, [{"places": "places", "view": view}, ".degrees.top"])
        map_alone.wait_for_function(f"({_COLOURS})() > 1")
        map_alone.wait_for_function("country => document.querySelector('.here').textContent === country", arg=country)
        assert map_alone.locator(".degrees.right").count() > 0
        assert map_alone.locator(".leaflet-control-scale-line").count() == 1
        is_fine = any(url.endswith("coast.json") for url in asked)
        assert is_fine == (view[2] >= 5), "the finer coast is for who is near"


def test_a_map_wider_than_the_world_has_its_circles_again(map_alone: Any) -> None:
    map_alone.evaluate(_SHOW, [{"places": "places", "view": [52, -170, 2]}, ".cluster"])
    assert map_alone.locator(".cluster").count() == 2  # 1200 pixels are more than the world's 1024
