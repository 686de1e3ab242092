// The photos by their days, as far as one scrolls. Only photos near the view are a part of the page, row by row; what lies
// above it may turn out higher or lower than was thought, and nothing that is looked at moves.

const TALLEST = 6_000_000; // pixels that the scrolled area has at most: browsers draw nothing beyond some 30 million
const AHEAD = 2; // views that are drawn too, where one scrolls to
const BEHIND = 0.8; // and where one comes from
const AT_ONCE = 3; // portions that are asked for at the same time
const SETTLED = 70; // ms without scrolling until one is at rest
const REST = 1000; // ms until it is asked again after a failure, while one scrolls

class Grid {
  // `acts`: what is done with a photo: open(index), toggle(index, isRange), toggleDay(day), isChosen(id), isChoosing().
  constructor(scroller, words, acts) {
    [this.scroller, this.words, this.acts] = [scroller, words, acts];
    this.area = element("div", "area");
    scroller.replaceChildren(this.area);
    [this.feed, this.tops, this.drawn, this.current] = [null, [0], new Map(), 0];
    [this.shift, this.width, this.total] = [0, 0, 0];
    [this.asking, this.failedAt, this.wanting, this.way, this.seen] = [0, -Infinity, null, 1, 0];
    this.coming = []; // pictures that are to be asked for
    this.hasJumped = false; // and looks at what nobody could foresee: nothing else is asked for before that has come
    [this.aim, this.held] = [null, null]; // what is to have the keyboard once it is there: a place, a photo
    this.moved = () => {};
    this.renumbered = () => {};
    this.arrived = () => {}; // photos have come
    scroller.addEventListener("scroll", () => this.onScroll(), { passive: true });
    scroller.addEventListener("keydown", (event) => this.onKey(event));
    this.watcher = new ResizeObserver(() => this.resized());
    this.watcher.observe(scroller);
  }

  end() {
    this.watcher.disconnect();
    clearTimeout(this.settling);
    clearTimeout(this.wanting);
    cancelAnimationFrame(this.frame);
    this.feed = null; // what is under way asks for nothing more
  }

  // Shows another feed, from a place on: { day, offset }, or its beginning.
  show(feed, place) {
    const focused = deepFocus(this.area);
    if (this.area.contains(focused)) this.held = focused.closest(".cell")?.querySelector(".open").dataset.photo;
    for (const one of this.drawn.values()) one.remove();
    this.drawn.clear();
    [this.feed, this.current, this.width] = [feed, 0, this.scroller.clientWidth];
    // Whoever has asked for them: the viewer and the choice do, too.
    feed.came = (one, behind, by) => { if (feed === this.feed) this.came(one, behind, by); };
    for (const one of feed.portions) one.height = roughHeight(one, this.width);
    this.measure();
    this.goToPlace(place);
  }

  // -- where everything is ---------------------------------------------------------------------------------

  // The tops of all portions, and what lies below the last.
  measure() {
    const tops = new Float64Array(this.feed.portions.length + 1);
    for (const one of this.feed.portions) tops[one.number + 1] = tops[one.number] + one.height;
    [this.tops, this.total] = [tops, tops.at(-1)];
  }

  // The number of the portion that is at this height.
  at(y) {
    let [low, high] = [0, this.feed.portions.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.tops[middle] <= y) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  get top() {
    return this.scroller.scrollTop + this.shift;
  }

  // Where one is: a portion by its newest day and its piece of that day, one of its photos, and pixels from the top of that.
  place() {
    if (!this.feed?.portions.length) return null;
    const number = this.at(this.top);
    this.shape(number);
    const one = this.feed.portions[number];
    return { day: one.days[0][0], skip: one.skip, ...anchorAt(one.shape, this.top - this.tops[number]) };
  }

  goToPlace(place) {
    let y = 0;
    if (place && this.feed.portions.length) {
      const one = this.feed.portionOfDay(place.day);
      let { number } = one;
      while (place.skip && this.feed.portions[number + 1]?.days[0][0] === place.day
        && this.feed.portions[number + 1].skip <= place.skip) number += 1;
      this.shape(number);
      const { shape } = this.feed.portions[number];
      y = this.tops[number] + (place.n === undefined ? headOf(shape, place.day) : offsetOf(shape, place));
    }
    this.goTo(y);
    this.went = { place, top: this.top };
  }

  goTo(y) {
    const room = this.scroller.clientHeight;
    const to = Math.max(0, Math.min(y, this.total - room));
    this.shift = this.total <= TALLEST ? 0 : Math.max(0, Math.min(to - TALLEST / 2, this.total - TALLEST));
    this.size();
    this.scroller.scrollTop = to - this.shift;
    this.hasJumped = true;
    this.draw();
    this.settle(0);
  }

  size() {
    const height = Math.max(0, Math.min(this.total - this.shift, TALLEST));
    this.area.style.height = `${height}px`;
  }

  onScroll() {
    const { scrollTop, clientHeight } = this.scroller;
    if (this.top !== this.seen) this.way = this.top > this.seen ? 1 : -1;
    this.seen = this.top;
    const isAtEdge = scrollTop < 2000 || (scrollTop + clientHeight > TALLEST - 2000 && this.total - this.shift > TALLEST);
    if (this.shift !== 0 && isAtEdge) {
      const y = Math.max(0, this.top);
      this.shift = y < TALLEST / 2 ? 0 : y - TALLEST / 2;
      this.size();
      this.scroller.scrollTop = y - this.shift;
      this.replace();
    }
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.draw());
    this.settle(SETTLED);
  }

  resized() {
    const width = this.scroller.clientWidth;
    if (!this.feed || !width || (width === this.width && this.height === this.scroller.clientHeight)) return;
    this.height = this.scroller.clientHeight;
    if (width !== this.width) {
      // Where nobody has scrolled since, that place is still meant: what stands at the top now is of another layout.
      const place = this.top === this.went.top ? this.went.place : this.place();
      this.width = width;
      for (const one of this.feed.portions) {
        one.shape = null;
        one.height = roughHeight(one, width);
      }
      for (const one of this.drawn.values()) one.remove();
      this.drawn.clear();
      this.measure();
      this.goToPlace(place);
    }
    this.draw();
    this.settle(0);
  }

  // -- what is drawn ---------------------------------------------------------------------------------------

  // What is drawn, in pixels: more of where one scrolls to.
  near() {
    const room = this.scroller.clientHeight;
    const [above, below] = this.way > 0 ? [BEHIND, AHEAD] : [AHEAD, BEHIND];
    return [this.top - above * room, this.top + (1 + below) * room];
  }

  draw() {
    if (!this.feed?.portions.length) return this.moved();
    // To give one its shape may bring others near.
    for (let number = this.at(this.near()[0]); number <= this.at(this.near()[1]); number++) this.shape(number);
    const first = this.at(this.near()[0]);
    const shown = new Set();
    for (let number = first; number <= this.at(this.near()[1]); number++) {
      this.shape(number);
      shown.add(this.feed.portions[number]);
    }
    for (const [one, part] of this.drawn) {
      if (shown.has(one)) continue;
      if (part.contains(deepFocus(part))) {
        this.fill(one);
        continue;
      }
      for (const cell of part.cells.values()) letGo(cell);
      part.remove();
      this.drawn.delete(one);
    }
    for (const one of shown) {
      if (!this.drawn.has(one)) this.drawn.set(one, this.part(one));
      this.fill(one);
    }
    this.replace();
    this.picture();
    this.keepStop();
    this.wanting ??= setTimeout(() => this.want(), 0);
    this.moved();
  }

  // Asks for the pictures of what has just been drawn, those in view first: a browser asks for some at a time.
  picture() {
    const [top, bottom] = [this.top, this.top + this.scroller.clientHeight];
    const away = (index) => {
      const one = this.feed.portionAt(index);
      const { y, height } = one.shape.boxes[index - one.start];
      const begin = this.tops[one.number] + y;
      return Math.max(0, begin - bottom, top - begin - height);
    };
    const coming = this.coming.map(([index, image, address]) => [away(index), image, address]).sort(([a], [b]) => a - b);
    this.coming = [];
    for (const [far, image, address] of coming) {
      image.fetchPriority = far ? "low" : "high";
      image.src = address;
    }
  }

  // Draws the photos of a portion that are near the view, and `kept`; lets go of others, but of who is at the keyboard.
  fill(one, kept = -1) {
    const part = this.drawn.get(one);
    const [from, to] = this.near().map((y) => y - this.tops[one.number]);
    const [first, end] = [firstBelow(one.shape, from), firstFrom(one.shape, to)];
    const focused = deepFocus(part);
    for (const [n, cell] of part.cells) {
      if ((n >= first && n < end) || cell.contains(focused)) continue;
      letGo(cell);
      cell.remove();
      part.cells.delete(n);
    }
    // From the last to the first, each before the one that follows it: as they are read.
    let next = null;
    for (const [n, cell] of part.cells) if (n >= end && (next === null || n < next[0])) next = [n, cell];
    const wanted = kept >= end ? [kept] : [];
    for (let n = end - 1; n >= first; n--) wanted.push(n);
    if (kept >= 0 && kept < first) wanted.push(kept);
    for (const n of wanted) {
      if (!part.cells.has(n)) {
        const cell = this.cell(one.shape.boxes[n], one.items?.[n], one.start + n);
        part.insertBefore(cell, next?.[1] ?? null);
        part.cells.set(n, cell);
      }
      next = [n, part.cells.get(n)];
    }
  }

  // One of the photos that are drawn is the stop of the Tab key: where the last one is far away, the first in view.
  keepStop() {
    if (!this.aim && !this.area.querySelector('.open[tabindex="0"]')) {
      const { top } = this.scroller.getBoundingClientRect();
      const drawn = [...this.area.querySelectorAll(".open")].map((open) => [open.getBoundingClientRect(), open]);
      const inView = drawn.filter(([box]) => box.bottom > top).sort(([a], [b]) => a.top - b.top || a.left - b.left);
      const open = inView[0]?.[1];
      if (open) {
        this.current = Number(open.dataset.index);
        open.tabIndex = 0;
      }
    }
    if (!this.held) return;
    const now = deepFocus(this.area) ?? document.activeElement;
    const isElsewhere = now && now !== document.body && now !== this.area.getRootNode().host && !this.area.contains(now);
    const open = this.area.querySelector(`.open[data-photo="${this.held}"]`);
    const isAll = [...this.drawn.keys()].every((one) => one.items);
    if (!isElsewhere && !open && !isAll) return; // it may come yet
    this.held = null;
    if (!isElsewhere) this.stopAt(open ?? this.area.querySelector('.open[tabindex="0"]'));
  }

  // This photo has the keyboard now.
  stopAt(open) {
    for (const other of this.area.querySelectorAll(".open")) other.tabIndex = other === open ? 0 : -1;
    if (!open) return;
    this.current = Number(open.dataset.index);
    open.focus({ preventScroll: true });
  }

  // Gives a portion its shape. Where it was thought to be higher or lower, and begins above the view, all of the view stays:
  // within it, the photo at the top.
  shape(number) {
    const one = this.feed.portions[number];
    if (one.shape) return;
    const [top, before, old] = [this.top, one.height, one.guessed];
    one.shape = shapeOf(one, this.width);
    one.height = one.shape.height;
    one.guessed = null;
    const [begin, by] = [this.tops[number], one.height - before];
    if (!by && !old) return;
    for (let n = number + 1; n < this.tops.length; n++) this.tops[n] += by;
    this.total = this.tops.at(-1);
    if (begin + before <= top + 1) this.shift += by; // browsers round where one scrolls to
    else if (begin < top && old) this.shift += offsetOf(one.shape, anchorAt(old, top - begin)) - (top - begin);
    this.size();
  }

  replace() {
    for (const [one, part] of this.drawn) {
      part.style.transform = `translateY(${this.tops[one.number] - this.shift}px)`;
    }
  }

  // A portion without its photos.
  part(one) {
    const part = element("div", "portion");
    part.style.height = `${one.height}px`;
    part.dataset.start = one.start; // its photos know their places by it
    part.cells = new Map();
    part.append(...one.shape.heads.map((head) => this.head(head)));
    // Where it is read: before the first one drawn that comes later.
    const later = [...this.drawn].filter(([other]) => other.number > one.number);
    const next = later.reduce((first, other) => (!first || other[0].number < first[0].number ? other : first), null);
    this.area.insertBefore(part, next?.[1] ?? null);
    return part;
  }

  head({ day, x, y, width }) {
    const head = element("div", "head");
    Object.assign(head.style, { left: `${x}px`, top: `${y}px`, width: `${width}px` });
    const title = this.words.weekday(day);
    const pick = button("pick", "", `Choose all of ${title}`, () => this.acts.toggleDay(day), { tabindex: "-1" });
    pick.append(icon(ICONS.check));
    const text = width < 190 ? this.words.day(day) : title;
    head.append(pick, element("h2", "", text));
    return head;
  }

  cell(box, item, index) {
    const cell = element("div", "cell");
    Object.assign(cell.style, {
      left: `${box.x}px`, top: `${box.y}px`, width: `${box.width}px`, height: `${box.height}px`,
    });
    if (!item) return cell;
    const open = button("open", "", this.words.label(item), (event) => this.acts.click(index, event));
    open.dataset.index = index;
    open.dataset.photo = item.id;
    open.title = item.name;
    open.tabIndex = index === this.current ? 0 : -1;
    const image = element("img", "", "", { alt: "", decoding: "async", draggable: "false" });
    image.addEventListener("load", () => image.classList.add("there"));
    this.coming.push([index, image, pictureOf(item, "small")]);
    open.append(image);
    if (item.video) open.append(element("span", "badge", item.length ?? "Video"));
    if (item.film) open.append(element("span", "badge", "Live"));
    if (item.wrong) open.append(element("span", "error", "!"));
    if (item.favourite) open.append(mark("star"));
    const pick = button("pick", "", `Choose ${item.name}`, (event) => this.acts.toggle(index, event.shiftKey), { tabindex: "-1" });
    pick.append(icon(ICONS.check));
    cell.append(open, pick);
    this.mark(cell, item);
    return cell;
  }

  mark(cell, item) {
    const isChosen = this.acts.isChosen(item.id);
    cell.classList.toggle("chosen", isChosen);
    cell.querySelector(".pick").setAttribute("aria-pressed", isChosen);
  }

  // After others were chosen.
  markAll() {
    for (const [one, part] of this.drawn) {
      for (const open of part.querySelectorAll(".open")) {
        const item = one.items?.[open.dataset.index - one.start];
        if (item) this.mark(open.parentElement, item);
      }
    }
  }

  // One is at rest soon: what failed is tried again then.
  settle(after) {
    clearTimeout(this.settling);
    this.settling = setTimeout(() => {
      this.failedAt = -Infinity;
      this.want();
    }, after);
  }

  // Asks for the photos that are drawn, and then for those beside them: a few portions at a time, the nearest to the view
  // first. So who scrolls on waits for nothing that is past.
  want() {
    clearTimeout(this.wanting);
    this.wanting = null;
    if (!this.feed?.portions.length || performance.now() - this.failedAt < REST) return;
    const middle = this.top + this.scroller.clientHeight / 2;
    const away = (one) => {
      const [begin, end] = [this.tops[one.number], this.tops[one.number + 1]];
      return middle < begin ? begin - middle : Math.max(0, middle - end);
    };
    const near = new Set(this.drawn.keys());
    for (const one of this.drawn.keys()) {
      const beside = this.feed.portions[one.number + this.way];
      if (beside) near.add(beside);
    }
    const isInView = (one) => away(one) < this.scroller.clientHeight / 2;
    this.hasJumped &&= [...near].some((one) => !one.items && isInView(one));
    const wanted = [...near].filter((one) => !one.items && !one.loading && (!this.hasJumped || isInView(one)));
    const missing = wanted.sort((a, b) => away(a) - away(b));
    for (const one of missing.slice(0, Math.max(0, AT_ONCE - this.asking))) this.ask(one);
  }

  async ask(one) {
    this.asking += 1;
    const isThere = await this.load(one);
    this.asking -= 1;
    if (isThere) this.want();
  }

  // Whether it has come.
  async load(one) {
    try {
      await this.feed.load(one);
      return true;
    } catch (error) {
      if (!this.feed) return false;
      this.failedAt = performance.now();
      this.settle(5 * REST); // nobody need scroll for what was away for a moment
      this.acts.failed(error);
      return false;
    }
  }

  // Photos came. Where there are more or fewer than was thought, all behind them have another place: what is drawn of these
  // is drawn anew, for a click on it means a place.
  came(one, behind, by) {
    this.arrived();
    if (by) {
      if (this.current >= behind) this.current += by;
      this.renumbered(behind, by);
    }
    [one.guessed, one.shape] = [one.shape, null];
    this.shape(one.number);
    for (const [there, part] of this.drawn) {
      if (there !== one && Number(part.dataset.start) === there.start) continue;
      this.redraw(there);
    }
    this.draw();
  }

  // Who is at one of its photos by keyboard stays there.
  redraw(one) {
    const old = this.drawn.get(one);
    const held = old.contains(deepFocus(old)) ? deepFocus(old).dataset.photo : null;
    const part = this.part(one);
    this.drawn.set(one, part);
    this.fill(one, held ? (one.items ?? []).findIndex((item) => item.id === held) : -1);
    for (const cell of old.cells.values()) letGo(cell);
    old.remove();
    if (held) part.querySelector(`.open[data-photo="${held}"]`)?.focus({ preventScroll: true });
  }

  // -- the keyboard ----------------------------------------------------------------------------------------

  onKey(event) {
    const open = event.target.closest?.(".open");
    if (!open || event.ctrlKey || event.metaKey || event.altKey) return;
    const index = Number(open.dataset.index);
    const goal = {
      ArrowLeft: () => index - 1, ArrowRight: () => index + 1, Home: () => 0, End: () => this.feed.total - 1,
      ArrowUp: () => this.beside(index, -1), ArrowDown: () => this.beside(index, 1),
    }[event.key]?.();
    if (goal !== undefined) {
      if (event.shiftKey) this.acts.extend(index, goal);
      this.focus(goal);
    } else if (event.key === " ") this.acts.toggle(index, event.shiftKey);
    else if (event.key === "d") this.acts.toggleDay(this.feed.item(index)?.day);
    else if (event.key === "Escape" && this.acts.isChoosing()) this.acts.clear();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // The photo above or below another: the nearest one of the next row.
  beside(index, way) {
    const one = this.feed.portionAt(index);
    const { number } = one;
    const box = one.shape.boxes[index - one.start];
    const middle = box.x + box.width / 2;
    for (let n = number; n >= 0 && n < this.feed.portions.length; n += way) {
      this.shape(n);
      const other = this.feed.portions[n];
      const rows = other.shape.boxes.filter((there) => n !== number || Math.sign(Math.round(there.y - box.y)) === way);
      if (!rows.length) continue;
      const y = way > 0 ? Math.min(...rows.map((there) => there.y)) : Math.max(...rows.map((there) => there.y));
      const row = rows.filter((there) => Math.round(there.y) === Math.round(y));
      const nearest = row.reduce((a, b) => (apart(a, middle) <= apart(b, middle) ? a : b));
      return other.start + other.shape.boxes.indexOf(nearest);
    }
    return index;
  }

  // Brings a photo into view and gives it the keyboard.
  async focus(index) {
    if (!this.feed.total) return;
    this.reveal(Math.max(0, Math.min(index, this.feed.total - 1)));
    this.current = Math.max(0, Math.min(index, this.feed.total - 1));
    const one = this.feed.portionAt(this.current);
    const aim = (this.aim = {}); // what is drawn meanwhile takes its place at the keyboard from nobody
    if (!one.items) await this.load(one);
    if (aim !== this.aim) return;
    this.aim = null;
    this.stopAt(this.area.querySelector(`.open[data-index="${this.current}"]`));
  }

  reveal(index) {
    const one = this.feed.portionAt(index);
    const { number } = one;
    this.shape(number);
    const box = one.shape.boxes[index - one.start];
    if (!box) return;
    const room = this.scroller.clientHeight;
    const y = this.tops[number] + box.y;
    if (y - HEAD < this.top) this.goTo(y - HEAD - GAP);
    else if (y + box.height > this.top + room) this.goTo(y + box.height - room + GAP);
    else this.draw();
  }
}

// What is under way for it is not needed.
function letGo(cell) {
  cell.querySelector("img")?.removeAttribute("src");
}

function deepFocus(part) {
  return part.getRootNode().activeElement;
}

function mark(name) {
  const made = element("span", name);
  made.append(icon(ICONS[name]));
  return made;
}
