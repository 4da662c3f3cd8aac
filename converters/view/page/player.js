// The player: one or two panes with one clock, and the controls that they share.

import {
  choice,
  count,
  icon,
  iconButton,
  labelled,
  make,
  setIcon,
  setOptions,
  shownClass,
  shownName,
  visible,
} from "/page/dom.js";
import { Pane } from "/page/pane.js";
import { Playback, SPEEDS } from "/page/playback.js";

const HEATMAPS = [
  ["", "none"],
  ["keypoint", "keypoints"],
  ["limb", "limbs"],
];
const COLOURS = [
  ["sides", "left and right"],
  ["persons", "persons"],
];

export class Player {
  /** `actions`: close(), neighbour(by), marked(name), toggleMark(), second(store, name) -> {row or null, note}. */
  constructor(root, state, actions) {
    Object.assign(this, { root, state, actions });
    this.playback = new Playback(
      () => this.#onFrame(),
      () => this.#onChange(),
    );
    this.panes = [0, 1].map((number) => new Pane(this.#paneActions(number)));
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.film = true;
    this.#build();
    addEventListener("theme", () => this.redraw());
  }

  #paneActions(number) {
    return {
      view: (view) => this.state.replace({ [number ? "view2" : "view"]: view }),
      joint: (joint) => this.state.replace({ joint: joint === null ? "" : String(joint) }),
      curve: (curve) => this.state.replace({ curve }),
      seek: (frame) => this.#seek(frame),
      redraw: () => this.redraw(),
      opened: () => this.#onOpened(),
    };
  }

  #build() {
    this.name = make("h2", { class: "video-name", tabindex: "-1" });
    this.about = make("p", { class: "video-about" });
    this.mark = iconButton("mark", "Mark (m)", () => this.actions.toggleMark(), { "aria-pressed": "false" });
    this.playButton = iconButton("play", "Play (space)", () => this.playback.toggle(), { class: "play" });
    this.scrubber = make("input", {
      type: "range",
      class: "scrubber",
      min: 0,
      max: 0,
      step: 1,
      value: 0,
      "aria-label": "Frame",
    });
    this.scrubber.addEventListener("input", () => this.#seek(Number(this.scrubber.value)));
    this.position = make("output", { class: "position", text: "0 / 0" });
    this.speed = choice(
      "Speed",
      SPEEDS.map((speed) => [String(speed), `${speed} ×`]),
      "1",
      (speed) => this.playback.setSpeed(Number(speed)),
    );
    this.loop = iconButton("loop", "Loop (l)", () => this.toggleLoop(), { "aria-pressed": "true" });
    this.heat = choice("Heatmap", HEATMAPS, "", (heat) => this.state.replace({ heat }));
    this.colours = choice("Colours", COLOURS, "sides", (colours) => this.state.replace({ colours }));
    this.beside = choice("Beside", [], "", (store) => this.state.push({ with: store }));
    this.filmBox = make("input", { type: "checkbox", on: { change: () => this.#setFilm(this.filmBox.checked) } });
    this.filmBox.checked = true;
    this.filmLabel = make("label", { class: "check", hidden: true }, this.filmBox, "Video");
    const resetView = iconButton("reset", "Reset the camera (r)", () => this.orbit());
    const transport = make(
      "div",
      { class: "transport", role: "group", "aria-label": "Playback" },
      iconButton("first", "First frame (Home)", () => this.#seek(0)),
      iconButton("back", "One frame back (left arrow)", () => this.playback.step(-1)),
      this.playButton,
      iconButton("next", "One frame on (right arrow)", () => this.playback.step(1)),
      iconButton("end", "Last frame (End)", () => this.#seek(this.playback.frames - 1)),
      this.scrubber,
      this.position,
      this.speed,
      this.loop,
    );
    const tools = make(
      "div",
      { class: "tools" },
      labelled("Heatmap", this.heat),
      labelled("Colours", this.colours),
      labelled("Beside", this.beside),
      this.filmLabel,
      resetView,
      this.#legend(),
    );
    const back = make(
      "button",
      { type: "button", class: "back", "aria-label": "Videos", on: { click: () => this.actions.close() } },
      icon("back"),
      make("span", { text: "Videos" }),
    );
    const head = make(
      "div",
      { class: "player-head" },
      back,
      make("div", { class: "video-title" }, this.name, this.about),
      this.mark,
      iconButton("up", "Previous video (k)", () => this.actions.neighbour(-1)),
      iconButton("down", "Next video (j)", () => this.actions.neighbour(1)),
    );
    this.paneBox = make("div", { class: "panes" }, this.panes[0].element);
    this.root.append(head, tools, this.paneBox, transport);
  }

  #legend() {
    const key = (kind, text) => make("span", { class: `key key-${kind}`, text });
    this.legend = make(
      "span",
      { class: "legend", "aria-label": "Colours of the sides" },
      key("left", "left"),
      key("right", "right"),
    );
    return this.legend;
  }

  /** Takes over the stores that can be shown beside. */
  setStores(stores) {
    this.stores = stores;
    const options = stores.map((store, number) => [
      String(number),
      stores.length > 1 ? visible(store.title) : "another view",
    ]);
    setOptions(this.beside, [["", "nothing"], ...options], "");
  }

  /** Opens a video. `preview` is what can be drawn at once, or null. `again` keeps the frame and goes on playing. */
  async open(video, { store, number, preview, frame, again }) {
    const now = this.state.now;
    this.video = video;
    this.root.hidden = false;
    this.name.textContent = shownName(video);
    this.about.replaceChildren(
      ...[shownClass(video), ...(video.splits ?? []).map(visible)]
        .filter(Boolean)
        .map((text) => make("bdi", { class: "tag", text })),
    );
    if (!again) {
      this.playback.pause();
      this.playback.open(0, null);
      this.playback.frame = frame ?? 0;
      this.#autoplay = frame === null && !this.still.matches;
    }
    this.updateMark();
    this.sync(now);
    this.#frameKnown = false;
    await Promise.all([
      this.panes[0].open({ store, number, row: video.row, view: now.view, preview }),
      this.#openSecond(video),
    ]);
  }

  #autoplay = false;
  #frameKnown = false;

  async #openSecond(video) {
    const beside = this.state.now.with;
    const pane = this.panes[1];
    const shown = /^\d+$/.test(beside) && this.stores[beside];
    if (!shown) {
      pane.element.remove();
      pane.close();
      return;
    }
    this.paneBox.append(pane.element);
    const number = Number(beside);
    try {
      const same = number === Number(this.state.now.s);
      const { row, note } = same ? video : await this.actions.second(number, video.name);
      if (this.video !== video || this.state.now.with !== beside) return;
      if (row === null) pane.fail(note, shown);
      else await pane.open({ store: shown, number, row, view: this.state.now.view2, preview: null });
    } catch (error) {
      pane.fail(error.message, shown);
    }
  }

  /** Shows what the state says of the controls. */
  sync(now) {
    this.heat.value = now.heat;
    this.colours.value = now.colours;
    this.beside.value = now.with;
    this.root.classList.toggle("two", now.with !== "");
    this.#showLegend();
  }

  /** Takes over a change of the state that leaves the video as it is. */
  update(now, before) {
    this.sync(now);
    const [first, second] = this.panes;
    if (now.with !== before.with) this.#openSecond(this.video);
    if (now.view !== before.view && first.store) first.open({ ...first, view: now.view, preview: null });
    if (now.view2 !== before.view2 && second.row !== null && second.store)
      second.open({ ...second, view: now.view2, preview: null });
    if (
      now.frame !== before.frame &&
      now.frame !== "" &&
      Number(now.frame) !== this.playback.frame &&
      !this.playback.playing
    )
      this.#seek(Number(now.frame));
    this.redraw();
  }

  /** The colours of the sides are explained where a picture has them. */
  #showLegend() {
    this.legend.hidden =
      this.state.now.colours === "persons" || !this.#shown.some((pane) => pane.stage.shape?.sides.some(Boolean));
  }

  updateMark() {
    const nameless = this.video.name === null;
    this.mark.hidden = nameless;
    this.mark.setAttribute("aria-pressed", String(!nameless && this.actions.marked(this.video.name)));
  }

  close() {
    this.playback.pause();
    this.panes.forEach((pane) => pane.close());
    this.root.hidden = true;
    this.video = null;
  }

  get #options() {
    const { now } = this.state;
    return {
      colours: now.colours,
      joint: now.joint === "" ? null : Number(now.joint),
      curve: now.curve,
      heat: now.heat,
      film: this.film,
      playing: this.playback.playing,
      speed: this.playback.speed,
    };
  }

  #queued = false;

  /** Draws the frame soon, once for all changes until then. */
  redraw() {
    if (this.#queued || !this.video) return;
    this.#queued = true;
    requestAnimationFrame(() => {
      this.#queued = false;
      this.#draw();
    });
  }

  #draw() {
    if (!this.video) return;
    for (const pane of this.#shown) pane.draw(this.playback.frame, this.#options);
  }

  get #shown() {
    return this.panes.filter((pane) => pane.element.isConnected);
  }

  #onOpened() {
    const shown = this.#shown;
    const frames = Math.max(0, ...shown.map((pane) => pane.frames));
    const rate = shown.map((pane) => pane.rate).find(Boolean) ?? null;
    this.playback.open(frames, rate);
    this.filmLabel.hidden = !shown.some((pane) => pane.media);
    this.scrubber.max = Math.max(0, frames - 1);
    this.scrubber.disabled = frames < 2;
    this.#showLegend();
    if (this.#autoplay && frames > 1) {
      this.#autoplay = false;
      this.playback.play();
    }
    this.#showPosition();
    this.#draw();
  }

  #onFrame() {
    if (!this.video) return;
    this.#showPosition();
    if (!this.playback.playing) this.state.replace({ frame: String(this.playback.frame) });
    this.#draw();
  }

  #showPosition() {
    const { frame, frames } = this.playback;
    this.scrubber.value = String(frame);
    this.scrubber.setAttribute("aria-valuetext", `frame ${frame} of ${frames}`);
    this.position.textContent = frames ? `${count(frame)} / ${count(frames - 1)}` : "…";
  }

  #onChange() {
    setIcon(
      this.playButton,
      this.playback.playing ? "pause" : "play",
      this.playback.playing ? "Pause (space)" : "Play (space)",
    );
    this.speed.value = String(this.playback.speed);
  }

  #seek(frame) {
    this.playback.pause();
    this.playback.seek(frame);
  }

  seek(frame) {
    this.#seek(frame);
  }

  toggleLoop() {
    this.playback.loop = !this.playback.loop;
    this.loop.setAttribute("aria-pressed", String(this.playback.loop));
  }

  #setFilm(shown) {
    this.film = shown;
    this.redraw();
  }

  /** The next kind of heatmap, and after the last none. */
  nextHeatmap() {
    const kinds = HEATMAPS.map(([kind]) => kind);
    this.state.replace({ heat: kinds[(kinds.indexOf(this.state.now.heat) + 1) % kinds.length] });
  }

  /** The next view of the first pane. */
  nextView() {
    const names = this.panes[0].store?.views.map((view) => view.name) ?? [];
    if (names.length) this.state.replace({ view: names[(names.indexOf(this.panes[0].viewName) + 1) % names.length] });
  }

  orbit(change) {
    for (const pane of this.#shown) if (pane.clip) pane.stage.orbit(change);
  }
}
