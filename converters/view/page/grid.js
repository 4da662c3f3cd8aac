// The grid of moving thumbnails: only the cells in view exist, and they are used again while one scrolls.

import { counted, iconButton, make, shownClass, shownName } from "/page/dom.js";
import { anatomy, drawThumbnail } from "/page/skeleton.js";
import { Thumbnails } from "/page/videos.js";

const GAP = 10;
const CAPTION = 58;
const MAX_HEIGHT = 12_000_000;
/** Browsers lay out elements of up to some 17 million pixels; taller grids scroll faster than the mouse. */

const STEP = 125;
/** Milliseconds between frames of a thumbnail. */

const DRAWING = 5;
/** Milliseconds that drawing may take between two frames of the browser. */

export class Grid {
  #cells = new Map();
  #free = [];
  #selection = null;
  #thumbnails = null;
  #anatomies = new Map();
  #columns = 1;
  #active = 0;
  #list = make("ul", { class: "cells", "aria-label": "Videos" });
  #empty = make("p", { class: "empty", text: "No video fits these filters.", hidden: true });
  #moving = true;
  #step = 0;
  #fetching = 0;
  #asked = false;
  #range = [0, 0];
  #cellWidth = 176;
  #cellHeight = 0;
  #height = 0;
  #drawnTop = 0;
  #still = matchMedia("(prefers-reduced-motion: reduce)");

  /** `actions`: open(video, index), marked(name), toggleMark(name), failed(error). */
  constructor(scroller, actions) {
    this.scroller = scroller;
    this.actions = actions;
    scroller.append(this.#list, this.#empty);
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

  /** Shows the videos of a selection, or none while it is null. */
  show(selection, store) {
    const other = this.#thumbnails?.store !== selection?.store;
    this.#selection = selection;
    if (selection && other) {
      this.#thumbnails = new Thumbnails(selection.store, () => this.#fillAll(), this.actions.failed);
      this.#anatomies.clear();
    }
    this.layoutOfJoints = store?.joints ?? null;
    this.#active = 0;
    this.#empty.hidden = !selection || selection.videos > 0;
    for (const cell of this.#cells.values()) {
      this.#release(cell);
      this.#hide(cell);
      this.#clear(cell);
    }
    this.#cells.clear();
    this.scroller.scrollTop = 0;
    this.#resize();
  }

  /** A thumbnail that is here already, or undefined. */
  thumbnail(row) {
    return this.#thumbnails?.get(row) ?? undefined;
  }

  /** Draws everything in view again, after a change of theme or marks. */
  redraw() {
    for (const cell of this.#cells.values()) cell.drawn = -1;
    this.#fillAll();
  }

  /** Scrolls a video into view and gives its cell the focus. */
  focus(index) {
    if (!this.#selection?.videos) return;
    this.#active = Math.max(0, Math.min(index, this.#selection.videos - 1));
    const top = Math.floor(this.#active / this.#columns) * this.#rowHeight;
    const view = this.#top();
    if (top < view) this.#scrollTo(top - GAP);
    else if (top + this.#rowHeight > view + this.scroller.clientHeight)
      this.#scrollTo(top + this.#rowHeight - this.scroller.clientHeight + GAP);
    this.#render();
    this.#cells.get(this.#active)?.link.focus({ preventScroll: true });
  }

  get #rowHeight() {
    return this.#cellHeight + GAP;
  }

  #resize() {
    const width = this.scroller.clientWidth - 2 * GAP;
    if (width <= 0) return;
    const first = Math.floor(this.#top() / (this.#rowHeight || 1)) * this.#columns;
    const smallest = width < 520 ? 150 : 176;
    this.#columns = Math.max(1, Math.floor((width + GAP) / (smallest + GAP)));
    this.#cellWidth = (width - (this.#columns - 1) * GAP) / this.#columns;
    this.#cellHeight = Math.round(this.#cellWidth * 0.72) + CAPTION;
    const rows = Math.ceil((this.#selection?.videos ?? 0) / this.#columns);
    this.#height = rows * this.#rowHeight + GAP;
    this.#list.style.height = `${Math.min(this.#height, MAX_HEIGHT)}px`;
    for (const cell of this.#cells.values()) this.#size(cell);
    if (first) this.#scrollTo((first / this.#columns) * this.#rowHeight);
    this.#render();
  }

  /** How many pixels of the grid one pixel of the scroll bar stands for. */
  get #ratio() {
    const view = this.scroller.clientHeight;
    return this.#height <= MAX_HEIGHT ? 1 : (this.#height - view) / (MAX_HEIGHT - view);
  }

  #top() {
    return this.scroller.scrollTop * this.#ratio;
  }

  #scrollTo(top) {
    this.scroller.scrollTop = Math.max(0, top) / this.#ratio;
  }

  #render() {
    const selection = this.#selection;
    const view = this.scroller.clientHeight;
    if (!selection || !view) return;
    const top = this.#top();
    const first = Math.max(0, Math.floor((top - GAP) / this.#rowHeight) - 1) * this.#columns;
    const last = Math.min(selection.videos, (Math.ceil((top + view) / this.#rowHeight) + 1) * this.#columns);
    for (const [index, cell] of this.#cells) {
      if (index < first || index >= last) {
        this.#release(cell);
        this.#cells.delete(index);
      }
    }
    const shift = this.scroller.scrollTop - top;
    for (let index = first; index < last; index++) {
      const cell = this.#cells.get(index) ?? this.#place(index);
      const row = Math.floor(index / this.#columns);
      const x = GAP + (index - row * this.#columns) * (this.#cellWidth + GAP);
      cell.item.style.transform = `translate(${x}px, ${GAP + row * this.#rowHeight + shift}px)`;
    }
    for (const cell of this.#free) this.#hide(cell);
    this.#range = [first, last];
    this.#fetch();
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
    const cell = this.#free.pop() ?? this.#create();
    cell.index = index;
    cell.thumbnail = undefined;
    cell.item.hidden = false;
    cell.item.setAttribute("aria-posinset", String(index + 1));
    if (cell.of !== this.#selection.videos)
      cell.item.setAttribute("aria-setsize", String((cell.of = this.#selection.videos)));
    const tabIndex = index === this.#active ? 0 : -1;
    if (cell.link.tabIndex !== tabIndex) cell.link.tabIndex = tabIndex;
    this.#cells.set(index, cell);
    if (this.#selection.video(index)) this.#fill(cell);
    else if (cell.video) this.#clear(cell);
    if (cell.drawn !== -1) this.#wipe(cell);
    return cell;
  }

  #clear(cell) {
    cell.video = null;
    cell.item.classList.add("waiting");
    cell.title.data = cell.name.data = cell.facts.data = cell.flag.data = "";
  }

  #wipe(cell) {
    cell.drawn = -1;
    cell.context.clearRect(0, 0, cell.canvas.width, cell.canvas.height);
  }

  /** A cell that is released is hidden only if it is not placed anew at once: showing it again would cost a layout. */
  #release(cell) {
    this.#free.push(cell);
  }

  #hide(cell) {
    if (!cell.item.hidden) cell.item.hidden = true;
  }

  #create() {
    const canvas = make("canvas", { "aria-hidden": "true" });
    const [title, name, facts, flag] = ["", "", "", ""].map((text) => document.createTextNode(text));
    const link = make(
      "a",
      { class: "cell", tabindex: "-1" },
      canvas,
      make("span", { class: "cell-class" }, title),
      make("bdi", { class: "cell-name" }, name),
      make("span", { class: "cell-facts" }, facts, make("span", { class: "flag" }, flag)),
    );
    const mark = iconButton("mark", "Mark", null, { class: "cell-mark", tabindex: "-1" });
    const item = make("li", { class: "item waiting" }, link, mark);
    const cell = {
      item,
      link,
      canvas,
      context: canvas.getContext("2d"),
      title,
      name,
      facts,
      flag,
      mark,
      drawn: -1,
      video: null,
    };
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || !cell.video) return;
      event.preventDefault();
      this.#active = cell.index;
      this.actions.open(cell.video, cell.index);
    });
    mark.addEventListener("click", () => cell.video && this.actions.toggleMark(cell.video.name));
    this.#size(cell);
    this.#list.append(item);
    return cell;
  }

  #size(cell) {
    cell.item.style.width = `${this.#cellWidth}px`;
    cell.item.style.height = `${this.#cellHeight}px`;
    const density = Math.min(2, devicePixelRatio);
    const [width, height] = [Math.round(this.#cellWidth * density), Math.round((this.#cellHeight - CAPTION) * density)];
    if (cell.canvas.width === width && cell.canvas.height === height) return;
    [cell.canvas.width, cell.canvas.height] = [width, height];
    cell.drawn = -1;
  }

  #fillAll() {
    for (const cell of this.#cells.values()) this.#fill(cell);
  }

  #fill(cell) {
    const video = this.#selection?.video(cell.index);
    if (!video) return;
    if (cell.video !== video) {
      const facts = [];
      if (video.frames !== null) facts.push(counted(video.frames, "frame"));
      if (video.persons !== null) facts.push(counted(video.persons, "person"));
      if (!cell.video) cell.item.classList.remove("waiting");
      cell.video = video;
      cell.title.data = shownClass(video) || "\u00a0";
      cell.name.data = shownName(video);
      cell.facts.data = facts.join(" · ");
      cell.flag.data = video.problems?.length ? counted(video.problems.length, "finding") : "";
      cell.link.href = this.actions.address(video);
    }
    const marked = video.name !== null && this.actions.marked(video.name);
    if (cell.marked !== marked || cell.markName !== video.name) {
      cell.marked = marked;
      cell.markName = video.name;
      cell.mark.hidden = video.name === null;
      cell.mark.setAttribute("aria-pressed", String(marked));
      cell.mark.setAttribute("aria-label", `Mark ${shownName(video)}`);
    }
    cell.thumbnail = this.#thumbnails.get(video.row);
  }

  #animate(now) {
    requestAnimationFrame((next) => this.#animate(next));
    if (!this.scroller.clientHeight) return;
    if (this.moving) this.#step = Math.floor(now / STEP);
    const start = performance.now();
    const moved = Math.abs(this.#top() - this.#drawnTop);
    this.#drawnTop = this.#top();
    if (moved > this.scroller.clientHeight / 2) return; // what is in view now is gone in the next frame
    for (const cell of this.#cells.values()) {
      if (!cell.thumbnail || cell.drawn === this.#step) continue;
      this.#draw(cell);
      if (performance.now() - start > DRAWING) break;
    }
  }

  #draw(cell) {
    const { thumbnail, canvas, context } = cell;
    cell.drawn = this.#step;
    if (!thumbnail.frames) return;
    const frame = this.moving ? (this.#step + cell.video.row * 5) % thumbnail.frames : Math.floor(thumbnail.frames / 2);
    context.clearRect(0, 0, canvas.width, canvas.height);
    drawThumbnail(context, thumbnail, frame, this.anatomyOf(thumbnail.joints), canvas.width, canvas.height);
  }

  /** The bones and sides of thumbnails with a number of joints. */
  anatomyOf(joints) {
    let shape = this.#anatomies.get(joints);
    if (!shape) this.#anatomies.set(joints, (shape = anatomy(this.layoutOfJoints, joints)));
    return shape;
  }

  #onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.#selection?.videos) return;
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / this.#rowHeight)) * this.#columns;
    const moves = {
      ArrowLeft: -1,
      ArrowRight: 1,
      ArrowUp: -this.#columns,
      ArrowDown: this.#columns,
      PageUp: -page,
      PageDown: page,
      Home: -Infinity,
      End: Infinity,
    };
    if (event.key in moves) {
      event.preventDefault();
      this.#setActive(this.#active + moves[event.key]);
    } else if (event.key === "m") {
      const video = this.#cells.get(this.#active)?.video;
      if (video && video.name !== null) this.actions.toggleMark(video.name);
    }
  }

  #setActive(index) {
    const before = this.#cells.get(this.#active);
    if (before) before.link.tabIndex = -1;
    this.focus(index);
    const cell = this.#cells.get(this.#active);
    if (cell) cell.link.tabIndex = 0;
  }
}
