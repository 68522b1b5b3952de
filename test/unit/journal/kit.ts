/** Journals and stores of states over an event store on a simulated disk, that can be opened again. */
import { type EventStore, type EventStoreOptions, openEventStore } from 'varve';
import { SimulatedDisk } from '../../../src/testing/index.js';

export function open(disk: SimulatedDisk, options: Partial<EventStoreOptions> = {}): Promise<EventStore> {
  return openEventStore({ directory: '/data', disk, segmentSize: 2 * 1024 * 1024, ...options });
}

/** A disk whose clock is that of the world, which the suites look at. */
class PunctualDisk extends SimulatedDisk {
  override now(): number {
    return Date.now();
  }
}

interface Closable {
  close(): Promise<void>;
}

/** Makes one of a kind on a store of its own, and can open it again on the same disk; closing it closes its store. */
export class Place<T extends Closable> {
  readonly #build: (store: EventStore) => T;
  readonly #options: Partial<EventStoreOptions>;
  readonly #disks = new Map<Closable, { disk: SimulatedDisk; store: EventStore }>();

  constructor(build: (store: EventStore) => T, options: Partial<EventStoreOptions> = {}) {
    this.#build = build;
    this.#options = options;
  }

  make = (): Promise<T> => this.#open(new PunctualDisk());

  reopen = async (one: Closable): Promise<T> => {
    const { disk } = this.#placeOf(one);
    await one.close();
    return this.#open(disk);
  };

  storeOf(one: Closable): EventStore {
    return this.#placeOf(one).store;
  }

  #placeOf(one: Closable): { disk: SimulatedDisk; store: EventStore } {
    const place = this.#disks.get(one);
    if (place === undefined) throw new Error('it was not made here');
    return place;
  }

  async #open(disk: SimulatedDisk): Promise<T> {
    const store = await open(disk, this.#options);
    const one = this.#build(store);
    const close = one.close.bind(one);
    one.close = async () => {
      await close();
      await store.close();
    };
    this.#disks.set(one, { disk, store });
    return one;
  }
}

/** What JSON loses, and the codec keeps. */
export const RICH: readonly unknown[] = [
  undefined,
  'a\0b \ud800 事 🪨',
  Number.NaN,
  -0,
  12n,
  new Date(1_700_000_000_000),
  new Map<unknown, unknown>([[{ deep: new Set([1]) }, [undefined, Number.NEGATIVE_INFINITY]]]),
  new Uint8Array([0, 1, 255]),
  new Float64Array([0.1, Number.NaN]),
  { at: new Date(0), $date: 'not a date', missing: undefined },
  /^v\d+$/giu,
];
