// Opens the page: the stores, the state, and which part hears of which change.

import { ApiError, getArrays, getJson } from "/page/api.js";
import { choice, count, counted, icon, isAddressable, make, setIcon, shownGroup, visible } from "/page/dom.js";
import { Filters } from "/page/filters.js";
import { Grid } from "/page/grid.js";
import { buildHelp, listen } from "/page/keyboard.js";
import { Marks } from "/page/marks.js";
import { Player } from "/page/player.js";
import { FILTERS, sameVideos, State } from "/page/state.js";
import { Selection } from "/page/videos.js";

const $ = (id) => document.getElementById(id);

class Page {
  #selecting = 0;
  #opening = 0;
  #opened = null;
  #sentences = { videos: "", video: "" };
  selection = null;

  constructor() {
    this.state = new State();
    this.grid = new Grid($("grid"), {
      open: (video, index) => this.#openFromGrid(video, index),
      marked: (name) => this.marks.has(name),
      toggleMark: (name) => this.marks.toggle(name),
      failed: (error) => this.#failed(error),
      address: (video) => this.#address(video),
    });
    this.filters = new Filters({ form: $("filters"), chips: $("chips"), sorting: $("sorting") }, this.state, {
      checked: () => this.select(),
      importMarks: (file) => this.#importMarks(file),
      clearMarks: () => confirm(`Remove the marks of ${counted(this.marks.size, "video")}?`) && this.marks.clear(),
      toggleMotion: () => this.#toggleMotion(),
    });
    this.player = new Player($("player"), this.state, {
      close: () => this.back(),
      neighbour: (by) => this.#neighbour(by),
      marked: (name) => this.marks.has(name),
      toggleMark: () => this.player.video?.name !== null && this.marks.toggle(this.player.video.name),
      second: (store, name) => getJson(`/api/stores/${store}/find`, { name: name ?? "" }),
    });
    this.#buttons();
  }

  #buttons() {
    for (const button of document.querySelectorAll("[data-icon]")) {
      const label = button.textContent.trim();
      button.setAttribute("aria-label", label);
      button.replaceChildren(icon(button.dataset.icon));
    }
    $("theme-button").addEventListener("click", () => dispatchEvent(new Event("theme-toggle")));
    $("help-button").addEventListener("click", () => $("help").showModal());
    $("skip").addEventListener("click", () => this.grid.focus(0));
    $("filters-button").addEventListener("click", () =>
      this.#showFilters(!document.body.classList.contains("filtering")),
    );
    $("scrim").addEventListener("click", () => this.#showFilters(false));
    buildHelp($("help"));
    listen({ player: this.player, search: () => this.#search(), back: () => this.back(), help: $("help") });
  }

  async start() {
    try {
      this.stores = (await getJson("/api/stores")).stores;
    } catch (error) {
      this.#failed(error);
      return;
    }
    const options = this.stores.map((store, number) => [String(number), visible(store.title)]);
    this.picker = choice("Store", options, this.#number, (s) =>
      this.state.push({ s, split: "", label: [], problem: "", marked: "", with: "" }),
    );
    $("stores").append(
      this.stores.length > 1 ? this.picker : make("bdi", { class: "store-title", text: visible(this.stores[0].title) }),
    );
    this.player.setStores(this.stores);
    this.#openStore();
    this.state.subscribe((now, before) => this.#changed(now, before));
    this.#showRoute(null);
    await this.select();
  }

  get #number() {
    return Object.hasOwn(this.stores, this.state.now.s) && this.state.now.s !== "length" ? this.state.now.s : "0";
  }

  get store() {
    return this.stores[this.#number];
  }

  #openStore() {
    const { store } = this;
    document.title = `${visible(store.title)} · skelstore view`;
    this.picker.value = this.#number;
    this.marks = new Marks(store.digest, store.title);
    this.marks.subscribe(() => this.#marksChanged());
    const joints = store.joints ? `, ${visible(store.joints.name)}` : "";
    $("facts").textContent = `${counted(store.videos, "video")} · ${store.dimensions}D${joints} · ${store.form}`;
    this.filters.build(store, this.#number, this.marks);
  }

  #changed(now, before) {
    if (now.s !== before.s) this.#openStore();
    if (!sameVideos(now, before)) {
      this.filters.update();
      this.select();
    }
    if (now.video !== before.video || now.row !== before.row || now.s !== before.s) this.#showRoute(before);
    else if (this.player.video) this.player.update(now, before);
  }

  /** Asks the server for the videos that fit the filters, and shows them. */
  async select() {
    const selecting = ++this.#selecting;
    const { now } = this.state;
    const parameters = Object.fromEntries(Object.entries(FILTERS).map(([name, key]) => [key, now[name]]));
    let note = "";
    if (now.marked) {
      ({ names: parameters.names, note } = this.marks.forFilter());
      if (!parameters.names.length) {
        this.#show(new Selection(this.#number, "", 0), "No video is marked.");
        return;
      }
    }
    $("grid").setAttribute("aria-busy", "true");
    try {
      const answer = await getJson(`/api/stores/${this.#number}/select`, {
        ...parameters,
        sort: now.sort,
        descending: now.desc ? 1 : 0,
      });
      if (selecting !== this.#selecting) return;
      this.filters.showError("");
      const groups = answer.groups?.map((group) => ({ title: shownGroup(group), videos: group.videos })) ?? null;
      this.#show(new Selection(this.#number, answer.selection, answer.videos, groups), note);
    } catch (error) {
      if (selecting !== this.#selecting) return;
      if (error instanceof ApiError && error.status === 400 && now.where) this.filters.showError(error.message);
      else this.#failed(error);
    } finally {
      if (selecting === this.#selecting) $("grid").removeAttribute("aria-busy");
    }
  }

  #show(selection, note) {
    this.selection = selection;
    const all = this.store.videos;
    const text =
      selection.videos === all ? counted(all, "video") : `${count(selection.videos)} of ${counted(all, "video")}`;
    $("count").textContent = note ? `${text}. ${note}` : text;
    $("filters-button").classList.toggle("active", this.filters.active > 0);
    this.grid.show(selection, this.store);
    this.#banner(this.store.note ?? "");
  }

  #address(video) {
    const fragment = new URLSearchParams(location.hash.slice(1));
    fragment.delete("frame");
    for (const [name, value] of Object.entries(routeOf(video))) {
      if (value === null || value === "") fragment.delete(name);
      else fragment.set(name, value);
    }
    return `#${fragment}`;
  }

  #openFromGrid(video, index) {
    this.#opened = { video, index };
    this.state.push(routeOf(video), { row: video.row });
  }

  /** Shows the grid or the video of the state. */
  async #showRoute(before) {
    const opening = ++this.#opening;
    const { now } = this.state;
    this.#banner("", "video");
    if (now.video === null && now.row === "") {
      const index = this.#opened?.index;
      this.player.close();
      $("browse").hidden = false;
      $("skip").hidden = false;
      document.body.classList.remove("playing");
      if (before && index !== undefined) requestAnimationFrame(() => this.grid.focus(index));
      return;
    }
    let video = this.#opened?.video;
    if (!video || (now.row === "" ? video.name !== now.video : video.row !== Number(now.row))) {
      this.#opened = null;
      video = await this.#find(now, opening);
      if (!video || opening !== this.#opening) return;
    }
    this.#showFilters(false);
    document.body.classList.add("playing");
    $("browse").hidden = true;
    $("skip").hidden = true;
    const thumbnail = this.grid.thumbnail(video.row);
    const preview = thumbnail ? { thumbnail, shape: this.grid.anatomyOf(thumbnail.joints) } : null;
    const frame = now.frame === "" ? null : Math.max(0, Number.parseInt(now.frame, 10) || 0);
    const opened = this.player.open(video, { store: this.store, number: Number(this.#number), preview, frame });
    this.player.name.focus({ preventScroll: true });
    await opened;
  }

  async #find(now, opening) {
    try {
      let row = now.row !== "" ? Number(now.row) : history.state?.row;
      if (row === undefined) {
        const found = await getJson(`/api/stores/${this.#number}/find`, { name: now.video });
        if (found.row === null) throw new ApiError(found.note, 404);
        ({ row } = found);
      }
      const { header } = await this.#facts(row);
      return { row, name: header.name ?? now.video, label: header.label, class: header.class, splits: [] };
    } catch (error) {
      if (opening === this.#opening) this.#failed(error, "video");
      return null;
    }
  }

  async #facts(row) {
    return getArrays(`/api/stores/${this.#number}/video`, { row, view: "stored", from: 0, to: 1 });
  }

  async #neighbour(by) {
    const { selection } = this;
    if (!selection?.videos) return;
    let index;
    try {
      // The place of a video that was opened by a link is asked for; one that the filters leave out is before the first.
      index = (this.#opened?.index ?? (await selection.place(this.player.video.row)) ?? -1) + by;
      if (index < 0 || index >= selection.videos) return;
      await selection.load(index, index + 1);
    } catch (error) {
      this.#failed(error);
      return;
    }
    const video = selection.video(index);
    if (!video || selection !== this.selection) return;
    this.#opened = { video, index };
    this.state.replace(routeOf(video), { row: video.row });
  }

  /** Back to the videos. */
  back() {
    if (document.body.classList.contains("filtering")) this.#showFilters(false);
    else if (this.player.video || this.state.now.video !== null || this.state.now.row !== "")
      this.state.push({ video: null, row: "", frame: "" });
  }

  #search() {
    if (this.player.video) this.state.push({ video: null, row: "", frame: "" });
    this.#opened = null;
    this.#showFilters(true);
    this.filters.name.focus();
    this.filters.name.select();
  }

  #showFilters(shown) {
    document.body.classList.toggle("filtering", shown);
    $("filters-button").setAttribute("aria-expanded", String(shown));
  }

  #toggleMotion() {
    this.grid.moving = !this.grid.moving;
    setIcon(
      this.filters.motion,
      this.grid.moving ? "pause" : "play",
      this.grid.moving ? "Pause the thumbnails" : "Play the thumbnails",
    );
  }

  async #importMarks(file) {
    try {
      const added = await this.marks.import(file);
      $("count").textContent = `${counted(added, "new mark")}`;
    } catch (error) {
      this.#banner(error.message);
    }
  }

  #marksChanged() {
    this.filters.updateMarks();
    this.grid.redraw();
    if (this.player.video) this.player.updateMark();
    if (this.state.now.marked && !this.player.video) this.select();
    if (this.marks.kept === false)
      this.#banner("The browser keeps no more marks: export them before you close the page.");
  }

  #failed(error, about = "videos") {
    if (error.code === "selection") this.select();
    else if (error.status === 409) this.#banner(`${error.message}. Load the page again.`, about);
    else this.#banner(error.message, about);
  }

  /** Shows a sentence on the `videos` or on the one `video` that a link leads to, until there is another or none. */
  #banner(text, about = "videos") {
    this.#sentences[about] = text;
    const all = Object.values(this.#sentences).filter(Boolean).join(" ");
    $("banner").textContent = all;
    $("banner").hidden = !all;
  }
}

/** The parameters of the state that lead to a video. */
function routeOf(video) {
  const named = isAddressable(video.name);
  return { video: named ? video.name : null, row: named ? "" : String(video.row), frame: "" };
}

new Page().start();
