// What is known of the photo that is looked at, beside it: stars and words to be changed, facts, its place, its history.
// The words have a file of their own.

class Facts {
  // `deeds`: null where nothing may be changed; `ground`: of the map.
  constructor(viewer, deeds, ground) {
    [this.viewer, this.deeds, this.ground, this.isOpen, this.asking] = [viewer, deeds, ground, false, 0];
    this.edit = deeds && new Edit(viewer, deeds);
  }

  panel(made) {
    this.box = made;
    made.className = "facts";
    for (const [name, value] of Object.entries({ role: "complementary", "aria-label": "What is known of this photo", tabindex: "0" })) made.setAttribute(name, value);
    made.hidden = !this.isOpen;
    this.of = null; // nothing is in it yet
    [this.acts, this.known] = [element("div", "deeds"), element("div")];
    made.append(this.acts, this.known);
    for (const name of ["wheel", "pointerdown", "touchstart"]) made.addEventListener(name, (event) => event.stopPropagation(), { passive: true });
    made.addEventListener("keydown", (event) => this.onKey(event));
  }

  // What is written is no command; other keys scroll.
  onKey(event) {
    const isField = ["INPUT", "TEXTAREA"].includes(event.target.tagName);
    if (isField && event.key === "Escape") {
      event.preventDefault();
      this.box.focus();
    }
    if (isField || /^(Arrow(Up|Down)|Page|Home|End)/.test(event.key)) event.stopPropagation();
  }

  toggle(is = !this.isOpen) {
    const { pswp } = this.viewer;
    this.isOpen = is;
    this.box.hidden = !is;
    pswp.element.classList.toggle("has-facts", is);
    this.viewer.factsButton.setAttribute("aria-pressed", is);
    pswp.updateSize(true);
    if (is) this.show();
  }

  // Of the photo that is looked at now.
  show() {
    const { item } = this.viewer;
    if (!item) return;
    if (this.isOpen && this.of?.id === item.id) this.marks(item); // who writes or is at a button here stays there
    else if (this.isOpen) {
      this.known.replaceChildren(); // another photo's facts are none of this one's
      if (this.deeds) this.showActs(item);
    }
    if (this.isOpen) this.of = item;
    this.load(this.viewer.isStale());
  }

  // What is so now. Some act may have changed it meanwhile; nothing that is being written is lost.
  // `isNeeded`: the photo itself may be another than is known here, as where something was taken back.
  async load(isNeeded = false) {
    const { item, feed } = this.viewer;
    if (!item || !(this.isOpen || isNeeded)) return;
    this.leave();
    const { asking } = this; // of two answers the later question's counts, whichever comes first
    this.question = new AbortController();
    let found;
    try {
      found = await feed.ask("facts", { photo: item.id, locale: navigator.language }, this.question.signal);
    } catch (error) {
      found = { error: error.message };
    }
    if (asking !== this.asking || !this.viewer.pswp || this.viewer.item !== item) return;
    // While an act waits, the answer may be from before it. When the act is answered, this is asked again.
    if (found.now && !this.viewer.isWaiting()) this.viewer.isNow(item, found.now);
    if (!this.isOpen) return;
    this.end();
    this.known.replaceChildren(...this.parts(found));
    if (found.facts) this.edit?.knows(found);
  }

  parts({ facts, story, place, wrong, trash, error }) {
    if (error) return [element("p", "", error)];
    if (trash) return [element("p", "", "This photo is in the trash."), element("a", "", "Open the trash", { href: "trash" })];
    if (!facts) return [element("p", "", "This photo is no longer in the library.")];
    const bad = wrong ? [element("p", "wrong", `Something is wrong with this file. It is kept as it came. ${wrong}`)] : [];
    return [
      element("h2", "", "What is known"), ...bad, listed(facts), ...(place ? [this.map(place), mapLink(place)] : []),
      element("h2", "", "What happened to it"), listed(story, "story"),
    ];
  }

  // Its place. The map has styles of its own, which are for nothing else.
  map({ lat, lon }) {
    const host = element("div", "place");
    const root = host.attachShadow({ mode: "open" });
    const map = element("div", "map");
    map.style.height = "100%";
    const styled = ["assets/vendor/leaflet.css", "assets/photo_map.css"].map((href) => {
      const link = element("link", "", "", { rel: "stylesheet", href });
      const there = new Promise((done) => { for (const end of ["load", "error"]) link.addEventListener(end, done); });
      root.append(link);
      return there;
    });
    root.append(map);
    const state = (this.mapped = { gone: false });
    Promise.all([import(new URL("assets/photo_ground.js", document.baseURI)), ...styled]).then(([{ pointMap }]) => {
      if (!state.gone) state.end = pointMap(map, [lat, lon], this.ground);
    }, () => { map.textContent = "The map cannot be loaded."; });
    return host;
  }

  // Nobody waits for the answer to the last question any more.
  leave() {
    this.asking += 1;
    this.question?.abort();
  }

  end() {
    if (!this.mapped) return;
    this.mapped.gone = true;
    this.mapped.end?.();
    this.mapped = null;
  }

  // -- what can be changed here --------------------------------------------------------------------------------

  showActs(item) {
    const plain = (text, paths, title, act) => {
      const made = button("act", text, "", act, { title });
      made.prepend(icon(paths));
      return made;
    };
    this.stars = element("span", "stars", "", { role: "group", "aria-label": "Stars" });
    this.stars.append(...[1, 2, 3, 4, 5].map((number) => {
      const star = button("act", "", `${number} star${number === 1 ? "" : "s"}`, () => this.deeds.rate(number), { title: `${number} (key ${number})` });
      star.append(icon(ICONS.star));
      return star;
    }));
    this.hides = plain("", ICONS.hide, "Hide or show again (H)", () => this.deeds.hide());
    const turns = item.video ? [] : [
      plain("Turn left", ICONS.left, "Turn left (Shift+R)", () => this.deeds.turn(270)),
      plain("Turn right", ICONS.right, "Turn right (R)", () => this.deeds.turn(90)),
    ];
    this.acts.replaceChildren(this.stars, ...turns, this.hides, ...this.edit.parts());
    this.marks(item);
  }

  // After something of the photo has changed.
  marks(item) {
    if (!this.stars) return;
    for (const [n, star] of [...this.stars.children].entries()) {
      star.setAttribute("aria-pressed", n + 1 === (item.rating ?? 0));
      star.classList.toggle("on", n < (item.rating ?? 0));
    }
    this.hides.replaceChildren(icon(item.hidden ? ICONS.eye : ICONS.hide), item.hidden ? "Show again" : "Hide");
  }

  writeTitle() {
    if (!this.isOpen) this.toggle(true);
    this.edit.writeTitle();
  }

  // All that can be written of it.
  write() {
    const isNew = !this.isOpen;
    if (isNew) this.toggle(true);
    this.edit.toggle(isNew || undefined);
  }
}

function listed(facts, name = "") {
  const list = element("dl", name);
  for (const [name, value] of facts) list.append(element("dt", "", name), element("dd", "", value));
  return list;
}

function mapLink({ lat, lon }) {
  const view = [lat, lon, 12].join("_");
  return element("a", "", "Show on the map", { href: `map?at=${encodeURIComponent(view)}` });
}
