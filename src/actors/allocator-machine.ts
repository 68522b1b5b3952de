/**
 * The allocator machine: keeps the queue of prepared segments full, ahead of need, and is the only one that meets a
 * full disk. One for a log; partitions take prepared segments from it.
 *
 *   rested ⇄ preparing → short.low ⇄ short.blocked → preparing → …
 *
 * `short` is one episode of lacking space: it is announced once, tried again when the hook has come to its end, when a
 * purge has given something back, and else with growing delays; never in a loop. `blocked` says that somebody waits.
 */
import { type ActorRefFrom, assign, setup } from 'xstate';

const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5_000;

export interface AllocatorEffects {
  /** Prepare one segment → PREPARED, NO_SPACE or BROKEN. At most one is under way. */
  prepare(): void;
  /** More prepared segments are wanted than there are. */
  wanted(): boolean;
  /** Somebody waits for a prepared segment. */
  awaited(): boolean;
  /** An episode of lacking space begins: announce it, call the hook → HOOK_DONE. Called once an episode. */
  spaceLacking(): void;
  /** Space is still lacking, and somebody waits. */
  blocked(): void;
  /** The episode is over. */
  spaceRestored(): void;
  /** No segment can be prepared, for another reason than space: whoever waits is told. */
  broken(cause: unknown): void;
}

export type AllocatorEvent =
  /** A prepared segment is wanted, or waited for. */
  | { type: 'NEED' }
  | { type: 'PREPARED' }
  | { type: 'NO_SPACE' }
  | { type: 'BROKEN'; cause: unknown }
  | { type: 'HOOK_DONE' }
  /** Something was given back: purged or deleted files. */
  | { type: 'FREED' }
  | { type: 'STOP' };

interface AllocatorContext {
  effects: AllocatorEffects;
  lacking: boolean;
  retryMs: number;
  /** The hook ended or space was given back while an attempt was under way. */
  retryNow: boolean;
}

export const allocatorMachine = setup({
  types: {
    context: {} as AllocatorContext,
    events: {} as AllocatorEvent,
    input: {} as { effects: AllocatorEffects },
  },
  delays: { retry: ({ context }) => context.retryMs },
  actions: {
    prepare: ({ context }) => context.effects.prepare(),
    tellBroken: ({ context }, params: { cause: unknown }) => context.effects.broken(params.cause),
    tellBlocked: ({ context }) => context.effects.blocked(),
    tellLacking: ({ context }) => {
      if (!context.lacking) context.effects.spaceLacking();
    },
    beginEpisode: assign({ lacking: true }),
    tellRestored: ({ context }) => {
      if (context.lacking) context.effects.spaceRestored();
    },
    endEpisode: assign({ lacking: false, retryMs: FIRST_RETRY_MS, retryNow: false }),
    speedUp: assign({ retryMs: FIRST_RETRY_MS }),
    slowDown: assign({ retryMs: ({ context }) => Math.min(context.retryMs * 2, LAST_RETRY_MS) }),
    noteRetry: assign({ retryNow: true }),
    clearRetry: assign({ retryNow: false }),
  },
  guards: {
    wanted: ({ context }) => context.effects.wanted(),
    awaited: ({ context }) => context.effects.awaited(),
    retryNow: ({ context }) => context.retryNow,
  },
}).createMachine({
  id: 'allocator',
  context: ({ input }) => ({ effects: input.effects, lacking: false, retryMs: FIRST_RETRY_MS, retryNow: false }),
  initial: 'rested',
  on: { STOP: '.stopped' },
  states: {
    rested: {
      on: { NEED: { guard: 'wanted', target: 'preparing' } },
    },
    preparing: {
      entry: ['clearRetry', 'prepare'],
      on: {
        // An episode ends when nothing is lacking any more, not with the first segment that could be prepared.
        PREPARED: [
          { guard: 'wanted', target: 'preparing', reenter: true, actions: 'speedUp' },
          { target: 'rested', actions: ['tellRestored', 'endEpisode'] },
        ],
        NO_SPACE: { target: 'short', actions: ['tellLacking', 'beginEpisode'] },
        BROKEN: { target: 'rested', actions: { type: 'tellBroken', params: ({ event }) => ({ cause: event.cause }) } },
        HOOK_DONE: { actions: 'noteRetry' },
        FREED: { actions: 'noteRetry' },
      },
    },
    short: {
      initial: 'low',
      always: { guard: 'retryNow', target: 'preparing' },
      after: { retry: { target: 'preparing', actions: 'slowDown' } },
      on: { HOOK_DONE: 'preparing', FREED: 'preparing' },
      states: {
        low: {
          always: { guard: 'awaited', target: 'blocked' },
          on: { NEED: { guard: 'awaited', target: 'blocked' } },
        },
        blocked: {
          entry: 'tellBlocked',
          on: { NEED: { guard: 'awaited', actions: 'tellBlocked' } },
        },
      },
    },
    stopped: { type: 'final' },
  },
});

export type AllocatorActor = ActorRefFrom<typeof allocatorMachine>;
