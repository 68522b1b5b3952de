import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { type OpenLogOptions, openLog } from '../../src/index.js';
import {
  checkFollowOptions,
  checkPartition,
  checkPayload,
  checkReadOptions,
  MAX_SEGMENT_SIZE,
  MIN_SEGMENT_SIZE,
  resolveAck,
  resolveOptions,
} from '../../src/options.js';
import { temporaryDirectory } from './disk/places.js';

const refused = (option: string) =>
  expect.objectContaining({ code: 'ERR_VARVE_INVALID_OPTION', option, name: 'VarveError' });

const KIB = 1024;
const GIB = 1024 ** 3;

/** Option, values that are refused, and the limits that are not. */
const CASES: readonly [option: string, bad: readonly unknown[], good: readonly unknown[]][] = [
  ['directory', [1, '', 'a\0b', null, {}, true], ['.', '/']],
  ['readOnly', [0, 1, 'true', null], [true, false]],
  [
    'segmentSize',
    [MIN_SEGMENT_SIZE - 1, MAX_SEGMENT_SIZE + 1, 8192.5, '8192', Number.NaN, null, 8192n],
    [MIN_SEGMENT_SIZE, MAX_SEGMENT_SIZE],
  ],
  ['io', ['MMAP', '', 1, null, ['mmap']], ['auto', 'mmap', 'write']],
  ['preallocate', [1, true, null, [], 'zero'], [{}]],
  ['preallocate.segments', [-1, 65, 0.5, '1', null], [0, 64]],
  ['preallocate.mode', ['full', '', 1, null], ['allocate', 'keep-size', 'zero', 'none']],
  ['recycle', [-1, 1025, 1.5, '2', null, Number.POSITIVE_INFINITY], [0, 1024]],
  ['maxUnsyncedBytes', [KIB - 1, 64 * GIB + 1, '1024', null, Number.NaN], [KIB, 64 * GIB]],
  ['maxQueuedAppends', [0, 2 ** 24 + 1, 1.5, null], [1, 2 ** 24]],
  ['whenFull', ['throw', true, null], ['wait', 'refuse']],
  ['onSpacePressure', [{}, 'f', null, 1], [() => {}]],
  ['threads', [0, 65, 2.5, '4', null], [1, 64]],
  ['verify', ['none', true, null], ['tail', 'full']],
  [
    'minDurableLsn',
    [5, 'a', null, true, [], new Map([[1, 5]])],
    [{}, { 1: 0 }, { 4294967295: Number.MAX_SAFE_INTEGER }],
  ],
  ['maxReadHandles', [0, 65_537, 1.5, null], [1, 65_536]],
  ['indexCacheBytes', [KIB - 1, 64 * GIB + 1, '1', null], [KIB, 64 * GIB]],
  ['blockCacheBytes', [KIB - 1, 64 * GIB + 1, '1', null], [KIB, 64 * GIB]],
  ['pollInterval', [0, 60_001, 1.5, null], [1, 60_000]],
  ['disk', [1, 'disk', null, () => {}], [{}]],
];

/** `{ directory, [option]: value }`, where the option may be one of `preallocate`. */
function given(option: string, value: unknown): OpenLogOptions {
  const [outer, inner] = option.split('.') as [string, string | undefined];
  return {
    directory: '/nowhere',
    [outer]: inner === undefined ? value : { [inner]: value },
  } as unknown as OpenLogOptions;
}

describe('an option of openLog', () => {
  test('each is in the table of this test', () => {
    const known = Object.keys(resolveOptions({ directory: '.' })).sort();
    expect([...new Set(CASES.map(([option]) => option.split('.')[0] as string))].sort()).toEqual(known);
  });

  test.each(CASES.flatMap(([option, bad]) => bad.map((value) => [option, value] as const)))(
    '%s is refused by name where it is %p',
    (option, value) => {
      expect(() => resolveOptions(given(option, value))).toThrow(refused(option));
    },
  );

  test.each(CASES.flatMap(([option, , good]) => good.map((value) => [option, value] as const)))(
    '%s may be %p',
    (option, value) => {
      expect(() => resolveOptions(given(option, value))).not.toThrow();
    },
  );

  test('of a wrong LSN by partition is refused by the partition’s name', () => {
    for (const [partition, lsn] of [
      ['1', -1],
      ['1', 1.5],
      ['1', '5'],
      ['1', 2 ** 53],
      ['-1', 5],
      ['4294967296', 5],
      ['x', 5],
      ['1.5', 5],
      ['', 5],
      [' 1', 5],
      ['01', 5],
      ['1e0', 5],
    ] as const) {
      expect(() => resolveOptions(given('minDurableLsn', { [partition]: lsn }))).toThrow(
        refused(`minDurableLsn.${partition}`),
      );
    }
  });

  test('that is unknown is refused by name, in depth, and whatever its value', () => {
    expect(() => resolveOptions(given('segmentsize', undefined))).toThrow(refused('segmentsize'));
    expect(() => resolveOptions(given('preallocate.count', 1))).toThrow(refused('preallocate.count'));
    expect(() => resolveOptions(given('toString', 1))).toThrow(refused('toString'));
    expect(() => resolveOptions(JSON.parse('{"directory":".","__proto__":1}'))).toThrow(refused('__proto__'));
  });

  test('that is undefined is one that is not given', () => {
    const options = Object.fromEntries(CASES.map(([option]) => [option.split('.')[0], undefined]));
    expect(resolveOptions({ ...options, directory: '/x' })).toEqual(resolveOptions({ directory: '/x' }));
  });

  test('the directory must be given, and options must be an object', () => {
    expect(() => resolveOptions({} as OpenLogOptions)).toThrow(refused('directory'));
    for (const options of [undefined, null, 'x', 5, []]) {
      expect(() => resolveOptions(options as unknown as OpenLogOptions)).toThrow(refused('options'));
    }
  });

  test('defaults are those of the documentation; the directory becomes absolute', () => {
    expect(resolveOptions({ directory: 'data' })).toEqual({
      directory: path.resolve('data'),
      readOnly: false,
      segmentSize: 64 * 1024 * KIB,
      io: 'auto',
      preallocate: { segments: 1, mode: 'allocate' },
      recycle: 2,
      maxUnsyncedBytes: 64 * 1024 * KIB,
      maxQueuedAppends: 65_536,
      whenFull: 'wait',
      onSpacePressure: undefined,
      threads: 4,
      verify: 'tail',
      minDurableLsn: {},
      maxReadHandles: 64,
      indexCacheBytes: 8 * 1024 * KIB,
      blockCacheBytes: 8 * 1024 * KIB,
      pollInterval: 20,
      disk: undefined,
    });
  });

  test('a bad value is shown whatever it is', () => {
    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;
    for (const value of [cycle, 5n, Symbol('s'), () => {}, undefined, Number.NaN]) {
      expect(() => checkPartition(value)).toThrow(refused('partition'));
    }
  });
});

describe('nothing is touched where an option is refused', () => {
  test.each(CASES.filter(([option]) => option !== 'directory').map(([option, bad]) => [option, bad[0]] as const))(
    '%s: the directory is not created',
    async (option, value) => {
      const parent = temporaryDirectory();
      const directory = path.join(parent, 'log');
      await expect(openLog({ ...given(option, value), directory })).rejects.toMatchObject({
        code: 'ERR_VARVE_INVALID_OPTION',
        option,
      });
      expect(existsSync(directory)).toBe(false);
    },
  );

  test('arguments of a partition are refused without a byte being written', async () => {
    const directory = temporaryDirectory();
    const log = await openLog({ directory, threads: 1 });
    for (const number of [-1, 2 ** 32, 1.5, '1', undefined]) {
      await expect(log.partition(number as number)).rejects.toMatchObject({
        code: 'ERR_VARVE_INVALID_OPTION',
        option: 'partition',
      });
    }
    const partition = await log.partition(1);
    const bad = (option: string) => ({ code: 'ERR_VARVE_INVALID_OPTION', option });
    const bytes = new Uint8Array(1);
    for (const payload of [
      'text',
      undefined,
      null,
      5,
      [1],
      new ArrayBuffer(1),
      new Uint16Array(1),
      new DataView(new ArrayBuffer(1)),
    ]) {
      await expect(partition.append(payload as unknown as Uint8Array)).rejects.toMatchObject(bad('payload'));
      expect(() => partition.write(payload as unknown as Uint8Array)).toThrow(refused('payload'));
      await expect(partition.appendBatch([bytes, payload as unknown as Uint8Array])).rejects.toMatchObject(
        bad('payloads[1]'),
      );
    }
    for (const payloads of [[], undefined, bytes, { length: 1, 0: bytes }]) {
      await expect(partition.appendBatch(payloads as Uint8Array[])).rejects.toMatchObject(bad('payloads'));
    }
    await expect(partition.append(bytes, { ack: 'soon' } as never)).rejects.toMatchObject(bad('ack'));
    await expect(partition.append(bytes, { acks: 'written' } as never)).rejects.toMatchObject(bad('acks'));
    await expect(partition.append(bytes, null as never)).rejects.toMatchObject(bad('options'));
    await expect(partition.waitFor(1, { until: 1 } as never)).rejects.toMatchObject(bad('until'));
    await expect(partition.waitFor(1, { signal: 1 } as never)).rejects.toMatchObject(bad('signal'));
    await expect(partition.waitFor(1, null as never)).rejects.toMatchObject(bad('options'));
    await expect(partition.verify({ full: true } as never)).rejects.toMatchObject(bad('full'));
    await expect(partition.verify({ onProgress: 1 } as never)).rejects.toMatchObject(bad('onProgress'));
    await expect(partition.verify({ signal: 1 } as never)).rejects.toMatchObject(bad('signal'));
    for (const lsn of [-1, 0, 1.5, 2 ** 53, '1', undefined]) {
      await expect(partition.waitFor(lsn as number)).rejects.toMatchObject(bad('lsn'));
      await expect(partition.purgeBefore(lsn as number)).rejects.toMatchObject(bad('minLsn'));
      if (lsn !== 0) await expect(partition.truncateAfter(lsn as number)).rejects.toMatchObject(bad('lsn'));
    }
    expect(partition.writtenLsn).toBe(0);
    expect(readdirSync(directory).filter((name) => name.startsWith('part_'))).toEqual([]);
    await log.close();
  });
});

describe('options of reading', () => {
  const position = { segmentIndex: 1, localOffset: 4168 };

  test.each([
    ['from', 0],
    ['from', '1'],
    ['from', null],
    ['from.segmentIndex', { ...position, segmentIndex: 0 }],
    ['from.segmentIndex', {}],
    ['from.localOffset', { ...position, localOffset: -1 }],
    ['from.localOffset', { ...position, localOffset: MAX_SEGMENT_SIZE + 1 }],
    ['to', 0],
    ['to', position],
    ['limit', -1],
    ['limit', 1.5],
    ['direction', 'up'],
    ['exclusive', 1],
    ['visibility', 'seen'],
    ['signal', {}],
    ['until', 5],
  ])('%s is refused where it is %p', (option, value) => {
    expect(() => checkReadOptions({ [option.split('.')[0] as string]: value })).toThrow(refused(option));
  });

  test('all of them may be given', () => {
    const { signal } = new AbortController();
    const common = { from: position, exclusive: true, visibility: 'written', signal } as const;
    expect(() => checkReadOptions({ ...common, to: 9, limit: 0, direction: 'backward' })).not.toThrow();
    expect(() => checkFollowOptions(common)).not.toThrow();
  });

  test.each(['to', 'limit', 'direction'])('following has no %s', (option) => {
    expect(() => checkFollowOptions({ [option]: 1 })).toThrow(refused(option));
  });
});

test('acknowledgements are durable unless another level is named', () => {
  expect(resolveAck(undefined)).toBe('durable');
  expect(resolveAck({})).toBe('durable');
  expect(resolveAck({ ack: undefined } as never)).toBe('durable');
  expect(resolveAck({ ack: 'durable' })).toBe('durable');
  expect(resolveAck({ ack: 'written' })).toBe('written');
  expect(() => resolveAck({ ack: 'written', other: 1 } as never)).toThrow(refused('other'));
});

test('a Buffer is a payload', () => {
  expect(() => checkPayload(Buffer.from('x'), 'payload')).not.toThrow();
});

test('a payload whose buffer was transferred is refused, an empty one is not', () => {
  const payload = new Uint8Array(8);
  structuredClone(payload.buffer, { transfer: [payload.buffer] });
  expect(() => checkPayload(payload, 'payload')).toThrow(refused('payload'));
  expect(() => checkPayload(new Uint8Array(0), 'payload')).not.toThrow();
  expect(() => checkPayload(new Uint8Array(new SharedArrayBuffer(8), 8), 'payload')).not.toThrow();
});
