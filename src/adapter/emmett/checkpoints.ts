/**
 * How far processors are: the global position of the last message that one has dealt with, kept as a named checkpoint of the
 * event store.
 *
 * The store's checkpoints are LSNs, exact to the partition. That of a position lies behind everything up to it, and the
 * newest event up to a checkpoint tells its position: so what Emmett is told is the position that it has stored.
 */
import type { AnyRecordedMessageMetadata } from '@event-driven-io/emmett';
import { VarveError } from '../../errors.js';
import { invalid } from '../../options.js';
import type { EventStore } from '../event-store/event-store.js';
import type { EmmettApi, PositionOf, PositionStyle } from './positions.js';

/** Which processor, in Emmett's words. Without a partition it is Emmett's default one. */
export interface ProcessorName {
  readonly processorId: string;
  readonly partition?: string | undefined;
}

const DEFAULT_PARTITION = 'emt:default';

/** The name of a processor's checkpoint, and of its lock. */
export function nameOf({ processorId, partition = DEFAULT_PARTITION }: ProcessorName): string {
  if (typeof processorId !== 'string' || processorId === '') {
    throw invalid('processorId', processorId, 'a text that is not empty');
  }
  return partition === DEFAULT_PARTITION ? `emmett:${processorId}` : `emmett:${processorId}:${partition}`;
}

export interface StoredPosition {
  /** Undefined where everything up to the checkpoint has been purged: what is there comes behind it. */
  readonly position: bigint | undefined;
  readonly revision: bigint;
}

/** The position that is stored under a name. */
export async function readPosition(store: EventStore, name: string): Promise<StoredPosition | undefined> {
  const stored = await store.readCheckpoint(name);
  if (stored === undefined) return undefined;
  const { checkpoint, revision } = stored;
  const upTo = { from: { checkpoint }, direction: 'backwards', maxCount: 1, filter: { system: true } } as const;
  for await (const { position } of store.readAll(upTo)) return { position, revision };
  return { position: undefined, revision };
}

/** Stores it over `revision`. Gives the new one; rejects with `ERR_VARVE_CHECKPOINT_CONFLICT`. */
export async function writePosition(
  store: EventStore,
  name: string,
  position: bigint,
  revision: bigint | undefined,
): Promise<bigint> {
  const checkpoint = await store.checkpointAt(position);
  return (await store.writeCheckpoint(name, checkpoint, { expectedRevision: revision ?? 'noStream' })).revision;
}

/** The global position of the newest message; undefined in an empty store. */
export async function lastPosition(store: EventStore): Promise<bigint | undefined> {
  for await (const { position } of store.readAll({ direction: 'backwards', maxCount: 1 })) return position;
  return undefined;
}

/** Of a message that was read from this store. */
export function positionOf(message: { readonly metadata: unknown }, style: PositionStyle): bigint {
  const { globalPosition } = message.metadata as AnyRecordedMessageMetadata & { globalPosition?: unknown };
  return style.parse(globalPosition, 'message.metadata.globalPosition');
}

/** Emmett's `Checkpointer`. */
export interface EmmettCheckpointer<Api extends EmmettApi = '0.42'> {
  read(options: ProcessorName): Promise<{ lastCheckpoint: PositionOf<Api> | null }>;
  store(
    options: ProcessorName & {
      readonly message: { readonly metadata: unknown };
      readonly lastCheckpoint: PositionOf<Api> | null;
    },
  ): Promise<
    | { success: true; newCheckpoint: PositionOf<Api> }
    | { success: false; reason: 'IGNORED' | 'MISMATCH' | 'CURRENT_AHEAD' }
  >;
}

/** Stores at once, if what is stored is what the processor takes for it; tells otherwise why not, as Emmett's own does. */
export function makeCheckpointer(
  ready: () => Promise<EventStore>,
  style: PositionStyle,
): EmmettCheckpointer<EmmettApi> {
  return {
    async read(options) {
      const stored = await readPosition(await ready(), nameOf(options));
      const position = stored?.position;
      return { lastCheckpoint: position === undefined ? null : (style.of(position) as PositionOf<EmmettApi>) };
    },
    async store(options) {
      const store = await ready();
      const name = nameOf(options);
      const next = positionOf(options.message, style);
      const last = options.lastCheckpoint === null ? undefined : style.parse(options.lastCheckpoint, 'lastCheckpoint');
      const stored = await readPosition(store, name);
      const current = stored?.position;
      if (current !== undefined && (current === next || current !== last)) {
        const reason = current === next ? 'IGNORED' : current > next ? 'CURRENT_AHEAD' : 'MISMATCH';
        return { success: false, reason };
      }
      try {
        await writePosition(store, name, next, stored?.revision);
      } catch (error) {
        if (!(error instanceof VarveError) || error.code !== 'ERR_VARVE_CHECKPOINT_CONFLICT') throw error;
        return { success: false, reason: 'MISMATCH' };
      }
      return { success: true, newCheckpoint: style.of(next) as PositionOf<EmmettApi> };
    },
  };
}

/** So many messages that nobody handled are worth a checkpoint: they need not be looked through again. */
const SKIPPED_MESSAGES = 4096;

/**
 * The checkpointer of a processor that a consumer runs: it notes what was handled, and stores it once for each batch. The
 * consumer holds the processor's lock, so it stores over what it has read or written itself, and over nothing else.
 */
export class BatchCheckpointer {
  readonly #store: EventStore;
  readonly #name: string;
  readonly #style: PositionStyle;
  #stored: StoredPosition | undefined;
  #handled: bigint | undefined;
  #skipped = 0;

  constructor(store: EventStore, name: string, style: PositionStyle) {
    this.#store = store;
    this.#name = name;
    this.#style = style;
  }

  /** Reads what is stored; before the processor is started. */
  async claim(): Promise<void> {
    this.#stored = await readPosition(this.#store, this.#name);
  }

  get lastCheckpoint(): PositionOf<EmmettApi> | null {
    const position = this.#stored?.position;
    return position === undefined ? null : (this.#style.of(position) as PositionOf<EmmettApi>);
  }

  handled(message: { readonly metadata: unknown }): { success: true; newCheckpoint: PositionOf<EmmettApi> } {
    this.#handled = positionOf(message, this.#style);
    return { success: true, newCheckpoint: this.#style.of(this.#handled) as PositionOf<EmmettApi> };
  }

  /** A batch of so many was dealt with as a whole: what its processor does not handle is done with, too. */
  async batchDone(position: bigint, count: number): Promise<void> {
    this.#skipped += count;
    if (this.#handled !== undefined || this.#skipped >= SKIPPED_MESSAGES) this.#handled = position;
    await this.flush();
  }

  /** Stores what was noted. */
  async flush(): Promise<void> {
    if (this.#handled === undefined) return;
    const position = this.#handled;
    this.#handled = undefined;
    this.#skipped = 0;
    const revision = await writePosition(this.#store, this.#name, position, this.#stored?.revision);
    this.#stored = { position, revision };
  }
}
