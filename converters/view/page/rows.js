// Where the cells of the grid are: rows of videos, with a heading before each group.

export const GAP = 10;
const HEADING = 34;

/** The arrangement of `videos` in `columns`; `groups` are {title, videos} in order, or null. Heights in pixels. */
export class Rows {
  #starts;
  #tops;

  constructor(videos, columns, cellHeight, groups) {
    Object.assign(this, { videos, columns });
    this.rowHeight = cellHeight + GAP;
    this.groups = groups ?? [{ title: null, videos }];
    this.heading = groups ? HEADING : 0;
    this.#starts = [0];
    this.#tops = [0];
    for (const group of this.groups) {
      this.#starts.push(this.#starts.at(-1) + group.videos);
      this.#tops.push(this.#tops.at(-1) + this.heading + Math.ceil(group.videos / columns) * this.rowHeight);
    }
  }

  get height() {
    return this.#tops.at(-1) + GAP;
  }

  /** The row and column of a video in its group, and the top of its cell. */
  place(index) {
    const group = find(this.#starts, index);
    const inside = index - this.#starts[group];
    const row = Math.floor(inside / this.columns);
    const top = GAP + this.#tops[group] + this.heading + row * this.rowHeight;
    return { group, row, column: inside - row * this.columns, top };
  }

  /** The number of the group at a height. */
  groupAt(top) {
    return Math.min(find(this.#tops, Math.max(0, top)), this.groups.length - 1);
  }

  /** The top of a group, where its heading is. */
  topOf(group) {
    return this.#tops[group];
  }

  /** The videos [first, last) of the rows between two heights. */
  between(top, bottom) {
    return [this.#firstAt(top), Math.min(this.videos, this.#firstAt(bottom + this.rowHeight))];
  }

  /** The first video of the row at a height; after the last row, the number of videos. */
  #firstAt(height) {
    if (height >= this.height) return this.videos;
    const group = this.groupAt(height);
    const row = Math.max(0, Math.floor((height - GAP - this.#tops[group] - this.heading) / this.rowHeight));
    return Math.min(this.#starts[group] + row * this.columns, this.#starts[group + 1]);
  }

  /** The video above (-1) or below (1) another in the same column, or the last one of a shorter row. */
  beside(index, by) {
    const { group, row, column } = this.place(index);
    const size = this.groups[group].videos;
    const inside = (row + by) * this.columns + column;
    if (inside >= 0 && inside < size) return this.#starts[group] + inside;
    if (by > 0 && row < Math.floor((size - 1) / this.columns)) return this.#starts[group + 1] - 1;
    const other = this.groups[group + by];
    if (!other) return index;
    const start = by > 0 ? 0 : Math.floor((other.videos - 1) / this.columns) * this.columns;
    return this.#starts[group + by] + Math.min(start + column, other.videos - 1);
  }
}

/** The position of the last of ascending numbers that is at most `wanted`. */
function find(numbers, wanted) {
  let [low, high] = [0, numbers.length - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (numbers[middle] <= wanted) low = middle;
    else high = middle - 1;
  }
  return low;
}
