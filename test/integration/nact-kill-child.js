/**
 * Nact's persistent actors on Varve, and beside them a plain journal and durable states, until it is killed. It tells its
 * parent of each thing before and after it is done: the list of what was acknowledged is kept outside of the process that
 * dies. What is in the pipe survives it.
 *
 * Lines:  recovered {key} {count} · ready
 *         try {key} {number} · ack {key} {number}          events of the actors and of the journal, numbered from 1 on
 *         deleting {key} {number} · upsert {revision} · upserted {revision}
 * Arguments: directory, size of segments.
 */
import { writeSync } from 'node:fs';
import { configurePersistence, dispatch, query, spawnPersistent, start } from 'nact';
import { EventStoreJournal, EventStoreStates } from '../../dist/adapter/journal/index.js';
import { VarvePersistenceEngine } from '../../dist/adapter/nact/index.js';
import { openEventStore } from '../../dist/index.js';

const [directory = '', segmentSize] = process.argv.slice(2);
/** @param {string} line */
const tell = (line) => writeSync(1, `${line}\n`);
const PATIENCE = 600_000;
const SNAPSHOT_EVERY = 7;

const store = await openEventStore({ directory, segmentSize: Number(segmentSize) });
const engine = new VarvePersistenceEngine(store);
const journal = new EventStoreJournal(store);
const states = new EventStoreStates(store);
const system = start(configurePersistence(engine));

/** Counts the messages that it has persisted, and adds up their numbers. @param {string} key */
function spawnCounter(key) {
  return spawnPersistent(
    system,
    async (/** @type {any} */ state, /** @type {any} */ message, /** @type {any} */ ctx) => {
      const next = { count: state.count + 1, sum: state.sum + state.count + 1 };
      if (message.next === undefined && message.look === undefined) return next; // of the events: they are replayed
      if (message.look !== undefined) {
        dispatch(message.look, state);
        return state;
      }
      tell(`try ${key} ${next.count}`);
      await ctx.persist({ n: next.count, fill: '-'.repeat((next.count * 37) % 400) });
      tell(`ack ${key} ${next.count}`);
      dispatch(message.next, next);
      return next;
    },
    key,
    key,
    /** @type {any} */ ({ initialState: { count: 0, sum: 0 }, snapshotEvery: SNAPSHOT_EVERY }),
  );
}

/** @param {string} key */
async function act(key) {
  const counter = /** @type {any} */ (spawnCounter(key));
  const { count } = /** @type {any} */ (await query(counter, (/** @type {any} */ look) => ({ look }), PATIENCE));
  tell(`recovered ${key} ${count}`);
  for (;;) {
    const state = /** @type {any} */ (await query(counter, (/** @type {any} */ next) => ({ next }), PATIENCE));
    if (state.count % 10 !== 0) continue;
    // What the latest snapshot stands for is not needed any more.
    const latest = await engine.latestSnapshot(key);
    if (latest === undefined) continue;
    tell(`deleting ${key} ${latest.sequenceNumber}`);
    await journal.deleteTo(key, latest.sequenceNumber);
  }
}

/** @param {string} id */
async function append(id) {
  for (;;) {
    const at = await journal.highestSeq(id);
    const events = [1, 2, 3].map((i) => ({ event: { n: at + i }, tags: ['third'] }));
    tell(`try ${id} ${at + 3}`);
    await journal.append(id, events, at);
    tell(`ack ${id} ${at + 3}`);
    if (at % 5 === 0) {
      tell(`deleting ${id} ${at}`);
      await journal.deleteTo(id, at);
      await store.purge();
    }
  }
}

async function write() {
  for (;;) {
    const { revision } = (await states.load('state')) ?? { revision: 0 };
    tell(`upsert ${revision + 1}`);
    await states.upsert('state', revision, { revision: revision + 1 });
    tell(`upserted ${revision + 1}`);
  }
}

tell('ready');
await Promise.all([act('counter-1'), act('counter-2'), act('counter-3'), append('journal'), write()]);
