/** What the JSON codec promises, over values that mix every kind with names and strings chosen to trip it. */
import assert from 'node:assert/strict';
import { test } from '@jest/globals';
import fc from 'fast-check';
import { VarveError } from 'varve';
import { jsonCodec, jsonValue } from '../../src/adapter/event-store/json-codec.js';
import { runs } from '../runs.js';
import { assertSameValue } from '../support/same-value.js';

// Any code units at all: half surrogates too.
const anyText = fc.array(fc.integer({ max: 0xffff, min: 0 })).map((units) => String.fromCharCode(...units));
const text = fc.oneof(fc.string(), anyText, fc.constantFrom('', '\0', '\ud800', '~', '$date', '\u2028'));
const key = fc.oneof(
  text,
  fc.constantFrom('__proto__', 'constructor', 'prototype', 'toJSON', 'toString', 'then', 'length', '0', '-1'),
  fc.constantFrom(
    '$',
    '$$',
    '$date',
    '$$date',
    '$undefined',
    '$number',
    '$bigint',
    '$map',
    '$set',
    '$regexp',
    '$bytes',
  ),
);
const number = fc.oneof(fc.integer(), fc.double(), fc.constantFrom(-0, Number.NaN, 1 / 0, -1 / 0, 1e21, 5e-324));

const memory = fc.uint8Array({ maxLength: 40 }).map((bytes) => new Uint8Array(bytes));
const views = [Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array].concat([
  ...([Float32Array, Float64Array, BigInt64Array, BigUint64Array, DataView] as never[]),
]) as (new (
  buffer: ArrayBuffer,
  offset: number,
  length: number,
) => ArrayBufferView)[];
const view = fc
  .record({ View: fc.constantFrom(...views), bytes: memory, skip: fc.nat(2) })
  .map(({ View, bytes, skip }) => {
    const size = (View as { BYTES_PER_ELEMENT?: number }).BYTES_PER_ELEMENT ?? 1;
    const elements = Math.floor(bytes.length / size);
    const skipped = Math.min(skip, elements);
    return new View(bytes.buffer, skipped * size, elements - skipped);
  });
const regexp = fc.record({
  source: fc.constantFrom('a', '', '/', '[\\]/]', '\\n', '\n', '\ud800', '(?<n>x)'),
  flags: fc.subarray(['d', 'g', 'i', 'm', 's', 'u', 'y']).map((flags) => flags.join('')),
});
const leaf = fc.oneof(
  { weight: 3, arbitrary: text },
  { weight: 3, arbitrary: number },
  fc.bigInt(),
  fc.boolean(),
  fc.constantFrom(null, undefined),
  fc.date({ noInvalidDate: false }),
  regexp.map(({ source, flags }) => new RegExp(source, flags)),
  view,
  memory.map((bytes) => bytes.buffer),
);

const { value } = fc.letrec<{ value: unknown }>((tie) => {
  const child = tie('value');
  const fields = fc.array(fc.tuple(key, child), { maxLength: 6 });
  return {
    value: fc.oneof(
      { maxDepth: 5, withCrossShrink: true },
      { weight: 3, arbitrary: leaf },
      { weight: 3, arbitrary: fields.map((entries) => Object.fromEntries(entries)) },
      fields.map((entries) => Object.defineProperties(Object.create(null), propertiesOf(entries))),
      fc.array(child, { maxLength: 6 }),
      fc.array(fc.tuple(child, child), { maxLength: 4 }).map((entries) => new Map(entries)),
      fc.array(child, { maxLength: 4 }).map((elements) => new Set(elements)),
    ),
  };
});

function propertiesOf(entries: [string, unknown][]): PropertyDescriptorMap {
  return Object.fromEntries(
    entries.map(([name, given]) => [name, { value: given, enumerable: true, configurable: true, writable: true }]),
  );
}

test('every value that is kept comes back the same, of the same kind, in the same order', () => {
  fc.assert(
    fc.property(value, (given) => {
      const bytes = jsonCodec.encode(given);
      assertSameValue(jsonCodec.decode(bytes), given);
      const memory = Buffer.concat([Buffer.of(0xff), bytes, Buffer.of(0xff)]);
      assertSameValue(jsonValue(memory, 1, 1 + bytes.length), given);
    }),
    { numRuns: runs(2000) },
  );
});

test('what JSON keeps is written as JSON.stringify writes it', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (generated) => {
      const given = JSON.parse(JSON.stringify(generated)); // JSON has no -0
      const bytes = jsonCodec.encode(given);
      assert.equal(Buffer.from(bytes).toString(), JSON.stringify(given));
      assertSameValue(jsonCodec.decode(bytes), given);
    }),
    { numRuns: runs(500) },
  );
});

test('a value that is not kept is refused wherever it stands, and its place is named', () => {
  const step = fc.oneof(key, fc.nat(3));
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 6 }), value, (steps, beside) => {
      let given: unknown = Symbol('refused');
      for (const at of [...steps].reverse()) {
        given = typeof at === 'string' ? Object.fromEntries([[at, given]]) : [...Array(at).fill(beside), given];
      }
      assert.throws(
        () => jsonCodec.encode(given),
        (error: unknown) => {
          assert.ok(error instanceof VarveError);
          assert.equal(error.code, 'ERR_VARVE_INVALID_EVENT');
          // The path is JavaScript: following it leads to the symbol.
          const found: unknown = new Function('data', `return ${error.valuePath}`)(given);
          assert.equal(typeof found, 'symbol');
          return true;
        },
      );
    }),
    { numRuns: runs(300) },
  );
});

test('bytes of any kind are decoded or refused with ERR_VARVE_INVALID_EVENT', () => {
  const tags = fc.constantFrom(
    '$undefined',
    '$number',
    '$bigint',
    '$date',
    '$map',
    '$set',
    '$regexp',
    '$bytes',
    '$x',
    'a',
  );
  const body = fc.oneof(fc.jsonValue(), fc.array(fc.constantFrom('g', 'Uint8Array', 'DataView', 'AA==', '(', 'x')));
  const bytes = fc.oneof(
    fc.uint8Array(),
    fc.dictionary(tags, body, { maxKeys: 2 }).map((given) => Buffer.from(`~${JSON.stringify(given)}`)),
    fc.record({ value, at: fc.nat(), byte: fc.nat(255) }).map(({ value: given, at, byte }) => {
      const encoded = jsonCodec.encode(given);
      encoded[at % encoded.length] = byte;
      return encoded;
    }),
  );
  fc.assert(
    fc.property(bytes, (given) => {
      try {
        jsonCodec.decode(given);
      } catch (error) {
        assert.ok(error instanceof VarveError && error.code === 'ERR_VARVE_INVALID_EVENT', String(error));
      }
    }),
    { numRuns: runs(1000) },
  );
});
