/**
 * The growing end of a partition: the active segment's writer, the one before it while that is being sealed, and the
 * marks that acknowledgements follow.
 *
 * Three numbers move along the LSNs. Closed: in a complete frame. Written: handed over to the operating system, in a
 * segment whose open frame is there. Durable: covered by an fdatasync that began after the hand-over. Acknowledgements
 * are released by the marks and by nothing else. Everything here is synchronous; when it happens is decided by others.
 */

import type { DiskFile } from '../disk/disk.js';
import { type Catalogue, makeEntry, type SegmentEntry } from '../segment/catalogue.js';
import { type PreviousSegment, RECORD_HEADER_SIZE } from '../segment/frame.js';
import { SegmentWriter, type WriterStart } from '../segment/writer.js';
import { LsnMark } from '../streams/lsn-mark.js';
import { Acknowledgements } from './acknowledgements.js';

/**
 * After so many bytes, who waits to hear that more is written hears it in a turn of the event loop of its own. Who writes
 * on whenever it hears so would else keep timers, sockets and the outcomes of syncs waiting for as long as it goes on.
 */
const REST_BYTES = 128 * 1024;

/**
 * What is durable is stated in the header page behind each sync. But a page that is stored to is one more that the next
 * sync has to write: so where more than the first number of syncs follow one another without a rest, only behind every
 * so many of them, and when they come to rest.
 */
const SYNCS_STATED = 16;
const SYNCS_A_STATEMENT = 8;

/** What an append resolves with. */
export interface Appended {
  readonly lsn: number;
  readonly position: { readonly segmentIndex: number; readonly localOffset: number };
}

/** What a batch resolves with. */
export interface AppendedBatch {
  readonly firstLsn: number;
  readonly lastLsn: number;
  /** Position of the first record. */
  readonly position: { readonly segmentIndex: number; readonly localOffset: number };
}

/** One fdatasync: what it covers was fixed when it began. */
export interface SyncRun {
  readonly writer: SegmentWriter;
  readonly file: DiskFile;
  readonly lsn: number;
  readonly end: number;
  /** Cumulative bytes that are durable when it has succeeded. */
  readonly bytes: number;
  /** It covers the final seal of a segment that is being left. */
  readonly final: boolean;
}

interface Sealing {
  readonly writer: SegmentWriter;
  readonly entry: SegmentEntry;
  readonly bytes: number;
  /** Its seal is durable: there is nothing left to sync in it. */
  durable: boolean;
}

export class Tail {
  readonly written: LsnMark;
  readonly durable: LsnMark;
  readonly writtenAcks = new Acknowledgements<Appended | AppendedBatch>();
  readonly durableAcks = new Acknowledgements<Appended | AppendedBatch>();
  writer: SegmentWriter | undefined;
  entry: SegmentEntry | undefined;
  /** The segment before, from its seal until it is durable. */
  sealing: Sealing | undefined;
  /** The active segment's open frame is durable: from here on a crash finds the log in it. */
  opened = false;
  /** LSN of the next record. */
  nextLsn: number;
  /** Payload bytes appended since the log was opened. */
  appendedBytes = 0;
  records = 0;
  frames = 0;
  /** Bytes with record headers: all, those in closed frames, those that are durable. */
  #addedBytes = 0;
  #closedBytes = 0;
  #durableBytes = 0;
  /** Those in closed frames when the event loop had its last turn for their sake. */
  #restedBytes = 0;
  #resting = false;
  /** The last sync, where the header page says nothing of it yet. */
  #unstated: SyncRun | undefined;
  #syncsInARow = 0;
  /** A frame was closed that has not been handed over. */
  #unnoted = false;
  readonly #now: () => number;

  constructor(lastLsn: number, durableLsn: number, now: () => number) {
    this.nextLsn = lastLsn + 1;
    this.written = new LsnMark(lastLsn);
    this.durable = new LsnMark(durableLsn);
    this.#now = now;
  }

  /** Bytes added that are not durable. */
  get unsyncedBytes(): number {
    return this.#addedBytes - this.#durableBytes;
  }

  /** Index of the active segment; 0 while there is none. */
  get segmentIndex(): number {
    return this.writer?.index ?? 0;
  }

  /** Bytes of the frame in progress. */
  get frameBytes(): number {
    return this.writer?.frameBytes ?? 0;
  }

  /** Last LSN in a closed frame. */
  get closedLsn(): number {
    return this.writer?.closedLsn ?? this.nextLsn - 1;
  }

  /** Goes on in `start`, a recovered segment or a fresh one whose predecessor is durable or absent. */
  begin(start: WriterStart, entry: SegmentEntry): void {
    this.writer = new SegmentWriter(start);
    this.opened = this.writer.published;
    this.entry = entry;
    entry.entries = this.writer.entries;
  }

  /** Adds a record, which must fit, and gives it its LSN. Returns its offset in the segment. */
  add(payload: Uint8Array): number {
    const offset = (this.writer as SegmentWriter).add(payload);
    this.nextLsn++;
    this.records++;
    this.appendedBytes += payload.length;
    this.#addedBytes += payload.length + RECORD_HEADER_SIZE;
    return offset;
  }

  /** Closes the frame in progress and hands over. Throws what the write throws; calling it again tries again. */
  closeFrame(): void {
    const writer = this.writer;
    if (writer === undefined) return;
    if (writer.frameBytes > 0) {
      this.frames++;
      this.#unnoted = true;
    }
    writer.closeFrame(this.durable.value, this.#now());
    if (this.#unnoted) this.#noteClosed(writer, this.entry as SegmentEntry);
  }

  /**
   * Seals the active segment and goes on in `start`, whose open frame is held back until `publish`. Where there is no
   * active segment, it only goes on.
   */
  change(
    start: Omit<WriterStart, 'baseLsn' | 'previous' | 'time'>,
    catalogue: Catalogue,
    previous: PreviousSegment,
  ): void {
    const old = this.writer;
    let link = previous;
    if (old !== undefined && this.entry !== undefined) {
      this.closeFrame();
      old.seal(true, this.durable.value, this.#now());
      this.#noteClosed(old, this.entry);
      this.entry.sealed = true;
      this.sealing = { writer: old, entry: this.entry, bytes: this.#closedBytes, durable: false };
      link = { index: old.index, lastLsn: this.nextLsn - 1, end: old.end, checksum: old.lastChecksum };
    }
    const baseLsn = this.nextLsn;
    const { index, segmentSize, seed } = start;
    const entry = makeEntry({
      partition: catalogue.partition,
      index,
      baseLsn,
      lastLsn: baseLsn - 1,
      end: 0,
      segmentSize,
      seed,
      sealed: false,
      entries: undefined,
      warm: true,
    });
    this.begin({ ...start, baseLsn, previous: link, time: this.#now() }, entry);
    entry.end = (this.writer as SegmentWriter).end;
    catalogue.add(entry);
  }

  /** Hands over the open frame that was held back: what was written behind it counts from now on. */
  publish(): void {
    const writer = this.writer as SegmentWriter;
    writer.publish();
    this.sealing = undefined;
    this.#noteWritten(writer);
  }

  /** What an fdatasync that begins now is going to cover; undefined while there is nothing that it could. */
  startSync(): SyncRun | undefined {
    const { sealing } = this;
    if (sealing !== undefined) {
      const { writer, bytes, durable } = sealing;
      if (durable) return undefined; // the new segment does not count before it is published
      return { writer, file: writer.file, lsn: writer.closedLsn, end: writer.end, bytes, final: true };
    }
    this.closeFrame();
    const writer = this.writer;
    if (writer === undefined) return undefined;
    return {
      writer,
      file: writer.file,
      lsn: writer.closedLsn,
      end: writer.end,
      bytes: this.#closedBytes,
      final: false,
    };
  }

  /** The sync has succeeded. Returns how many records it made durable. */
  finishSync(run: SyncRun): number {
    const before = this.durable.value;
    this.#durableBytes = Math.max(this.#durableBytes, run.bytes);
    if (run.final && this.sealing !== undefined) {
      this.sealing.durable = true;
      // From here on its index is read from the seal; a seal that a failed sync has lost must not be needed.
      this.sealing.entry.entries = undefined;
    }
    if (run.writer === this.writer) this.opened = true;
    if (run.lsn > before) {
      this.durable.set(run.lsn);
      this.durableAcks.release(run.lsn);
      this.#unstated = run;
      this.#syncsInARow++;
      if (this.#syncsInARow <= SYNCS_STATED || this.#syncsInARow % SYNCS_A_STATEMENT === 0) this.#stateDurable();
    }
    return Math.max(0, run.lsn - before);
  }

  /** No sync follows the last one for now. Throws what the write of a statement throws. */
  syncsEnded(): void {
    this.#syncsInARow = 0;
    this.#stateDurable();
  }

  /** Lowers the marks to `lsn`, behind which the log has been cut, and forgets the writer. */
  rewind(lsn: number): void {
    this.tellWritten();
    this.nextLsn = lsn + 1;
    this.#durableBytes = this.#closedBytes = this.#addedBytes;
    this.written.set(lsn);
    this.durable.set(lsn);
    this.writer = undefined;
    this.entry = undefined;
  }

  /** Releases the appends that wait for what is written. */
  tellWritten(): void {
    this.writtenAcks.release(this.written.value);
  }

  #noteClosed(writer: SegmentWriter, entry: SegmentEntry): void {
    this.#unnoted = false;
    this.#closedBytes = this.#addedBytes;
    entry.lastLsn = writer.closedLsn;
    entry.end = writer.end;
    if (writer.published) this.#noteWritten(writer);
  }

  #noteWritten(writer: SegmentWriter): void {
    const lsn = writer.closedLsn;
    if (lsn <= this.written.value) return;
    this.written.set(lsn);
    if (this.#closedBytes - this.#restedBytes < REST_BYTES) this.tellWritten();
    else if (this.writtenAcks.size > 0 && !this.#resting) this.#tellLater();
  }

  /** Stores in the header page what is durable, and how far was written. */
  #stateDurable(): void {
    const { writer } = this;
    const run = this.#unstated;
    this.#unstated = undefined;
    writer?.publishWritten();
    // Of a segment that is being left the next one's open frame says so.
    if (run !== undefined && run.writer === writer) writer.noteDurable(run.lsn, run.end);
  }

  #tellLater(): void {
    this.#resting = true;
    setImmediate(() => {
      this.#resting = false;
      this.#restedBytes = this.#closedBytes;
      this.tellWritten();
    });
  }
}
