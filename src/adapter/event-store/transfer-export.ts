/** Exporting: events as lines of JSON, in the order of positions. */
import { checkAll } from '../../options.js';
import { eitherSignal, PullStream } from '../../streams/pull-stream.js';
import { type Cursors, checkFrom, cursorsOf } from './cursors.js';
import { Envelope } from './envelope.js';
import { checkFilter, type EventFilter } from './event-filter.js';
import { EXPORT_CHECKS, type ExportOptions } from './event-store-options.js';
import { readAllEvents } from './read-all.js';
import type { StoreCore } from './store-core.js';
import { isMetadataStream, streamOfMetadata } from './stream-state.js';
import { formatLine } from './transfer-line.js';

export interface ExportProgress {
  readonly events: number;
  /** Of the last one: an export that is begun again goes on behind it. */
  readonly position: bigint;
}

/** Of `exportEvents`. */
export function exportEvents(core: StoreCore, options: ExportOptions): PullStream<string> {
  checkAll(options, EXPORT_CHECKS, 'options');
  const filter = checkFilter(options.filter);
  const from = checkFrom(core, options.from ?? 'start');
  const { onProgress } = options;
  return new PullStream(async function* (ending) {
    const signal = eitherSignal(options.signal, ending);
    signal?.throwIfAborted();
    core.refuseClosed();
    yield* exportLines(core, { cursors: await cursorsOf(core, from), filter, signal, onProgress });
  });
}

interface ExportRequest {
  readonly cursors: Cursors;
  readonly filter: EventFilter;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((progress: ExportProgress) => void) | undefined;
}

/** Each line ends with a line feed. What is appended after the beginning is not in it. */
async function* exportLines(
  core: StoreCore,
  { cursors, filter, signal, onProgress }: ExportRequest,
): AsyncGenerator<string[]> {
  const { system = false } = filter;
  let events = 0;
  const range = { cursors, upTo: core.visiblePosition, backward: false, filter: { ...filter, system: true }, signal };
  const decoded = new WeakMap<object, Envelope>();
  const reading = readAllEvents(core, {
    ...range,
    decode: (log, record) => {
      const event = core.decode(log, record);
      decoded.set(event, new Envelope(record.payload));
      return event;
    },
  });
  for await (const batch of reading) {
    const lines: string[] = [];
    for (const event of batch) {
      if (system || isOfUsers(event.stream))
        lines.push(formatLine(decoded.get(event) as Envelope, core.options.decoding.codecs));
    }
    const last = batch.at(-1);
    if (lines.length === 0 || last === undefined) continue;
    yield lines;
    events += lines.length;
    onProgress?.({ events, position: last.position });
  }
}

/** Streams of users, and their metadata. Snapshots and checkpoints belong to this store. */
function isOfUsers(stream: string): boolean {
  return !(isMetadataStream(stream) ? streamOfMetadata(stream) : stream).startsWith('$');
}
