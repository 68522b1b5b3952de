import fs from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { nativeProblem, nativeSyscalls } from '../../../src/disk/syscalls.js';
import { Child, temporaryDirectory } from './places.js';

const native = nativeSyscalls();

test('there are native calls, or a reason why not', () => {
  expect(nativeProblem() === '').toBe(native !== undefined);
});

test('VARVE_NATIVE=0 is heeded at every call', () => {
  const before = process.env.VARVE_NATIVE;
  process.env.VARVE_NATIVE = '0';
  expect(nativeSyscalls()).toBeUndefined();
  expect(nativeProblem()).toContain('VARVE_NATIVE=0');
  if (before === undefined) delete process.env.VARVE_NATIVE;
  else process.env.VARVE_NATIVE = before;
  expect(nativeSyscalls()).toBe(native);
});

if (native !== undefined) {
  describe('a native call', () => {
    const failing: [syscall: string, code: string, errno: number, call: () => unknown][] = [
      ['fallocate', 'EBADF', -9, () => native.fallocate(-1, false, 1)],
      ['fallocate', 'EINVAL', -22, () => native.fallocate(0, false, -1)],
      ['mmap', 'EBADF', -9, () => native.mapFile(999_999, 4096)],
      ['mmap', 'EINVAL', -22, () => native.mapAnonymous(0)],
      ['munmap', 'EINVAL', -22, () => native.munmap(1n, 4096)],
      ['flock', 'EBADF', -9, () => native.lockExclusive(999_999)],
      ['posix_fadvise', 'EBADF', -9, () => native.dropCache(999_999, 0)],
      ['posix_fadvise', 'EBADF', -9, () => native.prefetch(999_999, 0, 1)],
    ];

    test.each(failing)('%s that fails throws %s', (syscall, code, errno, call) => {
      expect(call).toThrow(expect.objectContaining({ syscall, code, errno }));
    });

    test('flock tells that somebody else has the lock', () => {
      const path = `${temporaryDirectory()}/file`;
      const [first, second] = [fs.openSync(path, 'w'), fs.openSync(path, 'w')];
      native.lockExclusive(first);
      expect(() => native.lockExclusive(second)).toThrow(expect.objectContaining({ code: 'EAGAIN', syscall: 'flock' }));
      fs.closeSync(first);
      native.lockExclusive(second);
      fs.closeSync(second);
    });

    test('memory is mapped, kept and given back', () => {
      const address = native.mapAnonymous(8192);
      const view = native.view(address, 8192);
      expect(view).toHaveLength(8192);
      view[8191] = 7;
      expect(native.view(address, 8192)[8191]).toBe(7);
      native.munmap(address, 8192);
    });

    test('fallocate sets the size, or keeps it', () => {
      const path = `${temporaryDirectory()}/file`;
      const fd = fs.openSync(path, 'w');
      native.fallocate(fd, true, 100_000);
      expect(fs.fstatSync(fd).size).toBe(0);
      expect(fs.fstatSync(fd).blocks * 512).toBeGreaterThanOrEqual(100_000);
      native.fallocate(fd, false, 50_000);
      expect(fs.fstatSync(fd).size).toBe(50_000);
      fs.closeSync(fd);
    });

    test('works in a worker too', async () => {
      const child = new Child(
        `import { Worker } from 'node:worker_threads';
         const code = \`import(process.env.SYSCALLS).then(({ nativeSyscalls }) => {
           try {
             nativeSyscalls().fallocate(-1, false, 1);
           } catch (error) {
             console.log(error.code);
           }
         })\`;
         new Worker(code, { eval: true });`,
        { SYSCALLS: new URL('../../../dist/disk/syscalls.js', import.meta.url).href },
      );
      expect(await child.line()).toBe('EBADF');
      expect(await child.end()).toBe(0);
    });
  });
}
