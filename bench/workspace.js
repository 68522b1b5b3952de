/** The files of a run: one temporary directory, removed at the end, and the files that the raw system calls write to. */
import fs from 'node:fs';
import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { realDisk } from './varve.js';

const HEADER_BYTES = 4096;
const MIB = 1024 * 1024;

export class Workspace {
  /** @param {string} parent */
  constructor(parent) {
    fs.mkdirSync(parent, { recursive: true });
    this.directory = fs.mkdtempSync(join(parent, 'varve-bench-'));
    this.disk = realDisk();
    this.used = 0;
  }

  /** A new empty directory. */
  makeDirectory() {
    const directory = join(this.directory, String(++this.used));
    fs.mkdirSync(directory);
    return directory;
  }

  /** @param {string} directory */
  removeDirectory(directory) {
    fs.rmSync(directory, { recursive: true, force: true });
  }

  /** @param {number} bytes */
  async needSpace(bytes) {
    const { bavail, bsize } = await statfs(this.directory);
    if (bavail * bsize > bytes) return;
    throw new Error(`${Math.ceil(bytes / MIB)} MiB of disk are needed; use --directory, or --quick, or --only`);
  }

  /** Waits for what was freed or written before to reach the disk, so that it does not burden what is timed next. */
  async settle() {
    await this.disk.syncDirectory(this.directory);
  }

  async close() {
    await this.disk.close();
    this.remove();
  }

  remove() {
    this.removeDirectory(this.directory);
  }
}

/**
 * What raw system calls write to: a file that is preallocated by the same calls as a segment, with a first page that is
 * durable already, and exchanged for a new one under the same rule (see `makeRoom` in logs.js).
 */
export class RawFile {
  /** @type {string | undefined} */
  #path;
  #number = 0;

  /** @param {Workspace} workspace @param {number} size */
  constructor(workspace, size) {
    this.workspace = workspace;
    this.size = size;
    this.directory = workspace.makeDirectory();
    this.fd = -1;
    this.end = 0;
  }

  /** Before timing: room for `bytes` more in the first half of a file. @param {number} bytes */
  async makeRoom(bytes) {
    if (this.fd >= 0 && this.end + bytes <= this.size / 2) return;
    this.close();
    this.#path = join(this.directory, String(++this.#number));
    const { disk } = this.workspace;
    const { fallocate } = await disk.features(this.directory);
    const file = await disk.open(this.#path, 'create');
    await file.allocate(fallocate ? 'allocate' : 'zero', this.size);
    await file.close();
    this.fd = fs.openSync(this.#path, 'r+');
    fs.writeSync(this.fd, new Uint8Array(HEADER_BYTES), 0, HEADER_BYTES, 0);
    fs.fdatasyncSync(this.fd);
    await disk.syncDirectory(this.directory);
    this.end = HEADER_BYTES;
  }

  /** @param {Uint8Array} bytes */
  write(bytes) {
    fs.writeSync(this.fd, bytes, 0, bytes.length, this.end);
    this.end += bytes.length;
  }

  sync() {
    fs.fdatasyncSync(this.fd);
  }

  close() {
    if (this.fd < 0) return;
    fs.closeSync(this.fd);
    this.fd = -1;
    if (this.#path !== undefined) fs.rmSync(this.#path);
  }
}
