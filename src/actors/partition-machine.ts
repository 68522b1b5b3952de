/**
 * The partition machine: what a partition may do, and when.
 *
 * Three parallel regions, so that writing goes on while a sync or a purge runs. The machine is the authority: appends
 * ask for its phase, a sync begins when it enters `syncing`, segments change when it enters `rotating`. It does no
 * work itself; it tells its effects to, and hears of what came of it. A record is not an event of this machine:
 * frames, group commits and segments are.
 *
 *   log:         opening → writing ⇄ rotating ⇄ blocked, rewinding, failed, closing, closed
 *   durability:  idle ⇄ syncing
 *   retention:   idle ⇄ purging
 *
 * Orders that could be illegal are defined here: a close during a rotation or a rewind waits for it; a purge runs
 * beside a rotation, since it touches only sealed segments; a second close changes nothing; after a failure nothing
 * but closing is left; whatever else comes at the wrong time is not taken.
 */
import { type ActorRefFrom, assign, createActor, type SnapshotFrom, setup } from 'xstate';

/** What an append may do: the append path reads this word and nothing else of the machine. */
export type Phase = 'opening' | 'writing' | 'rotating' | 'blocked' | 'rewinding' | 'failed' | 'closing' | 'closed';

/** The work that the machine orders. None of these may throw; each ends in the event named beside it. */
export interface PartitionEffects {
  /** The phase has changed. */
  phase(phase: Phase): void;
  /** Begin to fdatasync, one after the other for as long as that is asked for → SYNCED or FAIL. */
  sync(): void;
  /** Leave the full segment and go on in the next → ROTATED, NO_SPACE or FAIL. Also called when space has returned. */
  rotate(): void;
  /** Rewind the tail → REWOUND or FAIL. */
  rewind(): void;
  /** Purge what was asked for → PURGED. At most one purge is under way. */
  purge(): void;
  /** Bring all to an end → CLOSED. Called once. */
  close(): void;
  /** Reject all that waits. Called with the cause. */
  fail(cause: unknown): void;
  /** Records were taken that still wait for a segment. */
  waiting(): boolean;
}

/** What others ask for. */
export type PartitionCommand =
  | { type: 'SYNC' }
  | { type: 'FULL' }
  | { type: 'REWIND' }
  | { type: 'PURGE' }
  | { type: 'CLOSE' };

/** What became of the work. */
export type PartitionOutcome =
  | { type: 'OPENED' }
  | { type: 'SYNCED' }
  | { type: 'ROTATED' }
  | { type: 'NO_SPACE' }
  | { type: 'SPACE' }
  | { type: 'REWOUND' }
  | { type: 'PURGED' }
  | { type: 'CLOSED' }
  | { type: 'FAIL'; cause: unknown };

export type PartitionEvent = PartitionCommand | PartitionOutcome;

export interface PartitionContext {
  effects: PartitionEffects;
  /** A purge was asked for while one was under way. */
  purgeAgain: boolean;
  /** A close was asked for that waits for a rotation or a rewind to end. */
  closeWanted: boolean;
  /** The partition has failed or is closed: nothing is begun any more. */
  over: boolean;
}

export const partitionMachine = setup({
  types: {
    context: {} as PartitionContext,
    events: {} as PartitionEvent,
    input: {} as { effects: PartitionEffects },
  },
  actions: {
    tellPhase: ({ context }, params: { phase: Phase }) => context.effects.phase(params.phase),
    startSync: ({ context }) => context.effects.sync(),
    startRotation: ({ context }) => context.effects.rotate(),
    startRewind: ({ context }) => context.effects.rewind(),
    startPurge: ({ context }) => context.effects.purge(),
    startClose: ({ context }) => context.effects.close(),
    failAll: ({ context }, params: { cause: unknown }) => context.effects.fail(params.cause),
    wantPurge: assign({ purgeAgain: true }),
    purgeIsNew: assign({ purgeAgain: false }),
    wantClose: assign({ closeWanted: true }),
    end: assign({ over: true, purgeAgain: false }),
  },
  guards: {
    goesOn: ({ context }) => !context.over,
    purgeAgain: ({ context }) => context.purgeAgain,
    closeWanted: ({ context }) => context.closeWanted,
    waiting: ({ context }) => context.effects.waiting(),
  },
}).createMachine({
  id: 'partition',
  type: 'parallel',
  context: ({ input }) => ({
    effects: input.effects,
    purgeAgain: false,
    closeWanted: false,
    over: false,
  }),
  states: {
    log: {
      initial: 'opening',
      states: {
        opening: {
          on: { OPENED: 'writing', FAIL: 'failed', CLOSE: 'closing' },
        },
        writing: {
          entry: { type: 'tellPhase', params: { phase: 'writing' } },
          on: { FULL: 'rotating', REWIND: 'rewinding', CLOSE: 'closing', FAIL: 'failed' },
        },
        rotating: {
          entry: [{ type: 'tellPhase', params: { phase: 'rotating' } }, 'startRotation'],
          on: {
            ROTATED: [
              { guard: 'waiting', target: 'rotating', reenter: true },
              { guard: 'closeWanted', target: 'closing' },
              { target: 'writing' },
            ],
            NO_SPACE: [{ guard: 'closeWanted', target: 'closing' }, { target: 'blocked' }],
            CLOSE: { actions: 'wantClose' },
            FAIL: 'failed',
          },
        },
        blocked: {
          entry: { type: 'tellPhase', params: { phase: 'blocked' } },
          on: {
            SPACE: 'rotating',
            ROTATED: [{ guard: 'waiting', target: 'rotating' }, { target: 'writing' }],
            REWIND: 'rewinding',
            CLOSE: 'closing',
            FAIL: 'failed',
          },
        },
        rewinding: {
          entry: [{ type: 'tellPhase', params: { phase: 'rewinding' } }, 'startRewind'],
          on: {
            REWOUND: [
              { guard: 'waiting', target: 'rotating' },
              { guard: 'closeWanted', target: 'closing' },
              { target: 'writing' },
            ],
            CLOSE: { actions: 'wantClose' },
            FAIL: 'failed',
          },
        },
        failed: {
          entry: [
            'end',
            { type: 'tellPhase', params: { phase: 'failed' } },
            { type: 'failAll', params: ({ event }) => ({ cause: event.type === 'FAIL' ? event.cause : undefined }) },
          ],
          on: { CLOSE: 'closing' },
          always: { guard: 'closeWanted', target: 'closing' },
        },
        closing: {
          entry: [{ type: 'tellPhase', params: { phase: 'closing' } }, 'startClose'],
          on: {
            CLOSED: 'closed',
            FAIL: { actions: ['end', { type: 'failAll', params: ({ event }) => ({ cause: event.cause }) }] },
          },
        },
        closed: {
          entry: ['end', { type: 'tellPhase', params: { phase: 'closed' } }],
          type: 'final',
        },
      },
    },
    durability: {
      initial: 'idle',
      states: {
        idle: {
          on: { SYNC: { guard: 'goesOn', target: 'syncing' } },
        },
        syncing: {
          entry: 'startSync',
          on: {
            SYNCED: 'idle',
            FAIL: 'idle',
          },
        },
      },
    },
    retention: {
      initial: 'idle',
      states: {
        idle: {
          on: { PURGE: { guard: 'goesOn', target: 'purging' } },
        },
        purging: {
          entry: ['purgeIsNew', 'startPurge'],
          on: {
            PURGE: { guard: 'goesOn', actions: 'wantPurge' },
            PURGED: [{ guard: 'purgeAgain', target: 'purging', reenter: true }, { target: 'idle' }],
          },
        },
      },
    },
  },
});

export type PartitionActor = ActorRefFrom<typeof partitionMachine>;
/** The state of each region, as `partition.state` gives it. */
export type PartitionState = SnapshotFrom<typeof partitionMachine>['value'];

/** Starts the actor of one partition. */
export function startPartitionActor(effects: PartitionEffects): PartitionActor {
  const actor = createActor(partitionMachine, { input: { effects } });
  actor.start();
  return actor;
}
