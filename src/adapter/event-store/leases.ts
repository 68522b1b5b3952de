/**
 * Leases: of those who ask for one name, one holds it, and the next in line gets it when it is given back.
 *
 * One process owns a log, so a lease lives in its memory and ends with it. What makes it safe to hand on is not the
 * lease itself but the checkpoint: whoever gets a lease writes the checkpoint first, and whoever had it before then
 * finds it at another revision.
 */
import { VarveError } from '../../errors.js';

export class Lease {
  /** Resolves when it is held. */
  readonly granted: Promise<void>;
  #grant: () => void = () => {};
  #state: 'waiting' | 'held' | 'over' = 'waiting';
  readonly #onOver: (lease: Lease) => void;

  constructor(onOver: (lease: Lease) => void) {
    this.#onOver = onOver;
    this.granted = new Promise((resolve) => {
      this.#grant = resolve;
    });
  }

  get held(): boolean {
    return this.#state === 'held';
  }

  grant(): void {
    this.#state = 'held';
    this.#grant();
  }

  /** Gives it back, or leaves the line. Idempotent. */
  release(): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#onOver(this);
  }
}

export class Leases {
  /** By name: who holds it, then who waits, in the order in which they came. */
  readonly #lines = new Map<string, Lease[]>();

  request(name: string): Lease {
    const line = this.#lines.get(name) ?? [];
    this.#lines.set(name, line);
    const lease: Lease = new Lease((over) => {
      line.splice(line.indexOf(over), 1);
      if (line.length === 0) this.#lines.delete(name);
      else if (line[0]?.held === false) line[0].grant();
    });
    line.push(lease);
    if (line[0] === lease) lease.grant();
    return lease;
  }
}

export function leaseLost(name: string, stream?: string): VarveError {
  return new VarveError(
    'ERR_VARVE_LEASE_LOST',
    `The consumer '${name}' has lost its lease: its handler took longer than handlerTimeout. It stores nothing any more.`,
    { consumer: name, ...(stream === undefined ? {} : { stream }) },
  );
}
