import { getEventListeners } from 'node:events';
import { afterEach, describe, expect, test } from '@jest/globals';
import { config, firstValueFrom, take } from 'rxjs';
import { LsnMark } from '../../../src/streams/lsn-mark.js';

const turn = () => new Promise(setImmediate);

/** What an observer of the mark hears: values, `complete`, errors. */
function observe(mark: LsnMark, heard: unknown[] = []) {
  const subscription = mark.changes.subscribe({
    next: (value) => heard.push(value),
    error: (error) => heard.push({ error }),
    complete: () => heard.push('complete'),
  });
  return { heard, subscription };
}

describe('observing', () => {
  test('gives the current value at once, inside the subscription', () => {
    expect(observe(new LsnMark(7)).heard).toEqual([7]);
  });

  test('the value at once is the one of now, not of when the mark was made', () => {
    const mark = new LsnMark(0);
    mark.set(5);
    expect(mark.value).toBe(5);
    expect(observe(mark).heard).toEqual([5]);
  });

  test('no callback runs inside an advance', () => {
    const mark = new LsnMark(0);
    const { heard } = observe(mark);
    mark.set(1);
    expect(heard).toEqual([0]);
  });

  test('advances of one turn are one value, the last; those of two turns are two', async () => {
    const mark = new LsnMark(0);
    const { heard } = observe(mark);
    mark.set(1);
    mark.set(2);
    mark.set(3);
    await turn();
    expect(heard).toEqual([0, 3]);
    mark.set(4);
    await turn();
    mark.set(5);
    await turn();
    expect(heard).toEqual([0, 3, 4, 5]);
  });

  test('every observer hears every value, and who has unsubscribed nothing more', async () => {
    const mark = new LsnMark(0);
    const first = observe(mark);
    const second = observe(mark);
    mark.set(1);
    first.subscription.unsubscribe();
    await turn();
    expect([first.heard, second.heard]).toEqual([[0], [0, 1]]);
    expect(mark.observed).toBe(true);
    second.subscription.unsubscribe();
    expect(mark.observed).toBe(false);
  });

  test('who unsubscribes inside the first callback is forgotten', async () => {
    const mark = new LsnMark(3);
    expect(await firstValueFrom(mark.changes)).toBe(3);
    expect(mark.observed).toBe(false);
  });

  test('who unsubscribes inside a later callback, itself or another, disturbs nobody', async () => {
    const mark = new LsnMark(0);
    const heard: string[] = [];
    const others = [observe(mark)];
    mark.changes.pipe(take(2)).subscribe((value) => {
      heard.push(`leaving ${value}`);
      if (value === 1) others[1]?.subscription.unsubscribe();
    });
    others.push(observe(mark), observe(mark));
    mark.set(1);
    await turn();
    mark.set(2);
    await turn();
    expect(heard).toEqual(['leaving 0', 'leaving 1']);
    expect(others.map((other) => other.heard)).toEqual([[0, 1, 2], [0], [0, 1, 2]]);
  });

  test('who was unsubscribed by another observer, while the others are told, is forgotten', async () => {
    const mark = new LsnMark(0);
    const first = mark.changes.subscribe((value) => {
      if (value === 1) second.subscription.unsubscribe();
    });
    const second = observe(mark);
    mark.set(1);
    await turn();
    first.unsubscribe();
    expect([second.heard, mark.observed]).toEqual([[0], false]);
  });

  test('who advances the mark inside the callback is heard, in order, without a loop', async () => {
    const mark = new LsnMark(0);
    const inside: number[] = [];
    mark.changes.subscribe((value) => {
      inside.push(value);
      if (value >= 1 && value < 4) {
        mark.set(value + 1);
        expect(inside[inside.length - 1]).toBe(value); // not called again inside its own call
      }
    });
    const { heard } = observe(mark);
    mark.set(1);
    await turn();
    expect(inside).toEqual([0, 1, 2, 3, 4]);
    expect(heard[heard.length - 1]).toBe(4);
    expect([...heard].sort()).toEqual(heard); // never backwards
  });

  test('no value is given twice in a row: not to who came between an advance and its telling', async () => {
    const mark = new LsnMark(0);
    const first = observe(mark);
    mark.set(1);
    const late = observe(mark);
    await turn();
    expect(first.heard).toEqual([0, 1]);
    expect(late.heard).toEqual([1]);
  });

  test('no value is given twice in a row: not at the end', async () => {
    const mark = new LsnMark(0);
    mark.set(5); // while nobody observes
    const { heard } = observe(mark);
    await turn();
    mark.end(new Error('closed'));
    expect(heard).toEqual([5, 'complete']);
  });

  test('a rewind is told like any other move', async () => {
    const mark = new LsnMark(9);
    const { heard } = observe(mark);
    mark.set(4);
    await turn();
    expect(heard).toEqual([9, 4]);
  });
});

describe('an observer that throws', () => {
  afterEach(() => {
    config.onUnhandledError = null;
  });

  test('harms neither the others nor the mark, and its error is not lost', async () => {
    const errors: unknown[] = [];
    config.onUnhandledError = (error) => errors.push(error);
    const mark = new LsnMark(0);
    const error = new Error('mine');
    mark.changes.subscribe(() => {
      throw error;
    });
    const { heard } = observe(mark);
    mark.set(1);
    await turn();
    mark.set(2);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(heard).toEqual([0, 1, 2]);
    expect(errors.length).toBeGreaterThan(0);
    expect(new Set(errors)).toEqual(new Set([error]));
  });
});

describe('waiting', () => {
  test('resolves at once for what has been reached, and else when it is', async () => {
    const mark = new LsnMark(5);
    await mark.waitFor(5);
    expect(mark.awaited).toBe(false);
    let reached = false;
    const waiting = mark.waitFor(7).then(() => {
      reached = true;
    });
    expect(mark.awaited).toBe(true);
    mark.set(6);
    await turn();
    expect(reached).toBe(false);
    mark.set(9);
    await waiting;
    expect(mark.awaited).toBe(false);
  });

  test('resolves in the order of LSNs, and of asking where they are the same', async () => {
    const mark = new LsnMark(0);
    const order: string[] = [];
    for (const [name, lsn] of [
      ['c', 3],
      ['a', 1],
      ['d', 3],
      ['b', 2],
      ['e', 9],
    ] as const) {
      void mark.waitFor(lsn).then(() => order.push(name));
    }
    mark.set(2);
    await turn();
    expect(order).toEqual(['a', 'b']);
    mark.set(3);
    await turn();
    expect(order).toEqual(['a', 'b', 'c', 'd']);
    expect(mark.awaited).toBe(true);
  });

  test('rejects with the reason of a signal, before and after it has aborted, and waits no longer', async () => {
    const mark = new LsnMark(0);
    const reason = new Error('enough');
    await expect(mark.waitFor(1, AbortSignal.abort(reason))).rejects.toBe(reason);
    // Also for what has been reached: an aborted signal is never ignored.
    await expect(mark.waitFor(0, AbortSignal.abort(reason))).rejects.toBe(reason);
    const ending = new AbortController();
    const [aborted, other, later] = [mark.waitFor(2, ending.signal), mark.waitFor(2), mark.waitFor(3)];
    ending.abort(reason);
    await expect(aborted).rejects.toBe(reason);
    mark.set(2);
    await other;
    expect(mark.awaited).toBe(true);
    mark.set(3);
    await later;
    expect(mark.awaited).toBe(false);
  });

  test('leaves no listener on the signal, however it ends', async () => {
    const { signal } = new AbortController();
    const mark = new LsnMark(0);
    const reached = mark.waitFor(1, signal);
    expect(getEventListeners(signal, 'abort').length).toBe(1);
    mark.set(1);
    await reached;
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    const ended = mark.waitFor(2, signal);
    mark.end(new Error('closed'));
    await expect(ended).rejects.toThrow('closed');
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    await expect(mark.waitFor(3, signal)).rejects.toThrow('closed');
    await mark.waitFor(1, signal);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});

describe('the end', () => {
  test('completes observers behind the last value, whatever the reason', () => {
    const mark = new LsnMark(0);
    const { heard } = observe(mark);
    mark.set(3);
    mark.end(new Error('failed'));
    expect(heard).toEqual([0, 3, 'complete']);
    expect(mark.observed).toBe(false);
  });

  test('who observes afterwards gets the value and the end', () => {
    const mark = new LsnMark(0);
    mark.set(3);
    mark.end(new Error('failed'));
    expect(observe(mark).heard).toEqual([3, 'complete']);
    expect(mark.observed).toBe(false);
  });

  test('nothing comes behind the end: no value, no second end', async () => {
    const mark = new LsnMark(0);
    const { heard } = observe(mark);
    mark.set(1);
    mark.end(new Error('first'));
    mark.end(new Error('second'));
    mark.set(2);
    await turn();
    expect(heard).toEqual([0, 1, 'complete']);
    await expect(mark.waitFor(9)).rejects.toThrow('first');
  });

  test('rejects who waits, and who comes to wait; what was reached stays reached', async () => {
    const mark = new LsnMark(2);
    const error = new Error('the end');
    const waits = [mark.waitFor(3), mark.waitFor(8)];
    mark.end(error);
    for (const wait of waits) await expect(wait).rejects.toBe(error);
    await expect(mark.waitFor(3)).rejects.toBe(error);
    await mark.waitFor(2);
    expect(mark.awaited).toBe(false);
  });

  test('an observer that ends the mark inside its first callback is completed once', () => {
    const mark = new LsnMark(0);
    const heard: unknown[] = [];
    mark.changes.subscribe({
      next: (value) => {
        heard.push(value);
        mark.end(new Error('the end'));
      },
      complete: () => heard.push('complete'),
    });
    expect(heard).toEqual([0, 'complete']);
  });
});

test('whoever keeps the mark hears when somebody begins to wait or to observe', async () => {
  let wanted = 0;
  const mark = new LsnMark(0, () => wanted++);
  void mark.waitFor(0);
  expect(wanted).toBe(0);
  const waiting = mark.waitFor(1);
  expect(wanted).toBe(1);
  observe(mark);
  expect(wanted).toBe(2);
  mark.set(1);
  await waiting;
  mark.end(new Error('the end'));
  observe(mark);
  await mark.waitFor(2).catch(() => {});
  expect(wanted).toBe(2);
});
