/**
 * Runs scripts on a log: `node child.js '{ "script": …, "options": … }'`, and without an argument one run after
 * another, as lines of the same JSON on its standard input ask for.
 */
import { createInterface } from 'node:readline';
import * as scripts from './scripts.js';
import { Session, tell } from './session.js';

/** @param {string} request */
async function run(request) {
  const { script, options, firstId } = JSON.parse(request);
  let sessions = 0;
  await scripts[script](() => new Session(options, firstId + 100 * sessions++));
  tell({ end: true });
}

const [request] = process.argv.slice(2);
if (request !== undefined) await run(request);
else for await (const line of createInterface(process.stdin)) await run(line);
