import { expect, test } from '@jest/globals';
import { JobQueue, type QueuedJob } from '../../../src/disk/job-queue.js';

interface Named extends QueuedJob {
  readonly name: string;
}

function queueOf(...jobs: [name: string, key?: number][]): JobQueue<Named> {
  const queue = new JobQueue<Named>();
  for (const [name, key] of jobs) queue.add({ name, key });
  return queue;
}

const takeNames = (queue: JobQueue<Named>) => {
  const names: string[] = [];
  for (let job = queue.take(); job !== undefined; job = queue.take()) names.push(job.name);
  return names;
};

test('jobs without a file leave in the order of their coming', () => {
  const queue = queueOf(['a'], ['b']);
  expect(queue.take()?.name).toBe('a');
  queue.add({ name: 'c', key: undefined });
  expect(takeNames(queue)).toEqual(['b', 'c']);
  expect(queue.take()).toBeUndefined();
  queue.add({ name: 'd', key: undefined });
  expect(takeNames(queue)).toEqual(['d']);
});

test('of one file there is never more than one out, and others pass', () => {
  const queue = queueOf(['a1', 1], ['a2', 1], ['a3', 1], ['b1', 2]);
  const first = queue.take() as Named;
  expect(first.name).toBe('a1');
  expect(takeNames(queue)).toEqual(['b1']);
  expect([queue.ready, queue.waiting]).toEqual([false, 2]);

  queue.add({ name: 'c', key: undefined });
  queue.finished(first);
  expect([queue.ready, queue.waiting]).toEqual([true, 3]);
  expect(queue.take()?.name).toBe('c');
  const second = queue.take() as Named;
  expect(second.name).toBe('a2');
  queue.add({ name: 'a4', key: 1 });
  expect(queue.ready).toBe(false);
  queue.finished(second);
  const third = queue.take() as Named;
  expect(third.name).toBe('a3');
  queue.finished(third);
  expect(takeNames(queue)).toEqual(['a4']);
  expect(queue.waiting).toBe(0);
});

test('a file whose jobs have all finished is free again', () => {
  const queue = queueOf(['a1', 1]);
  queue.finished(queue.take() as Named);
  queue.add({ name: 'a2', key: 1 });
  expect(takeNames(queue)).toEqual(['a2']);
});
