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

  constructor(store, id, videos) {
    this.store = store;
    this.id = id;
    this.videos = videos;
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
      const box = { width: Math.max(width, 1e-6), height: Math.max(height, 1e-6) };
      this.#cache.set(row, { frames, persons, joints, points, box }, points.byteLength + 200);
    }
  }
}
