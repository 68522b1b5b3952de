/**
 * A file's first bytes in memory: the view that the append path writes through.
 *
 * Promises that `bytes` is refused once it would be fatal to touch. It cannot guard the views that were taken before:
 * whoever unmaps drops every one of them first. Made by the real file alone.
 */
import type { DiskMapping } from './disk.js';
import type { NativeSyscalls } from './syscalls.js';

export class RealMapping implements DiskMapping {
  readonly length: number;
  readonly #native: NativeSyscalls;
  readonly #address: bigint;
  readonly #onUnmap: (mapping: RealMapping) => void;
  #bytes: Uint8Array | undefined;

  /** Maps the first `length` bytes of the file, which is at least that long. */
  constructor(native: NativeSyscalls, fd: number, length: number, onUnmap: (mapping: RealMapping) => void) {
    this.length = length;
    this.#native = native;
    this.#onUnmap = onUnmap;
    this.#address = native.mapFile(fd, length);
    try {
      this.#bytes = native.view(this.#address, length);
    } catch (error) {
      native.munmap(this.#address, length);
      throw error;
    }
  }

  get bytes(): Uint8Array {
    if (this.#bytes === undefined) throw new Error('The mapping was given up by unmap(): its bytes are gone');
    return this.#bytes;
  }

  unmap(): void {
    if (this.#bytes === undefined) return;
    this.#bytes = undefined;
    this.#native.munmap(this.#address, this.length);
    this.#onUnmap(this);
  }
}
