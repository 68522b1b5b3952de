/** All rows, in the order in which they are measured. */
import { batches } from './groups/batches.js';
import { durable } from './groups/durable.js';
import { memory } from './groups/memory.js';
import { opening } from './groups/opening.js';
import { reading } from './groups/reading.js';
import { recovery } from './groups/recovery.js';
import { rotation } from './groups/rotation.js';
import { thousand } from './groups/thousand.js';
import { waiters } from './groups/waiters.js';
import { written } from './groups/written.js';

/**
 * What a group is given to measure with.
 *
 * @typedef {object} Bench
 * @property {boolean} quick
 * @property {number} rounds
 * @property {number} longRounds rounds of what takes long
 * @property {import('./workspace.js').Workspace} workspace
 * @property {(text: string) => void} progress
 */

/**
 * @typedef {object} Group
 * @property {string} name as given to --only
 * @property {string} title
 * @property {string} method what is timed, and against what
 * @property {(bench: Bench) => Promise<import('./rows.js').Row[]>} run
 */

/** @type {readonly Group[]} */
export const GROUPS = [written, thousand, reading, durable, waiters, batches, rotation, recovery, opening, memory];
