import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { crc32c, crc32cPortable } from '../../../src/segment/checksum.js';
import { viewOf } from '../../../src/segment/header.js';
import { runs } from '../../runs.js';

const range = (n: number, of: (i: number) => number): Uint8Array => Uint8Array.from({ length: n }, (_, i) => of(i));

/** RFC 3720, appendix B.4; the last one is an iSCSI SCSI Read (10) command PDU. */
const VECTORS: [string, Uint8Array, number][] = [
  ['nothing', new Uint8Array(0), 0],
  ['"123456789"', new TextEncoder().encode('123456789'), 0xe306_9283],
  ['32 bytes of zeros', new Uint8Array(32), 0x8a91_36aa],
  ['32 bytes of ones', range(32, () => 0xff), 0x62a8_ab43],
  ['32 bytes ascending', range(32, (i) => i), 0x46dd_794e],
  ['32 bytes descending', range(32, (i) => 31 - i), 0x113f_db5c],
  [
    'an iSCSI read command',
    Uint8Array.from(
      Buffer.from(
        '01c00000000000000000000000000000140000000000040000000014000000182800000000000000' + '0200000000000000',
        'hex',
      ),
    ),
    0xd996_3a56,
  ],
];

/** Bit by bit from the definition: shares nothing with either implementation. */
function byDefinition(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0x82f6_3b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

describe.each([
  ['the one in use', crc32c],
  ['the portable one', crc32cPortable],
])('CRC-32C, %s', (_name, crc) => {
  test.each(VECTORS)('of %s', (_what, bytes, expected) => {
    expect(crc(viewOf(bytes), 0, bytes.length)).toBe(expected);
  });

  // 512 bytes is where the native implementation takes over.
  test.each([1, 15, 16, 17, 31, 33, 511, 512, 513, 1024, 4099])(
    'agrees with the definition over %i bytes',
    (length) => {
      const bytes = range(length + 3, (i) => Math.imul(i + 1, 2_654_435_761) >>> 24);
      expect(crc(viewOf(bytes), 3, length + 3)).toBe(byDefinition(bytes.subarray(3)));
    },
  );

  test('reads a view that begins inside its buffer', () => {
    const bytes = range(4096, (i) => i & 0xff);
    const inside = new Uint8Array(bytes.buffer, 777, 2000);
    expect(crc(viewOf(inside), 5, 1999)).toBe(byDefinition(bytes.subarray(782, 2776)));
  });
});

test('both implementations agree, and a seed continues a checksum over any split', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1500 }), fc.nat(), fc.nat(), (bytes, a, b) => {
      const view = viewOf(bytes);
      const first = a % (bytes.length + 1);
      const second = first + (b % (bytes.length + 1 - first));
      const whole = crc32cPortable(view, 0, bytes.length);
      expect(crc32c(view, 0, bytes.length)).toBe(whole);
      for (const one of [crc32c, crc32cPortable]) {
        for (const other of [crc32c, crc32cPortable]) {
          const two = other(view, first, second, one(view, 0, first));
          expect(one(view, second, bytes.length, two)).toBe(whole);
        }
      }
    }),
    { numRuns: runs(200) },
  );
});
