// What is shown, in the fragment of the URL: every state is a permalink, and back and forward work.

const LISTS = ["label"];

/** The parameters that restrict or order the videos: their name in the fragment -> their name for the server. */
export const FILTERS = {
  split: "split",
  label: "label",
  name: "name",
  pmin: "persons_min",
  pmax: "persons_max",
  fmin: "frames_min",
  fmax: "frames_max",
  where: "where",
  problem: "problem",
  marked: "names",
};

/** All parameters with the values that they have when absent. */
const DEFAULTS = {
  s: "0",
  split: "",
  label: [],
  name: "",
  pmin: "",
  pmax: "",
  fmin: "",
  fmax: "",
  where: "",
  problem: "",
  marked: "",
  sort: "stored",
  desc: "",
  video: null,
  row: "",
  frame: "",
  view: "stored",
  with: "",
  view2: "stored",
  joint: "",
  curve: "",
  heat: "",
  colours: "sides",
};

function read(fragment) {
  const found = new URLSearchParams(fragment.replace(/^#/, ""));
  const state = structuredClone(DEFAULTS);
  for (const name of Object.keys(DEFAULTS)) {
    if (!found.has(name)) continue;
    state[name] = LISTS.includes(name) ? found.getAll(name) : found.get(name);
  }
  return state;
}

function write(state) {
  const pairs = [];
  for (const [name, standard] of Object.entries(DEFAULTS)) {
    const value = state[name];
    if (Array.isArray(value)) value.forEach((one) => pairs.push([name, one]));
    else if (value !== standard && value !== null && value !== undefined) pairs.push([name, String(value)]);
  }
  const text = new URLSearchParams(pairs).toString();
  return text ? `#${text}` : location.pathname + location.search;
}

/** The state of the page. Whoever subscribes is called with the new and the old state after each change. */
export class State {
  #listeners = [];
  #queued = null;
  #extra = null;
  #written = 0;

  constructor() {
    this.now = read(location.hash);
    for (const event of ["popstate", "hashchange"]) {
      addEventListener(event, () => {
        clearTimeout(this.#queued);
        this.#queued = null;
        this.#take(read(location.hash));
      });
    }
  }

  subscribe(listener) {
    this.#listeners.push(listener);
  }

  /** Changes parameters as a new step of the history; `extra` is kept with the step, as its `row`. */
  push(changes, extra = {}) {
    this.#flush();
    const next = { ...this.now, ...changes };
    history.pushState(extra, "", write(next));
    this.#take(next);
  }

  /** Changes parameters within the present step. Browsers limit how often the URL changes, so it follows in its time. */
  replace(changes, extra = history.state) {
    this.#take({ ...this.now, ...changes });
    clearTimeout(this.#queued);
    this.#extra = extra;
    this.#queued = setTimeout(() => this.#flush(), Math.max(0, this.#written + 250 - performance.now()));
  }

  #flush() {
    if (this.#queued === null) return;
    clearTimeout(this.#queued);
    this.#queued = null;
    this.#written = performance.now();
    history.replaceState(this.#extra, "", write(this.now));
  }

  #take(next) {
    const before = this.now;
    if (JSON.stringify(before) === JSON.stringify(next)) return;
    this.now = next;
    for (const listener of this.#listeners) listener(next, before);
  }
}

/** Whether two states select and order the same videos. */
export function sameVideos(a, b) {
  return ["s", "sort", "desc", ...Object.keys(FILTERS)].every(
    (name) => JSON.stringify(a[name]) === JSON.stringify(b[name]),
  );
}

/** The parameters without any filter. */
export function withoutFilters() {
  return Object.fromEntries(Object.keys(FILTERS).map((name) => [name, structuredClone(DEFAULTS[name])]));
}
