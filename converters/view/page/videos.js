// The videos of a selection and their thumbnails: asked for in batches, kept with a bound.

import { Cache, getArrays, getJson } from "/page/api.js";

const PAGE = 120;
const PAGES = 200;
const BATCH = 60;
const THUMBNAIL_BYTES = 48 << 20;
const AT_ONCE = 2;

/** The videos of one selection by their position in it. */
export class Selection {
  #pages = new Cache(PAGES);
  #asked = new Map();

  /** `groups` are {title, videos} in the order of the selection, or null. */
  constructor(store, id, videos, groups = null) {
    Object.assign(this, { store, id, videos, groups });
  }

  /** The video at a position if it is here already, else undefined. */
  video(index) {
    return this.#pages.get(Math.floor(index / PAGE))?.[index % PAGE];
  }

  /** Asks for the videos of a range that are not here; resolves when they are, true if anything came. */
  async load(from, to) {
    const wanted = [];
    for (let page = Math.floor(from / PAGE); page * PAGE < Math.min(to, this.videos); page++) {
      if (!this.#pages.has(page)) wanted.push(this.#asked.get(page) ?? this.#ask(page));
    }
    await Promise.all(wanted);
    return wanted.length > 0;
  }

  /** The position of the video of a row of the store; null if it is not one of these. */
  async place(row) {
    return (await getJson(`/api/stores/${this.store}/place`, { selection: this.id, row })).index;
  }

  #ask(page) {
    const range = { selection: this.id, from: page * PAGE, to: Math.min((page + 1) * PAGE, this.videos) };
    const asking = getJson(`/api/stores/${this.store}/videos`, range)
      .then(({ videos }) => this.#pages.set(page, videos))
      .finally(() => this.#asked.delete(page));
    this.#asked.set(page, asking);
    return asking;
  }
}

/** The thumbnails of one store by row. Those that were asked for last come first. */
export class Thumbnails {
  #cache = new Cache(THUMBNAIL_BYTES);
  #wanted = [];
  #running = 0;
  #coming = new Set();

  /** `onArrival` is called when some have come; `onError` with an error. */
  constructor(store, onArrival, onError) {
    this.store = store;
    this.onArrival = onArrival;
    this.onError = onError;
  }

  get(row) {
    return this.#cache.get(row);
  }

  /** Replaces the list of rows that are wanted. */
  want(rows) {
    this.#wanted = rows.filter((row) => !this.#cache.has(row) && !this.#coming.has(row));
    this.#next();
  }

  #next() {
    while (this.#running < AT_ONCE && this.#wanted.length) this.#ask(this.#wanted.splice(0, BATCH));
  }

  async #ask(rows) {
    this.#running++;
    rows.forEach((row) => this.#coming.add(row));
    try {
      const answer = await getArrays(`/api/stores/${this.store}/thumbnails`, { rows: rows.join(",") });
      this.#keep(answer);
      rows.filter((row) => !this.#cache.has(row)).forEach((row) => this.#cache.set(row, null, 64));
      this.onArrival();
    } catch (error) {
      rows.forEach((row) => this.#cache.set(row, null, 64)); // not asked for again and again
      this.onError(error);
    } finally {
      rows.forEach((row) => this.#coming.delete(row));
      this.#running--;
      this.#next();
    }
  }

  #keep({ header, arrays }) {
    for (const { row, width, height } of header.videos) {
      const array = arrays[String(row)];
      if (!array) continue;
      const [frames, persons, joints] = array.shape;
      const points = array.data.slice(); // not the whole answer, of which it is a part
      this.#cache.set(
        row,
        { frames, persons, joints, points, box: seen(points, width, height) },
        points.byteLength + 200,
      );
    }
  }
}

/** The part of a thumbnail that its joints take over all frames, in its own units, at least an eighth of the whole. */
function seen(points, width, height) {
  let [left, top, right, bottom] = [32_767, 32_767, 0, 0];
  for (let at = 0; at < points.length; at += 2) {
    const [x, y] = [points[at], points[at + 1]];
    if (x < 0 || y < 0) continue;
    if (x < left) left = x;
    if (x > right) right = x;
    if (y < top) top = y;
    if (y > bottom) bottom = y;
  }
  if (left > right) return { left: 0, top: 0, width: width || 1, height: height || 1 };
  const grow = (low, high) => {
    const size = Math.max(4_096, (high - low) * 1.1);
    return [(low + high - size) / 2, size];
  };
  const [x, across] = grow(left, right);
  const [y, down] = grow(top, bottom);
  return { left: x, top: y, width: across, height: down };
}
