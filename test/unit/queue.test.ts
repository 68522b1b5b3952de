import { beforeEach, describe, expect, test } from '@jest/globals';
import { AppendQueue, type Queued } from '../../src/partition/queue.js';

let queue: AppendQueue;
let rejected: string[];

beforeEach(() => {
  queue = new AppendQueue();
  rejected = [];
});

const records = (count: number) => Array.from({ length: count }, () => new Uint8Array(1));

function append(name: string, count = 1): Queued {
  return {
    payloads: records(count),
    bytes: count * 5,
    batch: count > 1,
    ack: 'durable',
    resolve: () => {},
    reject: (error) => rejected.push(`${name}: ${(error as Error).message}`),
  };
}

const write = (count = 1): Queued => ({ payloads: records(count), bytes: count * 5, ack: undefined });

const sizes = () => ({ length: queue.length, records: queue.records, bytes: queue.bytes });

describe('the append queue', () => {
  test('gives back what was put in, in order, and counts what waits', () => {
    const entries = [append('a'), write(), append('b', 3)];
    for (const entry of entries) queue.push(entry);
    expect(sizes()).toEqual({ length: 3, records: 5, bytes: 25 });
    for (const entry of entries) {
      expect(queue.first).toBe(entry);
      queue.shift();
    }
    expect(queue.first).toBe(undefined);
    expect(sizes()).toEqual({ length: 0, records: 0, bytes: 0 });
  });

  test('stays in order over many thousands, whether it empties or not', () => {
    let put = 0;
    let taken = 0;
    for (let round = 0; round < 20; round++) {
      for (let i = 0; i < 1000; i++) queue.push({ ...write(), payloads: [Uint8Array.of(put++ & 0xff)] });
      for (let i = 0; i < 900; i++) {
        expect(queue.first?.payloads[0]?.[0]).toBe(taken++ & 0xff);
        queue.shift();
      }
      expect(queue.length).toBe(put - taken);
    }
  });

  test('knows how many records stand up to the last write, which have LSNs', () => {
    expect(queue.writtenRecords).toBe(0);
    queue.push(append('a', 2));
    expect(queue.writtenRecords).toBe(0);
    queue.push(write());
    expect(queue.writtenRecords).toBe(3);
    queue.push(append('b', 4));
    expect(queue.writtenRecords).toBe(3);
    queue.push(write());
    expect(queue.writtenRecords).toBe(8);
    queue.shift();
    expect(queue.writtenRecords).toBe(6);
  });

  test('refuses the appends behind the last write, and none before it', () => {
    queue.push(append('a'));
    queue.push(write());
    queue.push(append('b', 2));
    queue.push(append('c'));
    queue.refuseAppends(() => new Error('no space'));
    expect(rejected.sort()).toEqual(['b: no space', 'c: no space']);
    expect(sizes()).toEqual({ length: 2, records: 2, bytes: 10 });
    queue.refuseAppends(() => new Error('again'));
    expect(rejected.length).toBe(2);
  });

  test('refuses all appends where there is no write', () => {
    queue.push(append('a'));
    queue.shift();
    queue.push(append('b'));
    queue.push(append('c'));
    queue.shift();
    queue.refuseAppends(() => new Error('no space'));
    expect(rejected).toEqual(['c: no space']);
    expect(sizes()).toEqual({ length: 0, records: 0, bytes: 0 });
    queue.push(append('d'));
    expect(queue.first).toMatchObject({ ack: 'durable' });
    expect(queue.length).toBe(1);
  });

  test('every refused append gets an error of its own', () => {
    const errors: unknown[] = [];
    const resolve = () => {};
    const reject = (error: unknown) => errors.push(error);
    for (let i = 0; i < 2; i++) queue.push({ payloads: [], bytes: 0, batch: false, ack: 'durable', resolve, reject });
    queue.refuseAppends(() => new Error('no space'));
    expect(new Set(errors).size).toBe(2);
  });

  test('the end rejects the appends that wait, not what was taken, and forgets the writes', () => {
    queue.push(append('taken'));
    queue.push(append('a'));
    queue.push(write());
    queue.push(append('b'));
    queue.shift();
    queue.rejectAll(new Error('closed'));
    expect(rejected).toEqual(['a: closed', 'b: closed']);
    expect(sizes()).toEqual({ length: 0, records: 0, bytes: 0 });
    expect(queue.writtenRecords).toBe(0);
  });
});
