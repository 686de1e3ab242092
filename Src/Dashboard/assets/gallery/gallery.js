// The gallery: a bar with what is looked at, the photos, the years, what is chosen, and one photo over all.
// What it shows comes from file names and photos: only ever set as text, never as HTML.

const OLD_NAMES = { "Recently added": "added", "By date taken": "taken" }; // of orders, in addresses that were kept
const ORDERS = {
  taken: "By date taken", added: "Recently added", "this-day": "On this day", favourites: "Favourites",
  guessed: "Guessed dates", hidden: "Hidden",
};
const EMPTY = {
  "this-day": "No photo was taken on this day in earlier years.", favourites: "No favourites yet.",
  guessed: "No date is a guess.", hidden: "Nothing is hidden.",
};

class Gallery {
  constructor(root, data, send) {
    [this.root, this.data, this.send, this.words] = [root, data, send, new Words(data.style)];
    this.acts = new Asked((acts) => this.send("act", acts));
    this.acts.answered(data);
    this.act = data.acts ? (...act) => this.acts.add(...act) : null;
    this.grid = new Grid(root.querySelector(".scroller"), this.words, {
      click: (index, event) => this.clicked(index, event), toggle: (index, isRange) => this.toggle(index, isRange),
      extend: (from, to) => this.extend(from, to), toggleDay: (day) => this.tried(this.choice.toggleDay(day)),
      isChosen: (id) => this.choice.has(id), isChoosing: () => this.choice.size > 0, clear: () => this.choice.clear(),
      failed: (error) => this.failed(error),
    });
    this.scrubber = new Scrubber(root.querySelector(".rail"), this.grid, this.words);
    this.choice = new Choice(root.querySelector(".bar"), this.words, data.most, data.feed);
    this.choice.changed = () => {
      root.classList.toggle("choosing", this.choice.size > 0);
      this.grid.markAll();
    };
    this.viewer = new Viewer(this.words, (index, ...last) => this.looked(index, ...last), this.act, data.ground);
    this.viewer.isWaiting = () => this.acts.acts.length > 0;
    this.viewer.isStale = () => Boolean(this.isStale);
    if (this.act) this.viewer.facts.edit.choices = () => this.choices();
    this.drag = new Drag(root.querySelector(".scroller"), {
      begin: (photo) => this.choice.drag(photo), to: (photo) => this.choice.dragTo(photo), end: () => this.tried(this.choice.dragEnd()),
    });
    [this.shows, this.follows] = [0, 0];
    this.search = new Search(root.querySelector(".search"), () => this.choices(), (text) => this.look(this.order, text));
    this.grid.moved = () => this.moved();
    this.grid.renumbered = (behind, by) => {
      this.choice.renumbered(behind, by);
      if (this.viewer.feed === this.grid.feed) this.viewer.renumbered(behind, by); // else its places are others
    };
    this.grid.arrived = () => { if (this.failure) this.say(""); };
    this.selector();
    this.says = root.querySelector(".says");
    this.onBack = () => this.follow();
    addEventListener("popstate", this.onBack);
    this.fit = () => {
      const room = innerHeight - Math.max(0, root.getBoundingClientRect().top) - 6;
      root.style.height = `${Math.max(360, room)}px`;
    };
    addEventListener("resize", this.fit);
    this.fit();
    this.room = new ResizeObserver(this.fit); // what the page says above comes and goes
    this.room.observe(document.querySelector("[data-testid=stMainBlockContainer]") ?? document.body);
    // Photos first: what only the search and the list of albums need would be answered before them.
    this.follow().finally(() => {
      if (this.isGone) return;
      this.offerAlbums();
      this.watch();
    });
  }

  // The page was run again: an act may have come to something.
  again(data, send) {
    const old = this.data;
    [this.data, this.send] = [data, send];
    this.acts.answered(data);
    const { outcome } = data;
    const isNews = outcome?.which !== old.outcome?.which;
    if (isNews && outcome) this.viewer.told(outcome);
    if (isNews || data.done !== old.done) this.viewer.facts.load(true);
    const isMoved = data.feed !== old.feed; // the dashboard was started anew, and so has other addresses
    if (isMoved) {
      this.choice.base = data.feed;
      if (this.grid.feed) this.grid.feed.base = data.feed;
    }
    if (!isMoved && (data.done === old.done || outcome?.is_bad) && (!isNews || !outcome || outcome.is_bad)) return;
    this.chosenFrom = null;
    this.isStale = true;
    if (!this.viewer.isOpen) this.refresh();
  }

  // Asks for all anew, and stays where one is. What has been chosen since the last act stays chosen.
  async refresh() {
    this.isStale = false;
    this.keep();
    await this.show(this.order, this.query, null, true);
  }

  end() {
    removeEventListener("popstate", this.onBack);
    removeEventListener("resize", this.fit);
    this.room.disconnect();
    clearInterval(this.watching);
    this.acts.end();
    this.isGone = true;
    this.drag.end();
    this.viewer.close();
    this.grid.end();
  }

  // -- what is looked at: it is in the address --------------------------------------------------------------

  asked() {
    const asked = new URLSearchParams(location.search);
    const order = OLD_NAMES[asked.get("order")] ?? asked.get("order");
    return { order: order in ORDERS ? order : "taken", q: asked.get("q") ?? "", at: asked.get("at"), photo: asked.get("photo") };
  }

  // Shows what the address asks for.
  async follow() {
    if (!location.pathname.replace(/\/$/, "").endsWith("/gallery")) return;
    const follows = ++this.follows;
    const { order, q, at, photo } = this.asked();
    // Who comes back to this address, by Back or a reload, is where they were; who follows a link, where it leads.
    const place = history.state?.gallery ?? (at ? { day: lastDayOf(at) } : null);
    if (order !== this.order || q !== this.query) await this.show(order, q, place);
    if (follows !== this.follows) return; // the address is another by now
    if (!photo) this.viewer.close();
    else if (!this.viewer.isOpen) await this.openNamed(photo);
  }

  // Looks at something else, which Back leaves again.
  look(order, query) {
    this.keep();
    const address = new URL(location.href);
    for (const name of ["at", "photo"]) address.searchParams.delete(name);
    for (const [name, value] of [["order", order === "taken" ? "" : order], ["q", query]]) {
      if (value) address.searchParams.set(name, value);
      else address.searchParams.delete(name);
    }
    history.pushState({ ...history.state, gallery: undefined }, "", address);
    this.show(order, query, null);
  }

  // Of two that are under way the later one counts, whichever answer comes first; who waits for one waits for that.
  show(...what) {
    this.showing = this.showNow(++this.shows, ...what);
    return this.showing;
  }

  // `place`: where it begins; else where one was.
  async showNow(shows, order, query, place, isSame = false) {
    [this.order, this.query] = [order, query];
    this.selected();
    if (!isSame) this.search.text = query;
    if (isSame) this.choice.letGo();
    else this.choice.clear();
    const feed = new Feed(this.data.feed, order, query);
    place ??= this.kept();
    try {
      await feed.begin(!place);
    } catch (error) {
      if (this.isGone) return undefined;
      if (shows !== this.shows) return this.showing; // nobody looks at that any more
      if (error.said?.at !== undefined) this.search.refuse(error.said);
      else this.say(error.message);
      this.grid.show(Object.assign(feed, { portions: [], total: 0 }), null);
      this.counted(feed, true);
      this.ready();
      return;
    }
    // Near the end there must be room to go to: what is shown first has its real height.
    if (place && feed.total) await feed.load(feed.portionOfDay(place.day)).catch(() => {});
    if (this.isGone) return undefined;
    if (shows !== this.shows) return this.showing; // something else is looked at meanwhile
    this.choice.look(feed);
    if (this.act) this.choice.offer(this.act, () => this.choices(), query);
    this.grid.show(feed, place);
    this.scrubber.draw();
    this.counted(feed, false);
    this.ready();
  }

  ready() {
    this.root.dataset.shown = `${this.order} ${this.query}`;
  }

  counted(feed, isWrong) {
    this.root.querySelector(".total").textContent = isWrong ? "" : this.words.counted(feed.total, "photo");
    if (isWrong) return;
    this.say(feed.total ? "" : this.query ? "No photo fits." : EMPTY[this.order] ?? "No photos yet.");
  }

  // A line, and perhaps where it leads: { text, href }.
  say(text, lead) {
    this.says.replaceChildren(text, ...(lead ? [" ", element("a", "", lead.text, { href: lead.href })] : []));
    this.says.hidden = !text;
    this.failure = null;
  }

  // Photos did not come; said until some do.
  failed(error) {
    this.say(error.message);
    this.failure = error;
  }

  // -- where one is: kept by the tab, and by each of its addresses, so that a reload and Back return to it -----

  get name() {
    return `gallery ${this.order} ${this.query}`;
  }

  keep() {
    const place = this.grid.place();
    if (!place) return;
    sessionStorage.setItem(this.name, JSON.stringify(place));
    if (this.asked().order !== this.order || this.asked().q !== this.query) return; // the address is another by now
    try {
      history.replaceState({ ...history.state, gallery: place }, "");
    } catch {
      // A browser lets only so many come in a while: the tab knows it.
    }
  }

  kept() {
    try {
      return JSON.parse(sessionStorage.getItem(this.name));
    } catch {
      return null;
    }
  }

  moved() {
    this.scrubber.mark();
    clearTimeout(this.keeping);
    this.keeping = setTimeout(() => {
      if (this.isGone) return;
      this.keep();
      this.scrubber.draw();
    }, 250);
  }

  // -- photos ----------------------------------------------------------------------------------------------

  clicked(index, event) {
    if (event.shiftKey || event.ctrlKey || event.metaKey || (this.choice.size && event.detail > 0)) return this.toggle(index, event.shiftKey);
    this.open(index);
  }

  toggle(index, isRange) {
    this.grid.current = index;
    const item = this.grid.feed.item(index);
    if (isRange && this.choice.from !== null) this.tried(this.choice.extend(index));
    else if (item) this.choice.toggle(item, index); // of very many photos, those seen long ago are let go
  }

  extend(from, to) {
    const last = this.grid.feed.total - 1;
    this.choice.from ??= from;
    this.tried(this.choice.extend(Math.min(last, Math.max(0, to))));
  }

  async tried(work) {
    await work.catch((error) => this.say(error.message));
  }

  async open(index) {
    await this.tried(this.viewer.open(this.grid.feed, index));
  }

  // The photo that the address names, wherever it is.
  async openNamed(photo) {
    const { feed } = this.grid;
    const isWanted = () => !this.isGone && this.asked().photo === photo;
    try {
      const { day, before, trash, elsewhere } = await feed.ask("where", { photo });
      if (!isWanted()) return;
      if (trash) return this.say("This photo is in the trash.", { text: "Open the trash", href: "trash" });
      if (elsewhere) return this.say(elsewhere === "hidden" ? "This photo is hidden." : "This photo is not among these.", elsewhereOf(elsewhere, photo));
      if (!day) return this.say("There is no such photo in the library.");
      const portions = feed.portions.filter((one) => one.days.some(([there]) => there === day));
      const first = portions.find((one) => one.skip <= before && before < one.skip + one.count) ?? portions[0];
      await feed.load(first);
      if (!isWanted()) return;
      if (feed !== this.grid.feed) return this.openNamed(photo); // all was asked for anew meanwhile
      const at = first.items.findIndex((item) => item.id === photo);
      if (at >= 0) await this.open(first.start + at);
    } catch (error) {
      if (isWanted()) this.say(error.message);
    }
  }

  // The viewer shows this photo now, or none any more: the address says so, and Back closes it.
  looked(index, last, shown) {
    const address = new URL(location.href);
    if (index === null) {
      if (this.isGone) return;
      if (address.searchParams.has("photo")) {
        if (this.hasPushed) history.back();
        else {
          address.searchParams.delete("photo");
          history.replaceState(history.state, "", address);
        }
      }
      this.hasPushed = false;
      if (!this.isStale) this.grid.focus(last);
      else {
        if (this.grid.feed.total) this.grid.reveal(Math.min(last, this.grid.feed.total - 1));
        this.grid.held = shown; // it has the keyboard when all was asked for anew
        this.refresh();
      }
      return;
    }
    const { id } = this.viewer.item;
    if (address.searchParams.get("photo") === id) return;
    const isFirst = !address.searchParams.has("photo");
    address.searchParams.set("photo", id);
    if (isFirst) {
      this.hasPushed = true;
      history.pushState(history.state, "", address);
    } else history.replaceState(history.state, "", address);
  }

  // -- the bar above ---------------------------------------------------------------------------------------

  selector() {
    const select = this.root.querySelector("select");
    select.replaceChildren(...Object.entries(ORDERS).map(([value, text]) => element("option", "", text, { value })));
    this.albums = element("optgroup", "", "", { label: "Albums" });
    select.addEventListener("change", () => {
      if (select.value in ORDERS) this.look(select.value, "");
      else this.look("taken", select.value);
    });
  }

  async offerAlbums() {
    const { albums } = await this.choices();
    this.albums.replaceChildren(...albums.map((name) => element("option", "", name, { value: `in:${quoted(name)}` })));
    if (albums.length) this.root.querySelector("select").append(this.albums);
    this.selected();
  }

  selected() {
    const select = this.root.querySelector("select");
    const album = [...this.albums.children].find((option) => option.value === this.query);
    select.value = this.order === "taken" && album ? album.value : this.order;
  }

  // What can be searched for; asked once, and again after a minute.
  choices() {
    if (!this.chosenFrom || Date.now() - this.askedAt > 60_000) {
      this.askedAt = Date.now();
      const nothing = { cameras: [], kinds: [], years: [], tags: [], albums: [] };
      this.chosenFrom = fetch(`${this.data.feed}choices`).then(answerOf).catch(() => nothing);
    }
    return this.chosenFrom;
  }

  // A button where more has come in since: what somebody looks at does not move by itself.
  watch() {
    const news = this.root.querySelector(".news");
    let [known, looks] = [null, 0];
    const look = async () => {
      if (document.hidden) return;
      const mine = ++looks;
      const { originals } = await fetch(`${this.data.feed}count`).then(answerOf).catch(() => ({}));
      if (originals === undefined || mine !== looks) return;
      known ??= originals;
      news.hidden = originals <= known;
      news.textContent = this.words.counted(originals - known, "new photo");
    };
    news.addEventListener("click", () => {
      known = null;
      looks += 1; // an answer that is under way is older
      news.hidden = true;
      sessionStorage.removeItem("gallery added ");
      if (this.order === "added" && !this.query) this.show("added", "", null);
      else this.look("added", "");
    });
    look();
    if (this.data.refresh) this.watching = setInterval(look, Math.max(5, this.data.refresh) * 1000);
  }
}

// Where a photo is that is not among those that are looked at.
function elsewhereOf(order, photo) {
  return { text: "Show it", href: `gallery?${new URLSearchParams({ ...(order === "taken" ? {} : { order }), photo })}` };
}

// The last day of a month or year, or the day itself.
function lastDayOf(at) {
  return `${at}-99-99`.slice(0, 10);
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".gallery");
  if (root.gallery) {
    root.gallery.again(data, setTriggerValue);
    return undefined;
  }
  if (!document.getElementById("gallery-viewer-style")) {
    const style = element("style", "", data.viewer_style);
    style.id = "gallery-viewer-style";
    document.head.append(style);
  }
  root.gallery = new Gallery(root, data, setTriggerValue);
  return () => {
    root.gallery.end();
    delete root.gallery;
  };
}
