import { expect, test } from '@jest/globals';
import { RealMapping } from '../../../src/disk/mapping.js';
import type { NativeSyscalls } from '../../../src/disk/syscalls.js';

/** Native calls that only take notes. */
function notes(view: () => Uint8Array): { native: NativeSyscalls; calls: unknown[][] } {
  const calls: unknown[][] = [];
  const native = {
    mapFile(...values: unknown[]) {
      calls.push(['mapFile', ...values]);
      return 4096n;
    },
    munmap: (...values: unknown[]) => calls.push(['munmap', ...values]),
    view,
  };
  return { native: native as unknown as NativeSyscalls, calls };
}

test('is unmapped once, by whatever has been mapped', () => {
  const bytes = new Uint8Array(10);
  const { native, calls } = notes(() => bytes);
  const gone: unknown[] = [];
  const mapping = new RealMapping(native, 7, 10, (which) => gone.push(which));
  expect(mapping.bytes).toBe(bytes);
  mapping.unmap();
  mapping.unmap();
  expect(calls).toEqual([
    ['mapFile', 7, 10],
    ['munmap', 4096n, 10],
  ]);
  expect(gone).toEqual([mapping]);
});

test('leaves nothing mapped where there is no view of it', () => {
  const { native, calls } = notes(() => {
    throw new Error('no external buffers');
  });
  expect(() => new RealMapping(native, 7, 10, () => {})).toThrow('no external buffers');
  expect(calls).toEqual([
    ['mapFile', 7, 10],
    ['munmap', 4096n, 10],
  ]);
});
