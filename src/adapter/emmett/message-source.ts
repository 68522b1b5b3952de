/** What a consumer of Emmett 0.43 reads from: a subscription, which waits for what comes instead of asking again. */
import type { AnyEvent, ReadEvent } from '@event-driven-io/emmett';
import { signalCheck } from '../../options.js';
import type { EventStore } from '../event-store/event-store.js';
import { lastPosition } from './checkpoints.js';
import { toReadEvent } from './messages.js';
import type { EmmettApi, PositionOf, PositionStyle, VarveReadEventMetadata } from './positions.js';

/** Where a processor begins, in Emmett's words. Undefined is the beginning. */
export type StartPosition<Api extends EmmettApi = EmmettApi> =
  | 'BEGINNING'
  | 'END'
  | { readonly lastCheckpoint: PositionOf<Api> }
  | undefined;

/** Emmett's `MessageSource`. */
export interface VarveMessageSource<Api extends EmmettApi = '0.42'> {
  /** Messages in the order of their positions, and a marker when all that was there has been delivered. */
  read(options: {
    from: StartPosition<Api>;
    batchSize?: number;
    signal: AbortSignal;
  }): AsyncIterable<ReadEvent<AnyEvent, VarveReadEventMetadata<Api>> | CaughtUp<Api>>;
  /** The position of the newest message; null in an empty store. */
  readLastMessageCheckpoint(): Promise<PositionOf<Api> | null>;
  /** The store is closed by whoever has opened it. */
  close(): Promise<void>;
}

const CAUGHT_UP = '__emt:MessageSourceCaughtUp';

/** A message of the source about itself. */
export interface CaughtUp<Api extends EmmettApi> {
  readonly type: typeof CAUGHT_UP;
  readonly kind: 'Event';
  readonly data: { readonly checkpoint: PositionOf<Api> };
  readonly metadata: { readonly checkpoint: PositionOf<Api> };
}

/**
 * The position to subscribe from. Of the end it is the one that comes next now, so that it is known what was there before.
 * Throws `ERR_VARVE_INVALID_OPTION`.
 */
export async function toFrom(store: EventStore, start: StartPosition, style: PositionStyle): Promise<bigint> {
  if (start === undefined || start === 'BEGINNING') return 1n;
  if (start === 'END') return ((await lastPosition(store)) ?? 0n) + 1n;
  return style.parse(start.lastCheckpoint, 'lastCheckpoint') + 1n;
}

export function makeMessageSource(
  ready: () => Promise<EventStore>,
  style: PositionStyle,
): VarveMessageSource<EmmettApi> {
  const told = (position: bigint) => style.of(position) as PositionOf<EmmettApi>;
  return {
    async *read({ from, signal }) {
      signalCheck(signal, 'signal');
      const store = await ready();
      const begin = await toFrom(store, from, style);
      let last = begin - 1n;
      try {
        for await (const message of store.subscribeToAll({ from: begin, signal }).messages()) {
          if (signal.aborted) return;
          if (message.kind === 'event') {
            last = message.event.position;
            yield toReadEvent(message.event, style) as ReadEvent<AnyEvent, VarveReadEventMetadata<EmmettApi>>;
          } else if (message.kind === 'caughtUp') {
            const checkpoint = told(last);
            yield { type: CAUGHT_UP, kind: 'Event', data: { checkpoint }, metadata: { checkpoint } };
          }
        }
      } catch (error) {
        if (!signal.aborted) throw error; // it was told to end
      }
    },
    async readLastMessageCheckpoint() {
      const position = await lastPosition(await ready());
      return position === undefined ? null : told(position);
    },
    close: () => Promise.resolve(),
  };
}
