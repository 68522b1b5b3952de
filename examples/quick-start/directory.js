/** Where the quick start puts its log, and how much room it takes there. */
import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { OptionError } from './options.js';

/**
 * A new, empty directory, always: in `parent`, where it stays, or a temporary one, which `remove` removes.
 *
 * @param {string | undefined} parent
 * @param {boolean} keep
 */
export async function makeDirectory(parent, keep) {
  if (parent !== undefined) return { path: await makeRun(resolve(parent)), kept: true, remove: async () => {} };
  const path = await mkdtemp(join(tmpdir(), 'varve-quick-start-'));
  return { path, kept: keep, remove: () => rm(path, { recursive: true, force: true }) };
}

/** @param {string} parent */
async function makeRun(parent) {
  try {
    await mkdir(parent, { recursive: true });
    for (let run = 1; ; run++) {
      const path = join(parent, `run-${run}`);
      const made = await mkdir(path).then(
        () => true,
        (error) => {
          if (error.code !== 'EEXIST') throw error;
          return false; // an earlier run's, which is left alone
        },
      );
      if (made) return path;
    }
  } catch (error) {
    throw new OptionError(`--directory cannot be used: ${/** @type {Error} */ (error).message}.`);
  }
}

/**
 * Bytes that the files of a directory take on the disk, as `du` counts them.
 *
 * @param {string} directory
 */
export async function diskUsage(directory) {
  let bytes = 0;
  for (const name of await readdir(directory)) bytes += (await stat(join(directory, name))).blocks * 512;
  return bytes;
}
