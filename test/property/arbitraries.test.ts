/** The arbitraries for users: what they draw, and the log itself under programs drawn from them. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Log, openLog, type Partition } from '../../src/index.js';
import {
  batch,
  type CrashRecoveryOptions,
  command,
  crashRecovery,
  type LogStep,
  logProgram,
  logStep,
  maxPayloadSize,
  payload,
  runStep,
  SimulatedDisk,
} from '../../src/testing/index.js';
import { runs } from '../runs.js';

const segmentSize = 8 * 1024;
const sample = { numRuns: 2000, seed: 1 };

async function openPartition(disk: SimulatedDisk): Promise<{ log: Log; partition: Partition }> {
  const log = await openLog({ directory: '/log', disk, segmentSize });
  return { log, partition: await log.partition(1) };
}

describe('payloads', () => {
  test('are of all interesting sizes, up to the largest', () => {
    const max = maxPayloadSize(segmentSize);
    const sizes = new Set(fc.sample(payload({ segmentSize }), sample).map(({ length }) => length));
    for (const size of [0, 1, 7, 8, 9, 511, 512, 513, max - 1, max]) expect(sizes).toContain(size);
    expect(Math.max(...sizes)).toBe(max);
    const small = fc.sample(payload({ segmentSize, maxSize: 3 }), sample).map(({ length }) => length);
    expect(new Set(small)).toEqual(new Set([0, 1, 2, 3]));
  });

  test('of the largest size fit, of one byte more do not', async () => {
    const { partition } = await openPartition(new SimulatedDisk());
    const max = maxPayloadSize(segmentSize);
    await partition.append(new Uint8Array(max));
    await expect(partition.append(new Uint8Array(max + 1))).rejects.toMatchObject({
      code: 'ERR_VARVE_RECORD_TOO_LARGE',
    });
  });

  test('are of zeros, of ones, of chance, and look like frames', () => {
    const large = fc.sample(payload({ segmentSize }), sample).filter(({ length }) => length > 64);
    expect(large.some((bytes) => bytes.every((byte) => byte === 0))).toBe(true);
    expect(large.some((bytes) => bytes.every((byte) => byte === 255))).toBe(true);
    const looks = (bytes: Uint8Array) =>
      new DataView(bytes.buffer).getUint32(0, true) === bytes.length - (bytes.length % 8);
    const frames = large.filter((bytes) => looks(bytes) && bytes[28] === 2 && bytes[29] === 0);
    expect(frames.length).toBeGreaterThan(50);
  });
});

test('batches fit in a segment', async () => {
  const { log, partition } = await openPartition(new SimulatedDisk());
  for (const payloads of fc.sample(batch({ segmentSize }), { numRuns: 300, seed: 1 }))
    await partition.appendBatch(payloads);
  await log.close();
});

test('programs have steps of every kind, and can be run', async () => {
  const { log, partition } = await openPartition(new SimulatedDisk());
  const programs = fc.sample(logProgram({ segmentSize, maxSteps: 9 }), { numRuns: 100, seed: 1 });
  expect(Math.max(...programs.map(({ length }) => length))).toBe(9);
  const done = new Set<string>();
  for (const step of programs.flat()) {
    done.add(step.do);
    await runStep(partition, step);
  }
  const kinds = ['append', 'batch', 'write', 'burst', 'sync', 'rotate', 'verify', 'purge', 'truncate'];
  expect(done).toEqual(new Set(kinds));
  await log.close();
});

/** Payloads by LSN, as asked for, and what must still be there. */
interface World {
  asked: Uint8Array[];
  durable: number;
  oldest: number;
  /** Where an unfinished truncation cuts. */
  cut: number | undefined;
  purging: number;
}

type App = Awaited<ReturnType<typeof openPartition>>;

async function step({ partition }: App, asked: LogStep, world: World): Promise<void> {
  const before = partition.writtenLsn;
  const oldest = partition.oldestLsn;
  if ('payload' in asked) world.asked.push(asked.payload);
  if ('payloads' in asked) world.asked.push(...asked.payloads);
  if (asked.do === 'truncate') world.cut = Math.max(oldest - 1, before - asked.count);
  if (asked.do === 'purge')
    world.purging = Math.max(world.purging, oldest + Math.floor(asked.share * (before - oldest + 1)));
  await runStep(partition, asked);
  if (asked.do === 'truncate') {
    world.asked.length = partition.writtenLsn;
    world.durable = partition.durableLsn;
    world.cut = undefined;
  }
  world.durable = Math.max(world.durable, partition.durableLsn);
  world.oldest = partition.oldestLsn;
}

const theLog: CrashRecoveryOptions<App, World> = {
  setup: ({ disk }) => openPartition(disk),
  model: () => ({ asked: [], durable: 0, oldest: 1, cut: undefined, purging: 1 }),
  commands: [command('step', logStep({ segmentSize }), step)],
  invariant: async ({ app: { partition }, model, crash }) => {
    const { oldestLsn, durableLsn } = partition;
    const records = await partition.read({ from: oldestLsn }).toArray();
    expect(records.map(({ lsn }) => lsn)).toEqual(records.map((_record, i) => oldestLsn + i));
    for (const { lsn, payload: bytes } of records)
      expect(Buffer.compare(bytes, model.asked[lsn - 1] ?? Buffer.of())).toBe(0);
    expect(durableLsn).toBeGreaterThanOrEqual(Math.min(model.durable, model.cut ?? model.durable));
    expect(oldestLsn).toBeGreaterThanOrEqual(model.oldest);
    expect(oldestLsn).toBeLessThanOrEqual(Math.max(model.purging, model.oldest));
    if (crash === undefined) return;
    model.asked.length = durableLsn;
    Object.assign(model, { durable: durableLsn, oldest: oldestLsn, cut: undefined });
  },
  teardown: ({ log }) => log.close(),
};

test('the log keeps its promises through crashes, whatever program is drawn', async () => {
  await fc.assert(crashRecovery({ ...theLog, steps: 12, states: 5 }), { numRuns: runs(15) });
});
