/**
 * Chess games with the package `eventstore`, on Varve: moves are committed, published, and there after a restart; a game
 * goes on from its snapshot, and of two who move at the same time one is told to look again.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import eventstore from 'eventstore';
import { VarveStore } from 'varve/node-eventstore';

const directory = await mkdtemp(join(tmpdir(), 'varve-node-eventstore-'));
const GAME = { context: 'club', aggregate: 'game', aggregateId: 'ada-bob' };

/** @param {(move: { move: string }, callback: (error: unknown) => void) => void} publish */
async function open(publish) {
  const es = eventstore({ type: VarveStore, directory, storeOptions: { segmentSize: 1024 * 1024 } });
  es.useEventPublisher(publish);
  await promisify(es.init).call(es);
  return es;
}

/** Loads a game, and commits moves to it. */
async function play(/** @type {any} */ es, /** @type {string[]} */ ...moves) {
  const stream = await promisify(es.getEventStream).call(es, GAME);
  for (const move of moves) stream.addEvent({ move });
  await promisify(stream.commit).call(stream);
  return stream;
}

// The publisher is slow, and the program is stopped before it has told of every move.
/** @type {string[]} */
const told = [];
let es = await open(({ move }, callback) => {
  if (told.length === 3) return; // it never answers
  told.push(move);
  callback(null);
});
await play(es, 'e4', 'e5');
const { lastRevision } = await play(es, 'Nf3', 'Nc6');
await promisify(es.createSnapshot).call(es, { ...GAME, revision: lastRevision, data: { moves: lastRevision + 1 } });

const outcomes = await Promise.allSettled([play(es, 'Bb5'), play(es, 'Bc4')]);
for (const outcome of outcomes) if (outcome.status === 'rejected') console.log(`too late: ${outcome.reason.name}`);

const dispatched = async () => (await promisify(es.getUndispatchedEvents).call(es)).length === 2;
while (!(await dispatched())) await new Promise((resolve) => setTimeout(resolve, 5));
await promisify(es.store.disconnect).call(es.store);
console.log(`stopped; ${told.length} moves were told of`);

es = await open(({ move }, callback) => {
  told.push(move);
  callback(null);
});
/** @type {[any, any]} */
const [snapshot, rest] = await new Promise((resolve, reject) => {
  es.getFromSnapshot(GAME, (/** @type {unknown} */ error, /** @type {any} */ found, /** @type {any} */ stream) =>
    error ? reject(error) : resolve([found, stream]),
  );
});
console.log(`${snapshot.data.moves} moves in the snapshot, ${rest.events.length} behind it`);
while ((await promisify(es.getUndispatchedEvents).call(es)).length > 0)
  await new Promise((resolve) => setTimeout(resolve, 5));
await promisify(es.store.disconnect).call(es.store);
await rm(directory, { recursive: true });

if (told.length !== 5 || new Set(told).size !== 5) throw new Error(`told of ${told}`);
console.log(`all ${told.length} moves were told of`);
