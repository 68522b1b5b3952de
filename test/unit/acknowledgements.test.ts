import { describe, expect, test } from '@jest/globals';
import { Acknowledgements } from '../../src/partition/acknowledgements.js';

/** Acknowledgements whose outcomes are noted as they come. */
function noted() {
  const acks = new Acknowledgements<string>();
  const outcomes: string[] = [];
  const add = (lsn: number) =>
    acks.add(
      lsn,
      `#${lsn}`,
      (result) => outcomes.push(result),
      (error) => outcomes.push(`${lsn}: ${(error as Error).message}`),
    );
  return { acks, outcomes, add };
}

describe('acknowledgements', () => {
  test('are released up to and including an LSN, in order, each with its own result', () => {
    const { acks, outcomes, add } = noted();
    for (const lsn of [1, 2, 3, 4]) add(lsn);
    acks.release(0);
    expect(outcomes).toEqual([]);
    acks.release(2);
    expect(outcomes).toEqual(['#1', '#2']);
    expect(acks.size).toBe(2);
    acks.release(2);
    acks.release(9);
    expect(outcomes).toEqual(['#1', '#2', '#3', '#4']);
    expect(acks.size).toBe(0);
  });

  test('several of one LSN are released together', () => {
    const { acks, outcomes, add } = noted();
    for (const lsn of [5, 5, 6]) add(lsn);
    acks.release(5);
    expect(outcomes).toEqual(['#5', '#5']);
  });

  test('can be awaited', async () => {
    const acks = new Acknowledgements<string>();
    const [first, second] = [acks.wait(1, 'one'), acks.wait(2, 'two')];
    acks.release(1);
    expect(await first).toBe('one');
    acks.rejectAll(new Error('failed'));
    await expect(second).rejects.toThrow('failed');
  });

  test('a failure rejects what waits, and nothing that was released before', () => {
    const { acks, outcomes, add } = noted();
    for (const lsn of [1, 2, 3]) add(lsn);
    acks.release(1);
    acks.rejectAll(new Error('failed'));
    expect(outcomes).toEqual(['#1', '2: failed', '3: failed']);
    expect(acks.size).toBe(0);
    acks.release(3);
    acks.rejectAll(new Error('again'));
    expect(outcomes.length).toBe(3);
    add(4);
    acks.release(4);
    expect(outcomes[3]).toBe('#4');
  });

  test('stay in order when thousands come and go in pieces', () => {
    const { acks, outcomes, add } = noted();
    let added = 0;
    let released = 0;
    for (let step = 1; released < 20_000; step++) {
      for (let i = 0; i < 997; i++) add(++added);
      released = Math.min(added, released + (step % 5 === 0 ? 3001 : 613));
      acks.release(released);
      expect([acks.size, outcomes.length]).toEqual([added - released, released]);
    }
    expect(outcomes).toEqual(Array.from({ length: released }, (_, i) => `#${i + 1}`));
    acks.rejectAll(new Error('failed'));
    expect(outcomes.slice(released)).toEqual(
      Array.from({ length: added - released }, (_, i) => `${released + i + 1}: failed`),
    );
  });
});
