// Keys: what each does, and the dialog that lists them.

import { iconButton, make } from "/page/dom.js";

const SETTING = "skelstore-keys";
const TURN = 0.12;

const HELP = [
  [
    "Anywhere",
    [
      ["/", "search by name"],
      ["?", "this list"],
      ["Esc", "back to the videos"],
    ],
  ],
  [
    "Videos",
    [
      ["arrows", "move among the videos"],
      ["Enter", "open"],
      ["m", "mark"],
    ],
  ],
  [
    "Player",
    [
      ["Space", "play or pause"],
      [["←", "→"], "one frame back or on; ten with Shift"],
      [["Home", "End"], "first or last frame"],
      [[",", "."], "slower, faster"],
      [["j", "k"], "next, previous video"],
      ["m", "mark"],
      ["l", "loop"],
      ["h", "next heatmap: none, keypoints, limbs"],
      ["v", "next view"],
    ],
  ],
  [
    "Camera",
    [
      [["a", "d"], "turn, in 3D"],
      [["w", "s"], "raise, lower, in 3D"],
      [["+", "−"], "closer, farther"],
      ["r", "reset"],
    ],
  ],
];

function inText(target) {
  return target instanceof HTMLInputElement
    ? !["range", "checkbox", "button", "file"].includes(target.type)
    : target instanceof HTMLTextAreaElement || target.isContentEditable;
}

/** Listens for keys. `page`: search(), back(); `player`: the Player; `actions` of the player. */
export function listen({ player, search, back, help }) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || help.open) return;
    const { target, key } = event;
    if (key === "Escape") {
      if (inText(target)) target.blur();
      else back();
      return;
    }
    const single = key.length === 1 && key !== " ";
    if (inText(target) || (single && (isOff() || target instanceof HTMLSelectElement))) return;
    if (key === "/") search();
    else if (key === "?") help.showModal();
    else if (!player.video || !inPlayer(player, event)) return;
    event.preventDefault();
  });
}

/** Does what a key means in the player; returns whether it means anything. */
function inPlayer(player, { key, shiftKey, target }) {
  const { playback } = player;
  const own = target.closest?.("button, a, summary, select, input[type=checkbox]");
  if ((key === " " || key === "Enter") && own) return false;
  if (key.startsWith("Arrow") || key === "Home" || key === "End") {
    if (target instanceof HTMLSelectElement || target.closest?.(".table-scroll")) return false;
  }
  const moves = {
    " ": () => playback.toggle(),
    ArrowLeft: () => playback.step(shiftKey ? -10 : -1),
    ArrowRight: () => playback.step(shiftKey ? 10 : 1),
    Home: () => player.seek(0),
    End: () => player.seek(playback.frames - 1),
    ",": () => playback.shift(-1),
    "<": () => playback.shift(-1),
    ".": () => playback.shift(1),
    ">": () => playback.shift(1),
    j: () => player.actions.neighbour(1),
    k: () => player.actions.neighbour(-1),
    m: () => player.actions.toggleMark(),
    l: () => player.toggleLoop(),
    h: () => player.nextHeatmap(),
    v: () => player.nextView(),
    a: () => player.orbit({ right: -TURN }),
    d: () => player.orbit({ right: TURN }),
    w: () => player.orbit({ up: TURN }),
    s: () => player.orbit({ up: -TURN }),
    "+": () => player.orbit({ closer: 1.15 }),
    "=": () => player.orbit({ closer: 1.15 }),
    "-": () => player.orbit({ closer: 1 / 1.15 }),
    r: () => player.orbit(),
  };
  const move = moves[key];
  if (!move) return false;
  move();
  return true;
}

function isOff() {
  try {
    return localStorage.getItem(SETTING) === "off";
  } catch {
    return false;
  }
}

/** Fills the dialog with the list of keys and a switch for those that are one letter. */
export function buildHelp(dialog) {
  const box = make("input", { type: "checkbox" });
  box.checked = !isOff();
  box.addEventListener("change", () => {
    try {
      localStorage.setItem(SETTING, box.checked ? "on" : "off");
    } catch {
      // Without storage the switch has no effect.
    }
  });
  const groups = HELP.map(([title, keys]) => {
    const rows = keys.map(([key, text]) =>
      make(
        "tr",
        {},
        make("th", { scope: "row" }, ...[key].flat().map((one) => make("kbd", { text: one }))),
        make("td", { text }),
      ),
    );
    return make("section", {}, make("h3", { text: title }), make("table", {}, make("tbody", {}, ...rows)));
  });
  dialog.append(
    make(
      "div",
      { class: "help-head" },
      make("h2", { id: "help-title", text: "Keyboard" }),
      iconButton("close", "Close", () => dialog.close()),
    ),
    make("div", { class: "help-groups" }, ...groups),
    make("label", { class: "check" }, box, "Single letters and signs are shortcuts"),
  );
}
