/**
 * Commits to streams of node-eventstore, takes snapshots and publishes events, until it is killed.
 *
 * Lines:  try {stream} {id} {events} · ack {stream} {revision} {id} · snapshot {stream} {revision} · dispatched {id}
 * Arguments: directory, first id.
 */
import { writeSync } from 'node:fs';
import { promisify } from 'node:util';
import eventstore from 'eventstore';
import { VarveStore } from '../../dist/adapter/node-eventstore/index.js';

const [directory = '', firstId] = process.argv.slice(2);
let next = Number(firstId);
/** @param {string} line */
const tell = (line) => writeSync(1, `${line}\n`);

const es = eventstore({
  type: VarveStore,
  directory,
  storeOptions: { segmentSize: 64 * 1024, partitions: 2 },
  maxSnapshotsCount: 2,
});
await promisify(es.init).call(es);

/** @param {string} streamId */
async function turn(streamId) {
  const stream = await promisify(es.getEventStream).call(es, streamId);
  const id = next++;
  const count = 1 + (id % 4);
  tell(`try ${streamId} ${id} ${count}`);
  for (let i = 0; i < count; i++) stream.addEvent({ name: 'counted', id, i });
  const { lastRevision, eventsToDispatch } = await promisify(stream.commit).call(stream);
  tell(`ack ${streamId} ${lastRevision} ${id}`);
  for (const event of eventsToDispatch.slice(0, 2)) {
    await promisify(es.setEventToDispatched).call(es, event);
    tell(`dispatched ${event.id}`);
  }
  if (id % 3 !== 0) return;
  await promisify(es.createSnapshot).call(es, { streamId, revision: lastRevision, data: { id } });
  tell(`snapshot ${streamId} ${lastRevision}`);
}

/** @param {string} streamId */
async function user(streamId) {
  for (;;) {
    await turn(streamId).catch((error) => {
      if (error.name !== 'ConcurrencyError') throw error;
    });
  }
}
await Promise.all(['a', 'a', 'b', 'c'].map(user));
