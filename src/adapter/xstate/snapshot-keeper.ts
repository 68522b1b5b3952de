/** When an actor's snapshot is due, and the saving of it. It is best effort: without it more is replayed. */
import type { AnyMachineSnapshot } from 'xstate';
import { jsonCodec } from '../event-store/json-codec.js';
import type { ActorCell } from './actor-cell.js';
import type { CellHost } from './cell-host.js';
import type { ActorState } from './wake-up.js';

const SNAPSHOTS_KEPT = 2;

export class SnapshotKeeper {
  readonly #host: CellHost;
  readonly #cell: ActorCell;
  /** Since the last snapshot. */
  #entries: number;
  #bytes = 0;
  #saving = 0;
  due = false;

  constructor(host: CellHost, cell: ActorCell, entries: number) {
    this.#host = host;
    this.#cell = cell;
    this.#entries = entries;
  }

  get saving(): boolean {
    return this.#saving > 0;
  }

  /** An entry is appended; it leads to this snapshot. */
  count(data: unknown, { status }: AnyMachineSnapshot): void {
    const { snapshotEntries, snapshotBytes } = this.#cell.plan;
    this.#entries++;
    if (snapshotBytes !== Number.POSITIVE_INFINITY) this.#bytes += jsonCodec.encode(data).length;
    if (this.#entries >= snapshotEntries || this.#bytes >= snapshotBytes || status !== 'active') this.due = true;
  }

  async save(revision: number, make: () => ActorState): Promise<void> {
    this.due = false;
    this.#entries = 0;
    this.#bytes = 0;
    this.#saving++;
    const { store, counters } = this.#host;
    const { stream } = this.#cell;
    try {
      await store.saveSnapshot(stream, { revision: BigInt(revision), state: make() }, { keep: SNAPSHOTS_KEPT });
      counters.snapshots++;
    } catch (error) {
      this.#host.report(error, this.#cell, 'saving a snapshot');
    } finally {
      this.#saving--;
      this.#cell.settled();
    }
  }
}
