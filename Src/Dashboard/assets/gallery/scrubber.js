// The years beside the photos: a click, a drag or the arrow keys lead anywhere in them.

const DRAGGED = 3; // pixels; a hand that clicks moves as well, and one pixel may be some weeks

class Scrubber {
  constructor(rail, grid, words) {
    [this.rail, this.grid, this.words] = [rail, grid, words];
    for (const [name, value] of Object.entries({
      role: "slider", tabindex: "0", "aria-label": "Time", "aria-orientation": "vertical", "aria-valuemin": "0",
    })) rail.setAttribute(name, value);
    this.here = element("span", "here");
    this.flag = element("span", "flag");
    this.years = element("div", "years", "", { "aria-hidden": "true" });
    rail.replaceChildren(this.years, this.here, this.flag);
    rail.addEventListener("pointerdown", (event) => this.hold(event));
    rail.addEventListener("pointermove", (event) => this.move(event));
    rail.addEventListener("pointerleave", () => rail.classList.remove("pointed"));
    rail.addEventListener("keydown", (event) => this.onKey(event));
  }

  // Draws the years anew: heights may have changed.
  draw() {
    const { feed, tops, total } = this.grid;
    this.rail.hidden = !feed || total <= this.grid.scroller.clientHeight;
    if (this.rail.hidden) return;
    const height = this.rail.clientHeight;
    const marks = [];
    let [before, last] = ["", -Infinity];
    this.stops = [];
    for (const [number, one] of feed.portions.entries()) for (const [place, [day]] of one.days.entries()) {
      const year = day.slice(0, 4);
      if (year === before) continue;
      before = year;
      this.stops.push([year, one, day]);
      const within = one.shape ? headOf(one.shape, day) : (place / one.days.length) * one.height;
      const y = ((tops[number] + within) / total) * height;
      if (y - last < 20 || y > height - 14) continue;
      last = y;
      const made = element("span", "", year);
      made.style.top = `${y}px`;
      marks.push(made);
    }
    this.years.replaceChildren(...marks);
    this.mark();
  }

  // Marks where one is.
  mark() {
    const { feed, total, top } = this.grid;
    if (!feed?.portions.length) return;
    const room = this.grid.scroller.clientHeight;
    const part = total > room ? Math.min(1, Math.max(0, top / (total - room))) : 0;
    this.here.style.top = `${part * this.rail.clientHeight}px`;
    this.rail.setAttribute("aria-valuemax", 100);
    this.rail.setAttribute("aria-valuenow", Math.round(100 * part));
    this.rail.setAttribute("aria-valuetext", this.words.month(this.dayAt(top)));
  }

  dayAt(y) {
    const one = this.grid.feed.portions[this.grid.at(y)];
    const within = y - this.grid.tops[this.grid.at(y)];
    const head = one.shape?.heads.findLast((there) => there.y <= within);
    return head?.day ?? one.days[0][0];
  }

  target(event) {
    const box = this.rail.getBoundingClientRect();
    const part = Math.min(1, Math.max(0, (event.clientY - box.top) / box.height));
    return part * this.grid.total;
  }

  hover(event) {
    if (!this.grid.feed?.portions.length) return;
    const y = this.target(event);
    this.rail.classList.add("pointed");
    const box = this.rail.getBoundingClientRect();
    this.flag.style.top = `${Math.min(box.height - 12, Math.max(12, event.clientY - box.top))}px`;
    this.flag.textContent = this.words.month(this.dayAt(y));
  }

  move(event) {
    this.hover(event);
    if (!this.rail.hasPointerCapture?.(event.pointerId)) return;
    if (Math.abs(event.clientY - this.heldAt) > DRAGGED) this.heldAt = NaN; // from here on it follows
    if (Number.isNaN(this.heldAt)) this.go(event);
  }

  hold(event) {
    if (!this.grid.feed?.portions.length) return;
    event.preventDefault();
    this.rail.focus({ preventScroll: true });
    this.rail.setPointerCapture(event.pointerId);
    this.heldAt = event.clientY;
    const label = event.composedPath().find((one) => one.parentElement === this.years);
    const stop = label && this.stops.find(([year]) => year === label.textContent);
    if (stop) this.grid.goToPlace({ day: stop[2] });
    else this.go(event);
    this.hover(event);
  }

  go(event) {
    this.grid.goTo(this.target(event));
  }

  onKey(event) {
    const way = { ArrowUp: -1, ArrowDown: 1, PageUp: -12, PageDown: 12 }[event.key];
    if (event.key === "Home") this.grid.goTo(0);
    else if (event.key === "End") this.grid.goTo(this.grid.total);
    else if (way) this.grid.goToPlace({ day: this.monthAway(way) });
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // The newest day of the month that is so many months with photos away; newer ones are negative.
  monthAway(way) {
    const days = this.grid.feed.portions.flatMap((one) => one.days.map(([day]) => day));
    const months = [...new Set(days.map((day) => day.slice(0, 7)))];
    const at = months.indexOf(this.dayAt(this.grid.top + 1).slice(0, 7));
    const month = months[Math.min(months.length - 1, Math.max(0, at + way))];
    return days.find((day) => day.startsWith(month));
  }
}
