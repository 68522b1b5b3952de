/**
 * `npm run bench`: measures Varve against raw system calls and against its targets.
 *
 * A missed target is reported and fails nothing; a benchmark whose results are not what they must be does.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { GROUPS } from './groups.js';
import { describeMachine } from './machine.js';
import { renderDocs } from './markdown.js';
import { commandOf, HELP, OptionError, readOptions } from './options.js';
import { Progress } from './progress.js';
import { renderNotes, renderSummary, renderTable } from './report.js';
import { Workspace } from './workspace.js';

/** Long rows make one round where the others make this many. */
const LONG = 3;
/** A busy machine measures its neighbours. */
const BUSY_LOAD = 0.3;

/**
 * What `results/latest.json` holds.
 *
 * @typedef {object} Results
 * @property {1} format
 * @property {string} varve version
 * @property {string} date
 * @property {boolean} quick
 * @property {string} command
 * @property {number} rounds
 * @property {number} seconds
 * @property {import('./machine.js').Machine} machine
 * @property {{ name: string, title: string, method: string, rows: import('./rows.js').Row[] }[]} groups
 */

const say = (/** @type {string} */ text) => process.stdout.write(`${text}\n`);

/** @param {import('./options.js').Options} options @param {Workspace} workspace @returns {Promise<Results>} */
async function measure(options, workspace) {
  const { quick, rounds, only } = options;
  const started = performance.now();
  const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'));
  const machine = await describeMachine(workspace);
  say(`${machine.cpu}, ${machine.cores} cores, ${machine.kernel}, ${machine.fileSystem}, Node.js ${machine.node}`);
  if (machine.loadBefore > BUSY_LOAD * machine.cores) {
    say(`The machine is busy (load average ${machine.loadBefore}): these figures will not be worth much.`);
  }
  if (quick) say('--quick: tiny sizes and few rounds; the figures mean nothing.');

  const chosen = GROUPS.filter((group) => only.length === 0 || only.includes(group.name));
  const progress = new Progress();
  const longRounds = Math.max(2, Math.ceil(rounds / LONG));
  const bench = { quick, rounds, longRounds, workspace, progress: (/** @type {string} */ text) => progress.show(text) };
  /** @type {Results['groups']} */
  const groups = [];
  for (const [i, { name, title, method, run }] of chosen.entries()) {
    progress.begin(`[${i + 1}/${chosen.length}] ${name}`);
    await workspace.settle();
    const rows = await run(bench);
    progress.end();
    say(`\n${title}  (--only ${name})\n\n${renderTable(rows)}`);
    for (const note of renderNotes(rows)) say(note);
    groups.push({ name, title, method, rows });
  }
  say(`\n${renderSummary(groups.flatMap((group) => group.rows))}`);
  return {
    format: 1,
    varve: version,
    date: new Date().toISOString().slice(0, 10),
    quick,
    command: commandOf(options),
    rounds,
    seconds: Math.round((performance.now() - started) / 1000),
    machine,
    groups,
  };
}

/** @param {import('./options.js').Options} options */
async function run(options) {
  const workspace = new Workspace(options.directory);
  for (const [signal, number] of /** @type {const} */ ([
    ['SIGINT', 2],
    ['SIGTERM', 15],
  ])) {
    process.once(signal, () => {
      workspace.remove();
      process.exit(128 + number);
    });
  }
  try {
    const results = await measure(options, workspace);
    await mkdir(new URL('./results/', import.meta.url), { recursive: true });
    const file = new URL('./results/latest.json', import.meta.url);
    await writeFile(file, `${JSON.stringify(results, null, 2)}\n`);
    say(`${results.seconds} s; results are in bench/results/latest.json`);
    if (options.writeDocs) {
      await writeFile(new URL('../docs/benchmarks.md', import.meta.url), renderDocs(results));
      say('docs/benchmarks.md was written');
    }
  } finally {
    await workspace.close();
  }
}

try {
  const options = readOptions(process.argv.slice(2));
  if (options.help) say(HELP);
  else await run(options);
} catch (error) {
  if (!(error instanceof OptionError)) throw error;
  process.stderr.write(`${error.message}\n\n${HELP}\n`);
  process.exitCode = 2;
}
