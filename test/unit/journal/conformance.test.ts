/** The journal and the stores of states over the event store, held to the suites of varve/testing. */
import { describe, test } from '@jest/globals';
import type { EventStore, EventStoreOptions } from 'varve';
import { EventStoreJournal, EventStoreSnapshots, EventStoreStates } from 'varve/journal';
import {
  durableStateConformance,
  journalConformance,
  registerCases,
  snapshotStoreConformance,
} from '../../../src/testing/index.js';
import { Place, RICH } from './kit.js';

const unstorable = { run: () => {} };

describe.each<[string, Partial<EventStoreOptions>]>([
  ['one partition', {}],
  ['three partitions', { partitions: 3 }],
])('in %s', (_name, options) => {
  describe('the journal', () => {
    const place = new Place((store) => new EventStoreJournal(store), options);
    registerCases(journalConformance(place.make, { unstorable, samples: RICH, reopen: place.reopen }), { test });
  });

  describe('the store of durable states', () => {
    const place = new Place((store) => new EventStoreStates(store), options);
    registerCases(durableStateConformance(place.make, { unstorable, samples: RICH, reopen: place.reopen }), { test });
  });

  describe('the snapshot store', () => {
    /** Told to, it refuses everything that a deletion would do. */
    const broken = new WeakSet<EventStore>();
    const unwell = (store: EventStore): EventStore =>
      new Proxy(store, {
        get(target, name) {
          if (name === 'truncateStream' && broken.has(target))
            return () => Promise.reject(new Error('the disk is unwell'));
          const value = Reflect.get(target, name, target);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
    const place = new Place((store) => new EventStoreSnapshots(unwell(store), { onPruneError: () => {} }), options);
    const breakPruning = (store: object) => {
      broken.add(place.storeOf(store as EventStoreSnapshots));
    };
    registerCases(snapshotStoreConformance(place.make, { reopen: place.reopen, breakPruning }), { test });
  });
});
