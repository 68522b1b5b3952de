/**
 * Importing: lines of an export become events again, with the ids, revisions and times that they had.
 *
 * What is there already is compared and left out. So an import that was interrupted is repeated from its beginning, or
 * from any line before the one where it ended.
 */
import { checkAll } from '../../options.js';
import { envelopeId } from './envelope.js';
import { IMPORT_CHECKS, type ImportOptions } from './event-store-options.js';
import type { StoreCore, StorePartition } from './store-core.js';
import type { StreamWrite } from './stream-write.js';
import { badLine, parseLine, type TransferredEvent } from './transfer-line.js';

/** Longer lines are refused before they are read to their end. */
const MAX_LINE_CHARACTERS = 256 * 1024 * 1024;

export interface ImportProgress {
  /** Lines that have been dealt with, durably. */
  readonly lines: number;
  readonly imported: number;
  /** Events that were there already. */
  readonly skipped: number;
}

export type Lines = AsyncIterable<string | Uint8Array> | Iterable<string | Uint8Array>;

/** Of `importEvents`. */
export async function importEvents(core: StoreCore, source: Lines, options: ImportOptions): Promise<ImportProgress> {
  core.refuseClosed();
  checkAll(options, IMPORT_CHECKS, 'options');
  const { batch = 512, signal, onProgress } = options;
  const { partitions, decoding, batchBytes } = core.options;
  const progress = { lines: 0, imported: 0, skipped: 0 };
  let waiting: TransferredEvent[] = [];
  let bytes = 0;
  const flush = async (lines: number) => {
    const events = waiting;
    waiting = [];
    bytes = 0;
    await append(core, events, progress);
    progress.lines = lines;
    onProgress?.({ ...progress });
  };
  let line = 0;
  try {
    for await (const text of linesOf(source, () => line + 1)) {
      signal?.throwIfAborted();
      core.refuseClosed();
      if (text.trim() !== '') {
        const event = parseLine(line + 1, text, decoding.codecs, partitions);
        waiting.push(event);
        bytes += event.event.bytes.length;
      }
      line++;
      if (waiting.length >= batch || bytes >= batchBytes) await flush(line);
    }
  } catch (error) {
    if (waiting.length > 0 && !core.closed) await flush(line); // what was read before the error stays
    throw error;
  }
  if (progress.lines < line) await flush(line);
  return progress;
}

/** Lines without their line feeds, of pieces that are cut anywhere. */
async function* linesOf(source: Lines, number: () => number): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const decode = (bytes?: Uint8Array): string => {
    try {
      return decoder.decode(bytes, { stream: bytes !== undefined });
    } catch (error) {
      throw badLine(number(), 'it is not UTF-8.', {}, error);
    }
  };
  let rest = '';
  for await (const piece of source) {
    const lines = (rest + (typeof piece === 'string' ? piece : decode(piece))).split('\n');
    rest = lines.pop() as string;
    yield* lines;
    if (rest.length > MAX_LINE_CHARACTERS)
      throw badLine(number(), `it has more than ${MAX_LINE_CHARACTERS} characters.`);
  }
  rest += decode();
  if (rest !== '') yield rest;
}

/** Appends events in their order, and waits until they are durable. */
async function append(
  core: StoreCore,
  events: readonly TransferredEvent[],
  progress: { imported: number; skipped: number },
): Promise<void> {
  const touched = new Set<StorePartition>();
  try {
    for (let i = 0; i < events.length; ) {
      const partition = core.partitionOf((events[i] as TransferredEvent).stream);
      touched.add(partition);
      const run: TransferredEvent[] = [];
      for (; i < events.length && core.partitionOf((events[i] as TransferredEvent).stream) === partition; i++) {
        run.push(events[i] as TransferredEvent);
      }
      let failure: unknown;
      let imported = 0;
      await partition.lane.insert(async () => {
        const { writes, failed } = await missing(core, run);
        failure = failed;
        imported = writes.length;
        return writes;
      }, true);
      progress.imported += imported;
      if (failure !== undefined) throw failure;
      progress.skipped += run.length - imported;
    }
  } finally {
    await Promise.all([...touched].map(({ lane }) => lane.insert(async () => [])));
  }
}

/** Those that are not there yet, up to the first that cannot be. */
async function missing(
  core: StoreCore,
  events: readonly TransferredEvent[],
): Promise<{ writes: StreamWrite[]; failed: unknown }> {
  const heads = new Map<string, number>();
  const writes: StreamWrite[] = [];
  try {
    for (const { line, stream, revision, event } of events) {
      const head = heads.get(stream) ?? (await core.states.of(stream)).nextHead;
      if (revision <= head) {
        const above = writes.find((write) => write.stream === stream && write.firstRevision === revision);
        const there = above?.events[0]?.bytes ?? (await recorded(core, stream, revision));
        if (there !== undefined && envelopeId(there) !== envelopeId(event.bytes)) {
          throw badLine(line, `stream '${stream}' has another event at revision ${revision}.`, { stream });
        }
        continue;
      }
      if (revision > head + 1 && head >= 0) {
        const problem = `stream '${stream}' is at revision ${head}, and the events up to ${revision} are missing.`;
        throw badLine(line, problem, { stream, actual: BigInt(head), expected: BigInt(revision - 1) });
      }
      heads.set(stream, revision);
      writes.push({ stream, expected: 'any', events: [event], idsGiven: true, firstRevision: revision });
    }
    return { writes, failed: undefined };
  } catch (failed) {
    return { writes, failed };
  }
}

/** The event as it is in the log; undefined if it was given up. */
async function recorded(core: StoreCore, stream: string, revision: number): Promise<Uint8Array | undefined> {
  const { index, log } = core.partitionOf(stream);
  for await (const lsns of index.lsnsOf(stream, revision, revision)) {
    const [record] = await core.records.readKept(log, lsns);
    return record?.payload;
  }
  return undefined;
}
