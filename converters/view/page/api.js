// What the server answers: JSON, arrays in one binary answer, and caches of both with a bound.

const TYPES = { float32: Float32Array, int16: Int16Array, int32: Int32Array, uint32: Uint32Array, uint8: Uint8Array };

/** An answer of the server that is an error: one sentence, the status and, if there is one, a code. */
export class ApiError extends Error {
  constructor(message, status, code = null) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

async function get(path, parameters, signal) {
  const pairs = Object.entries(parameters).flatMap(([key, value]) =>
    (Array.isArray(value) ? value : [value])
      .filter((one) => one !== null && one !== undefined && one !== "")
      .map((one) => [key, one]),
  );
  const query = new URLSearchParams(pairs).toString();
  let answer;
  try {
    answer = await fetch(query ? `${path}?${query}` : path, { signal, headers: { Accept: "*/*" } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server does not answer: start skelstore view again", 0);
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  throw new ApiError(said.error ?? `The server answered ${answer.status}`, answer.status, said.code);
}

export async function getJson(path, parameters = {}, signal = undefined) {
  return (await get(path, parameters, signal)).json();
}

/** The header of a binary answer, and its arrays by name as {shape, data}. */
export async function getArrays(path, parameters = {}, signal = undefined) {
  const buffer = await (await get(path, parameters, signal)).arrayBuffer();
  return decodeArrays(buffer);
}

function decodeArrays(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const arrays = {};
  for (const { name, dtype, shape, offset } of header.arrays) {
    const size = shape.reduce((product, one) => product * one, 1);
    arrays[name] = { shape, data: new TYPES[dtype](buffer, 4 + length + offset, size) };
  }
  return { header, arrays };
}

/** A map that drops what was used longest ago once the sizes of its values exceed a bound. */
export class Cache {
  #entries = new Map();
  #size = 0;
  #bound;

  constructor(bound) {
    this.#bound = bound;
  }

  get(key) {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  has(key) {
    return this.#entries.has(key);
  }

  set(key, value, size = 1) {
    this.delete(key);
    this.#entries.set(key, { value, size });
    this.#size += size;
    for (const oldest of this.#entries.keys()) {
      if (this.#size <= this.#bound || this.#entries.size === 1) break;
      this.delete(oldest);
    }
  }

  delete(key) {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#size -= entry.size;
    this.#entries.delete(key);
  }

  clear() {
    this.#entries.clear();
    this.#size = 0;
  }
}
