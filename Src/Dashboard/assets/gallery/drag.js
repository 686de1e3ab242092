// Choosing by dragging: with the mouse from one photo to another, with a finger that has rested on the first. Near the top
// and the bottom of the view it scrolls.

const FAR = 6; // pixels that a mouse moves until it drags; a finger that moves so far before it has rested, scrolls
const RESTS = 500; // ms
const EDGE = 56; // pixels from the top and the bottom of the view
const FASTEST = 20; // pixels that it scrolls in a frame

class Drag {
  // `acts`: begin(photo), to(photo), end(), each with the id of a photo.
  constructor(scroller, acts) {
    [this.scroller, this.acts, this.pointer, this.isOn, this.swallows] = [scroller, acts, null, false, false];
    this.hears = { pointermove: (event) => this.move(event), pointerup: (event) => this.up(event), pointercancel: (event) => this.up(event) };
    scroller.addEventListener("pointerdown", (event) => this.down(event));
    this.holds = (event) => { if (this.isOn) event.preventDefault(); };
    scroller.addEventListener("touchmove", this.holds, { passive: false });
    scroller.addEventListener("contextmenu", (event) => { if (this.isOn || this.swallows) event.preventDefault(); });
    // The click that ends it is none. Where no click follows, the next pointer or key is a new beginning.
    scroller.addEventListener("keydown", () => { this.swallows = false; }, true);
    scroller.addEventListener("click", (event) => {
      if (this.swallows) event.stopPropagation();
      this.swallows = false;
    }, true);
  }

  down(event) {
    const isSecond = this.pointer !== null;
    this.end();
    this.swallows = false;
    const open = event.target.closest?.(".open");
    if (isSecond || !open || event.button || event.shiftKey || event.ctrlKey || event.metaKey) return;
    [this.pointer, this.photo, this.began] = [event.pointerId, open.dataset.photo, { x: event.clientX, y: event.clientY }];
    this.at = this.began;
    this.isMouse = event.pointerType === "mouse";
    if (!this.isMouse) this.resting = setTimeout(() => this.begin(), RESTS);
    for (const [name, act] of Object.entries(this.hears)) addEventListener(name, act);
    // A finger's events go where it was set down, also when that is no part of the page any more: it scrolled away.
    this.touched = event.target;
    this.touched.addEventListener("touchmove", this.holds, { passive: false });
  }

  move(event) {
    if (event.pointerId !== this.pointer) return;
    if (this.isMouse && !event.buttons) return this.end(); // let go where nobody saw it, as outside of the window
    this.at = { x: event.clientX, y: event.clientY };
    if (this.isOn || Math.hypot(this.at.x - this.began.x, this.at.y - this.began.y) <= FAR) return;
    if (this.isMouse) this.begin();
    else this.end(); // it scrolls
  }

  begin() {
    [this.isOn, this.swallows, this.last] = [true, true, this.photo];
    this.acts.begin(this.photo);
    this.follow();
  }

  // Frame by frame: what is below the pointer changes when it scrolls, too.
  follow() {
    this.frame = requestAnimationFrame(() => this.follow());
    if (this.at === this.began) return; // it rests where it was set down
    const { top, bottom } = this.scroller.getBoundingClientRect();
    const { y } = this.at;
    const beyond = Math.min(0, y - top - EDGE) + Math.max(0, y - bottom + EDGE);
    if (beyond) this.scroller.scrollTop += Math.max(-FASTEST, Math.min(beyond / 3, FASTEST));
    this.reach();
  }

  reach() {
    const { top, bottom, left, right } = this.scroller.getBoundingClientRect();
    const { x, y } = this.at;
    const within = [Math.max(left + 1, Math.min(x, right - 2)), Math.max(top + 1, Math.min(y, bottom - 2))];
    const photo = this.scroller.getRootNode().elementFromPoint(...within)?.closest(".cell")?.querySelector(".open")?.dataset.photo;
    if (!photo || photo === this.last) return;
    this.last = photo;
    this.acts.to(photo);
  }

  up(event) {
    if (event.pointerId !== this.pointer) return;
    // A quick one has been let go before a frame came.
    if (this.isOn && this.at !== this.began && event.type === "pointerup") {
      this.at = { x: event.clientX, y: event.clientY };
      this.reach();
    }
    this.end();
  }

  end() {
    clearTimeout(this.resting);
    cancelAnimationFrame(this.frame);
    for (const [name, act] of Object.entries(this.hears)) removeEventListener(name, act);
    this.touched?.removeEventListener("touchmove", this.holds);
    this.pointer = null;
    if (!this.isOn) return;
    this.isOn = false;
    this.acts.end();
  }
}
