import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { VarveError } from 'varve';
import {
  decodeHead,
  Envelope,
  type EventParts,
  encodeEnvelope,
  envelopeCreated,
  envelopeId,
  envelopePosition,
  formatId,
  parseId,
  place,
} from '../../../src/adapter/event-store/envelope.js';
import { decodeTransaction, encodeTransaction } from '../../../src/adapter/event-store/transaction.js';

const ID = '01234567-89ab-cdef-0123-456789abcdef';
const PARTS = {
  id: parseId(ID) as Uint8Array,
  type: 'Täg',
  schemaVersion: 258,
  codec: 1,
  tags: ['x', 'yy'],
  correlationId: 'co',
  causationId: 'cau',
  metadata: Uint8Array.of(7),
  data: Uint8Array.of(1, 2, 3),
} satisfies EventParts;

/** The code of what `act` throws; undefined if it throws nothing, and what is no error of ours is thrown on. */
function codeOf(act: () => unknown): string | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    const { code } = error as VarveError;
    if (code === undefined) throw error;
    return code;
  }
}

describe('the bytes of an event', () => {
  test('are these', () => {
    const bytes = encodeEnvelope('s-1', 3, PARTS);
    place(bytes, 2 ** 40 + 5, 2 ** 33 + 1, 1_700_000_000_123);
    expect(bytes.toString('hex')).toBe(
      [
        '01010300', // format, kind, partitions
        '0500000000010000', // position
        '0100000002000000', // revision
        '7b68e5cf8b010000', // created
        '0123456789abcdef0123456789abcdef',
        '02010107', // schema version, codec, flags
        '0300040002000000', // stream, type, tags
        '0100000003000000', // metadata, data
        '732d31',
        '54c3a467',
        '010078',
        '02007979',
        '0200636f',
        '0300636175',
        '07',
        '010203',
      ].join(''),
    );
  });

  const text = fc.string({ unit: 'grapheme', maxLength: 20 });
  const parts: fc.Arbitrary<EventParts> = fc.record({
    id: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    type: text,
    schemaVersion: fc.integer({ min: 1, max: 65_535 }),
    codec: fc.integer({ min: 1, max: 255 }),
    tags: fc.array(text, { maxLength: 5 }),
    correlationId: fc.option(text, { nil: undefined }),
    causationId: fc.option(text, { nil: undefined }),
    metadata: fc.option(fc.uint8Array(), { nil: undefined }),
    data: fc.oneof(fc.uint8Array(), text),
  });
  const u53 = fc.maxSafeNat();

  test('come back as they went', () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 1, max: 1024 }), parts, u53, u53, u53, (...given) => {
        const [stream, partitions, event, position, revision, created] = given;
        const bytes = encodeEnvelope(stream, partitions, event);
        place(bytes, position, revision, created);
        const padded = Buffer.concat([Buffer.of(9), bytes, Buffer.of(9)]).subarray(1, bytes.length + 1);
        const decoded = new Envelope(padded);
        const bytesOf = (value: Uint8Array | string | undefined) =>
          value === undefined ? undefined : Buffer.from(value as Uint8Array).toString('hex');
        const where = { kind: 1, stream, partitions, position, revision };
        const expected = { ...event, ...where, created, id: formatId(event.id as Uint8Array) };
        for (const [name, value] of Object.entries(expected)) {
          const found = decoded[name as keyof typeof expected];
          if (name === 'data' || name === 'metadata')
            expect(bytesOf(found as Uint8Array)).toBe(bytesOf(value as string));
          else expect({ [name]: found }).toEqual({ [name]: value });
        }
        const { type, tags } = event;
        expect(decodeHead(padded)).toEqual({ ...where, type, tags });
        expect([envelopePosition(padded), envelopeCreated(padded)]).toEqual([position, created]);
        expect(Buffer.from(envelopeId(padded), 'latin1')).toEqual(Buffer.from(event.id as Uint8Array));
      }),
    );
  });

  test('that are cut short, too long or something else are ERR_VARVE_CORRUPT', () => {
    const bytes = encodeEnvelope('s-1', 3, PARTS);
    for (let length = 0; length < bytes.length; length++) {
      expect(codeOf(() => new Envelope(bytes.subarray(0, length)))).toBe('ERR_VARVE_CORRUPT');
    }
    expect(codeOf(() => new Envelope(Buffer.concat([bytes, Buffer.of(0)])))).toBe('ERR_VARVE_CORRUPT');
    for (const [at, value] of [
      [0, 2],
      [1, 2],
      [1, 3],
    ] as const) {
      const other = Buffer.from(bytes);
      other[at] = value;
      expect(codeOf(() => new Envelope(other))).toBe('ERR_VARVE_CORRUPT');
    }
    const future = Buffer.from(bytes);
    future[1] = 3;
    expect(codeOf(() => decodeHead(future))).toBe('ERR_VARVE_CORRUPT');
  });

  test('of any kind lead to events, or to ERR_VARVE_CORRUPT', () => {
    const any = fc.uint8Array({ maxLength: 120 });
    const likely = any.map((bytes) => Buffer.concat([Buffer.of(1, 1, 1, 0), bytes]));
    fc.assert(
      fc.property(fc.oneof(any, likely), (bytes) => {
        for (const decode of [(given: Uint8Array) => new Envelope(given), decodeHead]) {
          expect([undefined, 'ERR_VARVE_CORRUPT']).toContain(codeOf(() => decode(bytes)));
        }
      }),
    );
  });

  test('ids', () => {
    expect(formatId(parseId(ID.toUpperCase()) as Uint8Array)).toBe(ID);
    for (const text of ['', ID.slice(1), `${ID}0`, ID.replaceAll('-', ''), ID.replace('0', 'g')]) {
      expect(parseId(text)).toBeUndefined();
    }
  });
});

describe('the bytes of a transaction', () => {
  const parts = [
    { partition: 2, firstLsn: 258, payloads: [Uint8Array.of(1, 2), Uint8Array.of()] },
    { partition: 70_000, firstLsn: 2 ** 40, payloads: [Uint8Array.of(3)] },
  ];

  test('are these', () => {
    expect(encodeTransaction(3, 2 ** 33 + 7, parts).toString('hex')).toBe(
      [
        '01020300', // format, kind, partitions
        '0700000002000000', // position
        '0200',
        '02000000020100000000000002000000',
        '020000000102',
        '00000000',
        '70110100000000000001000001000000',
        '0100000003',
      ].join(''),
    );
  });

  test('come back as they went', () => {
    const part = fc.record({
      partition: fc.integer({ min: 1, max: 1024 }),
      firstLsn: fc.maxSafeNat(),
      payloads: fc.array(fc.uint8Array()),
    });
    fc.assert(
      fc.property(fc.array(part), fc.maxSafeNat(), (given, position) => {
        const bytes = encodeTransaction(1024, position, given);
        const plain = decodeTransaction(bytes).map(({ payloads, ...rest }) => ({
          ...rest,
          payloads: payloads.map((payload) => new Uint8Array(payload)),
        }));
        expect(plain).toEqual(given);
        expect(decodeHead(bytes)).toMatchObject({ kind: 2, partitions: 1024, position });
        expect(envelopeCreated(bytes)).toBe(0);
      }),
    );
  });

  test('that are cut short or too long are ERR_VARVE_CORRUPT', () => {
    const bytes = encodeTransaction(3, 9, parts);
    for (let length = 0; length < bytes.length; length++) {
      expect(codeOf(() => decodeTransaction(bytes.subarray(0, length)))).toBe('ERR_VARVE_CORRUPT');
    }
    expect(codeOf(() => decodeTransaction(Buffer.concat([bytes, Buffer.of(0)])))).toBe('ERR_VARVE_CORRUPT');
  });
});
