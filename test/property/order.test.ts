/** Whatever a log is asked for, on whatever schedule, on a simulated disk and on the real one: the rules of order hold. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Disk } from '../../src/disk/disk.js';
import { realDisk } from '../../src/disk/real-disk.js';
import { Session, STEPS, type Step } from '../../src/testing/crash-programs.js';
import { LogModel } from '../../src/testing/log-model.js';
import { OrderRecorder } from '../../src/testing/order-recorder.js';
import { orderViolations } from '../../src/testing/order-rules.js';
import { Random } from '../../src/testing/random.js';
import { SimulatedDisk } from '../../src/testing/simulated-disk.js';
import { runs } from '../runs.js';

const programs = fc.record({
  seed: fc.nat(),
  schedule: fc.constantFrom('order', 'random', 'slow sync', 'slow names'),
  log: fc.record({
    io: fc.constantFrom('mmap', 'write'),
    segmentSize: fc.constantFrom(5120, 6000, 8192),
    ready: fc.nat({ max: 2 }),
    recycle: fc.nat({ max: 2 }),
    verify: fc.constantFrom('tail', 'full'),
  }),
  program: fc.array(fc.constantFrom(...STEPS), { minLength: 1, maxLength: 25, size: 'max' }),
});
type Program = typeof programs extends fc.Arbitrary<infer T> ? T : never;

async function play(disk: Disk, { log, program, seed }: Program, directory?: string): Promise<number> {
  const recorder = new OrderRecorder(disk);
  const session = new Session(recorder, new LogModel(), log, new Random(seed), {
    ...(directory === undefined ? {} : { directory }),
  });
  session.onOpened = (partition) => recorder.watch(partition);
  await session.open();
  // Twice, so that a program also meets a log that another one has left behind.
  for (const step of [...program, 'reopen' as Step, ...program]) await session.step(step);
  await session.close();
  expect(orderViolations(recorder.events)).toEqual([]);
  return recorder.events.length;
}

test('random programs on a simulated disk', async () => {
  await fc.assert(
    fc.asyncProperty(programs, async (program) => {
      await play(new SimulatedDisk({ seed: program.seed, schedule: program.schedule }), program);
    }),
    { numRuns: runs(100) },
  );
});

test('random programs on the real disk', async () => {
  const disk = realDisk();
  const { map } = await disk.features(tmpdir());
  await fc.assert(
    fc.asyncProperty(programs, async (program) => {
      if (program.log.io === 'mmap' && !map) return;
      const directory = mkdtempSync(join(tmpdir(), 'varve-order-'));
      await play(disk, program, directory).finally(() => rmSync(directory, { recursive: true, force: true }));
    }),
    { numRuns: Math.ceil(runs(100) / 5) },
  );
  await disk.close();
});
