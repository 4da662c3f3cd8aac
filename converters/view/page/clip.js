// The joints of one video, in runs of frames as the server sends them.

import { Cache, getArrays } from "/page/api.js";

const FRAMES = 2_000;
const RUNS = 4;
/** So many runs of frames of a video are kept. */

/** A run of frames: places [P, T, V, C], scores [P, T, V] or null, presence [P, T]. */
class Run {
  constructor({ header, arrays }) {
    this.from = header.from;
    this.to = header.to;
    const [persons, frames, joints, size] = arrays.keypoint.shape;
    Object.assign(this, { persons, frames, joints, size });
    this.keypoint = arrays.keypoint.data;
    this.score = arrays.score?.data ?? null;
    this.present = arrays.present.data;
  }

  /**
   * Whether the joint at a position of [P, T, V] was found: finite, with a score above zero, and in an image not at
   * (0, 0). In 3D the origin is a place like any other. A person who is absent has no joints.
   */
  isThere(at) {
    if (!this.present[Math.floor(at / this.joints)] || (this.score && !(this.score[at] > 0))) return false;
    let zero = this.size === 2;
    for (let axis = 0; axis < this.size; axis++) {
      const value = this.keypoint[at * this.size + axis];
      if (!Number.isFinite(value)) return false;
      if (value !== 0) zero = false;
    }
    return !zero;
  }

  /** The position in [P, T, V] of the first joint of a person in a frame of the video. */
  at(person, frame) {
    return (person * this.frames + frame - this.from) * this.joints;
  }

  isPresent(person, frame) {
    return this.present[person * this.frames + frame - this.from] > 0;
  }
}

/** A video of a store in one view. Frames that are not here yet are asked for. */
export class Clip {
  #runs = new Cache(RUNS);
  #stride = FRAMES;
  #asked = new Map();

  constructor(store, row, view) {
    Object.assign(this, { store, row, view });
  }

  /** Asks for the first frames: the facts of the video come with them. */
  async open() {
    const run = await this.#ask(0);
    this.#stride = Math.max(1, run.to - run.from);
    return this;
  }

  /** The run that holds a frame if it is here, else undefined. */
  run(frame) {
    const run = this.#runs.get(Math.floor(frame / this.#stride) * this.#stride);
    return run && frame >= run.from && frame < run.to ? run : undefined;
  }

  /** Asks for the run that holds a frame; resolves when it is here. */
  async load(frame) {
    if (frame < 0 || frame >= this.frames || this.run(frame)) return;
    await this.#ask(Math.floor(frame / this.#stride) * this.#stride);
  }

  /** The frame after the run that holds `frame`. */
  nextRun(frame) {
    return (Math.floor(frame / this.#stride) + 1) * this.#stride;
  }

  #ask(from) {
    let asking = this.#asked.get(from);
    if (!asking) {
      asking = getArrays(`/api/stores/${this.store}/video`, {
        row: this.row,
        view: this.view,
        from,
        to: from + this.#stride,
      })
        .then((answer) => this.#keep(answer))
        .finally(() => this.#asked.delete(from));
      this.#asked.set(from, asking);
    }
    return asking;
  }

  #keep(answer) {
    const { header } = answer;
    const run = new Run(answer);
    this.#runs.set(header.from, run);
    this.header = header;
    this.frames = header.frames_total;
    this.joints = run.joints;
    this.size = run.size;
    this.image = header.image;
    return run;
  }
}
