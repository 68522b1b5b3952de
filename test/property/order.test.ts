/** Whatever a log is asked for, on whatever schedule, on a simulated disk and on the real one: the rules of order hold. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Disk } from '../../src/disk/disk.js';
import { realDisk } from '../../src/disk/real-disk.js';
import { Session, STEPS } from '../../src/testing/crash-programs.js';
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

/** Plays the program, and returns the session, which is still open. */
async function play(
  disk: Disk,
  { log, program, seed }: Program,
  model: LogModel,
  directory?: string,
): Promise<Session> {
  const recorder = new OrderRecorder(disk);
  const more = directory === undefined ? {} : { directory };
  const session = new Session(recorder, model, log, new Random(seed), more);
  session.onOpened = (partition) => recorder.watch(partition);
  model.adopt(await session.open());
  for (const step of program) await session.step(step);
  expect(orderViolations(recorder.events)).toEqual([]);
  return session;
}

test('random programs on a simulated disk', async () => {
  await fc.assert(
    fc.asyncProperty(programs, async (program) => {
      const disk = new SimulatedDisk({ seed: program.seed, schedule: program.schedule });
      const { model } = await play(disk, program, new LogModel());
      // And again behind a crash, and behind a clean end.
      const crashed = disk.crashed(new Random(program.seed));
      const again = await play(crashed, program, model);
      await again.close();
      await (await play(crashed, program, again.model)).close();
    }),
    { numRuns: Math.ceil(runs(100) / 4) },
  );
});

test('random programs on the real disk', async () => {
  const disk = realDisk();
  const { map } = await disk.features(tmpdir());
  await fc.assert(
    fc.asyncProperty(programs, async (program) => {
      if (program.log.io === 'mmap' && !map) return;
      const directory = mkdtempSync(join(tmpdir(), 'varve-order-'));
      try {
        const first = await play(disk, program, new LogModel(), directory);
        await first.close();
        await (await play(disk, program, first.model, directory)).close();
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    }),
    { numRuns: Math.ceil(runs(100) / 12) },
  );
  await disk.close();
});
