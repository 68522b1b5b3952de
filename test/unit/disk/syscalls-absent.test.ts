/** What is left where koffi is not installed, or the platform has no native part. */
import { beforeEach, expect, jest, test } from '@jest/globals';

beforeEach(() => {
  jest.resetModules();
});

test('a missing package is a reason, not an error', async () => {
  jest.unstable_mockModule('node:module', () => ({
    createRequire: () => () => {
      throw new Error("Cannot find module 'koffi'\nRequire stack:\n- /somewhere/syscalls.js");
    },
  }));
  const { nativeProblem, nativeSyscalls } = await import('../../../src/disk/syscalls.js');
  expect(nativeSyscalls()).toBeUndefined();
  expect(nativeProblem()).toBe("the optional package koffi does not load (Cannot find module 'koffi')");
});

test.each([
  ['platform', 'darwin'],
  ['arch', 'arm'],
])('no native part on %s %s', async (property, value) => {
  const original = Object.getOwnPropertyDescriptor(process, property) as PropertyDescriptor;
  Object.defineProperty(process, property, { value, configurable: true });
  try {
    const { nativeProblem, nativeSyscalls } = await import('../../../src/disk/syscalls.js');
    expect(nativeSyscalls()).toBeUndefined();
    expect(nativeProblem()).toBe(`no native parts for ${process.platform} on ${process.arch}`);
  } finally {
    Object.defineProperty(process, property, original);
  }
});
