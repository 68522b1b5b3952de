/**
 * Decoders against bytes that nobody has written in earnest, and what they accept held against its ranges; see
 * fuzz.test.ts.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { pidFileLock, readOwner } from '../../src/disk/pid-lock.js';
import { VarveError } from '../../src/errors.js';
import { MAX_SEGMENT_SIZE, MIN_SEGMENT_SIZE } from '../../src/options.js';
import {
  checksumHolds,
  decodeOpenFrame,
  decodeSealFrame,
  MIN_FRAME_SIZE,
  plausibleLength,
} from '../../src/segment/frame.js';
import { checksumSeed, decodeCookie, decodeHeaderPage, HEADER_PAGE_SIZE, viewOf } from '../../src/segment/header.js';
import { decodeManifest, encodeManifest } from '../../src/segment/manifest.js';
import { MAX_SEGMENT_INDEX } from '../../src/segment/names.js';
import { decodeRewind, encodeRewind } from '../../src/segment/rewind.js';
import { forge } from '../support/forgery.js';
import { fuzz, HOUR_MS } from '../support/fuzz.js';
import { KNOWN_LOGS } from '../support/known-logs.js';

describe('decoders', () => {
  const words = fc.array(
    fc.oneof(fc.constantFrom(0, 1, 2, 3, 8, 48, 72, 256, 4096, 0x7fff_ffff, 0xffff_fff8, 0xffff_ffff), fc.nat()),
    { maxLength: 300, size: 'max' },
  );
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 1200, size: 'max' }),
    words.map((list) => new Uint8Array(Uint32Array.from(list).buffer)),
  );

  test(
    'frames: a length that is called plausible lies within the bytes, and an index within its frame',
    async () => {
      const property = fc.property(bytes, fc.nat(300), fc.nat(), (bytes, start, base) => {
        const view = viewOf(bytes);
        for (let at = start; at + 8 <= bytes.length; at += 8) {
          const space = bytes.length - at;
          const length = plausibleLength(view, at, space);
          if (length === 0) continue;
          expect(length % 8 === 0 && length >= MIN_FRAME_SIZE && length <= space).toBe(true);
          checksumHolds(view, at, length, 0);
          if (length >= 72) decodeOpenFrame(view, at);
          const seal = length >= 64 ? decodeSealFrame(view, at, base) : undefined;
          expect((seal?.index.length ?? 0) * 8).toBeLessThan(length);
        }
      });
      await fuzz('frames', 500, 0.25, (numRuns, seed) => fc.assert(property, { numRuns, seed }));
    },
    24 * HOUR_MS,
  );

  test(
    'header pages: what is accepted is in range',
    async () => {
      const property = fc.property(fc.uint8Array({ maxLength: HEADER_PAGE_SIZE }), fc.boolean(), (bytes, magic) => {
        if (magic) bytes.set(Buffer.from('WLOG').subarray(0, bytes.length));
        const header = decodeHeaderPage(bytes);
        if (bytes.length >= 64) decodeCookie(bytes, checksumSeed(bytes.subarray(56, 64)));
        if (typeof header !== 'string') throw new Error('random bytes are a header');
      });
      await fuzz('headers', 500, 0.25, (numRuns, seed) => fc.assert(property, { numRuns, seed }));
    },
    24 * HOUR_MS,
  );

  test(
    'manifests and rewinds come back as they were, and nothing else does',
    async () => {
      const u64 = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
      const index = fc.integer({ min: 1, max: MAX_SEGMENT_INDEX });
      const rewind = fc.record({
        segment: u64,
        offset: fc.integer({ min: 521, max: 268_000_000 }).map((n) => n * 8),
        lastLsn: u64,
        replacement: fc.uint8Array({ maxLength: 200 }),
      });
      const marks = fc.dictionary(fc.nat().map(String), fc.record({ oldestLsn: u64, firstSegment: index }), {
        maxKeys: 4,
      });
      const manifest = fc.record({
        format: fc.constant(1),
        storeId: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((id) => Buffer.from(id).toString('hex')),
        createdAt: fc.nat(),
        complete: fc.boolean(),
        options: fc.constant({}),
        partitions: marks.map((partitions) => ({ ...partitions })),
      });
      const at = fc.nat(2000);
      const bit = fc.nat(7);
      const property = fc.property(rewind, manifest, at, bit, (rewind, manifest, at, bit) => {
        const both = [encodeRewind(rewind), encodeManifest(manifest)] as const;
        expect(decodeRewind(both[0])).toEqual(rewind);
        expect(decodeManifest(both[1])).toEqual(manifest);
        for (const bytes of both) bytes[at % bytes.length] = (bytes[at % bytes.length] as number) ^ (1 << bit);
        expect(decodeRewind(both[0])).toBeUndefined();
        expect(decodeManifest(both[1])).toBeUndefined();
      });
      await fuzz('manifests and rewinds', 300, 0.25, (numRuns, seed) => fc.assert(property, { numRuns, seed }));
    },
    24 * HOUR_MS,
  );

  test(
    'lock files: whatever is in one, the lock is taken or refused',
    async () => {
      const directory = mkdtempSync(path.join(tmpdir(), 'varve-fuzz-'));
      const lock = path.join(directory, 'LOCK');
      const content = fc.oneof(
        fc.uint8Array({ maxLength: 64 }),
        fc.constantFrom('', '\n', '0\n', '-1\n', '1\n', `${process.pid}\n`, '99999999999999999999\n', '2147483648\n'),
        fc.bigInt({ min: 0n, max: 2n ** 80n }).map((n) => `${n}\n`),
        fc.string({ unit: fc.constantFrom('0', '1', '9', '\n', ' ', 'e', '.') }),
      );
      const property = fc.asyncProperty(content, async (content) => {
        writeFileSync(lock, content);
        const pid = readOwner(lock);
        if (pid !== undefined) expect(Number.isSafeInteger(pid) && pid > 0).toBe(true);
        const held = await pidFileLock(lock).catch((error: unknown) => {
          if (!(error instanceof VarveError) || error.code !== 'ERR_VARVE_LOCKED') throw error;
        });
        await held?.release();
        rmSync(lock, { force: true });
      });
      try {
        await fuzz('lock files', 200, 0.25, (numRuns, seed) => fc.assert(property, { numRuns, seed }));
      } finally {
        rmSync(directory, { recursive: true });
      }
    },
    24 * HOUR_MS,
  );
});

test('a header that states an impossible segment size is refused, although its checksum holds', async () => {
  const { files } = await (Object.values(KNOWN_LOGS)[0] as (typeof KNOWN_LOGS)[string])();
  for (const to of [0n, 1n, BigInt(MIN_SEGMENT_SIZE - 1), BigInt(MAX_SEGMENT_SIZE + 1), 2n ** 53n, 2n ** 64n - 1n]) {
    const forged = forge(files, { part: 'header', file: 0, nth: 0, field: 8, value: { to }, mend: true });
    expect(decodeHeaderPage(forged['part_1_0000000001.wal'] as Uint8Array)).toBe('fields');
  }
});
