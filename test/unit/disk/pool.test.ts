import fs from 'node:fs';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { Child, temporaryDirectory } from './places.js';
import { Blockers, newPool, until } from './pools.js';

describe('jobs', () => {
  test('fail with every field of the error, from the other thread', async () => {
    const pool = newPool(1);
    const fields = { name: 'Error', path: '/the/file' };
    await expect(pool.run({ kind: 'sync', fd: 999_999 }, '/the/file')).rejects.toMatchObject({
      ...fields,
      message: expect.stringContaining('EBADF: bad file descriptor, fdatasync'),
      code: 'EBADF',
      errno: -9,
      syscall: 'fdatasync',
    });
    await expect(pool.run({ kind: 'truncate', fd: 999_999, size: 1 }, '/the/file')).rejects.toMatchObject({
      ...fields,
      code: 'EBADF',
      syscall: 'ftruncate',
    });
    await expect(pool.run({ kind: 'unlink', path: '/missing/file' }, '/missing/file')).rejects.toMatchObject({
      code: 'ENOENT',
      errno: -2,
      syscall: 'unlink',
      path: '/missing/file',
    });
  });

  test('each get their own answer, many over few threads', async () => {
    const pool = newPool(4);
    const directory = temporaryDirectory();
    const present = Array.from({ length: 300 }, (_, i) => `${directory}/${i}`);
    for (const path of present) fs.writeFileSync(path, '');
    const results = await Promise.allSettled(
      present.flatMap((path) => [
        pool.run({ kind: 'unlink', path }, path),
        pool.run({ kind: 'unlink', path: `${path}-missing` }, path),
      ]),
    );
    expect(results.map(({ status }) => status)).toEqual(present.flatMap(() => ['fulfilled', 'rejected']));
    expect(fs.readdirSync(directory)).toEqual([]);
    expect(pool.threads).toBeLessThanOrEqual(4);
    await until(() => !pool.busy); // a thread may still be starting, for nothing
  });

  test('of one file are done in the order of the calls, of others meanwhile', async () => {
    const pool = newPool(4);
    const directory = temporaryDirectory();
    const done: string[] = [];
    const jobs: Promise<unknown>[] = [];
    for (let file = 0; file < 8; file++) {
      const path = `${directory}/${file}`;
      const fd = fs.openSync(path, 'w+');
      for (let size = 0; size < 25; size++) {
        // Odd ones in messages, even ones through the integers: both ways keep the one order.
        const job = size % 2 === 1 ? ({ kind: 'truncate', fd, size } as const) : ({ kind: 'sync', fd } as const);
        jobs.push(pool.run(job, path).then(() => done.push(`${file}:${size}`)));
      }
      jobs.push(pool.run({ kind: 'truncate', fd, size: 100 + file }, path).then(() => fs.closeSync(fd)));
    }
    await Promise.all(jobs);
    for (let file = 0; file < 8; file++) {
      expect(done.filter((name) => name.startsWith(`${file}:`))).toEqual(
        Array.from({ length: 25 }, (_, i) => `${file}:${i}`),
      );
      expect(fs.statSync(`${directory}/${file}`).size).toBe(100 + file);
    }
  });
});

describe('threads', () => {
  test('start one by one, when all others are busy, up to the number asked for', async () => {
    const pool = newPool(3);
    const blockers = new Blockers();
    expect(pool.threads).toBe(0);
    for (let i = 0; i < 5; i++) {
      await expect(pool.run({ kind: 'sync', fd: 999_999 }, '')).rejects.toMatchObject({ code: 'EBADF' });
      expect(pool.threads).toBe(1);
    }

    const pipes = Array.from({ length: 4 }, () => blockers.path());
    const settled: string[] = [];
    const jobs = pipes.map((path) =>
      pool.run({ kind: 'syncDirectory', path }, path).catch((error) => settled.push(`${error.code} ${path}`)),
    );
    expect(pool.threads).toBe(2); // the second is starting, the third waits for it
    await until(() => pool.threads === 3);

    // The first three block; the fourth waits, whatever comes after it.
    for (const path of pipes.slice(1)) await blockers.letGo(path);
    await until(() => settled.length === 3);
    expect(pool.busy).toBe(true);
    await blockers.letGo(pipes[0] as string);
    await Promise.all(jobs);
    expect(settled.sort()).toEqual(pipes.map((path) => `EINVAL ${path}`).sort()); // a pipe has nothing to sync
    expect(pool.threads).toBe(3);
    await until(() => !pool.busy); // the third may still be starting
  });

  test('take jobs first come, first served', async () => {
    const pool = newPool(1);
    const blockers = new Blockers();
    const pipe = blockers.path();
    const directory = temporaryDirectory();
    const order: number[] = [];
    const jobs = [pool.run({ kind: 'syncDirectory', path: pipe }, pipe).catch(() => order.push(-1))];
    for (let i = 0; i < 20; i++)
      jobs.push(pool.run({ kind: 'syncDirectory', path: directory }, directory).then(() => order.push(i)));
    await blockers.letGo(pipe);
    await Promise.all(jobs);
    expect(order).toEqual([-1, ...Array.from({ length: 20 }, (_, i) => i)]);
  });

  test('get none of the options of the program', async () => {
    expect(process.execArgv).not.toEqual([]);
    const path = `${temporaryDirectory()}/worker.mjs`;
    fs.writeFileSync(
      path,
      `export default ({ ints, port }) => {
         setImmediate(() => {
           Atomics.wait(ints, 0, 0);
           port.postMessage({ message: JSON.stringify(process.execArgv) });
           Atomics.wait(ints, 0, 1);
           port.close();
         });
       };`,
    );
    const pool = newPool(1, pathToFileURL(path));
    await expect(pool.run({ kind: 'sync', fd: 0 }, '')).rejects.toMatchObject({ message: '[]' });
  });

  test('end with the pool', async () => {
    const child = new Child(
      `import fs from 'node:fs';
       const { Pool } = await import(process.env.POOL);
       const threads = () => fs.readdirSync('/proc/self/task').length;
       await Promise.all(Array.from({ length: 20 }, () => fs.promises.stat('/'))); // libuv's own have started
       const before = threads();
       const pool = new Pool(2);
       const jobs = Array.from({ length: 50 }, () => pool.run({ kind: 'syncDirectory', path: process.env.DIRECTORY }, ''));
       await Promise.all(jobs);
       while (pool.busy) await new Promise(setImmediate); // the second thread may still be starting
       console.log(threads() > before);
       await pool.close();
       while (threads() > before) await new Promise((resolve) => setTimeout(resolve, 5));
       console.log('gone');`,
      { DIRECTORY: temporaryDirectory(), POOL: new URL('../../../dist/disk/pool.js', import.meta.url).href },
    );
    expect(await child.line()).toBe('true');
    expect(await child.line()).toBe('gone');
    expect(await child.end()).toBe(0);
  });
});
