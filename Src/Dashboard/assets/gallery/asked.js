// The acts that were asked for and not answered yet. The page may be run again before it has read what it was sent, and
// hears only the last of what waits: so each time all are sent, until it says up to which number it is done with them.

const ASKS_AGAIN = 3000; // ms without an answer, at first

class Asked {
  constructor(send) {
    [this.send, this.acts, this.number, this.done] = [send, [], 0, 0];
  }

  // `refused()`: called where the page could not do it.
  add(what, photos, value, refused = () => {}) {
    this.number = Math.max(this.number + 1, this.done + 1, Date.now()); // more than any page of this tab has had
    this.acts.push({ number: this.number, what, photos, value, refused });
    this.ask(ASKS_AGAIN);
  }

  ask(patience) {
    clearTimeout(this.asking);
    this.send(this.acts.map(({ number, what, photos, value }) => ({ number, what, photos, value })));
    this.asking = setTimeout(() => this.ask(2 * patience), patience);
  }

  answered({ done, refused }) {
    this.done = Math.max(this.done, done);
    for (const act of this.acts) if (refused.includes(act.number)) act.refused();
    this.acts = this.acts.filter(({ number }) => number > done);
    if (!this.acts.length) clearTimeout(this.asking);
  }

  end() {
    clearTimeout(this.asking);
  }
}
