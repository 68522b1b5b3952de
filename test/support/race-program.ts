/** What several users of one or two partitions do at once, as an arbitrary. */
import fc from 'fast-check';

export type Ack = 'durable' | 'written';
export type Act =
  | { readonly do: 'append'; readonly size: number; readonly ack: Ack }
  | { readonly do: 'burst'; readonly count: number; readonly size: number; readonly ack: Ack }
  | { readonly do: 'batch'; readonly count: number; readonly size: number; readonly ack: Ack }
  | { readonly do: 'write'; readonly size: number }
  | { readonly do: 'sync' | 'rotate' | 'read' | 'verify' | 'rest' }
  | { readonly do: 'purge' | 'truncate'; readonly back: number }
  /** A purge, and beside it something that is inside of the segments that go. */
  | { readonly do: 'chase'; readonly what: 'forward' | 'backward' | 'verify'; readonly back: number }
  /** These go on in the background: until so many records have come, until the log is closed, or until aborted. */
  | { readonly do: 'follow'; readonly count: number; readonly abort: boolean }
  | { readonly do: 'wait'; readonly ahead: number; readonly abort: boolean }
  | { readonly do: 'observe' };

const size = fc.oneof(fc.nat(80), fc.integer({ min: 200, max: 800 }));
const ack = fc.constantFrom<Ack>('durable', 'written');
const what = fc.constantFrom('forward' as const, 'backward' as const, 'verify' as const);
const rarely = fc.constantFrom(false, false, true);
const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('append' as const), size, ack }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('burst' as const), count: fc.integer({ min: 2, max: 8 }), size, ack }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('batch' as const),
      count: fc.integer({ min: 1, max: 4 }),
      size: fc.nat(150),
      ack,
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('write' as const), size }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constantFrom('sync', 'rotate', 'rotate', 'read', 'verify', 'rest') }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('purge' as const), back: fc.nat(10) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('chase' as const), what, back: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('truncate' as const), back: fc.nat(6) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('follow' as const), count: fc.integer({ min: 1, max: 9 }), abort: rarely }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ahead: fc.integer({ min: -2, max: 4 }), abort: rarely }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('observe' as const) }) },
);

export interface RaceProgram {
  /** So many records are in each partition before it begins: about three of them fill a small segment. */
  readonly before: number;
  /** Each of these runs its acts one after another, beside the others. */
  readonly users: readonly { readonly partition: 1 | 2; readonly acts: readonly Act[] }[];
  /** How long the operations of the disk are held back, in turns of the event loop; used round and round. */
  readonly delays: readonly number[];
  readonly segmentSize: number;
  readonly ready: number;
  readonly recycle: number;
  readonly maxUnsyncedBytes: number;
  /** The log is closed before this many acts have come to their end. */
  readonly closeAfter: number;
}

export const raceProgram: fc.Arbitrary<RaceProgram> = fc.record({
  before: fc.oneof(fc.constant(0), fc.nat(14)),
  users: fc.array(
    fc.record({
      partition: fc.constantFrom(1 as const, 1 as const, 2 as const),
      acts: fc.array(act, { minLength: 1, maxLength: 8 }),
    }),
    { minLength: 2, maxLength: 6 },
  ),
  delays: fc.array(fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(12)), { minLength: 1, maxLength: 24 }),
  segmentSize: fc.constantFrom(5 * 1024, 8 * 1024),
  ready: fc.nat(2),
  recycle: fc.nat(2),
  maxUnsyncedBytes: fc.constantFrom(1024, 64 * 1024),
  closeAfter: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.nat(20)),
});
