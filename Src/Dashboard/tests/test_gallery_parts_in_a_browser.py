"""Parts of the gallery's script in a real browser, by themselves: what the routes tell is made up here.

A test that fails here is about a wrong photo, or about one that is not there any more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from Src.Dashboard.components import ASSETS, GALLERY_SCRIPT
from Src.Dashboard.tests.browsing import LIMIT
from Src.Testing.patience import wait_until

pytestmark = pytest.mark.needs_programs

_HOME = "http://gallery.test/"
_PICTURE = "<svg xmlns='http://www.w3.org/2000/svg' width='80' height='60'/>"

# `library`: what the days have told, and what really comes. Each photo is called DAY NUMBER, by its place in its day.
_BEGIN = """
() => {
  window.told = { "2024-05-03": 100, "2020-06-01": 100, "2015-07-04": 100 };
  window.comes = { ...told };
  const item = (day, n) => ({
    id: `${day}_${n}`, name: `${day} ${n}`, day, taken: day, token: "x", after: "x", width: 80, height: 60 });
  window.newFeed = async () => {
    const feed = new Feed("", "taken", "");
    feed.ask = async (what, { last } = {}) => what === "days" ? { days: Object.entries(told) }
      : { items: Array.from({ length: comes[last] }, (_, n) => item(last, 100 - comes[last] + n)) };
    return await feed.begin();
  };
  window.newGrid = () => {
    const scroller = document.createElement("div");
    scroller.style.cssText = "position: relative; height: 600px; width: 1000px; overflow: auto; overflow-anchor: none";
    document.body.append(scroller);
    window.chosen = [];
    return new Grid(scroller, new Words({ month_first: false, thousands: "," }), {
      click: (index) => chosen.push(grid.feed.item(index).name),
      toggle: (index) => chosen.push(grid.feed.item(index).name),
      isChosen: () => false, isChoosing: () => false, failed: (error) => { throw error },
    });
  };
}
"""


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page that has the classes of the script."""
    with browser.new_context(viewport={"width": 1200, "height": 800}, reduced_motion="reduce") as context:
        page = context.new_page()
        page.set_default_timeout(LIMIT)
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.route(f"{_HOME}**", _serve)
        page.goto(_HOME)
        page.wait_for_function("window.Gallery !== undefined")
        page.evaluate(_BEGIN)
        yield page
        assert wrong == []


def _serve(route: Any) -> None:
    path = route.request.url.removeprefix(_HOME)
    if path == "":
        route.fulfill(body="<!doctype html><title>Test</title><script type='module' src='gallery.js'></script>")
    elif path == "gallery.js":
        names = "Asked, Choice, Drag, Facts, Feed, Gallery, Grid, Scrubber, Search, Viewer, Words, answerOf"
        names += ", anchorAt, firstBelow, firstFrom, offsetOf, portionsOf, shapeOf"
        route.fulfill(body=f"{GALLERY_SCRIPT}\nObject.assign(window, {{ {names} }})", content_type="text/javascript")
    elif path.startswith("assets/"):
        route.fulfill(body=(ASSETS / path.removeprefix("assets/")).read_text(), content_type="text/javascript")
    else:
        route.fulfill(body=_PICTURE, content_type="image/svg+xml")


_JUMP = """
async () => {
  window.grid = newGrid();
  const feed = await newFeed();
  grid.show(feed, { day: "2015-07-04" });
  await grid.load(feed.portions[2]);
}
"""


# What comes with the days: how many of the newest, and how many of the day after that; the days told of 100 each.
_FIRST = """
async ([newest, next]) => {
  const feed = new Feed("", "taken", "");
  const item = (day, n) => ({ id: `${day}_${n}`, name: `${day} ${n}`, day, after: "x" });
  const items = [["2024-05-03", newest], ["2020-06-01", next]]
    .flatMap(([day, count]) => Array.from({ length: count }, (_, n) => item(day, n)));
  feed.ask = async (what, { limit }) => what === "days" && limit === 160 ? { days: Object.entries(told), items } : null;
  await feed.begin(true);
  return [feed.portions[0].items?.length ?? null, feed.total];
}
"""


@pytest.mark.parametrize(
    ("came", "taken"),
    [((100, 60), [100, 300]), ((101, 59), [101, 301]), ((90, 30), [90, 290]), ((160, 0), [None, 300])],
    ids=["as told", "one more", "few", "cut within a day"],
)
def test_the_first_photos_come_with_the_days(page: Any, came: tuple[int, int], taken: list[int | None]) -> None:
    assert page.evaluate(_FIRST, list(came)) == taken


@pytest.mark.parametrize("by", [-3, 2])
def test_a_click_means_the_photo_that_is_seen_though_newer_ones_come_or_go(page: Any, by: int) -> None:
    page.evaluate(_JUMP)
    page.locator("[title='2015-07-04 0']").wait_for()
    page.evaluate(f"async () => {{ comes['2024-05-03'] = 100 + {by}; await grid.feed.load(grid.feed.portions[0]) }}")
    page.locator("[title='2015-07-04 0']").dispatch_event("click")
    page.get_by_role("button", name="Choose 2015-07-04 1", exact=True).dispatch_event("click")
    assert page.evaluate("chosen") == ["2015-07-04 0", "2015-07-04 1"]
    assert page.evaluate("grid.feed.total") == 300 + by


def test_who_is_at_a_photo_by_keyboard_stays_at_it(page: Any) -> None:
    page.evaluate(_JUMP)
    page.locator("[title='2015-07-04 0']").focus()
    page.evaluate("async () => { comes['2024-05-03'] = 97; await grid.feed.load(grid.feed.portions[0]) }")
    assert page.evaluate("document.activeElement.title") == "2015-07-04 0"
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.activeElement.title === '2015-07-04 1'")


def test_shift_chooses_from_the_photo_that_was_chosen_though_newer_ones_went(page: Any) -> None:
    page.evaluate(_JUMP)
    names = page.evaluate("""
        async () => {
          const choice = new Choice(document.createElement("div"), grid.words, 5000, "");
          choice.feed = grid.feed;
          grid.renumbered = (behind, by) => choice.renumbered(behind, by);
          choice.toggle(grid.feed.item(205), 205);
          comes["2024-05-03"] = 97;
          await grid.feed.load(grid.feed.portions[0]);
          await choice.extend(grid.feed.placeOf("2015-07-04_7"));
          return [...choice.chosen.values()].map((item) => item.name);
        }
    """)
    assert names == [f"2015-07-04 {n}" for n in (5, 6, 7)]


@pytest.mark.parametrize(("comes", "number"), [(100, 300), (40, 240), (0, 200)])
def test_a_range_ends_though_fewer_come_than_was_told(page: Any, comes: int, number: int) -> None:
    found = page.evaluate(f"""
        async () => {{
          comes["2015-07-04"] = {comes};
          const feed = await newFeed();
          const load = feed.load.bind(feed);
          let left = 20;
          feed.load = (one) => {{ if (!left--) throw new Error("it goes on for ever"); return load(one); }};
          return (await feed.range(0, 299)).length;
        }}
    """)
    assert found == number


_LOOK = """
async () => {
  window.acts = [];
  window.grid = newGrid();
  const feed = await newFeed();
  grid.show(feed, { day: "2015-07-04" });
  await feed.load(feed.portions[2]);
  window.viewer = new Viewer(grid.words, () => {}, (what, photos) => acts.push([what, ...photos]));
  grid.renumbered = (behind, by) => viewer.renumbered(behind, by);
  await viewer.open(feed, 200);
}
"""


@pytest.fixture
def looking(page: Any) -> Callable[[str], None]:
    """The first photo of 2015 over the page; what is called then waits for a photo to be named there."""
    page.evaluate(_LOOK)

    def shows(name: str) -> None:
        page.locator(".pswp__caption", has_text=name).wait_for()

    shows("2015-07-04 0")
    return shows


@pytest.mark.parametrize("by", [-3, 2])
def test_what_is_done_to_the_photo_that_is_seen_is_done_to_no_other(
    page: Any, looking: Callable[[str], None], by: int
) -> None:
    page.evaluate(f"async () => {{ comes['2024-05-03'] = 100 + {by}; await grid.feed.load(grid.feed.portions[0]) }}")
    page.keyboard.press("b")
    page.keyboard.press("ArrowRight")
    looking("2015-07-04 1")
    page.keyboard.press("b")
    page.keyboard.press("ArrowLeft")
    looking("2015-07-04 0")
    page.keyboard.press("ArrowLeft")
    looking("2020-06-01 99")
    page.keyboard.press("b")
    assert page.evaluate("acts") == [
        ["favourite", "2015-07-04_0"],
        ["favourite", "2015-07-04_1"],
        ["favourite", "2020-06-01_99"],
    ]


@pytest.mark.parametrize("number", [1, 60])
def test_one_goes_back_to_a_portion_of_which_less_is_left(page: Any, number: int) -> None:
    page.evaluate(f"comes['2020-06-01'] = {number}")
    page.evaluate(_LOOK)
    for key, name in (("", "2015-07-04 0"), ("ArrowLeft", "2020-06-01 99"), ("ArrowRight", "2015-07-04 0")):
        if key:
            page.keyboard.press(key)
        page.locator(".pswp__caption", has_text=name).wait_for()
        page.wait_for_function(f"viewer.item.name === {name!r}")
    assert page.evaluate("viewer.pswp.currIndex") == 100 + number


def test_a_key_that_is_held_down_acts_once(page: Any) -> None:
    page.evaluate(_LOOK)
    page.locator(".pswp__caption", has_text="2015-07-04 0").wait_for()
    for _ in range(4):
        page.keyboard.down("Delete")  # Playwright: the second and later ones repeat
    page.keyboard.up("Delete")
    page.locator(".pswp__caption", has_text="2015-07-04 1").wait_for()
    assert page.evaluate("acts") == [["remove", "2015-07-04_0"]]


def test_the_tab_key_reaches_the_photos_after_a_jump(page: Any) -> None:
    page.evaluate(_JUMP)
    page.locator("[title='2015-07-04 0']").wait_for()
    assert page.evaluate("[...document.querySelectorAll('.open[tabindex=\"0\"]')].map((one) => one.title)") == [
        "2015-07-04 0"
    ]


@pytest.mark.parametrize(("comes", "stays"), [(100, "2015-07-04 4"), (50, "2015-07-04 50")])
def test_who_is_at_a_photo_by_keyboard_is_there_after_all_was_asked_for_anew(page: Any, comes: int, stays: str) -> None:
    page.evaluate(_JUMP)
    page.locator("[title='2015-07-04 4']").focus()
    page.evaluate(f"""
        async () => {{
          comes["2015-07-04"] = {comes};
          const feed = await newFeed();
          grid.show(feed, {{ day: "2015-07-04" }});
        }}
    """)
    page.wait_for_function(f"document.activeElement.title === {stays!r}")
    assert page.locator(".open[tabindex='0']").count() == 1


def test_what_is_not_answered_is_sent_again_in_its_order(page: Any) -> None:
    sent = page.evaluate("""
        () => {
          const sent = [], refused = [];
          const asked = new Asked((acts) => sent.push(acts));
          asked.answered({ done: Date.now() + 60000, refused: [] }); // by a clock that was ahead
          asked.add("remove", ["a"], "");
          asked.add("favourite", ["b"], "", () => refused.push("b"));
          const [first, second] = sent[1].map(({ number }) => number);
          asked.answered({ done: first, refused: [] });
          asked.add("remove", ["c"], "");
          asked.answered({ done: second, refused: [second] });
          asked.end();
          return [sent.map((acts) => acts.map(({ photos }) => photos[0]).join()), refused, first < second,
            first > asked.acts[0].number - 3];
        }
    """)
    assert sent == [["a", "a,b", "b,c"], ["b"], True, True]


def test_acts_are_sent_again_by_themselves_until_they_are_answered(page: Any) -> None:
    page.evaluate("""
        () => {
          window.sent = 0;
          window.asked = new Asked(() => {
            sent += 1; if (sent === 2) asked.answered({ done: Infinity, refused: [] }); });
          asked.add("remove", ["a"], "");
        }
    """)
    page.wait_for_function("sent === 2 && !asked.acts.length")


def test_an_answer_that_is_the_dashboards_page_is_no_answer(page: Any) -> None:
    said = page.evaluate("""
        async () => answerOf(new Response("<!doctype html>", { status: 200 })).then(() => "", (error) => error.message)
    """)
    assert "Load the page again" in said


def test_what_is_chosen_after_an_act_stays_chosen(page: Any) -> None:
    page.evaluate(_JUMP)
    left = page.evaluate("""
        () => {
          const choice = new Choice(document.createElement("div"), grid.words, 5000, "");
          const done = [];
          choice.offer((what, ids, value, refused) => done.push([ids.length, refused]), async () => ({}));
          for (const n of [205, 206]) choice.toggle(grid.feed.item(n), n);
          choice.do("favourite", "");
          choice.toggle(grid.feed.item(207), 207);
          choice.letGo();
          const kept = [...choice.chosen.values()].map((item) => item.name);
          choice.do("favourite", "");
          done[1][1](); // refused
          choice.letGo();
          return [kept, [...choice.chosen.values()].map((item) => item.name), choice.from];
        }
    """)
    assert left == [["2015-07-04 7"], ["2015-07-04 7"], None]


def test_what_is_hidden_can_be_shown_again_however_it_was_found(page: Any) -> None:
    shown = page.evaluate("""
        () => {
          const choice = new Choice(document.createElement("div"), new Words({}), 5000, "");
          choice.offer(() => {}, async () => ({}));
          const seen = () => [...choice.acts.children].filter((one) => !one.hidden).map((one) => one.title);
          choice.toggle({ id: "a", hidden: true }, 0);
          const hidden = seen();
          choice.toggle({ id: "b" }, 1);
          return [hidden.includes("Show again"), hidden.includes("Hide"),
            seen().includes("Show again"), seen().includes("Hide")];
        }
    """)
    assert shown == [True, False, False, True]


@pytest.mark.parametrize(
    ("query", "offers"),
    [
        ('in:"Summer \\"23\\""', [["cover", 'Summer "23"'], ["out-of-album", 'Summer "23"']]),
        ("tag:sea", [["untag", "sea"]]),
        ("album:Räuber", [["cover", "Räuber"], ["out-of-album", "Räuber"]]),
        ("tag:sea year:2024", []),
        ("tag:s*", []),
        ("-tag:sea", []),
    ],
)
def test_photos_are_taken_out_of_the_album_or_tag_that_is_looked_at(
    page: Any, query: str, offers: list[list[str]]
) -> None:
    done = page.evaluate(
        """
        (query) => {
          const choice = new Choice(document.createElement("div"), new Words({}), 5000, ""), done = [];
          choice.offer((what, ids, value) => done.push([what, value]), async () => ({}), query);
          choice.toggle({ id: "a" }, 0);
          const meant = (one) => /^(Take (out of|away)|Put on)/.test(one.title) && !one.hidden;
          for (const one of [...choice.acts.children].filter(meant)) one.click();
          choice.toggle({ id: "b" }, 1);
          if (choice.cover && !choice.cover.disabled) done.push("a cover of two");
          return done;
        }
        """,
        query,
    )
    assert done == offers


_GALLERY = """
() => {
  document.body.innerHTML = `<div class="gallery"><div class="top"><select></select><div class="search"></div>
    <span class="total"></span><button class="news"></button></div><div class="body"><div class="scroller"></div>
    <div class="rail"></div><p class="says"></p></div><div class="bar"></div></div>`;
  window.answers ??= () => ({ items: [] });
  window.waiting = []; // questions about the days, each with what answers it
  window.fetch = (address) => new Promise((resolve) => {
    const answer = (found) => resolve(new Response(JSON.stringify(found)));
    if (String(address).startsWith("days")) waiting.push(answer);
    else if (String(address).startsWith("choices")) answer({ cameras: [], kinds: [], years: [], tags: [], albums: [] });
    else if (String(address).startsWith("count")) answer({ originals: 3 });
    else Promise.resolve(answers(String(address))).then(answer);
  });
  const data = { feed: "", most: 5000, refresh: 0, style: { thousands: "," }, acts: true, done: 0, refused: [] };
  window.gallery = new Gallery(document.querySelector(".gallery"), data, () => {});
  gallery.show("taken", "", null);
}
"""


def test_of_two_questions_the_later_ones_answer_is_shown(page: Any) -> None:
    page.evaluate(_GALLERY)
    page.wait_for_function("waiting.length === 1")
    total = page.evaluate("""
        async () => {
          const older = gallery.refresh(), newer = gallery.refresh(); // an act, and then what came of it
          while (waiting.length < 3) await null;
          const [, first, second] = waiting;
          second({ days: [["2024-05-03", 2]] });
          await new Promise((done) => setTimeout(done));
          first({ days: [["2024-05-03", 3]] });
          await Promise.all([older, newer]);
          return document.querySelector(".total").textContent;
        }
    """)
    assert total == "2 photos"


def test_what_is_asked_for_is_what_is_answered(page: Any) -> None:
    """A tag and then an album, while what there is to choose from comes late and in the other order."""
    asked = page.evaluate("""
        async () => {
          const come = [], done = [];
          const choice = new Choice(document.createElement("div"), new Words({}), 5000, "");
          const comes = () => new Promise((resolve) => come.push(resolve));
          choice.offer((what, ids, value) => done.push([what, value]), comes);
          choice.toggle({ id: "a" }, 0);
          const both = [choice.ask("tag"), choice.ask("album")];
          for (const come_ of come.reverse()) come_({ tags: [], albums: [] });
          await Promise.all(both);
          choice.asking.elements.value.value = "Summer";
          choice.asking.requestSubmit?.();
          choice.answered(new Event("submit"));
          return [choice.asking.querySelector("input").getAttribute("aria-label"), done];
        }
    """)
    assert asked == ["Album", [["album", "Summer"]]]


@pytest.mark.parametrize("take", ["toggleDay('2015-07-04')", "take(200, 299)"])
def test_what_was_let_go_meanwhile_is_not_chosen_unseen(page: Any, take: str) -> None:
    number = page.evaluate(f"""
        async () => {{
          const choice = new Choice(document.createElement("div"), new Words({{}}), 5000, "");
          choice.feed = await newFeed();
          const under_way = choice.{take};
          choice.clear(); // something else is looked at
          await under_way;
          return choice.size;
        }}
    """)
    assert number == 0


def test_who_goes_back_before_a_photo_is_there_sees_none(page: Any) -> None:
    is_open = page.evaluate("""
        async () => {
          const feed = await newFeed();
          const viewer = new Viewer(new Words({}), () => {}, null);
          const opening = viewer.open(feed, 0);
          viewer.close();
          await opening;
          return viewer.isOpen;
        }
    """)
    assert is_open is False


def test_facts_are_those_that_were_asked_for_last(page: Any, looking: Callable[[str], None]) -> None:
    shown = page.evaluate("""
        async () => {
          const come = [];
          viewer.feed.ask = () => new Promise((resolve) => come.push(resolve));
          viewer.facts.toggle(true);
          const later = viewer.facts.load();
          const answer = (said) => ({ facts: [["Rating", said]], story: [], place: null, title: "", wrong: null });
          come[1](answer("new"));
          await later;
          come[0](answer("old"));
          await new Promise((done) => setTimeout(done));
          return document.querySelector(".facts dd").textContent;
        }
    """)
    assert shown == "new"


def test_suggestions_are_for_what_is_written_last(page: Any) -> None:
    shown = page.evaluate("""
        async () => {
          const [come, box] = [[], document.createElement("div")];
          document.body.append(box);
          const search = new Search(box, () => new Promise((resolve) => come.push(resolve)), () => {});
          const all = { cameras: [], kinds: [], years: [], tags: ["sea", "snow"], albums: [] };
          search.input.focus();
          come[0](all);
          search.input.value = "tag:se";
          const older = search.suggest();
          search.input.value = "tag:sn";
          const newer = search.suggest();
          come[2](all);
          await newer;
          come[1](all);
          await older;
          return [...search.list.children].map((one) => one.firstChild.textContent);
        }
    """)
    assert shown == ["tag:snow"]


@pytest.mark.parametrize(
    ("keys", "acts"),
    [
        ("3", [["rate", "3"]]),
        ("33", [["rate", "3"], ["rate", "0"]]),
        ("5f", [["rate", "5"], ["no-favourite", ""]]),
        ("fh", [["favourite", ""], ["hide", ""]]),
        ("hh", [["hide", ""], ["unhide", ""]]),
        ("rR", [["turn", "90"], ["turn", "270"]]),
    ],
)
def test_keys_do_what_they_say(page: Any, looking: Callable[[str], None], keys: str, acts: list[list[str]]) -> None:
    page.evaluate("() => { viewer.deeds.act = (what, photos, value) => acts.push([what, value]) }")
    for key in keys:
        page.keyboard.press(key)
    assert page.evaluate("acts") == acts


def test_what_is_refused_is_shown_as_it_was(page: Any, looking: Callable[[str], None]) -> None:
    page.evaluate("() => { viewer.deeds.act = (what, photos, value, refused) => { window.refused = refused } }")
    page.keyboard.press("r")
    assert page.evaluate("[viewer.item.turned, viewer.item.width, viewer.item.height]") == [90, 60, 80]
    page.locator(".pswp__item[aria-hidden=false] img[src*='turned=90']").first.wait_for()
    page.evaluate("refused()")
    assert page.evaluate("[viewer.item.turned ?? 0, viewer.item.width, viewer.item.height]") == [0, 80, 60]


def test_a_title_that_is_being_written_is_no_command_and_stays(page: Any, looking: Callable[[str], None]) -> None:
    page.evaluate("""
        () => {
          viewer.deeds.act = (what, photos, value) => acts.push([what, value]);
          viewer.feed.ask = async () => ({ facts: [], story: [], place: null, title: "Before", wrong: null });
        }
    """)
    page.keyboard.press("t")
    field = page.get_by_role("textbox", name="Title")
    page.wait_for_function("document.activeElement.ariaLabel === 'Title'")
    field.fill("")
    page.keyboard.type("feb 3")  # each is a command elsewhere
    page.evaluate("viewer.facts.load()")  # an act has come to something
    page.keyboard.press("Enter")
    assert page.evaluate("acts") == [["title", "feb 3"]]
    field.focus()
    page.keyboard.press("Escape")
    assert page.evaluate("[viewer.isOpen, document.activeElement.matches('.facts')]") == [True, True]


_WRITES = """
() => {
  window.refuse = [];
  viewer.deeds.act = (what, photos, value, refused) => { acts.push([what, value]); refuse.push(refused); };
  viewer.facts.edit.choices = async () => ({ tags: ["sea", "lake"], albums: [] });
  window.knows = { description: "A\\nB", tags: ["sea", "<i>"], albums: [], date: "2015-07-04 12:00:00", place: "" };
  viewer.feed.ask = async () => ({ facts: [], story: [], place: null, title: "", wrong: null, edit: knows });
}
"""


def test_all_that_people_decide_is_written_beside_the_photo(page: Any, looking: Callable[[str], None]) -> None:
    page.evaluate(_WRITES)
    page.keyboard.press("e")
    page.wait_for_function("document.activeElement.ariaLabel === 'Description'")
    facts = page.locator(".facts")
    assert facts.get_by_label("Description", exact=True).input_value() == "A\nB"
    page.keyboard.type("feb 3")  # each is a command elsewhere
    page.keyboard.press("Enter")  # another line of it
    assert page.evaluate("acts") == []
    facts.get_by_role("button", name="Save: description").click()
    facts.get_by_role("button", name="Take away the tag <i>").click()
    facts.get_by_label("Add: tag").fill(" lake ")
    page.keyboard.press("Enter")
    facts.get_by_label("Add: album").fill("Summer")
    facts.get_by_role("button", name="Add the album").click()
    facts.get_by_label("Date", exact=True).fill("-7:12")
    page.keyboard.press("Enter")
    facts.get_by_label("Place", exact=True).fill("1, 2")
    page.keyboard.press("Enter")
    assert page.evaluate("acts") == [
        ["describe", "A\nBfeb 3"], ["untag", "<i>"], ["tag", "lake"], ["album", "Summer"], ["redate", "-7:12"],
        ["place", "1, 2"],
    ]  # fmt: skip
    assert page.evaluate("[...document.querySelectorAll('#gallery-known-tags option')].map((one) => one.value)") == [
        "sea", "lake"
    ]  # fmt: skip


def test_what_was_refused_can_be_written_again(page: Any, looking: Callable[[str], None]) -> None:
    page.evaluate(_WRITES)
    page.keyboard.press("e")
    place = page.locator(".facts").get_by_label("Place", exact=True)
    page.wait_for_function("document.activeElement.ariaLabel === 'Description'")
    place.fill("Sydney")
    place.press("Enter")
    page.evaluate("refuse[0]()")
    place.press("Enter")
    page.locator(".facts").get_by_role("button", name="Take away the tag sea").click()
    page.evaluate("viewer.facts.load(true)")  # the library has it still
    page.locator(".facts").get_by_role("button", name="Take away the tag sea").click()
    assert page.evaluate("acts") == [["place", "Sydney"]] * 2 + [["untag", "sea"]] * 2


def test_another_photo_has_its_own_words(page: Any, looking: Callable[[str], None]) -> None:
    page.evaluate(_WRITES)
    page.keyboard.press("e")
    page.wait_for_function("document.activeElement.ariaLabel === 'Description'")
    page.keyboard.press("Escape")
    page.evaluate("knows = { ...knows, description: 'Other', tags: [] }")
    page.keyboard.press("ArrowRight")
    looking("2015-07-04 1")
    page.wait_for_function("document.querySelector('.facts textarea').value === 'Other'")
    assert page.locator(".facts details").get_attribute("open") is not None, "it stays open"
    assert page.locator(".facts .names li").count() == 0
    page.locator(".facts").focus()
    page.keyboard.press("e")
    assert page.locator(".facts details").get_attribute("open") is None


_DRAG = """
() => {
  window.choice = new Choice(document.createElement("div"), grid.words, 5000, "");
  choice.feed = grid.feed;
  grid.renumbered = (behind, by) => choice.renumbered(behind, by);
  window.drag = new Drag(grid.scroller, {
    begin: (photo) => choice.drag(photo), to: (photo) => choice.dragTo(photo), end: () => choice.dragEnd() });
}
"""


def _point(page: Any, name: str) -> tuple[float, float]:
    box = page.locator(f"[title='{name}']").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def _is_chosen(page: Any, first: int, last: int) -> None:
    names = [f"2015-07-04 {n}" for n in range(first, last + 1)]
    page.wait_for_function(
        f"JSON.stringify([...choice.chosen.values()].map((one) => one.name)) === '{json.dumps(names)}'"
        ".replaceAll(', ', ',')"
    )


def test_a_mouse_that_is_dragged_chooses_and_opens_nothing(page: Any) -> None:
    page.evaluate(_JUMP)
    page.add_style_tag(path=ASSETS / "gallery/gallery.css")
    page.evaluate(_DRAG)
    page.mouse.move(*_point(page, "2015-07-04 2"))
    page.mouse.down()
    page.mouse.move(*_point(page, "2015-07-04 6"), steps=4)
    _is_chosen(page, 2, 6)
    page.mouse.move(*_point(page, "2015-07-04 4"), steps=4)
    _is_chosen(page, 2, 4)
    page.mouse.move(*_point(page, "2015-07-04 2"), steps=4)
    page.mouse.up()
    _is_chosen(page, 2, 2)
    assert page.evaluate("chosen") == [], "a drag that ends where it began is no click"
    page.locator("[title='2015-07-04 3']").click()
    assert page.evaluate("chosen") == ["2015-07-04 3"], "and the next click is one"
    page.mouse.move(*_point(page, "2015-07-04 2"))
    page.mouse.down()
    page.mouse.move(*_point(page, "2015-07-04 1"), steps=4)
    page.mouse.up()
    assert page.evaluate("choice.size") == 0, "a drag from one that is chosen lets them go"


def test_a_drag_at_the_edge_scrolls_and_chooses_what_comes(page: Any) -> None:
    page.evaluate(_JUMP.replace("2015-07-04", "2024-05-03").replace("portions[2]", "portions[0]"))
    page.add_style_tag(path=ASSETS / "gallery/gallery.css")
    page.evaluate(_DRAG)
    page.mouse.move(*_point(page, "2024-05-03 0"))
    page.mouse.down()
    page.mouse.move(500, 780, steps=4)
    page.wait_for_function("choice.size > 80")
    page.evaluate("""
        () => {
          const end = choice.dragEnd.bind(choice);
          choice.dragEnd = () => { window.ended = end(); };
        }
    """)
    page.mouse.up()
    names = page.evaluate("async () => { await ended; return [...choice.chosen.values()].map((one) => one.name) }")
    in_order = [f"{day} {n}" for day in ("2024-05-03", "2020-06-01", "2015-07-04") for n in range(100)]
    assert len(names) > 80 and sorted(names) == sorted(in_order[: len(names)])


def test_a_finger_that_rests_chooses_and_one_that_moves_scrolls(page: Any) -> None:
    page.evaluate(_JUMP)
    page.add_style_tag(path=ASSETS / "gallery/gallery.css")
    page.evaluate(_DRAG)
    hand = page.context.new_cdp_session(page)
    hand.send("Emulation.setTouchEmulationEnabled", {"enabled": True})

    def touch(what: str, *points: tuple[float, float]) -> None:
        hand.send("Input.dispatchTouchEvent", {"type": what, "touchPoints": [{"x": x, "y": y} for x, y in points]})

    there = page.evaluate("grid.scroller.scrollTop")
    touch("touchStart", _point(page, "2015-07-04 1"))
    page.wait_for_function("choice.size === 1")
    goal = _point(page, "2015-07-04 5")
    x, y = _point(page, "2015-07-04 1")
    for part in (0.25, 0.5, 0.75, 1):
        touch("touchMove", (x + part * (goal[0] - x), y + part * (goal[1] - y)))
    _is_chosen(page, 1, 5)
    touch("touchEnd")
    page.wait_for_function("!drag.isOn")
    assert page.evaluate("grid.scroller.scrollTop") == there and page.evaluate("chosen") == []
    # On a busy machine this finger may well rest until its first move comes.
    page.evaluate("drag.begin = () => { window.hasRested = true }")

    def scrolls() -> bool:
        """Chromium itself may take a finger that rests for a long press, which then scrolls no more."""
        touch("touchStart", (500, 400))
        for down in (380, 340, 300, 260):
            touch("touchMove", (500, down))
        touch("touchEnd")
        return bool(page.evaluate(f"grid.scroller.scrollTop > {there}"))

    wait_until(scrolls, what="a finger that moves scrolls")
    _is_chosen(page, 1, 5)


def test_a_finger_scrolls_on_though_the_photo_where_it_began_is_far_away(page: Any) -> None:
    """Its events go to that photo, which is no part of the page any more."""
    page.evaluate(_JUMP.replace("2015-07-04", "2024-05-03").replace("portions[2]", "portions[0]"))
    page.add_style_tag(path=ASSETS / "gallery/gallery.css")
    page.evaluate(_DRAG)
    page.locator("[title='2024-05-03 1']").wait_for()
    prevented = page.evaluate("""
        () => {
          const began = document.querySelector("[title='2024-05-03 1']");
          const about = { bubbles: true, cancelable: true, pointerId: 7, pointerType: "touch", clientX: 9, clientY: 9 };
          began.dispatchEvent(new PointerEvent("pointerdown", about));
          drag.begin();
          const moves = () => !began.dispatchEvent(new Event("touchmove", { bubbles: true, cancelable: true }));
          const before = moves();
          began.closest(".cell").remove();
          const gone = moves();
          window.dispatchEvent(new PointerEvent("pointerup", about));
          return [before, gone, moves()];
        }
    """)
    assert prevented == [True, True, False]


def test_a_mouse_that_was_let_go_outside_drags_no_more(page: Any) -> None:
    page.evaluate(_JUMP)
    page.add_style_tag(path=ASSETS / "gallery/gallery.css")
    page.evaluate(_DRAG)
    page.mouse.move(*_point(page, "2015-07-04 2"))
    page.mouse.down()
    page.mouse.move(*_point(page, "2015-07-04 4"), steps=4)
    _is_chosen(page, 2, 4)
    is_on = page.evaluate("""
        () => {
          const about = { pointerId: drag.pointer, pointerType: "mouse", clientX: 500, clientY: 500, buttons: 0 };
          window.dispatchEvent(new PointerEvent("pointermove", about));
          return [drag.isOn, drag.pointer];
        }
    """)
    assert is_on == [False, None]
    page.mouse.up()


def test_a_drag_chooses_what_it_went_over_though_newer_photos_went(page: Any) -> None:
    page.evaluate(_JUMP)
    page.evaluate(_DRAG)
    names = page.evaluate("""
        async () => {
          choice.drag("2015-07-04_5");
          choice.dragTo("2015-07-04_7");
          comes["2024-05-03"] = 97;
          await grid.feed.load(grid.feed.portions[0]);
          await choice.dragEnd();
          return [...choice.chosen.values()].map((item) => item.name);
        }
    """)
    assert names == [f"2015-07-04 {n}" for n in (5, 6, 7)]


# A gallery with some photos of one day. `stands`: what the library knows of each.
_ALBUM = """
async (names) => {
  window.stands = { rating: 0, hidden: false, turned: 0 };
  window.names = names;
  window.answers = (address) => address.startsWith("facts")
    ? { facts: [], story: [], place: null, title: "", wrong: null, now: { ...stands } }
    : { items: window.names.map((name) => ({
        id: name, name, day: "2024-05-03", taken: "2024-05-03", token: "x", after: "x", width: 80, height: 60 })) };
  window.days = async () => {
    while (!waiting.length) await new Promise((done) => setTimeout(done));
    waiting.shift()({ days: [["2024-05-03", window.names.length]] });
  };
  window.answered = (more) => gallery.again({ ...gallery.data, done: gallery.acts.number, ...more }, () => {});
  window.outcome = (said) => ({ which: said, said, undo: said, undo_label: "Undo" });
}
"""


@pytest.fixture
def album(page: Any) -> Any:
    """The page with a gallery of four photos."""
    page.evaluate(_ALBUM, ["X", "A", "B", "C"])
    page.evaluate(_GALLERY)
    page.add_style_tag(path=ASSETS / "gallery/gallery.css")
    page.evaluate("async () => { await days(); await gallery.showing }")
    page.locator("[title='C']").wait_for()
    return page


def _opened(page: Any, index: int, name: str) -> None:
    page.evaluate("(index) => gallery.open(index)", index)
    page.locator(".pswp__caption", has_text=name).wait_for()
    page.wait_for_function("document.activeElement.closest('.pswp')")


def test_a_drag_under_way_chooses_nothing_else_when_all_is_asked_for_anew(album: Any) -> None:
    chosen = album.evaluate("""
        async () => {
          gallery.choice.drag("A");
          gallery.choice.dragTo("C");
          window.names = ["A", "B", "C", "D"];
          const anew = gallery.refresh();
          await Promise.all([days(), anew]);
          await gallery.grid.load(gallery.grid.feed.portions[0]);
          await gallery.choice.dragEnd();
          return [...gallery.choice.chosen.keys()];
        }
    """)
    assert chosen == ["A", "B", "C"]


def test_what_was_loading_when_one_left_ends_quietly(page: Any) -> None:
    page.evaluate(_GALLERY)
    page.wait_for_function("waiting.length === 1")
    said = page.evaluate("""
        async () => {
          const { showing } = gallery;
          gallery.end();
          waiting[0]({ days: [] });
          return showing.then(() => "", (error) => error.message);
        }
    """)
    assert said == ""


def test_a_gallery_that_one_left_asks_for_nothing_more(page: Any) -> None:
    failed = page.evaluate("""
        async () => {
          window.grid = newGrid();
          const failed = [];
          grid.acts.failed = (error) => failed.push(error.message);
          const feed = await newFeed();
          grid.show(feed, null);
          feed.ask = () => Promise.reject(new Error("away"));
          const loading = grid.load(feed.portions[0]);
          grid.end();
          return [await loading, failed];
        }
    """)
    assert failed == [False, []]


def test_that_the_database_is_away_is_not_said_over_photos_that_came(album: Any) -> None:
    said = album.evaluate("""
        async () => {
          const [portion] = gallery.grid.feed.portions, says = document.querySelector(".says");
          const { ask } = gallery.grid.feed;
          portion.items = null;
          gallery.grid.feed.ask = () => Promise.reject(new Error("The database is away."));
          await gallery.grid.load(portion);
          const away = [says.textContent, says.hidden];
          gallery.grid.feed.ask = ask;
          await gallery.grid.load(portion);
          const there = [says.textContent, says.hidden];
          gallery.say("This photo is in the trash.");
          portion.items = null;
          await gallery.grid.load(portion);
          return [away, there, says.textContent];
        }
    """)
    assert said == [["The database is away.", False], ["", True], "This photo is in the trash."]


def test_a_photo_that_was_let_go_is_not_chosen_by_a_key_and_nothing_breaks(album: Any) -> None:
    size = album.evaluate("""
        () => {
          gallery.grid.feed.portions[0].items = null;
          gallery.toggle(1, false);
          return gallery.choice.size;
        }
    """)
    assert size == 0


def test_the_keyboard_is_at_the_photo_that_was_looked_at_though_all_was_asked_for_anew(album: Any) -> None:
    _opened(album, 2, "B")
    album.keyboard.press("3")
    album.evaluate("answered()")
    album.keyboard.press("Escape")
    album.locator(".pswp").wait_for(state="detached")
    album.evaluate("window.names = ['A', 'B', 'C']")
    album.evaluate("async () => { await days(); await gallery.showing }")
    album.wait_for_function("document.activeElement.title === 'B'")


def test_a_place_among_other_photos_is_none_of_the_viewers(album: Any) -> None:
    _opened(album, 1, "A")
    album.evaluate("async () => { gallery.grid.show(await newFeed(), null) }")
    album.evaluate("gallery.grid.renumbered(0, 2)")
    assert album.evaluate("gallery.viewer.pswp.currIndex") == 1


def test_what_is_taken_back_is_seen_on_each_photo(album: Any) -> None:
    _opened(album, 1, "A")
    album.keyboard.press("3")
    album.keyboard.press("ArrowRight")
    album.locator(".pswp__caption", has_text="B").wait_for()
    album.evaluate("answered()")  # the act, and then what took it back
    album.keyboard.press("ArrowLeft")
    album.wait_for_function("gallery.viewer.item.name === 'A' && gallery.viewer.item.rating === 0")


def test_an_answer_from_before_an_act_does_not_hide_it(album: Any) -> None:
    _opened(album, 1, "A")
    rating = album.evaluate("""
        async () => {
          const { answers } = window, { viewer } = gallery;
          let come;
          window.answers = () => new Promise((resolve) => { come = resolve; });
          const loading = viewer.facts.load(true);
          viewer.deeds.rate(3);
          come(answers("facts"));
          await loading;
          return viewer.item.rating;
        }
    """)
    assert rating == 3


def test_only_the_last_act_is_taken_back(album: Any) -> None:
    _opened(album, 1, "A")
    undo = album.locator(".told").get_by_role("button", name="Undo")
    album.keyboard.press("3")
    first = album.evaluate("gallery.acts.number")
    album.keyboard.press("r")
    album.evaluate("(done) => answered({ done, outcome: outcome('first') })", first)
    album.get_by_text("first").wait_for()
    album.keyboard.press("u")
    assert album.evaluate("gallery.acts.acts.map((one) => one.what)") == ["turn"]
    assert undo.count() == 0
    album.evaluate("answered({ outcome: outcome('2b0b7f0e') })")
    undo.wait_for()
    album.keyboard.press("u")
    album.keyboard.press("u")
    assert album.evaluate("gallery.acts.acts.map((one) => [one.what, ...one.photos])") == [["undo", "2b0b7f0e"]]


@pytest.mark.parametrize(
    ("meanwhile", "acts"),
    [
        ("viewer.deeds.rate(3)", ["rate"]),
        ("viewer.deeds.turn(90)", ["turn"]),
        ("viewer.deeds.write('title', 'x')", ["title"]),
        ("viewer.deeds.remove()", ["remove"]),
        ("document.querySelector('.told [aria-label=\"Put this away\"]').click()", []),
    ],
)
def test_nothing_but_what_the_bar_says_is_taken_back(
    page: Any, looking: Callable[[str], None], meanwhile: str, acts: list[str]
) -> None:
    page.evaluate("""() => viewer.told({ which: "a", said: "Done.", undo: "a", undo_label: "Undo" })""")
    page.locator(".told").get_by_role("button", name="Undo").wait_for()
    page.evaluate(f"() => {{ {meanwhile} }}")
    page.evaluate("viewer.commands().u()")
    assert page.evaluate("acts.map(([what]) => what)") == acts


def test_a_viewer_that_is_opened_anew_takes_nothing_back(page: Any, looking: Callable[[str], None]) -> None:
    page.evaluate("""() => viewer.told({ which: "a", said: "Done.", undo: "a", undo_label: "Undo" })""")
    page.keyboard.press("Escape")
    page.locator(".pswp").wait_for(state="detached")
    page.evaluate("viewer.open(grid.feed, 201)")
    looking("2015-07-04 1")
    page.evaluate("viewer.commands().u()")
    assert page.evaluate("acts") == []


def test_who_writes_a_title_keeps_the_field_whatever_is_drawn_anew(page: Any, looking: Callable[[str], None]) -> None:
    page.evaluate("""
        () => {
          viewer.deeds.act = (what, photos, value) => acts.push([what, value]);
          viewer.feed.ask = async () => ({ facts: [], story: [], place: null, title: "", wrong: null });
          viewer.toggleSlides();
        }
    """)
    page.keyboard.press("t")
    page.wait_for_function("document.activeElement.ariaLabel === 'Title'")
    assert page.evaluate("viewer.slides") is False, "the next photo would take the field away"
    page.keyboard.type("fe")
    page.evaluate("viewer.pswp.refreshSlideContent(201)")  # the photo beside it has come
    page.keyboard.type("b 3")
    page.keyboard.press("Enter")
    assert page.evaluate("acts") == [["title", "feb 3"]]


def test_a_button_beside_the_photo_keeps_the_keyboard(page: Any, looking: Callable[[str], None]) -> None:
    page.keyboard.press("i")
    page.locator(".facts").get_by_role("button", name="Turn right").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert page.evaluate("acts") == [["turn", "2015-07-04_0"], ["turn", "2015-07-04_0"]]
    assert page.evaluate("document.activeElement.title") == "Turn right (R)"
