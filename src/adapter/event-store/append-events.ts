/** Appends as users ask for them: checked, encoded, and given to the one partition that they concern or to a transaction. */
import { type Ack, checkAll, invalid } from '../../options.js';
import type { Append } from './commit-lane.js';
import { appendTransaction } from './commit-transaction.js';
import { checkStream, type EventInput, prepareEvent } from './event-input.js';
import {
  APPENDS_CHECKS,
  type AppendToStreamResult,
  type StreamAppend,
  type StreamAppendResult,
} from './event-store-options.js';
import { checkExpectedRevision, type ExpectedRevision } from './expected-revision.js';
import type { StoreCore } from './store-core.js';
import type { Committed, PreparedEvent, StreamWrite } from './stream-write.js';

/** Of `appendToStreams`. */
export async function appendToStreams(
  core: StoreCore,
  appends: readonly StreamAppend[],
): Promise<StreamAppendResult[]> {
  core.refuseClosed();
  if (!Array.isArray(appends) || appends.length === 0) throw invalid('appends', appends, 'an array of at least one');
  const writes = appends.map((append, i) => {
    checkAll(append, APPENDS_CHECKS, `appends[${i}]`);
    const { stream, events = [], expectedRevision } = append;
    checkStream(stream);
    return prepareWrite(core, stream, events, expectedRevision);
  });
  const streams = new Set(writes.map(({ stream }) => stream));
  if (streams.size < writes.length) throw invalid('appends', 'naming a stream twice', 'one entry for each stream');
  if (writes.every(({ events }) => events.length === 0))
    throw invalid('appends', 'without events', 'at least one event');
  const committed = await new Promise<readonly Committed[]>((resolve, reject) => {
    append(core, writes, 'durable', resolve, reject);
  });
  return writes.map(({ stream }, i) => ({ stream, ...toResult(committed[i] as Committed) }));
}

/** Checks and encodes what is to be appended to one stream. */
export function prepareWrite(
  core: StoreCore,
  stream: string,
  given: EventInput | readonly EventInput[],
  expectedRevision: ExpectedRevision | undefined,
): StreamWrite {
  const list = (Array.isArray(given) ? given : [given]) as readonly EventInput[];
  const { options, makeId } = core;
  const events = new Array<PreparedEvent>(list.length);
  let idsGiven = list.length > 0;
  for (let i = 0; i < list.length; i++) {
    const event = list[i] as EventInput;
    events[i] = prepareEvent(stream, event, i, options.decoding.codecs, options.partitions, makeId);
    if (event.id === undefined) idsGiven = false;
  }
  return { stream, expected: checkExpectedRevision(expectedRevision), events, idsGiven };
}

/** Answers with one place for each write. Throws `ERR_VARVE_BACKPRESSURE`. */
export function append(
  core: StoreCore,
  writes: readonly StreamWrite[],
  ack: Ack,
  resolve: Append['resolve'],
  reject: Append['reject'],
): void {
  const { lane } = core.partitionOf((writes[0] as StreamWrite).stream);
  let bytes = 0;
  for (const { stream, events } of writes) {
    if (core.partitionOf(stream).lane !== lane) {
      appendTransaction(core, writes).then(resolve, reject);
      return;
    }
    for (const event of events) bytes += event.bytes.length;
  }
  lane.push({ writes, bytes, written: ack === 'written', resolve, reject });
}

export function toResult({
  firstRevision,
  nextRevision,
  firstPosition,
  created,
  time,
}: Committed): AppendToStreamResult {
  const events = nextRevision - firstRevision;
  const positions = new Array<bigint>(events);
  for (let i = 0; i < events; i++) positions[i] = BigInt(firstPosition + i);
  return {
    nextExpectedRevision: BigInt(nextRevision - 1),
    positions,
    createdNewStream: created,
    created: events === 0 ? undefined : new Date(time),
  };
}
