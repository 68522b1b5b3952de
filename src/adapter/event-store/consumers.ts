/** All consumers of a store: their leases, checkpoints and parking lots, and their end. */
import { callback, checkAll, checkSignal } from '../../options.js';
import { eitherSignal, PullStream } from '../../streams/pull-stream.js';
import { Checkpoints, checkConsumerName, revisionOf, type StoredCheckpoint } from './checkpoints.js';
import { Consumer } from './consumer.js';
import { type ConsumeOptions, planConsumer } from './consumer-options.js';
import { checkFrom, cursorsOf, durableCheckpoint } from './cursors.js';
import { anything } from './event-store-options.js';
import { checkExpectedRevision, type ExpectedRevision } from './expected-revision.js';
import { Leases } from './leases.js';
import { type ParkedEvent, ParkingLot, type ReplayHandler, type ReplayResult } from './parking-lot.js';
import type { Committed } from './stream-write.js';
import type { SystemStreams } from './system-streams.js';

export class Consumers {
  readonly #checkpoints: Checkpoints;
  readonly #system: SystemStreams;
  readonly #leases = new Leases();
  readonly #lots = new Map<string, ParkingLot>();
  readonly #running = new Set<Consumer>();

  constructor(system: SystemStreams) {
    this.#system = system;
    this.#checkpoints = new Checkpoints(system);
  }

  consume(options: ConsumeOptions): Consumer {
    const { core } = this.#system;
    core.refuseClosed();
    const plan = planConsumer(options);
    const from = checkFrom(core, options.from ?? 'start');
    const end = durableCheckpoint(core); // now, not when the lease is granted
    const begin = async () => {
      if (from === 'end') return end;
      // What is not durable may come to nothing: the next events would be in its place.
      const durableEnd = durableCheckpoint(core);
      return (await cursorsOf(core, from)).map((cursor, i) => Math.min(cursor - 1, durableEnd[i] as number));
    };
    const lease = this.#leases.request(plan.name);
    const lot = this.#lot(plan.name);
    const consumer = new Consumer({ core, plan, lease, checkpoints: this.#checkpoints, lot, begin });
    this.#running.add(consumer);
    consumer.status$.subscribe({ complete: () => this.#running.delete(consumer) });
    return consumer;
  }

  async readCheckpoint(name: string): Promise<StoredCheckpoint | undefined> {
    this.#system.core.refuseClosed();
    return this.#checkpoints.read(checkConsumerName(name));
  }

  async writeCheckpoint(
    name: string,
    checkpoint: string,
    options: { expectedRevision?: ExpectedRevision },
  ): Promise<{ revision: bigint }> {
    this.#system.core.refuseClosed();
    checkConsumerName(name);
    checkAll(options, { expectedRevision: anything }, 'options');
    const expected = checkExpectedRevision(options.expectedRevision);
    const [committed] = await this.#checkpoints.write(name, this.#checkpoints.check(checkpoint), expected);
    return { revision: revisionOf(committed as Committed) };
  }

  parkedEvents(name: string, options: { signal?: AbortSignal }): PullStream<ParkedEvent> {
    const lot = this.#lot(checkConsumerName(name));
    checkAll(options, { signal: checkSignal }, 'options');
    return new PullStream((ending) => lot.list(eitherSignal(options.signal, ending)));
  }

  async replayParked(name: string, handler: ReplayHandler, options: { signal?: AbortSignal }): Promise<ReplayResult> {
    this.#system.core.refuseClosed();
    checkConsumerName(name);
    callback(handler, 'handler');
    checkAll(options, { signal: checkSignal }, 'options');
    return this.#lot(name).replay(handler, options.signal);
  }

  /** Ends all of them without waiting for handlers. */
  async close(): Promise<void> {
    await Promise.all([...this.#running].map((consumer) => consumer.close()));
  }

  #lot(name: string): ParkingLot {
    const lot = this.#lots.get(name) ?? new ParkingLot(this.#system, name);
    this.#lots.set(name, lot);
    return lot;
  }
}
