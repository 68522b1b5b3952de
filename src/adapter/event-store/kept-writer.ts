/** Writes a kept file, whole or not at all. Layout: kept-format.ts. */
import { join } from 'node:path';
import type { Disk, DiskFile } from '../../disk/disk.js';
import { removeIfThere } from './backup-files.js';
import type { EngineRecord } from './engine.js';
import { crcOf } from './index-key.js';
import {
  encodeKeptDirectory,
  encodeKeptHeader,
  encodeKeptRecord,
  KEPT_BLOCK_BYTES,
  KEPT_HEADER_BYTES,
  type KeptBlock,
  type KeptRange,
  keptName,
} from './kept-format.js';

/** Records are added in the order of their LSNs; then it is finished, and given its name. */
export class KeptWriter {
  readonly range: KeptRange;
  records = 0;
  /** Of the file, once it is finished. */
  bytes = KEPT_HEADER_BYTES;
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #file: DiskFile;
  readonly #blocks: KeptBlock[] = [];
  #block: Buffer[] = [];
  #blockBytes = 0;
  #blockLsn = 0;
  #closed = false;

  private constructor(disk: Disk, directory: string, range: KeptRange, file: DiskFile) {
    this.#disk = disk;
    this.#directory = directory;
    this.range = range;
    this.#file = file;
  }

  static async create(disk: Disk, directory: string, range: KeptRange): Promise<KeptWriter> {
    const path = temporaryOf(directory, range);
    await removeIfThere(disk, path);
    return new KeptWriter(disk, directory, range, await disk.open(path, 'create'));
  }

  add(record: EngineRecord): void {
    const bytes = encodeKeptRecord(record);
    if (this.#blockBytes > 0 && this.#blockBytes + bytes.length > KEPT_BLOCK_BYTES) this.#endBlock();
    if (this.#blockBytes === 0) this.#blockLsn = record.lsn;
    this.#block.push(bytes);
    this.#blockBytes += bytes.length;
    this.records++;
  }

  /** Makes it durable, under a name that nobody looks for. */
  async finish(identity: { storeId: string; firstLsn: number; lastLsn: number }): Promise<void> {
    this.#endBlock();
    const directory = encodeKeptDirectory(this.#blocks);
    const header = {
      ...identity,
      records: this.records,
      directoryOffset: this.bytes,
      blocks: this.#blocks.length,
      directoryCrc: crcOf(directory),
    };
    this.#file.writeSync(directory, this.bytes);
    this.#file.writeSync(encodeKeptHeader(this.range, header), 0);
    this.bytes += directory.length;
    await this.#file.sync();
    await this.#close();
  }

  /** Gives it its name, durably. */
  async publish(): Promise<void> {
    await this.#disk.rename(temporaryOf(this.#directory, this.range), join(this.#directory, keptName(this.range)));
    await this.#disk.syncDirectory(this.#directory);
  }

  /** Takes back what was written. */
  async abandon(): Promise<void> {
    await this.#close();
    await removeIfThere(this.#disk, temporaryOf(this.#directory, this.range));
  }

  #endBlock(): void {
    if (this.#blockBytes === 0) return;
    const block = Buffer.concat(this.#block);
    this.#file.writeSync(block, this.bytes);
    this.#blocks.push({ firstLsn: this.#blockLsn, offset: this.bytes, length: block.length, crc: crcOf(block) });
    this.bytes += block.length;
    this.#block = [];
    this.#blockBytes = 0;
  }

  async #close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#file.close();
  }
}

const temporaryOf = (directory: string, range: KeptRange): string => join(directory, `${keptName(range)}.tmp`);
