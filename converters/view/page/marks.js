// Marks: a list of names per store, kept by the browser, exported as `skelstore subset --ids` takes it.

import { counted, download } from "/page/dom.js";

const MOST_NAMES = 1_500;
const MOST_BYTES = 48_000;
/** How many marks, in bytes of the URL, may be filtered by. */

const MOST_IMPORTED = 16 << 20;

export class Marks {
  #key;
  #names;
  #listeners = [];

  constructor(digest, title) {
    this.title = title;
    this.#key = `skelstore-marks:${digest}`;
    this.#names = this.#read();
    addEventListener("storage", (event) => {
      if (event.key !== this.#key) return;
      this.#names = this.#read();
      this.#listeners.forEach((listener) => listener());
    });
  }

  subscribe(listener) {
    this.#listeners.push(listener);
  }

  get size() {
    return this.#names.size;
  }

  has(name) {
    return this.#names.has(name);
  }

  /** Marks a name or takes its mark away; returns whether it is marked now. */
  toggle(name) {
    const marked = !this.#names.delete(name);
    if (marked) this.#names.add(name);
    this.#write();
    return marked;
  }

  clear() {
    this.#names.clear();
    this.#write();
  }

  /** The names to filter by, separated by newlines, as many as a URL holds, and a sentence if those are not all. */
  forFilter() {
    const names = [];
    let bytes = 0;
    for (const name of this.#names) {
      if (!name || name.includes("\n")) continue; // names in a request are separated by newlines
      bytes += encodeURIComponent(name.toWellFormed()).length + 3;
      if (names.length === MOST_NAMES || bytes > MOST_BYTES) break;
      names.push(name);
    }
    const note =
      names.length < this.#names.size ? `Only the first ${counted(names.length, "marked video")} are shown.` : "";
    return { names: names.join("\n"), note };
  }

  /**
   * Saves the names as a file: one per line, or a JSON list where a name could not be a line.
   * `skelstore subset --ids` reads both.
   */
  export() {
    const names = [...this.#names];
    const stem = this.title.replace(/\.zarr$/, "").replace(/[^\w.-]+/g, "_") || "store";
    const lines = names.every((name) => name && name.isWellFormed() && !/[\n\r]|^\ufeff/.test(name));
    if (lines) download(`${stem}_marked.txt`, names.map((name) => `${name}\n`).join(""));
    else download(`${stem}_marked.json`, JSON.stringify(names), "application/json");
  }

  /** Adds the names of a file that `export` wrote; returns how many are new. Raises an error with a sentence. */
  async import(file) {
    if (file.size > MOST_IMPORTED) throw new Error(`${file.name} has more than 16 MiB; expected a list of names`);
    const text = await file.text();
    let names = text
      .split("\n")
      .map((line) => line.replace(/\r$/, ""))
      .filter(Boolean);
    if (file.name.endsWith(".json")) {
      names = null;
      try {
        names = JSON.parse(text);
      } catch {
        // said below
      }
      if (!Array.isArray(names) || names.some((name) => typeof name !== "string")) {
        throw new Error(`${file.name} is not a JSON list of texts; expected the names of videos`);
      }
    }
    const before = this.#names.size;
    names.forEach((name) => this.#names.add(name));
    this.#write();
    return this.#names.size - before;
  }

  #read() {
    try {
      const names = JSON.parse(localStorage.getItem(this.#key) ?? "[]");
      return new Set(Array.isArray(names) ? names.filter((name) => typeof name === "string") : []);
    } catch {
      return new Set();
    }
  }

  #write() {
    this.kept = true;
    try {
      localStorage.setItem(this.#key, JSON.stringify([...this.#names]));
    } catch {
      this.kept = false; // storage is full or switched off: the marks last until the page is closed
    }
    this.#listeners.forEach((listener) => listener());
  }
}
