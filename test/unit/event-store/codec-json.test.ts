import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { VarveError } from 'varve';
import { jsonCodec, jsonText, jsonValue } from '../../../src/adapter/event-store/json-codec.js';
import { assertSameValue } from '../../support/same-value.js';

const textOf = (value: unknown): string => Buffer.from(jsonCodec.encode(value)).toString();
const roundTrip = (value: unknown): unknown => {
  expect(jsonText(value, 'data')).toBe(textOf(value));
  return jsonCodec.decode(jsonCodec.encode(value));
};

/** What is made of bytes that lie among others. */
function among(bytes: Uint8Array): unknown {
  return jsonValue(Buffer.concat([Buffer.of(0xff, 0x7b), bytes, Buffer.of(0x7d)]), 2, 2 + bytes.length);
}

function refusal(act: () => unknown): VarveError {
  try {
    act();
  } catch (error) {
    if (error instanceof VarveError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

const buffer = (): ArrayBuffer => Uint8Array.of(0, 1, 254, 255, 0, 0, 0, 128).buffer;
const own = (key: string, value: unknown): object => Object.fromEntries([[key, value]]);

const plain: [string, unknown][] = [
  ['null', null],
  ['true', true],
  ['a number', 1.5e-300],
  ['zero', 0],
  ['the greatest numbers', [Number.MAX_VALUE, -Number.MAX_SAFE_INTEGER, Number.MIN_VALUE]],
  ['an empty string', ''],
  ['a string with NUL bytes', 'a\0b\0'],
  ['lone surrogates', ['\ud800', 'a\udc00b', '\udc00\ud800', '😀'.slice(1)]],
  ['whole surrogate pairs', '😀𝒳'],
  ['line separators and quotes', '\u2028\u2029"\\\n'],
  ['an empty object', {}],
  ['an empty array', []],
  ['an object like many', { sku: 'a', count: 2, tags: ['x', 'y'], nested: { ok: true, none: null } }],
  ['keys that begin with $', { $date: 1, $: 2, $$: 3 }],
  ['a key that looks like a tag, alone', { $date: 1 }],
  ['an own __proto__', own('__proto__', { polluted: true })],
  ['an own __proto__ that is null', own('__proto__', null)],
  ['names of Object.prototype', { constructor: 1, toString: 2, hasOwnProperty: 3, toJSON: 4 }],
  ['a string that begins with the mark', '~'],
];

const tagged: [string, unknown][] = [
  ['undefined', undefined],
  ['a field that is undefined', { a: undefined, b: 1 }],
  ['elements that are undefined', [undefined, 1, undefined]],
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', { a: Number.NEGATIVE_INFINITY }],
  ['-0', [-0, 0]],
  ['a bigint', 12345678901234567890123n],
  ['a negative bigint', -1n],
  ['a Date', new Date(1_700_000_000_123)],
  ['the first and last Date', [new Date(-8.64e15), new Date(8.64e15)]],
  ['an invalid Date', new Date(Number.NaN)],
  [
    'a Map',
    new Map<unknown, unknown>([
      ['a', 1],
      [{ b: 1 }, new Map([[Number.NaN, undefined]])],
      [
        [1, [2]],
        [3, [4]],
      ],
    ]),
  ],
  ['an empty Map', new Map()],
  ['a Set', new Set<unknown>([1, 'a', [2n], new Set([null])])],
  ['an empty Set', new Set()],
  ['a RegExp', /a\/b[\n"]\ud800/giu],
  ['an empty RegExp', /(?:)/],
  ['an ArrayBuffer', buffer()],
  ['an empty ArrayBuffer', new ArrayBuffer(0)],
  ['a DataView', new DataView(buffer(), 1, 3)],
  ['an Int8Array', new Int8Array(buffer())],
  ['a Uint8Array', new Uint8Array(buffer())],
  ['an empty Uint8Array', new Uint8Array()],
  ['a Uint8ClampedArray', new Uint8ClampedArray(buffer())],
  ['an Int16Array', new Int16Array(buffer())],
  ['a Uint16Array', new Uint16Array(buffer())],
  ['an Int32Array', new Int32Array(buffer())],
  ['a Uint32Array', new Uint32Array(buffer())],
  ['a Float32Array', Float32Array.of(1.5, Number.NaN, -0, Number.POSITIVE_INFINITY)],
  ['a Float64Array', Float64Array.of(0.1, Number.NaN, -0)],
  ['a BigInt64Array', BigInt64Array.of(-(2n ** 63n), 1n)],
  ['a BigUint64Array', BigUint64Array.of(2n ** 64n - 1n)],
  ['part of a larger memory', new Uint16Array(buffer(), 2, 2)],
  ['keys that begin with $, beside a Date', { $date: 1, $: new Date(1), $$: 3, a$: 4, $$date: 5 }],
  ['an object that looks like a tag, in a tagged value', [{ $date: 1 }, { $undefined: null }, { $map: [] }, 1n]],
  ['an own __proto__ that holds a tag', [own('__proto__', 1n), { a: own('__proto__', { b: undefined }) }]],
  [
    'an own __proto__ beside a key with $',
    Object.fromEntries([
      ['__proto__', { $a: 1n }],
      ['$b', 2n],
    ]),
  ],
  ['names of Object.prototype beside a bigint', { constructor: 1n, toString: 2, hasOwnProperty: 3, toJSON: 4 }],
  ['plain values beside a bigint', [1n, ...plain.map(([, value]) => value)]],
];

describe('the JSON codec', () => {
  test.each(plain)('keeps %s, as plain JSON', (_what, value) => {
    assertSameValue(roundTrip(value), value);
    expect(textOf(value)).toBe(JSON.stringify(value));
  });

  test.each(tagged)('keeps %s, as tagged JSON', (_what, value) => {
    assertSameValue(roundTrip(value), value);
    expect(textOf(value)).toMatch(/^~/);
  });

  test('writes the tags that are documented: stored events depend on them', () => {
    const value = {
      u: undefined,
      n: [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0],
      i: -12n,
      d: [new Date(5), new Date(Number.NaN)],
      m: new Map([['k', 1]]),
      s: new Set(['e']),
      r: /x/g,
      b: [Uint8Array.of(1, 2, 3), new ArrayBuffer(1), new DataView(new ArrayBuffer(1)), Uint16Array.of(513)],
      $date: 1,
    };
    expect(textOf(value)).toBe(
      '~{"u":{"$undefined":null},' +
        '"n":[{"$number":"NaN"},{"$number":"Infinity"},{"$number":"-Infinity"},{"$number":"-0"}],' +
        '"i":{"$bigint":"-12"},' +
        '"d":[{"$date":5},{"$date":null}],' +
        '"m":{"$map":["k",1]},' +
        '"s":{"$set":["e"]},' +
        '"r":{"$regexp":["x","g"]},' +
        '"b":[{"$bytes":["Uint8Array","AQID"]},{"$bytes":["ArrayBuffer","AA=="]},{"$bytes":["DataView","AA=="]},' +
        '{"$bytes":["Uint16Array","AQI="]}],' +
        '"$$date":1}',
    );
  });

  test.each([
    ['a Buffer as a Uint8Array', Buffer.from('ab'), Uint8Array.of(97, 98)],
    ['holes as undefined', new Array(2), [undefined, undefined]],
    ['an object without a prototype as a plain one', Object.assign(Object.create(null), { a: 1 }), { a: 1 }],
    ['shared memory as memory of its own', new Uint8Array(new SharedArrayBuffer(2)), new Uint8Array(2)],
    ['a Date of a subclass as a Date', new (class extends Date {})(7), new Date(7)],
    ['what a getter returns', Object.defineProperty({}, 'a', { get: () => 1n, enumerable: true }), { a: 1n }],
  ])('gives back %s', (_what, value, expected) => {
    assertSameValue(roundTrip(value), expected);
    assertSameValue(roundTrip({ deep: [value, 1n] }), { deep: [expected, 1n] });
  });

  test('leaves out what is no part of the value for JSON either', () => {
    const array: unknown[] & { extra?: number } = [1n];
    array.extra = 1;
    const object = Object.defineProperty({ a: 1n, [Symbol('s')]: 1 }, 'hidden', { value: 1, enumerable: false });
    assertSameValue(roundTrip([array, object]), [[1n], { a: 1n }]);
  });

  test('gives back two objects for one that is referred to twice', () => {
    const shared = { at: new Date(1) };
    assertSameValue(roundTrip([shared, shared, new Map([[shared, shared]])]), [
      { at: new Date(1) },
      { at: new Date(1) },
      new Map([[{ at: new Date(1) }, { at: new Date(1) }]]),
    ]);
  });

  test('gives bytes a memory of their own', () => {
    const { buffer: memory } = roundTrip(Uint8Array.of(1, 2)) as Uint8Array;
    expect(memory.byteLength).toBe(2);
  });

  test('knows the kinds of other realms', () => {
    const foreign = runInNewContext(`({ a: [1, { b: 'x' }], d: new Date(1), m: new Map([[1, new Set([2])]]), r: /x/g,
      t: Float32Array.of(1), v: new DataView(new ArrayBuffer(2)), n: Object.create(null) })`);
    assertSameValue(roundTrip(foreign), {
      a: [1, { b: 'x' }],
      d: new Date(1),
      m: new Map([[1, new Set([2])]]),
      r: /x/g,
      t: Float32Array.of(1),
      v: new DataView(new ArrayBuffer(2)),
      n: {},
    });
  });

  test('decodes bytes that are no Buffer and begin in the middle of a larger memory', () => {
    const memory = new Uint8Array(100).fill(0x7e);
    const bytes = jsonCodec.encode({ a: 1n });
    memory.set(bytes, 7);
    assertSameValue(jsonCodec.decode(memory.subarray(7, 7 + bytes.length)), { a: 1n });
  });

  test('keeps 1,000 levels and refuses more, whatever they are made of', () => {
    const nested = (levels: number, wrap: (inner: unknown) => unknown, innermost: unknown): unknown => {
      let value = innermost;
      for (let i = 0; i < levels; i++) value = wrap(value);
      return value;
    };
    for (const wrap of [
      (inner: unknown) => [inner],
      (inner: unknown) => ({ a: inner }),
      (inner: unknown) => new Map([[inner, 1]]),
    ]) {
      for (const innermost of [1, 1n]) {
        const value = nested(1000, wrap, innermost);
        assertSameValue(roundTrip(value), value);
        const error = refusal(() => jsonCodec.encode(nested(1001, wrap, innermost)));
        expect(error.code).toBe('ERR_VARVE_INVALID_EVENT');
        expect(error.message).toContain('deeper than 1000 levels');
      }
    }
  });

  test('walks no further than it must: a wide value with cycles is refused at once', () => {
    const value: Record<string, unknown> = {};
    value.left = value;
    value.right = value;
    expect(refusal(() => jsonCodec.encode(value)).valuePath).toBe('data.left');
  });
});

describe('what the JSON codec refuses', () => {
  class Money {
    constructor(readonly cents: number) {}
    toJSON(): number {
      return this.cents;
    }
  }
  class Tags extends Set {}
  class Items extends Array {}

  test.each<[string, unknown]>([
    ['a function', () => {}],
    ['a symbol', Symbol('s')],
    ['a class instance, whatever its toJSON', new Money(1)],
    ['a URL', new URL('http://localhost/')],
    ['an Error', new Error('x')],
    ['a promise', Promise.resolve()],
    ['a WeakMap', new WeakMap()],
    ['a boxed number', Object(1)],
    ['a boxed bigint', Object(1n)],
    ['shared memory itself', new SharedArrayBuffer(1)],
    ['a subclass of Set', new Tags()],
    ['a subclass of Array', new Items()],
    ['an object made from another', Object.create({ inherited: 1 })],
    ['an object made from one without a prototype', Object.create(Object.create(null))],
    ['an iterator', [][Symbol.iterator]()],
  ])('is %s', (_what, value) => {
    for (const [wrapped, valuePath] of [
      [value, 'data'],
      [{ items: [0, 1, 2, { price: value }] }, 'data.items[3].price'],
    ]) {
      expect(refusal(() => jsonCodec.encode(wrapped))).toMatchObject({
        code: 'ERR_VARVE_INVALID_EVENT',
        valuePath,
        message: expect.stringMatching(/^data\S* is (a|an) \S/),
      });
    }
  });

  test.each<[string, unknown]>([
    ['data.items[3].price', { items: [0, 1n, {}, { price: Symbol.iterator }] }],
    ['data["a b"]["1"].$x.ü', { 'a b': { 1: { $x: { ü: Symbol.iterator } } } }],
    ['data[""]["__proto__ "]', { '': { '__proto__ ': Symbol.iterator } }],
    [
      'data.m[1].value.x',
      {
        m: new Map<string, unknown>([
          ['a', 1],
          ['b', { x: Symbol.iterator }],
        ]),
      },
    ],
    ['data.m[0].key[2]', { m: new Map([[[1, 2, Symbol.iterator], 1]]) }],
    ['data.s[1]', { s: new Set<unknown>([{}, Symbol.iterator]) }],
    ['data[1][0]', [[], [Symbol.iterator]]],
  ])('is named by its place: %s', (valuePath, value) => {
    const error = refusal(() => jsonCodec.encode(value));
    expect(error.valuePath).toBe(valuePath);
    expect(error.message).toBe(`${valuePath} is a symbol, which cannot be stored.`);
  });

  test('is named from the root that the caller gives, and by its class', () => {
    const error = refusal(() => jsonCodec.encode({ user: new Money(1) }, 'metadata'));
    expect(error).toMatchObject({
      valuePath: 'metadata.user',
      message: expect.stringContaining('an instance of Money'),
    });
  });

  test.each([
    ['data.a.b', 'an object', (o: Record<string, unknown>) => ({ ...o, a: Object.assign(o, { b: o }) })],
    [
      'data.a[1]',
      'an array',
      () => {
        const a: unknown[] = [1];
        a.push(a);
        return { a };
      },
    ],
    [
      'data[0].value',
      'a map',
      () => {
        const map = new Map<string, unknown>();
        return map.set('self', map);
      },
    ],
    [
      'data[0]',
      'a set',
      () => {
        const set = new Set<unknown>();
        return set.add(set);
      },
    ],
  ])('is a cycle: %s, through %s', (valuePath, _what, make) => {
    const error = refusal(() => jsonCodec.encode(make({})));
    expect(error).toMatchObject({
      code: 'ERR_VARVE_INVALID_EVENT',
      valuePath,
      message: expect.stringContaining('cycle'),
    });
  });

  test('is memory that was transferred away, rather than storing none', () => {
    for (const make of [() => new Float64Array(2), () => new DataView(new ArrayBuffer(2)), () => new ArrayBuffer(2)]) {
      const value = make();
      const memory = value instanceof ArrayBuffer ? value : value.buffer;
      structuredClone(memory, { transfer: [memory] });
      expect(refusal(() => jsonCodec.encode({ value })).code).toBe('ERR_VARVE_INVALID_EVENT');
    }
  });

  test('is a value whose getter throws', () => {
    const cause = new RangeError('mine');
    const value = {
      get a(): number {
        throw cause;
      },
    };
    expect(refusal(() => jsonCodec.encode(value))).toMatchObject({ code: 'ERR_VARVE_INVALID_EVENT', cause });
  });
});

describe('bytes that the JSON codec cannot read', () => {
  test.each<[string, string | Uint8Array]>([
    ['none', ''],
    ['no JSON', 'hello'],
    ['JSON that was cut off', '{"a":'],
    ['a byte order mark', '\ufeff{}'],
    ['bytes that are not UTF-8', Uint8Array.of(0x22, 0xff, 0x22)],
    ['a lone surrogate as bytes', Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22)],
    ['the mark alone', '~'],
    ['an unknown tag', '~{"$url":"x"}'],
    ['the name of a property of Object.prototype as a tag', '~{"$constructor":[]}'],
    ['a tag beside other keys', '~{"$date":1,"a":2}'],
    ['two tags', '~{"a":[{"$date":1,"$set":[]}]}'],
    ['a number that JSON has', '~{"$number":"1"}'],
    ['a bigint that is none', '~{"$bigint":"0x10"}'],
    ['a bigint as a number', '~{"$bigint":1}'],
    ['a Date as text', '~{"$date":"2020"}'],
    ['a map with a key too many', '~{"$map":[1,2,3]}'],
    ['a map that is none', '~{"$map":{}}'],
    ['a set that is none', '~{"$set":"abc"}'],
    ['a RegExp that is none', '~{"$regexp":["(",""]}'],
    ['a RegExp with unknown flags', '~{"$regexp":["x","Q"]}'],
    ['a RegExp of one part', '~{"$regexp":["x"]}'],
    ['a RegExp of numbers', '~{"$regexp":[1,2]}'],
    ['bytes of an unknown kind', '~{"$bytes":["Uint128Array","AA=="]}'],
    ['bytes of a kind that is no view', '~{"$bytes":["Map","AA=="]}'],
    ['bytes of half an element', '~{"$bytes":["Uint16Array","AA=="]}'],
    ['bytes that are not base64', '~{"$bytes":["Uint8Array","A*A="]}'],
    ['too many levels', `~${'['.repeat(1e6)}${']'.repeat(1e6)}`],
  ])('are %s', (_what, bytes) => {
    for (const decode of [jsonCodec.decode, among]) {
      const error = refusal(() => decode(Buffer.from(bytes as string)));
      expect(error.code).toBe('ERR_VARVE_INVALID_EVENT');
      expect(error.message).toMatch(/^The codec 'json' cannot read \d+ bytes: ./);
      expect(error.cause).toHaveProperty('message');
    }
  });
});

describe('the JSON codec and changed built-ins', () => {
  afterEach(() => {
    jest.useRealTimers();
    Reflect.deleteProperty(Object.prototype, 'polluted');
    Reflect.deleteProperty(BigInt.prototype, 'toJSON');
  });

  test('keeps dates of a fake clock', () => {
    jest.useFakeTimers({ now: 5 });
    expect((roundTrip({ at: new Date() }) as { at: Date }).at.getTime()).toBe(5);
  });

  test('neither stores nor sees what was added to Object.prototype', () => {
    const __proto__ = own('__proto__', { isAdmin: true });
    Object.defineProperty(Object.prototype, 'polluted', { value: () => {}, enumerable: true, configurable: true });
    for (const value of [{ a: 1 }, { a: 1n }, __proto__, { __proto__: null, a: __proto__, b: 1n }]) {
      const back = roundTrip(value) as Record<string, unknown>;
      expect(Object.keys(back)).toEqual(Object.keys(value));
      expect(Object.getPrototypeOf(back)).toBe(Object.prototype);
      expect(back.isAdmin).toBe(undefined);
    }
  });

  test('keeps a bigint also where bigints have a toJSON', () => {
    Object.assign(BigInt.prototype, {
      toJSON(this: bigint) {
        return String(this);
      },
    });
    assertSameValue(roundTrip({ a: 1n }), { a: 1n });
  });
});
