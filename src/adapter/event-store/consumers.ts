/** All consumers of a store: their leases, their parking lots, and their end. */
import { Checkpoints } from './checkpoints.js';
import { Consumer } from './consumer.js';
import type { ConsumerPlan } from './consumer-options.js';
import { Leases } from './leases.js';
import { ParkingLot } from './parking-lot.js';
import type { Checkpoint } from './position.js';
import type { SystemStreams } from './system-streams.js';

export class Consumers {
  readonly checkpoints: Checkpoints;
  readonly #system: SystemStreams;
  readonly #leases = new Leases();
  readonly #lots = new Map<string, ParkingLot>();
  readonly #running = new Set<Consumer>();

  constructor(system: SystemStreams) {
    this.#system = system;
    this.checkpoints = new Checkpoints(system);
  }

  start(plan: ConsumerPlan, begin: () => Promise<Checkpoint>): Consumer {
    const { checkpoints } = this;
    const lease = this.#leases.request(plan.name);
    const lot = this.lot(plan.name);
    const consumer = new Consumer({ core: this.#system.core, plan, lease, checkpoints, lot, begin });
    this.#running.add(consumer);
    consumer.status$.subscribe({ complete: () => this.#running.delete(consumer) });
    return consumer;
  }

  lot(name: string): ParkingLot {
    const lot = this.#lots.get(name) ?? new ParkingLot(this.#system, name);
    this.#lots.set(name, lot);
    return lot;
  }

  /** Ends all of them without waiting for handlers. */
  async close(): Promise<void> {
    await Promise.all([...this.#running].map((consumer) => consumer.close()));
  }
}
