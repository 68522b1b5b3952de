import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { readText } from '../../../src/adapter/event-store/short-texts.js';

/** Few letters and lengths, so that texts come again, and others with the same hash. */
const texts = fc.oneof(
  fc.string({ unit: fc.constantFrom('a', 'b', '\0', '~'), maxLength: 6 }),
  fc.string({ unit: 'grapheme', maxLength: 60 }),
  fc.constantFrom('\ufffd', 'é', 'aé', 'x'.repeat(48), 'x'.repeat(49)),
);

test('texts are read as they are, however often and after whatever others', () => {
  fc.assert(
    fc.property(fc.array(texts, { minLength: 1, maxLength: 200 }), fc.nat(5), (list, gap) => {
      for (const text of [...list, ...list]) {
        const bytes = Buffer.from(text.toWellFormed());
        const memory = Buffer.concat([Buffer.alloc(gap, 0x61), bytes, Buffer.of(0x62)]);
        expect(readText(memory, gap, gap + bytes.length)).toBe(bytes.toString());
      }
    }),
  );
});

test('bytes that are no UTF-8 are read as they always are, and not taken for another text', () => {
  const read = (...bytes: number[]) => readText(Buffer.from(bytes), 0, bytes.length);
  expect(read(0xff)).toBe('\ufffd');
  expect(read(0xfd)).toBe('\ufffd');
  expect(read(0x61, 0xff)).toBe('a\ufffd');
});
