"""Library and Map in a real browser: pictures are there, hostile names are text, no other host is asked."""

from __future__ import annotations

import hashlib
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import text

from Src.Shared.database import Database
from Src.Shared.settings import PROJECT_ROOT, Settings

pytestmark = pytest.mark.needs_programs

SAMPLES = PROJECT_ROOT / "Src" / "Librarian" / "tests" / "samples"
HOSTILE = "<img src=x onerror=alert(1)> **b** [a](javascript:alert(2)) :smile:.jpg"
LIMIT = 120_000  # milliseconds; a busy machine takes a while
PATIENT = "Src.Dashboard.tests.patient_dashboard"
WIDTHS = (1400, 390)
_ROW = text("""
    INSERT INTO media_assets (id, file_hash, file_size, original_name, original_path, final_path, media_kind, mime_type,
        captured_at, date_source, camera_model, location)
    VALUES (uuidv7(), :hash, 1, :name, :name, :path, :kind, '', :taken, 'mtime', :name, CAST(:location AS jsonb))
""")


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
    return dashboard


@pytest.fixture
def address(library: Settings) -> Iterator[str]:
    """Where it is served."""
    from benchmarks.dashboard import serving

    with serving(library, PATIENT) as (url, _process):
        yield url


@pytest.fixture
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    assert shutil.which("chromium") is not None, "Chromium is needed: see requirements/debian-test.txt"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=PROJECT_ROOT / "Stack/tests/steady_chromium.py", args=["--no-sandbox"], timeout=LIMIT
        )
        yield browser
        browser.close()


@pytest.fixture(params=WIDTHS)
def page(browser: Any, address: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A page that notes what it should not do."""
    with browser.new_context(viewport={"width": request.param, "height": 900}) as context:
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


def test_the_library_shows_photos_and_a_photo_all_it_knows(page: Any, address: str, library: Settings) -> None:
    page.goto(f"{address}/library")
    page.locator(".grid img.there").nth(2).wait_for()
    widths = page.locator(".grid img").evaluate_all("images => images.map(image => image.naturalWidth)")
    assert widths[:2] == [400, 400]
    assert len(list((library.storage / "Derivatives" / "Thumbnails").glob("*/*.jpg"))) == 2
    assert len(list((library.storage / "Derivatives" / "Thumbnails").glob("*/*.none"))) == 1
    photo = page.locator(".grid button").first
    assert photo.get_attribute("aria-label") == HOSTILE
    photo.click()
    picture = page.locator(".pf-photo img")
    picture.wait_for()
    page.wait_for_function("document.querySelector('.pf-photo img').naturalWidth === 640")
    facts = page.locator(".pf-facts").first.inner_text()
    assert HOSTILE in facts and "43.46000, 11.88000" in facts
    page.locator(".map .pin").wait_for()
    page.get_by_role("button", name="Older").last.click()
    page.get_by_text("an iPhone's.heic").first.wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")


def test_a_photo_is_found_by_its_name(page: Any, address: str) -> None:
    from playwright.sync_api import expect

    page.goto(f"{address}/library")
    search = page.get_by_placeholder("Part of a name")
    search.fill("2")  # the name that it is kept by
    search.press("Enter")
    expect(page.locator(".grid button")).to_have_count(1, timeout=LIMIT)
    assert page.locator(".grid button").get_attribute("aria-label") == "broken.jpg"


def test_the_map_shows_where_photos_were_taken(page: Any, address: str) -> None:
    page.goto(f"{address}/map")
    page.locator(".cluster").click()
    page.locator(".grid img.there").wait_for()
    assert page.locator(".grid button").get_attribute("aria-label") == HOSTILE


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
        with serving(library, PATIENT) as (url, _process), browser.new_context() as context:
            page = context.new_page()
            page.set_default_timeout(LIMIT)
            page.goto(f"{url}/map")
            page.locator("img.leaflet-tile-loaded").first.wait_for()
            page.get_by_text("© <b>Somebody</b>").wait_for()
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


def test_a_map_that_goes_before_it_is_drawn_is_not_drawn(browser: Any) -> None:
    """As when a photo is closed on a busy machine. The module itself, with frames that come when we say so."""
    module = "http://map.test/assets/photo_map.js"

    def answer(route: Any) -> None:
        path = PROJECT_ROOT / "Src" / "Dashboard" / route.request.url.removeprefix("http://map.test/")
        if path.is_file():
            route.fulfill(path=path)
        else:
            route.fulfill(body='<div class="map"></div>', content_type="text/html")

    with browser.new_context() as context:
        page = context.new_page()
        page.set_default_timeout(LIMIT)
        page.route("http://map.test/**", answer)
        page.goto("http://map.test/")
        wrong = page.evaluate(
            """async (module) => {
                const frames = new Map();
                window.requestAnimationFrame = (act) => { frames.set(frames.size + 1, act); return frames.size; };
                window.cancelAnimationFrame = (number) => frames.set(number, () => {});
                const { default: show } = await import(module);
                const end = show({ data: { point: [43.46, 11.88], height: 300 }, parentElement: document });
                while (!document.querySelector(".pin")) await new Promise((go) => setTimeout(go, 10));
                end();
                const wrong = [];
                for (const act of [...frames.values()]) try { act(0); } catch (error) { wrong.push(error.message); }
                return wrong;
            }""",
            module,
        )
    assert wrong == []
