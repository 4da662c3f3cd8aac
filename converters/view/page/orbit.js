// The camera around three-dimensional joints.

const DEGREE = Math.PI / 180;
const DISTANCE = 4.2;
/** From the camera to the middle, in radii of what is shown: a little perspective. */

/** A view of points around `centre` within `radius`: turned, raised and moved closer by the user. */
export class Orbit {
  constructor() {
    this.centre = [0, 0, 0];
    this.radius = 1;
    this.reset();
  }

  reset() {
    this.yaw = 18 * DEGREE;
    this.pitch = 8 * DEGREE;
    this.zoom = 1;
  }

  turn(right, up) {
    this.yaw += right;
    this.pitch = Math.max(-89 * DEGREE, Math.min(89 * DEGREE, this.pitch + up));
  }

  closer(factor) {
    this.zoom = Math.max(0.2, Math.min(12, this.zoom * factor));
  }

  /** A function (x, y, z) -> [x, y] in pixels of a canvas of this size. y of the data points up. */
  projection(width, height) {
    const [sinYaw, cosYaw, sinPitch, cosPitch] = [
      Math.sin(this.yaw),
      Math.cos(this.yaw),
      Math.sin(this.pitch),
      Math.cos(this.pitch),
    ];
    const [cx, cy, cz] = this.centre;
    const scale = (Math.min(width, height) * 0.44 * this.zoom) / this.radius;
    const far = DISTANCE * this.radius;
    return (x, y, z) => {
      const [dx, dy, dz] = [x - cx, y - cy, z - cz];
      const across = dx * cosYaw + dz * sinYaw;
      const away = dz * cosYaw - dx * sinYaw;
      const up = dy * cosPitch - away * sinPitch;
      const depth = away * cosPitch + dy * sinPitch;
      const near = far / Math.max(far * 0.1, far + depth);
      return [width / 2 + across * scale * near, height / 2 - up * scale * near];
    };
  }
}

/** Draws a floor below the points, so that the eye sees how they are turned. */
export function drawFloor(context, orbit, project, floor, colour) {
  const [cx, , cz] = orbit.centre;
  const size = orbit.radius * 1.1;
  const lines = 8;
  context.strokeStyle = colour;
  context.lineWidth = 1;
  context.beginPath();
  for (let line = 0; line <= lines; line++) {
    const at = -size + (2 * size * line) / lines;
    context.moveTo(...project(cx + at, floor, cz - size));
    context.lineTo(...project(cx + at, floor, cz + size));
    context.moveTo(...project(cx - size, floor, cz + at));
    context.lineTo(...project(cx + size, floor, cz + at));
  }
  context.stroke();
}

/**
 * The range of finite, present values per coordinate: [[low, high], …], without the outermost hundredth, so that one
 * joint far away does not make all others small. Null where there are none.
 */
export function extent(clip) {
  const { keypoint, size } = clip;
  const total = keypoint.length / size;
  const every = Math.max(1, Math.floor(total / 20_000));
  const values = Array.from({ length: size }, () => []);
  for (let at = 0; at < total; at += every) {
    if (!clip.isThere(at)) continue;
    for (let axis = 0; axis < size; axis++) values[axis].push(keypoint[at * size + axis]);
  }
  if (!values[0].length) return null;
  return values.map((list) => {
    const sorted = Float64Array.from(list).sort();
    const [low, high] = [sorted[Math.floor(sorted.length * 0.01)], sorted[Math.ceil(sorted.length * 0.99) - 1]];
    const margin = (high - low) * 0.04;
    return [Math.max(sorted[0], low - margin), Math.min(sorted[sorted.length - 1], high + margin)];
  });
}
