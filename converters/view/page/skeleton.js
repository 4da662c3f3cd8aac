// Drawing skeletons: which side a bone belongs to, how persons are distinguished, what opacity means.

const LEFT = 1;
const RIGHT = 2;

const SIDE_COLOURS = {
  light: ["#5A5A5A", "#0072B2", "#D55E00"],
  dark: ["#C8C8C8", "#0072B2", "#D55E00"],
};
/** Colours of middle, left and right, which colour-blind people tell apart. */

const PERSON_COLOURS = {
  light: ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5A5A5A"],
  dark: ["#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#D55E00", "#C8C8C8"],
};
/** The palette of Okabe and Ito, for persons. */

const DASHES = [[], [6, 4], [1.5, 4], [9, 3, 2, 3]];
const FULL_DETAIL = 3_000;
/** Up to so many bones a frame have an opacity each; beyond, persons are drawn in one stroke per side. */

export function theme() {
  return document.documentElement.dataset.theme === "dark" ? "dark" : "light";
}

export function personColour(person) {
  const palette = PERSON_COLOURS[theme()];
  return palette[person % palette.length];
}

export function personDash(person) {
  return DASHES[person % DASHES.length];
}

/** The bones and sides of a joint layout, for keypoints of `joints` joints; without a layout there are points only. */
export function anatomy(layout, joints) {
  const sides = new Uint8Array(joints);
  const bones = [];
  if (layout && layout.joints.length === joints) {
    for (const [left, right] of layout.pairs) {
      sides[left] = LEFT;
      sides[right] = RIGHT;
    }
    for (const [a, b] of layout.edges) {
      const side = sides[a] === sides[b] ? sides[a] : sides[a] && sides[b] ? 0 : sides[a] || sides[b];
      bones.push([a, b, side]);
    }
  }
  return { sides, bones, names: layout?.joints?.length === joints ? layout.joints : null };
}

/** Draws a thumbnail's frame: int16 places over the larger side of its box, -1 where a joint is absent. */
export function drawThumbnail(context, thumbnail, frame, shape, width, height) {
  const { points, persons, joints, box } = thumbnail;
  const unit = Math.min(width / box.width, height / box.height) * 0.94;
  const left = (width - box.width * unit) / 2 - box.left * unit;
  const top = (height - box.height * unit) / 2 - box.top * unit;
  const colours = SIDE_COLOURS[theme()];
  const start = frame * persons * joints * 2;
  context.lineCap = "round";
  context.lineWidth = Math.max(1, Math.min(width, height) / 62);
  for (let person = 0; person < persons; person++) {
    const at = start + person * joints * 2;
    for (let side = 0; side < 3; side++) {
      context.beginPath();
      for (const [a, b, boneSide] of shape.bones) {
        if (boneSide !== side) continue;
        const from = at + 2 * a;
        const to = at + 2 * b;
        if (points[from] < 0 || points[to] < 0) continue;
        context.moveTo(left + points[from] * unit, top + points[from + 1] * unit);
        context.lineTo(left + points[to] * unit, top + points[to + 1] * unit);
      }
      context.strokeStyle = colours[side];
      context.globalAlpha = person ? 0.72 : 1;
      context.stroke();
    }
    if (!shape.bones.length || joints > 40)
      drawDots(context, points, at, joints, shape.sides, unit, left, top, colours);
  }
  context.globalAlpha = 1;
}

function drawDots(context, points, at, joints, sides, unit, left, top, colours) {
  for (let joint = 0; joint < joints; joint++) {
    const x = points[at + 2 * joint];
    if (x < 0) continue;
    context.fillStyle = colours[sides[joint]];
    context.fillRect(left + x * unit - 0.8, top + points[at + 2 * joint + 1] * unit - 0.8, 1.6, 1.6);
  }
}

/**
 * Draws the persons of a frame.
 *
 * `persons` are {person, xs, ys, scores, there}: places in pixels of the canvas, scores from 0 to 1, and whether each
 * joint is there. `options`: `colours` ("sides" or "persons"), `width` of a bone, `joint` that is emphasised or null.
 */
export function drawPersons(context, persons, shape, options) {
  const colours = SIDE_COLOURS[theme()];
  const detailed = persons.length * shape.bones.length <= FULL_DETAIL;
  context.lineCap = "round";
  context.lineJoin = "round";
  for (const one of persons) {
    const colourOf = (side) => (options.colours === "persons" ? personColour(one.person) : colours[side]);
    context.lineWidth = options.width;
    context.setLineDash(
      options.colours === "persons" ? [] : personDash(one.person).map((part) => part * (options.width / 2.5)),
    );
    if (detailed) drawBones(context, one, shape, colourOf);
    else drawBonesAtOnce(context, one, shape, colourOf);
    context.setLineDash([]);
    drawJoints(context, one, shape, colourOf, options);
  }
  context.globalAlpha = 1;
  if (persons.length > 1) for (const one of persons.slice(0, 40)) drawNumber(context, one, options);
}

function opacity(score) {
  return 0.25 + 0.75 * Math.min(1, Math.max(0, score));
}

function drawBones(context, one, shape, colourOf) {
  for (const [a, b, side] of shape.bones) {
    if (!one.there[a] || !one.there[b]) continue;
    context.globalAlpha = opacity(Math.min(one.scores[a], one.scores[b]));
    context.strokeStyle = colourOf(side);
    context.beginPath();
    context.moveTo(one.xs[a], one.ys[a]);
    context.lineTo(one.xs[b], one.ys[b]);
    context.stroke();
  }
}

function drawBonesAtOnce(context, one, shape, colourOf) {
  context.globalAlpha = 0.8;
  for (let side = 0; side < 3; side++) {
    context.beginPath();
    for (const [a, b, boneSide] of shape.bones) {
      if (boneSide !== side || !one.there[a] || !one.there[b]) continue;
      context.moveTo(one.xs[a], one.ys[a]);
      context.lineTo(one.xs[b], one.ys[b]);
    }
    context.strokeStyle = colourOf(side);
    context.stroke();
  }
}

function drawJoints(context, one, shape, colourOf, options) {
  const radius = one.there.length > 60 ? options.width * 0.45 : options.width * 0.95;
  for (let joint = 0; joint < one.there.length; joint++) {
    if (!one.there[joint]) continue;
    context.globalAlpha = opacity(one.scores[joint]);
    context.fillStyle = colourOf(shape.sides[joint]);
    context.beginPath();
    context.arc(one.xs[joint], one.ys[joint], radius, 0, 7);
    context.fill();
    if (joint !== options.joint) continue;
    context.globalAlpha = 1;
    context.strokeStyle = colourOf(shape.sides[joint]);
    context.lineWidth = 2;
    context.beginPath();
    context.arc(one.xs[joint], one.ys[joint], radius + 5, 0, 7);
    context.stroke();
    context.lineWidth = options.width;
  }
}

function drawNumber(context, one, options) {
  let top = -1;
  for (let joint = 0; joint < one.there.length; joint++) {
    if (one.there[joint] && (top < 0 || one.ys[joint] < one.ys[top])) top = joint;
  }
  if (top < 0) return;
  const text = String(one.person + 1);
  context.font = "600 12px system-ui, sans-serif";
  const width = context.measureText(text).width + 10;
  const x = one.xs[top];
  const y = one.ys[top] - 16;
  const dark = theme() === "dark";
  context.fillStyle = options.colours === "persons" ? personColour(one.person) : dark ? "#e7e9ec" : "#2b2f36";
  context.beginPath();
  context.roundRect(x - width / 2, y - 9, width, 18, 9);
  context.fill();
  context.fillStyle = dark ? "#14161a" : "#ffffff";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(text, x, y + 0.5);
}
