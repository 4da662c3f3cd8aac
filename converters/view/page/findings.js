// What `check` finds in a store: started by a button, followed while it runs, and a filter when it is done.

import { getJson } from "/page/api.js";
import { count, counted, make, visible } from "/page/dom.js";

const PAUSE = 700;
/** Milliseconds between two questions for the progress. */

export class Findings {
  #timer = 0;
  #kinds = [];

  constructor(state, actions) {
    this.state = state;
    this.actions = actions;
  }

  build(store) {
    clearTimeout(this.#timer);
    this.store = store;
    this.#kinds = [];
    this.button = make("button", {
      type: "button",
      class: "wide",
      text: "Check this store",
      on: { click: () => this.#ask({ start: 1 }) },
    });
    this.progress = make("progress", { "aria-label": "Progress of the check", hidden: true });
    this.status = make("p", { class: "hint", role: "status" });
    this.list = make("div", { class: "kinds" });
    this.#ask({});
    return make("div", { class: "findings" }, this.button, this.progress, this.status, this.list);
  }

  /** The title of a kind of finding. */
  title(kind) {
    return visible(this.#kinds.find((one) => one.kind === kind)?.title ?? kind);
  }

  update() {
    for (const button of this.list.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.kind === this.state.now.problem));
    }
  }

  async #ask(parameters) {
    const store = this.store;
    let answer;
    try {
      answer = await getJson(`/api/stores/${store}/problems`, parameters);
    } catch (error) {
      this.status.textContent = error.message;
      return;
    }
    if (store !== this.store) return;
    this.#show(answer);
    if (answer.state === "running") this.#timer = setTimeout(() => this.#ask({}), PAUSE);
  }

  #show({ state, checked, videos, kinds, error }) {
    const running = state === "running";
    const was = this.before;
    this.before = state;
    this.button.hidden = state !== "none";
    this.progress.hidden = !running;
    [this.progress.max, this.progress.value] = [Math.max(1, videos), checked];
    this.#kinds = kinds ?? [];
    if (error) this.status.textContent = error;
    else if (running) this.status.textContent = `${count(checked)} of ${counted(videos, "video")} checked`;
    else if (state === "done")
      this.status.textContent = this.#kinds.length
        ? `${counted(this.#kinds.length, "kind")} of findings`
        : "Nothing was found.";
    this.list.replaceChildren(...this.#kinds.map((kind) => this.#kind(kind)));
    this.update();
    if (state === "done" && was === "running") this.actions.checked();
  }

  #kind({ kind, title, severity, remedy, videos }) {
    const toggle = () => this.state.push({ problem: this.state.now.problem === kind ? "" : kind });
    const head = make(
      "span",
      { class: "kind-head" },
      make("span", { class: `severity ${severity === "error" ? "is-error" : "is-warning"}`, text: severity }),
      make("span", { class: "number", text: count(videos) }),
    );
    const button = make(
      "button",
      { type: "button", class: "kind", "aria-pressed": "false", on: { click: toggle } },
      head,
      make("span", { class: "kind-title", text: visible(title) }),
    );
    button.dataset.kind = kind;
    if (remedy) button.append(make("span", { class: "hint", text: visible(remedy) }));
    return button;
  }
}
