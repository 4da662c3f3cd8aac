// A quantity of a joint over the frames: its score or a coordinate, one line per person.

import { make } from "/page/dom.js";
import { personColour, personDash, theme } from "/page/skeleton.js";
import { jointName, shortest } from "/page/table.js";

const INKS = {
  light: { line: "#d9dce1", text: "#5c636d", head: "#1c1f24" },
  dark: { line: "#353a42", text: "#a3abb6", head: "#e7e9ec" },
};
const MARGIN = { left: 44, right: 10, top: 10, bottom: 18 };
const MOST_PERSONS = 8;
const MOST_POINTS = 2_000;

export class Curve {
  #lines = [];
  #range = [0, 1];
  #key = "";

  /** `onSeek` is called with a frame. */
  constructor(onSeek) {
    this.canvas = make("canvas", { class: "curve", role: "img", "aria-label": "Curve" });
    this.element = make("div", { class: "curve-box" }, this.canvas);
    const seek = (event) => {
      if (event.buttons !== 1 || !this.run) return;
      const box = this.canvas.getBoundingClientRect();
      const share = (event.clientX - box.left - MARGIN.left) / (box.width - MARGIN.left - MARGIN.right);
      onSeek(
        Math.round(this.run.from + Math.min(1, Math.max(0, share)) * Math.max(0, this.run.to - this.run.from - 1)),
      );
    };
    this.canvas.addEventListener("pointerdown", seek);
    this.canvas.addEventListener("pointermove", seek);
  }

  /** The quantities that a run has, as options [value, text]. */
  static quantities(run) {
    const axes = ["x", "y", "z"].slice(0, run.size).map((axis) => [axis, axis]);
    return run.score ? [["score", "score"], ...axes] : axes;
  }

  /** Shows a quantity of a joint, or of all joints on average if `joint` is null, with a line at a frame. */
  show(run, joint, quantity, frame, names) {
    if (!run) return;
    const key = [run.from, run.to, joint, quantity].join();
    if (key !== this.#key || run !== this.run) {
      this.#key = key;
      this.run = run;
      this.#compute(joint, quantity);
      this.#describe(joint, quantity, names);
    }
    this.#draw(frame);
  }

  #compute(joint, quantity) {
    const { run } = this;
    const axis = ["x", "y", "z"].indexOf(quantity);
    const every = Math.max(1, Math.ceil((run.to - run.from) / MOST_POINTS));
    this.#lines = [];
    let [low, high] = [Infinity, -Infinity];
    for (let person = 0; person < Math.min(run.persons, MOST_PERSONS); person++) {
      const line = [];
      for (let frame = run.from; frame < run.to; frame += every) {
        const value = run.isPresent(person, frame) ? valueOf(run, run.at(person, frame), joint, axis) : NaN;
        line.push([frame, value]);
        if (value < low) low = value;
        if (value > high) high = value;
      }
      this.#lines.push(line);
    }
    if (axis < 0) [low, high] = [0, Math.max(1, high)];
    if (!(low < high)) [low, high] = Number.isFinite(low) ? [low - 1, low + 1] : [0, 1];
    this.#range = [low, high];
  }

  #describe(joint, quantity, names) {
    const what = joint === null ? "all joints on average" : `joint ${jointName(joint, names)}`;
    const values = (this.#lines[0] ?? []).filter(([, value]) => Number.isFinite(value));
    let text = `${quantity} of ${what}, frames ${this.run.from} to ${this.run.to - 1}`;
    if (values.length) {
      const least = values.reduce((a, b) => (b[1] < a[1] ? b : a));
      const mean = values.reduce((sum, [, value]) => sum + value, 0) / values.length;
      text += `; person 1: least ${short(least[1])} at frame ${least[0]}, mean ${short(mean)}`;
    }
    this.canvas.setAttribute("aria-label", text);
  }

  #draw(frame) {
    const { canvas, run } = this;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width) return;
    const density = Math.min(2, devicePixelRatio);
    [canvas.width, canvas.height] = [width * density, height * density];
    const context = canvas.getContext("2d");
    context.scale(density, density);
    const ink = INKS[theme()];
    const [low, high] = this.#range;
    const span = Math.max(1, run.to - run.from - 1);
    const x = (at) => MARGIN.left + ((at - run.from) / span) * (width - MARGIN.left - MARGIN.right);
    const y = (value) =>
      height - MARGIN.bottom - ((value - low) / (high - low)) * (height - MARGIN.top - MARGIN.bottom);
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = ink.text;
    context.strokeStyle = ink.line;
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const value of [low, (low + high) / 2, high]) {
      context.beginPath();
      context.moveTo(MARGIN.left, Math.round(y(value)) + 0.5);
      context.lineTo(width - MARGIN.right, Math.round(y(value)) + 0.5);
      context.stroke();
      context.fillText(short(value), MARGIN.left - 6, y(value));
    }
    context.textBaseline = "alphabetic";
    context.textAlign = "left";
    context.fillText(String(run.from), MARGIN.left, height - 4);
    context.textAlign = "right";
    context.fillText(String(run.to - 1), width - MARGIN.right, height - 4);
    this.#lines.forEach((line, person) => drawLine(context, line, person, x, y));
    if (frame < run.from || frame >= run.to) return;
    context.setLineDash([]);
    context.strokeStyle = ink.head;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x(frame), MARGIN.top - 4);
    context.lineTo(x(frame), height - MARGIN.bottom + 4);
    context.stroke();
    this.#lines.forEach((line, person) => {
      const value = line.find(([at]) => at >= frame)?.[1];
      if (!Number.isFinite(value)) return;
      context.fillStyle = personColour(person);
      context.beginPath();
      context.arc(x(frame), y(value), 3, 0, 7);
      context.fill();
    });
  }
}

function valueOf(run, at, joint, axis) {
  const one = (place) =>
    axis < 0 ? run.score[place] : run.isThere(place) ? run.keypoint[place * run.size + axis] : NaN;
  if (joint !== null) return one(at + joint);
  let [sum, found] = [0, 0];
  for (let place = at; place < at + run.joints; place++) {
    const value = one(place);
    if (!Number.isFinite(value)) continue;
    sum += value;
    found++;
  }
  return found ? sum / found : NaN;
}

function drawLine(context, line, person, x, y) {
  context.strokeStyle = personColour(person);
  context.lineWidth = 1.5;
  context.lineJoin = "round";
  context.setLineDash(personDash(person));
  context.beginPath();
  let open = false;
  for (const [frame, value] of line) {
    if (!Number.isFinite(value)) open = false;
    else if (open) context.lineTo(x(frame), y(value));
    else {
      context.moveTo(x(frame), y(value));
      context.lineTo(x(frame) + 0.5, y(value)); // a value alone is a dot
      open = true;
    }
  }
  context.stroke();
}

function short(value) {
  if (Math.abs(value) >= 1e5) return value.toExponential(1).replace("+", "");
  return Math.abs(value) >= 1000 ? value.toFixed(0) : shortest(Math.fround(Number(value.toPrecision(3))));
}
