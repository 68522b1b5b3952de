/**
 * A file system with room for exactly what is needed, and with one byte less: a small tmpfs, mounted in a user
 * namespace, which needs no rights.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { backEnds, temporaryDirectory } from '../../support/logs.js';
import { Account } from './account.js';
import { runChild } from './children.js';

const PAGE = 4096;
const ios = await backEnds();

/** Mounts the tmpfs on "$0", runs "$@" (node, the child, its run), and then the run of $JUDGE in a fresh process. */
const mounted = (place: string) => {
  const commands = 'mount -t tmpfs -o size=256k tmpfs "$0" && "$@" && "$1" "$2" "$JUDGE"';
  return ['unshare', '-Urm', 'sh', '-c', commands, place];
};
const [unshare = '', ...args] = [...mounted(temporaryDirectory()), 'true'];
const permitted = spawnSync(unshare, args, { stdio: 'ignore' }).status === 0;
if (!permitted && process.env.VARVE_KERNEL !== undefined) throw new Error('no user namespace with a tmpfs');
if (!permitted) console.warn('skipped: no user namespace in which a tmpfs could be mounted (unshare -Urm)');

const cases = [
  { what: 'room for the next segment', segmentSize: 2 * PAGE, released: 0 },
  { what: 'one byte less than that, until a page comes back', segmentSize: 2 * PAGE + 1, released: PAGE },
];

(permitted ? describe : describe.skip).each(ios)("io: '%s'", (io) => {
  test.each(cases)('$what', async ({ segmentSize, released }) => {
    const place = temporaryDirectory();
    const options = { directory: path.join(place, 'log'), io, segmentSize, preallocate: { segments: 0 } };
    const full = { ballast: path.join(place, 'ballast'), free: 2 * PAGE, released };
    const account = new Account('killed');
    const JUDGE = JSON.stringify({ script: 'look', options, firstId: 1000 });
    const run = { script: 'exactlyFull', options, firstId: 1, ...full };
    const { lines, ...ended } = await runChild(run, account, mounted(place), { JUDGE });
    expect(ended).toEqual({ status: 0, signal: null, stderr: '', hung: false });
    expect(lines.filter(({ error }) => error !== undefined)).toEqual([]);
    // The second segment is half full at the end, and there is no room for a third: that is another matter.
    const entered = lines.findIndex(({ step }) => step === 'batch');
    const pressures = lines.slice(0, entered).flatMap(({ pressure }) => pressure ?? []);
    expect(pressures).toEqual(released > 0 ? ['ENOSPC'] : []);
    expect(account.found).toBe(3); // at first; reopened; and by another process
  });
});
