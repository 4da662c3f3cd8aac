// The filters beside the grid, and the chips that show which are active.

import { afterPause, choice, count, icon, iconButton, labelled, make, visible } from "/page/dom.js";
import { Findings } from "/page/findings.js";
import { withoutFilters } from "/page/state.js";

const MOST_CLASSES = 300;
/** Classes in the list at once; typing finds the others. */

const SORTS = [
  ["stored", "as stored"],
  ["name", "name"],
  ["label", "class"],
  ["split", "split"],
  ["frames", "length"],
  ["persons", "persons"],
];

export class Filters {
  /** `parts`: form, chips, sorting (elements). */
  constructor(parts, state, actions) {
    this.parts = parts;
    this.state = state;
    this.actions = actions;
    parts.form.addEventListener("submit", (event) => event.preventDefault());
    this.findings = new Findings(state, actions);
  }

  /** Builds the filters of a store. */
  build(store, number, marks) {
    this.store = store;
    this.marks = marks;
    this.name = this.#text("name", { type: "search", placeholder: "part of a name", "aria-label": "Name", id: "name" });
    this.where = this.#text("where", {
      type: "text",
      placeholder: "label < 10 and total_frames >= 30",
      "aria-label": "Expression",
      spellcheck: "false",
      id: "where",
    });
    this.whereError = make("p", { class: "error", role: "alert", hidden: true });
    this.numbers = ["pmin", "pmax", "fmin", "fmax"].map((key) => this.#number(key));
    const [pmin, pmax, fmin, fmax] = this.numbers;
    this.splits = store.splits.map((split) => this.#split(split));
    this.parts.form.replaceChildren(
      make("div", { class: "field" }, this.name),
      ...(this.splits.length ? [group("Split", make("div", { class: "pills" }, ...this.splits))] : []),
      ...this.#classes(),
      group("Length in frames", range(fmin, fmax, `up to ${count(store.frames_max)}`)),
      group("Persons", range(pmin, pmax, store.persons_max === null ? "in a frame" : `up to ${count(store.persons_max)}`)),
      group("Expression", this.where, this.whereError),
      group("Marks", this.#marks()),
      group("Check", this.findings.build(number)),
    );
    this.#sorting();
    this.update();
  }

  /** Shows what the state says. */
  update() {
    const now = this.state.now;
    for (const input of [this.name, this.where, ...this.numbers]) {
      if (document.activeElement !== input) input.value = now[input.dataset.key];
    }
    for (const button of this.splits) button.setAttribute("aria-pressed", String(button.dataset.split === now.split));
    for (const box of this.classList?.querySelectorAll("input") ?? []) box.checked = now.label.includes(box.value);
    this.sort.value = now.sort;
    this.direction.setAttribute("aria-pressed", String(Boolean(now.desc)));
    this.markedOnly.setAttribute("aria-pressed", String(Boolean(now.marked)));
    this.findings.update();
    this.updateMarks();
    this.#chips();
  }

  updateMarks() {
    const size = this.marks.size;
    this.markedOnly.lastChild.textContent = `Marked only (${count(size)})`;
    this.markedOnly.disabled = !size && !this.state.now.marked;
    this.exportButton.disabled = this.clearButton.disabled = !size;
  }

  /** Shows what is wrong with the expression, or nothing. */
  showError(text) {
    this.whereError.textContent = text;
    this.whereError.hidden = !text;
    this.where.setAttribute("aria-invalid", String(Boolean(text)));
  }

  #text(key, properties) {
    const input = make("input", { autocomplete: "off", maxlength: 2_000, ...properties });
    input.dataset.key = key;
    const apply = () => this.state.replace({ [key]: input.value });
    input.addEventListener("input", afterPause(key === "where" ? 500 : 250, apply));
    input.addEventListener("change", apply);
    return input;
  }

  #number(key) {
    const end = key.endsWith("min") ? "Least" : "Most";
    const what = key.startsWith("p") ? "persons" : "frames";
    return this.#text(key, {
      type: "number",
      min: 0,
      step: 1,
      inputmode: "numeric",
      "aria-label": `${end} ${what}`,
      placeholder: end === "Least" ? "min" : "max",
      id: key,
    });
  }

  #split({ name, videos }) {
    const toggle = () => this.state.push({ split: this.state.now.split === name ? "" : name });
    const button = make("button", { type: "button", class: "pill", "aria-pressed": "false", on: { click: toggle } });
    button.append(make("bdi", { text: visible(name) }), make("span", { class: "number", text: count(videos) }));
    button.dataset.split = name;
    return button;
  }

  #classes() {
    const labels = this.store.labels;
    if (!labels?.length) return [];
    this.classSearch = make("input", {
      type: "search",
      class: "small",
      placeholder: `find in ${count(labels.length)} classes`,
      "aria-label": "Find a class",
      autocomplete: "off",
    });
    this.classList = make("div", { class: "classes", role: "group", "aria-label": "Classes", tabindex: "0" });
    this.classSearch.addEventListener(
      "input",
      afterPause(120, () => this.#listClasses()),
    );
    this.#listClasses();
    return [group("Class", labels.length > 8 ? this.classSearch : null, this.classList)];
  }

  #listClasses() {
    const wanted = this.classSearch.value.trim().toLowerCase();
    const classes = this.store.labels.map(({ label, videos }) => ({ label, videos, name: this.className(label) }));
    const fitting = classes.filter(
      ({ name, label }) => !wanted || name.toLowerCase().includes(wanted) || String(label) === wanted,
    );
    const most = Math.max(1, ...classes.map(({ videos }) => videos));
    const rows = fitting.slice(0, MOST_CLASSES).map(({ label, videos, name }) => {
      const box = make("input", { type: "checkbox", value: label });
      box.checked = this.state.now.label.includes(String(label));
      box.addEventListener("change", () => this.#toggleClass(String(label)));
      const bar = make("span", { class: "share", "aria-hidden": "true" });
      bar.style.width = `${(100 * videos) / most}%`;
      return make(
        "label",
        { class: "class" },
        bar,
        box,
        make("bdi", { text: name, title: name }),
        make("span", { class: "number", text: count(videos) }),
      );
    });
    const rest = fitting.length - rows.length;
    this.classList.replaceChildren(
      ...rows,
      ...(rest > 0 ? [make("p", { class: "hint", text: `${count(rest)} more: type to find them` })] : []),
    );
  }

  #toggleClass(label) {
    const now = this.state.now.label;
    this.state.push({ label: now.includes(label) ? now.filter((one) => one !== label) : [...now, label] });
  }

  /** The name of a class, or its label as text. */
  className(label) {
    const name = /^\d+$/.test(label) ? this.store.classes?.[label] : null;
    return visible(name) || `label ${visible(String(label))}`;
  }

  #marks() {
    const toggle = () => this.state.push({ marked: this.state.now.marked ? "" : "1" });
    this.markedOnly = make(
      "button",
      { type: "button", class: "pill", "aria-pressed": "false", on: { click: toggle } },
      icon("mark"),
      make("span"),
    );
    const file = make("input", {
      type: "file",
      accept: ".txt,.json,text/plain,application/json",
      hidden: true,
      "aria-label": "File of names",
    });
    file.addEventListener("change", async () => {
      if (file.files.length) await this.actions.importMarks(file.files[0]);
      file.value = "";
    });
    this.exportButton = make("button", {
      type: "button",
      class: "quiet",
      text: "Export",
      on: { click: () => this.marks.export() },
    });
    this.clearButton = make("button", {
      type: "button",
      class: "quiet",
      text: "Clear",
      on: { click: () => this.actions.clearMarks() },
    });
    const importButton = make("button", {
      type: "button",
      class: "quiet",
      text: "Import",
      on: { click: () => file.click() },
    });
    const hint = make("p", { class: "hint", text: "For skelstore subset --ids" });
    return make(
      "div",
      { class: "marks" },
      this.markedOnly,
      make("div", { class: "row" }, this.exportButton, importButton, this.clearButton, file),
      hint,
    );
  }

  #sorting() {
    this.sort = choice("Sort by", SORTS, this.state.now.sort, (sort) => this.state.push({ sort }));
    this.direction = iconButton("down", "Descending", () => this.state.push({ desc: this.state.now.desc ? "" : "1" }), {
      "aria-pressed": "false",
    });
    this.motion = iconButton("pause", "Pause the thumbnails", () => this.actions.toggleMotion());
    this.parts.sorting.replaceChildren(labelled("Sort", this.sort), this.direction, this.motion);
  }

  #chips() {
    const now = this.state.now;
    const chips = [];
    const chip = (text, changes) => {
      const button = make("button", {
        type: "button",
        class: "chip",
        "aria-label": `Remove the filter ${text}`,
        on: { click: () => this.state.push(changes) },
      });
      button.append(make("bdi", { text }), icon("close"));
      chips.push(button);
    };
    if (now.split) chip(visible(now.split), { split: "" });
    for (const label of now.label.slice(0, 20))
      chip(this.className(label), { label: now.label.filter((one) => one !== label) });
    if (now.name) chip(`name: ${visible(now.name)}`, { name: "" });
    for (const [what, least, most] of [
      ["frames", "fmin", "fmax"],
      ["persons", "pmin", "pmax"],
    ]) {
      if (now[least] || now[most]) chip(`${what} ${between(now[least], now[most])}`, { [least]: "", [most]: "" });
    }
    if (now.where) chip(visible(now.where), { where: "" });
    if (now.problem) chip(this.findings.title(now.problem), { problem: "" });
    if (now.marked) chip("marked", { marked: "" });
    if (chips.length > 1)
      chips.push(
        make("button", {
          type: "button",
          class: "quiet",
          text: "Clear all",
          on: { click: () => this.state.push(withoutFilters()) },
        }),
      );
    this.parts.chips.replaceChildren(...chips);
    this.active = chips.length;
  }
}

function between(least, most) {
  if (least && most) return least === most ? least : `${least} to ${most}`;
  return least ? `from ${least}` : `up to ${most}`;
}

function group(title, ...children) {
  return make("fieldset", { class: "group" }, make("legend", { text: title }), ...children);
}

function range(least, most, hint) {
  return make(
    "div",
    { class: "range" },
    least,
    make("span", { text: "–", "aria-hidden": "true" }),
    most,
    make("span", { class: "hint", text: hint }),
  );
}
