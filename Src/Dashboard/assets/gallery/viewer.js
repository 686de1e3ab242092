// One photo over all of the window, and from it along all others. PhotoSwipe turns, zooms and listens to fingers; films,
// Live Photos, slides one after another and downloads are added here; what can be done to a photo and what is known of it
// have files of their own.

const SLIDE_STAYS = 4000; // ms
const SHARP_FROM = 1.25; // so much nearer than all of it, the original itself is shown
const FACTS_WIDE = 380; // pixels

class Viewer {
  // `shown(index)`: which photo is looked at; `shown(null, index, id)`: none any more, and this was the last one.
  // `act(what, ids, value, refused)`: null where nothing may be changed. `ground`: of maps.
  constructor(words, shown, act, ground = {}) {
    [this.words, this.shown, this.pswp, this.feed, this.opening] = [words, shown, null, null, 0];
    this.isWaiting = () => false; // whether an act is not answered yet
    this.isStale = () => false; // whether photos may be others than is known here
    this.deeds = act && new Deeds(this, act);
    this.facts = new Facts(this, this.deeds, ground);
  }

  get isOpen() {
    return this.pswp !== null;
  }

  async open(feed, index) {
    if (this.pswp) return;
    const opening = ++this.opening;
    const meant = feed.item(index);
    const { default: PhotoSwipe } = await import(new URL("assets/vendor/photoswipe.esm.min.js", document.baseURI));
    const item = meant ?? (await feed.itemLoaded(index));
    if (meant) index = feed.placeOf(meant.id); // what came meanwhile may have moved it
    if (this.pswp || opening !== this.opening || !item || index < 0) return; // it was closed again meanwhile
    [this.feed, this.contents] = [feed, new Set()];
    const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const pswp = (this.pswp = new PhotoSwipe({
      dataSource: [], index, loop: false, bgOpacity: 1, wheelToZoom: true, mainClass: "gallery-viewer", showHideAnimationType: isStill ? "none" : "fade",
      closeTitle: "Close (Esc)", zoomTitle: "Zoom (Z)", arrowPrevTitle: "Newer", arrowNextTitle: "Older", counter: false,
      errorMsg: "This picture cannot be shown.", secondaryZoomLevel: 1, maxZoomLevel: 4,
      paddingFn: (room) => ({ top: 0, bottom: this.facts.isOpen && room.x <= 760 ? room.y * 0.55 : 0, left: 0, right: this.facts.isOpen && room.x > 760 ? FACTS_WIDE : 0 }),
    }));
    pswp.addFilter("numItems", () => this.feed.total);
    pswp.addFilter("itemData", (_data, at) => this.slide(at));
    pswp.addFilter("contentErrorElement", (_element, content) => this.sorry(content.data.item));
    pswp.on("uiRegister", () => this.controls(pswp));
    pswp.on("contentLoad", (event) => this.load(event));
    pswp.on("contentActivate", ({ content }) => this.play(content));
    pswp.on("contentDeactivate", ({ content }) => content.film?.pause());
    pswp.on("contentDestroy", ({ content }) => {
      this.contents.delete(content);
      content.film?.removeAttribute("src");
    });
    pswp.on("loadComplete", (event) => this.measure(event));
    pswp.on("zoomPanUpdate", ({ slide }) => this.sharpen(slide));
    pswp.on("change", () => this.changed());
    pswp.on("keydown", (event) => this.onKey(event));
    pswp.on("pointerDown", (event) => this.leaveControls(event));
    pswp.on("destroy", () => this.closed());
    pswp.init();
    pswp.element.setAttribute("aria-label", "Photo");
    pswp.element.setAttribute("aria-modal", "true");
    pswp.element.classList.toggle("has-facts", this.facts.isOpen);
  }

  close() {
    this.opening += 1;
    const { pswp } = this;
    if (pswp?.opener.isOpening) pswp.on("openingAnimationEnd", () => pswp.close()); // until then it would not
    else pswp?.close();
  }

  closed() {
    const place = this.item ? this.feed.placeOf(this.item.id) : -1;
    const [index, id] = [place < 0 ? this.pswp.currIndex : place, this.item?.id ?? null];
    this.stopSlides();
    this.facts.leave();
    this.facts.end();
    this.pswp = null;
    if (document.fullscreenElement) document.exitFullscreen();
    this.shown(null, index, id);
  }

  // What is shown, and so what is meant: its place may be another photo's by now.
  get item() {
    return this.pswp?.currSlide?.content.data.item;
  }

  // All photos behind a place have moved. The one that is shown stays, and knows its new place; those beside it are laid anew.
  renumbered(behind, by) {
    const { pswp } = this;
    if (!pswp?.currSlide) return;
    if (!this.feed.total) return this.close();
    for (const content of this.contents) pswp.contentLoader.removeByIndex(content.index); // all are kept by their old places
    const step = pswp.potentialIndex - pswp.currIndex;
    const within = (index) => Math.max(0, Math.min(index, this.feed.total - 1));
    const now = within(pswp.currIndex >= behind ? pswp.currIndex + by : Math.min(pswp.currIndex, behind + by - 1));
    [pswp.currIndex, pswp.potentialIndex] = [now, within(now + step)];
    pswp.currSlide.index = pswp.currSlide.content.index = now;
    const [before, , after] = pswp.mainScroll.itemHolders;
    pswp.setContent(before, now - 1, true);
    pswp.setContent(after, now + 1, true);
    if (!this.item) pswp.refreshSlideContent(now);
  }

  // -- one photo -------------------------------------------------------------------------------------------

  slide(index) {
    const item = this.feed.item(index);
    if (!item) {
      this.feed.itemLoaded(index).then(() => {
        this.pswp?.refreshSlideContent(index);
        if (this.pswp?.currIndex === index) this.changed();
      }, () => {});
      return { type: "html", html: '<p class="sorry" role="status">Loading …</p>' };
    }
    if (item.video) return { type: "video", item };
    const size = item.width && item.height ? item : { width: 1600, height: 1200 };
    return {
      item, src: pictureOf(item, "large"), msrc: pictureOf(item, "small"), width: size.width, height: size.height,
      alt: this.words.label(item),
    };
  }

  load(event) {
    const { content } = event;
    this.contents.add(content);
    if (content.type !== "video") return;
    event.preventDefault();
    const { item } = content.data;
    content.element = element("div", "film");
    if (item.plays) {
      content.film = element("video", "", "", {
        controls: "", playsinline: "", preload: "metadata", poster: pictureOf(item, "large"), "aria-label": this.words.label(item),
      });
      content.film.addEventListener("error", () => {
        if (content.film.getAttribute("src")) content.element.replaceChildren(this.sorry(item));
      });
      content.film.addEventListener("loadedmetadata", () => {
        if (!content.film.videoWidth) content.element.replaceChildren(this.sorry(item)); // its sound alone is no film
      });
      content.film.src = originalOf(item);
      content.element.append(content.film);
    } else {
      content.element.append(this.sorry(item));
    }
    content.onLoaded();
  }

  // What stands in the place of what cannot be shown here: what it is, and how to have it.
  sorry(item) {
    const box = element("div", "sorry");
    if (item?.video) {
      box.append(element("img", "", "", { src: pictureOf(item, "large"), alt: this.words.label(item) }));
      box.append(element("p", "", `This browser cannot play ${item.name}. Download it to watch it in another program.`));
    } else {
      box.append(element("p", "", "This picture cannot be shown."));
    }
    if (item) box.append(element("a", "download", "Download", { href: originalOf(item, true), download: "" }));
    return box;
  }

  play(content) {
    if (!content.film || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    content.film.play().catch(() => {}); // the browser may want a click first: the controls are there
  }

  // A photo of a size that nobody knew has one now.
  measure({ slide, content }) {
    const { item } = content.data;
    const picture = content.element;
    if (!item || item.width || !picture?.naturalWidth) return;
    [item.width, item.height] = [picture.naturalWidth, picture.naturalHeight];
    this.pswp.refreshSlideContent(slide.index);
  }

  // From near, the pixels of the photo itself, where the browser can show its kind.
  sharpen(slide) {
    const { content } = slide;
    if (!content.data.item?.shows || content.data.item.turned || content.isSharp || slide.currZoomLevel < slide.zoomLevels.initial * SHARP_FROM) return;
    content.isSharp = true;
    const picture = new Image();
    picture.src = originalOf(content.data.item);
    picture.decode().then(() => { if (content.element) content.element.src = picture.src; }, () => {});
  }

  // A finger on the controls of a film does not turn the page.
  leaveControls(event) {
    const { target, clientY } = event.originalEvent;
    if (target.closest?.(".facts, a, .sorry")) event.preventDefault();
    if (target.tagName === "VIDEO" && clientY > target.getBoundingClientRect().bottom - 72) event.preventDefault();
  }

  // -- what can be done ------------------------------------------------------------------------------------

  controls(pswp) {
    const add = (name, order, title, paths, act, more = {}) => pswp.ui.registerElement({
      name, order, title, ariaLabel: title, isButton: true, html: icon(paths).outerHTML, onClick: act,
      onInit: (made) => { this[`${name}Button`] = made; }, ...more,
    });
    add("live", 7.2, "Play the Live Photo (L)", ICONS.live, () => this.playLive());
    add("slides", 7.4, "Slideshow (S)", ICONS.play, () => this.toggleSlides());
    add("download", 7.6, "Download (D)", ICONS.download, () => downloadOne(this.item));
    add("facts", 7.8, "What is known (I)", ICONS.facts, () => this.facts.toggle());
    const { deeds } = this;
    if (deeds) {
      add("turn", 7.62, "Turn right (R)", ICONS.right, () => deeds.turn(90));
      add("hide", 7.64, "Hide (H)", ICONS.hide, () => deeds.hide());
      add("star", 7.65, "Favourite (F)", ICONS.star, () => deeds.favour());
      add("edit", 7.68, "Description, tags, albums, date, place (E)", ICONS.edit, () => this.facts.write());
      add("trash", 7.7, "Move to the trash (Delete)", ICONS.trash, () => deeds.remove());
      pswp.ui.registerElement({ name: "told", appendTo: "root", order: 11, onInit: (made) => deeds.panel(made) });
    }
    if (document.fullscreenEnabled) add("full", 8, "Full screen (Shift+F)", ICONS.full, () => this.toggleFull());
    pswp.ui.registerElement({
      name: "caption", appendTo: "root", order: 9,
      onInit: (made) => { this.caption = made; made.setAttribute("role", "status"); },
    });
    pswp.ui.registerElement({ name: "known", appendTo: "root", order: 10, onInit: (made) => this.facts.panel(made) });
  }

  changed() {
    const item = this.pswp && this.item;
    if (!item) return;
    this.caption.textContent = `${this.words.weekday(item.taken)} · ${item.name}`;
    this.liveButton.hidden = !item.film;
    this.marks(item);
    this.shown(this.pswp.currIndex);
    this.facts.show();
    if (this.slides) this.nextSlide();
  }

  onKey(event) {
    const pressed = event.originalEvent;
    if (pressed.ctrlKey || pressed.metaKey || pressed.altKey) return;
    const act = this.commands()[pressed.key];
    pressed.stopPropagation(); // no letter is a command of the page below
    if (!act) return;
    event.preventDefault();
    pressed.preventDefault();
    if (!pressed.repeat) act(); // a key that is held down would remove photo after photo
  }

  // By their keys.
  commands() {
    const { deeds, facts } = this;
    const last = this.feed.total - 1;
    const look = {
      l: () => this.item?.film && this.playLive(), s: () => this.toggleSlides(), d: () => this.item && downloadOne(this.item),
      i: () => facts.toggle(), F: () => document.fullscreenEnabled && this.toggleFull(),
      Home: () => this.pswp.goTo(0), End: () => this.pswp.goTo(last),
    };
    if (!deeds) return look;
    const stars = Object.fromEntries([0, 1, 2, 3, 4, 5].map((number) => [number, () => deeds.rate(number)]));
    return {
      ...look, ...stars, f: () => deeds.favour(), b: () => deeds.favour(), h: () => deeds.hide(), r: () => deeds.turn(90),
      R: () => deeds.turn(270), t: () => facts.writeTitle(), u: () => deeds.undo(), e: () => facts.write(), Delete: () => deeds.remove(),
    };
  }

  // An act has made something else of a photo, or was refused.
  became(item, now) {
    if (!this.pswp) return;
    if ("turned" in now) {
      for (const { data, index } of [...this.contents]) if (data.item === item) this.pswp.refreshSlideContent(index);
    }
    if (this.item === item) this.marks(item);
  }

  // A photo as the library knows it by now.
  isNow(item, { rating, hidden, turned }) {
    const was = item.turned ?? 0;
    const sides = (turned - was) % 180 ? { width: item.height, height: item.width } : {};
    Object.assign(item, { rating, favourite: rating === 5, hidden }, sides);
    if (was !== turned) item.turned = turned;
    this.became(item, was === turned ? {} : { turned });
  }

  marks(item) {
    if (!this.deeds) return;
    this.starButton.setAttribute("aria-pressed", Boolean(item.favourite));
    this.hideButton.setAttribute("aria-pressed", Boolean(item.hidden));
    this.turnButton.hidden = Boolean(item.video);
    this.facts.marks(item);
  }

  // The page was run again: what came of an act, while a photo lies over the page.
  told(outcome) {
    if (this.pswp && this.deeds) this.deeds.told(outcome, !this.isWaiting());
  }

  playLive() {
    const { content } = this.pswp.currSlide;
    const holder = this.pswp.currSlide.container;
    const film = element("video", "live-film", "", { playsinline: "", "aria-label": `Live Photo, ${this.words.label(this.item)}` });
    const away = () => film.remove();
    film.addEventListener("ended", away);
    film.addEventListener("error", () => {
      away();
      this.caption.textContent = "This browser cannot play the film of this Live Photo. Download shows it as a file of its own.";
    });
    content.film?.remove();
    content.film = film;
    film.src = `originals/${this.item.film}`;
    const { width, height } = content.element.style;
    Object.assign(film.style, { width, height });
    holder.append(film);
    film.play().catch(away);
  }

  toggleSlides() {
    if (this.slides) return this.stopSlides();
    this.slides = true;
    this.slidesButton.innerHTML = icon(ICONS.pause).outerHTML;
    this.slidesButton.setAttribute("aria-pressed", "true");
    this.nextSlide();
  }

  stopSlides() {
    clearTimeout(this.slideTimer);
    this.slides = false;
    if (!this.slidesButton) return;
    this.slidesButton.innerHTML = icon(ICONS.play).outerHTML;
    this.slidesButton.setAttribute("aria-pressed", "false");
  }

  // Goes on after a while, or when a film is at its end.
  nextSlide() {
    clearTimeout(this.slideTimer);
    const go = () => {
      if (!this.slides || !this.pswp) return;
      if (this.pswp.currIndex >= this.feed.total - 1) this.stopSlides();
      else this.pswp.next();
    };
    const film = this.pswp.currSlide?.content?.film;
    if (film && !film.paused) film.addEventListener("ended", go, { once: true });
    else this.slideTimer = setTimeout(go, SLIDE_STAYS);
  }

  toggleFull() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.pswp.element.requestFullscreen().catch(() => {});
  }
}
