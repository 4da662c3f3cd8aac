// One cell of the grid: the thumbnail and the facts of a video. Cells are used again for other videos.

import { counted, iconButton, make, shownClass, shownName } from "/page/dom.js";
import { drawThumbnail } from "/page/skeleton.js";

const CAPTION = 58;

/** The height of a cell of a width. */
export function heightOf(width) {
  return Math.round(width * 0.72) + CAPTION;
}

export class Cell {
  #texts;
  #context;
  #setSize = -1;
  #marked = null;
  #markName;
  #drawn = -1;
  index = -1;
  video = null;
  thumbnail = null;

  /** `actions`: open(cell), address(video), marked(name), toggleMark(name). */
  constructor(actions) {
    this.actions = actions;
    this.canvas = make("canvas", { "aria-hidden": "true" });
    this.#context = this.canvas.getContext("2d");
    this.#texts = ["", "", "", ""].map((text) => document.createTextNode(text));
    const [title, name, facts, flag] = this.#texts;
    this.link = make(
      "a",
      { class: "cell", tabindex: "-1" },
      this.canvas,
      make("span", { class: "cell-class" }, title),
      make("bdi", { class: "cell-name" }, name),
      make("span", { class: "cell-facts" }, facts, make("span", { class: "flag" }, flag)),
    );
    this.mark = iconButton("mark", "Mark", null, { class: "cell-mark", tabindex: "-1" });
    this.item = make("li", { class: "item waiting" }, this.link, this.mark);
    this.link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || !this.video) return;
      event.preventDefault();
      actions.open(this);
    });
    this.mark.addEventListener("click", () => this.video && actions.toggleMark(this.video.name));
  }

  size(width, height) {
    this.item.style.width = `${width}px`;
    this.item.style.height = `${height}px`;
    const density = Math.min(2, devicePixelRatio);
    const [wide, high] = [Math.round(width * density), Math.round((height - CAPTION) * density)];
    if (this.canvas.width === wide && this.canvas.height === high) return;
    [this.canvas.width, this.canvas.height] = [wide, high];
    this.#drawn = -1;
  }

  moveTo(x, y) {
    this.item.style.transform = `translate(${x}px, ${y}px)`;
  }

  hide() {
    if (!this.item.hidden) this.item.hidden = true;
  }

  /** Takes the cell for the video at a position of `total`; `focusable`: whether Tab leads to it. */
  use(index, total, focusable) {
    this.index = index;
    this.thumbnail = null;
    if (this.item.hidden) this.item.hidden = false;
    this.item.setAttribute("aria-posinset", String(index + 1));
    if (this.#setSize !== total) this.item.setAttribute("aria-setsize", String((this.#setSize = total)));
    this.focusable = focusable;
    if (this.#drawn === -1) return;
    this.#drawn = -1;
    this.#context.clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  set focusable(value) {
    if (this.link.tabIndex !== (value ? 0 : -1)) this.link.tabIndex = value ? 0 : -1;
  }

  /** Empties the cell until its video is here. */
  clear() {
    if (!this.video) return;
    this.video = null;
    this.thumbnail = null;
    this.item.classList.add("waiting");
    for (const text of this.#texts) text.data = "";
  }

  /** Shows a video, and its thumbnail if it is here. */
  fill(video, thumbnail) {
    if (this.video !== video) {
      const facts = [];
      if (video.frames !== null) facts.push(counted(video.frames, "frame"));
      if (video.persons !== null) facts.push(counted(video.persons, "person"));
      if (!this.video) this.item.classList.remove("waiting");
      this.video = video;
      const findings = video.problems?.length ? counted(video.problems.length, "finding") : "";
      const texts = [shownClass(video) || "\u00a0", shownName(video), facts.join(" · "), findings];
      this.#texts.forEach((text, number) => {
        if (text.data !== texts[number]) text.data = texts[number];
      });
      this.link.href = this.actions.address(video);
    }
    const marked = video.name !== null && this.actions.marked(video.name);
    if (this.#marked !== marked || this.#markName !== video.name) {
      this.#marked = marked;
      this.#markName = video.name;
      this.mark.hidden = video.name === null;
      this.mark.setAttribute("aria-pressed", String(marked));
      this.mark.setAttribute("aria-label", `Mark ${shownName(video)}`);
    }
    this.thumbnail = thumbnail;
  }

  /** Has the thumbnail drawn again, after a change of theme. */
  invalidate() {
    this.#drawn = -1;
  }

  needs(step) {
    return Boolean(this.thumbnail) && this.#drawn !== step;
  }

  /** Draws the thumbnail at a step of the movement, or its middle if it does not move. */
  draw(step, moving, shape) {
    const { thumbnail, canvas } = this;
    this.#drawn = step;
    if (!thumbnail.frames) return;
    const frame = moving ? (step + this.video.row * 5) % thumbnail.frames : Math.floor(thumbnail.frames / 2);
    this.#context.clearRect(0, 0, canvas.width, canvas.height);
    drawThumbnail(this.#context, thumbnail, frame, shape, canvas.width, canvas.height);
  }
}
