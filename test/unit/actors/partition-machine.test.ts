import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { initialTransition, type SnapshotFrom, transition } from 'xstate';
import { allTransitions, descendants } from '../../../scripts/diagram-of.js';
import {
  type PartitionEffects,
  type PartitionEvent,
  partitionMachine,
  startPartitionActor,
} from '../../../src/actors/partition-machine.js';
import { runs } from '../../runs.js';

type EventType = PartitionEvent['type'];
type Snapshot = SnapshotFrom<typeof partitionMachine>;

const EVENTS: readonly EventType[] = [
  'OPENED',
  'SYNC',
  'SYNCED',
  'FULL',
  'ROTATED',
  'NO_SPACE',
  'SPACE',
  'REWIND',
  'REWOUND',
  'PURGE',
  'PURGED',
  'CLOSE',
  'CLOSED',
  'FAIL',
];

const eventOf = (type: EventType): PartitionEvent => (type === 'FAIL' ? { type, cause: 'broken' } : { type });

/** The machine as a pure function. What it orders is told in words: `sync`, `phase rotating`, `fail broken`. */
class Walk {
  readonly #host = { waiting: false };
  snapshot: Snapshot;
  orders: string[] = [];

  constructor(path: readonly EventType[] = []) {
    const unused = () => {
      throw new Error('a pure transition does no work');
    };
    const effects: PartitionEffects = {
      phase: unused,
      sync: unused,
      rotate: unused,
      rewind: unused,
      purge: unused,
      close: unused,
      fail: unused,
      waiting: () => this.#host.waiting,
    };
    [this.snapshot] = initialTransition(partitionMachine, { effects });
    for (const type of path) this.send(type);
  }

  /** Records wait for a segment: what the guard `waiting` asks. */
  set waiting(value: boolean) {
    this.#host.waiting = value;
  }

  /** Goes back to where the walk was. */
  back(snapshot: Snapshot): this {
    this.snapshot = snapshot;
    return this;
  }

  send(type: EventType): string[] {
    const [snapshot, actions] = transition(partitionMachine, this.snapshot, eventOf(type));
    this.snapshot = snapshot;
    this.orders = actions.map(({ type, params }) => {
      const { phase, cause } = (params ?? {}) as { phase?: string; cause?: string };
      const word = type.replace(/^start|^tell/, '').toLowerCase();
      return [word, phase ?? cause].filter((part) => part !== undefined).join(' ');
    });
    return this.orders;
  }

  get log(): Snapshot['value']['log'] {
    return this.snapshot.value.log;
  }
}

const isSync = (order: string) => order === 'sync';
const isPurge = (order: string) => order === 'purge';
const isLog = (order: string) => !isSync(order) && !isPurge(order);

describe('the log region', () => {
  const TO_BE_CLOSED = ', to be closed';
  const paths: Record<string, readonly EventType[]> = {
    opening: [],
    writing: ['OPENED'],
    rotating: ['OPENED', 'FULL'],
    [`rotating${TO_BE_CLOSED}`]: ['OPENED', 'FULL', 'CLOSE'],
    blocked: ['OPENED', 'FULL', 'NO_SPACE'],
    rewinding: ['OPENED', 'REWIND'],
    [`rewinding${TO_BE_CLOSED}`]: ['OPENED', 'REWIND', 'CLOSE'],
    failed: ['OPENED', 'FAIL'],
    closing: ['OPENED', 'CLOSE'],
    closed: ['OPENED', 'CLOSE', 'CLOSED'],
  };

  const writing = ['writing', 'phase writing'];
  const rotating = ['rotating', 'phase rotating', 'rotation'];
  const blocked = ['blocked', 'phase blocked'];
  const rewinding = ['rewinding', 'phase rewinding', 'rewind'];
  const failed = ['failed', 'phase failed', 'failall broken'];
  const closing = ['closing', 'phase closing', 'close'];
  const closed = ['closed', 'phase closed'];
  const failedThenClosing = ['closing', 'phase failed', 'failall broken', 'phase closing', 'close'];
  const whileWaiting = { rotating, otherwise: writing };

  /** Where each event leads to, and what is ordered. What is not named here changes nothing. */
  const expected: Record<string, Partial<Record<EventType, string[] | typeof whileWaiting>>> = {
    opening: { OPENED: writing, FAIL: failed, CLOSE: closing },
    writing: { FULL: rotating, REWIND: rewinding, FAIL: failed, CLOSE: closing },
    rotating: { ROTATED: whileWaiting, NO_SPACE: blocked, FAIL: failed, CLOSE: ['rotating'] },
    [`rotating${TO_BE_CLOSED}`]: {
      ROTATED: { rotating, otherwise: closing },
      NO_SPACE: closing,
      FAIL: failedThenClosing,
    },
    blocked: { SPACE: rotating, ROTATED: whileWaiting, REWIND: rewinding, FAIL: failed, CLOSE: closing },
    rewinding: { REWOUND: whileWaiting, FAIL: failed, CLOSE: ['rewinding'] },
    [`rewinding${TO_BE_CLOSED}`]: { REWOUND: { rotating, otherwise: closing }, FAIL: failedThenClosing },
    failed: { CLOSE: closing },
    closing: { CLOSED: closed, FAIL: ['closing', 'failall broken'] },
    closed: {},
  };

  const cases = Object.keys(paths).flatMap((state) => EVENTS.map((event) => [state, event] as const));

  test.each(cases)('in %s, %s', (state, event) => {
    const outcome = expected[state]?.[event] ?? [state.replace(TO_BE_CLOSED, '')];
    for (const waiting of [false, true]) {
      const walk = new Walk(paths[state]);
      walk.waiting = waiting;
      const orders = walk.send(event).filter(isLog);
      const [log, ...ordered] = Array.isArray(outcome) ? outcome : waiting ? outcome.rotating : outcome.otherwise;
      expect({ waiting, log: walk.log, orders }).toEqual({ waiting, log, orders: ordered });
    }
  });

  test('a close that was asked for during a rotation is remembered through as many as it takes', () => {
    const walk = new Walk(['OPENED', 'FULL', 'CLOSE']);
    walk.waiting = true;
    walk.send('ROTATED');
    walk.send('ROTATED');
    walk.waiting = false;
    expect(walk.send('ROTATED')).toEqual(['phase closing', 'close']);
  });

  test('a close that was asked for during a rewind is remembered through the rotation behind it', () => {
    const walk = new Walk(['OPENED', 'REWIND', 'CLOSE']);
    walk.waiting = true;
    expect(walk.send('REWOUND')).toEqual(['phase rotating', 'rotation']);
    expect(walk.send('NO_SPACE')).toEqual(['phase closing', 'close']);
  });

  test('the first phase is told only when the partition has opened', () => {
    const effects = { waiting: () => false } as unknown as PartitionEffects;
    expect(initialTransition(partitionMachine, { effects })[1]).toEqual([]);
  });
});

describe.each([
  ['durability', 'syncing', 'SYNC', 'SYNCED', 'sync', isSync],
  ['retention', 'purging', 'PURGE', 'PURGED', 'purge', isPurge],
] as const)('the %s region', (region, busy, ask, done, order, isOrder) => {
  test('works when it is asked, and rests when it is done', () => {
    const walk = new Walk(['OPENED']);
    expect(walk.snapshot.value[region]).toBe('idle');
    expect(walk.send(ask)).toEqual([order]);
    expect(walk.snapshot.value[region]).toBe(busy);
    expect(walk.send(done)).toEqual([]);
    expect(walk.snapshot.value[region]).toBe('idle');
  });

  test('no other event begins or ends it', () => {
    for (const event of EVENTS) {
      const idle = new Walk(['OPENED']);
      if (event !== ask) expect([event, idle.send(event).filter(isOrder)]).toEqual([event, []]);
      const working = new Walk(['OPENED', ask]);
      working.send(event);
      const ends = event === done || (event === 'FAIL' && region === 'durability');
      expect([event, working.snapshot.value[region]]).toEqual([event, ends ? 'idle' : busy]);
    }
  });

  test('goes on beside a rotation, a rewind, an orderly close, and the other lane', () => {
    for (const path of [['FULL'], ['FULL', 'NO_SPACE'], ['REWIND'], ['CLOSE'], ['SYNC'], ['PURGE']] as EventType[][]) {
      if (path[0] === ask) continue;
      const walk = new Walk(['OPENED', ask, ...path]);
      const before = walk.snapshot.value;
      expect(walk.send(done)).toEqual([]);
      expect(walk.snapshot.value).toEqual({ ...before, [region]: 'idle' });
    }
  });
});

test('a purge that is asked for meanwhile, however often, is one more', () => {
  const walk = new Walk(['OPENED', 'PURGE', 'PURGE', 'PURGE', 'PURGE']);
  expect(walk.orders).toEqual([]);
  expect(walk.send('PURGED')).toEqual(['purge']);
  expect(walk.snapshot.value.retention).toBe('purging');
  expect(walk.send('PURGED')).toEqual([]);
  expect(walk.snapshot.value.retention).toBe('idle');
});

test('a sync that is asked for meanwhile is the business of whoever syncs', () => {
  const walk = new Walk(['OPENED', 'SYNC', 'SYNC']);
  expect(walk.orders).toEqual([]);
  expect(walk.send('SYNCED')).toEqual([]);
  expect(walk.snapshot.value.durability).toBe('idle');
});

describe('orders that could be illegal', () => {
  test('a close during a sync begins at once, and the sync still comes to its end', () => {
    const walk = new Walk(['OPENED', 'SYNC']);
    expect(walk.send('CLOSE')).toEqual(['phase closing', 'close']);
    expect(walk.snapshot.value.durability).toBe('syncing');
    expect(walk.send('SYNCED')).toEqual([]);
    expect(walk.snapshot.value.durability).toBe('idle');
  });

  test('a failure in every region at once', () => {
    const walk = new Walk(['OPENED', 'SYNC', 'PURGE', 'FULL']);
    expect(walk.send('FAIL')).toEqual(['phase failed', 'failall broken']);
    expect(walk.snapshot.value).toEqual({ log: 'failed', durability: 'idle', retention: 'purging' });
    expect(walk.send('SYNCED')).toEqual([]);
    expect(walk.send('FAIL')).toEqual([]);
  });

  // A failed partition orders nothing but its close, and a closed one nothing at all.
  const over: readonly (readonly [string, readonly EventType[]])[] = [
    ['failed', ['OPENED', 'FAIL']],
    ['failed, closing', ['OPENED', 'FAIL', 'CLOSE']],
    ['failed while closing', ['OPENED', 'CLOSE', 'FAIL']],
    ['closed', ['OPENED', 'CLOSE', 'CLOSED']],
  ];
  test.each(over)('no sync when %s', (_state, path) => {
    expect(new Walk([...path, 'SYNC']).orders).toEqual([]);
  });
  test.each(over)('no purge when %s', (_state, path) => {
    expect(new Walk([...path, 'PURGE']).orders).toEqual([]);
  });
  test('no second purge behind the one that was under way when the partition failed', () => {
    expect(new Walk(['OPENED', 'PURGE', 'PURGE', 'FAIL', 'PURGED']).orders).toEqual([]);
  });
});

describe('all of the machine', () => {
  test('every state is reached, and every transition is taken', () => {
    const states = new Set<string>();
    const taken = new Set<unknown>();
    const seen = new Set<string>();
    const walk = new Walk();
    const left = [walk.snapshot];
    for (let snapshot = left.pop(); snapshot !== undefined; snapshot = left.pop()) {
      const { value, context } = snapshot;
      const key = JSON.stringify([value, context.purgeAgain, context.closeWanted]);
      if (seen.has(key)) continue;
      seen.add(key);
      for (const [region, state] of Object.entries(value)) states.add(`${region}.${state}`);
      for (const type of EVENTS) {
        for (const waiting of [false, true]) {
          walk.waiting = waiting;
          for (const transition of partitionMachine.getTransitionData(snapshot, eventOf(type))) {
            taken.add(transition);
            // What is taken at once behind it, without an event.
            for (const always of transition.target?.[0]?.always ?? []) if (context.closeWanted) taken.add(always);
          }
          walk.back(snapshot).send(type);
          left.push(walk.snapshot);
        }
      }
    }
    const all = descendants(partitionMachine.root);
    const leaves = all.filter((node) => Object.keys(node.states).length === 0);
    expect([...states].sort()).toEqual(leaves.map((node) => node.path.join('.')).sort());
    const defined = all.flatMap((node) => allTransitions(node).flatMap(([, transitions]) => transitions));
    expect(defined.length).toBeGreaterThan(30);
    expect(defined.filter((transition) => !taken.has(transition))).toEqual([]);
  });

  const anyEvents = fc.array(fc.tuple(fc.constantFrom(...EVENTS), fc.boolean()), { maxLength: 40 });

  test('whatever comes in whatever order: one piece of work of a kind at a time, and closed is the end', () => {
    fc.assert(
      fc.property(anyEvents, (events) => {
        const walk = new Walk();
        let [syncing, purging, closed, closes] = [false, false, false, 0];
        let phase = 'opening';
        for (const [type, waiting] of events) {
          if (type === 'SYNCED' || type === 'FAIL') syncing = false;
          if (type === 'PURGED') purging = false;
          const before = walk.log;
          walk.waiting = waiting;
          for (const order of walk.send(type)) {
            if (order.startsWith('phase ')) phase = order.slice('phase '.length);
            if (order === 'close') closes++;
            if (isSync(order)) {
              expect(syncing).toBe(false);
              syncing = true;
            }
            if (isPurge(order)) {
              expect(purging).toBe(false);
              purging = true;
            }
            // Files change only in one way at a time, and never behind the end.
            if (order === 'rotation' || order === 'rewind')
              expect(['writing', 'rotating', 'blocked', 'rewinding']).toContain(before);
          }
          // The append path reads the phase and nothing else: it must be the machine's state.
          expect(phase).toBe(walk.log);
          if (closed) expect(walk.log).toBe('closed');
          closed = walk.log === 'closed';
          if (before === 'failed') expect(['failed', 'closing']).toContain(walk.log);
          if (before === 'closing') expect(['closing', 'closed']).toContain(walk.log);
        }
        expect(closes).toBeLessThanOrEqual(1);
      }),
      { numRuns: runs(300) },
    );
  });

  test('whatever comes in whatever order: nothing is ordered after a failure or the end, but closing', () => {
    fc.assert(
      fc.property(anyEvents, (events) => {
        const walk = new Walk();
        let over = false;
        for (const [type, waiting] of events) {
          walk.waiting = waiting;
          const orders = walk.send(type);
          if (over) expect(orders.filter((order) => !/^(phase|close|failall)/.test(order))).toEqual([]);
          over ||= type === 'FAIL' || walk.log === 'closed';
        }
      }),
      { numRuns: runs(300) },
    );
  });
});

test('the actor tells its effects to work, with the cause of a failure', () => {
  const told: unknown[] = [];
  const actor = startPartitionActor({
    phase: (phase) => told.push(phase),
    sync: () => told.push('sync'),
    rotate: () => told.push('rotate'),
    rewind: () => told.push('rewind'),
    purge: () => told.push('purge'),
    close: () => told.push('close'),
    fail: (cause) => told.push({ cause }),
    waiting: () => false,
  });
  const tells = (event: PartitionEvent): unknown[] => {
    actor.send(event);
    return told.splice(0);
  };
  expect(tells({ type: 'OPENED' })).toEqual(['writing']);
  expect(tells({ type: 'SYNC' })).toEqual(['sync']);
  expect(tells({ type: 'PURGE' })).toEqual(['purge']);
  expect(tells({ type: 'FULL' })).toEqual(['rotating', 'rotate']);
  expect(tells({ type: 'ROTATED' })).toEqual(['writing']);
  expect(tells({ type: 'REWIND' })).toEqual(['rewinding', 'rewind']);
  expect(tells({ type: 'FAIL', cause: 'EIO' })).toEqual(['failed', { cause: 'EIO' }]);
  expect(tells({ type: 'CLOSE' })).toEqual(['closing', 'close']);
  expect(tells({ type: 'FAIL', cause: 'later' })).toEqual([{ cause: 'later' }]);
  expect(tells({ type: 'CLOSED' })).toEqual(['closed']);
});
