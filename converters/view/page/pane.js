// One video in the player: its picture, curve, table and facts, in one of the views of its store.

import { getJson } from "/page/api.js";
import { Clip } from "/page/clip.js";
import { Curve } from "/page/curve.js";
import { choice, counted, labelled, make, setOptions, visible } from "/page/dom.js";
import { Heatmap } from "/page/heatmap.js";
import { RATE } from "/page/playback.js";
import { MOST_DRAWN, Stage } from "/page/stage.js";
import { JointTable, jointName } from "/page/table.js";

const TABLE_PAUSE = 100;
/** Milliseconds between two updates of the table while frames are played. */

export class Pane {
  #opening = 0;
  #tableShown = 0;
  #wish = {};

  /** `actions`: view(name), joint(number or null), curve(quantity), seek(frame), redraw(), opened(pane). */
  constructor(actions) {
    this.actions = actions;
    this.heatmap = new Heatmap(
      () => actions.redraw(),
      (sentence) => this.#say(sentence, "heatmap"),
    );
    this.stage = new Stage(actions, this.heatmap);
    this.curve = new Curve(actions.seek);
    this.table = new JointTable();
    this.view = choice("View", [], "", (view) => actions.view(view), { class: "view-choice" });
    this.title = make("span", { class: "pane-title" });
    this.note = make("p", { class: "note", role: "status", hidden: true });
    this.jointChoice = choice("Joint", [], "", (joint) => actions.joint(joint === "" ? null : Number(joint)));
    this.quantity = choice("Quantity", [], "", actions.curve);
    this.facts = make("dl", { class: "facts-list" });
    this.people = make("span", { class: "people" });
    this.tableBox = make(
      "details",
      { class: "fold table-box", on: { toggle: () => this.#showTable(true) } },
      make("summary", { text: "Joints as a table" }),
      this.table.element,
    );
    this.element = make(
      "article",
      { class: "pane" },
      make(
        "div",
        { class: "picture-box" },
        make("div", { class: "pane-bar" }, this.title, labelled("View", this.view), this.people),
        this.stage.element,
        this.note,
      ),
      (this.side = make(
        "div",
        { class: "pane-side void" },
        make("div", { class: "curve-bar" }, this.quantity, labelled("of", this.jointChoice)),
        this.curve.element,
        this.tableBox,
        make("details", { class: "fold" }, make("summary", { text: "Fields of the video" }), this.facts),
      )),
    );
  }

  get frames() {
    return this.clip?.frames ?? 0;
  }

  /** Frames per second: of the video file, or of the store; else as many as the store has, over the file's duration. */
  get rate() {
    const { duration } = this.stage.video;
    const spread = this.media && duration > 0 && duration < Infinity ? this.frames / duration : null;
    return this.media?.rate || this.clip?.header.rate || spread;
  }

  /** Opens a video: {store (as /api/stores has it), number, row, view, preview ({thumbnail, shape} or null)}. */
  async open({ store, number, row, view, preview }) {
    const opening = ++this.#opening;
    const same = this.number === number && this.row === row;
    Object.assign(this, { store, number, row });
    this.viewName = store.views.some((one) => one.name === view) ? view : "stored";
    this.title.textContent = visible(store.title);
    setOptions(
      this.view,
      store.views.map((one) => [one.name, one.title]),
      this.viewName,
    );
    this.#say("");
    this.element.setAttribute("aria-busy", "true");
    if (!same) {
      this.clip = null;
      this.media = null;
      this.stage.video.hidden = true;
      this.stage.video.removeAttribute("src");
      if (preview) this.stage.preview(preview.thumbnail, preview.shape);
    }
    try {
      const clip = await new Clip(number, row, this.viewName).open();
      if (opening !== this.#opening) return;
      this.clip = clip;
      if (this.#wish.frame > 0) await clip.load(Math.min(this.#wish.frame, clip.frames - 1));
      if (opening !== this.#opening) return;
      this.#show(clip);
      if (!same && store.videos_folder) this.#findMedia(opening);
    } catch (error) {
      if (opening !== this.#opening) return;
      this.clip = null;
      this.stage.preview(null, null);
      this.#say(error.message);
    } finally {
      if (opening === this.#opening) {
        this.element.removeAttribute("aria-busy");
        this.#showSide();
      }
    }
    if (opening === this.#opening) this.actions.opened(this);
  }

  /** Shows a sentence and no video. */
  fail(sentence, store) {
    this.#opening++;
    Object.assign(this, { clip: null, row: null, store });
    this.title.textContent = store ? visible(store.title) : "";
    this.stage.preview(null, null);
    this.#showSide();
    this.#say(sentence);
  }

  #show(clip) {
    this.stage.open(clip);
    const run = clip.run(0);
    const names = this.stage.shape.names;
    if (run) {
      const joints = Array.from({ length: clip.joints }, (_, joint) => [String(joint), jointName(joint, names)]);
      setOptions(this.jointChoice, [["", "all joints, on average"], ...joints], "");
      setOptions(this.quantity, Curve.quantities(run), "");
    }
    const { header } = clip;
    const fields = Object.entries(header.fields ?? {});
    this.facts.replaceChildren(
      ...fields.flatMap(([key, text]) => [
        make("dt", {}, make("bdi", { text: visible(key) })),
        make("dd", {}, make("bdi", { text: visible(String(text)) })),
      ]),
    );
    const notes = [header.note ? visible(header.note) : ""];
    if (header.persons > MOST_DRAWN) notes.push(`The first ${counted(MOST_DRAWN, "person")} of a frame are drawn.`);
    if (!clip.frames) notes.push("This video has no frames.");
    this.#say(notes.filter(Boolean).join(" "));
  }

  async #findMedia(opening) {
    const media = await getJson(`/api/stores/${this.number}/media`, { row: this.row }).catch(() => null);
    if (opening !== this.#opening || !media?.available) return;
    this.media = media;
    const { video } = this.stage;
    video.onloadedmetadata = () => this.media === media && this.actions.opened(this);
    video.src = `/media?store=${this.number}&row=${this.row}`;
    this.actions.opened(this);
  }

  /**
   * Draws a frame; a frame that is not here is asked for and drawn when it is. `options`: colours, joint, curve, heat
   * (kind or ""), film (whether the video is shown), playing, speed.
   */
  draw(frame, options) {
    this.#wish = { frame, options };
    const { clip } = this;
    if (!clip?.frames) return;
    const at = Math.min(frame, clip.frames - 1);
    if (!clip.run(at)) {
      clip.load(at).then(
        () => this.clip === clip && this.actions.redraw(),
        (error) => this.#say(error.message),
      );
      return;
    }
    if (options.playing && clip.nextRun(at) - at < 60) clip.load(clip.nextRun(at)).catch(() => {});
    if (options.heat && !this.stage.turns) this.heatmap.want(this.number, this.row, this.viewName, at, options.heat);
    else
      this.#say(
        options.heat ? "Heatmaps are drawn of joints in the image; these have three coordinates." : "",
        "heatmap",
      );
    this.#film(at, options);
    this.stage.draw(at, options);
    const quantities = [...this.quantity.options].map((one) => one.value);
    const quantity = quantities.includes(options.curve) ? options.curve : quantities[0];
    const joint = options.joint !== null && options.joint < clip.joints ? options.joint : null;
    this.quantity.value = quantity;
    this.jointChoice.value = joint === null ? "" : String(joint);
    const run = clip.run(at);
    this.curve.show(run, joint, quantity, at, this.stage.shape.names);
    this.#count(run, at);
    this.#showTable(!options.playing);
  }

  #count(run, frame) {
    let persons = 0;
    for (let person = 0; person < run.persons; person++) persons += run.isPresent(person, frame);
    const text = counted(persons, "person");
    if (this.people.textContent !== text) this.people.textContent = text;
    const label = `Skeletons: frame ${frame} of ${this.clip.frames}, ${text}`;
    if (!this.#playing) this.stage.canvas.setAttribute("aria-label", label);
  }

  get #playing() {
    return this.#wish.options?.playing;
  }

  #showTable(now) {
    if (!this.tableBox.open || !this.clip?.frames) return;
    if (!now && performance.now() - this.#tableShown < TABLE_PAUSE) return;
    this.#tableShown = performance.now();
    const frame = Math.min(this.#wish.frame ?? 0, this.clip.frames - 1);
    this.table.show(this.clip.run(frame), frame, this.stage.shape.names);
  }

  /** Holds the video beneath at the frame; while it plays, only a drift is corrected. */
  #film(frame, { film, playing, speed }) {
    const { video } = this.stage;
    const shown = Boolean(film && this.media && this.clip.image);
    video.hidden = !shown;
    if (!shown) {
      if (!video.paused) video.pause();
      return;
    }
    const time = (frame + 0.5) / (this.rate || RATE);
    const drift = Math.abs(video.currentTime - time);
    if (playing) {
      video.playbackRate = Math.min(4, Math.max(0.1, speed));
      if (video.paused) video.play().catch(() => {});
      if (drift > 0.12 * Math.max(1, speed) && !video.seeking) video.currentTime = time;
    } else {
      if (!video.paused) video.pause();
      if (drift > 1e-3) video.currentTime = time;
    }
  }

  #notes = { video: "", heatmap: "" };

  #say(sentence, about = "video") {
    if (this.#notes[about] === sentence) return;
    this.#notes[about] = sentence;
    this.note.textContent = Object.values(this.#notes).filter(Boolean).join(" ");
    this.note.hidden = !this.note.textContent;
  }

  /** Hides what belongs to no video while there is none. */
  #showSide() {
    this.side.classList.toggle("void", !this.clip?.frames);
    if (!this.clip) this.people.textContent = "";
  }

  /** Stops what goes on. */
  close() {
    this.#opening++;
    this.stage.video.pause();
    this.stage.video.removeAttribute("src");
    this.media = null;
    this.row = null;
    this.clip = null;
  }
}
