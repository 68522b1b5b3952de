/**
 * Several users of one or two partitions at once, over a simulated disk of which fast-check's scheduler says, operation
 * by operation, which one comes to its end next; each act of a user waits its turn there, too. Nothing else is left to
 * chance, so that a failure's seed and path replay it.
 *
 * Whatever the order: when nothing is left to be scheduled, everything has come to its end (no wake-up is lost); nothing
 * is rejected that nobody hears of; no file, mapping, lock or listener is left; the log holds every acknowledged record
 * once, in order; and so does the log after a power cut at any moment, with the records that were durable by then.
 */
import assert from 'node:assert/strict';
import { test } from '@jest/globals';
import fc from 'fast-check';
import { Random, SimulatedDisk } from '../../src/testing/index.js';
import { runs } from '../runs.js';
import { turns } from '../support/logs.js';
import { Race } from '../support/race.js';
import { type RaceProgram, raceProgram } from '../support/race-program.js';
import { unheardRejections } from '../support/unheard.js';

/** So many turns of the event loop without anything to schedule, and nothing is going to come. */
const IDLE_TURNS = 8;

interface Conduct {
  /** How many operations end in one turn of the event loop; used round and round. */
  readonly atOnce: readonly number[];
  /** The power is cut after so many. */
  readonly cuts: readonly number[];
}

const conduct: fc.Arbitrary<Conduct> = fc.record({
  atOnce: fc.array(fc.constantFrom(1, 1, 1, 2, 3), { minLength: 1, maxLength: 8 }),
  cuts: fc.uniqueArray(fc.nat(120), { maxLength: 2 }),
});

class Scheduled {
  readonly #scheduler: fc.Scheduler;
  readonly #conduct: Conduct;
  readonly #disk: SimulatedDisk;
  readonly #race: Race;
  readonly #cuts: (() => Promise<void>)[] = [];
  #ticks = 0;
  #ended = 0;
  /** Before and after the race, nothing waits. */
  #racing = false;

  constructor(scheduler: fc.Scheduler, program: RaceProgram, conduct: Conduct, io: 'mmap' | 'write') {
    this.#scheduler = scheduler;
    this.#conduct = conduct;
    this.#disk = new SimulatedDisk({ record: true, schedule: ({ kind, path }) => this.#turn(`${kind} ${path}`) });
    this.#race = new Race(program, { directory: '/data', io, disk: this.#disk }, () => this.#ticks++);
  }

  async run(): Promise<void> {
    await this.#race.open();
    this.#racing = true;
    const users = this.#race.start((what) => this.#turn(what));
    let usersEnded = false;
    void users.then(() => {
      usersEnded = true;
    });
    await this.#untilIdle();
    assert.ok(usersEnded, `never came to an end: ${[...this.#race.pending.values()].join(', ')}`);
    let operations = 0;
    const count = () => {
      operations = this.#disk.operations.length;
    };
    void this.#race.close().then(count, count);
    await this.#untilIdle();
    this.#race.judgeEnd();
    assert.equal(this.#disk.operations.length, operations, 'the disk is used after the log was closed');
    this.#racing = false;
    assert.equal(this.#disk.held.join(), '', 'held after the close');
    await this.#race.judgeLog();
    for (const judge of this.#cuts) await judge();
  }

  #turn(label: string): Promise<unknown> {
    return this.#racing ? this.#scheduler.schedule(Promise.resolve(), label) : Promise.resolve();
  }

  async #untilIdle(): Promise<void> {
    const { atOnce, cuts } = this.#conduct;
    for (let idle = 0; idle < IDLE_TURNS; ) {
      if (this.#race.problem !== undefined) throw this.#race.problem;
      idle = this.#scheduler.count() === 0 ? idle + 1 : 0;
      let left = atOnce[this.#ended % atOnce.length] as number;
      while (left-- > 0 && this.#scheduler.count() > 0) {
        await this.#scheduler.waitOne();
        if (cuts.includes(this.#ended++)) this.#cutPower();
      }
      await turns(1);
    }
  }

  #cutPower(): void {
    const judge = this.#race.cutPower();
    const after = this.#disk.crashed(new Random(this.#ended), 'none');
    this.#cuts.push(() => judge(after));
  }
}

const unheard = unheardRejections();

for (const io of ['mmap', 'write'] as const) {
  test(
    `users at the same time, in every order of the disk's operations, io: '${io}'`,
    async () => {
      const property = fc.asyncProperty(fc.scheduler(), raceProgram, conduct, async (scheduler, program, conduct) => {
        await new Scheduled(scheduler, program, conduct, io).run();
        await turns(2);
        assert.equal(unheard().length, 0, 'a rejection that nobody hears of');
      });
      await fc.assert(property, { numRuns: runs(200) });
    },
    24 * 3600 * 1000,
  );
}
