/** All mutants, and those that are enough for a look: some of each kind. */
import { acknowledging } from './lists/acknowledging.js';
import { disk } from './lists/disk.js';
import { eventStore } from './lists/event-store.js';
import { format } from './lists/format.js';
import { names } from './lists/names.js';
import { purging } from './lists/purging.js';
import { reading } from './lists/reading.js';
import { recovery } from './lists/recovery.js';
import { rotation } from './lists/rotation.js';
import { space } from './lists/space.js';
import { syncs } from './lists/syncs.js';
import { taking } from './lists/taking.js';
import { truncating } from './lists/truncating.js';

/** @type {import('./mutant.js').Mutant[]} */
export const mutants = [
  ...syncs,
  ...names,
  ...recovery,
  ...format,
  ...taking,
  ...acknowledging,
  ...rotation,
  ...purging,
  ...truncating,
  ...reading,
  ...space,
  ...disk,
  ...eventStore,
];

/** Ids for the short run: quick to kill. */
export const SHORT = [
  'no-sync-of-manifest',
  'name-of-retired-not-durable',
  'no-proof-behind-damage',
  'scan-ignores-lsn',
  'salt-not-in-checksum',
  'segment-end-off-by-one',
  'append-overtakes',
  'last-waiter-missed',
  'second-sync-forgotten',
  'purge-newest-first',
  'rewind-leaves-cookies',
  'recycled-not-reserved',
  'jobs-of-one-file-at-once',
  'no-sync-before-trust',
  'directory-not-synced-at-open',
  'cookie-off-by-one',
  'acknowledged-early',
  'opened-by-seal-of-old',
  'truncation-lets-appends-in',
  'read-ignores-lsn',
  'leased-handle-closed',
  'quota-is-fatal',
  'lock-not-released',
  'index-filter-says-not-here',
  'purge-of-living-events',
  'scavenge-leaves-out-living',
];
