import { describe, expect, test } from '@jest/globals';
import { VarveError } from 'varve';
import { type EventCodec, guardCodec, rawCodec } from '../../../src/adapter/event-store/codec.js';
import { makeCodecRegistry } from '../../../src/adapter/event-store/codec-registry.js';
import { jsonCodec } from '../../../src/adapter/event-store/json-codec.js';

/** What `act` throws, which must be a VarveError. */
function thrown(act: () => unknown): VarveError {
  try {
    act();
  } catch (error) {
    if (error instanceof VarveError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('the raw codec', () => {
  test('takes bytes as they are, also part of a larger memory and none at all', () => {
    const memory = Uint8Array.of(9, 0, 1, 255, 9);
    const encoded = rawCodec.encode(memory.subarray(1, 4));
    expect([...encoded]).toEqual([0, 1, 255]);
    expect(encoded.buffer).toBe(memory.buffer);
    expect([...(rawCodec.decode(encoded) as Uint8Array)]).toEqual([0, 1, 255]);
    expect(rawCodec.decode(Buffer.from('ab'))).toStrictEqual(Uint8Array.of(97, 98));
    expect([...rawCodec.encode(Buffer.from('ab'))]).toEqual([97, 98]);
    expect(rawCodec.encode(new Uint8Array()).length).toBe(0);
  });

  test.each([
    ['a string', 'abc'],
    ['undefined', undefined],
    ['null', null],
    ['an array', [1, 2]],
    ['an ArrayBuffer', new ArrayBuffer(2)],
    ['another typed array', new Uint16Array(2)],
    ['a DataView', new DataView(new ArrayBuffer(2))],
    ['an object', { length: 1 }],
  ])('refuses %s', (_what, value) => {
    expect(thrown(() => rawCodec.encode(value, 'metadata'))).toMatchObject({
      code: 'ERR_VARVE_INVALID_EVENT',
      valuePath: 'metadata',
      message: `metadata must be a Uint8Array for the codec 'raw'.`,
    });
  });

  test('refuses bytes whose memory was transferred away, rather than storing none', () => {
    const bytes = Uint8Array.of(1, 2);
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    expect(bytes.length).toBe(0);
    expect(thrown(() => rawCodec.encode(bytes)).code).toBe('ERR_VARVE_INVALID_EVENT');
  });
});

describe('a codec of the application', () => {
  const upper: EventCodec = {
    name: 'upper',
    encode: (value) => Buffer.from(String(value).toUpperCase()),
    decode: (bytes) => Buffer.from(bytes).toString(),
  };

  test('throws only ERR_VARVE_INVALID_EVENT, with its own error as the cause', () => {
    const cause = new TypeError('no such field');
    const fail = () => {
      throw cause;
    };
    const codec = guardCodec({ name: 'mine', encode: fail, decode: fail });
    expect(thrown(() => codec.encode(1))).toMatchObject({
      code: 'ERR_VARVE_INVALID_EVENT',
      message: `The codec 'mine' cannot encode data: no such field`,
      valuePath: 'data',
      cause,
    });
    expect(thrown(() => codec.decode(Uint8Array.of(1, 2)))).toMatchObject({
      code: 'ERR_VARVE_INVALID_EVENT',
      message: `The codec 'mine' cannot read 2 bytes: no such field`,
      cause,
    });
  });

  test('may throw a VarveError of its own, and what is no Error', () => {
    const own = new VarveError('ERR_VARVE_INVALID_EVENT', 'mine');
    let thing: unknown = own;
    const codec = guardCodec({
      ...upper,
      encode: () => {
        throw thing;
      },
    });
    expect(thrown(() => codec.encode(1))).toBe(own);
    thing = 'just a string';
    expect(thrown(() => codec.encode(1))).toMatchObject({ code: 'ERR_VARVE_INVALID_EVENT', cause: 'just a string' });
  });

  test.each([
    ['a string', 'abc'],
    ['a promise', Promise.resolve(new Uint8Array())],
    ['undefined', undefined],
  ])('must not encode to %s', (_what, encoded) => {
    const codec = guardCodec({ ...upper, encode: () => encoded as unknown as Uint8Array });
    expect(thrown(() => codec.encode(1))).toMatchObject({ code: 'ERR_VARVE_INVALID_EVENT', valuePath: 'data' });
  });

  test('keeps its `this`, and hears what it encodes', () => {
    class Prefixed implements EventCodec {
      readonly name = 'prefixed';
      readonly #prefix = '>';
      encode = (value: unknown, where?: string) => Buffer.from(`${this.#prefix}${where}${value}`);
      decode(bytes: Uint8Array) {
        return this.#prefix + Buffer.from(bytes).toString();
      }
    }
    const { codec } = makeCodecRegistry(new Prefixed());
    expect(codec.decode(codec.encode(1, 'metadata'))).toBe('>>metadata1');
  });

  test('is held to the same errors when a store brings it along', () => {
    const { codec, byId } = makeCodecRegistry({ ...upper, decode: (bytes) => JSON.parse(String(bytes)) });
    expect(thrown(() => codec.encode(Object.create(null))).code).toBe('ERR_VARVE_INVALID_EVENT');
    expect(thrown(() => byId(3).decode(new Uint8Array())).code).toBe('ERR_VARVE_INVALID_EVENT');
  });

  test('is found again by its number, beside the built-in ones', () => {
    const registry = makeCodecRegistry(upper);
    expect(registry.id).toBe(3);
    expect(Buffer.from(registry.codec.encode('a')).toString()).toBe('A');
    expect(registry.byId(3)).toBe(registry.codec);
    expect(registry.idOf('upper')).toBe(3);
    expect(registry.nameOf(3)).toBe('upper');
    expect(registry.byId(1)).toBe(jsonCodec);
    expect(registry.byId(2)).toBe(rawCodec);
  });
});

describe('the registry of codecs', () => {
  test.each([
    [undefined, 1, jsonCodec],
    ['json', 1, jsonCodec],
    ['raw', 2, rawCodec],
    [jsonCodec, 1, jsonCodec],
    [rawCodec, 2, rawCodec],
  ] as const)(
    'writes with the codec that was chosen, under the number that is stored for ever (%#)',
    (choice, id, codec) => {
      expect(makeCodecRegistry(choice)).toMatchObject({ id, codec });
    },
  );

  test('has no codec for a number that it does not know, and says what to do for a missing one', () => {
    const { byId } = makeCodecRegistry();
    for (const id of [0, 3, 254]) expect(thrown(() => byId(id)).code).toBe('ERR_VARVE_INVALID_EVENT');
    expect(thrown(() => byId(3)).message).toContain('number 3');
  });

  test('keeps the numbers of own codecs, and names the one that is missing beside the one that is there', () => {
    const own = (name: string): EventCodec => ({ name, encode: () => new Uint8Array(), decode: () => name });
    const { id, customNames, byId, idOf, nameOf } = makeCodecRegistry(own('c'), ['a', 'b']);
    expect({ id, customNames }).toEqual({ id: 5, customNames: ['a', 'b', 'c'] });
    expect(makeCodecRegistry(own('b'), ['a', 'b'])).toMatchObject({ id: 4, customNames: ['a', 'b'] });
    expect(nameOf(3)).toBe('a');
    for (const missing of [thrown(() => byId(3)), thrown(() => idOf('a'))]) {
      expect(missing.code).toBe('ERR_VARVE_INVALID_EVENT');
      expect(missing.message).toContain(`'a'`);
      expect(missing.message).toContain(`'c'`);
    }
    const full = Array.from({ length: 253 }, (_, i) => `n${i}`);
    expect(makeCodecRegistry(own('n252'), full).id).toBe(255);
    expect(thrown(() => makeCodecRegistry(own('one more'), full))).toMatchObject({ option: 'codec.name' });
  });

  const encode = () => new Uint8Array();
  const decode = () => undefined;
  test.each([
    ['codec', 'yaml'],
    ['codec', null],
    ['codec', {}],
    ['codec', { name: 'a', encode }],
    ['codec', { name: 'a', decode }],
    ['codec.name', { encode, decode }],
    ['codec.name', { name: '', encode, decode }],
    ['codec.name', { name: 'x'.repeat(65), encode, decode }],
    ['codec.name', { name: 'json', encode, decode }],
    ['codec.name', { name: 'raw', encode, decode }],
  ])('refuses, by the name %s, what is no codec (%#)', (option, choice) => {
    const error = thrown(() => makeCodecRegistry(choice as EventCodec));
    expect(error).toMatchObject({ code: 'ERR_VARVE_INVALID_OPTION', option });
  });
});
