/**
 * `npm run bench:scale`: an event store with millions of streams. How long it takes to open, what it keeps in memory, how
 * soon the head of any stream is found, and whether appending is as fast as with a small store.
 *
 * It takes some minutes and some gigabytes of disk; its result goes to results/scale.json, which is committed, and from
 * there into docs/benchmarks.md.
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { usedMemory } from './children.js';
import { appendEvents, EVENT, streamName } from './event-stores.js';
import { check, quantile } from './measure.js';
import { Progress } from './progress.js';
import { formatNumber } from './rows.js';
import { openEventStore } from './varve.js';
import { Workspace } from './workspace.js';

const MIB = 1024 * 1024;
const WRITERS = 1_024;
/** Events of the small store, and of each measurement of the rate. */
const SMALL = 100_000;
const SMALL_STREAMS = 10_000;
const RATE_ROUNDS = 5;
const HEADS = 200;
const BYTES_PER_EVENT = 500;

const HELP = `Measures an event store with many streams.

  npm run bench:scale -- [options]

  --events <n>        default 10000000
  --streams <n>       default 1000000
  --heads <n>         streams whose head is looked up cold, default ${HEADS}
  --directory <path>  where the store is made, and removed again; default: the system's temporary directory
  --help`;

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '10000000' },
    streams: { type: 'string', default: '1000000' },
    heads: { type: 'string', default: String(HEADS) },
    directory: { type: 'string', default: tmpdir() },
    help: { type: 'boolean' },
  },
});

/** @param {'events' | 'streams' | 'heads'} name */
function count(name) {
  const value = Number(values[name]);
  if (!Number.isInteger(value) || value < 1)
    throw new Error(`--${name} ${values[name]}: it must be a positive integer`);
  return value;
}

/** A number below `bound` that looks random, another for each `n`, the same in each run. @param {number} n @param {number} bound */
const somewhere = (n, bound) => Math.floor((((n + 1) * 0.6180339887498949) % 1) * bound);

/**
 * Durable appends per second, of many writers, to streams that are there.
 *
 * @param {import('varve').EventStore} store
 * @param {number} events
 * @param {number} streams
 * @param {number} round others than in the rounds before
 */
async function appendRate(store, events, streams, round) {
  let next = round * events;
  const end = next + events;
  const started = performance.now();
  await Promise.all(
    Array.from({ length: WRITERS }, async () => {
      while (next < end) await store.appendToStream(streamName(somewhere(next++, streams)), EVENT);
    }),
  );
  return (events * 1000) / (performance.now() - started);
}

/** So that what is read comes from the disk; needs root. Says whether it was done. */
function dropPageCache() {
  try {
    spawnSync('sync');
    fs.writeFileSync('/proc/sys/vm/drop_caches', '1');
    return true;
  } catch {
    return false; // not Linux, or not allowed: the row says that the page cache was warm
  }
}

/** @param {Workspace} workspace @param {Progress} progress */
async function measure(workspace, progress) {
  const [events, streams, heads] = [count('events'), count('streams'), count('heads')];
  await workspace.needSpace(events * BYTES_PER_EVENT);
  const rateEvents = Math.min(SMALL, events);

  progress.begin('a small store');
  const smallStreams = Math.min(SMALL_STREAMS, streams);
  const smallDirectory = workspace.makeDirectory();
  const filledSmall = await openEventStore({ directory: smallDirectory });
  await appendEvents(
    filledSmall,
    Math.max(rateEvents, smallStreams),
    (n) => streamName(n % smallStreams),
    () => {},
  );
  await filledSmall.close();
  progress.end();

  progress.begin('filling');
  const directory = workspace.makeDirectory();
  const filled = await openEventStore({ directory });
  const fillStarted = performance.now();
  await appendEvents(
    filled,
    events,
    (n) => streamName(n < streams ? n : somewhere(n, streams)),
    (done) => progress.show(`${Math.floor((done * 100) / events)} % of ${events.toLocaleString('en-US')} events`),
  );
  const fillRate = (events * 1000) / (performance.now() - fillStarted);
  await filled.close();
  const bytes = fs
    .readdirSync(directory, { recursive: true, withFileTypes: true })
    .reduce(
      (sum, entry) => sum + (entry.isFile() ? fs.statSync(join(entry.parentPath, entry.name)).blocks * 512 : 0),
      0,
    );
  progress.end();

  progress.begin('opening');
  const cold = dropPageCache();
  const before = await usedMemory();
  const openStarted = performance.now();
  const store = await openEventStore({ directory });
  const opened = performance.now() - openStarted;
  const firstStarted = performance.now();
  check((await store.streamHead(streamName(somewhere(heads, streams)))) !== undefined, 'a stream has no head');
  const firstHead = performance.now() - firstStarted;
  const took = [];
  for (let i = 0; i < heads; i++) {
    progress.show(`head ${i + 1} of ${heads}`);
    const stream = streamName(somewhere(i, streams));
    const started = performance.now();
    const head = await store.streamHead(stream);
    took.push(performance.now() - started);
    check(head !== undefined, `${stream} has no head`);
  }
  const afterHeads = await usedMemory();
  progress.end();

  progress.begin('appending');
  const small = await openEventStore({ directory: smallDirectory });
  /** @type {{ all: number[], some: number[], small: number[] }} */
  const rates = { all: [], some: [], small: [] };
  for (let round = 0; round < RATE_ROUNDS; round++) {
    progress.show(`round ${round + 1} of ${RATE_ROUNDS}`);
    rates.small.push(await appendRate(small, rateEvents, smallStreams, round));
    rates.some.push(await appendRate(store, rateEvents, smallStreams, round));
    rates.all.push(await appendRate(store, rateEvents, streams, round));
  }
  const rate = quantile(rates.all, 0.5);
  const someRate = quantile(rates.some, 0.5);
  const smallRate = quantile(rates.small, 0.5);
  await small.close();
  const after = await usedMemory();
  await store.close();
  progress.end();

  const mib = (/** @type {number} */ value) => `${formatNumber(value / MIB)} MiB`;
  const ms = (/** @type {number} */ value) => `${formatNumber(value)} ms`;
  const perSecond = (/** @type {number} */ value) => `${formatNumber(value)} /s`;
  const some = smallStreams.toLocaleString('en-US');
  const cache = cold ? 'page cache dropped' : 'page cache warm';
  return [
    { what: 'Events', value: events.toLocaleString('en-US') },
    { what: 'Streams', value: streams.toLocaleString('en-US') },
    { what: 'On disk, with indexes', value: `${formatNumber(bytes / MIB / 1024)} GiB` },
    { what: `Filling, ${WRITERS} at a time, not synced one by one`, value: perSecond(fillRate) },
    { what: `Opening, ${cache} (target: < 1 s)`, value: ms(opened) },
    { what: 'Head of the first stream that is asked for', value: ms(firstHead) },
    { what: `Head of a random stream, first look-up, p50 (target: < 1 ms)`, value: ms(quantile(took, 0.5)) },
    { what: 'Head of a random stream, first look-up, p99', value: ms(quantile(took, 0.99)) },
    { what: `Heap after ${heads} look-ups (target: < 256 MiB)`, value: mib(afterHeads.heapUsed) },
    { what: 'Heap, more than before opening', value: mib(afterHeads.heapUsed - before.heapUsed) },
    { what: 'Heap after appending', value: mib(after.heapUsed) },
    { what: 'Buffers outside the heap after appending', value: mib(after.arrayBuffers) },
    { what: `Durable appends, ${WRITERS} writers, ${some} streams of a store of no more`, value: perSecond(smallRate) },
    { what: `The same, ${some} of this store’s streams`, value: perSecond(someRate) },
    { what: 'This store by the small one (target: as fast)', value: `${formatNumber(someRate / smallRate)}×` },
    { what: 'Durable appends, any of this store’s streams at random', value: perSecond(rate) },
    {
      what: 'At random by the small one: most streams have to be looked up first',
      value: `${formatNumber(rate / smallRate)}×`,
    },
  ];
}

if (values.help) {
  process.stdout.write(`${HELP}\n`);
} else {
  const workspace = new Workspace(resolve(values.directory));
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) {
    process.once(signal, () => {
      workspace.remove();
      process.exit(1);
    });
  }
  try {
    const started = performance.now();
    const rows = await measure(workspace, new Progress());
    const given = ['events', 'streams', 'heads'].filter((name) => process.argv.includes(`--${name}`));
    const scale = {
      title: 'Event store: millions of streams',
      command: [
        'npm run bench:scale',
        ...(given.length > 0 ? ['--'] : []),
        ...given.map((name) => `--${name} ${values[/** @type {'events'} */ (name)]}`),
      ].join(' '),
      date: new Date().toISOString().slice(0, 10),
      seconds: Math.round((performance.now() - started) / 1000),
      rows,
    };
    const width = Math.max(...rows.map(({ what }) => what.length));
    process.stdout.write(`${rows.map(({ what, value }) => `${what.padEnd(width)}  ${value}`).join('\n')}\n`);
    const results = new URL('./results/', import.meta.url);
    await mkdir(results, { recursive: true });
    // The committed file is of the full size.
    const file = given.length === 0 ? 'scale.json' : 'scale-latest.json';
    await writeFile(new URL(file, results), `${JSON.stringify(scale, null, 2)}\n`);
    process.stdout.write(`${scale.seconds} s; results are in bench/results/${file}\n`);
  } finally {
    await workspace.close();
  }
}
