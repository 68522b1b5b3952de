import fs from 'node:fs';
import { expect, test } from '@jest/globals';
import { errorName, fromFailure, named, systemError, toFailure } from '../../../src/disk/system-error.js';

test('numbers have the names of the manual', () => {
  const names = [1, 2, 4, 5, 11, 28, 95, 122].map(errorName);
  expect(names).toEqual(['EPERM', 'ENOENT', 'EINTR', 'EIO', 'EAGAIN', 'ENOSPC', 'EOPNOTSUPP', 'EDQUOT']);
  expect(errorName(9999)).toBe('UNKNOWN');
});

test('the error of a system call has every field, and says them', () => {
  expect(systemError(28, 'write', '/a/b')).toMatchObject({
    message: "ENOSPC: no space left on device, write '/a/b'",
    code: 'ENOSPC',
    errno: -28,
    syscall: 'write',
    path: '/a/b',
  });
  const bare = systemError(122, 'fallocate');
  expect(bare.message).toBe('EDQUOT: error number 122, fallocate');
  expect(bare).not.toHaveProperty('path');
  expect(systemError(16, 'close', '/a', 'somebody is in').message).toBe("EBUSY: somebody is in, close '/a'");
});

test('what Node cannot name is named', () => {
  const quota = Object.assign(new Error('Unknown system error -122'), {
    code: 'Unknown system error -122',
    errno: -122,
  });
  expect(named(quota, '/a')).toBe(quota);
  expect(quota).toMatchObject({ code: 'EDQUOT', path: '/a' });
  expect(named(Object.assign(new Error(), { code: 'ENOTSUP', errno: -95 }))).toMatchObject({ code: 'EOPNOTSUPP' });
});

test('a path that an error has is kept, and no other error is touched', () => {
  expect(named(Object.assign(new Error(), { code: 'EIO', errno: -5, path: '/own' }), '/other')).toMatchObject({
    code: 'EIO',
    path: '/own',
  });
  const plain = new TypeError('no system error');
  expect(named(plain, '/a')).toBe(plain);
  expect(plain).not.toHaveProperty('path');
  expect(named(undefined, '/a')).toBeUndefined();
  expect(named('text', '/a')).toBe('text');
});

test('an error comes through a thread boundary whole', () => {
  let caught: unknown;
  try {
    fs.openSync('/missing/file', 'r');
  } catch (error) {
    caught = error;
  }
  const arrived = fromFailure(structuredClone(toFailure(caught)), '/other');
  expect(arrived).toBeInstanceOf(Error);
  expect(arrived).toMatchObject({
    message: "ENOENT: no such file or directory, open '/missing/file'",
    code: 'ENOENT',
    errno: -2,
    syscall: 'open',
    path: '/missing/file',
  });
  expect(fromFailure(toFailure(systemError(5, 'fdatasync')), '/file')).toMatchObject({ code: 'EIO', path: '/file' });
  expect(toFailure(new RangeError('plain'))).toEqual({ message: 'plain' });
  expect(fromFailure({ message: 'plain' })).not.toHaveProperty('path');
});
