/**
 * A partition that is read beside its writer, which may be alive in another process, or gone: nothing is locked and
 * nothing is changed. It looks at the directory and the last segment when a reading begins, and from time to time
 * while somebody waits or observes. What is durable it takes from the frames and from the writer's cookie.
 */
import type { Disk, DiskFile } from '../disk/disk.js';
import { systemCode, VarveError } from '../errors.js';
import type { Ack } from '../options.js';
import { Catalogue, type SegmentEntry } from '../segment/catalogue.js';
import type { SegmentHandles } from '../segment/handles.js';
import { decodeCookie, HEADER_PAGE_SIZE, viewOf } from '../segment/header.js';
import { knownMark, readManifest, storeIdToHex } from '../segment/manifest.js';
import { parseSegmentName } from '../segment/names.js';
import { SegmentReader } from '../segment/reader.js';
import { type Recovered, recoverPartition } from '../segment/recovery.js';
import { scanFrames } from '../segment/scanner.js';
import { type ProgressOptions, type VerifyResult, verifySegments } from '../segment/verify.js';
import { LatencyRecorder, type Stats } from '../stats.js';
import { LsnMark } from '../streams/lsn-mark.js';
import type { PartitionBackend } from './backend.js';

/** The writer moves on while we look: what seems damaged is looked at again, so many times, before it is called so. */
const ATTEMPTS = 6;
const BETWEEN_ATTEMPTS_MS = 20;

export interface ReadOnlyConfig {
  readonly disk: Disk;
  readonly directory: string;
  readonly handles: SegmentHandles;
  readonly storeId: Uint8Array;
  readonly verify: 'tail' | 'full';
  readonly minDurableLsn: number;
  /** Milliseconds. */
  readonly pollInterval: number;
}

export class ReadOnlyPartition implements PartitionBackend {
  readonly actor = undefined;
  readonly latency = new LatencyRecorder();
  readonly partition: number;
  readonly catalogue: Catalogue;
  readonly reader: SegmentReader;
  readonly written: LsnMark;
  readonly durable: LsnMark;
  readonly oldest: LsnMark;
  epoch = 0;
  readonly #config: ReadOnlyConfig;
  #lastChecksum: number;
  /** The look that is under way, and the one behind it, for those who have asked since it began. */
  #refreshing: Promise<void> | undefined;
  #refreshingNext: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  #rewound: { readonly epoch: number; readonly lsn: number } | undefined;

  private constructor(config: ReadOnlyConfig, partition: number, recovered: Recovered) {
    this.#config = config;
    this.partition = partition;
    this.catalogue = new Catalogue(partition, recovered.segments);
    this.reader = new SegmentReader(config.handles, false);
    const poll = () => this.#poll();
    this.written = new LsnMark(recovered.nextLsn - 1, poll);
    this.durable = new LsnMark(recovered.durableLsn, poll);
    this.oldest = new LsnMark(recovered.report.oldestLsn, poll);
    this.#lastChecksum = recovered.previous.checksum;
  }

  static async open(config: ReadOnlyConfig, partition: number): Promise<ReadOnlyPartition> {
    return new ReadOnlyPartition(config, partition, await look(config, partition));
  }

  get oldestLsn(): number {
    return this.oldest.value;
  }

  visibleLsn(level: Ack): number {
    return level === 'durable' ? this.durable.value : this.written.value;
  }

  whenVisible(lsn: number, level: Ack, signal: AbortSignal | undefined): Promise<void> {
    return (level === 'durable' ? this.durable : this.written).waitFor(lsn, signal);
  }

  waitFor(lsn: number, signal: AbortSignal | undefined): Promise<void> {
    return this.durable.waitFor(lsn, signal);
  }

  ready(): Promise<void> {
    if (this.#closed) return Promise.reject(this.#closedError());
    return this.refresh();
  }

  /** A truncation is seen only where it has left less than was there; what grew back meanwhile looks as it was. */
  lowestRewind(since: number): number {
    return this.#rewound !== undefined && this.#rewound.epoch > since ? this.#rewound.lsn : Number.POSITIVE_INFINITY;
  }

  async changedBehind(): Promise<boolean> {
    const { disk, directory } = this.#config;
    const before = this.catalogue.oldest?.index;
    const indexes = segmentIndexes(await disk.list(directory), this.partition);
    if (indexes[0] === before) return false;
    await this.#reload();
    // Files of an interrupted purge stay for good where nobody opens the log for writing: they are no change.
    return this.catalogue.oldest?.index !== before;
  }

  /** Takes notice of what the writer has done up to this call: a look that is under way may have missed it. */
  refresh(): Promise<void> {
    if (this.#refreshing === undefined) return this.#beginRefresh();
    this.#refreshingNext ??= this.#refreshing
      .catch(() => {}) // whoever asked for it has been told
      .then(() => {
        this.#refreshingNext = undefined;
        return this.#refreshing ?? this.#beginRefresh(); // one at a time: somebody may have been quicker
      });
    return this.#refreshingNext;
  }

  #beginRefresh(): Promise<void> {
    this.#refreshing = this.#refresh().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  append = () => Promise.reject(this.#readOnly());
  appendBatch = () => Promise.reject(this.#readOnly());
  sync = () => Promise.reject(this.#readOnly());
  rotate = () => Promise.reject(this.#readOnly());
  purgeBefore = () => Promise.reject(this.#readOnly());
  truncateAfter = () => Promise.reject(this.#readOnly());
  write(): number {
    throw this.#readOnly();
  }

  async verify(options: ProgressOptions): Promise<VerifyResult> {
    await this.ready();
    return verifySegments(this.#config.handles, this.catalogue.all(), options);
  }

  stats(): Stats {
    const { active, sealed, used, allocated } = this.catalogue.totals();
    return {
      segments: { active, sealed, ready: 0, recycled: 0 },
      reused: 0,
      bytes: { used, allocated, appended: 0, unsynced: 0 },
      records: 0,
      frames: 0,
      syncs: 0,
      recordsPerSync: 0,
      syncLatency: this.latency.summary(),
      rotations: 0,
      purged: 0,
      queueDepth: 0,
      space: 'ok',
    };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.epoch++;
    clearTimeout(this.#timer);
    await (this.#refreshingNext ?? this.#refreshing)?.catch(() => {}); // whoever asked for it has been told
    for (const mark of [this.written, this.durable, this.oldest]) mark.end(this.#closedError());
  }

  #poll(): void {
    if (this.#timer !== undefined || this.#closed) return;
    this.#timer = setTimeout(async () => {
      try {
        await this.refresh();
      } catch (error) {
        for (const mark of [this.written, this.durable, this.oldest]) mark.end(error);
        return;
      }
      this.#timer = undefined;
      const marks = [this.written, this.durable, this.oldest];
      if (marks.some((mark) => mark.awaited || mark.observed)) this.#poll();
    }, this.#config.pollInterval);
  }

  async #refresh(): Promise<void> {
    const { disk, directory, handles } = this.#config;
    const indexes = segmentIndexes(await disk.list(directory), this.partition);
    const tail = this.catalogue.newest;
    const moved = indexes[0] !== this.catalogue.oldest?.index || indexes[indexes.length - 1] !== tail?.index;
    if (tail === undefined || moved || tail.sealed) {
      if (indexes.length === 0 && tail === undefined) return;
      if (!moved) return; // sealed, and nothing behind it yet
      await this.#reload();
      return;
    }
    const stale = await handles.with(tail.name, (file) => this.#lookAtTail(file, tail));
    if (stale) await this.#reload();
  }

  /** Scans what the tail has got since; true if it is not the tail that it was. */
  async #lookAtTail(file: DiskFile, tail: SegmentEntry): Promise<boolean> {
    const trailer = new Uint8Array(4);
    const checksum = new Uint8Array(4);
    await file.read(trailer, tail.end - 4);
    await file.read(checksum, tail.end - viewOf(trailer).getUint32(0, true) + 4);
    if (viewOf(checksum).getUint32(0, true) !== this.#lastChecksum) return true;
    const page = new Uint8Array(HEADER_PAGE_SIZE);
    await file.read(page, 0);
    const known = Math.max(this.durable.value, decodeCookie(page, tail.seed)?.durableLsn ?? 0);
    const start = { offset: tail.end, lsn: tail.lastLsn + 1, checksum: this.#lastChecksum };
    const limit = Math.min(await file.size(), Math.floor(tail.segmentSize / 8) * 8);
    const scan = await scanFrames(file, start, limit, tail.seed, tail.segmentSize, known);
    tail.end = scan.end;
    tail.lastLsn = scan.nextLsn - 1;
    tail.sealed = scan.ends === 'sealed';
    if (tail.sealed) tail.entries = undefined;
    else tail.entries?.push(...scan.entries);
    this.#lastChecksum = scan.lastChecksum;
    if (tail.lastLsn > this.written.value) this.written.set(tail.lastLsn);
    const durable = Math.min(scan.durableLsn, tail.lastLsn);
    if (durable > this.durable.value) this.durable.set(durable);
    return false;
  }

  async #reload(): Promise<void> {
    const recovered = await look(this.#config, this.partition);
    for (const segment of this.catalogue.all()) this.#config.handles.forget(segment.name);
    this.catalogue.reset(recovered.segments);
    this.#lastChecksum = recovered.previous.checksum;
    this.epoch++;
    if (recovered.nextLsn <= this.written.value) this.#rewound = { epoch: this.epoch, lsn: recovered.nextLsn - 1 };
    this.written.set(recovered.nextLsn - 1);
    this.durable.set(recovered.durableLsn);
    if (recovered.report.oldestLsn !== this.oldest.value) this.oldest.set(recovered.report.oldestLsn);
  }

  #readOnly(): VarveError {
    return new VarveError('ERR_VARVE_READ_ONLY', `The log in ${this.#config.directory} is open for reading only.`, {
      partition: this.partition,
      path: this.#config.directory,
    });
  }

  #closedError(): VarveError {
    return new VarveError('ERR_VARVE_CLOSED', `Partition ${this.partition} is closed.`, { partition: this.partition });
  }
}

function segmentIndexes(names: readonly string[], partition: number): number[] {
  const indexes: number[] = [];
  for (const name of names) {
    const id = parseSegmentName(name);
    if (id?.partition === partition) indexes.push(id.index);
  }
  return indexes.sort((a, b) => a - b);
}

/** What a recovery would keep, looked at again while the writer may be changing what is looked at. */
async function look(config: ReadOnlyConfig, partition: number): Promise<Recovered> {
  const { disk, directory, storeId, verify, minDurableLsn } = config;
  for (let attempt = 1; ; attempt++) {
    try {
      const manifest = await readManifest(disk, directory);
      const indexes = segmentIndexes(await disk.list(directory), partition);
      // Another store's manifest knows nothing of this one; the log was opened by what the headers say.
      const ours = typeof manifest !== 'string' && manifest.storeId === storeIdToHex(storeId);
      const mark = ours ? knownMark(manifest, partition, indexes.length > 0) : undefined;
      const request = { disk, directory, partition, indexes, storeId, mark, minDurableLsn, verify, readOnly: true };
      const recovered = await recoverPartition(request);
      await recovered.tail?.file.close();
      return recovered;
    } catch (error) {
      const { code } = error as { code?: unknown };
      const passing =
        code === 'ERR_VARVE_CORRUPT' || code === 'ERR_VARVE_RECOVERY_REQUIRED' || systemCode(error) === 'ENOENT';
      if (!passing || attempt === ATTEMPTS) throw error;
      await new Promise((resolve) => setTimeout(resolve, BETWEEN_ATTEMPTS_MS));
    }
  }
}
