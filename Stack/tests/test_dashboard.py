"""The dashboard as people have it: served by `./factory up`, looked at with a real browser.

One factory for all, with a real ledger, real photos and real Syncthings; a test leaves it as healthy as it was. With
FACTORY_SCREENSHOTS=FOLDER, pictures of all pages, in both themes and at both widths, are put there.
"""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from Src.Shared.syncthing.provision import provision
from Src.Shared.syncthing.tests.real_syncthing import API_KEY, RealSyncthing, running
from Src.Testing.patience import wait_until
from Src.Testing.ports import reserved_port
from Stack.tests.browser import NARROW, PAGES, WIDE, Browser, Theme, Visitor, as_shown, beginning, chromium
from Stack.tests.conftest import ExternalLedger, new_ledger
from Stack.tests.photos import unique_jpeg
from Stack.tests.real_factory import LIMIT, SAMPLES, SHORT_DELAYS, Factory, Running, unprivileged

pytestmark = [pytest.mark.needs_programs, pytest.mark.xdist_group("dashboard"), pytest.mark.timeout(1800)]

PASSWORD = "correct horse battery staple"
HEARTBEAT = 4  # seconds; late after 6, silent after 12
AWAY = "The database has not answered"
SIGNS = {  # what each page says at the very first start, as soon as nothing is late: on a busy machine much may be
    "Overview": "All good: ready for the first photo",
    "Gallery": "No photos yet",
    "Map": "No photos with a location yet",
    "Activity": "No file has come in yet",
    "Problems": "No problems.",
    "Phone": "Scan this on the phone",
}
# The librarian's last heartbeat came so long ago, and one was due each hour. Not where it is just writing another.
_AGE = """
    UPDATE system_status SET last_heartbeat = now() - make_interval(hours => %s), interval_seconds = 3600
    WHERE service_name = (
        SELECT service_name FROM system_status WHERE service_name = 'librarian' FOR UPDATE SKIP LOCKED)
    RETURNING 1"""

HOSTILE = "<img src=x onerror=alert(1)>"  # a name
HOSTILE_EXIF = f"![x](http://outside.example/x.png){HOSTILE}:red[$x$]"
UNREADABLE = f"{HOSTILE} unreadable.jpg"
FIRST = "DSCN0010.jpg"  # of the photos to come
LONG = f"{'a name as long as names can be ' * 7}.jpg"


@dataclass(frozen=True)
class Site:
    """A factory that runs, what it works with, and who may look at it."""

    factory: Factory
    ledger: ExternalLedger
    syncthing: RealSyncthing
    browser: Browser
    running: Running

    def put(self, name: str, content: bytes) -> Path:
        """Into the inbox, at once and complete."""
        hidden = self.factory.inbox / ".arriving"
        hidden.write_bytes(content)
        return hidden.rename(self.factory.inbox / name)

    def wait_filed(self, name: str) -> None:
        known = "SELECT 1 FROM ingest_events WHERE original_name = %s AND fate = 'ingested'"
        wait_until(lambda: self.ledger.sql(known, name), LIMIT, f"{name} is filed")


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def first_start(external_socket: Path) -> Iterator[Site]:
    """A factory in which there is no photo yet."""
    with (
        tempfile.TemporaryDirectory(prefix="pf-e2e-") as name,
        new_ledger(external_socket) as ledger,
        running(Path(name) / "syncthing", "factory") as syncthing,
        reserved_port() as port,
    ):
        factory = Factory(Path(name) / "factory")
        factory.environment = {
            **SHORT_DELAYS,
            "DATABASE_URL": ledger.url,
            "SYNCTHING_URL": syncthing.url,
            "SYNCTHING_API_KEY": API_KEY,
            "DASHBOARD_PORT": str(port),
            "DASHBOARD_PASSWORD": PASSWORD,
            "HEARTBEAT_INTERVAL": str(HEARTBEAT),
            "MONITOR_INTERVAL": "2",
            "INFRASTRUCTURE_INTERVAL": str(HEARTBEAT),
            "RETRY_FIRST_DELAY": "3600",
        }
        provision(syncthing.client, factory.inbox)
        with (
            factory.start("up", wrapper=unprivileged()) as up,
            chromium(f"http://127.0.0.1:{port}/") as browser,
        ):
            up.wait_for("watching ")
            up.wait_for("serving http")
            wait_until(lambda: is_open(port), LIMIT, "the dashboard answers")
            browser.log_in(PASSWORD)
            yield Site(factory, ledger, syncthing, browser, up)


@pytest.fixture(scope="module")
def first_look(first_start: Site) -> dict[str, str]:
    """What each page says before the first photo has come."""
    said = {}
    looks: tuple[tuple[int, Theme], ...] = ((WIDE, "light"), (NARROW, "dark"))
    for width, theme in looks:
        with first_start.browser.visit(width, theme) as visitor:
            visitor.arrive()
            for page in PAGES:
                visitor.go(page)
                sign = SIGNS.get(page, "")
                said[page] = wait_until(partial(_said_with, visitor, sign), LIMIT, sign)
                visitor.picture(f"first-{page}-{width}-{theme}")
            assert_well(visitor)
    return said


def _said_with(visitor: Visitor, sign: str) -> str:
    said = visitor.said()
    return said if sign in said else ""


@pytest.fixture(scope="module")
def site(first_start: Site, first_look: dict[str, str]) -> Site:
    """With photos, one of which cannot be read, and something else; every name and text that could be hostile is."""
    site = first_start
    with site.browser.visit() as visitor:
        visitor.arrive()
        visitor.go("Gallery")
        site.put(FIRST, (SAMPLES / FIRST).read_bytes())  # alone: the page then shows what is there by then
        expect(visitor.page.get_by_role("button", name=beginning(FIRST))).to_be_visible()  # without a click or a reload
        fill(site)
        [(originals,)] = site.ledger.sql("SELECT count(*) FROM media_assets")
        more = visitor.page.get_by_role("button", name=f"{originals - 1} new photos")
        expect(more).to_be_visible()
        visitor.picture("new-photos")
        more.click()
        expect(visitor.page.get_by_role("button", name=beginning(LONG))).to_be_visible()
        assert_well(visitor)
    return site


def fill(site: Site) -> None:
    for sample in sorted(SAMPLES.iterdir()):
        if sample.name != FIRST:
            site.put(sample.name, sample.read_bytes())
    site.put(f"{HOSTILE}.jpg", hostile_jpeg())
    site.put(LONG, unique_jpeg(1))
    site.wait_filed(f"{HOSTILE}.jpg")  # else the next may be the original, and this its duplicate
    site.put(f"{HOSTILE} again.jpg", hostile_jpeg())
    site.put(f"{HOSTILE}.txt", b"not a photo")
    hidden = site.factory.inbox / ".arriving"
    hidden.write_bytes(unique_jpeg(2))
    hidden.chmod(0)
    hidden.rename(site.factory.inbox / UNREADABLE)
    wait_until(lambda: [*site.factory.inbox.glob("*.jpg")] == [site.factory.inbox / UNREADABLE], LIMIT, "all is filed")
    wait_until(lambda: site.ledger.sql("SELECT 1 FROM inbox_files WHERE state = 'failing'"), LIMIT, "one is not")


def hostile_jpeg() -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x010E] = HOSTILE, HOSTILE_EXIF, HOSTILE_EXIF  # make, model, description
    exif.get_ifd(0x8769)[0x9003] = "2024:05:17 12:00:00"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 30.0), 3: "E", 4: (2.0, 17.0, 40.0)})
    made = BytesIO()
    Image.linear_gradient("L").resize((640, 480)).convert("RGB").save(made, "jpeg", exif=exif)
    return made.getvalue()


def assert_well(visitor: Visitor) -> None:
    """No page failed, nothing of what was shown was obeyed, and nobody outside was asked."""
    assert visitor.exceptions() == []
    assert visitor.complaints == []
    assert visitor.dialogs == []
    assert visitor.page.locator("img[src=x]").count() == 0
    assert visitor.asked == {visitor.home.split("/")[2]}


def test_the_first_look_says_how_to_begin(first_look: dict[str, str], first_start: Site) -> None:
    assert all(sign in first_look[page] for page, sign in SIGNS.items())
    assert str(first_start.factory.inbox) in first_look["Overview"]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_every_page_loads_and_fits(site: Site, width: int, theme: Theme) -> None:
    with site.browser.visit(width, theme) as visitor:
        visitor.arrive()
        for page in PAGES:
            visitor.go(page)
            visitor.wait_fits()
            if page == "Map":
                expect(visitor.page.locator(".cluster").first).to_be_visible()
            visitor.picture(f"{page}-{width}-{theme}")
            assert visitor.exceptions() == []
        visitor.go("Gallery")
        visitor.page.get_by_role("button", name=beginning("DSCN0010.jpg")).click()
        expect(visitor.page.locator(".pswp__caption").get_by_text("DSCN0010.jpg")).to_be_visible()
        visitor.picture(f"Photo-{width}-{theme}", whole=False)
        assert_well(visitor)


def test_what_comes_in_shows_up_without_a_reload(site: Site) -> None:
    with site.browser.visit() as visitor:
        visitor.arrive()
        page = visitor.page
        page.evaluate("window.notReloaded = true")
        pictures = page.locator(".pf-strip img")
        before = pictures.first.get_attribute("src")
        [(originals,)] = site.ledger.sql("SELECT count(*) FROM media_assets")
        assert before

        site.put("just now.jpg", unique_jpeg(3))

        expect(pictures.first).not_to_have_attribute("src", before)
        expect(page.get_by_test_id("stMetric").filter(has_text="Photos and videos")).to_contain_text(f"{originals + 1}")
        assert page.evaluate("window.notReloaded")
        assert_well(visitor)


def test_hostile_names_and_exif_are_text_everywhere(site: Site) -> None:
    name = f"{HOSTILE}.jpg"
    with site.browser.visit() as visitor:
        page = visitor.page
        visitor.arrive()

        visitor.go("Gallery")
        page.get_by_role("combobox", name="Search photos").fill("outside.example")
        page.get_by_role("option").filter(has_text=HOSTILE_EXIF).click()
        page.get_by_role("button", name=beginning(name)).click()
        page.wait_for_function("document.activeElement.closest('.pswp')")  # it hears the keys from then on
        page.keyboard.press("i")
        facts = page.locator(".facts")
        expect(facts.get_by_text(name, exact=True).first).to_be_visible()
        expect(facts.get_by_text(f"{HOSTILE} {HOSTILE_EXIF}")).to_be_visible()
        page.keyboard.press("Escape")

        visitor.go("Activity")
        page.get_by_label("Where is my photo?").fill(HOSTILE)
        page.keyboard.press("Enter")
        expect(visitor.table(name).first).to_be_attached()
        expect(visitor.table(f"{HOSTILE} again.jpg").first).to_be_attached()

        visitor.go("Problems")
        expect(visitor.table(UNREADABLE).first).to_be_attached()
        expect(visitor.table(f"{HOSTILE}.txt").first).to_be_attached()

        visitor.go("Services")
        expect(page.get_by_test_id("stCode").get_by_text(HOSTILE).first).to_be_visible()
        assert_well(visitor)


def test_a_phone_with_a_hostile_name_asks_and_is_let_in(site: Site) -> None:
    with (
        running(site.factory.data.parent / "phone", f"{HOSTILE_EXIF}") as phone,
        site.browser.visit() as visitor,
    ):
        visitor.arrive()
        visitor.go("Phone")
        phone.add(site.syncthing.id, site.syncthing.address)
        expect(visitor.page.get_by_text(as_shown(HOSTILE_EXIF)).first).to_be_visible()
        with visitor.held():
            visitor.page.get_by_role("button", name="Accept").click()
            expect(visitor.alert("is accepted").first).to_be_visible()
        assert phone.id in {device["deviceID"] for device in site.syncthing.client.config_devices()}
        assert_well(visitor)


def test_retry_works(site: Site) -> None:
    with site.browser.visit() as visitor:
        visitor.arrive()
        visitor.go("Problems")
        expect(visitor.table("Permission denied").first).to_be_attached()
        (site.factory.inbox / UNREADABLE).chmod(0o644)

        with visitor.held():
            visitor.page.get_by_role("button", name="Try all again now").click()
            expect(visitor.alert("1 file will be tried again within seconds").first).to_be_visible()

        site.wait_filed(UNREADABLE)
        expect(visitor.table(UNREADABLE)).to_have_count(0)
        assert_well(visitor)


def test_a_person_finds_things_in_under_three_clicks(site: Site) -> None:
    with site.browser.visit() as visitor:
        visitor.arrive()
        page = visitor.page
        page.evaluate("window.clicks = 0; addEventListener('click', (event) => clicks += event.isTrusted, true)")

        def clicks() -> int:
            count = int(page.evaluate("clicks"))
            page.evaluate("clicks = 0")
            return count

        visitor.go("Gallery")
        page.get_by_role("combobox", name="Search photos").click()
        page.keyboard.type("dscn")
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name=beginning("Canon_40D"))).to_have_count(0)
        expect(page.get_by_role("button", name=beginning("DSCN0010.jpg"))).to_be_visible()
        assert clicks() < 3, "a photo by its name"

        visitor.go("Activity")
        page.get_by_label("Where is my photo?").click()
        page.keyboard.type("again.jpg")
        page.keyboard.press("Enter")
        expect(visitor.table("duplicate, not kept twice").first).to_be_attached()
        assert clicks() < 3, "what became of a file"

        visitor.go("Problems")
        expect(page.get_by_role("heading", name="Not photos or videos").first).to_be_visible()
        expect(visitor.table(f"{HOSTILE}.txt").first).to_be_attached()
        assert clicks() < 3, "why a file is not filed"

        visitor.go("Phone")
        expect(page.get_by_alt_text("The factory's Syncthing device ID as a QR code")).to_be_visible()
        assert clicks() < 3, "the QR code"


def test_a_librarian_that_stops_turns_the_page_yellow_then_red(site: Site) -> None:
    librarian = site.factory.named("-m Src.Librarian ")[0]

    def stopped_since(hours: int) -> bool:
        """In real time it is yellow for seconds only, in which a busy machine may not look."""
        os.kill(librarian, signal.SIGSTOP)
        if site.ledger.sql(_AGE, hours):
            return True
        os.kill(librarian, signal.SIGCONT)
        return False

    with site.browser.visit() as visitor:
        visitor.arrive()
        expect(visitor.alert("All good").first).to_be_visible()
        try:
            wait_until(partial(stopped_since, 2), LIMIT, "it is stopped between two heartbeats")
            expect(visitor.alert("The librarian is late").first).to_be_visible()
            expect(visitor.alert("The librarian is late", "Warning").first).to_be_visible()
            wait_until(partial(stopped_since, 4), LIMIT, "it is stopped between two heartbeats")
            expect(visitor.alert("The librarian has been silent", "Error").first).to_be_visible()
            visitor.picture("silent")
        finally:
            os.kill(librarian, signal.SIGCONT)
        expect(visitor.alert("All good", "Success").first).to_be_visible()
        assert_well(visitor)


def test_a_killed_dashboard_comes_back_and_the_page_goes_on_by_itself(site: Site) -> None:
    with site.browser.visit() as visitor:
        visitor.arrive()
        visitor.page.evaluate("window.notReloaded = true")
        for pid in site.factory.named("-m Src.Dashboard"):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        site.put("after the kill.jpg", unique_jpeg(4))
        [(originals,)] = site.ledger.sql("SELECT count(*) FROM media_assets")
        shown = visitor.page.get_by_test_id("stMetric").filter(has_text="Photos and videos")
        site.wait_filed("after the kill.jpg")
        [(originals,)] = site.ledger.sql("SELECT count(*) FROM media_assets")
        expect(shown).to_contain_text(f"{originals}")
        assert visitor.page.evaluate("window.notReloaded")
        assert visitor.exceptions() == []


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_with_the_database_away_every_page_says_so_and_recovers(site: Site, width: int) -> None:
    with site.browser.visit(width) as visitor:
        visitor.arrive()
        site.ledger.forwarder.cut()
        try:
            expect(visitor.alert(f"{AWAY} for").filter(has_text="photos are still being filed").first).to_be_visible()
            for page in PAGES:
                visitor.go(page)
                if page != "Phone":  # which is not about the ledger
                    expect(visitor.alert(AWAY).first).to_be_visible()
                assert "No problems" not in visitor.said()
                visitor.picture(f"away-{page}-{width}")
                assert visitor.exceptions() == []
        finally:
            site.ledger.forwarder.reopen()
        visitor.go("Overview")
        expect(visitor.alert("All good").first).to_be_visible()
        for page in PAGES:
            visitor.go(page)
            expect(visitor.alert(AWAY)).to_have_count(0)
        assert_well(visitor)


def test_the_password_keeps_out_who_has_none(site: Site) -> None:
    with site.browser.visit(stranger=True) as visitor:
        page = visitor.page
        for address in ("", "library", "?page=library"):
            page.goto(visitor.home + address)
            expect(page.get_by_label("Password")).to_be_visible()
            assert "Overview" not in page.content()
        visitor.log_in("wrong")
        expect(page.get_by_role("alert")).to_contain_text("Wrong password. Run ./factory password to see it.")
        visitor.log_in(PASSWORD)
        expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
        page.goto(f"{visitor.home}logout")
        expect(page.get_by_label("Password")).to_be_visible()
