// The search box: the selection language (docs/SELECTION.md), with what the library has to offer for the word being written.

const FLAGS = {
  "is:favourite": "favourites", "is:video": "videos", "is:raw": "raw photos", "is:photo": "photos", "has:position": "with a place",
  "is:damaged": "with errors", "date:guessed": "guessed dates", "has:tag": "with a tag", "is:hidden": "hidden",
};
const MOST_SUGGESTED = 8;
const WORD = /(?:[a-z_]+:)?(?:"[^"]*"?|[^\s()"]*)$/i; // what is being written, up to where the cursor stands

class Search {
  // `go(text)`: what to do when somebody has written what they look for.
  constructor(box, choices, go) {
    [this.choices, this.go, this.active, this.asks] = [choices, go, -1, 0];
    this.input = element("input", "", "", {
      type: "search", role: "combobox", placeholder: "Search: a name, camera:, tag:, year:2024 …", "aria-label": "Search photos",
      "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": "gallery-suggestions", autocomplete: "off",
      spellcheck: "false", enterkeyhint: "search", autocapitalize: "off",
    });
    this.list = element("ul", "suggestions", "", { role: "listbox", id: "gallery-suggestions", "aria-label": "Suggestions" });
    this.wrong = element("div", "wrong", "", { role: "alert" });
    this.close();
    box.replaceChildren(this.input, this.list, this.wrong);
    this.input.addEventListener("input", () => {
      this.wrong.replaceChildren();
      this.input.removeAttribute("aria-invalid");
      this.suggest();
    });
    this.input.addEventListener("focus", () => this.suggest());
    this.input.addEventListener("blur", () => this.close());
    this.input.addEventListener("search", () => { if (!this.input.value) this.send(); });
    this.input.addEventListener("keydown", (event) => this.onKey(event));
  }

  set text(value) {
    this.input.value = value;
    this.wrong.replaceChildren();
    this.input.removeAttribute("aria-invalid");
  }

  // Says what is wrong with what was written, and marks the letter.
  refuse({ error, at }) {
    this.input.setAttribute("aria-invalid", "true");
    const text = this.input.value;
    const parts = [element("span", "", `${error[0].toUpperCase()}${error.slice(1)}.`)];
    if (at !== undefined) {
      const shown = element("code");
      const letters = [...text];
      shown.append(letters.slice(0, at).join(""), element("mark", "", letters[at] ?? "␣"), letters.slice(at + 1).join(""));
      parts.push(shown);
    }
    this.wrong.replaceChildren(...parts);
  }

  send() {
    this.close();
    const text = this.input.value.trim();
    // A word alone is what a name has in it somewhere: as people expect it. In quotation marks it is all of a name.
    if (/^[^\s:"()*?<>=-][^\s:"()*?<>=]*$/.test(text)) this.input.value = `*${text}*`;
    this.go(this.input.value.trim());
  }

  onKey(event) {
    const isOpen = !this.list.hidden;
    const number = this.list.children.length;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (!isOpen) this.suggest();
      const way = event.key === "ArrowDown" ? 1 : -1;
      if (number) this.activate((this.active + way + number + (this.active < 0 && way < 0 ? 1 : 0)) % number);
    } else if (event.key === "Enter") {
      if (isOpen && this.active >= 0) this.list.children[this.active].dispatchEvent(new Event("pick"));
      else this.send();
    } else if (event.key === "Escape" && isOpen) this.close();
    else {
      event.stopPropagation(); // no letter is a command of the page
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  activate(number) {
    this.active = number;
    for (const [n, one] of [...this.list.children].entries()) one.setAttribute("aria-selected", n === number);
    this.input.setAttribute("aria-activedescendant", this.list.children[number]?.id ?? "");
  }

  close() {
    this.asks += 1; // suggestions that are under way come too late
    this.list.hidden = true;
    this.active = -1;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  async suggest() {
    const asks = ++this.asks;
    const choices = await this.choices();
    if (asks !== this.asks) return; // more was written meanwhile
    const found = suggestionsFor(this.word(), choices);
    if (this.input.getRootNode().activeElement !== this.input) return;
    this.list.replaceChildren(...found.map(([term, said], number) => {
      const option = element("li", "", "", { role: "option", id: `gallery-suggestion-${number}`, "aria-selected": "false" });
      option.append(element("span", "", term), element("small", "", said));
      const pick = () => this.insert(term);
      option.addEventListener("pick", pick);
      option.addEventListener("pointerdown", (event) => {
        event.preventDefault(); // the box keeps the keyboard
        pick();
      });
      return option;
    }));
    this.list.hidden = !found.length;
    this.active = -1;
    this.input.setAttribute("aria-expanded", String(found.length > 0));
  }

  word() {
    return WORD.exec(this.input.value.slice(0, this.input.selectionStart ?? undefined))?.[0] ?? "";
  }

  insert(term) {
    const end = this.input.selectionStart ?? this.input.value.length;
    const before = this.input.value.slice(0, end - this.word().length);
    this.input.value = `${before}${term} ${this.input.value.slice(end)}`.trimEnd();
    this.send();
  }
}

// Terms that a word may become, each with what it is: [term, said].
function suggestionsFor(word, { cameras, kinds, years, tags, albums }) {
  const [, field, text] = /^(?:([a-z_]+):)?"?([^"]*)/i.exec(word.toLowerCase());
  const terms = [
    ...albums.map((name) => ["in", name, "album"]), ...tags.map((tag) => ["tag", tag, "tag"]),
    ...cameras.map((camera) => ["camera", camera, "camera"]), ...years.map((year) => ["year", String(year), "year"]),
    ...kinds.map((kind) => ["kind", kind, "kind"]),
  ].map(([name, value, said]) => [name, value, `${name}:${quoted(value)}`, said]);
  for (const [term, said] of Object.entries(FLAGS)) terms.push([term.split(":")[0], term.split(":")[1], term, said]);
  const fits = ([name, value, , said]) => (field === undefined
    ? [value, said, name].some((one) => one.toLowerCase().includes(text))
    : name === field && value.toLowerCase().includes(text));
  const found = terms.filter(fits).map(([, , term, said]) => [term, said]);
  if (!field && text && !/[*?]/.test(text)) found.unshift([`*${text}*`.replace(/^\*(.*\s.*)\*$/, '"$1"'), "in the name"]);
  return word ? found.slice(0, MOST_SUGGESTED) : [];
}

// As the selection language writes a value.
function quoted(value) {
  return /^[\w.-]+$/.test(value) ? value : `"${value.replace(/["\\]/g, "\\$&")}"`;
}
