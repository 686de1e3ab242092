// What people decide about the photo that is looked at in words: title, description, tags, albums, date, place.

const NOTHING_TO_CHOOSE = async () => ({ tags: [], albums: [] });

class Edit {
  constructor(viewer, deeds) {
    [this.viewer, this.deeds, this.isOpen, this.choices] = [viewer, deeds, false, NOTHING_TO_CHOOSE];
  }

  // What is shown of it for another photo: nothing can be written before it is known what is so.
  parts() {
    const { deeds } = this;
    const text = (what, label, more = {}) => new Written({ label, save: (said, refused) => deeds.write(what, said, refused), ...more });
    this.texts = {
      title: text("title", "Title", { most: 1000 }), description: text("describe", "Description", { most: 100000, isLong: true }),
      date: text("redate", "Date", { isNamed: true, hint: "2019-07-04 12:30, or a shift: -7:12" }),
      place: text("place", "Place", { isNamed: true, hint: "latitude, longitude: -33.8568, 151.2153" }),
    };
    const several = (name, one, adds, takes) => new Several({
      label: name, one, known: async () => (await this.choices())[name.toLowerCase()],
      add: (value) => deeds.write(adds, value), remove: (value) => deeds.write(takes, value),
    });
    this.lists = { tags: several("Tags", "tag", "tag", "untag"), albums: several("Albums", "album", "album", "out-of-album") };
    const { title, description, date, place } = this.texts;
    this.details = element("details", "edit");
    this.details.open = this.isOpen;
    this.details.addEventListener("toggle", () => { this.isOpen = this.details.open; });
    this.details.append(
      element("summary", "", "Description, tags, albums, date, place"), description.form, this.lists.tags.box, this.lists.albums.box,
      date.form, place.form, element("p", "note", "A corrected date moves the file to the folder of its day. The photo's own bytes never change."),
    );
    // The next photo would take the field away.
    for (const part of [title.form, this.details]) part.addEventListener("focusin", () => this.viewer.stopSlides());
    return [title.form, this.details];
  }

  // `found`: as the route has it.
  knows({ title, edit }) {
    if (!this.texts) return;
    const now = { title, ...edit };
    for (const [name, written] of Object.entries(this.texts)) written.knows(now[name] ?? "");
    for (const [name, list] of Object.entries(this.lists)) list.knows(now[name] ?? []);
  }

  writeTitle() {
    this.texts?.title.focus();
  }

  // Opens or closes it.
  toggle(is = !this.isOpen) {
    if (!this.details) return;
    this.details.open = this.isOpen = is;
    if (is) this.texts.description.focus();
  }
}

// A text, with a button that saves it. What is being written is not overwritten by what has become so meanwhile.
class Written {
  // `save(text, refused)`; `isNamed`: its name stands before it, for what is in it does not say what it is.
  constructor({ label, save, hint = label, most = 200, isLong = false, isNamed = false }) {
    const about = { "aria-label": label, placeholder: hint, maxlength: most, autocomplete: "off", title: label };
    this.field = element(isLong ? "textarea" : "input", "", "", isLong ? { ...about, rows: 3 } : about);
    [this.field.disabled, this.was, this.isWanted] = [true, null, false];
    this.form = element("form", "asking");
    if (isNamed) this.form.append(element("span", "name", label, { "aria-hidden": "true" }));
    this.form.append(this.field, element("button", "act", "Save", { type: "submit", "aria-label": `Save: ${label.toLowerCase()}` }));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const [before, said] = [this.was, this.field.value.trim()];
      if (this.field.disabled || said === before) return;
      this.was = said;
      save(said, () => { this.was = before; });
      this.form.closest(".facts")?.focus();
    });
  }

  knows(text) {
    const isAsWas = this.was === null || this.field.value.trim() === this.was;
    [this.field.disabled, this.was] = [false, text];
    if (isAsWas) this.field.value = text;
    if (this.isWanted) this.focus();
  }

  // As soon as it is known what is so.
  focus() {
    this.isWanted = this.field.disabled;
    if (!this.isWanted) this.field.focus();
  }
}

// Some of many names: each with a button that takes it away, and a field for another one.
class Several {
  // `one`: what each is called; `known()`: names that there are; `add(name)`, `remove(name)`.
  constructor({ label, one, known, add, remove }) {
    [this.one, this.remove, this.shown] = [one, remove, null];
    this.box = element("div", "several", "", { role: "group", "aria-label": label });
    this.names = element("ul", "names");
    const list = `gallery-known-${label.toLowerCase()}`;
    this.field = element("input", "", "", {
      "aria-label": `Add: ${one}`, placeholder: `Add ${one === "album" ? "to an album" : "a tag"}`, maxlength: 200, autocomplete: "off", list,
    });
    const offered = element("datalist", "", "", { id: list });
    const form = element("form", "asking");
    form.append(this.field, offered, element("button", "act", "Add", { type: "submit", "aria-label": `Add the ${one}` }));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const said = this.field.value.trim();
      if (!said) return;
      this.field.value = "";
      add(said);
    });
    this.field.addEventListener("focus", async () => {
      offered.replaceChildren(...((await known()) ?? []).map((value) => element("option", "", "", { value })));
    });
    this.box.append(this.names, form);
  }

  knows(names) {
    if (JSON.stringify(names) === this.shown) return;
    this.shown = JSON.stringify(names);
    this.names.hidden = !names.length;
    this.names.replaceChildren(...names.map((name) => {
      const part = element("li", "", "");
      const away = button("act", "", `Take away the ${this.one} ${name}`, () => {
        [away.disabled, this.shown] = [true, null]; // where it is refused, it is shown again
        this.remove(name);
        this.field.focus();
      });
      away.append(icon(ICONS.close));
      part.append(element("span", "", name), away);
      return part;
    }));
  }
}
