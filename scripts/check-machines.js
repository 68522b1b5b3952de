/**
 * Replays the journals of durable actors through machines that are to be deployed: `--help` for how it is run.
 *
 * Exits with 0 where all is well; with 1 where an actor could not be woken by the machines, or would be in another state
 * than it was; with 2 where nothing could be checked.
 */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { openEventStore } from 'varve';
import { checkMachines } from 'varve/xstate';

const USAGE = `node scripts/check-machines.js --directory <store> --machines <module> [--sample <part>]

  --directory  the event store. It must not be in use: take a backup of one that is
  --machines   a module that exports 'machines', as createActorHost takes them
  --sample     which part of the actors is looked at: more than 0, up to 1 (default)

Exits with 0 where all is well, with 1 where an actor has a problem, with 2 where nothing could be checked.`;

/** @param {string[]} args */
function read(args) {
  const { values } = parseArgs({
    args,
    options: {
      directory: { type: 'string' },
      machines: { type: 'string' },
      sample: { type: 'string', default: '1' },
      help: { type: 'boolean' },
    },
  });
  return values;
}

/** @param {string} directory */
async function openExisting(directory) {
  // Opening would make one.
  if (!existsSync(join(directory, 'MANIFEST')))
    throw new Error(`There is no event store in ${resolve(directory)}: it has no file MANIFEST.`);
  return openEventStore({ directory });
}

/** @param {string} path */
async function machinesOf(path) {
  const file = resolve(path);
  if (!existsSync(file)) throw new Error(`There is no file ${file}.`);
  const { machines } = await import(pathToFileURL(file).href);
  if (machines === undefined) throw new Error(`${file} does not export 'machines', as createActorHost takes them.`);
  return machines;
}

/** @param {string[]} args */
async function run(args) {
  const { directory, help, machines: path, sample } = read(args);
  if (help || directory === undefined || path === undefined) {
    console.log(USAGE);
    return help ? 0 : 2;
  }
  const machines = await machinesOf(path);
  const store = await openExisting(directory);
  try {
    const { checked, problems } = await checkMachines({ store, machines, sample: Number(sample) });
    for (const { stream, code, message } of problems) console.log(`${stream}: ${code}: ${message}`);
    console.log(`${checked} actors checked, ${problems.length} with problems`);
    const names = Object.keys(machines).join(', ');
    if (checked === 0)
      throw new Error(`No actor was looked at: of the machines ${names} none is in the store, or in the sample.`);
    return problems.length > 0 ? 1 : 0;
  } finally {
    await store.close();
  }
}

try {
  process.exitCode = await run(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  console.error("Nothing could be checked. '--help' says how this is run.");
  process.exitCode = 2;
}
