"""Debian's Chromium looking at the dashboard as a person does, and taking note of all that goes wrong meanwhile."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pytest
from playwright import sync_api
from playwright.sync_api import ConsoleMessage, Dialog, Locator, Page, Request, Response, WebSocket, expect
from playwright.sync_api import TimeoutError as NotYet

LIMIT = 120_000  # milliseconds that no single step should need, also where a machine stands still for a while
PAGES = ("Overview", "Gallery", "Map", "Activity", "Problems", "Services", "Phone")
WIDE, NARROW = 1400, 390  # pixels
HEIGHT = 900
PHONE = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Mobile Safari/537.36"
)

_JOINER = "\u2060"
STEADY_CHROMIUM = Path(__file__).with_name("steady_chromium.py")
Theme = Literal["light", "dark"]

# Of pictures also those within components, which have documents of their own.
_ALL_PICTURES_THERE = """() => {
    const images = (root) => [...root.querySelectorAll("*")].flatMap(
        (one) => [...(one.tagName === "IMG" ? [one] : []), ...(one.shadowRoot ? images(one.shadowRoot) : [])]);
    return images(document).every((image) => image.complete);
}"""
_FITS = """() => [document.documentElement, document.querySelector('[data-testid="stMain"]')].every(
    (one) => one.scrollWidth <= one.clientWidth)"""
_HEIGHT = """() => document.querySelector('[data-testid="stMain"]').scrollHeight"""
# A page refreshes by itself at an interval; while this is set it does not.
_HOLDABLE = """(() => {
    const set = window.setInterval;
    window.setInterval = (act, ...more) => set((...given) => window.isHeld || act(...given), ...more);
})()"""
_AT_REST = """() =>
    document.querySelector('[data-testid="stApp"]').getAttribute("data-test-script-state") === "notRunning"
    && !document.querySelector('[data-testid="stSkeleton"]')"""


class Visitor:
    """One window on the dashboard. What went wrong in it, from its first moment on, is in `complaints`."""

    def __init__(self, page: Page, home: str) -> None:
        self.page = page
        self.home = home
        self.complaints: list[str] = []
        self.dialogs: list[str] = []
        self.asked: set[str] = set()  # hosts
        page.set_default_timeout(LIMIT)
        page.add_init_script(_HOLDABLE)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"script: {error.stack or error}"))
        page.on("dialog", self._dialog)
        page.on("request", self._request)
        page.on("response", self._response)
        page.on("websocket", self._websocket)

    @property
    def is_narrow(self) -> bool:
        size = self.page.viewport_size
        return size is not None and size["width"] < 700

    def arrive(self) -> None:
        """Opens the dashboard's address, and waits for Overview."""
        self.page.goto(self.home)
        self._shows("Overview")

    def log_in(self, password: str) -> None:
        self.page.goto(self.home)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Log in").click()

    def go(self, name: str) -> None:
        """To a page, by a click in the sidebar, which a narrow window opens first."""
        link = self.page.get_by_test_id("stSidebarNavLink").filter(has_text=name)
        heading = self.page.get_by_role("heading", name=name, level=1)
        with self.held():
            # Streamlit forgets the way to another page where this one asks for a rerun at once: people click again.
            for _ in range(4):
                if self.is_narrow and not _is_in_view(link):
                    self.page.get_by_test_id("stExpandSidebarButton").click()
                link.click()
                with suppress(NotYet):
                    heading.wait_for(timeout=LIMIT / 4)
                    break
            self._shows(name)

    def _shows(self, name: str) -> None:
        expect(self.page.get_by_role("heading", name=name, level=1)).to_be_visible()
        self.wait(_AT_REST)

    def wait(self, expression: str) -> None:
        """Until this is true in the page."""
        self.page.wait_for_function(expression)

    @contextmanager
    def held(self) -> Iterator[None]:
        """The page does not refresh by itself meanwhile: what it says but once would be gone at any moment."""
        self.page.evaluate("window.isHeld = true")
        yield
        self.page.evaluate("window.isHeld = false")

    def alert(self, text: str, level: Literal["", "Success", "Warning", "Error"] = "") -> Locator:
        """Boxes that say something, green, yellow or red; or of one level. A page that is being shown anew may have
        the old one beside the new one for a moment: who waits for one waits for the first."""
        return self.page.get_by_test_id(f"stAlertContent{level}" if level else "stAlert").filter(has_text=text)

    def table(self, text: str) -> Locator:
        """A cell of a table. Tables are painted; what they hold stands within the canvas for who cannot see it."""
        return self.page.locator('[data-testid="stDataFrame"] canvas td').filter(has_text=text)

    def exceptions(self) -> list[str]:
        """What Streamlit shows of pages that failed."""
        return self.page.get_by_test_id("stException").all_inner_texts()

    def wait_fits(self) -> None:
        """Until nothing of the page is wider than the window."""
        self.wait(_FITS)

    def said(self) -> str:
        """The page's text."""
        return self.page.get_by_test_id("stMain").inner_text().replace(_JOINER, "")

    def picture(self, name: str, *, whole: bool = True) -> None:
        """The whole page, or what of it is in view, into a file of the folder FACTORY_SCREENSHOTS if that is set."""
        folder = os.environ.get("FACTORY_SCREENSHOTS")
        size = self.page.viewport_size
        if not folder or size is None:
            return
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.wait(_AT_REST)
        while whole and size["height"] < (height := int(self.page.evaluate(_HEIGHT))):  # it grows as parts of it come
            size["height"] = height
            self.page.set_viewport_size(size)
            self.wait(_ALL_PICTURES_THERE)
        self.wait(_AT_REST)
        self.page.screenshot(path=Path(folder) / f"{name}.png", animations="disabled")
        self.page.set_viewport_size({"width": size["width"], "height": HEIGHT})

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _dialog(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _request(self, request: Request) -> None:
        if urlsplit(request.url).scheme not in ("data", "blob"):
            self.asked.add(urlsplit(request.url).netloc)

    def _websocket(self, websocket: WebSocket) -> None:
        self.asked.add(urlsplit(websocket.url).netloc)

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.status} {response.url}")


class Browser:
    """Chromium, in which everybody who visits has a window and cookies of their own."""

    def __init__(self, chromium: sync_api.Browser, home: str) -> None:
        self._chromium = chromium
        self._home = home
        self._cookies: sync_api.StorageState | None = None

    def log_in(self, password: str) -> None:
        """All who visit from now on are logged in."""
        with self.visit() as visitor:
            visitor.log_in(password)
            expect(visitor.page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
            self._cookies = visitor.page.context.storage_state()

    @contextmanager
    def visit(self, width: int = WIDE, theme: Theme = "light", *, stranger: bool = False) -> Iterator[Visitor]:
        """A new window. A stranger is not logged in."""
        narrow = width < WIDE
        context = self._chromium.new_context(
            viewport={"width": width, "height": HEIGHT},
            is_mobile=narrow,
            has_touch=narrow,
            user_agent=PHONE if narrow else None,
            color_scheme=theme,
            storage_state=None if stranger else self._cookies,
            locale="en-GB",
        )
        visitor = Visitor(context.new_page(), self._home)
        try:
            yield visitor
        finally:
            print("\n".join(visitor.complaints))  # pytest shows it where a test fails
            context.close()


@contextmanager
def chromium(home: str) -> Iterator[Browser]:
    """A Chromium for the dashboard at this address; skips where there is none."""
    if shutil.which("chromium") is None:
        pytest.skip("chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        # Its sandbox wants more than a container gives; what it is shown here is our own.
        browser = playwright.chromium.launch(executable_path=STEADY_CHROMIUM, args=["--no-sandbox"], timeout=LIMIT)
        expect.set_options(timeout=LIMIT)
        try:
            yield Browser(browser, home)
        finally:
            browser.close()


def as_shown(text: str) -> re.Pattern[str]:
    """A hostile text where it went through Markdown: with characters in it that take no room."""
    return re.compile(f"{_JOINER}?".join(map(re.escape, text)))


def beginning(text: str) -> re.Pattern[str]:
    return re.compile(f"^{re.escape(text)}")


def _is_in_view(link: Locator) -> bool:
    box = link.bounding_box() if link.is_visible() else None
    return box is not None and box["x"] >= 0
