// Which photos are chosen, and the bar that says so and acts on them.

class Choice {
  // `most`: so many can be taken out at once.
  constructor(bar, words, most, base) {
    [this.bar, this.words, this.most, this.base] = [bar, words, most, base];
    [this.chosen, this.from, this.changed, this.feed, this.acted] = [new Map(), null, () => {}, null, []];
    [this.clears, this.asks, this.dragged] = [0, 0, null];
    this.count = element("strong", "", "", { role: "status" });
    this.note = element("span", "note", "", { role: "status" });
    this.save = button("act", "Download", "", () => this.download());
    this.save.prepend(icon(ICONS.download));
    this.acts = element("span", "acts");
    this.asking = element("form", "asking");
    this.asking.hidden = true;
    this.asking.addEventListener("submit", (event) => this.answered(event));
    const clear = button("act", "", "Choose none", () => this.clear());
    clear.append(icon(ICONS.close));
    bar.replaceChildren(clear, this.count, this.note, this.save, this.acts, this.asking);
    this.draw();
  }

  // What can be done to those that are chosen. `act(what, ids, value)`; `choices` as the search box has them; `query`: what
  // is looked at: out of an album, or from a tag, photos are taken where somebody looks at it.
  offer(act, choices, query = "") {
    [this.act, this.choices] = [act, choices];
    const plain = (name, text, paths, what, value = "") => {
      const made = button("act", "", text, () => this.do(what, value), { title: text });
      made.append(icon(paths));
      return made;
    };
    const asking = (text, paths, what) => {
      const made = button("act", "", text, () => this.ask(what), { title: text });
      made.append(icon(paths));
      return made;
    };
    this.hide = plain("hide", "Hide", ICONS.hide, "hide");
    this.unhide = plain("unhide", "Show again", ICONS.eye, "unhide");
    const { album, tag } = lookedAt(query);
    this.cover = album === undefined ? null : plain("cover", `Put on the cover of the album ${album}`, ICONS.cover, "cover", album);
    this.acts.replaceChildren(
      plain("favourite", "Favourite", ICONS.star, "favourite"),
      asking("Add a tag", ICONS.tag, "tag"), asking("Add to an album", ICONS.album, "album"),
      ...(album === undefined ? [] : [this.cover, plain("out", `Take out of the album ${album}`, ICONS.albumOut, "out-of-album", album)]),
      ...(tag === undefined ? [] : [plain("untag", `Take away the tag ${tag}`, ICONS.tagOff, "untag", tag)]),
      asking("Correct the date", ICONS.date, "redate"),
      this.hide, this.unhide,
      plain("remove", "Move to the trash", ICONS.trash, "remove"),
    );
    this.draw();
  }

  // Asks for the word, album or date that an act needs.
  async ask(what) {
    const [label, hint] = {
      tag: ["Tag", "a word"], album: ["Album", "its name; a new one is made"],
      redate: ["Date", "2019-07-04 12:30, or a shift: -7:12"],
    }[what];
    const asks = ++this.asks;
    const field = element("input", "", "", { name: "value", required: "", placeholder: hint, list: "gallery-known", autocomplete: "off", "aria-label": label });
    const known = element("datalist", "", "", { id: "gallery-known" });
    const { tags, albums } = await this.choices();
    if (asks !== this.asks) return; // another question is asked by now
    this.asked = what;
    known.append(...({ tag: tags, album: albums }[what] ?? []).map((value) => element("option", "", "", { value })));
    this.asking.replaceChildren(field, known, element("button", "act", label === "Date" ? "Correct" : "Add", { type: "submit" }));
    this.asking.hidden = false;
    field.focus();
  }

  answered(event) {
    event.preventDefault();
    this.do(this.asked, this.asking.elements.value.value);
  }

  do(what, value) {
    this.asking.hidden = true;
    this.acted = [...this.chosen.keys()];
    this.act(what, this.acted, value, () => { this.acted = []; });
  }

  has(id) {
    return this.chosen.has(id);
  }

  get size() {
    return this.chosen.size;
  }

  clear() {
    this.clears += 1; // what is under way is not wanted any more
    this.dragged = null;
    this.chosen.clear();
    [this.acted, this.from] = [[], null];
    this.draw();
  }

  // An act has come to something: those that it was for are chosen no more, and others still are.
  letGo() {
    for (const id of this.acted) this.chosen.delete(id);
    [this.acted, this.from, this.dragged] = [[], null, null];
    this.draw();
  }

  // Another feed: places in the old one are other photos here. What is chosen stays so.
  look(feed) {
    [this.feed, this.from, this.dragged] = [feed, null, null];
  }

  toggle(item, index) {
    if (!this.chosen.delete(item.id)) this.chosen.set(item.id, item);
    this.from = index;
    this.draw();
  }

  // Chooses all from the last one that was chosen to this one.
  async extend(index) {
    const [low, high] = [Math.min(this.from ?? index, index), Math.max(this.from ?? index, index)];
    const item = this.feed.item(index);
    if (!(await this.take(low, high))) return;
    const at = item ? this.feed.placeOf(item.id) : -1; // what came meanwhile may have moved it
    this.from = at < 0 ? null : at;
  }

  // All photos behind a place have moved.
  renumbered(behind, by) {
    const moved = (place) => (place !== null && place >= behind ? place + by : place);
    this.from = moved(this.from);
    const { dragged } = this;
    if (dragged) [dragged.low, dragged.high] = [moved(dragged.low), moved(dragged.high)];
  }

  // All of a day; where all are chosen already, none of it.
  async toggleDay(day) {
    const portions = this.feed.portions.filter((one) => one.days.some(([there]) => there === day));
    const number = portions.flatMap((one) => one.days).reduce((sum, [there, count]) => sum + (there === day ? count : 0), 0);
    if (this.isTooMuch(number)) return;
    const { clears } = this;
    await Promise.all(portions.map((one) => this.feed.load(one)));
    if (clears !== this.clears) return;
    const items = portions.flatMap((one) => one.items.filter((item) => item.day === day));
    const isAll = items.every((item) => this.chosen.has(item.id));
    for (const item of items) if (isAll) this.chosen.delete(item.id); else this.chosen.set(item.id, item);
    this.draw();
  }

  // Chooses those from one place to another, or `isLet`: lets them go. Whether it did so.
  async take(low, high, isLet = false) {
    if (this.isTooMuch(high - low + 1)) return false;
    const { clears } = this;
    const items = await this.feed.range(low, high);
    if (clears !== this.clears) return false; // nobody sees these any more
    for (const item of items) this.put(this.chosen, item, isLet);
    this.draw();
    return true;
  }

  put(chosen, item, isLet) {
    if (isLet) chosen.delete(item.id);
    else chosen.set(item.id, item);
  }

  // -- dragging: from the photo where it began, all up to where it is are as that one becomes -------------------

  drag(photo) {
    const at = this.feed.placeOf(photo);
    if (at < 0) return;
    this.from = at;
    this.dragged = { before: new Map(this.chosen), isLet: this.chosen.has(photo), low: at, high: at };
    this.dragTo(photo);
  }

  dragTo(photo) {
    const at = this.feed.placeOf(photo);
    if (!this.dragged || at < 0 || this.from === null) return;
    const [low, high] = [Math.min(this.from, at), Math.max(this.from, at)];
    if (this.isTooMuch(high - low + 1)) return;
    Object.assign(this.dragged, { low, high });
    this.chosen = new Map(this.dragged.before);
    for (let n = low; n <= high; n++) {
      const item = this.feed.item(n);
      if (item) this.put(this.chosen, item, this.dragged.isLet);
    }
    this.draw();
  }

  // What of it was not loaded yet comes too.
  async dragEnd() {
    const { dragged } = this;
    this.dragged = null;
    if (dragged && dragged.high > dragged.low) await this.take(dragged.low, dragged.high, dragged.isLet);
  }

  isTooMuch(number) {
    const isSo = number > this.most;
    this.note.textContent = isSo ? `Up to ${this.words.number(this.most)} at once: ./factory export takes more.` : "";
    this.bar.hidden = !isSo && !this.size;
    return isSo;
  }

  draw() {
    this.bar.hidden = this.size === 0;
    this.note.textContent = "";
    this.count.textContent = this.size ? `${this.words.number(this.size)} chosen` : "";
    if (this.size > this.most) this.isTooMuch(this.size);
    this.save.disabled = this.size > this.most;
    if (!this.size) this.asking.hidden = true;
    if (this.cover) this.cover.disabled = this.size !== 1; // and not hidden: what is beside it stays where it is
    if (this.hide) {
      const isHidden = this.size > 0 && [...this.chosen.values()].every((item) => item.hidden); // however they were found
      [this.hide.hidden, this.unhide.hidden] = [isHidden, !isHidden];
    }
    this.changed();
  }

  // One photo comes as it is, several as a zip archive.
  download() {
    const items = [...this.chosen.values()];
    if (items.length === 1) return downloadOne(items[0]);
    const form = element("form", "", "", { method: "post", action: `${this.base}zip` });
    const field = element("input", "", "", { type: "hidden", name: "photos" });
    field.value = items.map((item) => item.id).join(",");
    form.append(field);
    document.body.append(form);
    form.submit();
    form.remove();
  }
}

// The album or the tag that is all that is looked at.
function lookedAt(query) {
  const [, field, text, word] = /^(in|album|tag):(?:"((?:\\.|[^"\\])*)"|([^\s()"*?]+))$/i.exec(query.trim()) ?? [];
  const value = text?.replace(/\\(.)/g, "$1") ?? word;
  if (!field) return {};
  return field.toLowerCase() === "tag" ? { tag: value } : { album: value };
}

function downloadOne(item) {
  const link = element("a", "", "", { href: originalOf(item, true), download: "" });
  document.body.append(link);
  link.click();
  link.remove();
}

// The address of a picture of a photo, `small` or `large`, as a person has turned it.
function pictureOf(item, size) {
  return `pictures/${size}/${item.token}${item.turned ? `?turned=${item.turned}` : ""}`;
}

function originalOf(item, isTakenOut = false) {
  return `originals/${item.token}${isTakenOut ? "?download" : ""}`;
}
