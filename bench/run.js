/**
 * `npm run bench`: measures Varve against its peers, against raw system calls, and against its targets. Each group of
 * rows runs in a process of its own, one after the other.
 *
 * A missed target is reported and fails nothing; a benchmark whose results are not what they must be does.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { drawCharts } from './charts.js';
import { runChild } from './children.js';
import { GROUPS } from './groups.js';
import { installPeers } from './install.js';
import { describeMachine } from './machine.js';
import { renderDocs } from './markdown.js';
import { commandOf, HELP, OptionError, readOptions } from './options.js';
import { installedVersions } from './peers/index.js';
import { Progress } from './progress.js';
import { renderNotes, renderSummary, renderTable } from './report.js';
import { TARGETS } from './targets.js';
import { Workspace } from './workspace.js';

/** Long rows make one round where the others make this many. */
const LONG = 3;
/** A busy machine measures its neighbours. */
const BUSY_LOAD = 0.3;

const RESULTS = new URL('./results/', import.meta.url);
const LATEST = new URL('latest.json', RESULTS);
/** What docs/benchmarks.md shows; committed with it. */
const PUBLISHED = new URL('published.json', RESULTS);
const SCALE = new URL('scale.json', RESULTS);

/**
 * @typedef {object} GroupResults
 * @property {string} name
 * @property {string} title
 * @property {string} method
 * @property {import('./rows.js').Row[]} rows
 * @property {readonly import('./groups.js').Chart[]} charts
 * @property {string[]} skipped what could not be measured, and why
 * @property {number} seconds
 */

/**
 * What `results/latest.json` and `results/published.json` hold.
 *
 * @typedef {object} Results
 * @property {2} format
 * @property {string} varve version
 * @property {Record<string, string>} peers versions
 * @property {string} date
 * @property {boolean} quick
 * @property {string} command
 * @property {number} rounds
 * @property {number} seconds
 * @property {import('./machine.js').Machine} machine
 * @property {GroupResults[]} groups
 * @property {string[]} failed groups that have none
 */

const say = (/** @type {string} */ text) => process.stdout.write(`${text}\n`);

/** @param {import('./options.js').Options} options @param {Workspace} workspace @returns {Promise<Results>} */
async function measure(options, workspace) {
  const { quick, rounds, only, peers } = options;
  const started = performance.now();
  const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'));
  const machine = await describeMachine(workspace);
  say(`${machine.cpu}, ${machine.cores} cores, ${machine.kernel}, ${machine.fileSystem}, Node.js ${machine.node}`);
  if (machine.loadBefore > BUSY_LOAD * machine.cores) {
    say(`The machine is busy (load average ${machine.loadBefore}): these figures will not be worth much.`);
  }
  if (quick) say('--quick: tiny sizes and few rounds; the figures mean nothing.');

  const chosen = GROUPS.filter((group) => only.length === 0 || only.includes(group));
  const progress = new Progress();
  const longRounds = Math.max(2, Math.ceil(rounds / LONG));
  const given = JSON.stringify({ directory: workspace.directory, quick, rounds, longRounds, peers });
  /** @type {GroupResults[]} */
  const groups = [];
  /** @type {string[]} */
  const failed = [];
  for (const [i, name] of chosen.entries()) {
    const began = performance.now();
    progress.begin(`[${i + 1}/${chosen.length}] ${name}`);
    /** @type {Omit<GroupResults, 'seconds'>} */
    let results;
    try {
      results = await runChild('group', [name, given], (text) => progress.show(text));
    } catch (error) {
      failed.push(name); // what it has to say is on the screen; the others are measured all the same
      say(`\n${/** @type {Error} */ (error).message}`);
      continue;
    } finally {
      progress.end();
    }
    const seconds = Math.round((performance.now() - began) / 100) / 10;
    say(`\n${results.title}  (--only ${name}, ${seconds} s)\n\n${renderTable(results.rows)}`);
    for (const note of [...renderNotes(results.rows), ...results.skipped]) say(`  ${note}`);
    groups.push({ ...results, seconds });
  }
  say(`\n${renderSummary(groups.flatMap((group) => group.rows))}`);
  return {
    format: 2,
    varve: version,
    peers: peers ? await installedVersions() : {},
    date: new Date().toISOString().slice(0, 10),
    quick,
    command: commandOf(options),
    rounds,
    seconds: Math.round((performance.now() - started) / 1000),
    machine,
    groups,
    failed,
  };
}

/** A target whose row has gone, or was renamed, would never be missed. @param {Results} results */
function checkTargets({ groups }) {
  const measured = new Set(groups.flatMap((group) => group.rows.map((row) => row.id)));
  if (groups.some((group) => group.skipped.length > 0)) return;
  const lost = Object.keys(TARGETS).filter((id) => !measured.has(id));
  if (lost.length > 0) throw new Error(`No row has the targets of ${lost.join(', ')}`);
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
    await mkdir(RESULTS, { recursive: true });
    const json = `${JSON.stringify(results, null, 2)}\n`;
    await writeFile(LATEST, json);
    say(`${results.seconds} s; results are in bench/results/latest.json`);
    const { failed } = results;
    if (failed.length > 0) throw new Error(`These groups have failed: ${failed.join(', ')}`);
    if (options.only.length === 0 && options.peers && results.machine.mapped) checkTargets(results);
    if (!options.writeDocs) return;
    await writeFile(PUBLISHED, json);
    await writeDocs();
  } finally {
    await workspace.close();
  }
}

/** @param {URL} file @returns {Promise<any>} undefined where there is none */
function readJson(file) {
  return readFile(file, 'utf8').then(JSON.parse, (error) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}

/** From the committed results alone, so that the page can be written again without measuring again. */
async function writeDocs() {
  /** @type {Results | undefined} */
  const results = await readJson(PUBLISHED);
  if (results === undefined) throw new OptionError('Nothing is published yet: --write-docs does that');
  const scale = await readJson(SCALE);
  const docs = new URL('../docs/', import.meta.url);
  const charts = await drawCharts(results.groups, new URL('charts/', docs));
  await writeFile(new URL('benchmarks.md', docs), renderDocs(results, charts, scale));
  say('docs/benchmarks.md and docs/charts were written');
}

try {
  const options = readOptions(process.argv.slice(2));
  if (options.help) say(HELP);
  else if (options.docsOnly) {
    await installPeers(say);
    await writeDocs();
  } else {
    if (options.peers && !options.quick) await installPeers(say);
    await run(options);
  }
} catch (error) {
  if (!(error instanceof OptionError)) throw error;
  process.stderr.write(`${error.message}\n\n${HELP}\n`);
  process.exitCode = 2;
}
