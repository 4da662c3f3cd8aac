// The clock of the player: which frame is shown now.

export const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4];
export const RATE = 30;
/** Frames a second where neither the store nor the video says how many. */

export class Playback {
  #start = { time: 0, frame: 0 };
  #playing = false;

  /** `onFrame` is called with each new frame; `onChange` when it starts, stops, or changes speed. */
  constructor(onFrame, onChange) {
    Object.assign(this, { onFrame, onChange, frame: 0, frames: 0, rate: RATE, speed: 1, loop: true });
  }

  get playing() {
    return this.#playing;
  }

  /** Takes over the length and the rate of a video. */
  open(frames, rate) {
    [this.frames, this.rate] = [frames, rate || RATE];
    if (frames && this.frame >= frames) this.frame = frames - 1;
    this.#restart();
  }

  play() {
    if (this.#playing || this.frames < 2) return;
    if (this.frame >= this.frames - 1) this.frame = 0;
    this.#playing = true;
    this.#restart();
    requestAnimationFrame(() => this.#tick());
    this.onChange();
  }

  pause() {
    if (!this.#playing) return;
    this.#playing = false;
    this.onChange();
    this.onFrame();
  }

  toggle() {
    if (this.#playing) this.pause();
    else this.play();
  }

  seek(frame) {
    this.frame = Math.max(0, Math.min(Math.round(frame), this.frames - 1));
    this.#restart();
    this.onFrame();
  }

  step(by) {
    this.pause();
    this.seek(this.frame + by);
  }

  setSpeed(speed) {
    this.speed = speed;
    this.#restart();
    this.onChange();
  }

  /** The next slower (-1) or faster (1) speed. */
  shift(by) {
    const place = SPEEDS.indexOf(this.speed) + by;
    if (place >= 0 && place < SPEEDS.length) this.setSpeed(SPEEDS[place]);
  }

  #restart() {
    this.#start = { time: performance.now(), frame: this.frame };
  }

  #tick() {
    if (!this.#playing) return;
    requestAnimationFrame(() => this.#tick());
    const passed = ((performance.now() - this.#start.time) / 1000) * this.rate * this.speed;
    let frame = Math.floor(this.#start.frame + passed);
    if (frame >= this.frames) {
      if (!this.loop) {
        this.frame = this.frames - 1;
        this.pause();
        return;
      }
      frame %= this.frames;
      this.frame = frame;
      this.#restart();
      this.onFrame();
      return;
    }
    if (frame === this.frame) return;
    this.frame = frame;
    this.onFrame();
  }
}
