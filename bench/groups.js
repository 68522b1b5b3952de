/** All groups of rows, in the order in which they are measured. Each is a file of `groups/` and a process of its own. */

export const GROUPS = /** @type {const} */ ([
  'written',
  'thousand',
  'reading',
  'durable',
  'waiters',
  'latencies',
  'batches',
  'partitions',
  'scanning',
  'scanning-backward',
  'points',
  'following',
  'recovery',
  'opening',
  'purging',
  'growth',
  'rotation',
  'event-loop',
  'memory',
  'events',
  'event-reads',
  'actors',
]);

/**
 * What a group is given to measure with.
 *
 * @typedef {object} Bench
 * @property {boolean} quick
 * @property {number} rounds
 * @property {number} longRounds rounds of what takes long
 * @property {import('./workspace.js').Workspace} workspace
 * @property {(text: string) => void} progress
 * @property {import('./peers/index.js').Peers} peers
 */

/**
 * What each file of `groups/` exports as `group`. Another subject, such as actors on the event store, is another file
 * there and another name above.
 *
 * @typedef {object} Group
 * @property {string} title
 * @property {string} method what is timed, and against what
 * @property {(bench: Bench) => Promise<import('./rows.js').Row[]>} run
 * @property {Chart[]} [charts] drawn from the rows by charts.js
 */

/**
 * @typedef {object} Chart
 * @property {string} name of the file, without its ending
 * @property {string} title
 * @property {import('./rows.js').Unit} unit
 * @property {boolean} logarithmic
 * @property {{ label: string, rows: string[] }[]} bars one group of bars each: ids of the rows; those that were not measured are left out
 */

/** @param {string} name @returns {Promise<Group>} */
export async function loadGroup(name) {
  const { group } = await import(`./groups/${name}.js`);
  return group;
}
