import fs from 'node:fs';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { Child, temporaryDirectory } from './places.js';
import { newPool, until } from './pools.js';

describe('a thread that ends', () => {
  const compiled = new URL('../../../dist/disk/worker.js', import.meta.url).href;

  /** A worker that does `deed` when it is loaded, until it is disarmed; or once, when it is rung for a job. */
  function worker(when: 'import' | 'job', deed: string): { url: URL; disarm(): void } {
    const directory = temporaryDirectory();
    const flag = `${directory}/deadly`;
    fs.writeFileSync(flag, '');
    const once = when === 'job' ? `rmSync(${JSON.stringify(flag)});` : '';
    const check = `if (existsSync(${JSON.stringify(flag)})) { ${once} ${deed} }`;
    const code = `
      import { existsSync, rmSync } from 'node:fs';
      import startLane from ${JSON.stringify(compiled)};
      ${when === 'import' ? check : ''}
      export default (start) => {
        ${when === 'job' ? `setImmediate(() => { Atomics.wait(start.ints, 0, 0); ${check} });` : ''}
        startLane(start);
      };`;
    const path = `${directory}/worker.mjs`;
    fs.writeFileSync(path, code);
    return { url: pathToFileURL(path), disarm: () => fs.rmSync(flag) };
  }

  test.each([
    ['by an exception', "throw new Error('boom');", 'boom'],
    ['by an exit', 'process.exit(3);', undefined],
  ])('%s fails the job that it had, and no other', async (_, deed, cause) => {
    const { url } = worker('job', deed);
    const pool = newPool(1, url);
    const directory = temporaryDirectory();
    const fd = fs.openSync(`${directory}/file`, 'w+');
    const first = pool.run({ kind: 'truncate', fd, size: 1 }, '/first');
    const second = pool.run({ kind: 'truncate', fd, size: 2 }, '/second');
    const third = pool.run({ kind: 'syncDirectory', path: directory }, directory);
    const error = await first.catch((caught) => caught);
    expect(error).toMatchObject({
      code: 'ERR_DISK_THREAD_DIED',
      path: '/first',
      message: expect.stringContaining('truncate of /first'),
    });
    expect(error.cause?.message).toBe(cause);
    await second;
    await third;
    expect(fs.fstatSync(fd).size).toBe(2);
    expect(pool.threads).toBe(1);
    expect(pool.busy).toBe(false);
    fs.closeSync(fd);
  });

  test.each([
    ['by an exception', "throw new Error('boom');", 'boom'],
    ['by an exit', 'process.exit(3);', undefined],
  ])('%s before it has started fails what waits, and the next job tries again', async (_, deed, cause) => {
    const { url, disarm } = worker('import', deed);
    const pool = newPool(1, url);
    for (let i = 0; i < 3; i++) {
      const jobs = ['/first', '/second'].map((path) => pool.run({ kind: 'sync', fd: 999_999 }, path));
      for (const [at, result] of (await Promise.allSettled(jobs)).entries()) {
        expect(result).toMatchObject({
          status: 'rejected',
          reason: { code: 'ERR_DISK_THREAD_DIED', path: ['/first', '/second'][at] },
        });
        expect((result as PromiseRejectedResult).reason.cause?.message).toBe(cause);
      }
      expect(pool.threads).toBe(0);
      expect(pool.busy).toBe(false);
    }
    disarm();
    await expect(pool.run({ kind: 'sync', fd: 999_999 }, '')).rejects.toMatchObject({ code: 'EBADF' });
  });

  test('after it has answered has done its job, and is replaced when there is something', async () => {
    const directory = temporaryDirectory();
    const path = `${directory}/worker.mjs`;
    fs.writeFileSync(
      path,
      `import { receiveMessageOnPort } from 'node:worker_threads';
       export default ({ ints, port }) => {
         setImmediate(() => {
           Atomics.wait(ints, 0, 0);
           receiveMessageOnPort(port);
           port.postMessage(null); // done, it says
           process.exit();
         });
       };`,
    );
    const pool = newPool(1, pathToFileURL(path));
    for (let i = 0; i < 3; i++) {
      await pool.run({ kind: 'syncDirectory', path: directory }, directory);
      await until(() => pool.threads === 0);
    }
  });

  test('does not let the process end in silence', async () => {
    const { url } = worker('job', 'process.exit(3);');
    const child = new Child(
      `const { Pool } = await import(process.env.POOL);
       const pool = new Pool(1, new URL(process.env.WORKER));
       await pool.run({ kind: 'sync', fd: 999_999 }, '/file').catch((error) => console.log(error.code));`,
      { POOL: new URL('../../../dist/disk/pool.js', import.meta.url).href, WORKER: url.href },
    );
    expect(await child.line()).toBe('ERR_DISK_THREAD_DIED');
    expect(await child.end()).toBe(0);
  });

  test('and too many jobs that wait for one are refused', async () => {
    const { url } = worker('import', "throw new Error('boom');");
    const pool = newPool(1, url);
    const jobs = Array.from({ length: 65_536 }, () => pool.run({ kind: 'sync', fd: 999_999 }, '/file'));
    const all = Promise.allSettled(jobs);
    await expect(pool.run({ kind: 'sync', fd: 999_999 }, '/file')).rejects.toMatchObject({
      code: 'ERR_VARVE_BACKPRESSURE',
      path: '/file',
      limit: 65_536,
    });
    expect((await all).every((result) => result.status === 'rejected')).toBe(true);
  });
});
