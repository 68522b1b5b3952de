import { describe, expect, test } from '@jest/globals';
import { PoolHandle } from '../../../src/disk/shared-pool.js';
import { Child, temporaryDirectory } from './places.js';
import { Blockers } from './pools.js';

describe('a shared pool', () => {
  test('is refused to whoever has released it, once is enough, and others keep it', async () => {
    const directory = temporaryDirectory();
    const job = { kind: 'syncDirectory', path: directory } as const;
    const first = new PoolHandle(1);
    const second = new PoolHandle(1);
    const underWay = first.run(job, directory);
    first.release();
    first.release();
    await underWay;
    await expect(first.run(job, directory)).rejects.toMatchObject({ code: 'ERR_VARVE_CLOSED', path: directory });
    await second.run(job, directory);
    second.release();
  });

  test('serves thousands of disks one after another with one thread, which ends when nobody comes', async () => {
    const child = new Child(
      `import fs from 'node:fs';
       const threads = () => fs.readdirSync('/proc/self/task').length;
       await Promise.all(Array.from({ length: 20 }, () => fs.promises.stat('/')));
       const before = threads();
       let most = 0;
       for (let i = 0; i < 2000; i++) {
         const disk = realDisk();
         await disk.syncDirectory(process.env.DIRECTORY);
         await disk.close();
         most = Math.max(most, threads());
       }
       console.log(most - before);
       while (threads() > before) await new Promise((resolve) => setTimeout(resolve, 20));
       console.log('gone');
       const disk = realDisk();
       await disk.syncDirectory(process.env.DIRECTORY);
       console.log('again');`,
      { DIRECTORY: temporaryDirectory() },
    );
    expect(await child.line()).toBe('1');
    expect(await child.line()).toBe('gone');
    expect(await child.line()).toBe('again');
    expect(await child.end()).toBe(0);
  });

  test('does not end under a job that outlives its holder', async () => {
    const path = new Blockers().path();
    const child = new Child(
      `const disk = realDisk();
       const blocked = disk.syncDirectory(process.env.PIPE).catch((error) => console.log(error.code));
       await disk.close();
       await new Promise((resolve) => setTimeout(resolve, 1500)); // longer than an unheld pool lingers
       console.log('still there');
       await blocked;`,
      { PIPE: path },
    );
    expect(await child.line()).toBe('still there');
    await new Blockers().letGo(path);
    expect(await child.line()).toBe('EINVAL');
    expect(await child.end()).toBe(0);
  });
});
