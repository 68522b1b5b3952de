/**
 * Replays the journals of durable actors through machines that are to be deployed: `--help` for how it is run. Exits with 1
 * where an actor could not be woken by them, or would be in another state than it was.
 */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { openEventStore } from 'varve';
import { checkMachines } from 'varve/xstate';

const USAGE = `node scripts/check-machines.js --directory <store> --machines <module> [--sample <part>]

  --directory  the event store. It must not be in use: take a backup of one that is
  --machines   a module that exports 'machines', as createActorHost takes them
  --sample     which part of the actors is looked at: more than 0, up to 1 (default)`;

const { values } = parseArgs({
  options: {
    directory: { type: 'string' },
    machines: { type: 'string' },
    sample: { type: 'string', default: '1' },
    help: { type: 'boolean' },
  },
});
if (values.help || values.directory === undefined || values.machines === undefined) {
  console.log(USAGE);
  process.exit(values.help ? 0 : 2);
}

const { machines } = await import(pathToFileURL(resolve(values.machines)).href);
const store = await openEventStore({ directory: values.directory });
try {
  const { checked, problems } = await checkMachines({ store, machines, sample: Number(values.sample) });
  for (const { stream, code, message } of problems) console.log(`${stream}: ${code}: ${message}`);
  console.log(`${checked} actors checked, ${problems.length} with problems`);
  if (problems.length > 0) process.exitCode = 1;
} finally {
  await store.close();
}
