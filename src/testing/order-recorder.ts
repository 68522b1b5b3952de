/**
 * A disk around another one, real or simulated, that records the order of everything: operations with their beginnings
 * and ends, and what the log acknowledges meanwhile. `orderViolations` (order-rules.ts) judges the record.
 *
 * ```ts
 * const recorder = new OrderRecorder(new SimulatedDisk());
 * const log = await openLog({ directory: '/data', disk: recorder });
 * recorder.watch(await log.partition(1));
 * …
 * console.log(orderViolations(recorder.events));
 * ```
 *
 * What goes into a mapping is no operation of a disk. So the recorder reads segments back: before each event it looks
 * whether an open frame has appeared, and when a sync begins, how far the file goes. That costs: it is for tests.
 */
import { posix } from 'node:path';
import type { AllocateMode, Disk, DiskFeatures, DiskFile, DiskLock, DiskMapping, OpenMode } from '../disk/disk.js';
import type { Partition } from '../partition.js';
import { decodeManifest } from '../segment/manifest.js';
import { MANIFEST_NAME, MANIFEST_TEMPORARY_NAME, parseSegmentName, parseSpareName } from '../segment/names.js';
import type { OperationKind } from './operations.js';
import { type OrderEvent, segmentContent } from './order-events.js';

type Begin = Extract<OrderEvent, { what: 'begin' }>;

export class OrderRecorder implements Disk {
  readonly events: OrderEvent[] = [];
  readonly #disk: Disk;
  readonly #files = new Set<RecordedFile>();
  #operations = 0;
  /** By partition, what the manifest says that is about to be named. */
  #marks: Record<number, number> = {};

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  /** Notes what a newly opened partition shows, and from then on everything that it calls durable. */
  watch(partition: Partition): void {
    const number = partition.number;
    this.#note({ what: 'shown', partition: number, lsn: partition.durableLsn });
    partition.durableLsn$.subscribe((lsn) => this.acknowledged(number, lsn));
  }

  /** Notes that everything up to `lsn` was called durable. `watch` does so by itself. */
  acknowledged(partition: number, lsn: number): void {
    this.#note({ what: 'acknowledged', partition, lsn });
  }

  now(): number {
    return this.#disk.now();
  }

  randomBytes(length: number): Uint8Array {
    return this.#disk.randomBytes(length);
  }

  features(directory: string): Promise<DiskFeatures> {
    return this.#disk.features(directory);
  }

  makeDirectory(directory: string): Promise<void> {
    return this.run('makeDirectory', directory, () => this.#disk.makeDirectory(directory));
  }

  list(directory: string): Promise<string[]> {
    return this.run('list', directory, () => this.#disk.list(directory));
  }

  open(path: string, mode: OpenMode): Promise<DiskFile> {
    return this.run(mode === 'create' ? 'create' : 'open', posix.basename(path), async () => {
      const file: RecordedFile = new RecordedFile(this, await this.#disk.open(path, mode), posix.basename(path), () => {
        this.#files.delete(file);
      });
      this.#files.add(file);
      return file;
    });
  }

  rename(from: string, to: string): Promise<void> {
    const [file, name] = [posix.basename(from), posix.basename(to)];
    const work = async () => {
      await this.#disk.rename(from, to);
      for (const open of this.#files) if (open.name === file) open.name = name;
    };
    return this.run('rename', file, work, { to: name, ...(name === MANIFEST_NAME ? { marks: this.#marks } : {}) });
  }

  unlink(path: string): Promise<void> {
    return this.run('unlink', posix.basename(path), () => this.#disk.unlink(path));
  }

  syncDirectory(directory: string): Promise<void> {
    return this.run('syncDirectory', directory, () => this.#disk.syncDirectory(directory));
  }

  lock(path: string): Promise<DiskLock> {
    return this.run('lock', posix.basename(path), () => this.#disk.lock(path));
  }

  freeBytes(directory: string): Promise<number> {
    return this.#disk.freeBytes(directory);
  }

  close(): Promise<void> {
    return this.#disk.close();
  }

  // What its files ask of it

  async run<T>(kind: OperationKind, file: string, work: () => Promise<T>, more: Partial<Begin> = {}): Promise<T> {
    const id = this.#begin(kind, file, more);
    let failed = true;
    try {
      const result = await work();
      failed = false;
      return result;
    } finally {
      this.#note({ what: 'end', id, failed });
    }
  }

  runNow<T>(kind: OperationKind, file: string, work: () => T, offset?: number): T {
    const id = this.#begin(kind, file, offset === undefined ? {} : { offset });
    let failed = true;
    try {
      const result = work();
      failed = false;
      return result;
    } finally {
      this.#note({ what: 'end', id, failed });
    }
  }

  noteManifest(bytes: Uint8Array): void {
    const marks = Object.entries(decodeManifest(bytes)?.partitions ?? {});
    this.#marks = Object.fromEntries(marks.map(([partition, { firstSegment }]) => [partition, firstSegment]));
  }

  #begin(kind: OperationKind, file: string, more: Partial<Begin>): number {
    const id = this.#operations++;
    this.#note({ what: 'begin', id, kind, file, ...more });
    return id;
  }

  #note(event: OrderEvent): void {
    for (const file of this.#files) {
      const opened = file.newlyOpened();
      if (opened !== undefined) this.events.push({ what: 'opened', ...opened });
    }
    this.events.push(event);
  }
}

class RecordedFile implements DiskFile {
  readonly #recorder: OrderRecorder;
  readonly #file: DiskFile;
  readonly #onClosed: () => void;
  /** Only where the file has it. */
  readonly dropCache?: (from: number) => Promise<void>;
  name: string;
  /** Salt of the life of the file whose open frame is known of. */
  #seen: string | undefined;

  constructor(recorder: OrderRecorder, file: DiskFile, name: string, onClosed: () => void) {
    this.#recorder = recorder;
    this.#file = file;
    this.name = name;
    this.#onClosed = onClosed;
    const { dropCache } = file;
    if (dropCache !== undefined) {
      this.dropCache = (from) => recorder.run('dropCache', this.name, () => dropCache.call(file, from));
    }
    this.newlyOpened(); // what is there already is no news
  }

  get path(): string {
    return this.#file.path;
  }

  /** The segment whose open frame has appeared since the last time. */
  newlyOpened(): { partition: number; segment: number } | undefined {
    const content = this.#content();
    if (content === undefined || !content.opened || content.salt === this.#seen) return undefined;
    this.#seen = content.salt;
    return { partition: content.partition, segment: content.segment };
  }

  size(): Promise<number> {
    return this.#recorder.run('size', this.name, () => this.#file.size());
  }

  read(into: Uint8Array, position: number): Promise<number> {
    return this.#recorder.run('read', this.name, () => this.#file.read(into, position), { offset: position });
  }

  readSync(into: Uint8Array, position: number): number {
    return this.#recorder.runNow('readSync', this.name, () => this.#file.readSync(into, position), position);
  }

  writeSync(bytes: Uint8Array, position: number): void {
    if (this.name === MANIFEST_TEMPORARY_NAME) this.#recorder.noteManifest(bytes);
    this.#recorder.runNow('write', this.name, () => this.#file.writeSync(bytes, position), position);
  }

  sync(): Promise<void> {
    const content = this.#content();
    if (content === undefined) return this.#recorder.run('sync', this.name, () => this.#file.sync());
    const { salt: _, ...holds } = content;
    return this.#recorder.run('sync', this.name, () => this.#file.sync(), { holds });
  }

  allocate(mode: AllocateMode, size: number): Promise<void> {
    return this.#recorder.run('allocate', this.name, () => this.#file.allocate(mode, size));
  }

  truncate(size: number): Promise<void> {
    return this.#recorder.run('truncate', this.name, () => this.#file.truncate(size));
  }

  map(length: number): DiskMapping {
    return this.#recorder.runNow('map', this.name, () => this.#file.map(length));
  }

  async close(): Promise<void> {
    // From here on the file cannot be looked into.
    this.#onClosed();
    await this.#recorder.run('close', this.name, () => this.#file.close());
  }

  #content(): ReturnType<typeof segmentContent> {
    if (parseSegmentName(this.name) === undefined && parseSpareName(this.name) === undefined) return undefined;
    const chunks: Uint8Array[] = [];
    for (let at = 0; ; ) {
      const chunk = new Uint8Array(CHUNK_BYTES);
      const got = this.#file.readSync(chunk, at);
      chunks.push(chunk.subarray(0, got));
      at += got;
      if (got < CHUNK_BYTES) return segmentContent(Buffer.concat(chunks));
    }
  }
}

const CHUNK_BYTES = 64 * 1024;
