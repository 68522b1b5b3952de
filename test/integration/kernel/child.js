/**
 * Runs scripts on a log: `node child.js '{ "script": …, "options": … }'`, and without an argument one run after
 * another, as lines of the same JSON on its standard input ask for.
 */
import { createInterface } from 'node:readline';
import { killerAt } from './killer.js';
import { scripts } from './scripts.js';
import { Session, tell } from './session.js';
import { watchedDisk } from './watched-disk.js';

/** @param {string} request */
async function run(request) {
  const { script, options, firstId, kill, patience, ...rest } = JSON.parse(request);
  let session;
  const disk = kill === undefined ? undefined : watchedDisk(killerAt(kill, () => session.step));
  let sessions = 0;
  await scripts[script](() => {
    session = new Session({ ...options, ...(disk && { disk }) }, firstId + 100 * sessions++, patience);
    return session;
  }, rest);
  await disk?.close();
  tell({ end: true });
}

const [request] = process.argv.slice(2);
if (request !== undefined) await run(request);
else for await (const line of createInterface(process.stdin)) await run(line);
