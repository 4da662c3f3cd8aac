// The grid of moving thumbnails: only the cells in view exist, and they are used again while one scrolls.

import { Cell, heightOf } from "/page/cell.js";
import { count, make } from "/page/dom.js";
import { GAP, Rows } from "/page/rows.js";
import { anatomy } from "/page/skeleton.js";
import { Thumbnails } from "/page/videos.js";

const MAX_HEIGHT = 12_000_000;
/** Browsers lay out elements of up to some 17 million pixels; taller grids scroll faster than the mouse. */

const STEP = 125;
/** Milliseconds between frames of a thumbnail. */

const DRAWING = 5;
/** Milliseconds that drawing may take between two frames of the browser. */

export class Grid {
  #cells = new Map();
  #free = [];
  #headings = new Map();
  #freeHeadings = [];
  #selection = null;
  #thumbnails = null;
  #anatomies = new Map();
  #rows = new Rows(0, 1, 1, null);
  #active = 0;
  #list = make("ul", { class: "cells", "aria-label": "Videos" });
  #now = makeHeading("div", { class: "heading now", "aria-hidden": "true", hidden: true });
  #empty = make("p", { class: "empty", text: "No video fits these filters.", hidden: true });
  #moving = true;
  #step = 0;
  #fetching = 0;
  #asked = false;
  #range = [0, 0];
  #cellWidth = 176;
  #view = 0;
  #shownTop = 0;
  #drawnTop = 0;
  #still = matchMedia("(prefers-reduced-motion: reduce)");

  /** `actions`: open(video, index), address(video), marked(name), toggleMark(name), failed(error). */
  constructor(scroller, actions) {
    this.scroller = scroller;
    this.actions = actions;
    scroller.append(this.#now.item, this.#list, this.#empty);
    scroller.addEventListener("scroll", () => this.#render(), { passive: true });
    scroller.addEventListener("keydown", (event) => this.#onKey(event));
    new ResizeObserver(() => this.#resize()).observe(scroller);
    addEventListener("theme", () => this.redraw());
    this.#still.addEventListener("change", () => this.redraw());
    requestAnimationFrame((now) => this.#animate(now));
  }

  get moving() {
    return this.#moving && !this.#still.matches;
  }

  set moving(value) {
    this.#moving = value;
    this.redraw();
  }

  /** Shows the videos of a selection of a store. */
  show(selection, store) {
    if (this.#thumbnails?.store !== selection.store) {
      this.#thumbnails = new Thumbnails(selection.store, () => this.#fillAll(), this.actions.failed);
      this.#anatomies.clear();
    }
    this.#selection = selection;
    this.layoutOfJoints = store.joints;
    this.#active = 0;
    this.#empty.hidden = selection.videos > 0;
    for (const cell of this.#cells.values()) {
      this.#free.push(cell);
      cell.hide();
      cell.clear();
    }
    this.#cells.clear();
    for (const number of [...this.#headings.keys()]) this.#dropHeading(number);
    this.scroller.scrollTop = 0;
    this.#resize();
  }

  /** A thumbnail that is here already, or undefined. */
  thumbnail(row) {
    return this.#thumbnails?.get(row) ?? undefined;
  }

  /** Draws everything in view again, after a change of theme or marks. */
  redraw() {
    for (const cell of this.#cells.values()) cell.invalidate();
    this.#fillAll();
  }

  /** Scrolls a video into view and gives its cell the focus. */
  focus(index) {
    if (!this.#selection?.videos) return;
    const before = this.#cells.get(this.#active);
    if (before) before.focusable = false;
    this.#active = Math.max(0, Math.min(index, this.#selection.videos - 1));
    const { top } = this.#rows.place(this.#active);
    const view = this.#top();
    const bottom = top + this.#rows.rowHeight;
    if (top - this.#rows.heading < view) this.#scrollTo(top - GAP - this.#rows.heading);
    else if (bottom > view + this.#view) this.#scrollTo(bottom - this.#view);
    this.#render();
    const cell = this.#cells.get(this.#active);
    if (!cell) return;
    cell.focusable = true;
    cell.link.focus({ preventScroll: true });
  }

  #resize() {
    this.#view = this.scroller.clientHeight; // kept, since reading it later in a frame would cost a layout
    const width = this.scroller.clientWidth - 2 * GAP;
    if (width <= 0 || !this.#selection) return;
    const before = this.#rows;
    const first = before.between(this.#top(), this.#top())[0];
    const smallest = width < 520 ? 150 : 176;
    const columns = Math.max(1, Math.floor((width + GAP) / (smallest + GAP)));
    this.#cellWidth = Math.floor((width - (columns - 1) * GAP) / columns); // texts at parts of pixels are blurred
    this.#rows = new Rows(this.#selection.videos, columns, heightOf(this.#cellWidth), this.#selection.groups);
    this.#list.style.height = `${Math.min(this.#rows.height, MAX_HEIGHT)}px`;
    for (const cell of this.#cells.values()) cell.size(this.#cellWidth, heightOf(this.#cellWidth));
    if (this.scroller.scrollTop && first < before.videos)
      this.#scrollTo(this.#rows.place(first).top - GAP - this.#rows.heading);
    this.#render();
  }

  /** How many pixels of the grid one pixel of the scroll bar stands for. */
  get #ratio() {
    const { height } = this.#rows;
    return height <= MAX_HEIGHT ? 1 : (height - this.#view) / (MAX_HEIGHT - this.#view);
  }

  #top() {
    return this.scroller.scrollTop * this.#ratio;
  }

  #scrollTo(top) {
    this.scroller.scrollTop = Math.max(0, top) / this.#ratio;
  }

  #render() {
    const rows = this.#rows;
    const view = this.#view;
    if (!this.#selection || !view) return;
    const { scrollTop } = this.scroller;
    const top = scrollTop * this.#ratio;
    this.#shownTop = top;
    const [first, last] = rows.between(top - rows.rowHeight, top + view + rows.rowHeight);
    for (const [index, cell] of this.#cells) {
      if (index >= first && index < last) continue;
      this.#free.push(cell); // hidden below, unless it is taken at once: showing it again would cost a layout
      this.#cells.delete(index);
    }
    const shift = scrollTop - top;
    for (let index = first; index < last; index++) {
      const cell = this.#cells.get(index) ?? this.#place(index);
      const place = rows.place(index);
      cell.moveTo(GAP + place.column * (this.#cellWidth + GAP), place.top + shift);
    }
    for (const cell of this.#free) cell.hide();
    this.#showHeadings(top, view, shift);
    this.#range = [first, last];
    this.#fetch();
  }

  #showHeadings(top, view, shift) {
    const rows = this.#rows;
    const none = !rows.heading || !this.#selection.videos;
    this.#now.item.hidden = none;
    if (none) return;
    const [from, to] = [rows.groupAt(top), rows.groupAt(top + view)];
    for (const number of [...this.#headings.keys()]) if (number < from || number > to) this.#dropHeading(number);
    for (let number = from; number <= to; number++) {
      let heading = this.#headings.get(number);
      if (!heading) {
        heading = this.#freeHeadings.pop() ?? makeHeading("li", { class: "heading", role: "none" });
        if (!heading.item.isConnected) this.#list.append(heading.item);
        this.#headings.set(number, heading);
        fillHeading(heading, rows.groups[number]);
        heading.item.hidden = false;
      }
      heading.item.style.transform = `translateY(${rows.topOf(number) + shift}px)`;
    }
    fillHeading(this.#now, rows.groups[from]);
  }

  #dropHeading(number) {
    const heading = this.#headings.get(number);
    heading.item.hidden = true;
    this.#freeHeadings.push(heading);
    this.#headings.delete(number);
  }

  /** Asks for what is in view: at once if nothing is on its way, else after a pause, so that a fast scroll asks little. */
  #fetch() {
    clearTimeout(this.#fetching);
    this.#fetching = setTimeout(() => this.#ask(), this.#asked ? 70 : 0);
    this.#asked = true;
  }

  async #ask() {
    const selection = this.#selection;
    const [first, last] = this.#range;
    try {
      if (await selection.load(first, last)) this.#fillAll();
    } catch (error) {
      if (selection === this.#selection) this.actions.failed(error);
      return;
    } finally {
      this.#asked = false;
    }
    if (selection !== this.#selection) return;
    const rows = [];
    for (let index = this.#range[0]; index < this.#range[1]; index++) {
      const video = selection.video(index);
      if (video) rows.push(video.row);
    }
    this.#thumbnails.want(rows);
  }

  #place(index) {
    const cell = this.#free.pop() ?? this.#makeCell();
    cell.use(index, this.#selection.videos, index === this.#active);
    this.#cells.set(index, cell);
    if (this.#selection.video(index)) this.#fill(cell);
    else cell.clear();
    return cell;
  }

  #makeCell() {
    const { address, marked, toggleMark } = this.actions;
    const open = (cell) => {
      this.#active = cell.index;
      this.actions.open(cell.video, cell.index);
    };
    const cell = new Cell({ open, address, marked, toggleMark });
    cell.size(this.#cellWidth, heightOf(this.#cellWidth));
    this.#list.append(cell.item);
    return cell;
  }

  #fillAll() {
    for (const cell of this.#cells.values()) this.#fill(cell);
  }

  #fill(cell) {
    const video = this.#selection?.video(cell.index);
    if (video) cell.fill(video, this.#thumbnails.get(video.row));
  }

  #animate(now) {
    requestAnimationFrame((next) => this.#animate(next));
    if (!this.#view) return;
    if (this.moving) this.#step = Math.floor(now / STEP);
    const start = performance.now();
    const moved = Math.abs(this.#shownTop - this.#drawnTop);
    this.#drawnTop = this.#shownTop;
    if (moved > this.#view / 2) return; // what is in view now is gone in the next frame
    for (const cell of this.#cells.values()) {
      if (!cell.needs(this.#step)) continue;
      cell.draw(this.#step, this.moving, this.anatomyOf(cell.thumbnail.joints));
      if (performance.now() - start > DRAWING) break;
    }
  }

  /** The bones and sides of thumbnails with a number of joints. */
  anatomyOf(joints) {
    let shape = this.#anatomies.get(joints);
    if (!shape) this.#anatomies.set(joints, (shape = anatomy(this.layoutOfJoints, joints)));
    return shape;
  }

  #onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.#selection?.videos) return;
    const page = Math.max(1, Math.floor(this.#view / this.#rows.rowHeight));
    const moves = {
      ArrowLeft: () => this.#active - 1,
      ArrowRight: () => this.#active + 1,
      ArrowUp: () => this.#below(-1),
      ArrowDown: () => this.#below(1),
      PageUp: () => this.#below(-page),
      PageDown: () => this.#below(page),
      Home: () => 0,
      End: () => Infinity,
    };
    if (Object.hasOwn(moves, event.key)) {
      event.preventDefault();
      this.focus(moves[event.key]());
    } else if (event.key === "m") {
      const video = this.#cells.get(this.#active)?.video;
      if (video && video.name !== null) this.actions.toggleMark(video.name);
    }
  }

  /** The video so many rows below the active one, or above it. */
  #below(rows) {
    let index = this.#active;
    for (let step = 0; step < Math.abs(rows); step++) index = this.#rows.beside(index, Math.sign(rows));
    return index;
  }
}

/** The heading of a group of videos; the one named `now` stays above those in view. */
function makeHeading(tag, properties) {
  const [title, videos] = ["", ""].map((text) => document.createTextNode(text));
  const text = make("h3", {}, make("bdi", {}, title), make("span", { class: "number" }, videos));
  return { item: make(tag, properties, text), title, videos };
}

function fillHeading(heading, group) {
  if (heading.group === group) return;
  heading.group = group;
  heading.title.data = group.title;
  heading.videos.data = count(group.videos);
}
