"""How the gallery stands a large library, in a real browser: `python -m benchmarks.gallery`.

It serves the factory that the settings name (FACTORY_DATA, DATABASE_URL, ...), on a port of its own;
`benchmarks.seed_ledger --thumbnails` has filled it. The exit code is 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from statistics import median, quantiles
from typing import Any

import psutil
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.dashboard import Figure, serving
from Src.Shared.settings import load_settings

SIZE = {"width": 1440, "height": 900}
WAIT = 60_000  # milliseconds for one thing at most
SCROLLED = 60.0  # seconds
SPEED = 2400  # pixels a second: some three windows
HURRY, HURRIED = 12_000, 10.0  # pixels a second, and seconds: a person who looks for something scrolls fast
NOTCH = 120  # pixels of one step of a wheel

# What a person sees: a photo in the view is blank until its picture is there. A photo is known by its place among all.
_EYES = """
() => {
  const find = (under) => {
    for (const one of under.querySelectorAll("*")) {
      const found = one.matches(".gallery") ? one : one.shadowRoot && find(one.shadowRoot);
      if (found) return found;
    }
    return null;
  };
  const gallery = find(document), scroller = gallery.querySelector(".scroller");
  const isThere = (cell) => {
    const image = cell.querySelector("img");
    return Boolean(image?.complete && image.naturalWidth && image.classList.contains("there"));
  };
  const seen = () => {
    const view = scroller.getBoundingClientRect();
    const cells = [];
    let [top, bottom] = [Infinity, -Infinity];
    for (const portion of gallery.querySelectorAll(".portion")) {
      const box = portion.getBoundingClientRect();
      [top, bottom] = [Math.min(top, box.top), Math.max(bottom, box.bottom)];
      if (box.bottom < view.top || box.top > view.bottom) continue;
      for (const [n, cell] of [...portion.querySelectorAll(".cell")].entries()) {
        const { top, height } = cell.getBoundingClientRect();
        const middle = top + height / 2;
        if (middle < view.top || middle > view.bottom) continue;
        cells.push([Number(portion.dataset.start) + n, isThere(cell), cell]);
      }
    }
    return { cells, isBare: top > view.top + 1 || bottom < view.bottom - 60 };
  };
  const eyes = (window.eyes = { blank: [], bare: 0, slowest: 0, pressed: 0 });
  eyes.yearAtTop = () => {
    const view = scroller.getBoundingClientRect();
    const heads = [...gallery.querySelectorAll(".head")].map((head) => [head.getBoundingClientRect(), head])
      .filter(([box]) => box.bottom > view.top && box.top < view.bottom).sort(([a], [b]) => a.top - b.top);
    return /\\d{4}/.exec(heads[0]?.[1].textContent ?? "")?.[0];
  };
  eyes.isAllThere = () => {
    const { cells, isBare } = seen();
    return !isBare && cells.length > 0 && cells.every(([, is]) => is);
  };
  // Seconds from the last press of a button until all of the view is there, and of this year; after 20 s no longer.
  eyes.arrives = (year) => new Promise((resolve) => {
    const look = () => {
      const isLate = performance.now() - eyes.pressed > 20000;
      const isSo = isLate || (eyes.yearAtTop() === year && eyes.isAllThere());
      if (isSo) resolve((performance.now() - eyes.pressed) / 1000);
      else requestAnimationFrame(look);
    };
    look();
  });
  addEventListener("pointerdown", () => { eyes.pressed = performance.now(); }, { capture: true });
  let since = new Map(), last = 0, watching = 0;
  eyes.watch = () => {
    Object.assign(eyes, { blank: [], bare: 0, slowest: 0 });
    [since, last] = [new Map(), performance.now()];
    const look = () => {
      const now = performance.now(), { cells, isBare } = seen(), inView = new Set();
      if (isBare) eyes.bare += now - last;
      eyes.slowest = Math.max(eyes.slowest, now - last);
      last = now;
      for (const [place, is] of cells) {
        inView.add(place);
        if (!since.has(place)) since.set(place, is ? null : now);
        if (is && !since.done?.has(place)) {
          eyes.blank.push(since.get(place) === null ? 0 : now - since.get(place));
          (since.done ??= new Set()).add(place);
        }
      }
      for (const [place, begin] of since) {
        if (inView.has(place)) continue;
        if (!since.done?.has(place)) eyes.blank.push(now - begin); // it has left, and was never seen
        since.delete(place);
        since.done?.delete(place);
      }
      watching = requestAnimationFrame(look);
    };
    look();
  };
  eyes.stop = () => {
    cancelAnimationFrame(watching);
    for (const [place, begin] of since) if (!since.done?.has(place)) eyes.blank.push(performance.now() - begin);
    return { blank: eyes.blank, bare: eyes.bare, slowest: eyes.slowest };
  };
}
"""


@contextmanager
def _opened(browser: Browser, url: str) -> Iterator[Page]:
    """The gallery, in a browser with nothing in its cache."""
    with browser.new_context(viewport=SIZE) as context:  # type: ignore[arg-type]
        page = context.new_page()
        page.set_default_timeout(WAIT)
        page.goto(f"{url}/gallery", wait_until="commit")
        yield page


def _look(page: Page) -> None:
    """Waits until all of the view is there."""
    page.locator(".open").first.wait_for()
    page.evaluate(_EYES)
    page.wait_for_function("eyes.isAllThere()", polling=30)


def first_paints(browser: Browser, url: str, rounds: int) -> Iterator[Figure]:
    """From the address to photos, and to all pictures of the view; the medians."""
    photos, pictures = [], []
    for _ in range(rounds):
        began = time.perf_counter()
        with _opened(browser, url) as page:
            page.locator(".open").first.wait_for()
            photos.append(time.perf_counter() - began)
            _look(page)
            pictures.append(time.perf_counter() - began)
    yield Figure("first paint", median(photos), "s", 2.0, f"{min(photos):.2f} to {max(photos):.2f}")
    yield Figure("all pictures of the view", median(pictures), "s", 2.0, f"{min(pictures):.2f} to {max(pictures):.2f}")


def years(browser: Browser, url: str) -> Iterator[Figure]:
    """From a click on each year of the scrubber until the view has all its pictures."""
    with _opened(browser, url) as page:
        _look(page)
        names = page.locator(".years span").all_text_contents()
        random.Random(3).shuffle(names)
        seconds = {}
        for name in names:
            if name == page.evaluate("eyes.yearAtTop()"):
                continue
            page.locator(".years span", has_text=name).click()
            seconds[name] = page.evaluate("(year) => eyes.arrives(year)", name)
    slowest = max(seconds, key=seconds.__getitem__)
    note = f"of {len(seconds)} years; median {median(seconds.values()):.2f}"
    yield Figure(f"the slowest year ({slowest})", seconds[slowest], "s", 1.0, note)


def scrolling(browser: Browser, url: str, seconds: float) -> Iterator[Figure]:
    """Somebody scrolls without a rest."""
    before = {one.pid for one in _tabs()}
    with _opened(browser, url) as page:
        _look(page)
        tabs = [one for one in _tabs() if one.pid not in before]  # one of them is kept ready for the next page
        box = page.locator(".scroller").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        seen, memory = _scroll(page, seconds, SPEED, tabs)
        hurried, most = _scroll(page, HURRIED, HURRY, tabs)
    yield _blank(f"blank while scrolling {seconds:.0f} s", seen, 300.0)
    yield Figure("memory of the tab", max(memory, most) / 1e6, "MB", 300.0, f"before the hurry {memory / 1e6:.0f}")
    yield Figure("nothing drawn", seen["bare"], "ms", 300.0, f"slowest frame {seen['slowest']:.0f} ms")
    yield _blank(f"blank in a hurry ({HURRY} px/s)", hurried, float("inf"))


def _blank(name: str, seen: dict[str, Any], most: float) -> Figure:
    blank = seen["blank"]
    late = sum(one > 300 for one in blank) / len(blank)
    note = f"of {len(blank)} photos; 95 % {quantiles(blank, n=20)[-1]:.0f}; longer than 300 ms {late:.1%}"
    return Figure(name, median(blank), "ms", most, note)


def _scroll(page: Page, seconds: float, speed: int, tabs: list[psutil.Process]) -> tuple[dict[str, Any], int]:
    """What was seen, and the most memory that the tab had."""
    page.evaluate("eyes.watch()")
    began, notches, memory = time.perf_counter(), 0, 0
    while (gone := time.perf_counter() - began) < seconds:
        due = int(gone * speed / NOTCH) - notches
        if due <= 0:
            page.wait_for_timeout(1000 * NOTCH / speed / 2)
            continue
        page.mouse.wheel(0, due * NOTCH)
        notches += due
        if notches % 50 < due:
            memory = max(memory, *map(_own_memory, tabs))
    seen: dict[str, Any] = page.evaluate("eyes.stop()")
    return seen, max(memory, *map(_own_memory, tabs))


def _own_memory(tab: psutil.Process) -> int:
    """What is in memory for this page, in bytes, shared with other processes or not; without the program's own file."""
    with open(f"/proc/{tab.pid}/status", encoding="ascii") as status:
        kilobytes = [int(line.split()[1]) for line in status if line.startswith(("RssAnon:", "RssShmem:"))]
    return 1024 * sum(kilobytes)


def _tabs() -> list[psutil.Process]:
    """The processes of Chromium that draw pages; ours only."""
    found = []
    for one in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it ends just now
            if "--type=renderer" in one.cmdline() and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
    return found


def main() -> int:
    """Measures, and prints each figure with its goal and the machine's load."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="of the first paint")
    parser.add_argument("--seconds", type=float, default=SCROLLED, help="of scrolling")
    wanted = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        print("gallery: chromium is not installed", file=sys.stderr)
        return 2
    missed = False
    with serving(load_settings()) as (url, _process), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        next(first_paints(browser, url, 1))  # the first viewer of a process waits for its imports
        for figures in (
            first_paints(browser, url, wanted.rounds),
            years(browser, url),
            scrolling(browser, url, wanted.seconds),
        ):
            load = os.getloadavg()[0]
            for figure in figures:
                print(f"{figure}  (load {load:.1f})", flush=True)
                missed |= not figure.is_met
        browser.close()
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main())
