/** Who holds a shared pool, and when it ends: with pools and timers that only take notes. */
import { beforeEach, expect, jest, test } from '@jest/globals';

class FakePool {
  static readonly made: FakePool[] = [];
  busy = false;
  closed = 0;
  constructor(readonly threads: number) {
    FakePool.made.push(this);
  }
  async close() {
    this.closed++;
  }
}

interface FakeTimer {
  readonly fire: () => void;
  referenced: boolean;
  unref(): FakeTimer;
}

let timers: FakeTimer[] = [];

jest.unstable_mockModule('../../../src/disk/pool.js', () => ({ Pool: FakePool }));
jest.unstable_mockModule('node:timers', () => ({
  setTimeout(fire: () => void) {
    const timer: FakeTimer = {
      fire,
      referenced: true,
      unref() {
        timer.referenced = false;
        return timer;
      },
    };
    timers.push(timer);
    return timer;
  },
  clearTimeout(timer: FakeTimer | undefined) {
    timers = timers.filter((other) => other !== timer);
  },
}));
const { PoolHandle } = await import('../../../src/disk/shared-pool.js');

/** A time passes that is long enough for all timers. */
function elapse(): void {
  for (const timer of timers.splice(0)) timer.fire();
}

beforeEach(() => {
  elapse();
  FakePool.made.length = 0;
});

test('one pool for each number of threads', () => {
  const handles = [2, 3, 2, 2].map((threads) => new PoolHandle(threads));
  expect(FakePool.made.map(({ threads }) => threads)).toEqual([2, 3]);
  for (const handle of handles) handle.release();
});

test('a pool ends when its last holder has left, after a while that keeps no process alive', () => {
  const [first, second] = [new PoolHandle(2), new PoolHandle(2)];
  first.release();
  first.release();
  expect(timers).toHaveLength(0);
  second.release();
  expect(timers.map(({ referenced }) => referenced)).toEqual([false]);
  expect(FakePool.made[0]?.closed).toBe(0);
  elapse();
  expect(FakePool.made[0]?.closed).toBe(1);

  const third = new PoolHandle(2);
  expect(FakePool.made).toHaveLength(2);
  third.release();
});

test('a pool that is wanted again in that while goes on', () => {
  new PoolHandle(2).release();
  const again = new PoolHandle(2);
  elapse();
  expect(FakePool.made.map(({ closed }) => closed)).toEqual([0]);
  again.release();
  elapse();
  expect(FakePool.made.map(({ closed }) => closed)).toEqual([1]);
});

test('a pool that still works is let finish', () => {
  new PoolHandle(2).release();
  const [pool] = FakePool.made as [FakePool];
  pool.busy = true;
  elapse();
  elapse();
  expect(pool.closed).toBe(0);
  pool.busy = false;
  elapse();
  expect(pool.closed).toBe(1);
});
