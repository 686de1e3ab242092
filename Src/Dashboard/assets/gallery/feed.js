// What is looked at, as the dashboard's routes have it: the days at once, their photos portion by portion.

const FIRST = 2 * PORTION; // photos that come with the days
const MOST_KEPT = 120; // portions whose photos are kept; the shapes of all others stay

class Feed {
  constructor(base, order, search) {
    [this.base, this.order, this.search] = [base, order, search];
    [this.portions, this.total] = [[], 0];
    this.loaded = new Set();
    this.came = () => {};
  }

  // The days, and with them, where wanted, the first photos. Throws what `ask` throws.
  async begin(isFirstWanted) {
    const { days, items } = await this.ask("days", isFirstWanted ? { limit: FIRST } : {});
    this.portions = portionsOf(days);
    this.total = days.reduce((sum, [, count]) => sum + count, 0);
    const [first] = this.portions;
    if (!items || !first || first.goesOn) return this;
    const those = items.filter(({ day }) => day >= first.days.at(-1)[0]);
    if (those.length < items.length || items.length < FIRST) this.take(first, those); // else some of them are missing
    return this;
  }

  // An answer of a route. Throws an error with `said`: what the route answered.
  async ask(what, asked = {}, signal = undefined) {
    const about = new URLSearchParams({ order: this.order, q: this.search, ...asked });
    return answerOf(await fetch(`${this.base}${what}?${about}`, { signal }));
  }

  // The portion in which a photo is, by its place among all.
  portionAt(index) {
    let [low, high] = [0, this.portions.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.portions[middle].start <= index) low = middle;
      else high = middle - 1;
    }
    return this.portions[low];
  }

  item(index) {
    const found = this.portionAt(index);
    return found?.items?.[index - found.start];
  }

  async itemLoaded(index) {
    const found = this.portionAt(index);
    if (found) await this.load(found);
    return this.item(index);
  }

  // Those from one place to another, both included. What comes may move all places, so both are held by their portions.
  async range(from, to) {
    const [first, last] = [this.portionAt(from), this.portionAt(to)];
    if (!first) return [];
    const [begin, end] = [from - first.start, to - last.start + 1];
    const items = [];
    for (const one of this.portions.slice(first.number, last.number + 1)) {
      await this.load(one);
      items.push(...(one.items ?? []).slice(one === first ? begin : 0, one === last ? end : undefined));
    }
    return items;
  }

  // The place of a photo that is loaded; -1: it is not.
  placeOf(id) {
    for (const one of this.loaded) {
      const n = one.items.findIndex((item) => item.id === id);
      if (n >= 0) return one.start + n;
    }
    return -1;
  }

  // Loads the photos of a portion, once.
  load(wanted) {
    if (wanted.items) return Promise.resolve(wanted);
    wanted.loading ??= this.fetch(wanted).finally(() => { wanted.loading = null; });
    return wanted.loading;
  }

  async fetch(wanted) {
    const before = wanted.skip > 0 ? this.portions[wanted.number - 1]?.items?.at(-1) : null;
    const asked = { first: wanted.days.at(-1)[0], last: wanted.days[0][0], limit: wanted.count };
    if (before) asked.after = before.after; // behind the last one that is known, so that none is missing or twice there
    else if (wanted.skip) asked.skip = wanted.skip;
    // Few photos of many years: the days between need not be looked through.
    if (this.search && wanted.days.length > 1) asked.days = wanted.days.map(([day]) => day.replaceAll("-", "")).join();
    const { items } = await this.ask("piece", asked);
    this.take(wanted, items);
    return wanted;
  }

  // What came may differ from what the days said: something was added or removed meanwhile.
  // `came(portion, behind, by)` hears of it: from the place `behind` on, every photo is now `by` further on.
  take(wanted, items) {
    const [behind, by] = [wanted.start + wanted.count, items.length - wanted.count];
    wanted.items = items;
    if (wanted.skip === 0 && !wanted.goesOn) {
      const counts = new Map();
      for (const { day } of items) counts.set(day, (counts.get(day) ?? 0) + 1);
      wanted.days = [...counts];
      if (!items.length) wanted.days = [[wanted.days[0]?.[0] ?? "", 0]];
    } else {
      wanted.days = [[wanted.days[0][0], items.length]];
    }
    if (items.length !== wanted.count) {
      wanted.count = items.length;
      let start = 0;
      for (const one of this.portions) {
        one.start = start;
        start += one.count;
      }
      this.total = start;
    }
    this.loaded.delete(wanted);
    this.loaded.add(wanted);
    for (const oldest of this.loaded) {
      if (this.loaded.size <= MOST_KEPT) break;
      oldest.items = null;
      this.loaded.delete(oldest);
    }
    this.came(wanted, behind, by);
  }

  // The first portion that has a day, or an older one.
  portionOfDay(day) {
    return this.portions.find(({ days }) => days.at(-1)[0] <= day) ?? this.portions.at(-1);
  }
}

async function answerOf(response) {
  const said = await response.json().catch(() => ({ error: "The dashboard does not answer as it should. Load the page again." }));
  // A dashboard that was started anew answers an old address with its page, and says that all is well.
  if (!response.ok || said.error) throw Object.assign(new Error(said.error), { said });
  return said;
}
