// The joints of one frame as a table: the values of the store, in the shortest digits that give the same float32.

import { counted, make, visible } from "/page/dom.js";

const MOST_ROWS = 2_000;

/** The shortest decimal text that is read back as the same float32. */
export function shortest(value) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
  if (Object.is(value, -0)) return "-0";
  for (let digits = 1; digits < 9; digits++) {
    const text = value.toPrecision(digits);
    if (Math.fround(Number(text)) === value) return String(Number(text));
  }
  return String(Number(value.toPrecision(9)));
}

export class JointTable {
  #key = "";
  #cells = [];

  constructor() {
    this.caption = make("caption");
    this.head = make("thead");
    this.note = make("p", { class: "hint", hidden: true });
    this.table = make("table", { class: "joints" }, this.caption, this.head);
    this.element = make(
      "div",
      { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Joints of this frame" },
      this.table,
      this.note,
    );
  }

  /** Shows a frame of a run; `names` are those of the joints or null. */
  show(run, frame, names) {
    if (!run) return;
    this.#build(run, names);
    this.caption.textContent = `Joints of frame ${frame}`;
    let cell = 0;
    for (let person = 0; person < this.persons; person++) {
      const present = run.isPresent(person, frame);
      this.bodies[person].hidden = !present;
      const at = run.at(person, frame);
      for (let joint = 0; joint < run.joints; joint++) {
        for (let axis = 0; axis < run.size; axis++)
          this.#cells[cell++].data = shortest(run.keypoint[(at + joint) * run.size + axis]);
        if (run.score) this.#cells[cell++].data = shortest(run.score[at + joint]);
      }
    }
  }

  #build(run, names) {
    const key = JSON.stringify([run.persons, run.joints, run.size, Boolean(run.score), names]);
    if (key === this.#key) return;
    this.#key = key;
    this.#cells = [];
    this.persons = Math.min(run.persons, Math.max(1, Math.floor(MOST_ROWS / run.joints)));
    const columns = ["x", "y", "z"].slice(0, run.size).concat(run.score ? ["score"] : []);
    const heads = ["joint", ...columns].map((text) => make("th", { scope: "col", text }));
    this.head.replaceChildren(make("tr", {}, ...heads));
    this.bodies = Array.from({ length: this.persons }, (_, person) => this.#person(person, run, names, columns.length));
    this.table.replaceChildren(this.caption, this.head, ...this.bodies);
    this.note.hidden = this.persons === run.persons;
    this.note.textContent = `The first ${counted(this.persons, "person")} of ${run.persons} are listed.`;
  }

  #person(person, run, names, columns) {
    const title = make("th", { scope: "rowgroup", colspan: columns + 1, text: `person ${person + 1}` });
    const rows = Array.from({ length: run.joints }, (_, joint) => {
      const cells = Array.from({ length: columns }, () => {
        const text = document.createTextNode("");
        this.#cells.push(text);
        return make("td", {}, text);
      });
      return make("tr", {}, make("th", { scope: "row", text: jointName(joint, names) }), ...cells);
    });
    return make("tbody", {}, make("tr", { class: "person" }, title), ...rows);
  }
}

export function jointName(joint, names) {
  return names ? `${joint} ${visible(names[joint]).replaceAll("_", " ")}` : String(joint);
}
