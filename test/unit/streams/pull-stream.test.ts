/** A live stream of what is made of another's items. */
import { describe, expect, test } from '@jest/globals';
import { LiveStream } from '../../../src/streams/pull-stream.js';

/** Pieces as a store hands them on: what was there, and where it has caught up. */
function numbers(): { live: LiveStream<number>; ended: () => boolean } {
  let ended = false;
  const live = new LiveStream<number>(async function* () {
    try {
      yield [1, 2, 3];
      yield 'caughtUp';
      yield [5, 7];
      yield 'fellBehind';
      yield [8];
    } finally {
      ended = true;
    }
  });
  return { live, ended: () => ended };
}
const evenTimesTen = (n: number) => (n % 2 === 0 ? n * 10 : undefined);

describe('choose', () => {
  test('hands on what is made of each item, in order, and leaves out what is undefined', async () => {
    const seen: number[] = [];
    for await (const n of numbers().live.choose(evenTimesTen)) seen.push(n);
    expect(seen).toEqual([20, 80]);
  });

  test('keeps the markers where they were, also where all items around them are left out', async () => {
    const seen: unknown[] = [];
    for await (const message of numbers().live.choose(evenTimesTen).messages()) {
      seen.push(message.kind === 'event' ? message.event : message.kind);
    }
    expect(seen).toEqual([20, 'caughtUp', 'fellBehind', 80]);
  });

  test('keeps falsy values, and can be chosen from again', async () => {
    const halves = numbers().live.choose((n) => n - 5);
    const zeros: number[] = [];
    for await (const n of halves.choose((n) => (n === 0 ? n : undefined))) zeros.push(n);
    expect(zeros).toEqual([0]);
  });

  test('whoever leaves early ends the reading beneath', async () => {
    const { live, ended } = numbers();
    for await (const _ of live.choose((n) => n)) break;
    expect(ended()).toBe(true);
  });

  test('what `make` throws ends the stream, and the reading beneath', async () => {
    const { live, ended } = numbers();
    const broken = live.choose(() => {
      throw new Error('no');
    });
    await expect(broken[Symbol.asyncIterator]().next()).rejects.toThrow('no');
    expect(ended()).toBe(true);
  });
});
