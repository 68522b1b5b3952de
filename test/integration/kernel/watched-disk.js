/**
 * The real disk, with somebody told of every operation before it begins and after it has succeeded, at once and on the
 * same thread: who is told can so end the process exactly there. A file goes by the name that it bears at the time.
 *
 * @typedef {{ kind: string, file: string, to?: string, mode?: string, offset?: number, length?: number }} Operation
 * @typedef {{ before(operation: Operation): void, after(operation: Operation): void }} Watcher
 */
import { basename } from 'node:path';
import { realDisk } from '../../../dist/disk/real-disk.js';

/**
 * @param {Watcher} watcher
 * @returns {import('varve').Disk}
 */
export function watchedDisk(watcher) {
  const disk = realDisk();
  /** Names of the open files. */
  const opened = new Set();

  const around = async (operation, work) => {
    watcher.before(operation);
    const result = await work();
    watcher.after(operation);
    return result;
  };
  const aroundNow = (operation, work) => {
    watcher.before(operation);
    const result = work();
    watcher.after(operation);
    return result;
  };

  const watchedFile = (file) => {
    const named = { name: basename(file.path) };
    opened.add(named);
    const during = (kind, work, rest = {}) => around({ kind, file: named.name, ...rest }, work);
    const duringNow = (kind, work, rest) => aroundNow({ kind, file: named.name, ...rest }, work);
    return {
      path: file.path,
      size: () => file.size(),
      read: (into, offset) => during('read', () => file.read(into, offset), { offset }),
      readSync: (into, offset) => file.readSync(into, offset),
      writeSync: (bytes, offset) => {
        duringNow('write', () => file.writeSync(bytes, offset), { offset, length: bytes.length });
      },
      sync: () => during('sync', () => file.sync()),
      allocate: (mode, size) => during('allocate', () => file.allocate(mode, size), { mode }),
      dropCache: (from) => during('dropCache', () => file.dropCache?.(from)),
      truncate: (size) => during('truncate', () => file.truncate(size)),
      map: (length) => duringNow('map', () => file.map(length), { length }),
      close: async () => {
        await during('close', () => file.close());
        opened.delete(named);
      },
    };
  };

  return {
    now: () => disk.now(),
    randomBytes: (length) => disk.randomBytes(length),
    features: (directory) => disk.features(directory),
    freeBytes: (directory) => disk.freeBytes(directory),
    list: (directory) => disk.list(directory),
    close: () => disk.close(),
    makeDirectory: (directory) => around({ kind: 'makeDirectory', file: '' }, () => disk.makeDirectory(directory)),
    syncDirectory: (directory) => around({ kind: 'syncDirectory', file: '' }, () => disk.syncDirectory(directory)),
    unlink: (path) => around({ kind: 'unlink', file: basename(path) }, () => disk.unlink(path)),
    open: (path, mode) => {
      return around({ kind: 'open', file: basename(path), mode }, async () => watchedFile(await disk.open(path, mode)));
    },
    rename: (from, to) => {
      const operation = { kind: 'rename', file: basename(from), to: basename(to) };
      return around(operation, async () => {
        await disk.rename(from, to);
        for (const named of opened) if (named.name === operation.file) named.name = operation.to;
      });
    },
    lock: async (path) => {
      const lock = await around({ kind: 'lock', file: basename(path) }, () => disk.lock(path));
      return { release: () => around({ kind: 'release', file: basename(path) }, () => lock.release()) };
    },
  };
}
