/**
 * What is aimed at, by the id of the row, on a machine such as the one that docs/benchmarks.md describes. Missing a target
 * fails nothing: it is shown, and has to be explained.
 */

/** @typedef {import('./rows.js').Target} Target */

/** @param {Target['is']} is @param {number} than @returns {Target} */
const value = (is, than) => ({ of: 'value', is, than });

/** @param {Target['is']} is @param {number} than @returns {Target} */
const ratio = (is, than) => ({ of: 'ratio', is, than });

/** @param {string[]} ids @param {...Target} targets */
const all = (ids, ...targets) => Object.fromEntries(ids.map((id) => [id, targets]));

const SHAPES = ['1k', '1k-shared', '16k'];
const SCANNED_PEERS = ['sqlite', 'lmdb', 'classic-level', 'rocksdb', 'event-storage'];

/** @type {Readonly<Record<string, readonly Target[]>>} */
export const TARGETS = {
  'append-8-mmap': [value('≤', 0.6), ratio('≤', 0.5)],
  'write-8-mmap': [value('≤', 0.2), ratio('≤', 0.2)],
  'thousand-mmap': [value('≤', 0.6)],

  ...all(['read-first-opened-batches', 'read-first-opened-toArray'], value('≤', 150)),
  ...all(['read-first-written-batches', 'read-first-written-toArray'], value('≤', 150)),
  ...all(['read-again-batches', 'read-again-toArray'], value('≤', 60)),

  ...all(['durable-mean-mmap', 'durable-mean-write'], ratio('≤', 1.3)),
  'durable-mean-vs-sqlite': [ratio('≤', 1)],
  ...all(['waiters-64-mmap', 'waiters-64-write'], ratio('≥', 20)),
  ...all(['waiters-1024-mmap', 'waiters-1024-write'], value('≥', 1_000_000), ratio('≥', 100)),
  'waiters-64-vs-sqlite': [ratio('≥', 25)],
  'waiters-1024-vs-sqlite': [ratio('≥', 150)],
  ...all(['waiters-64-vs-lmdb', 'waiters-1024-vs-lmdb'], ratio('≥', 1.3)),

  ...all(
    SCANNED_PEERS.flatMap((peer) => [`scan-first-128-vs-${peer}`, `scan-again-128-vs-${peer}`]),
    ratio('≥', 8),
  ),
  ...all(['point-128', 'point-1024'], value('≤', 3)),
  'follow-written-p50': [value('≤', 50)],

  ...all(
    SHAPES.flatMap((shape) => [`recovery-sealed-${shape}`, `recovery-unsealed-${shape}`]),
    value('≥', 1.5),
  ),
  'opening-1000': [value('<', 150)],
  'opening-10000': [value('<', 500)],
  growth: [ratio('≤', 1.2)],
  'rotation-durable-worst-by-sync': [value('≤', 5)],
  ...all(['event-loop-mmap', 'event-loop-write'], value('<', 5)),

  ...all(['memory-idle-mmap', 'memory-idle-write'], value('<', 200)),
  'memory-reading-heap': [value('<', 64)],

  'events-1024': [value('≥', 150_000)],
  'events-1024-vs-sqlite-events': [ratio('≥', 25)],
  'events-1-vs-sqlite-events': [ratio('≥', 1)],
  'events-read-stream': [value('≤', 150)],
  'events-read-all': [value('≥', 700_000)],

  'actors-events': [value('≥', 100_000), ratio('≥', 50)],
  'actors-waking': [value('≤', 300)],
  'actors-heap': [ratio('≤', 2)],
};
