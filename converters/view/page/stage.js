// The picture of a clip: its persons in two or three dimensions, the heatmap over it, the video beneath.

import { make } from "/page/dom.js";
import { Orbit, drawFloor, extent } from "/page/orbit.js";
import { anatomy, drawPersons, drawThumbnail, theme } from "/page/skeleton.js";

const INKS = { light: { frame: "#d3d7dd", floor: "#e1e4e9" }, dark: { frame: "#3a4049", floor: "#2b3038" } };
const PADDING = 14;
const HIT = 14;
/** Pixels from a joint within which a click chooses it. */

export const MOST_DRAWN = 200;
/** So many persons of a frame are drawn. */

export class Stage {
  #orbit = new Orbit();
  #lens = { zoom: 1, x: 0, y: 0 };
  #placed = [];
  #box = null;
  #pointers = new Map();
  #moved = 0;

  /** `actions`: joint(number), redraw(). `heatmap` is a Heatmap. */
  constructor(actions, heatmap) {
    this.actions = actions;
    this.heatmap = heatmap;
    this.canvas = make("canvas", { class: "picture", role: "img", tabindex: "0", "aria-label": "Skeletons" });
    this.video = make("video", {
      class: "beneath",
      muted: true,
      playsinline: true,
      preload: "auto",
      "aria-hidden": "true",
      tabindex: "-1",
      hidden: true,
    });
    this.video.muted = true;
    this.element = make("div", { class: "stage" }, this.video, this.canvas);
    new ResizeObserver(() => this.actions.redraw()).observe(this.element);
    this.#listen();
  }

  get turns() {
    return this.clip?.size === 3;
  }

  /** Shows a clip from now on. */
  open(clip) {
    this.clip = clip;
    this.thumbnail = null;
    this.shape = anatomy(clip.header.joints, clip.joints);
    this.element.classList.toggle("turns", this.turns);
    const ranges = extent(clip.run(0) ?? { keypoint: [], size: clip.size });
    if (this.turns && ranges) {
      this.#orbit.centre = ranges.map(([low, high]) => (low + high) / 2);
      this.#orbit.radius = Math.max(1e-9, Math.hypot(...ranges.map(([low, high]) => (high - low) / 2)));
      this.floor = ranges[1][0];
    }
    if (clip.image) this.#box = { x: 0, y: 0, width: clip.image[1], height: clip.image[0] };
    else if (ranges) this.#box = around(ranges);
    else this.#box = { x: 0, y: 0, width: 1, height: 1 };
  }

  /** Shows a thumbnail until the clip is here. */
  preview(thumbnail, shape) {
    this.clip = null;
    this.thumbnail = thumbnail;
    this.shape = shape;
    this.#placed = [];
    const context = this.#clear();
    if (context && thumbnail?.frames) drawThumbnail(context, thumbnail, 0, shape, this.width, this.height);
  }

  /** Draws a frame. `options`: colours, joint, heat (whether the heatmap is laid over). */
  draw(frame, options) {
    const run = this.clip?.run(frame);
    if (!run) return false;
    const context = this.#clear();
    if (!context) return false;
    const project = this.turns ? this.#orbit.projection(this.width, this.height) : this.#flat();
    if (this.turns) drawFloor(context, this.#orbit, project, this.floor ?? 0, INKS[theme()].floor);
    else this.#drawImage(context, project, options);
    this.#placed = place(run, frame, project);
    drawPersons(context, this.#placed, this.shape, {
      ...options,
      width: Math.max(2, Math.min(4, Math.min(this.width, this.height) / 190)),
    });
    this.canvas.dataset.frame = frame;
    return true;
  }

  /** Turns, raises or moves the camera, or resets it with no argument. A picture without depth is only enlarged. */
  orbit({ right = 0, up = 0, closer = 1 } = {}) {
    if (!right && !up && closer === 1) {
      this.#orbit.reset();
      this.#lens = { zoom: 1, x: 0, y: 0 };
    }
    if (this.turns) {
      this.#orbit.turn(right, up);
      this.#orbit.closer(closer);
    } else this.#enlarge(closer, this.width / 2, this.height / 2);
    this.actions.redraw();
  }

  /** Enlarges the picture around a point of it, which stays where it is. */
  #enlarge(factor, x, y) {
    const zoom = Math.max(0.1, Math.min(20, this.#lens.zoom * factor));
    const by = zoom / this.#lens.zoom;
    this.#lens = { zoom, x: x - (x - this.#lens.x) * by, y: y - (y - this.#lens.y) * by };
  }

  #clear() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return null;
    const density = Math.min(2, devicePixelRatio);
    const size = [Math.round(width * density), Math.round(height * density)];
    if (this.canvas.width !== size[0] || this.canvas.height !== size[1]) [this.canvas.width, this.canvas.height] = size;
    const context = this.canvas.getContext("2d");
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, width, height);
    Object.assign(context, { lineCap: "butt", lineJoin: "miter" }); // the canvas keeps what the last frame has set
    Object.assign(this, { width, height });
    return context;
  }

  /** Where the box of the image is drawn: pixel (x, y) of it at (left + x s, top + y s). */
  #fit() {
    const { x, y, width, height } = this.#box;
    const scale = Math.min((this.width - 2 * PADDING) / width, (this.height - 2 * PADDING) / height);
    return {
      scale,
      left: (this.width - width * scale) / 2 - x * scale,
      top: (this.height - height * scale) / 2 - y * scale,
    };
  }

  #flat() {
    const { scale, left, top } = this.#fit();
    const { zoom, x: dx, y: dy } = this.#lens;
    return (x, y) => [dx + zoom * (left + x * scale), dy + zoom * (top + y * scale)];
  }

  #drawImage(context, project, options) {
    if (!this.clip.image) return;
    const { x, y, width, height } = this.#box;
    const [left, top] = project(x, y);
    const [right, bottom] = project(x + width, y + height);
    Object.assign(this.video.style, {
      left: `${left}px`,
      top: `${top}px`,
      width: `${right - left}px`,
      height: `${bottom - top}px`,
    });
    if (options.heat) this.heatmap.draw(context, left, top, right - left, bottom - top);
    context.strokeStyle = INKS[theme()].frame;
    context.lineWidth = 1;
    context.strokeRect(
      Math.round(left) + 0.5,
      Math.round(top) + 0.5,
      Math.round(right - left) - 1,
      Math.round(bottom - top) - 1,
    );
  }

  #listen() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => {
      this.#pointers.set(event.pointerId, event);
      this.#moved = this.#pointers.size > 1 ? Infinity : 0;
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => this.#drag(event));
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => {
        if (this.#pointers.delete(event.pointerId) && end === "pointerup" && this.#moved < 5) this.#choose(event);
      });
    }
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        const factor = Math.exp(-event.deltaY * 0.0015);
        if (this.turns) this.orbit({ closer: factor });
        else {
          this.#enlarge(factor, event.offsetX, event.offsetY);
          this.actions.redraw();
        }
      },
      { passive: false },
    );
  }

  #drag(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    const [dx, dy] = [event.clientX - before.clientX, event.clientY - before.clientY];
    this.#moved += Math.hypot(dx, dy);
    const others = [...this.#pointers.values()].filter((one) => one.pointerId !== event.pointerId);
    this.#pointers.set(event.pointerId, event);
    if (!dx && !dy) return;
    if (!this.turns) {
      if (this.#lens.zoom !== 1) this.#lens = { ...this.#lens, x: this.#lens.x + dx, y: this.#lens.y + dy };
      this.actions.redraw();
    } else if (!others.length) this.orbit({ right: dx * 0.008, up: dy * 0.008 });
    else {
      const apart = (one) => Math.hypot(one.clientX - others[0].clientX, one.clientY - others[0].clientY);
      this.orbit({ closer: apart(event) / Math.max(1, apart(before)) });
    }
  }

  #choose(event) {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let [nearest, distance] = [null, HIT];
    for (const one of this.#placed) {
      for (let joint = 0; joint < one.there.length; joint++) {
        const away = Math.hypot(one.xs[joint] - x, one.ys[joint] - y);
        if (one.there[joint] && away < distance) [nearest, distance] = [joint, away];
      }
    }
    this.actions.joint(nearest);
  }
}

/** The persons of a frame with their joints in pixels of the canvas. */
function place(run, frame, project) {
  const placed = [];
  for (let person = 0; person < run.persons && placed.length < MOST_DRAWN; person++) {
    if (!run.isPresent(person, frame)) continue;
    const { joints, size } = run;
    const start = run.at(person, frame);
    const one = {
      person,
      xs: new Float32Array(joints),
      ys: new Float32Array(joints),
      scores: new Float32Array(joints),
      there: new Uint8Array(joints),
    };
    for (let joint = 0; joint < joints; joint++) {
      const at = start + joint;
      if (!run.isThere(at)) continue;
      const place = at * size;
      const [x, y] = project(run.keypoint[place], run.keypoint[place + 1], size === 3 ? run.keypoint[place + 2] : 0);
      if (Math.abs(x) > 1e5 || Math.abs(y) > 1e5) continue; // far outside: canvases draw no such lines
      one.xs[joint] = x;
      one.ys[joint] = y;
      one.scores[joint] = run.score ? run.score[at] : 1;
      one.there[joint] = 1;
    }
    placed.push(one);
  }
  return placed;
}

function around([[left, right], [top, bottom]]) {
  const margin = Math.max(right - left, bottom - top) * 0.08 || 1;
  return { x: left - margin, y: top - margin, width: right - left + 2 * margin, height: bottom - top + 2 * margin };
}
