/** Which directories the real disk syncs: seen through a pool that only takes notes. */
import fs from 'node:fs';
import { expect, jest, test } from '@jest/globals';
import { temporaryDirectory } from './places.js';

const jobs: [kind: string, path: string][] = [];
jest.unstable_mockModule('../../../src/disk/shared-pool.js', () => ({
  PoolHandle: class {
    async run(job: { kind: string }, path: string) {
      jobs.push([job.kind, path]);
    }
    release() {}
  },
}));
const { realDisk } = await import('../../../src/disk/real-disk.js');

test('a new directory is made durable in every directory that got a new entry, and an existing one is left alone', async () => {
  const disk = realDisk();
  const root = temporaryDirectory();
  await disk.makeDirectory(`${root}/a/b/c/`);
  expect(jobs.splice(0)).toEqual([
    ['syncDirectory', `${root}/a/b`],
    ['syncDirectory', `${root}/a`],
    ['syncDirectory', root],
  ]);
  await disk.makeDirectory(`${root}/a/x`);
  expect(jobs.splice(0)).toEqual([['syncDirectory', `${root}/a`]]);
  await disk.makeDirectory(`${root}/n/../m//k`);
  expect(jobs.splice(0)).toEqual([
    ['syncDirectory', `${root}/m`],
    ['syncDirectory', root],
  ]);
  expect(fs.readdirSync(root)).toEqual(['a', 'm']);
  await disk.makeDirectory(`${root}/a/b/c`);
  expect(jobs).toEqual([]);
  expect(fs.readdirSync(`${root}/a`)).toEqual(['b', 'x']);
  await disk.close();
});
