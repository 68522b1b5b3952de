import { getEventListeners } from 'node:events';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Allocator, type AllocatorConfig, type SpareNeed } from '../../../src/actors/allocator.js';
import type { SpareFile } from '../../../src/segment/spare.js';
import { settles, turns, within } from '../../support/logs.js';
import { DIRECTORY, SpareDisk } from './spare-disk.js';

const full = () => Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
const broken = () => Object.assign(new Error('input/output error'), { code: 'EIO' });
const ready = (number: number) => `ready_${String(number).padStart(10, '0')}.wal`;
const recycle = (number: number) => `recycle_${String(number).padStart(10, '0')}.wal`;
const segment = (index: number) => `part_1_${String(index).padStart(10, '0')}.wal`;

/** A need that notes how often it was told that there is no space. */
class Need implements SpareNeed {
  told = 0;
  readonly #urgent: boolean;

  constructor(urgent: boolean) {
    this.#urgent = urgent;
  }

  urgent(): boolean {
    return this.#urgent;
  }

  noSpace(): void {
    this.told++;
  }
}

const calm = () => new Need(false);
const never = () => new AbortController().signal;

const allocators: Allocator[] = [];

afterEach(async () => {
  for (const allocator of allocators.splice(0)) await allocator.close();
});

interface Pressure {
  readonly cause: unknown;
  readonly state: string;
  readonly done: () => void;
}

function make(disk: SpareDisk, config: Partial<AllocatorConfig> = {}) {
  const pressures: Pressure[] = [];
  let restored = 0;
  const allocator = new Allocator({
    disk,
    directory: DIRECTORY,
    reservation: { segmentSize: 5120, fresh: 'zero', recycled: 'allocate' },
    ready: 1,
    recycle: 2,
    onLacking: (cause, state) => new Promise((done) => pressures.push({ cause, state, done })),
    onRestored: () => {
      restored++;
    },
    ...config,
  });
  allocators.push(allocator);
  return {
    allocator,
    pressures,
    get restored() {
      return restored;
    },
  };
}

/** A disk on which files cannot be allocated until `free` is called. */
function fullDisk(names: readonly string[] = []) {
  const disk = new SpareDisk(names);
  let isFull = true;
  disk.before = (operation) => {
    if (isFull && operation.startsWith('allocate ')) throw full();
    return undefined;
  };
  const free = () => {
    isFull = false;
  };
  return { disk, free };
}

describe('the ready queue', () => {
  test('holds as many prepared files as are wanted, each reserved, synced and closed by the end', async () => {
    const disk = new SpareDisk();
    const { allocator } = make(disk, { ready: 3 });
    allocator.fill();
    await turns();
    expect(allocator.stats).toEqual({ ready: 3, recycled: 0, reused: 0, created: 3, space: 'ok' });
    expect(disk.operations.slice(0, 3)).toEqual([
      `create ${ready(1)}`,
      `allocate ${ready(1)} zero 5120`,
      `sync ${ready(1)}`,
    ]);
    expect(disk.openFiles).toBe(3);
    await allocator.close();
    expect(disk.openFiles).toBe(0);
    expect([...disk.names]).toEqual([ready(1), ready(2), ready(3)]);
  });

  test('is filled again behind each that is taken, oldest first', async () => {
    const { allocator } = make(new SpareDisk(), { ready: 2 });
    allocator.fill();
    await turns();
    expect((await allocator.take(calm(), never())).name).toBe(ready(1));
    await turns();
    expect(allocator.stats).toMatchObject({ ready: 2, created: 3 });
    expect((await allocator.take(calm(), never())).name).toBe(ready(2));
  });

  test('is empty where none is wanted ahead of need, and a taker still gets one', async () => {
    const { allocator } = make(new SpareDisk(), { ready: 0 });
    allocator.fill();
    await turns();
    expect(allocator.stats.created).toBe(0);
    await allocator.take(calm(), never());
    await turns();
    expect(allocator.stats).toMatchObject({ ready: 0, created: 1 });
  });

  test('takes back what was not used, which counts as used before', async () => {
    const { allocator } = make(new SpareDisk(), { ready: 0 });
    const spare = await allocator.take(calm(), never());
    expect(spare.recycled).toBe(false);
    allocator.giveBack(spare);
    expect(allocator.stats.ready).toBe(1);
    const again = await allocator.take(calm(), never());
    expect(again).toEqual({ ...spare, recycled: true });
    expect(allocator.stats.created).toBe(1);
  });

  test('what is given back goes to who waits', async () => {
    const { disk } = fullDisk();
    const { allocator } = make(disk, { ready: 0 });
    const taking = allocator.take(calm(), never());
    await turns();
    const spare = { name: ready(7), recycled: false, file: await disk.open(`/${ready(7)}`, 'create') };
    allocator.giveBack(spare);
    expect((await taking).name).toBe(ready(7));
    expect(allocator.stats.ready).toBe(0);
  });
});

describe('takers', () => {
  test('are served in the order of their asking', async () => {
    const { allocator } = make(new SpareDisk());
    const served: string[] = [];
    await Promise.all(
      ['a', 'b', 'c', 'd'].map(async (who) => {
        const spare = await allocator.take(calm(), never());
        served.push(`${who} ${spare.name}`);
      }),
    );
    expect(served).toEqual([`a ${ready(1)}`, `b ${ready(2)}`, `c ${ready(3)}`, `d ${ready(4)}`]);
  });

  test('who comes later does not overtake who waits, whatever is ready', async () => {
    const disk = new SpareDisk();
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    disk.before = (operation) => (operation.startsWith('sync ready') ? held : undefined);
    const { allocator } = make(disk, { ready: 0 });
    const first = allocator.take(calm(), never());
    const second = allocator.take(calm(), never());
    release();
    expect([(await first).name, (await second).name]).toEqual([ready(1), ready(2)]);
  });

  test('all of them hear of a failure that is not lack of space, and who asks again is served', async () => {
    const disk = new SpareDisk();
    const cause = broken();
    disk.before = (operation) => {
      if (operation.startsWith('allocate ')) throw cause;
      return undefined;
    };
    const { allocator, pressures } = make(disk);
    const takes = [allocator.take(calm(), never()), allocator.take(calm(), never())];
    for (const take of takes) await expect(take).rejects.toBe(cause);
    expect(pressures).toEqual([]);
    expect([...disk.names]).toEqual([]); // the file that could not be prepared is gone, and closed
    expect(disk.openFiles).toBe(0);
    disk.before = () => undefined;
    await allocator.take(calm(), never());
  });

  test('a cancelled one rejects with the reason, and its place goes to the next', async () => {
    const { disk, free } = fullDisk();
    const { allocator } = make(disk, { ready: 0 });
    const cancel = new AbortController();
    const first = allocator.take(calm(), cancel.signal);
    const second = allocator.take(calm(), never());
    await turns();
    const reason = new Error('not needed any more');
    cancel.abort(reason);
    await expect(first).rejects.toBe(reason);
    free();
    await allocator.retire([]);
    expect((await within(second, 'the second take')).recycled).toBe(false);
    await turns();
    expect(allocator.stats).toMatchObject({ ready: 0 });
  });

  test('a signal that aborts behind the service takes nothing away from others', async () => {
    const { disk, free } = fullDisk();
    const { allocator } = make(disk, { ready: 0 });
    const cancel = new AbortController();
    const first = allocator.take(calm(), cancel.signal);
    const second = allocator.take(calm(), never());
    await turns();
    const spare = { name: ready(9), recycled: false, file: await disk.open(`/${ready(9)}`, 'create') };
    allocator.giveBack(spare);
    cancel.abort();
    expect((await first).name).toBe(ready(9));
    free();
    await allocator.retire([]);
    await within(second, 'the second take');
  });

  test('a signal that was not needed is let go', async () => {
    const { signal } = new AbortController();
    const { allocator } = make(new SpareDisk());
    await allocator.take(calm(), signal);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  test('a signal that has aborted before takes nothing', async () => {
    const { disk } = fullDisk();
    const { allocator } = make(disk, { ready: 0 });
    const reason = new Error('too late');
    const taking = allocator.take(calm(), AbortSignal.abort(reason));
    taking.catch(() => {});
    expect(await settles(taking, 5)).toBe(true);
  });
});

describe('recycled files', () => {
  test('are used before new ones are made, oldest first, and counted', async () => {
    const disk = new SpareDisk([recycle(4), recycle(5)]);
    const { allocator } = make(disk, { ready: 3 });
    allocator.takeUp([recycle(4), recycle(5)]);
    expect(allocator.stats.recycled).toBe(2);
    allocator.fill();
    await turns();
    expect(allocator.stats).toEqual({ ready: 3, recycled: 0, reused: 2, created: 1, space: 'ok' });
    expect(disk.of('rename')).toEqual([`${recycle(4)} ${ready(6)}`, `${recycle(5)} ${ready(7)}`]);
    expect(disk.of('allocate')).toEqual([
      `${ready(6)} allocate 5120`,
      `${ready(7)} allocate 5120`,
      `${ready(8)} zero 5120`,
    ]);
    const spare: SpareFile = await allocator.take(calm(), never());
    expect([spare.name, spare.recycled]).toEqual([ready(6), true]);
  });

  test('prepared files of an earlier process are taken up as well, and other names left alone', async () => {
    const names = [ready(3), recycle(1), segment(1), 'LOCK', 'MANIFEST'];
    const disk = new SpareDisk(names);
    const { allocator } = make(disk);
    allocator.takeUp(names);
    expect(allocator.stats.recycled).toBe(2);
    allocator.fill();
    await turns();
    expect(disk.of('rename')).toEqual([`${ready(3)} ${ready(4)}`]);
    await allocator.close();
    expect([...disk.names].sort()).toEqual([segment(1), 'LOCK', 'MANIFEST', recycle(1), ready(4)].sort());
  });

  test('those of an earlier process that are too many are removed; one that cannot be does not matter', async () => {
    const names = [1, 2, 3, 4, 5].map(recycle);
    const disk = new SpareDisk(names);
    disk.before = (operation) => {
      if (operation === `unlink ${recycle(4)}`) throw broken();
      return undefined;
    };
    const { allocator } = make(disk, { ready: 1, recycle: 2 });
    allocator.takeUp(names);
    expect(allocator.stats.recycled).toBe(3);
    await allocator.close();
    expect([...disk.names]).toEqual([1, 2, 3, 4].map(recycle));
  });

  test('retired segments are renamed, those that are too many removed, in order, durably', async () => {
    const names = [1, 2, 3].map(segment);
    const disk = new SpareDisk(names);
    const { allocator } = make(disk, { ready: 0, recycle: 2 });
    await allocator.retire(names);
    expect(disk.operations).toEqual([
      `rename ${segment(1)} ${recycle(1)}`,
      `rename ${segment(2)} ${recycle(2)}`,
      `unlink ${segment(3)}`,
      'syncDirectory spares',
    ]);
    expect(allocator.stats.recycled).toBe(2);
  });

  test('a retired file is used only when its new name is durable', async () => {
    const disk = new SpareDisk([segment(1)]);
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    disk.before = (operation) => (operation.startsWith('syncDirectory') ? held : undefined);
    const { allocator } = make(disk, { ready: 0 });
    const retiring = allocator.retire([segment(1)]);
    await turns();
    expect((await allocator.take(calm(), never())).recycled).toBe(false);
    release();
    await retiring;
    expect((await allocator.take(calm(), never())).recycled).toBe(true);
  });

  test('a name that cannot be changed rejects, and the file is not used', async () => {
    const disk = new SpareDisk([segment(1)]);
    const cause = broken();
    disk.before = (operation) => {
      if (operation.startsWith('rename')) throw cause;
      return undefined;
    };
    const { allocator } = make(disk);
    await expect(allocator.retire([segment(1)])).rejects.toBe(cause);
    expect(allocator.stats.recycled).toBe(0);
  });
});

describe('a full disk', () => {
  test('is announced once with its cause, tried again when the hook has ended, and restored once', async () => {
    const { disk, free } = fullDisk();
    const made = make(disk, { ready: 2 });
    const { allocator, pressures } = made;
    allocator.fill();
    await turns();
    expect(pressures.map(({ state, cause }) => [state, (cause as { code: string }).code])).toEqual([['low', 'ENOSPC']]);
    expect(allocator.stats.space).toBe('low');
    expect([...disk.names]).toEqual([]); // a file that is reserved in part would hold the space that is lacking
    expect(disk.of('allocate').length).toBe(1);
    free();
    pressures[0]?.done();
    await turns();
    expect(allocator.stats).toMatchObject({ ready: 2, space: 'ok' });
    expect([pressures.length, made.restored]).toEqual([1, 1]);
  });

  test('is tried again when files were retired, and those are used', async () => {
    const { disk, free } = fullDisk([segment(1)]);
    const { allocator } = make(disk);
    allocator.fill();
    await turns();
    free();
    await allocator.retire([segment(1)]);
    await turns();
    expect(allocator.stats).toMatchObject({ ready: 1, reused: 1, created: 0, space: 'ok' });
  });

  test('blocks only whose need is urgent, and says so', async () => {
    const { disk } = fullDisk();
    const { allocator, pressures } = make(disk, { ready: 0 });
    const [patient, urgent] = [calm(), new Need(true)];
    allocator.take(patient, never()).catch(() => {});
    await turns();
    expect(allocator.stats.space).toBe('low');
    allocator.take(urgent, never()).catch(() => {});
    await turns();
    expect(allocator.stats.space).toBe('blocked');
    expect([patient.told, urgent.told]).toEqual([0, 1]);
    expect(pressures.length).toBe(1);
  });

  test('is announced as blocked where the need is urgent from the beginning', async () => {
    const { disk } = fullDisk();
    const { allocator, pressures } = make(disk, { ready: 0 });
    const urgent = new Need(true);
    allocator.take(urgent, never()).catch(() => {});
    await turns();
    expect(pressures.map(({ state }) => state)).toEqual(['blocked']);
    expect(urgent.told).toBe(1);
  });

  test('a need that has become urgent is heard of by fill', async () => {
    const { disk } = fullDisk();
    const { allocator } = make(disk, { ready: 0 });
    let urgent = false;
    const need = { urgent: () => urgent, noSpace: () => told++ };
    let told = 0;
    allocator.take(need, never()).catch(() => {});
    await turns();
    expect(told).toBe(0);
    urgent = true;
    allocator.fill();
    expect([told, allocator.stats.space]).toEqual([1, 'blocked']);
  });
});

describe('a hand-over that met a full disk', () => {
  test('is announced once as blocked, and restored once', () => {
    const made = make(new SpareDisk());
    const { allocator, pressures } = made;
    const cause = full();
    allocator.reportRestored();
    expect(made.restored).toBe(0);
    allocator.reportLacking(cause);
    allocator.reportLacking(cause);
    expect(pressures.map((pressure) => [pressure.cause, pressure.state])).toEqual([[cause, 'blocked']]);
    expect(allocator.stats.space).toBe('blocked');
    allocator.reportRestored();
    allocator.reportRestored();
    expect([made.restored, allocator.stats.space]).toEqual([1, 'ok']);
  });

  test('does not end the episode of a preparation that lacks space', async () => {
    const { disk } = fullDisk();
    const made = make(disk);
    made.allocator.fill();
    await turns();
    made.allocator.reportLacking(full());
    expect(made.pressures.length).toBe(1);
    made.allocator.reportRestored();
    expect([made.restored, made.allocator.stats.space]).toEqual([0, 'low']);
  });

  test('is restored also while a segment is being prepared', async () => {
    const disk = new SpareDisk();
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    disk.before = (operation) => (operation.startsWith('allocate') ? held : undefined);
    const made = make(disk);
    made.allocator.fill();
    await turns();
    made.allocator.reportLacking(full());
    made.allocator.reportRestored();
    release();
    await turns();
    expect([made.restored, made.allocator.stats.space]).toEqual([1, 'ok']);
  });

  test('and a preparation that meets it as well are one episode', async () => {
    const { disk } = fullDisk();
    const made = make(disk);
    made.allocator.reportLacking(full());
    made.allocator.fill();
    await turns();
    expect(made.pressures.length).toBe(1);
  });
});

describe('closing', () => {
  test('refuses who waits and who comes, and stops preparing', async () => {
    const { disk } = fullDisk();
    const { allocator } = make(disk, { ready: 0 });
    const waiting = expect(allocator.take(calm(), never())).rejects.toMatchObject({ code: 'ERR_VARVE_CLOSED' });
    await turns();
    await allocator.close();
    await waiting;
    await expect(allocator.take(calm(), never())).rejects.toMatchObject({ code: 'ERR_VARVE_CLOSED' });
    const before = disk.operations.length;
    allocator.fill();
    await turns();
    expect(disk.operations.length).toBe(before);
  });

  test('waits for the preparation that is under way, and closes its file', async () => {
    const disk = new SpareDisk();
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    disk.before = (operation) => (operation.startsWith('sync ') ? held : undefined);
    const { allocator } = make(disk);
    allocator.fill();
    await turns();
    const closing = allocator.close();
    expect(await settles(closing, 5)).toBe(false);
    release();
    await closing;
    expect(disk.openFiles).toBe(0);
    expect(disk.of('create').length).toBe(1);
  });

  test('waits for the removals that are under way', async () => {
    const names = [1, 2].map(recycle);
    const disk = new SpareDisk(names);
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    disk.before = (operation) => (operation.startsWith('unlink ') ? held : undefined);
    const { allocator } = make(disk, { ready: 1, recycle: 0 });
    allocator.takeUp(names);
    const closing = allocator.close();
    expect(await settles(closing, 5)).toBe(false);
    release();
    await closing;
    expect(disk.names.size).toBe(1);
  });
});
