/** Every example, run as a user would run it: `node`, against the built package. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { openLog } from 'varve';
import { Acknowledgements } from '../../examples/quick-start/acknowledgements.js';
import { encode, type Flight, loadFlights, partitionOf } from '../../examples/quick-start/flights.js';

const EXAMPLES = fileURLToPath(new URL('../../examples/', import.meta.url));
const FLIGHTS = ['--flights', '4000'];
const OK = /^quick start: OK — (\d+) acknowledged, (\d+) recovered, 0 lost$/;

/** From Node 24 on automerge-repo's own timers are warned of. */
const NODE_OPTIONS = '--disable-warning=TimeoutNegativeWarning';

/** Everything that a run leaves in the temporary directory is left here. */
let scratch: string;

beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'varve-examples-test-'));
});

afterEach(async () => {
  await rm(scratch, { recursive: true, force: true });
});

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly lastLine: string;
}

function start(name: string, args: string[] = [], env: NodeJS.ProcessEnv = {}): ChildProcess {
  return spawn(process.execPath, [join(EXAMPLES, name), ...args], {
    env: { ...process.env, NODE_OPTIONS, TMPDIR: scratch, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

async function end(child: ChildProcess): Promise<Ended> {
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    stderr += chunk;
  });
  const [code] = await once(child, 'close');
  return { code, stdout, stderr, lastLine: stdout.trimEnd().split('\n').at(-1) ?? '' };
}

function run(name: string, args?: string[], env?: NodeJS.ProcessEnv): Promise<Ended> {
  return end(start(name, args, env));
}

function expectOk({ code, stderr, lastLine }: Ended): void {
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const [, acknowledged, recovered] = OK.exec(lastLine) ?? [lastLine];
  expect(Number(acknowledged)).toBeGreaterThan(0);
  expect(recovered).toBe(acknowledged);
}

describe('examples', () => {
  test.each([
    ['append-and-read.js', 'the last record is 4: ash'],
    ['follow.js', 'maximum of 6 readings: 12 °C'],
    ['batches-and-recovery.js', 'no money was lost or made'],
    ['read-only.js', 'read 50 records beside their writer'],
    ['subscription-that-survives.js', 'nothing was missed, and the order was kept'],
    ['outbox.js', 'the broker has every order, in order but for the parked one'],
    ['bank-account.js', 'the balance is 0 at revision 10'],
    ['nact-counter.js', 'the counter is at 30, and was replayed from 20 on'],
    ['flight-streams.js', 'the projection of 6000 flights agrees with the input'],
    ['castore-pokemons.js', '2 are caught, and their trainers know it'],
    ['emmett-shopping-cart.js', 'in demand: 7 × pizza, 1 × ice cream'],
    ['langgraph-thread.js', 'the last state was: drafted, approved by Ada, paid 40 €'],
    ['nestjs-orders.js', 'the total of 2 orders is 65 €, counted once each'],
    ['node-eventstore.js', 'all 5 moves were told of'],
    ['automerge-repo.js', '1000 changes later: still 3 items'],
    ['crash-test.js', 'a payment whose sync fails: ERR_VARVE_PARTITION_FAILED'],
    ['xstate-order.js', 'the payment service was called 3 times and has 0 € too much'],
    ['xstate-traffic-light.js', 'it has changed at 32, 37, 62 s'],
  ])('%s ends well and cleans up', async (name, lastLine) => {
    expect(await run(name)).toMatchObject({ code: 0, stderr: '', lastLine });
    expect(await readdir(scratch)).toEqual([]);
  });

  test('xstate-many-actors.js ends well with a few thousand of them', async () => {
    const lastLine = 'a hundred of 3000 actors have counted to 200';
    expect(await run('xstate-many-actors.js', ['--count', '3000'])).toMatchObject({ code: 0, stderr: '', lastLine });
    expect(await readdir(scratch)).toEqual([]);
  });

  test('journal-conformance.js runs its cases, and tells which were skipped', async () => {
    const { code, stderr, stdout } = await run('journal-conformance.js');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^\S+ fail 0$/m);
    expect(stdout).toMatch(/^\S+ pass [1-9]\d+$/m);
    expect(stdout).toMatch(/eventsByTag: .*\(no tags\).* # SKIP/);
  });

  test('none is forgotten here', async () => {
    const names = (await readdir(EXAMPLES)).filter((name) => name.endsWith('.js'));
    const tested = await readFile(fileURLToPath(import.meta.url), 'utf8');
    expect(names.filter((name) => !tested.includes(`'${name}`))).toEqual([]);
  });
});

describe('quick start', () => {
  test('loses nothing, shows no colours in a pipe, and cleans up', async () => {
    const ended = await run('quick-start.js', FLIGHTS);
    expectOk(ended);
    expect(ended.stdout).not.toContain('\u001b');
    expect(ended.stdout).toMatch(/gave up [1-9]\d* segments/);
    expect(await readdir(scratch)).toEqual([]);
  });

  test('works without native parts', async () => {
    const ended = await run('quick-start.js', FLIGHTS, { VARVE_NATIVE: '0' });
    expectOk(ended);
    expect(ended.stdout).toContain("io 'write'");
  });

  test.each(['1', '3999', '4000'])('works when the writer is killed at acknowledgement %s', async (killAfter) => {
    expectOk(await run('quick-start.js', [...FLIGHTS, '--kill-after', killAfter]));
  });

  test('begins anew beside what is in its directory, and touches none of it', async () => {
    const args = [...FLIGHTS, '--directory', scratch];
    await writeFile(join(scratch, 'part_1.wal'), 'mine');
    expectOk(await run('quick-start.js', args));
    expectOk(await run('quick-start.js', args));
    expect((await readdir(scratch)).sort()).toEqual(['part_1.wal', 'run-1', 'run-2']);
    expect(await readFile(join(scratch, 'part_1.wal'), 'utf8')).toBe('mine');
  });

  test('keeps its directory if it is asked to', async () => {
    expectOk(await run('quick-start.js', ['--flights', '100', '--keep']));
    const [kept = ''] = await readdir(scratch);
    const log = await openLog({ directory: join(scratch, kept), segmentSize: 32 * 1024 });
    expect(log.partitions()).toEqual([1, 2, 3, 4, 5]);
    await log.close();
  });

  test('says that it has failed', async () => {
    const args = [...FLIGHTS, '--io', 'mmap'];
    const { code, lastLine } = await run('quick-start.js', args, { VARVE_NATIVE: '0' });
    expect(lastLine).toMatch(/^quick start: FAILED — .*'io' is 'mmap'/);
    expect(code).toBe(1);
  });

  test('tells what it can do', async () => {
    const { code, stdout } = await run('quick-start.js', ['--help']);
    expect(code).toBe(0);
    for (const option of ['directory', 'flights', 'io', 'keep', 'kill-after']) expect(stdout).toContain(`--${option}`);
  });

  test.each([
    [['--bogus'], "'--bogus'"],
    [['more'], "'more'"],
    [['--flights'], '--flights'],
    [['--flights', 'many'], "--flights is 'many'"],
    [['--flights', '20001'], "--flights is '20001'"],
    [['--flights', '10', '--kill-after', '11'], "--kill-after is '11'"],
    [['--io', 'fast'], "--io is 'fast'"],
    [['--directory', ''], '--directory'],
    [['--directory', '/dev/null/there'], '--directory'],
  ])('refuses %j', async (args, named) => {
    const { code, stdout, stderr } = await run('quick-start.js', args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(named);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  });

  test('ends at an interrupt, and takes its writer with it', async () => {
    const child = start('quick-start.js', ['--directory', scratch, '--kill-after', '20000']);
    const ending = end(child);
    while ((await readdir(join(scratch, 'run-1')).catch(() => [])).length < 8) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    child.kill('SIGINT');
    expect(await ending).toMatchObject({ code: 130, stderr: '', lastLine: 'quick start: interrupted' });
    const log = await openLog({ directory: join(scratch, 'run-1'), segmentSize: 32 * 1024 }); // it is not locked
    await log.close();
  });
});

describe('what the quick start holds the log to', () => {
  const flights = loadFlights(200);
  const byPartition = (number: number) => flights.filter((flight) => partitionOf(flight) === number);

  /** All flights are acknowledged; `change` says what became of those of partition 1. */
  function check(change: (records: Flight[]) => Flight[]) {
    const acknowledgements = new Acknowledgements();
    const records = new Map<number, Flight[]>();
    for (const number of [1, 2, 3, 4]) {
      const own = byPartition(number);
      own.forEach((flight, i) => {
        acknowledgements.add({ partition: number, lsn: i + 1, flight: flight.number });
      });
      records.set(number, number === 1 ? change(own) : own);
    }
    async function* read(number: number) {
      let lsn = 1;
      for (const flight of records.get(number) ?? []) yield { lsn: lsn++, payload: encode(flight) };
    }
    const log = { partition: async (number: number) => ({ read: () => read(number) }) };
    return acknowledgements.check(log as unknown as Parameters<Acknowledgements['check']>[0], flights);
  }

  const count = byPartition(1).length;

  test('all that there is', async () => {
    expect(await check((records) => records)).toEqual({
      acknowledged: 200,
      records: 200,
      recovered: 200,
      lost: 0,
      problems: [],
    });
  });

  test('a lost end', async () => {
    expect(await check((records) => records.slice(0, -2))).toMatchObject({ records: 198, recovered: 198, lost: 2 });
  });

  test.each<[string, (records: Flight[]) => Flight[], number]>([
    ['a gap', ([first, , ...rest]) => [first as Flight, ...rest], count - 1],
    ['another order', ([a, b, ...rest]) => [b as Flight, a as Flight, ...rest], 2],
    ['a repetition', ([first, ...rest]) => [first as Flight, first as Flight, ...rest], count - 1],
    ['another value', ([first, ...rest]) => [{ ...(first as Flight), delay: 1e6 }, ...rest], 1],
  ])('%s', async (_what, change, lost) => {
    const found = await check(change);
    expect(found.lost).toBe(lost);
    expect(found.problems.length).toBeGreaterThan(0);
  });

  test('an acknowledgement that comes twice', () => {
    const acknowledgements = new Acknowledgements();
    acknowledgements.add({ partition: 1, lsn: 1, flight: 1 });
    acknowledgements.add({ partition: 1, lsn: 2, flight: 1 });
    expect(acknowledgements.problems).toHaveLength(1);
  });
});

test('the flights are all there', () => {
  const flights = loadFlights();
  expect(flights).toHaveLength(20_000);
  expect(flights[0]).toEqual({
    number: 1,
    date: '2001/01/01 00:47',
    origin: 'DTW',
    destination: 'LAS',
    distance: 1750,
    delay: 66,
  });
  expect(new Set(flights.map(({ origin }) => origin)).size).toBe(220);
});
