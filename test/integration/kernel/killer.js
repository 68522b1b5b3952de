/**
 * Ends its own process at a place in the course of the disk's operations, as SIGKILL does: at once.
 *
 * @typedef {import('./watched-disk.js').Operation} Operation
 */
import { CRASH_POINTS } from './crash-points.js';
import { tell } from './session.js';

/** Operations that change what is on the disk, or what of it is durable. */
const CHANGES = ['write', 'sync', 'allocate', 'dropCache', 'rename', 'unlink', 'syncDirectory'];

/** @param {string | number} point is told before, so that the parent knows where it was */
export function die(point) {
  tell({ point });
  process.kill(process.pid, 'SIGKILL');
  for (;;); // the signal may take a moment, in which nothing must happen
}

/**
 * Watches for a point by its name, or for the end of so many changes.
 *
 * @param {string | number} point
 * @param {() => string} step what the script does at the time
 * @returns {import('./watched-disk.js').Watcher}
 */
export function killerAt(point, step) {
  if (typeof point === 'number') {
    let left = point;
    /** @param {Operation} operation */
    const after = ({ kind, mode }) => {
      if ((CHANGES.includes(kind) || mode === 'create') && --left === 0) die(point);
    };
    return { before() {}, after };
  }
  const wanted = CRASH_POINTS.find(({ name }) => name === point);
  if (wanted === undefined) throw new Error(`there is no crash point ${point}`);
  let left = wanted.nth ?? 1;
  /** @param {'before' | 'after'} moment @param {Operation} operation */
  const look = (moment, { kind, file, mode, offset }) => {
    const here =
      moment === wanted.moment &&
      kind === wanted.kind &&
      wanted.file.test(file) &&
      (wanted.step ?? step()) === step() &&
      (wanted.mode ?? mode) === mode &&
      (wanted.offset ?? offset) === offset;
    if (here && --left === 0) die(wanted.name);
  };
  return { before: (operation) => look('before', operation), after: (operation) => look('after', operation) };
}
