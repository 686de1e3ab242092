// What can be done to the photo that is looked at, and what came of the last act.

class Deeds {
  // `act(what, ids, value, refused)`: asks for it.
  constructor(viewer, act) {
    [this.viewer, this.act] = [viewer, act];
  }

  // Shows at once what an act makes so of a photo; where it is refused, what was so before.
  change(what, value, so) {
    const { item } = this.viewer;
    if (!item) return;
    this.forget();
    const before = Object.fromEntries(Object.keys(so).map((name) => [name, item[name]]));
    const show = (now) => {
      Object.assign(item, now);
      this.viewer.became(item, now);
    };
    this.act(what, [item.id], value, () => show(before));
    show(so);
  }

  // 0 to 5. The stars that it has already, once more: none.
  rate(stars) {
    const rating = stars === (this.viewer.item?.rating ?? 0) ? 0 : stars;
    this.change("rate", String(rating), { rating, favourite: rating === 5 });
  }

  favour() {
    const is = !this.viewer.item?.favourite;
    this.change(is ? "favourite" : "no-favourite", "", { rating: is ? 5 : 0, favourite: is });
  }

  hide() {
    const is = !this.viewer.item?.hidden;
    this.change(is ? "hide" : "unhide", "", { hidden: is });
  }

  // Clockwise, by degrees. How it is shown: no file is changed.
  turn(degrees) {
    const { item } = this.viewer;
    if (!item || item.video) return;
    const sides = degrees === 180 ? {} : { width: item.height, height: item.width };
    this.change("turn", String(degrees), { turned: ((item.turned ?? 0) + degrees) % 360, ...sides });
  }

  // Words of it, its date or its place: these are shown when the library has them.
  write(what, text, refused) {
    const { item } = this.viewer;
    if (!item) return;
    this.forget();
    this.act(what, [item.id], text, refused);
  }

  // Goes on to the next photo; the grid below is drawn anew when the viewer closes.
  remove() {
    const { item, pswp, feed } = this.viewer;
    if (!item) return;
    this.forget();
    this.act("remove", [item.id], "");
    if (pswp.currIndex < feed.total - 1) pswp.next();
    else this.viewer.close();
  }

  // -- what came of the last act: the page says so too, below all of this --------------------------------------

  panel(made) {
    this.box = made;
    made.className = "told";
    made.hidden = true;
    this.text = element("span", "", "", { role: "status" });
    this.back = button("act", "Undo", "", () => this.undo());
    this.forget();
    const close = button("act", "", "Put this away", () => {
      made.hidden = true;
      this.forget();
    });
    close.append(icon(ICONS.close));
    made.append(this.text, this.back, close);
  }

  // Only the last act is taken back here, and only while the bar says what it was.
  forget() {
    this.undoes = null;
    if (this.back) this.back.hidden = true;
  }

  // `isLast`: no later act waits for its answer.
  told(outcome, isLast = true) {
    if (!this.box) return;
    this.box.hidden = false;
    this.box.classList.toggle("bad", Boolean(outcome.is_bad));
    this.text.textContent = outcome.said;
    this.undoes = isLast ? outcome.undo : null;
    this.back.textContent = outcome.undo_label;
    this.back.hidden = !this.undoes || !this.act;
  }

  undo() {
    if (!this.undoes || !this.act) return;
    this.act("undo", [this.undoes], "");
    this.forget(); // once: what comes of it says whether there is more
  }
}
