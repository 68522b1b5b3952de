/**
 * Programs over an event store on a simulated disk that loses power, or fails to sync, at any operation: what was
 * acknowledged is there, every append is there as a whole or not at all, and the store goes on.
 */
import assert from 'node:assert/strict';
import { expect, test } from '@jest/globals';
import type { EventStore } from 'varve';
import { systemCode } from '../../src/errors.js';
import { settled } from '../../src/testing/crash-explorer.js';
import type { Schedule } from '../../src/testing/operations.js';
import { changesDisk } from '../../src/testing/operations.js';
import { Random } from '../../src/testing/random.js';
import { SimulatedDisk } from '../../src/testing/simulated-disk.js';
import { runs } from '../runs.js';
import { goesOn, History, open, Player } from '../support/event-history.js';

interface Options {
  readonly partitions: number;
  readonly segmentSize: number;
  readonly io: 'mmap' | 'write';
  readonly headCacheBytes: number;
}

interface State {
  readonly name: string;
  readonly disk: SimulatedDisk;
  readonly history: History;
}

const SCHEDULES: readonly Schedule[] = ['order', 'random', 'slow sync', 'slow names'];

function optionsOf(random: Random): Options {
  return {
    partitions: random.pick([1, 2, 3, 8]),
    segmentSize: random.pick([5120, 6000, 8192]),
    io: random.pick(['mmap', 'write']),
    headCacheBytes: random.pick([1024, 2 ** 20]),
  };
}

/** Has the disk taken at operations by chance, as a power cut may leave it there. */
function takeStates(disk: SimulatedDisk, history: History, random: Random, rate: number, name: string): State[] {
  const states: State[] = [];
  disk.onOperation = (operation, when) => {
    if (!changesDisk(operation) || !random.chance(rate)) return;
    const loss = random.chance(0.1) ? disk.processCrash() : disk.crashed(random.fork());
    states.push({ name: `${name}/${operation.index}${when}`, disk: loss, history: history.clone() });
  };
  return states;
}

async function checkState({ name, disk, history }: State, options: Options, random: Random, depth: number) {
  const second = depth > 0 ? takeStates(disk, history, random, 0.008, name) : [];
  let store: EventStore | undefined;
  try {
    // A writeback that failed before may be told at the first sync behind it; asking again then tries again.
    const opened = await settled('opening', open(disk, options)).catch((error: unknown) => {
      if (systemCode(error) !== 'EIO') throw error;
      return settled('opening after EIO', open(disk, options));
    });
    store = opened;
    await settled('checking', history.check(store));
    await settled('going on', goesOn(store, history));
    await settled('closing', store.close());
    disk.onOperation = undefined;
    store = await settled('opening again', open(disk, options));
    await settled('checking again', history.check(store));
    await settled('closing again', store.close());
  } catch (error) {
    throw new Error(`${name} ${JSON.stringify(options)}: ${(error as Error).message}`, { cause: error });
  }
  for (const state of second) await checkState(state, options, random, depth - 1);
  return 1 + second.length;
}

test('a power cut anywhere loses nothing that was acknowledged, and leaves no append half done', async () => {
  const wanted = runs(16);
  let states = 0;
  let acknowledged = 0;
  for (let seed = 1; seed <= wanted; seed++) {
    const random = new Random(seed);
    const options = optionsOf(random);
    const disk = new SimulatedDisk({ seed, schedule: random.pick(SCHEDULES) });
    const history = new History();
    const player = new Player(history, random.fork());
    const taken = takeStates(disk, history, random.fork(), 0.006, `seed ${seed}`);
    let store = await settled('opening', open(disk, options));
    for (let i = 0; i < 25; i++) {
      await settled('step', player.step(store));
      if (i === 15) {
        await store.close();
        store = await settled('opening', open(disk, options));
      }
    }
    await settled('closing', store.close());
    disk.onOperation = undefined;
    acknowledged += history.acknowledged;
    for (const state of taken) states += await checkState(state, options, random, 1);
  }
  expect(acknowledged).toBeGreaterThan(wanted);
  expect(states).toBeGreaterThan(wanted);
});

test('a failed fsync loses nothing that was acknowledged, and leaves no append half done', async () => {
  const wanted = runs(150);
  let told = 0;
  for (let seed = 1; seed <= wanted; seed++) {
    const random = new Random(seed);
    const options = optionsOf(random);
    const disk = new SimulatedDisk({ seed, schedule: random.pick(SCHEDULES) });
    const history = new History();
    const player = new Player(history, random.fork());
    const store = await settled('opening', open(disk, options));
    disk.faults.add({
      kind: 'sync',
      file: 'part_*',
      nth: 1 + random.below(12),
      fault: { writeback: random.pick(['keep', 'revert']), report: random.pick(['now', 'next']) },
    });
    let failed = false;
    for (let i = 0; i < 12; i++) {
      // One partition has failed, the others go on: what they acknowledge must be there as well.
      await settled('step', player.step(store)).catch((error: { code?: string }) => {
        assert.equal(error.code, 'ERR_VARVE_PARTITION_FAILED');
        failed = true;
      });
    }
    if (failed) told++;
    const next = random.chance(0.5) ? disk.processCrash({ cache: random.pick(['kept', 'dropped']) }) : undefined;
    await settled(
      'closing',
      store.close().catch(() => {}),
    );
    const disks = next === undefined ? [disk.processCrash()] : [next, next.crashed(random.fork())];
    for (const [i, after] of disks.entries()) {
      await checkState({ name: `seed ${seed}, ${i}`, disk: after, history: history.clone() }, options, random, 0);
    }
  }
  if (wanted >= 50) expect(told).toBeGreaterThan(wanted / 4);
});

test('a power cut anywhere in a scavenge loses nothing that is alive, and brings back no revision', async () => {
  const wanted = runs(10);
  let states = 0;
  let scavenged = 0;
  for (let seed = 1; seed <= wanted; seed++) {
    const random = new Random(seed);
    const options = { ...optionsOf(random), partitions: random.pick([1, 1, 2]) };
    const disk = new SimulatedDisk({ seed, schedule: random.pick(SCHEDULES) });
    const history = new History();
    const player = new Player(history, random.fork(), 0.15);
    let store = await settled('opening', open(disk, options));
    for (let i = 0; i < 15; i++) await settled('step', player.step(store));
    const taken = takeStates(disk, history, random.fork(), 0.006, `seed ${seed}`);
    for (let i = 0; i < 15; i++) {
      await settled('step', player.step(store));
      if (i % 8 === 7) await settled('checking', history.check(store));
      if (i === 10) {
        await settled('closing', store.close());
        store = await settled('opening', open(disk, options));
      }
    }
    await settled('closing', store.close());
    disk.onOperation = undefined;
    scavenged += player.scavenged;
    for (const state of taken) states += await checkState(state, options, random, 0);
  }
  expect(scavenged).toBeGreaterThan(wanted / 2);
  expect(states).toBeGreaterThan(wanted);
});
