/**
 * Sorts what an index file holds by its keys: some 100,000 of them, with pauses, and with few looks at each.
 *
 * Keys begin alike (`s:order-…`). What all keys of a range begin with is skipped; the four characters behind it become a
 * number, and numbers are sorted without going to the keys, which lie all over the memory. Keys whose numbers are equal
 * are a range of their own.
 */
import { compareKeys } from './index-key.js';

interface Keyed {
  readonly key: string;
}

/** Items between two pauses: about a millisecond of work. */
const SLICE = 8192;
/** A range of fewer is sorted by comparing. */
const FEW = 32;
/** A mark takes a byte of each character, and a character that needs more of one is 255. */
const MAX_BYTE = 255;
/** Of a range of so many, its number and four bytes fit into a safe integer. */
const MANY = 2 ** 21;

type Pause = () => Promise<void>;

/** Sorts in place, by `compareKeys`; `pause` is awaited after each millisecond or so. */
export async function sortByKey(items: Keyed[], pause: Pause): Promise<void> {
  const ranges: [from: number, to: number][] = [[0, items.length]];
  let sinceRest = 0;
  for (let range = ranges.pop(); range !== undefined; range = ranges.pop()) {
    const [from, to] = range;
    sinceRest += to - from;
    if (sinceRest >= SLICE) {
      await pause();
      sinceRest = 0;
    }
    if (to - from <= FEW) {
      insert(items, from, to);
      continue;
    }
    const { marks, span } = await marksOf(items, from, to, pause);
    const sorted = await sortNumbers(marks, pause);
    const before = items.slice(from, to);
    const bytesAt = (i: number) => Math.floor((sorted[i] as number) / span);
    let begin = 0;
    let next = bytesAt(0);
    for (let i = 0; i < sorted.length; i++) {
      if (i % SLICE === SLICE - 1) await pause();
      const bytes = next;
      items[from + i] = before[(sorted[i] as number) - bytes * span] as Keyed;
      next = i + 1 < sorted.length ? bytesAt(i + 1) : -1;
      if (next === bytes) continue;
      // None differs from another in its bytes: characters that need more than one, or the same key again.
      if (begin === 0 && i + 1 === sorted.length) sortPart(items, from, to);
      else if (i > begin) ranges.push([from + begin, from + i + 1]);
      begin = i + 1;
    }
  }
}

/** Of each item: the bytes of the characters behind what all have in common, times `span`, and its number. */
async function marksOf(
  items: readonly Keyed[],
  from: number,
  to: number,
  pause: Pause,
): Promise<{ marks: Float64Array; span: number }> {
  const count = to - from;
  const { key: first } = items[from] as Keyed;
  let shared = first.length;
  for (let i = 1; i < count; i++) {
    if (i % SLICE === 0) await pause();
    const { key } = items[from + i] as Keyed;
    let length = 0;
    while (length < shared && key.charCodeAt(length) === first.charCodeAt(length)) length++;
    shared = length;
  }
  const [span, characters] = count <= MANY ? [MANY, 4] : [2 ** 29, 3];
  const marks = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    if (i % SLICE === SLICE - 1) await pause();
    const { key } = items[from + i] as Keyed;
    let mark = 0;
    for (let at = shared; at < shared + characters; at++) {
      const byte = at < key.length ? Math.min(key.charCodeAt(at) + 1, MAX_BYTE) : 0; // a key that ends is before those that go on
      mark = mark * 256 + byte;
    }
    marks[i] = mark * span + i;
  }
  return { marks, span };
}

/** Sorted pieces, merged: the engine's own sort of all would stand in the way for too long. May change `numbers`. */
async function sortNumbers(numbers: Float64Array, pause: Pause): Promise<Float64Array> {
  const { length } = numbers;
  for (let at = 0; at < length; at += SLICE) {
    numbers.subarray(at, at + SLICE).sort();
    if (length > SLICE) await pause();
  }
  let [source, target] = [numbers, length > SLICE ? new Float64Array(length) : numbers];
  for (let size = SLICE; size < length; size *= 2) {
    let sinceRest = 0;
    for (let at = 0; at < length; at += 2 * size) {
      const [middle, end] = [Math.min(at + size, length), Math.min(at + 2 * size, length)];
      let [left, right] = [at, middle];
      for (let to = at; to < end; to++) {
        const fromLeft = left < middle && (right === end || (source[left] as number) <= (source[right] as number));
        target[to] = (fromLeft ? source[left++] : source[right++]) as number;
        if (++sinceRest < 8 * SLICE) continue;
        await pause();
        sinceRest = 0;
      }
    }
    [source, target] = [target, source];
  }
  return source;
}

function insert(items: Keyed[], from: number, to: number): void {
  for (let i = from + 1; i < to; i++) {
    const item = items[i] as Keyed;
    let at = i;
    for (; at > from && compareKeys((items[at - 1] as Keyed).key, item.key) > 0; at--)
      items[at] = items[at - 1] as Keyed;
    items[at] = item;
  }
}

function sortPart(items: Keyed[], from: number, to: number): void {
  const part = items.slice(from, to).sort((a, b) => compareKeys(a.key, b.key));
  for (let i = 0; i < part.length; i++) items[from + i] = part[i] as Keyed;
}
