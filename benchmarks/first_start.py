"""From nothing to the first photo: `python -m benchmarks.first_start WHEELS`.

A fresh clone of this checkout's HEAD, an empty home, and the packages at hand in the folder WHEELS, which pip fills
where it is empty: the time from `./factory up` to a photo on the dashboard's Overview in a real browser. The photo is
put into the inbox when the start says that it is ready. The exit code is 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from playwright.sync_api import sync_playwright

from Src.Shared.settings import PROJECT_ROOT
from Src.Testing.ports import reserved_port

GOAL = 90.0  # seconds, on two cores that do nothing else
STANDING = 15.0  # seconds in which a set-up must say something
LIMIT = 900.0  # seconds until we give up
READY, INSTALLED = "Drop photos into", "requirements installed"
_CHROMIUM = PROJECT_ROOT / "Stack" / "tests" / "steady_chromium.py"
_PHOTO = PROJECT_ROOT / "Src" / "Librarian" / "tests" / "samples" / "Canon_40D.jpg"


@dataclass
class Start:
    """What `./factory up` said, and when (seconds since the command)."""

    lines: list[tuple[float, str]]

    def when(self, words: str) -> float:
        """When it said this first; nan: it did not."""
        return next((at for at, line in self.lines if words in line), float("nan"))

    @property
    def longest_silence(self) -> float:
        """Seconds between two lines of the set-up."""
        moments = [0.0, *(at for at, _ in self.lines if at <= self.when(INSTALLED))]
        return max(later - before for before, later in pairwise(moments))


def main() -> int:
    parser = argparse.ArgumentParser("first_start", description=__doc__)
    parser.add_argument("wheels", type=Path, help="folder of the packages' wheels; filled where it is empty")
    options = parser.parse_args()
    fill(options.wheels.resolve())
    print(f"{os.cpu_count()} cores, load {load()} before")
    with tempfile.TemporaryDirectory(prefix="first-start-") as folder, reserved_port() as port:
        Path(folder).chmod(0o711)  # PostgreSQL's own account passes through
        start, seen = measure(Path(folder), options.wheels.resolve(), port)
    print(f"load {load()} after")
    for name, value in (
        ("packages installed", start.when(INSTALLED)),
        ("ready", start.when(READY)),
        ("photo on Overview", seen),
    ):
        print(f"{name:32} {value:8.1f} s{f'  goal {GOAL:g}' if value == seen else ''}")
    print(f"{'longest silence of the set-up':32} {start.longest_silence:8.1f} s  goal {STANDING:g}")
    return 0 if seen <= GOAL and start.longest_silence <= STANDING else 1


def load() -> str:
    return " ".join(f"{value:.1f}" for value in os.getloadavg())


def fill(wheels: Path) -> None:
    """Fetches the packages, as a cache would have them."""
    if wheels.is_dir() and any(wheels.glob("*.whl")):
        return
    pins = PROJECT_ROOT / "requirements" / "local.txt"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(wheels), "-r", str(pins)]
    subprocess.run(command, check=True)


def measure(folder: Path, wheels: Path, port: int) -> tuple[Start, float]:
    """What was said, and after how many seconds the photo was seen."""
    clone, home, data = folder / "clone", folder / "home", folder / "data"
    subprocess.run(["git", "clone", "--quiet", str(PROJECT_ROOT), str(clone)], check=True)
    home.mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "FACTORY_DATA": str(data),
        "FACTORY_DB_DATA": str(data / "factory-db-data"),
        "DASHBOARD_PORT": str(port),
        "DOCKER_CONTEXT": "none",  # whether a stack runs is not asked
        "FACTORY_NO_APT": "1",
    }
    began = time.monotonic()
    with started(clone, environment) as process:
        start = Start([])
        assert process.stdout is not None
        for line in process.stdout:
            start.lines.append((time.monotonic() - began, line))
            if READY in line or time.monotonic() - began > LIMIT:
                break
        else:
            raise SystemExit("".join(line for _, line in start.lines))
        shutil.copy(_PHOTO, data / "Photos_Inbox" / "first.jpg")
        with (
            sync_playwright() as playwright,
            playwright.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"]) as browser,
        ):
            page = browser.new_page()
            page.goto(f"http://127.0.0.1:{port}/overview")
            page.locator(".pf-strip a").first.wait_for(timeout=LIMIT * 1000)
            return start, time.monotonic() - began


@contextmanager
def started(clone: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [clone / "factory", "up"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=120)  # what it says meanwhile is read: no full pipe holds it up
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
