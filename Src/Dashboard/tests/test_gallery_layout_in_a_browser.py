"""Where the gallery puts photos, and which of them are a part of the page, in a real browser."""

from __future__ import annotations

from typing import Any

import pytest

from Src.Dashboard.components import ASSETS
from Src.Dashboard.tests.test_gallery_parts_in_a_browser import page  # noqa: F401 (fixture)

pytestmark = pytest.mark.needs_programs

_RULES = """
() => {
  let state = 7;
  const chance = (below) => (state = (state * 48271) % 2147483647) % below;
  const wrong = [];
  for (let round = 0; round < 60; round++) {
    const days = Array.from({ length: 1 + chance(40) }, (_, n) =>
      [`20${String(60 - n).padStart(2, "0")}-01-01`, 1 + chance([3, 30, 900][chance(3)])]);
    const width = [320, 700, 1300][chance(3)];
    const portions = portionsOf(days);
    let start = 0;
    for (const [number, one] of portions.entries()) {
      if (one.number !== number || one.start !== start) wrong.push("place");
      start += one.count;
      const items = Array.from({ length: one.count }, () => ({ width: 1 + chance(40), height: 1 + chance(40) }));
      const known = { ...one, items };
      for (const shape of [shapeOf(one, width), shapeOf(known, width)]) {
        const { boxes } = shape;
        if (boxes.length !== one.count) wrong.push("a photo without a box");
        for (const [n, box] of boxes.entries()) {
          if (box.x < 0 || box.x + box.width > width + 0.01) wrong.push("beside the page");
          if (box.y + box.height > shape.height) wrong.push("below its portion");
          const next = boxes[n + 1];
          const isBelow = next?.y >= box.y + box.height, isBeside = next?.y === box.y && next.x >= box.x + box.width;
          if (next && !isBelow && !isBeside) wrong.push("photos one upon the other");
        }
        const y = chance(Math.ceil(shape.height) + 50) - 25;
        const [above, before] = [boxes.filter((box) => box.y + box.height <= y), boxes.filter((box) => box.y < y)];
        if (firstBelow(shape, y) !== above.length) wrong.push("the first below");
        if (firstFrom(shape, y) !== before.length) wrong.push("the first from there");
        if (Math.abs(offsetOf(shape, anchorAt(shape, y)) - y) > 0.01) wrong.push("an anchor that does not lead back");
      }
    }
    if (start !== days.reduce((sum, [, count]) => sum + count, 0)) wrong.push("photos that are in no portion");
  }
  return [...new Set(wrong)];
}
"""


def test_every_photo_has_its_place_and_none_lies_upon_another(page: Any) -> None:  # noqa: F811
    assert page.evaluate(_RULES) == []


def test_below_all_photos_of_a_portion_the_last_one_is_meant(page: Any) -> None:  # noqa: F811
    assert page.evaluate("anchorAt({ boxes: [{ y: 0, height: 9 }, { y: 10, height: 9 }] }, 19.5)") == {
        "n": 1,
        "delta": 9.5,
    }


_BEGIN = "async () => { window.grid = newGrid(); grid.show(await newFeed(), null) }"
_UPRIGHT = """
async () => {
  window.grid = newGrid();
  const feed = await newFeed(), { ask } = feed;
  feed.ask = async (...asked) => {
    const said = await ask(...asked);
    for (const item of said.items) [item.width, item.height] = [60, 90];
    return said;
  };
  grid.show(feed, { day: "2015-07-04" });
  await Promise.all([feed.load(feed.portions[1]), feed.load(feed.portions[2])]);
}
"""


def test_a_day_stays_at_the_top_though_what_is_above_turns_out_lower(page: Any) -> None:  # noqa: F811
    page.evaluate(_UPRIGHT)
    assert page.evaluate("Math.abs(grid.top - grid.tops[2])") < 2


def test_only_rows_near_the_view_are_a_part_of_the_page(page: Any) -> None:  # noqa: F811
    page.add_style_tag(path=ASSETS / "gallery/gallery.css")
    page.evaluate(_BEGIN)
    for y in (0, 1500, 4000, 900, 6000, 0):
        page.evaluate(f"grid.scroller.scrollTop = {y}; grid.onScroll(); grid.draw()")
        page.wait_for_function("!grid.asking && [...grid.drawn.keys()].every((one) => one.items)")
        drawn = page.evaluate("""
            () => {
              const { top, bottom } = grid.scroller.getBoundingClientRect();
              const boxes = [...grid.area.querySelectorAll(".cell")].map((cell) => [
                Number(cell.querySelector(".open").dataset.index), cell.getBoundingClientRect()]);
              const view = boxes.filter(([, box]) => box.bottom > top && box.top < bottom);
              return {
                places: boxes.map(([index]) => index),
                far: boxes.filter(([, box]) => box.bottom < top - 2.5 * 600 || box.top > bottom + 2.5 * 600).length,
                isCovered: Math.min(...view.map(([, box]) => box.top)) < top + 60
                  && Math.max(...view.map(([, box]) => box.bottom)) > bottom - 60,
              };
            }
        """)
        assert drawn["isCovered"] and drawn["far"] == 0
        assert drawn["places"] == sorted(set(drawn["places"]))  # as they are read
        assert len(drawn["places"]) < 90


def test_photos_come_while_one_scrolls(page: Any) -> None:  # noqa: F811
    page.evaluate(_BEGIN)
    there = page.evaluate("""
        async () => {
          const frame = () => new Promise(requestAnimationFrame);
          for (let y = 0; y < grid.tops[1] + 300; y += 60) {
            grid.scroller.scrollTop = y;
            await frame();
          }
          return [0, 1].map((number) => Boolean(grid.feed.portions[number].items));
        }
    """)
    assert there == [True, True]


def test_what_cannot_be_had_is_not_asked_for_again_and_again(page: Any) -> None:  # noqa: F811
    asked = page.evaluate("""
        async () => {
          window.grid = newGrid();
          grid.acts.failed = () => {};
          const feed = await newFeed();
          const now = performance.now(); // of a busy machine's clock no second passes
          performance.now = () => now;
          grid.settle = () => {}; // nor is one at rest between two frames
          let asked = 0;
          feed.ask = async () => { asked += 1; throw new Error("away"); };
          grid.show(feed, null);
          const frame = () => new Promise(requestAnimationFrame);
          for (let y = 0; y < 600; y += 30) {
            grid.scroller.scrollTop = y;
            await frame();
          }
          return asked;
        }
    """)
    assert 1 <= asked <= 6


def test_a_click_on_a_year_leads_to_its_newest_day_though_the_hand_moves(page: Any) -> None:  # noqa: F811
    page.evaluate(_BEGIN)
    page.add_style_tag(path=ASSETS / "gallery/gallery.css")
    page.evaluate("""
        () => {
          const rail = document.createElement("div");
          rail.style.cssText = "position: fixed; right: 0; top: 0; height: 600px; width: 58px";
          document.body.append(rail);
          window.scrubber = new Scrubber(rail, grid, grid.words);
          scrubber.draw();
        }
    """)
    box = page.locator(".years span", has_text="2020").bounding_box()
    x, y = box["x"] + 5, box["y"] + 10
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y + 2)
    assert page.evaluate("Math.abs(grid.top - grid.tops[1])") < 2
    page.mouse.move(x, y + 30)
    assert page.evaluate("grid.top - grid.tops[1]") > 200
    page.mouse.up()
