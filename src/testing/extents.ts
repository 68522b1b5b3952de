/** Which byte ranges of a file have space reserved: sorted, disjoint, never touching. */

export class Extents {
  #ranges: { from: number; to: number }[];

  constructor(ranges: readonly { from: number; to: number }[] = []) {
    this.#ranges = ranges.map((range) => ({ ...range }));
  }

  clone(): Extents {
    return new Extents(this.#ranges);
  }

  toString(): string {
    return this.#ranges.map(({ from, to }) => `${from}-${to}`).join(' ');
  }

  /** Bytes that are reserved. */
  get bytes(): number {
    return this.#ranges.reduce((sum, { from, to }) => sum + to - from, 0);
  }

  /** Bytes of [from, to) that are not reserved. */
  missing(from: number, to: number): number {
    let missing = Math.max(0, to - from);
    for (const range of this.#ranges) missing -= Math.max(0, Math.min(to, range.to) - Math.max(from, range.from));
    return missing;
  }

  /** Where [from, …) ends if only `space` bytes more can be reserved; at most `to`. */
  reach(from: number, to: number, space: number): number {
    if (this.missing(from, to) <= space) return to;
    let low = from;
    let high = to;
    while (low + 1 < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.missing(from, middle) <= space) low = middle;
      else high = middle;
    }
    return low;
  }

  add(from: number, to: number): void {
    if (to <= from) return;
    const apart = this.#ranges.filter((range) => range.to < from || range.from > to);
    const touching = this.#ranges.filter((range) => range.to >= from && range.from <= to);
    const start = Math.min(from, ...touching.map((range) => range.from));
    const end = Math.max(to, ...touching.map((range) => range.to));
    this.#ranges = [...apart, { from: start, to: end }].sort((a, b) => a.from - b.from);
  }

  /** Gives back everything from `size` on. */
  cut(size: number): void {
    this.#ranges = this.#ranges
      .filter((range) => range.from < size)
      .map((range) => ({ from: range.from, to: Math.min(range.to, size) }));
  }
}
