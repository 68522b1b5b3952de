/**
 * The named places at which a process is killed: each step by which a log changes what is on its disk. Nothing in the
 * log knows of them. A point is told by the operation that comes directly before or after it (watched-disk.js), in the
 * course of scripts.js's `life` or, for those of `repair` and `reopen`, in `recover` behind another crash.
 *
 * A store into a mapping is no operation: where only the back end that writes shows a step, `io` says so.
 */

/**
 * @typedef {object} CrashPoint
 * @property {string} name
 * @property {'before' | 'after'} moment
 * @property {string} kind Of the operation.
 * @property {RegExp} file Its file's name, `^$` for the directory.
 * @property {string} [step] Of the script.
 * @property {number} [nth] Which of the operations that match; default the first.
 * @property {number} [offset] Of a write.
 * @property {string} [mode] Of an open.
 * @property {'mmap' | 'write'} [io] The only back end that has it.
 * @property {string} [behind] Name of the crash that the run starts behind; default none.
 */

const directory = /^$/;
const newManifest = /^MANIFEST\.tmp$/;
const rewindFile = /^rewind_1\.wal$/;
/** @param {number} index */
const segment = (index) => new RegExp(`^part_1_0*${index}\\.wal$`);
/** @param {number} number */
const ready = (number) => new RegExp(`^ready_0*${number}\\.wal$`);
const copy = /\.torn-\d+\.tmp$/;
/** Where a segment's first cookie, its open frame and its first record lie. */
const [COOKIE, OPEN_FRAME, FIRST_RECORD] = [1536, 4096, 4168];

/** The state that the script `torn` and a damaged byte leave. */
export const TORN = 'torn';

/** @type {CrashPoint[]} */
export const CRASH_POINTS = [
  // A new directory
  { name: 'open.made', moment: 'after', kind: 'makeDirectory', file: directory },
  { name: 'open.locked', moment: 'after', kind: 'lock', file: /^LOCK$/ },
  { name: 'open.manifest-created', moment: 'after', kind: 'open', file: newManifest },
  { name: 'open.manifest-written', moment: 'after', kind: 'write', file: newManifest },
  { name: 'open.manifest-synced', moment: 'after', kind: 'sync', file: newManifest },
  { name: 'open.manifest-renamed', moment: 'after', kind: 'rename', file: newManifest },
  { name: 'open.manifest-named', moment: 'after', kind: 'syncDirectory', file: directory, step: 'open', nth: 3 },
  // A spare file, out of nothing; and what makes it a segment
  { name: 'prepare.created', moment: 'after', kind: 'open', file: ready(1) },
  { name: 'prepare.reserved', moment: 'after', kind: 'allocate', file: ready(1) },
  { name: 'prepare.page-written', moment: 'after', kind: 'write', file: ready(1) },
  { name: 'prepare.synced', moment: 'after', kind: 'sync', file: ready(1) },
  { name: 'prepare.dressed', moment: 'after', kind: 'write', file: ready(1), offset: 0, nth: 2 },
  { name: 'prepare.dress-synced', moment: 'after', kind: 'sync', file: ready(1), nth: 2 },
  { name: 'prepare.renamed', moment: 'after', kind: 'rename', file: ready(1) },
  { name: 'prepare.named', moment: 'after', kind: 'syncDirectory', file: directory, step: 'append' },
  // An append
  { name: 'append.opened', moment: 'after', kind: 'write', file: segment(1), offset: OPEN_FRAME, io: 'write' },
  { name: 'append.handed-over', moment: 'before', kind: 'sync', file: segment(1) },
  { name: 'append.synced', moment: 'after', kind: 'sync', file: segment(1) },
  { name: 'append.cookie-written', moment: 'after', kind: 'write', file: segment(1), offset: COOKIE, io: 'write' },
  { name: 'append.unsynced', moment: 'before', kind: 'open', file: ready(2) },
  // The next segment
  { name: 'rotate.prepared', moment: 'after', kind: 'sync', file: ready(2), nth: 2 },
  { name: 'rotate.seal-written', moment: 'after', kind: 'write', file: segment(1), step: 'rotate', io: 'write' },
  { name: 'rotate.sealed', moment: 'before', kind: 'sync', file: segment(1), step: 'rotate' },
  { name: 'rotate.seal-synced', moment: 'after', kind: 'sync', file: segment(1), step: 'rotate' },
  { name: 'rotate.renamed', moment: 'after', kind: 'rename', file: ready(2) },
  { name: 'rotate.named', moment: 'after', kind: 'syncDirectory', file: directory, step: 'rotate' },
  { name: 'rotate.opened', moment: 'after', kind: 'write', file: segment(2), offset: OPEN_FRAME, io: 'write' },
  { name: 'rotate.published', moment: 'before', kind: 'close', file: segment(1) },
  { name: 'rotate.left', moment: 'after', kind: 'close', file: segment(1) },
  { name: 'rotate.first-synced', moment: 'after', kind: 'sync', file: segment(2) },
  { name: 'rotate.record-ahead', moment: 'after', kind: 'write', file: ready(3), offset: FIRST_RECORD, io: 'write' },
  { name: 'rotate.full-renamed', moment: 'after', kind: 'rename', file: ready(3) },
  // A purge of two segments, of which one is kept for reuse
  { name: 'purge.mark-created', moment: 'after', kind: 'open', file: newManifest, step: 'purge' },
  { name: 'purge.mark-written', moment: 'after', kind: 'write', file: newManifest, step: 'purge' },
  { name: 'purge.mark-synced', moment: 'after', kind: 'sync', file: newManifest, step: 'purge' },
  { name: 'purge.mark-renamed', moment: 'after', kind: 'rename', file: newManifest, step: 'purge' },
  { name: 'purge.marked', moment: 'after', kind: 'syncDirectory', file: directory, step: 'purge' },
  { name: 'purge.retired', moment: 'after', kind: 'rename', file: segment(1) },
  { name: 'purge.unlinked', moment: 'after', kind: 'unlink', file: segment(2) },
  { name: 'purge.synced', moment: 'after', kind: 'syncDirectory', file: directory, step: 'purge', nth: 2 },
  // A spare file, out of a purged segment
  { name: 'recycle.renamed', moment: 'after', kind: 'rename', file: /^recycle_/ },
  { name: 'recycle.opened', moment: 'after', kind: 'open', file: ready(5), mode: 'write' },
  { name: 'recycle.reserved', moment: 'after', kind: 'allocate', file: ready(5) },
  { name: 'recycle.page-wiped', moment: 'after', kind: 'write', file: ready(5) },
  { name: 'recycle.cache-dropped', moment: 'after', kind: 'dropCache', file: ready(5) },
  { name: 'recycle.synced', moment: 'after', kind: 'sync', file: ready(5) },
  { name: 'recycle.dressed', moment: 'after', kind: 'write', file: ready(5), offset: 0, nth: 2 },
  { name: 'recycle.dress-synced', moment: 'after', kind: 'sync', file: ready(5), nth: 2 },
  { name: 'recycle.named', moment: 'after', kind: 'rename', file: ready(5) },
  { name: 'recycle.first-synced', moment: 'after', kind: 'sync', file: segment(4) },
  // A truncation that cuts a frame in two and takes a segment away
  { name: 'truncate.created', moment: 'after', kind: 'open', file: rewindFile, mode: 'create' },
  { name: 'truncate.written', moment: 'after', kind: 'write', file: rewindFile },
  { name: 'truncate.synced', moment: 'after', kind: 'sync', file: rewindFile },
  { name: 'truncate.stated', moment: 'after', kind: 'syncDirectory', file: directory, step: 'truncate' },
  { name: 'truncate.rewritten', moment: 'after', kind: 'write', file: rewindFile, nth: 2 },
  { name: 'truncate.restated', moment: 'after', kind: 'syncDirectory', file: directory, step: 'truncate', nth: 2 },
  { name: 'truncate.unlinked', moment: 'after', kind: 'unlink', file: segment(5) },
  { name: 'truncate.newer-gone', moment: 'after', kind: 'syncDirectory', file: directory, step: 'truncate', nth: 3 },
  { name: 'truncate.replaced', moment: 'after', kind: 'write', file: segment(4), step: 'truncate' },
  { name: 'truncate.zeroed', moment: 'after', kind: 'write', file: segment(4), step: 'truncate', nth: 2 },
  { name: 'truncate.cookie-lowered', moment: 'after', kind: 'write', file: segment(4), step: 'truncate', nth: 3 },
  { name: 'truncate.cookies-lowered', moment: 'after', kind: 'write', file: segment(4), step: 'truncate', nth: 4 },
  { name: 'truncate.cut', moment: 'after', kind: 'sync', file: segment(4), step: 'truncate' },
  { name: 'truncate.done', moment: 'after', kind: 'unlink', file: rewindFile },
  { name: 'truncate.forgotten', moment: 'after', kind: 'syncDirectory', file: directory, step: 'truncate', nth: 4 },
  { name: 'truncate.believed', moment: 'after', kind: 'sync', file: segment(4), step: 'truncate', nth: 3 },
  // A close with something to make durable
  { name: 'close.begun', moment: 'before', kind: 'sync', file: segment(4), step: 'close' },
  { name: 'close.synced', moment: 'after', kind: 'sync', file: segment(4), step: 'close' },
  { name: 'close.cookie-written', moment: 'after', kind: 'write', file: segment(4), step: 'close', io: 'write' },
  { name: 'close.marked', moment: 'before', kind: 'sync', file: segment(4), step: 'close', nth: 2 },
  { name: 'close.mark-synced', moment: 'after', kind: 'sync', file: segment(4), step: 'close', nth: 2 },
  { name: 'close.closed', moment: 'after', kind: 'close', file: segment(4), step: 'close' },
  { name: 'close.unlocked', moment: 'after', kind: 'release', file: /^LOCK$/ },
  // Recovery: a torn tail
  { name: 'repair.synced-first', behind: TORN, moment: 'after', kind: 'sync', file: segment(1) },
  { name: 'repair.copy-created', behind: TORN, moment: 'after', kind: 'open', file: copy },
  { name: 'repair.copy-written', behind: TORN, moment: 'after', kind: 'write', file: copy },
  { name: 'repair.copy-synced', behind: TORN, moment: 'after', kind: 'sync', file: copy },
  { name: 'repair.copy-renamed', behind: TORN, moment: 'after', kind: 'rename', file: copy },
  { name: 'repair.copy-named', behind: TORN, moment: 'after', kind: 'syncDirectory', file: directory, nth: 2 },
  { name: 'repair.zeroed', behind: TORN, moment: 'after', kind: 'write', file: segment(1) },
  { name: 'repair.synced', behind: TORN, moment: 'after', kind: 'sync', file: segment(1), nth: 2 },
  // … records that nothing proves to be durable
  { name: 'repair.written-again', behind: 'append.synced', moment: 'after', kind: 'write', file: segment(1) },
  // … a segment that was never opened
  { name: 'repair.unopened-retired', behind: 'rotate.named', moment: 'after', kind: 'rename', file: segment(2) },
  // … an interrupted purge, before its first file and before its second
  { name: 'repair.purge-retired', behind: 'purge.marked', moment: 'after', kind: 'rename', file: segment(1) },
  { name: 'repair.purge-unlinked', behind: 'purge.marked', moment: 'after', kind: 'unlink', file: segment(2) },
  { name: 'repair.purge-ended', behind: 'purge.retired', moment: 'after', kind: 'unlink', file: segment(2) },
  // … an interrupted truncation
  { name: 'repair.rewind-restated', behind: 'truncate.stated', moment: 'after', kind: 'sync', file: rewindFile },
  { name: 'repair.rewind-unlinked', behind: 'truncate.stated', moment: 'after', kind: 'unlink', file: segment(5) },
  { name: 'repair.rewind-replaced', behind: 'truncate.zeroed', moment: 'after', kind: 'write', file: segment(4) },
  { name: 'repair.rewind-zeroed', behind: 'truncate.zeroed', moment: 'after', kind: 'write', file: segment(4), nth: 2 },
  { name: 'repair.rewind-cut', behind: 'truncate.zeroed', moment: 'after', kind: 'sync', file: segment(4) },
  { name: 'repair.rewind-done', behind: 'truncate.zeroed', moment: 'after', kind: 'unlink', file: rewindFile },
  // … and going on in the segment that is there
  { name: 'reopen.reserved', behind: 'close.synced', moment: 'after', kind: 'allocate', file: segment(4), io: 'mmap' },
  {
    name: 'reopen.cache-dropped',
    behind: 'close.synced',
    moment: 'after',
    kind: 'dropCache',
    file: segment(4),
    io: 'mmap',
  },
  { name: 'reopen.mapped', behind: 'close.synced', moment: 'after', kind: 'map', file: segment(4), io: 'mmap' },
];
