/**
 * Several users of one or two partitions at once, over a real disk whose operations take their time in a random order.
 *
 * Whatever the interleaving: everything settles, nothing is rejected that nobody hears of, no file or mapping stays
 * open, nothing touches the disk after the log is closed, and a new log holds every acknowledged record once, in order.
 */
import assert from 'node:assert/strict';
import { test } from '@jest/globals';
import fc from 'fast-check';
import { runs } from '../runs.js';
import { backEnds, faultyDisk, heldIn, temporaryDirectory, turns, within } from '../support/logs.js';
import { Race } from '../support/race.js';
import { type RaceProgram, raceProgram } from '../support/race-program.js';
import { unheardRejections } from '../support/unheard.js';

async function run(program: RaceProgram, io: 'mmap' | 'write'): Promise<void> {
  const directory = temporaryDirectory();
  const disk = faultyDisk();
  const race = new Race(program, { directory, io, disk }, () => disk.tick());
  await race.open();
  let operation = 0;
  disk.pause = async () => {
    const delay = program.delays[operation++ % program.delays.length] as number;
    for (let i = 0; i < delay; i++) await new Promise(setImmediate);
  };
  await within(
    race.start(() => Promise.resolve()),
    'a user',
  );
  await within(race.close(), 'close');
  await within(Promise.all(race.pending.keys()), 'a follower');
  race.judgeEnd();

  const operations = disk.operations.length;
  await turns(5);
  assert.deepEqual(disk.operations.slice(operations), [], 'the disk is used after the log was closed');
  assert.deepEqual(heldIn(directory) ?? [], []);
  disk.pause = undefined;
  await race.judgeLog();
}

/** Only against hanging for ever: `VARVE_TEST_RUNS` may ask for a night, and what hangs is found by `within`. */
const LIMIT_MS = 24 * 3600 * 1000;
const unheard = unheardRejections();

for (const io of await backEnds()) {
  test(
    `users at the same time, io: '${io}'`,
    async () => {
      await fc.assert(
        fc.asyncProperty(raceProgram, async (program) => {
          await run(program, io);
          await turns(2);
          assert.deepEqual(unheard(), []);
        }),
        { numRuns: runs(120) },
      );
    },
    LIMIT_MS,
  );
}
