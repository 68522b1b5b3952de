/** A read on the calling thread that ends early only where the file does. Called by this folder alone, on any thread. */
import fs from 'node:fs';

/** Reads at `position` into the whole of `into`; returns the bytes read. */
export function readFully(fd: number, into: Uint8Array, position: number): number {
  let filled = 0;
  while (filled < into.length) {
    const got = fs.readSync(fd, into, filled, into.length - filled, position + filled);
    if (got === 0) break;
    filled += got;
  }
  return filled;
}
