import fs from 'node:fs';
import { describe, expect, jest, test } from '@jest/globals';
import type { DiskLock } from '../../../src/disk/disk.js';
import { acquireLock } from '../../../src/disk/lock.js';
import { pidFileLock } from '../../../src/disk/pid-lock.js';
import { nativeSyscalls } from '../../../src/disk/syscalls.js';
import { Child, temporaryDirectory } from './places.js';

const native = nativeSyscalls();
const linux = process.platform === 'linux';

const HOLD = `
  const lock = await realDisk().lock(process.env.LOCK_PATH);
  console.log('locked');
  process.stdin.resume();
  setInterval(() => {}, 60_000);`;

const TRY = `
  try {
    await realDisk().lock(process.env.LOCK_PATH);
    console.log('won');
  } catch (error) {
    console.log(error.code, error.pid, error.path);
  }`;

/** What this process holds: descriptors of the directory and in it, and bound lock sockets. */
function held(directory: string): { files: number; sockets: string[] } {
  const links = fs.readdirSync('/proc/self/fd').map((fd) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return ''; // the descriptor that listed the others
    }
  });
  const bound = fs.readFileSync('/proc/net/unix', 'latin1').matchAll(/(\d+) @(varve-lock-.*)/g);
  return {
    files: links.filter((link) => link === directory || link.startsWith(`${directory}/`)).length,
    sockets: [...bound].filter(([, inode]) => links.includes(`socket:[${inode}]`)).map(([, , name]) => name as string),
  };
}

/** Which of owner and contender may use native parts. */
const mixtures: [owner: '0' | '1', contender: '0' | '1'][] = native
  ? [
      ['1', '1'],
      ['1', '0'],
      ['0', '1'],
      ['0', '0'],
    ]
  : [['0', '0']];

describe.each(linux ? mixtures : [])(
  'owner with VARVE_NATIVE=%s, contender with VARVE_NATIVE=%s',
  (owner, contender) => {
    test('another process is refused and told the pid, and gets the lock when the owner is killed', async () => {
      const path = `${temporaryDirectory()}/LOCK`;
      const holder = new Child(HOLD, { LOCK_PATH: path, VARVE_NATIVE: owner });
      try {
        expect(await holder.line()).toBe('locked');
        for (let i = 0; i < 2; i++) {
          const second = new Child(TRY, { LOCK_PATH: path, VARVE_NATIVE: contender });
          expect(await second.line()).toBe(`ERR_VARVE_LOCKED ${holder.pid} ${path}`);
          expect(await second.end()).toBe(0);
        }
      } finally {
        await holder.kill();
      }
      const third = new Child(TRY, { LOCK_PATH: path, VARVE_NATIVE: contender });
      expect(await third.line()).toBe('won');
      expect(await third.end()).toBe(0);
    });
  },
);

describe('a lock of the kernel', () => {
  const kinds = [['without native parts', undefined] as const, ['with native parts', native] as const];
  const usable = linux ? kinds.filter(([name, calls]) => calls !== undefined || name === 'without native parts') : [];

  test.each(usable)('is refused to this process too, with its pid and what to do, %s', async (_, calls) => {
    const path = `${temporaryDirectory()}/LOCK`;
    const lock = await acquireLock(path, calls);
    await expect(acquireLock(path, calls)).rejects.toMatchObject({
      name: 'VarveError',
      code: 'ERR_VARVE_LOCKED',
      path,
      pid: process.pid,
      message: expect.stringMatching(new RegExp(`this process \\(${process.pid}\\).*readOnly: true`)),
    });
    await lock.release();
  });

  test.each(usable)(
    "leaves the owner's pid, and no descriptor or socket, behind when it is refused, %s",
    async (_, calls) => {
      const directory = temporaryDirectory();
      const path = `${directory}/LOCK`;
      const lock = await acquireLock(path, calls);
      fs.writeFileSync(path, '1\n'); // a living process that is not this one
      const before = held(directory);
      expect(before).toMatchObject({ files: 2, sockets: { length: 1 } });
      for (let i = 0; i < 3; i++) {
        await expect(acquireLock(path, calls)).rejects.toMatchObject({ code: 'ERR_VARVE_LOCKED', pid: 1 });
      }
      expect(held(directory)).toEqual(before);
      expect(fs.readFileSync(path, 'utf8')).toBe('1\n');
      await lock.release();
      expect(held(directory)).toEqual({ files: 0, sockets: [] });
    },
  );

  test.each(usable)('is released once, and its file stays, %s', async (_, calls) => {
    const path = `${temporaryDirectory()}/LOCK`;
    const first = await acquireLock(path, calls);
    await first.release();
    expect(fs.readFileSync(path, 'utf8')).toBe(`${process.pid}\n`);
    const second = await acquireLock(path, calls);
    await first.release();
    await expect(acquireLock(path, calls)).rejects.toMatchObject({ code: 'ERR_VARVE_LOCKED' });
    await second.release();
  });

  test.each(usable)('writes its own pid over a longer one, %s', async (_, calls) => {
    const path = `${temporaryDirectory()}/LOCK`;
    fs.writeFileSync(path, '99999999999999\nold\n');
    const lock = await acquireLock(path, calls);
    expect(fs.readFileSync(path, 'utf8')).toBe(`${process.pid}\n`);
    await lock.release();
  });

  test.each(usable)('does not blame a process that is gone, or a file that says nothing, %s', async (_, calls) => {
    const path = `${temporaryDirectory()}/LOCK`;
    const lock = await acquireLock(path, calls);
    for (const content of ['', 'x\n', '0\n', '-1\n', '12', '99999999\n']) {
      fs.writeFileSync(path, content);
      const error = await acquireLock(path, calls).catch((caught) => caught);
      expect(error).toMatchObject({ code: 'ERR_VARVE_LOCKED', message: expect.stringContaining('another process') });
      expect(error).not.toHaveProperty('pid');
    }
    await lock.release();
  });

  test.each(usable)(
    'is the same under every name of the directory, and lasts when its file is removed, %s',
    async (_, calls) => {
      const directory = temporaryDirectory();
      const alias = `${temporaryDirectory()}/alias`;
      fs.symlinkSync(directory, alias);
      const lock = await acquireLock(`${directory}/LOCK`, calls);
      await expect(acquireLock(`${alias}/LOCK`, calls)).rejects.toMatchObject({ code: 'ERR_VARVE_LOCKED' });
      fs.unlinkSync(`${directory}/LOCK`);
      await expect(acquireLock(`${directory}/LOCK`, calls)).rejects.toMatchObject({ code: 'ERR_VARVE_LOCKED' });
      await lock.release();
    },
  );

  (linux ? test : test.skip)('keeps its directory open, so that no other gets its inode', async () => {
    const directory = fs.realpathSync(temporaryDirectory());
    const lock = await acquireLock(`${directory}/LOCK`, undefined);
    fs.unlinkSync(`${directory}/LOCK`);
    expect(held(directory).files).toBe(2);
    await lock.release();
  });

  (native && linux ? test : test.skip)(
    'is refused when only the file is locked (another network namespace)',
    async () => {
      const directory = temporaryDirectory();
      const path = `${directory}/LOCK`;
      const fd = fs.openSync(path, 'w+');
      fs.writeSync(fd, '1\n');
      nativeSyscalls()?.lockExclusive(fd);
      expect(held(directory)).toEqual({ files: 1, sockets: [] });
      await expect(acquireLock(path, native)).rejects.toMatchObject({ code: 'ERR_VARVE_LOCKED', path, pid: 1 });
      expect(held(directory)).toEqual({ files: 1, sockets: [] });
      fs.closeSync(fd);
      const lock = await acquireLock(path, native);
      await lock.release();
    },
  );

  (linux ? test : test.skip)(
    'binds a name that fills the address, so that all Node versions mean the same',
    async () => {
      const directory = temporaryDirectory();
      const lock = await acquireLock(`${directory}/LOCK`, undefined);
      const [name] = held(directory).sockets;
      expect(name).toMatch(/^varve-lock-[0-9a-f]{64}-{32}$/);
      await lock.release();
    },
  );

  (linux ? test : test.skip)('is not shared among the worker processes of a cluster', async () => {
    const directory = temporaryDirectory();
    const script = `${directory}/worker.mjs`;
    const built = new URL('../../../dist/disk/real-disk.js', import.meta.url).href;
    fs.writeFileSync(
      script,
      `import { realDisk } from ${JSON.stringify(built)};
       const answer = await realDisk().lock(process.env.LOCK_PATH).then(() => 'won', (error) => error.code);
       process.send(answer);`,
    );
    const primary = new Child(
      `import cluster from 'node:cluster';
       cluster.setupPrimary({ exec: process.env.SCRIPT, execArgv: [] });
       const answers = [];
       for (let i = 0; i < 3; i++) {
         cluster.fork().on('message', (answer) => {
           answers.push(answer);
           if (answers.length < 3) return;
           console.log(answers.sort().join());
           for (const worker of Object.values(cluster.workers)) worker.process.kill('SIGKILL');
         });
       }`,
      { SCRIPT: script, LOCK_PATH: `${directory}/LOCK`, VARVE_NATIVE: '0' },
    );
    expect(await primary.line()).toBe('ERR_VARVE_LOCKED,ERR_VARVE_LOCKED,won');
    expect(await primary.end()).toBe(0);
  });

  (linux ? test : test.skip)('drops whoever calls at its socket', async () => {
    const { createConnection } = await import('node:net');
    const directory = temporaryDirectory();
    const lock = await acquireLock(`${directory}/LOCK`, undefined);
    const caller = createConnection({ path: `\0${held(directory).sockets[0]}` });
    await new Promise((resolve) => caller.once('close', resolve).resume());
    await lock.release();
  });

  (linux ? test : test.skip)('tells an error that is no lock', async () => {
    const directory = temporaryDirectory();
    fs.mkdirSync(`${directory}/LOCK`);
    await expect(acquireLock(`${directory}/LOCK`, undefined)).rejects.toMatchObject({
      code: 'EISDIR',
      path: `${directory}/LOCK`,
    });
    expect(held(directory)).toEqual({ files: 0, sockets: [] });
  });
});

describe('where abstract sockets are forbidden', () => {
  const forbidden = async <T>(run: () => Promise<T>): Promise<T> => {
    const { Server } = await import('node:net');
    const spy = jest.spyOn(Server.prototype, 'listen').mockImplementation(function (this: InstanceType<typeof Server>) {
      queueMicrotask(() => this.emit('error', Object.assign(new Error('EPERM: listen'), { code: 'EPERM', errno: -1 })));
      return this;
    } as never);
    try {
      return await run();
    } finally {
      spy.mockRestore();
    }
  };

  (native && linux ? test : test.skip)('the file alone is locked', async () => {
    const path = `${temporaryDirectory()}/LOCK`;
    await forbidden(async () => {
      const lock = await acquireLock(path, native);
      await expect(acquireLock(path, native)).rejects.toMatchObject({ code: 'ERR_VARVE_LOCKED', pid: process.pid });
      await lock.release();
    });
  });

  (linux ? test : test.skip)('and without native parts there is no lock to be had', async () => {
    const path = `${temporaryDirectory()}/LOCK`;
    await forbidden(() => expect(acquireLock(path, undefined)).rejects.toMatchObject({ code: 'EPERM', path }));
  });
});

describe('the lock that is only a file', () => {
  test('is refused while its process lives, this one too', async () => {
    const path = `${temporaryDirectory()}/LOCK`;
    const lock = await pidFileLock(path);
    expect(fs.readFileSync(path, 'utf8')).toBe(`${process.pid}\n`);
    await expect(pidFileLock(path)).rejects.toMatchObject({ code: 'ERR_VARVE_LOCKED', path, pid: process.pid });
    await lock.release();
    expect(fs.existsSync(path)).toBe(false);
    const again = await pidFileLock(path);
    await lock.release();
    expect(fs.existsSync(path)).toBe(true);
    await again.release();
  });

  test('is taken over from a process that is gone', async () => {
    const path = `${temporaryDirectory()}/LOCK`;
    const child = new Child('');
    const { pid } = child;
    await child.end();
    fs.writeFileSync(path, `${pid}\n`);
    const lock: DiskLock = await pidFileLock(path);
    expect(fs.readFileSync(path, 'utf8')).toBe(`${process.pid}\n`);
    await lock.release();
  });

  test('is not taken over from one that has yet to write its pid', async () => {
    const path = `${temporaryDirectory()}/LOCK`;
    fs.writeFileSync(path, '');
    await expect(pidFileLock(path)).rejects.toMatchObject({ code: 'ERR_VARVE_LOCKED', path });
    expect(fs.readFileSync(path, 'utf8')).toBe('');
  });

  test('tells an error that is no lock', async () => {
    const path = `${temporaryDirectory()}/missing/LOCK`;
    await expect(pidFileLock(path)).rejects.toMatchObject({ code: 'ENOENT', path });
  });
});
