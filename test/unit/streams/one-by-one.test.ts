import { describe, expect, test } from '@jest/globals';
import { oneByOne } from '../../../src/streams/one-by-one.js';

/** Pieces, and what was done with them. */
function pieces(...given: (number[] | Error)[]) {
  const log: string[] = [];
  async function* run() {
    try {
      for (const piece of given) {
        log.push(`asked for ${piece instanceof Error ? piece.message : piece}`);
        if (piece instanceof Error) throw piece;
        yield piece;
      }
    } finally {
      log.push('ended');
    }
  }
  return { log, items: oneByOne(run()) };
}

describe('items one by one', () => {
  test('come in order, over pieces that may be empty', async () => {
    const { items } = pieces([1, 2], [], [3]);
    const seen: number[] = [];
    for await (const item of items) seen.push(item);
    expect(seen).toEqual([1, 2, 3]);
    expect(await items.next()).toEqual({ value: undefined, done: true });
  });

  test('a piece is asked for only when the one before has been handed on', async () => {
    const { items, log } = pieces([1, 2], [3]);
    await items.next();
    await items.next();
    expect(log).toEqual(['asked for 1,2']);
    await items.next();
    expect(log).toEqual(['asked for 1,2', 'asked for 3']);
  });

  test('calls that do not wait for each other are served in order', async () => {
    const { items } = pieces([1], [2, 3], [4]);
    const asked = [items.next(), items.next(), items.next(), items.next(), items.next()];
    expect((await Promise.all(asked)).map(({ value }) => value)).toEqual([1, 2, 3, 4, undefined]);
  });

  test('leaving ends the reading, and nothing comes after it', async () => {
    const { items, log } = pieces([1, 2, 3], [4]);
    for await (const item of items) if (item === 2) break;
    expect(log).toEqual(['asked for 1,2,3', 'ended']);
    expect(await items.next()).toEqual({ value: undefined, done: true });
  });

  test('an error comes where it has happened, once', async () => {
    const { items, log } = pieces([1], new Error('broken'), [2]);
    expect(await items.next()).toEqual({ value: 1, done: false });
    await expect(items.next()).rejects.toThrow('broken');
    expect(log.at(-1)).toBe('ended');
    expect(await items.next()).toEqual({ value: undefined, done: true });
  });

  test('what is thrown in ends the reading and comes back', async () => {
    const { items, log } = pieces([1, 2]);
    await items.next();
    await expect(items.throw(new Error('mine'))).rejects.toThrow('mine');
    expect(log.at(-1)).toBe('ended');
    expect(await items.next()).toEqual({ value: undefined, done: true });
  });

  test('disposing ends the reading', async () => {
    const { items, log } = pieces([1, 2]);
    await items.next();
    await items[Symbol.asyncDispose]();
    expect(log.at(-1)).toBe('ended');
  });
});
