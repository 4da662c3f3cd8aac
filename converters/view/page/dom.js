// Elements, icons and the wording of numbers and names. Text is set as text: nothing here parses markup.

const SVG = "http://www.w3.org/2000/svg";

const ICONS = {
  back: "M15 5l-7 7 7 7",
  check: "M5 13l4 4L19 7",
  close: "M6 6l12 12M18 6L6 18",
  down: "M12 5v14M6 13l6 6 6-6",
  end: "M6 5l9 7-9 7zM18 5v14",
  filter: "M4 6h16M7 12h10M10 18h4",
  first: "M18 5l-9 7 9 7zM6 5v14",
  help: "M3 7h18v10H3zM7 11h.01M11 11h.01M15 11h.01M8 14h8",
  link: "M10 14a4 4 0 005.7 0l3-3a4 4 0 00-5.7-5.7l-1 1M14 10a4 4 0 00-5.7 0l-3 3a4 4 0 005.7 5.7l1-1",
  loop: "M17 3l3 3-3 3M20 6H8a4 4 0 00-4 4v1M7 21l-3-3 3-3M4 18h12a4 4 0 004-4v-1",
  mark: "M7 4h10v16l-5-4-5 4z",
  next: "M9 5l7 7-7 7",
  pause: "M8 5v14M16 5v14",
  play: "M8 5l11 7-11 7z",
  reset: "M5 12a7 7 0 107-7H7M10 2L7 5l3 3",
  theme: "M20 14.5A8.5 8.5 0 1 1 9.5 4a7 7 0 0 0 10.5 10.5z",
  up: "M12 19V5M6 11l6-6 6 6",
};
/** Outlines of icons, drawn in a square of 24. */

/** An element with properties (`class`, `text`, `on`, attributes otherwise) and children (nodes or texts). */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") element.className = value;
    else if (name === "text") element.textContent = value;
    else if (name === "on")
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** An icon as SVG, hidden from assistive technology: the control that holds it has a name of its own. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", `icon icon-${name}`);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** A button that shows an icon; `label` is its accessible name. */
export function iconButton(name, label, onClick, properties = {}) {
  const classes = `icon-button ${properties.class ?? ""}`.trim();
  const on = onClick ? { click: onClick } : {};
  const button = make("button", {
    type: "button",
    title: label,
    ...properties,
    class: classes,
    "aria-label": label,
    on,
  });
  button.append(icon(name));
  return button;
}

/** Changes the icon and the name of a button made by `iconButton`. */
export function setIcon(button, name, label) {
  button.replaceChildren(icon(name));
  button.setAttribute("aria-label", label);
  button.title = label;
}

/** A select with options [value, text]; `onChange` gets the value. */
export function choice(label, options, value, onChange, properties = {}) {
  const select = make("select", { "aria-label": label, ...properties, on: { change: () => onChange(select.value) } });
  setOptions(select, options, value);
  return select;
}

export function setOptions(select, options, value) {
  select.replaceChildren(...options.map(([key, text]) => make("option", { value: key, text })));
  select.value = value;
}

/** A visible label before a control. */
export function labelled(text, control, properties = {}) {
  return make("label", { class: "labelled", ...properties }, make("span", { text }), control);
}

export function count(number) {
  return number.toLocaleString("en-US");
}

/** "1 video", "2 videos". */
export function counted(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]/gu;
const LONGEST = 300;

/** A text from a store as it is shown: control characters as escapes, and shortened. */
export function visible(text) {
  if (text === null || text === undefined) return "";
  const short = text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
  return short.replace(CONTROLS, (one) => `\\u${one.codePointAt(0).toString(16).padStart(4, "0")}`);
}

/** The name of a video as it is shown. */
export function shownName(video) {
  return video.name === null || video.name === undefined
    ? `video ${video.row}, without a name`
    : visible(video.name) || "(empty name)";
}

/** The class of a video as it is shown: its name, else its label. */
export function shownClass(video) {
  if (video.class) return visible(video.class);
  if (video.label === null || video.label === undefined) return "";
  return `label ${visible([video.label].flat().join(", "))}`;
}

/** The title of a group of videos with one label, or in one set of splits. */
export function shownGroup(group) {
  if (group.splits) return group.splits.map(visible).join(", ") || "In no split";
  return shownClass(group) || "No label";
}

/** Whether an address can hold the name of a video; lone surrogates, and names that the server has cut, cannot be found. */
export function isAddressable(name) {
  return name !== null && name.length < 4_000 && name.isWellFormed();
}

/** Calls `action` once after a pause of `milliseconds` in the calls. */
export function afterPause(milliseconds, action) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...values), milliseconds);
  };
}

/** Saves a text as a file of the user. */
export function download(name, text, type = "text/plain") {
  const url = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  const link = make("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
