"""How quick the dashboard is on a large library, in a real browser: `python -m benchmarks.dashboard`.

It serves the factory that the settings name (FACTORY_DATA, DATABASE_URL, ...), which `benchmarks.seed_ledger` has
filled, on a port of its own. The exit code is 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil
from playwright.sync_api import Browser, Page, sync_playwright
from sqlalchemy import text

from Src.Shared.database import Database
from Src.Shared.settings import PROJECT_ROOT, Settings, load_settings
from Src.Testing.ports import reserved_port

# Of each page what a person waits for: the heading alone is no page.
PAGES = {
    "overview": "[data-testid=stMetric]",
    "gallery": ".open",
    "map": ".cluster",
    "activity": "[data-testid=stDataFrame]",
    "problems": "[data-testid=stMainBlockContainer] h1",
    "services": "[data-testid=stMainBlockContainer] h1",
    "phone": "[data-testid=stMainBlockContainer] h1",
}
VIEWERS = 10
WATCHED = 30.0  # seconds that the viewers look
WAIT = 60_000  # milliseconds for one page at most


@dataclass(frozen=True)
class Figure:
    """What was measured, and what it may be."""

    name: str
    value: float
    unit: str
    most: float
    note: str = ""

    @property
    def is_met(self) -> bool:
        return self.value <= self.most

    def __str__(self) -> str:
        verdict = "" if self.is_met else "  MISSED"
        return f"{self.name:32} {self.value:8.2f} {self.unit:3}  goal {self.most:g}{verdict}  {self.note}"


def first_paints(browser: Browser, url: str, rounds: int) -> Iterator[Figure]:
    """From the address to what a person waits for, with nothing in the browser's cache; the median."""
    for name, selector in PAGES.items():
        seconds = []
        for _ in range(rounds):
            with browser.new_context(viewport={"width": 1400, "height": 900}) as context:
                page = context.new_page()
                began = time.perf_counter()
                page.goto(f"{url}/{name}", wait_until="commit")
                page.locator(selector).first.wait_for(timeout=WAIT)
                seconds.append(time.perf_counter() - began)
        yield Figure(f"first paint of {name}", median(seconds), "s", 2.0, f"most {max(seconds):.2f}")


def refresh_of_overview(rounds: int) -> Figure:
    """Server time of a whole run of Overview with nothing in the caches: more than a refresh ever has to do."""
    program = (
        "import json, sys, time\n"
        "import streamlit as st\n"
        "from streamlit.testing.v1 import AppTest\n"
        "script = 'from Src.Dashboard.views import overview\\noverview.show()'\n"
        "app = AppTest.from_string(script, default_timeout=60).run()\n"
        "seconds = []\n"
        "for _ in range(int(sys.argv[1])):\n"
        "    st.cache_data.clear()\n"
        "    began = time.perf_counter()\n"
        "    app.run()\n"
        "    seconds.append(time.perf_counter() - began)\n"
        "assert not app.exception, app.exception\n"
        "print(json.dumps(seconds))\n"
    )
    command = [sys.executable, "-c", program, str(rounds)]
    said = subprocess.run(command, cwd=PROJECT_ROOT, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    seconds = json.loads(said.stdout.splitlines()[-1])
    return Figure("refresh of Overview", 1000 * median(seconds), "ms", 300.0, f"most {1000 * max(seconds):.0f}")


def with_viewers(browser: Browser, url: str, process: psutil.Process, database: Database) -> Iterator[Figure]:
    """Half of them look at Overview, the others scroll through the gallery."""
    contexts = [browser.new_context() for _ in range(VIEWERS)]
    pages = [context.new_page() for context in contexts]
    for number, page in enumerate(pages):
        page.set_default_timeout(WAIT)
        page.goto(f"{url}/{'overview' if number % 2 else 'gallery'}")
        page.locator(PAGES["overview" if number % 2 else "gallery"]).first.wait_for(timeout=WAIT)
    memory, connections = 0, 0
    until = time.monotonic() + WATCHED
    while time.monotonic() < until:
        for page in pages[::2]:
            _scroll(page)
        memory = max(memory, process.memory_info().rss)
        with database.session() as session:
            counted = session.scalar(text("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dashboard'"))
        connections = max(connections, counted or 0)
    makers = sum(child.memory_info().rss for child in process.children(recursive=True))
    for context in contexts:
        context.close()
    note = f"and {makers / 1e6:.0f} MB of the processes that make pictures"
    yield Figure(f"memory with {VIEWERS} viewers", memory / 1e6, "MB", 600.0, note)
    yield Figure(f"connections with {VIEWERS} viewers", connections, "", 10.0)


def _scroll(page: Page) -> None:
    page.locator(".scroller").evaluate("one => one.scrollTop += one.clientHeight")
    page.wait_for_timeout(200)


@contextmanager
def serving(settings: Settings, program: str = "Src.Dashboard", **more: str) -> Iterator[tuple[str, psutil.Process]]:
    """The dashboard in a process of its own, with more in its environment; its address."""
    with reserved_port() as port:
        yield from _serving(settings, port, program, more)


def _serving(settings: Settings, port: int, program: str, more: dict[str, str]) -> Iterator[tuple[str, psutil.Process]]:
    environment = os.environ | {"DASHBOARD_PORT": str(port), "DASHBOARD_ADDRESS": "127.0.0.1", "DASHBOARD_PASSWORD": ""}
    environment |= more
    command = [sys.executable, "-m", program]
    log = settings.run / "dashboard-benchmark.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "wb") as out:
        process = subprocess.Popen(command, cwd=PROJECT_ROOT, env=environment, stdout=out, stderr=out)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, process, log)
        yield url, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=5):
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"the dashboard does not start; its log is {log}") from None
            time.sleep(0.1)


def main() -> int:
    """Measures, and prints each figure with its goal."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="of each first paint; refreshes are ten times as many")
    rounds = parser.parse_args().rounds
    chromium = shutil.which("chromium")
    if chromium is None:
        print("dashboard: chromium is not installed", file=sys.stderr)
        return 2
    settings = load_settings()
    database = Database(settings, service="benchmark")
    missed = False
    with serving(settings) as (url, process), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        next(first_paints(browser, url, 1))  # the first viewer of a process waits for its imports
        for figures in (
            first_paints(browser, url, rounds),
            iter([refresh_of_overview(10 * rounds)]),
            with_viewers(browser, url, process, database),
        ):
            for figure in figures:
                print(figure, flush=True)
                missed |= not figure.is_met
        browser.close()
    database.close()
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main())
