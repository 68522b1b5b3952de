import { beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createActor, SimulatedClock } from 'xstate';
import { allTransitions, descendants } from '../../../scripts/diagram-of.js';
import { type AllocatorActor, type AllocatorEvent, allocatorMachine } from '../../../src/actors/allocator-machine.js';
import { runs } from '../../runs.js';

type EventType = AllocatorEvent['type'];

const EVENTS: readonly EventType[] = ['NEED', 'PREPARED', 'NO_SPACE', 'BROKEN', 'HOOK_DONE', 'FREED', 'STOP'];

/** The machine with effects that only note that they were called, and a clock that only moves when it is told to. */
class Bench {
  wanted = true;
  awaited = false;
  readonly told: unknown[] = [];
  readonly clock = new SimulatedClock();
  readonly actor: AllocatorActor;

  constructor() {
    const note = (what: unknown) => () => {
      this.told.push(what);
    };
    const effects = {
      prepare: note('prepare'),
      wanted: () => this.wanted,
      awaited: () => this.awaited,
      spaceLacking: note('lacking'),
      blocked: note('blocked'),
      spaceRestored: note('restored'),
      broken: (cause: unknown) => {
        this.told.push({ broken: cause });
      },
    };
    this.actor = createActor(allocatorMachine, { input: { effects }, clock: this.clock });
    this.actor.start();
  }

  /** Sends the events one after the other; returns what was told meanwhile. */
  send(...types: EventType[]): unknown[] {
    this.told.length = 0;
    for (const type of types) this.actor.send(type === 'BROKEN' ? { type, cause: 'EIO' } : { type });
    return [...this.told];
  }

  /** Lets time pass; returns what was told meanwhile. */
  pass(ms: number): unknown[] {
    this.told.length = 0;
    this.clock.increment(ms);
    return [...this.told];
  }

  get state() {
    return this.actor.getSnapshot().value;
  }
}

let bench: Bench;

beforeEach(() => {
  bench = new Bench();
});

describe('with space', () => {
  test('rests until something is wanted', () => {
    bench.wanted = false;
    expect(bench.send('NEED')).toEqual([]);
    expect(bench.state).toBe('rested');
    bench.wanted = true;
    expect(bench.send('NEED')).toEqual(['prepare']);
    expect(bench.state).toBe('preparing');
  });

  test('prepares one at a time, and goes on as long as more are wanted', () => {
    bench.send('NEED');
    expect(bench.send('NEED', 'NEED')).toEqual([]);
    expect(bench.send('PREPARED')).toEqual(['prepare']);
    expect(bench.send('PREPARED')).toEqual(['prepare']);
    bench.wanted = false;
    expect(bench.send('PREPARED')).toEqual([]);
    expect(bench.state).toBe('rested');
  });

  test('another failure than lack of space is told, with its cause, and not tried again by itself', () => {
    bench.send('NEED');
    expect(bench.send('BROKEN')).toEqual([{ broken: 'EIO' }]);
    expect(bench.state).toBe('rested');
    expect(bench.pass(60_000)).toEqual([]);
    expect(bench.send('NEED')).toEqual(['prepare']);
  });
});

describe('without space', () => {
  beforeEach(() => {
    bench.send('NEED');
  });

  test('an episode is announced once, however many attempts it has, and restored once', () => {
    expect(bench.send('NO_SPACE')).toEqual(['lacking']);
    for (const event of ['HOOK_DONE', 'FREED', 'FREED'] as const) {
      expect(bench.send(event)).toEqual(['prepare']);
      expect(bench.send('NO_SPACE')).toEqual([]);
    }
    expect(bench.pass(100)).toEqual(['prepare']);
    expect(bench.send('NO_SPACE')).toEqual([]);
    bench.send('FREED');
    expect(bench.send('PREPARED')).toEqual(['prepare']); // more are lacking
    bench.wanted = false;
    expect(bench.send('PREPARED')).toEqual(['restored']);
    bench.wanted = true;
    expect(bench.send('NEED', 'PREPARED')).toEqual(['prepare', 'prepare']);
  });

  test('the next episode is announced and restored again', () => {
    bench.wanted = false;
    bench.send('NO_SPACE', 'FREED', 'PREPARED');
    bench.wanted = true;
    bench.send('NEED');
    expect(bench.send('NO_SPACE')).toEqual(['lacking']);
    bench.send('FREED');
    bench.wanted = false;
    expect(bench.send('PREPARED')).toEqual(['restored']);
    expect(bench.state).toBe('rested');
  });

  test('tries again after 100 ms, 200 ms … 5 s, and no sooner', () => {
    bench.send('NO_SPACE');
    for (const delay of [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]) {
      expect([delay, bench.pass(delay - 1)]).toEqual([delay, []]);
      expect([delay, bench.pass(1)]).toEqual([delay, ['prepare']]);
      expect(bench.state).toBe('preparing');
      bench.send('NO_SPACE');
    }
  });

  test('the delays begin anew with each segment that could be prepared, and with the next episode', () => {
    bench.send('NO_SPACE');
    bench.pass(100);
    bench.send('NO_SPACE');
    bench.pass(200);
    bench.wanted = false;
    bench.send('PREPARED');
    bench.wanted = true;
    bench.send('NEED', 'NO_SPACE');
    expect(bench.pass(99)).toEqual([]);
    expect(bench.pass(1)).toEqual(['prepare']);
    bench.send('NO_SPACE');
    expect(bench.pass(199)).toEqual([]);
    expect(bench.pass(1)).toEqual(['prepare']);
    bench.send('PREPARED', 'NO_SPACE');
    expect(bench.pass(99)).toEqual([]);
    expect(bench.pass(1)).toEqual(['prepare']);
  });

  test.each(['HOOK_DONE', 'FREED'] as const)('%s is a reason to try at once, and once', (event) => {
    bench.send('NO_SPACE');
    expect(bench.send(event)).toEqual(['prepare']);
    expect(bench.send('NO_SPACE')).toEqual([]);
    expect(bench.pass(99)).toEqual([]);
    expect(bench.state).toEqual({ short: 'low' });
  });

  test.each(['HOOK_DONE', 'FREED'] as const)(
    '%s during an attempt is not lost: one more follows it at once',
    (event) => {
      bench.send('NO_SPACE', 'FREED');
      expect(bench.send(event, event)).toEqual([]);
      expect(bench.send('NO_SPACE')).toEqual(['prepare']);
      expect(bench.send('NO_SPACE')).toEqual([]);
      expect(bench.state).toEqual({ short: 'low' });
    },
  );

  test('what was given back before the episode is no reason to try in it', () => {
    bench.send('FREED');
    bench.send('PREPARED');
    expect(bench.send('NO_SPACE')).toEqual(['lacking']);
    expect(bench.state).toEqual({ short: 'low' });
  });

  test('a success forgets what was given back meanwhile', () => {
    bench.send('NO_SPACE', 'FREED');
    bench.wanted = false;
    bench.send('FREED', 'PREPARED');
    expect(bench.actor.getSnapshot().context.retryNow).toBe(false);
  });

  test('is low while nobody waits, and blocked as soon as somebody does', () => {
    bench.send('NO_SPACE');
    expect(bench.send('NEED')).toEqual([]);
    expect(bench.state).toEqual({ short: 'low' });
    bench.awaited = true;
    expect(bench.send('NEED')).toEqual(['blocked']);
    expect(bench.state).toEqual({ short: 'blocked' });
  });

  test('is blocked at once where somebody waits already', () => {
    bench.awaited = true;
    expect(bench.send('NO_SPACE')).toEqual(['lacking', 'blocked']);
    expect(bench.state).toEqual({ short: 'blocked' });
  });

  test('who begins to wait later is told, too', () => {
    bench.awaited = true;
    bench.send('NO_SPACE');
    expect(bench.send('NEED')).toEqual(['blocked']);
    expect(bench.send('NEED')).toEqual(['blocked']);
  });

  test('a need is no reason to try again', () => {
    bench.awaited = true;
    bench.send('NO_SPACE');
    expect(bench.send('NEED', 'NEED', 'NEED')).not.toContain('prepare');
    expect(bench.pass(99)).toEqual([]);
    expect(bench.pass(1)).toEqual(['prepare']);
  });

  test('another failure during the episode does not end it', () => {
    bench.send('NO_SPACE', 'FREED');
    expect(bench.send('BROKEN')).toEqual([{ broken: 'EIO' }]);
    bench.send('NEED');
    expect(bench.send('NO_SPACE')).toEqual([]);
    bench.send('FREED');
    bench.wanted = false;
    expect(bench.send('PREPARED')).toEqual(['restored']);
  });
});

describe('the end', () => {
  test.each<[string, EventType[]]>([
    ['rested', []],
    ['preparing', ['NEED']],
    ['low', ['NEED', 'NO_SPACE']],
    ['blocked', ['NEED', 'NO_SPACE', 'NEED']],
  ])('when %s, STOP is final: nothing is told, and no timer is left', (_state, path) => {
    bench.awaited = path.length === 3;
    bench.send(...path);
    expect(bench.send('STOP')).toEqual([]);
    expect(bench.state).toBe('stopped');
    expect(bench.actor.getSnapshot().status).toBe('done');
    expect(bench.pass(60_000)).toEqual([]);
  });
});

describe('all of the machine', () => {
  test('every state is reached, and every transition is taken', () => {
    const states = new Set<string>();
    const taken = new Set<unknown>();
    const retry = 'xstate.after.retry.allocator.short';
    const paths: EventType[][] = [[]];
    for (let length = 0; length < 4; length++) {
      for (const path of paths.filter((path) => path.length === length)) {
        for (const type of EVENTS) paths.push([...path, type]);
      }
    }
    for (const path of paths) {
      for (const [before, now] of [
        [false, false],
        [false, true],
        [true, true],
      ] as const) {
        const bench = new Bench();
        bench.awaited = before;
        bench.send(...path);
        bench.wanted = bench.awaited = now;
        const snapshot = bench.actor.getSnapshot();
        const { value, context } = snapshot;
        states.add(typeof value === 'string' ? value : `short.${value.short}`);
        for (const type of [...EVENTS, retry]) {
          const event = { type, cause: 'EIO' } as AllocatorEvent;
          for (const transition of allocatorMachine.getTransitionData(snapshot, event)) {
            taken.add(transition);
            // What is taken at once behind it, without an event.
            for (const target of transition.target ?? []) {
              for (const node of [target, ...Object.values(target.states)]) {
                for (const always of node.always ?? []) {
                  if (always.guard === 'retryNow' ? context.retryNow : now) taken.add(always);
                }
              }
            }
          }
        }
        bench.actor.stop();
      }
    }
    const all = descendants(allocatorMachine.root);
    const leaves = all.filter((node) => Object.keys(node.states).length === 0);
    expect([...states].sort()).toEqual(leaves.map((node) => node.path.join('.')).sort());
    const defined = [allocatorMachine.root, ...all].flatMap((node) =>
      allTransitions(node).flatMap(([, transitions]) => transitions),
    );
    expect(defined.length).toBeGreaterThan(12);
    expect(defined.filter((transition) => !taken.has(transition))).toEqual([]);
  });

  test('whatever happens: one attempt at a time, announced and restored in turns, and never a loop', () => {
    const step = fc.record({
      event: fc.constantFrom<EventType | 'time'>(...EVENTS.slice(0, -1), 'time'),
      wanted: fc.boolean(),
      awaited: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const bench = new Bench();
        let underWay = false;
        let lacking = false;
        for (const { event, wanted, awaited } of steps) {
          bench.wanted = wanted;
          bench.awaited = awaited;
          // The outcome of an attempt comes only where there is one.
          const isOutcome = event === 'PREPARED' || event === 'NO_SPACE' || event === 'BROKEN';
          if (isOutcome && !underWay) continue;
          if (isOutcome) underWay = false;
          const told = event === 'time' ? bench.pass(5000) : bench.send(event);
          for (const what of told) {
            if (what === 'prepare') {
              expect(underWay).toBe(false);
              underWay = true;
            } else if (what === 'lacking') {
              expect(lacking).toBe(false);
              lacking = true;
            } else if (what === 'restored') {
              expect(lacking).toBe(true);
              lacking = false;
            } else if (what === 'blocked') {
              expect(awaited).toBe(true);
            }
          }
          expect(bench.state === 'preparing').toBe(underWay);
          expect(told.filter((what) => what === 'prepare').length).toBeLessThanOrEqual(1);
        }
        bench.actor.stop();
      }),
      { numRuns: runs(200) },
    );
  });
});
