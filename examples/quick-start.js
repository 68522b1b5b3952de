/**
 * The quick start: real flights go through a log, and through the death of the process that writes them.
 * `npm start` runs it; `npm start -- --help` tells what it can do.
 */
import { Acknowledgements } from './quick-start/acknowledgements.js';
import { delayTable, worstDelays } from './quick-start/delays.js';
import { diskUsage, makeDirectory } from './quick-start/directory.js';
import { encode, FLIGHT_PARTITIONS, loadFlights } from './quick-start/flights.js';
import { SEGMENT_KIB, withFlightLog } from './quick-start/log.js';
import { HELP, OptionError, readOptions } from './quick-start/options.js';
import { runWriter } from './quick-start/run-writer.js';
import { bold, count, green, kib, red, say, startProgress } from './quick-start/terminal.js';

/** The answer has a partition of its own, so that it outlives the flights. */
const ANSWER_PARTITION = 5;

/**
 * @typedef {object} Run
 * @property {{ directory: string, io: import('varve').IoMode, count: number }} settings
 * @property {import('./quick-start/flights.js').Flight[]} flights
 * @property {Acknowledgements} acknowledgements
 * @property {AbortSignal} signal
 */

/** @param {Run} run @param {number} killAfter */
async function quickStart(run, killAfter) {
  const { settings } = run;

  say(`\n${bold('1  A writer appends flights; we keep its acknowledgements, and kill it')}`);
  await appendAndKill(run, killAfter);

  say(`\n${bold('2  Recovery: is everything there that was acknowledged?')}`);
  const recovery = await recover(run);

  say(`\n${bold('3  A new writer goes on')}`);
  await resume(run);

  const before = await diskUsage(settings.directory);
  await withFlightLog(settings, async (log) => {
    say(`\n${bold('4  Which airports are the latest?')}`);
    const answer = await ask(run, log);

    say(`\n${bold('5  Purge')}`);
    await purge(log, answer);
  });
  say(`   on disk: ${kib(before)} before, ${kib(await diskUsage(settings.directory))} after`);
  return recovery;
}

/** @param {Run} run @param {number} killAfter */
async function appendAndKill(run, killAfter) {
  const { acknowledged } = await write(run, killAfter);
  say(`   SIGKILL at acknowledgement ${count(killAfter)}; ${count(acknowledged)} had been sent`);
}

/** @param {Run} run */
async function recover({ settings, flights, acknowledgements }) {
  const { minDurableLsn } = acknowledgements;
  const found = await withFlightLog({ ...settings, minDurableLsn }, async (log) => {
    say(`   opened with io '${log.io}', and with the last LSNs that were acknowledged as minDurableLsn`);
    log.events.on('recovered', ({ partition, lastLsn, segments, torn, duration }) => {
      const took = `${segments} segments, ${duration.toFixed(1)} ms`;
      const tail = torn === undefined ? '' : `, a torn tail of ${count(torn.bytes)} bytes was cut off`;
      say(`   partition ${partition}: up to LSN ${count(lastLsn)}, ${took}${tail}`);
    });
    return acknowledgements.check(log, flights);
  });
  refuseLoss(found);
  say(`   all ${count(found.recovered)} acknowledged flights are there: once, in order, equal to the last byte`);
  say(`   ${count(found.records - found.recovered)} more are there that nobody had been told of yet`);
  return found;
}

/** @param {Run} run */
async function resume(run) {
  const { found, appended, rotations } = await write(run);
  say(`   it found ${count(found)} flights, and appended the other ${count(appended)}, over ${rotations} rotations`);
}

/** @param {Run} run @param {import('varve').Log} log */
async function ask({ flights, acknowledgements, signal }, log) {
  const found = await acknowledgements.check(log, flights);
  refuseLoss(found);
  if (found.records !== flights.length) throw new Error(`${found.records} of ${flights.length} flights are in the log`);

  const started = performance.now();
  const { records, segments, fewest, worst } = await worstDelays(log, signal);
  const ms = Math.round(performance.now() - started);
  say(`   read ${count(records)} flights out of ${segments} segments in ${ms} ms`);
  say(`   average delay on arrival, by airport of departure, of those with at least ${fewest} flights:\n`);
  for (const line of delayTable(worst)) say(line);
  return worst;
}

/** @param {import('varve').Log} log @param {object} answer */
async function purge(log, answer) {
  let purged = 0;
  for (const number of FLIGHT_PARTITIONS) {
    const partition = await log.partition(number);
    const { segments } = await partition.purgeBefore(partition.durableLsn + 1);
    purged += segments;
  }
  const answers = await log.partition(ANSWER_PARTITION);
  await answers.append(encode(answer));
  const { reused, segments } = log.stats();
  say(`   gave up ${purged} segments; the active one of each partition stays, and so does the answer`);
  say(`   files prepared again for new segments: ${reused}; purged files that wait for it: ${segments.recycled}`);
}

/** @param {Run} run @param {number} [killAfter] */
async function write({ settings, acknowledgements, signal }, killAfter) {
  const progress = startProgress();
  try {
    return await runWriter({
      settings,
      signal,
      killAfter,
      onAcknowledged: (acknowledgement) => acknowledgements.add(acknowledgement),
      onDurable: (durableLsns) => {
        const durable = durableLsns.reduce((sum, lsn) => sum + lsn, 0);
        const text = `${count(durable)} durable, ${count(acknowledgements.count)} acknowledged`;
        progress.show(durable / settings.count, text);
      },
    });
  } finally {
    progress.end();
  }
}

/** @param {Awaited<ReturnType<Acknowledgements['check']>>} found */
function refuseLoss({ acknowledged, lost, problems }) {
  if (lost === 0 && problems.length === 0) return;
  const first = problems.length > 0 ? `; ${problems.length} problems, first: ${problems[0]}` : '';
  throw new Error(`${lost} of ${acknowledged} acknowledged flights are lost${first}`);
}

async function main() {
  const options = readOptions(process.argv.slice(2));
  if (options.help) {
    say(HELP);
    return;
  }
  const interruption = new AbortController();
  const { signal } = interruption;
  for (const name of ['SIGINT', 'SIGTERM']) process.once(name, () => interruption.abort());

  const flights = loadFlights(options.flights);
  const directory = await makeDirectory(options.directory, options.keep);
  const settings = { directory: directory.path, io: options.io, count: flights.length };
  const partitions = `${FLIGHT_PARTITIONS.length} partitions`;
  say(`Varve quick start: ${count(flights.length)} flights, ${partitions}, segments of ${SEGMENT_KIB} KiB`);
  say(`log: ${directory.path} (${directory.kept ? 'stays' : 'removed at the end; --keep keeps it'})`);
  try {
    const run = { settings, flights, acknowledgements: new Acknowledgements(), signal };
    const { acknowledged, recovered, lost } = await quickStart(run, options.killAfter);
    if (!directory.kept) await directory.remove();
    say(`\n${green(`quick start: OK — ${acknowledged} acknowledged, ${recovered} recovered, ${lost} lost`)}`);
  } catch (error) {
    if (signal.aborted) {
      if (!directory.kept) await directory.remove();
      say('\nquick start: interrupted');
      process.exitCode = 130;
    } else {
      say(`\nThe log stays in ${directory.path}.`);
      say(red(`quick start: FAILED — ${error instanceof Error ? error.message : error}`));
      process.exitCode = 1;
    }
  }
}

try {
  await main();
} catch (error) {
  if (!(error instanceof OptionError)) throw error;
  console.error(`quick start: ${error.message} --help tells what there is.`);
  process.exitCode = 2;
}
