/**
 * Recognizes an append that was made before, by the ids that its writer has given to its events: such a repetition changes
 * nothing, and has the result of the first time.
 *
 * With an expected revision the place of its events is known, and the log tells whether they are there. Else they are
 * looked for among the ids that are remembered.
 */
import { LRUCache } from 'lru-cache';
import { decodeHead, envelopeCreated, envelopeId } from './envelope.js';
import type { StoreCore } from './store-core.js';
import type { StreamState } from './stream-state.js';
import type { Committed, PreparedEvent, StreamWrite } from './stream-write.js';

/** Ids of events that are remembered. */
const REMEMBERED_IDS = 65_536;

export class EarlierAppends {
  readonly #core: Pick<StoreCore, 'partitionOf' | 'records'>;
  /** Event id → where it went. */
  readonly #ids = new LRUCache<string, { readonly stream: string; readonly revision: number }>({ max: REMEMBERED_IDS });

  constructor(core: Pick<StoreCore, 'partitionOf' | 'records'>) {
    this.#core = core;
  }

  /** Remembers an event whose id its writer has given. */
  remember(payload: Uint8Array, stream: string, revision: number): void {
    this.#ids.set(envelopeId(payload), { stream, revision });
  }

  /** True if this may be the repetition of an earlier append: only then `find` is asked. */
  mayHave({ expected, events }: StreamWrite, state: StreamState): boolean {
    const first = events[0];
    if (first === undefined) return false;
    if (expected === 'any' || expected === 'streamExists') return this.#ids.has(envelopeId(first.bytes));
    const head = typeof expected === 'bigint' ? Number(expected) : -1;
    return state.nextHead > head;
  }

  /** What an append of the same events has led to before; undefined where there was none. Reads the log. */
  async find({ stream, expected, events }: StreamWrite, state: StreamState): Promise<Committed | undefined> {
    const remembered = this.#ids.get(envelopeId((events[0] as PreparedEvent).bytes));
    let firstRevision: number;
    if (typeof expected === 'bigint') firstRevision = Number(expected) + 1;
    else if (remembered?.stream === stream) firstRevision = remembered.revision;
    else if (expected === 'noStream' || expected === 'newStream') firstRevision = 0;
    else return undefined;
    const nextRevision = firstRevision + events.length;
    if (nextRevision > state.head + 1) return undefined;
    const { index, log } = this.#core.partitionOf(stream);
    const lsns: number[] = [];
    for await (const range of index.lsnsOf(stream, firstRevision, nextRevision - 1)) lsns.push(...range);
    if (lsns.length !== events.length) return undefined;
    const found = await this.#core.records.readKept(log, lsns);
    if (found.length < lsns.length) return undefined;
    const same = found.every(
      ({ payload }, i) => envelopeId(payload) === envelopeId((events[i] as PreparedEvent).bytes),
    );
    if (!same) return undefined;
    const { payload } = found[0] as { payload: Uint8Array };
    return {
      firstRevision,
      nextRevision,
      firstPosition: decodeHead(payload).position,
      created: firstRevision === 0,
      time: envelopeCreated(payload),
    };
  }
}
