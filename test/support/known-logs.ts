/**
 * Small directories in memory whose whole story is known: what was acknowledged, and what a reader may see. One for each
 * state that a directory can be found in. All are partition 1, as a crash of the process leaves them, or a close.
 */
import { type Log, type OpenLogOptions, openLog, type Partition } from '../../src/index.js';
import { decodeManifest, encodeManifest, type ManifestContent } from '../../src/segment/manifest.js';
import { NOWHERE } from '../unit/segment/logs.js';
import { MemoryDisk, type Watch, watched } from '../unit/segment/memory-disk.js';

export type Files = Readonly<Record<string, Uint8Array>>;

export interface KnownLog {
  readonly files: Files;
  /** Every LSN up to here was acknowledged as durable (and, if a truncation is under way, is to be kept by it). */
  readonly durable: number;
  /** Last LSN that was given to a record. */
  readonly written: number;
  /** Lowest and highest LSN that the log may begin with. */
  readonly oldest: readonly [number, number];
  /** Payload of each LSN that may be seen. */
  readonly payloads: ReadonlyMap<number, string>;
}

export const KNOWN_SEGMENT_SIZE = 5 * 1024;

export function knownOptions(change: Partial<OpenLogOptions> = {}): OpenLogOptions {
  const options: OpenLogOptions = { directory: NOWHERE, segmentSize: KNOWN_SEGMENT_SIZE, io: 'mmap', threads: 1 };
  return { ...options, preallocate: { segments: 0 }, recycle: 0, ...change };
}

/** Writes a log and notes what it was told. */
class Story {
  readonly disk = new MemoryDisk();
  readonly payloads = new Map<number, string>();
  durable = 0;
  log!: Log;
  partition!: Partition;
  #count = 0;

  async open(options: Partial<OpenLogOptions> = {}, watch?: Watch): Promise<void> {
    const disk = watch === undefined ? this.disk : watched(this.disk, watch);
    this.log = await openLog(knownOptions({ ...options, disk }));
    this.partition = await this.log.partition(1);
  }

  async append(count: number, ack: 'durable' | 'written' = 'durable'): Promise<void> {
    for (let i = 0; i < count; i++) {
      const text = this.#text();
      const { lsn } = await this.partition.append(Buffer.from(text), { ack });
      this.payloads.set(lsn, text);
      if (ack === 'durable') this.durable = lsn;
    }
  }

  async batch(count: number): Promise<void> {
    const texts = Array.from({ length: count }, () => this.#text());
    const { firstLsn, lastLsn } = await this.partition.appendBatch(texts.map((text) => Buffer.from(text)));
    for (const [i, text] of texts.entries()) this.payloads.set(firstLsn + i, text);
    this.durable = lastLsn;
  }

  async segment(records: number): Promise<void> {
    await this.append(records);
    await this.partition.rotate();
  }

  known(files: Record<string, Uint8Array>, change: Partial<KnownLog> = {}): KnownLog {
    const { durable, payloads } = this;
    const { LOCK: _lock, ...kept } = files;
    return { files: kept, durable, written: Math.max(...payloads.keys()), oldest: [1, 1], payloads, ...change };
  }

  /** No text is ever written twice: a record that comes back under a new LSN would be seen. */
  #text(): string {
    return `text ${++this.#count}`.padEnd(12, '.');
  }
}

async function active(): Promise<KnownLog> {
  const story = new Story();
  await story.open();
  await story.append(2);
  await story.batch(2);
  await story.append(2, 'written');
  const known = story.known(story.disk.snapshot());
  await story.log.close();
  return known;
}

async function closed(): Promise<KnownLog> {
  const story = new Story();
  await story.open();
  await story.segment(2);
  await story.append(2);
  await story.log.close();
  return story.known(story.disk.snapshot());
}

async function sealed(): Promise<KnownLog> {
  const story = new Story();
  await story.open();
  await story.segment(3);
  await story.segment(2);
  await story.append(1);
  await story.batch(2);
  await story.append(2, 'written');
  const known = story.known(story.disk.snapshot());
  await story.log.close();
  return known;
}

/** One segment is a recycled file, one file waits to be recycled, one is ready. */
async function recycled(): Promise<KnownLog> {
  const story = new Story();
  await story.open({ recycle: 2 });
  await story.segment(3);
  await story.segment(3);
  await story.segment(1);
  const { oldestLsn } = await story.partition.purgeBefore(7);
  await story.segment(1);
  await story.append(2);
  await story.append(1, 'written');
  const files = story.disk.snapshot();
  const spare = Object.keys(files).filter((name) => name.startsWith('recycle_'));
  if (spare.length !== 1) throw new Error(`one file is to be left to recycle, not ${spare.join(', ')}`);
  files['ready_0000000091.wal'] = new Uint8Array(KNOWN_SEGMENT_SIZE);
  const known = story.known(files, { oldest: [oldestLsn, oldestLsn] });
  await story.log.close();
  return known;
}

/** The mark of a purge is durable, and no file has gone yet. */
async function purging(): Promise<KnownLog> {
  const story = new Story();
  await story.open();
  await story.segment(2);
  await story.segment(2);
  await story.append(2);
  const files = story.disk.snapshot();
  const manifest = decodeManifest(files.MANIFEST as Uint8Array) as ManifestContent;
  files.MANIFEST = encodeManifest({ ...manifest, partitions: { 1: { oldestLsn: 3, firstSegment: 2 } } });
  await story.log.close();
  // Without the manifest the purge comes undone.
  return story.known(files, { oldest: [1, 3] });
}

/** The log was cut, inside of a frame, and has grown again. */
async function truncated(): Promise<KnownLog> {
  const story = new Story();
  await story.open();
  await story.segment(2);
  await story.batch(3);
  await story.segment(1);
  await story.append(1);
  await story.partition.truncateAfter(4);
  for (const lsn of [...story.payloads.keys()]) if (lsn > 4) story.payloads.delete(lsn);
  await story.append(1);
  await story.append(1, 'written');
  const known = story.known(story.disk.snapshot());
  await story.log.close();
  return known;
}

/** A truncation as it was interrupted: stated only, or with the newer segments gone and the cut begun. */
async function truncating(done: 'stated' | 'begun'): Promise<KnownLog> {
  const story = new Story();
  let files: Record<string, Uint8Array> | undefined;
  await story.open({}, (operation, path, args) => {
    const rewind = 'rewind_1.wal' in story.disk.snapshot();
    const now =
      done === 'stated'
        ? operation === 'unlink' && rewind
        : operation === 'writeSync' && rewind && path.includes('part_1') && (args[1] as number) < 4096;
    if (now) files ??= story.disk.snapshot();
  });
  await story.segment(2);
  await story.batch(3);
  await story.segment(1);
  await story.append(1);
  await story.partition.truncateAfter(4);
  await story.log.close();
  if (files === undefined) throw new Error('the truncation was not seen');
  return story.known(files, { durable: 4 });
}

/** A rotation as it was interrupted: the new segment has its name and a record, and no open frame. */
async function rotating(): Promise<KnownLog> {
  const story = new Story();
  let files: Record<string, Uint8Array> | undefined;
  await story.open({ io: 'write' }, (operation, path, args) => {
    if (operation === 'writeSync' && path.includes('ready_0000000002') && args[1] === 4096) {
      files ??= story.disk.snapshot();
    }
  });
  await story.segment(3);
  await story.append(1);
  await story.log.close();
  if (files === undefined || !('part_1_0000000002.wal' in files)) throw new Error('the rotation was not seen');
  return story.known(files, { durable: 3 });
}

/** A torn tail was cut off by an earlier recovery; its copy is there. */
async function cut(): Promise<KnownLog> {
  const story = new Story();
  await story.open();
  await story.append(2);
  const files = story.disk.snapshot();
  await story.log.close();
  const segment = files['part_1_0000000001.wal'] as Uint8Array;
  segment.set([200, 0, 0, 0, 1, 2, 3], 4096 + 72 + 2 * 64); // a frame that was being written
  const again = new Story();
  Object.assign(again, { disk: new MemoryDisk(files, 5), payloads: story.payloads, durable: 2 });
  await again.open();
  const after = again.disk.snapshot();
  await again.log.close();
  if (!Object.keys(after).some((name) => name.includes('.torn-'))) throw new Error('no copy of the tail');
  return again.known(after);
}

/** By name; each made anew when asked for. */
export const KNOWN_LOGS: Readonly<Record<string, () => Promise<KnownLog>>> = {
  'one active segment with an unsynced tail': active,
  'closed in good order': closed,
  'two sealed segments and an active one': sealed,
  'purged, with recycled and spare files': recycled,
  'a purge that was interrupted': purging,
  'truncated, and grown again': truncated,
  'a truncation that was stated': () => truncating('stated'),
  'a truncation that was begun': () => truncating('begun'),
  'a rotation that was interrupted': rotating,
  'a torn tail that was cut off': cut,
};
