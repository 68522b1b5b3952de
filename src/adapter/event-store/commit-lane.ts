/**
 * The one way into a partition: appends are decided one after another, in the order in which they were asked for.
 *
 * What was asked for in one turn is decided against the streams' heads and goes into the log as one batch. A batch is
 * decided only when the one before it is in the log, so a refused batch never leaves a gap; it does not wait for the
 * one before to be durable, so all that is under way shares the log's syncs.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { VarveError } from '../../errors.js';
import { type Batch, type BatchHost, makeBatch, type PlacedWrite, placeWrite } from './batch.js';
import type { EarlierAppends } from './earlier-appends.js';
import type { EnginePartition } from './engine.js';
import { envelopeId } from './envelope.js';
import { checkExpected, type ExpectedRevision } from './expected-revision.js';
import { isMetadataStream, type StreamState } from './stream-state.js';
import type { StreamStates } from './stream-states.js';
import type { Committed, StreamWrite } from './stream-write.js';

export interface Append {
  readonly writes: readonly StreamWrite[];
  readonly bytes: number;
  readonly written: boolean;
  readonly resolve: (committed: readonly Committed[]) => void;
  readonly reject: (error: unknown) => void;
}

export interface LaneLimits {
  /** Appends that may wait. */
  readonly maxQueuedAppends: number;
  /** A batch is closed before it is larger than this; an append that is larger is a batch by itself. */
  readonly batchBytes: number;
}

/** What the lane asks of the store. */
export interface LaneHost extends BatchHost {
  readonly states: StreamStates;
  readonly earlier: EarlierAppends;
  /** A batch is in the log; `states` are those of its streams, with the heads that they have now. */
  appended(batch: Batch, states: ReadonlyMap<string, StreamState>, firstLsn: number, segment: number): void;
  /** Layers of the partition's index that wait in memory to be files. */
  unfiled(partition: number): number;
  /** A batch is durable, or will never be. */
  settled(batch: Batch): void;
}

interface Decided {
  readonly append: Append;
  /** By write: where its events are going to be, or where they were found, since they had been appended before. */
  readonly places: readonly (PlacedWrite | Committed)[];
}

type Work = () => Promise<void>;

/** While one index file is being made, the event loop has a turn after so many batches. */
const BATCHES_A_TURN = 2;

/** When one append has to wait for the state of its stream, those of so many behind it are looked up meanwhile. */
const AHEAD = 128;

export class CommitLane {
  readonly #partition: EnginePartition;
  readonly #host: LaneHost;
  readonly #streams: StreamStates;
  readonly #earlier: EarlierAppends;
  readonly #limits: LaneLimits;
  #queue: (Append | Work)[] = [];
  #running = false;
  /** The batch in progress: appends, their bytes, and the streams that they touch. */
  #decided: Decided[] = [];
  #decidedBytes = 0;
  #states = new Map<string, StreamState>();
  /** Ids that their writers gave to events of the batch. */
  #ids = new Set<string>();
  /** States of the streams of the append that is being decided, by write; there may be more behind them. */
  readonly #deciding: StreamState[] = [];
  /** What tells those that are refused. */
  #refused: (() => void)[] = [];
  /** Grows with each batch by the layers that wait to be files. */
  #owedTurns = 0;
  #stopped: VarveError | undefined;
  readonly #onIdle: (() => void)[] = [];

  constructor(partition: EnginePartition, host: LaneHost, limits: LaneLimits) {
    this.#partition = partition;
    this.#host = host;
    this.#streams = host.states;
    this.#earlier = host.earlier;
    this.#limits = limits;
  }

  /** Throws `ERR_VARVE_BACKPRESSURE`. */
  push(append: Append): void {
    const { maxQueuedAppends } = this.#limits;
    if (this.#queue.length >= maxQueuedAppends) {
      const { number: partition } = this.#partition;
      throw new VarveError(
        'ERR_VARVE_BACKPRESSURE',
        `${maxQueuedAppends} appends to partition ${partition} wait already. Await some of them, or raise maxQueuedAppends.`,
        { partition, limit: maxQueuedAppends },
      );
    }
    this.#enqueue(append);
  }

  /** Runs `work` alone in its turn: what was asked for before is in the log, nothing after it has been decided. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#enqueue(async () => {
        if (this.#stopped !== undefined) reject(this.#stopped);
        else await work().then(resolve, reject);
      });
    });
  }

  /**
   * Appends what `make` makes of a stream's state, if the stream is as expected; nothing comes between. Resolves when it
   * is durable.
   */
  async change(
    stream: string,
    expected: ExpectedRevision,
    make: (state: StreamState) => StreamWrite,
  ): Promise<Committed> {
    const [committed] = await this.insert(async () => {
      const state = await this.#streams.of(stream);
      checkExpected([{ stream, expected }], [state]);
      return [make(state)];
    });
    return committed as Committed;
  }

  /**
   * Appends what `make` says, in a turn of its own: it sees what was asked for before, and nothing comes between. Resolves
   * when that is durable, and all that came before it.
   */
  insert(make: () => Promise<readonly StreamWrite[]>, written = false): Promise<readonly Committed[]> {
    return new Promise((resolve, reject) => {
      this.#enqueue(async () => {
        try {
          if (this.#stopped !== undefined) throw this.#stopped;
          const writes = await make();
          const states = await Promise.all(writes.map(({ stream }) => this.#streams.of(stream)));
          this.#place({ writes, bytes: 0, written, resolve, reject }, states);
        } catch (error) {
          this.#refused.push(() => reject(error));
        }
        await this.#flush();
      });
    });
  }

  /** Why nothing is taken any more; undefined while all is well. */
  get stopped(): VarveError | undefined {
    return this.#stopped;
  }

  /** Takes nothing any more: what waits and what comes is rejected with `error`. */
  stop(error: VarveError): void {
    this.#stopped ??= error;
  }

  /** Resolves when nothing waits. */
  async idle(): Promise<void> {
    if (this.#running) await new Promise<void>((resolve) => this.#onIdle.push(resolve));
  }

  #enqueue(item: Append | Work): void {
    this.#queue.push(item);
    if (this.#running) return;
    this.#running = true;
    queueMicrotask(() => void this.#run());
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0) {
      const queue = this.#queue;
      this.#queue = [];
      let askedFor = 0;
      for (let i = 0; i < queue.length; i++) {
        const item = queue[i] as Append | Work;
        if (typeof item === 'function') {
          await this.#flush();
          await item();
          continue;
        }
        if (this.#decidedBytes + item.bytes > this.#limits.batchBytes) await this.#flush();
        const deciding = this.#decide(item);
        if (deciding === undefined) continue;
        if (i >= askedFor) {
          askedFor = i + AHEAD;
          this.#askFor(queue.slice(i + 1, askedFor));
        }
        await deciding;
      }
      await this.#flush();
    }
    this.#running = false;
    for (const tell of this.#onIdle.splice(0)) tell();
  }

  /** Has the states of streams that are going to be needed looked up, all at once. */
  #askFor(items: readonly (Append | Work)[]): void {
    for (const item of items) {
      if (typeof item === 'function') continue;
      for (const { stream } of item.writes) {
        const state = this.#states.get(stream) ?? this.#streams.of(stream);
        if (state instanceof Promise) state.catch(() => {}); // told when it is asked for again
      }
    }
  }

  /** Decides one append, at once where all that this takes is at hand. */
  #decide(append: Append): Promise<void> | undefined {
    if (this.#stopped !== undefined) {
      append.reject(this.#stopped);
      return undefined;
    }
    const { writes } = append;
    const states = this.#deciding;
    for (let i = 0; i < writes.length; i++) {
      const write = writes[i] as StreamWrite;
      const { stream } = write;
      const state = this.#states.get(stream) ?? this.#streams.of(stream);
      if (state instanceof Promise) return this.#decideLater(append);
      if (isMetadataStream(stream) || (write.idsGiven && this.#mayBeKnown(write, state)))
        return this.#decideLater(append);
      states[i] = state;
    }
    this.#place(append, states);
    return undefined;
  }

  #mayBeKnown(write: StreamWrite, state: StreamState): boolean {
    const [first] = write.events;
    return first !== undefined && (this.#ids.has(envelopeId(first.bytes)) || this.#earlier.mayHave(write, state));
  }

  async #decideLater(append: Append): Promise<void> {
    const { writes } = append;
    try {
      const states = await Promise.all(
        writes.map(({ stream }) => this.#states.get(stream) ?? this.#streams.of(stream)),
      );
      const known = (write: StreamWrite, i: number) =>
        write.idsGiven && this.#mayBeKnown(write, states[i] as StreamState);
      if (writes.some(known)) {
        await this.#flush(); // what is compared with is read from the log
        const find = (write: StreamWrite, i: number) => this.#earlier.find(write, states[i] as StreamState);
        const found = await Promise.all(
          writes.map((write, i) => (write.events.length > 0 ? find(write, i) : undefined)),
        );
        if (writes.every((write, i) => write.events.length === 0 || found[i] !== undefined)) {
          const places = found.map(
            (earlier, i) => earlier ?? placeWrite(writes[i] as StreamWrite, states[i] as StreamState),
          );
          this.#decided.push({ append, places });
          return;
        }
      }
      // What metadata say counts for the next append, and not before they are in the log.
      const metadata = writes.some(({ stream }) => isMetadataStream(stream));
      if (metadata) await this.#flush();
      this.#place(append, states);
      if (metadata) await this.#flush();
    } catch (error) {
      append.reject(error);
    }
  }

  #place(append: Append, states: readonly StreamState[]): void {
    const { writes } = append;
    try {
      checkExpected(writes, states);
    } catch (error) {
      this.#refused.push(() => append.reject(error));
      return;
    }
    const places = new Array<PlacedWrite>(writes.length); // of the right size at once: one that grows takes room for many
    for (let i = 0; i < writes.length; i++) {
      const write = writes[i] as StreamWrite;
      const state = states[i] as StreamState;
      const { stream, events, idsGiven } = write;
      if (idsGiven) for (const { bytes } of events) this.#ids.add(envelopeId(bytes));
      const placed = placeWrite(write, state);
      places[i] = placed;
      if (events.length > 0) state.nextHead = placed.nextRevision - 1;
      this.#states.set(stream, state);
    }
    this.#decided.push({ append, places });
    this.#decidedBytes += append.bytes;
  }

  /** Puts what was decided into the log. */
  async #flush(): Promise<void> {
    if (this.#decided.length > 0) {
      await this.#appendDecided();
      // Index files are made in turns of the event loop: else they fall behind, and what they hold fills the memory.
      this.#owedTurns += this.#host.unfiled(this.#partition.number);
      if (this.#owedTurns >= BATCHES_A_TURN) {
        this.#owedTurns = 0;
        await nextTurn();
      }
    }
    if (this.#refused.length > 0) this.#tellRefused();
  }

  /** When what they were refused for is durable: whoever reads then, to try again, sees it. */
  #tellRefused(): void {
    const refused = this.#refused;
    this.#refused = [];
    const tell = () => {
      for (const reject of refused) reject();
    };
    const { writtenLsn, durableLsn } = this.#partition;
    if (writtenLsn <= durableLsn) tell();
    else this.#partition.waitFor(writtenLsn).then(tell, tell);
  }

  async #appendDecided(): Promise<void> {
    const decided = this.#decided;
    const states = this.#states;
    this.#decided = [];
    this.#decidedBytes = 0;
    this.#states = new Map();
    this.#ids = new Set();
    const writes: PlacedWrite[] = [];
    let events = 0;
    for (const { places } of decided) {
      for (const at of places) {
        if (!('write' in at) || at.write.events.length === 0) continue;
        writes.push(at);
        events += at.write.events.length;
      }
    }
    const { batch, payloads } = makeBatch(this.#host, this.#partition.number, writes, events);
    let lastLsn = this.#partition.writtenLsn;
    try {
      if (events > 0) {
        const appended = await this.#partition.appendBatch(payloads, { ack: 'written' });
        lastLsn = appended.lastLsn;
        for (const state of states.values()) state.head = state.nextHead;
        this.#host.appended(batch, states, appended.firstLsn, appended.position.segmentIndex);
      }
    } catch (error) {
      for (const state of states.values()) state.nextHead = state.head;
      this.#host.settled(batch);
      for (const { append } of decided) append.reject(error);
      return;
    }
    const durable = lastLsn === 0 ? Promise.resolve() : this.#partition.waitFor(lastLsn);
    const settled = () => this.#host.settled(batch);
    durable.then(settled, settled); // before those who wait hear of it
    for (const { append, places } of decided) if (append.written) append.resolve(places);
    durable.then(
      () => {
        for (const { append, places } of decided) if (!append.written) append.resolve(places);
      },
      (error: unknown) => {
        for (const { append } of decided) append.reject(error); // one that was told before does not hear it
      },
    );
  }
}
