/** A small seeded generator (sfc32): the only source of chance in this folder, so that one seed repeats a whole run. */

/** What decides where something is left to chance. */
export interface Chance {
  /** 0 … `count` − 1. */
  below(count: number): number;
  /** True with probability `p`. */
  chance(p: number): boolean;
  pick<T>(from: readonly T[]): T;
}

export class Random implements Chance {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number) {
    this.#a = seed | 0;
    this.#b = Math.floor(seed / 2 ** 32) | 0;
    this.#c = 0x9e3779b9;
    for (let i = 0; i < 12; i++) this.next();
  }

  /** 0 … 2³² − 1. */
  next(): number {
    const sum = (this.#a + this.#b + this.#counter++) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    return sum >>> 0;
  }

  /** 0 … `count` − 1. */
  below(count: number): number {
    return Math.floor((this.next() / 2 ** 32) * count);
  }

  /** True with probability `p`. */
  chance(p: number): boolean {
    return this.next() < p * 2 ** 32;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T;
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) bytes[i] = this.next() & 0xff;
    return bytes;
  }

  /** An independent generator, which takes one number from this one. */
  fork(): Random {
    return new Random(this.next());
  }

  /** A generator that goes on exactly as this one would. */
  clone(): Random {
    const copy = new Random(0);
    copy.#a = this.#a;
    copy.#b = this.#b;
    copy.#c = this.#c;
    copy.#counter = this.#counter;
    return copy;
  }
}

/** Takes every decision in turn: each `advance` leads to the next sequence of them, until there is none left. */
export class Odometer implements Chance {
  #digits: { value: number; readonly count: number }[] = [];
  #at = 0;

  below(count: number): number {
    const digit = this.#digits[this.#at] ?? { value: 0, count };
    this.#digits[this.#at++] = digit;
    return digit.value;
  }

  /** Whatever the probability, false comes first. */
  chance(_p: number): boolean {
    return this.below(2) === 1;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T;
  }

  /** False if all sequences have been taken. */
  advance(): boolean {
    this.#digits.length = this.#at;
    this.#at = 0;
    for (let last = this.#digits.at(-1); last !== undefined; last = this.#digits.at(-1)) {
      if (++last.value < last.count) return true;
      this.#digits.pop();
    }
    return false;
  }
}
