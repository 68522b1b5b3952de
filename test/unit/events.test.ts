import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { LogEmitter } from '../../src/events.js';
import { openTestLog, temporaryDirectory, until } from '../support/logs.js';

/** Errors that were thrown in tasks of their own: they are caught here instead of ending the process. */
function uncaught(): unknown[] {
  const errors: unknown[] = [];
  jest.spyOn(globalThis, 'setImmediate').mockImplementation(((task: () => void) => {
    try {
      task();
    } catch (error) {
      errors.push(error);
    }
  }) as never);
  return errors;
}

afterEach(() => {
  jest.restoreAllMocks();
});

const closed = (emitter: LogEmitter, partition: number) => emitter.emit('closed', { partition });

describe('LogEmitter', () => {
  test('gives every listener the event, in order of their coming', () => {
    const emitter = new LogEmitter();
    const heard: string[] = [];
    emitter.on('closed', ({ partition }) => heard.push(`a ${partition}`));
    emitter.once('closed', ({ partition }) => heard.push(`b ${partition}`));
    emitter.on('truncated', () => heard.push('another'));
    closed(emitter, 1);
    closed(emitter, 2);
    expect(heard).toEqual(['a 1', 'b 1', 'a 2']);
  });

  test('what a listener throws does not reach who emits; it is thrown in a task of its own', () => {
    const errors = uncaught();
    const emitter = new LogEmitter();
    const error = new Error('mine');
    emitter.on('closed', () => {
      throw error;
    });
    closed(emitter, 1);
    expect(errors).toEqual([error]);
  });

  test('what a listener throws does not keep the event from the others', () => {
    const errors = uncaught();
    const emitter = new LogEmitter();
    const heard: string[] = [];
    emitter.on('closed', () => heard.push('before'));
    emitter.on('closed', () => {
      throw new Error('mine');
    });
    emitter.on('closed', () => heard.push('behind'));
    closed(emitter, 1);
    expect([heard, errors.length]).toEqual([['before', 'behind'], 1]);
  });

  test('a listener may leave, or bring others, while the event is told', () => {
    const emitter = new LogEmitter();
    const heard: string[] = [];
    const leaving = () => {
      heard.push('leaving');
      emitter.off('closed', leaving);
      emitter.on('closed', () => heard.push('new'));
    };
    emitter.on('closed', leaving);
    emitter.on('closed', () => heard.push('staying'));
    closed(emitter, 1);
    closed(emitter, 2);
    expect(heard).toEqual(['leaving', 'staying', 'staying', 'new']);
  });
});

test('a log with listeners that throw goes on', async () => {
  const errors: unknown[] = [];
  const directory = temporaryDirectory();
  const options = { directory, segmentSize: 5120, io: 'write', threads: 1 } as const;
  const log = await openTestLog(options);
  const spy = jest.spyOn(globalThis, 'setImmediate').mockImplementation(((task: () => void) =>
    setTimeout(() => {
      try {
        task();
      } catch (error) {
        errors.push(error);
      }
    })) as never);
  for (const name of ['synced', 'rotated', 'purged', 'truncated', 'closed'] as const) {
    log.events.on(name, () => {
      throw new Error(name);
    });
  }
  const partition = await log.partition(1);
  for (let i = 0; i < 40; i++) await partition.append(new Uint8Array(40));
  await partition.purgeBefore(20);
  await partition.truncateAfter(30);
  await log.close();
  await until(() => errors.some((error) => (error as Error).message === 'closed'));
  spy.mockRestore();
  const names = new Set(errors.map((error) => (error as Error).message));
  expect([...names].sort()).toEqual(['closed', 'purged', 'rotated', 'synced', 'truncated']);
  const again = await (await openTestLog(options)).partition(1);
  expect(again.durableLsn).toBe(30);
});
