/**
 * SIGKILL at every named step by which a log changes its disk (crash-points.js), in both back ends where both have it;
 * then, behind every such crash, SIGKILL once more in the course of the recovery. Whatever was acknowledged, durable
 * or only written, is there afterwards, and nothing that was not appended.
 *
 * A point that is not reached fails its test, so the table and the log cannot drift apart.
 *
 * VARVE_KERNEL=full kills in both back ends at every point, and then after every change of the recovery; otherwise
 * back ends alternate, and one crash in four has a second one behind it.
 */
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { backEnds, temporaryDirectory } from '../../support/logs.js';
import { Account } from './account.js';
import { Judge, runChild } from './children.js';
import { CRASH_POINTS, type CrashPoint, TORN } from './crash-points.js';

const FULL = process.env.VARVE_KERNEL === 'full';
const ios = await backEnds();
const possible = CRASH_POINTS.filter(({ io }) => io === undefined || ios.includes(io));
const hit = new Set<string>();

const judge = new Judge();
afterAll(() => judge.end());

interface State {
  readonly directory: string;
  readonly account: Account;
  readonly io: 'mmap' | 'write';
}

/** Lets a child die at the point; false where it came to its end without. */
async function crash({ directory, account, io }: State, script: string, kill: string | number): Promise<boolean> {
  const options = { directory, io, segmentSize: 8192, recycle: 1, preallocate: { segments: 0 } };
  const firstId = script === 'recover' ? nextId() : 1;
  const { lines, ...ended } = await runChild({ script, options, firstId, ...(kill !== TORN && { kill }) }, account);
  const last = lines.at(-1);
  if (last?.end && typeof kill === 'number') return false;
  expect({ ...ended, last }).toEqual({
    status: null,
    signal: 'SIGKILL',
    stderr: '',
    hung: false,
    last: { point: kill },
  });
  expect(lines.filter(({ error }) => error !== undefined)).toEqual([]);
  return true;
}

let ids = 10_000;
const nextId = () => {
  ids += 1000;
  return ids;
};

const states = new Map<string, Promise<State>>();

/** The state that the crash `name` leaves; several points begin behind the same. */
async function behind(name: string, io: State['io']): Promise<State> {
  const key = `${name} ${io}`;
  const made = states.get(key) ?? firstCrash(name, io);
  states.set(key, made);
  return copyOf(await made);
}

async function firstCrash(name: string, io: State['io']): Promise<State> {
  const directory = path.join(temporaryDirectory(), 'log');
  const state = { directory, account: new Account(name === TORN ? 'torn' : 'killed'), io };
  if (name !== TORN) {
    await crash(state, 'life', name);
    return state;
  }
  await crash(state, 'torn', TORN);
  // What a power cut may leave of two unsynced records: the second, and not all of the first.
  const file = path.join(directory, readdirSync(directory).find((one) => one.startsWith('part_')) as string);
  const bytes = readFileSync(file);
  const at = bytes.indexOf('00000003') + 100;
  bytes[at] = (bytes[at] as number) ^ 1;
  writeFileSync(file, bytes);
  return state;
}

function copyOf({ directory, account, io }: State): State {
  const copy = path.join(temporaryDirectory(), 'log');
  cpSync(directory, copy, { recursive: true });
  return { directory: copy, account: account.copy(), io };
}

const judged = ({ directory, account, io }: State) => judge.judge({ directory, io, segmentSize: 8192 }, account);

/** Dies at the point, and is judged; and again when the recovery behind it has died after `changes` changes. */
async function explore(point: CrashPoint, io: State['io'], changes: number[]): Promise<void> {
  const state = await behind(point.behind ?? point.name, io);
  if (point.behind !== undefined) await crash(state, 'recover', point.name);
  hit.add(point.name);
  await judged(copyOf(state));
  for (const count of changes) {
    const again = copyOf(state);
    if (!(await crash(again, 'recover', count))) break;
    await judged(again);
  }
}

test.each(possible.map((point, i) => ({ ...point, i })))(
  '$name',
  async ({ i, ...point }) => {
    const all = point.io === undefined ? ios : [point.io];
    const changes = FULL ? Array.from({ length: 100 }, (_, n) => n + 1) : i % 4 === 0 ? [1 + ((i / 4) % 8)] : [];
    const chosen = FULL ? all : [all[i % all.length] as State['io']];
    await Promise.all(chosen.map((io) => explore(point, io, changes)));
  },
  FULL ? 600_000 : 60_000,
);

test('every named point was hit', () => {
  const families = new Set(possible.map(({ name }) => name.split('.')[0]));
  for (const family of ['rotate', 'prepare', 'recycle', 'purge', 'truncate', 'repair', 'close']) {
    expect(families).toContain(family);
  }
  expect(new Set(CRASH_POINTS.map(({ name }) => name)).size).toBe(CRASH_POINTS.length);
  expect([...hit].sort()).toEqual(possible.map(({ name }) => name).sort());
});
