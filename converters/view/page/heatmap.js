// The heatmap of a frame, laid over the picture: asked for one at a time, coloured here.

import { getArrays } from "/page/api.js";
import { make } from "/page/dom.js";

const STOPS = [
  [0, 0, 4],
  [87, 16, 110],
  [188, 55, 84],
  [249, 142, 9],
  [252, 255, 164],
];
/** From matplotlib's colour map inferno (CC0), every quarter. */

export class Heatmap {
  #canvas = make("canvas");
  #key = "";
  #asking = false;
  #wanted = null;

  /** `onArrival` is called when a heatmap is here, `onError` with the sentence of an error, or an empty one when it is over. */
  constructor(onArrival, onError) {
    Object.assign(this, { onArrival, onError });
  }

  /** Asks for a heatmap; while one is on its way, only the last wish is kept. */
  want(store, row, view, frame, kind) {
    const key = [store, row, view, frame, kind].join();
    if (key === this.#key || key === this.#wanted?.key) return;
    this.#wanted = { key, store, parameters: { row, view, frame, kind } };
    if (!this.#asking) this.#ask();
  }

  async #ask() {
    const { key, store, parameters } = this.#wanted;
    this.#asking = true;
    try {
      const { arrays } = await getArrays(`/api/stores/${store}/heatmap`, parameters);
      this.#paint(arrays.heatmap);
      this.#key = key;
      this.ready = true;
      this.onError("");
      this.onArrival();
    } catch (error) {
      this.ready = false;
      this.#key = key;
      this.onError(error.message);
    } finally {
      this.#asking = false;
      if (this.#wanted.key === key) this.#wanted = null;
      else this.#ask();
    }
  }

  #paint({ shape: [height, width], data }) {
    Object.assign(this.#canvas, { width, height });
    const context = this.#canvas.getContext("2d");
    const image = context.createImageData(width, height);
    for (let at = 0; at < data.length; at++) {
      const place = (data[at] / 255) * (STOPS.length - 1);
      const stop = Math.min(STOPS.length - 2, Math.floor(place));
      for (let channel = 0; channel < 3; channel++) {
        const [from, to] = [STOPS[stop][channel], STOPS[stop + 1][channel]];
        image.data[4 * at + channel] = from + (to - from) * (place - stop);
      }
      image.data[4 * at + 3] = Math.min(255, data[at] * 1.6);
    }
    context.putImageData(image, 0, 0);
  }

  draw(context, x, y, width, height) {
    if (!this.ready) return;
    context.save();
    context.globalAlpha = 0.85;
    context.imageSmoothingEnabled = true;
    context.drawImage(this.#canvas, x, y, width, height);
    context.restore();
  }
}
