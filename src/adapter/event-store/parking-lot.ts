/**
 * Parked events of one consumer: what its handler could not deal with, as links in the stream `$parked-<name>`.
 *
 * An event leaves when it was replayed. If it is the oldest, the stream is truncated up to the next one; else an event
 * of type `$unparked` says so. So the stream holds what is parked and little more.
 */
import { inspect } from 'node:util';
import { readStreamEvents } from './read-stream.js';
import type { RecordedEvent } from './recorded-event.js';
import type { StreamWrite } from './stream-write.js';
import type { SystemStreams } from './system-streams.js';

/** Characters of an error's message and stack that are kept. */
const MAX_ERROR_TEXT = 4096;

export interface ParkedError {
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
  readonly code?: string;
}

/** A link to an event that was given up, and why. */
export interface ParkedEvent {
  /** Revision in the stream `$parked-<name>`. */
  readonly parkedRevision: bigint;
  readonly stream: string;
  readonly revision: bigint;
  readonly position: bigint;
  /** How often it was tried. */
  readonly attempts: number;
  /** What the handler threw the last time. */
  readonly error: ParkedError;
}

export interface ReplayResult {
  readonly replayed: number;
  /** Events that are not there any more: deleted, truncated, too old. They have left the parking lot, too. */
  readonly gone: number;
  /** What the handler threw again. These stay. */
  readonly failed: readonly { readonly parked: ParkedEvent; readonly error: unknown }[];
}

export type ReplayHandler = (event: RecordedEvent, parked: ParkedEvent) => void | Promise<void>;

/** What is stored of it. */
type Link = Omit<ParkedEvent, 'parkedRevision'>;

export function linkTo({ stream, revision, position }: RecordedEvent, error: unknown, attempts: number): Link {
  return { stream, revision, position, attempts, error: describe(error) };
}

export class ParkingLot {
  readonly #system: SystemStreams;
  readonly #stream: string;
  /** Revisions of what is parked, ascending. */
  readonly #parked = new Set<number>();
  #loading: Promise<void> | undefined;
  #replaying: Promise<unknown> = Promise.resolve();

  constructor(system: SystemStreams, name: string) {
    this.#system = system;
    this.#stream = `$parked-${name}`;
  }

  get count(): number {
    return this.#parked.size;
  }

  /** Reads what is there, the first time. */
  load(): Promise<void> {
    this.#loading ??= this.#load().catch((error: unknown) => {
      this.#loading = undefined;
      throw error;
    });
    return this.#loading;
  }

  async #load(): Promise<void> {
    this.#parked.clear();
    for await (const { type, revision, data } of this.#events()) {
      if (type === '$parked') this.#parked.add(Number(revision));
      else this.#parked.delete(Number((data as { revision: bigint }).revision));
    }
  }

  /** What parks an event; `entered` must be told of it when it is done. */
  write(link: Link): StreamWrite {
    return this.#system.write(this.#stream, { type: '$parked', data: link });
  }

  entered(revision: number): void {
    this.#parked.add(revision);
  }

  /** Oldest first. */
  async *list(signal: AbortSignal | undefined): AsyncGenerator<ParkedEvent[]> {
    this.#system.core.refuseClosed();
    await this.load();
    for await (const event of this.#events(signal)) {
      if (!this.#parked.has(Number(event.revision))) continue;
      yield [{ ...(event.data as Link), parkedRevision: event.revision }];
    }
  }

  /** One replay at a time. */
  replay(handler: ReplayHandler, signal: AbortSignal | undefined): Promise<ReplayResult> {
    const replaying = this.#replaying.then(() => this.#replay(handler, signal));
    this.#replaying = replaying.catch(() => {}); // told to whoever asked for it
    return replaying;
  }

  async #replay(handler: ReplayHandler, signal: AbortSignal | undefined): Promise<ReplayResult> {
    let replayed = 0;
    let gone = 0;
    const failed: { parked: ParkedEvent; error: unknown }[] = [];
    for await (const [parked] of this.list(signal)) {
      if (parked === undefined) continue;
      signal?.throwIfAborted();
      const event = await this.#follow(parked);
      if (event === undefined) gone++;
      else {
        try {
          await handler(event, parked);
        } catch (error) {
          failed.push({ parked, error });
          continue;
        }
        replayed++;
      }
      await this.#leave(Number(parked.parkedRevision));
    }
    return { replayed, gone, failed };
  }

  async #follow({ stream, revision }: ParkedEvent): Promise<RecordedEvent | undefined> {
    for await (const [event] of this.#read(stream, Number(revision), Number(revision))) return event;
    return undefined;
  }

  async #leave(revision: number): Promise<void> {
    const [oldest, next = revision + 1] = this.#parked;
    await this.#system.insert(this.#stream, async () => [
      revision === oldest
        ? await this.#system.metadata(this.#stream, { truncateBefore: next })
        : this.#system.write(this.#stream, { type: '$unparked', data: { revision: BigInt(revision) } }),
    ]);
    this.#parked.delete(revision);
  }

  #events(signal?: AbortSignal): AsyncGenerator<RecordedEvent, void> {
    const pieces = this.#read(this.#stream, 0, Number.MAX_SAFE_INTEGER, signal);
    return (async function* () {
      for await (const piece of pieces) yield* piece;
    })();
  }

  #read(stream: string, from: number, to: number, signal?: AbortSignal): AsyncGenerator<RecordedEvent[]> {
    return readStreamEvents(this.#system.core, stream, {
      from,
      to,
      backward: false,
      maxCount: Number.MAX_SAFE_INTEGER,
      ifMissing: 'empty',
      signal,
    });
  }
}

function describe(error: unknown): ParkedError {
  // Not `instanceof`: an error may come from another realm.
  if (typeof error !== 'object' || error === null || !('message' in error)) {
    return { name: typeof error, message: cut(inspect(error)) };
  }
  const { name, message, stack, code } = error as Partial<Record<'name' | 'message' | 'stack' | 'code', unknown>>;
  return {
    name: cut(String(name)),
    message: cut(String(message)),
    ...(typeof stack === 'string' ? { stack: cut(stack) } : {}),
    ...(typeof code === 'string' ? { code: cut(code) } : {}),
  };
}

const cut = (text: string): string => text.slice(0, MAX_ERROR_TEXT);
