/**
 * Forged files: bytes that were changed on purpose, and whose checksums were made to hold again, so that what is checked
 * beyond the checksum is reached. No accident of a disk makes them; other versions, and files put together by hand, may.
 */
import fc from 'fast-check';
import { crc32c } from '../../src/segment/checksum.js';
import { checksumSeed, cookieOffset, DATA_OFFSET, viewOf } from '../../src/segment/header.js';
import { framesOf } from '../unit/segment/logs.js';
import type { Files } from './known-logs.js';

/** Field: offset and width in bytes. */
type Field = readonly [number, 1 | 2 | 4 | 8];

const HEADER: readonly Field[] = [
  [0, 4],
  [4, 2],
  [6, 2],
  [8, 4],
  [12, 4],
  [16, 4],
  [20, 4],
  [24, 8],
  [32, 8],
  [40, 8],
  [48, 8],
  [56, 8],
  [64, 8],
];
/** The last ones are of bodies: record lengths, links, counts and entries of an index. */
const FRAME: readonly Field[] = [
  [0, 4],
  [8, 8],
  [16, 8],
  [24, 4],
  [28, 1],
  [29, 1],
  [30, 2],
  [32, 8],
  [40, 4],
  [40, 8],
  [48, 4],
  [48, 8],
  [52, 4],
  [56, 4],
  [60, 4],
];
const COOKIE: readonly Field[] = [
  [0, 8],
  [8, 8],
  [16, 8],
  [24, 4],
];
const REWIND: readonly Field[] = [
  [0, 4],
  [8, 8],
  [16, 8],
  [24, 8],
  [32, 8],
];

/** What a field is set to: a value of its own, or its old one and a little. */
type Value = { readonly to: bigint } | { readonly add: number };

export type Forgery = {
  /** Which file, counted round and round. */
  readonly file: number;
  /** The checksum is made to hold again. */
  readonly mend: boolean;
} & (
  | {
      readonly part: 'header' | 'frame' | 'cookie' | 'rewind';
      readonly nth: number;
      readonly field: number;
      readonly value: Value;
    }
  | { readonly part: 'manifest'; readonly edit: ManifestEdit }
  | { readonly part: 'size'; readonly size: number }
  | { readonly part: 'bytes'; readonly at: number; readonly bytes: Uint8Array }
);

/** Replaces what stands at one place of the manifest, or the whole of it. */
interface ManifestEdit {
  readonly path: readonly string[];
  readonly json: string;
}

const value: fc.Arbitrary<Value> = fc.oneof(
  fc.record({
    to: fc.oneof(
      fc.constantFrom(0n, 1n, 7n, 8n, 40n, 48n, 72n, 128n, 4096n, 4168n, 5119n, 5120n, 5121n),
      fc.constantFrom(2n ** 31n - 1n, 2n ** 31n, 2n ** 32n - 8n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 40n),
      fc.constantFrom(2n ** 53n - 2n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n),
      fc.bigInt({ min: 0n, max: 20n }),
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    ),
  }),
  fc.record({ add: fc.constantFrom(-4096, -64, -8, -4, -1, 1, 4, 8, 64, 4096) }),
);

const manifestEdit: fc.Arbitrary<ManifestEdit> = fc.record({
  path: fc.constantFrom<string[][]>(
    [],
    ['format'],
    ['storeId'],
    ['createdAt'],
    ['complete'],
    ['options'],
    ['partitions'],
    ['partitions', '1'],
    ['partitions', '1', 'oldestLsn'],
    ['partitions', '1', 'firstSegment'],
    ['partitions', '__proto__'],
  ) as fc.Arbitrary<string[]>,
  json: fc.oneof(
    fc.constantFrom('0', '1', '2', '3', '99', '-1', '1.5', '1e300', '9007199254740993', 'null', 'true', '""', '"0"'),
    fc.constantFrom('[]', '{}', '{"1":{}}', '{"1":null}', '{"1":{"oldestLsn":-3,"firstSegment":2}}', 'not JSON', ''),
    fc.constantFrom(`"${'0'.repeat(32)}"`, `"${'zz'.repeat(16)}"`, `"${'0'.repeat(64)}"`, '"abc"'),
    fc.json({ maxDepth: 2 }),
  ),
});

const file = fc.nat(7);
const mend = fc.oneof({ weight: 9, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) });

export const forgery: fc.Arbitrary<Forgery> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      file,
      mend,
      part: fc.constantFrom(
        'header' as const,
        'frame' as const,
        'frame' as const,
        'cookie' as const,
        'rewind' as const,
      ),
      nth: fc.nat(9),
      field: fc.nat(14),
      value,
    }),
  },
  { weight: 1, arbitrary: fc.record({ file, mend, part: fc.constant('manifest' as const), edit: manifestEdit }) },
  { weight: 1, arbitrary: fc.record({ file, mend, part: fc.constant('size' as const), size: fc.nat(10_000) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      file,
      mend,
      part: fc.constant('bytes' as const),
      at: fc.nat(6000),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 64 }),
    }),
  },
);

function put(view: DataView, at: number, [offset, width]: Field, value: Value): void {
  const mask = 2n ** BigInt(8 * width) - 1n;
  let old = 0n;
  for (let i = width - 1; i >= 0; i--) old = (old << 8n) | BigInt(view.getUint8(at + offset + i));
  const next = ('to' in value ? value.to : old + BigInt(value.add)) & mask;
  for (let i = 0; i < width; i++) view.setUint8(at + offset + i, Number((next >> BigInt(8 * i)) & 0xffn));
}

const pick = <T>(list: readonly T[], nth: number): T => list[nth % list.length] as T;

/** Makes the checksums of the header and, since they begin with its salt, of all frames and cookies hold. */
function mendSegment(bytes: Uint8Array, frames: readonly { offset: number; length: number }[]): void {
  const view = viewOf(bytes);
  if (bytes.length < DATA_OFFSET) return;
  view.setUint32(124, crc32c(view, 0, 124), true);
  const seed = checksumSeed(bytes.subarray(56, 64));
  for (const slot of [cookieOffset(0), cookieOffset(1)]) {
    view.setUint32(slot + 28, crc32c(view, slot, slot + 28, seed), true);
  }
  for (const { offset, length: before } of frames) {
    const stated = view.getUint32(offset, true);
    const length = stated >= 48 && stated % 8 === 0 && offset + stated <= bytes.length ? stated : before;
    if (offset + length > bytes.length) continue;
    if (stated !== before) view.setUint32(offset + length - 4, stated, true);
    view.setUint32(offset + 4, crc32c(view, offset + 8, offset + length, seed), true);
  }
}

function forgeSegment(bytes: Uint8Array, forgery: Forgery): void {
  const frames = framesOf(bytes);
  const view = viewOf(bytes);
  if (!('field' in forgery) || bytes.length < DATA_OFFSET) return;
  const { part, nth, field, value } = forgery;
  if (part === 'cookie') put(view, cookieOffset(nth % 2), pick(COOKIE, field), value);
  else if (part === 'frame' && frames.length > 0) put(view, pick(frames, nth).offset, pick(FRAME, field), value);
  else put(view, 0, pick(HEADER, field), value);
  if (forgery.mend) mendSegment(bytes, frames);
}

function forgeRewind(bytes: Uint8Array, forgery: Forgery): void {
  if (!('field' in forgery) || bytes.length < 40) return;
  const view = viewOf(bytes);
  put(view, 0, pick(REWIND, forgery.field), forgery.value);
  if (forgery.mend) view.setUint32(4, crc32c(view, 8, bytes.length), true);
}

function forgeManifest(bytes: Uint8Array, { path, json }: ManifestEdit, mend: boolean): Uint8Array {
  const text = Buffer.from(bytes).toString();
  const forged = `${replaceAt(text.slice(0, text.lastIndexOf('crc32c')), path, json)}\n`;
  const sum = viewOf(Buffer.from(forged));
  const line = mend ? `crc32c ${crc32c(sum, 0, sum.byteLength).toString(16).padStart(8, '0')}\n` : 'crc32c 00000000\n';
  return Buffer.from(forged + line);
}

/** JSON, or what is to be, with `json` at that place; as it is where there is no such place any more. */
function replaceAt(text: string, path: readonly string[], json: string): string {
  const last = path.at(-1);
  if (last === undefined) return json;
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    return text; // an earlier forgery
  }
  let place: unknown = content;
  for (const key of path.slice(0, -1)) place = (place as Record<string, unknown> | null)?.[key];
  if (typeof place !== 'object' || place === null) return text;
  Object.defineProperty(place, last, { value: '@here@', enumerable: true, configurable: true, writable: true });
  return JSON.stringify(content).replace('"@here@"', () => json);
}

/** The files, with one forged; the others are shared. */
export function forge(files: Files, forgery: Forgery): Files {
  const names = Object.keys(files).sort();
  const wanted = (name: string) =>
    forgery.part === 'manifest'
      ? name === 'MANIFEST'
      : forgery.part === 'rewind'
        ? name.startsWith('rewind_')
        : forgery.part === 'size' || forgery.part === 'bytes' || /^(part|ready|recycle)_/.test(name);
  const candidates = names.filter(wanted);
  if (candidates.length === 0) return files;
  const name = pick(candidates, forgery.file);
  let bytes: Uint8Array = (files[name] as Uint8Array).slice();
  if (forgery.part === 'manifest') bytes = forgeManifest(bytes, forgery.edit, forgery.mend);
  else if (forgery.part === 'rewind') forgeRewind(bytes, forgery);
  else if (forgery.part === 'size') {
    const sized = new Uint8Array(forgery.size);
    sized.set(bytes.subarray(0, forgery.size));
    bytes = sized;
  } else if (forgery.part === 'bytes') {
    const frames = name.startsWith('part_') ? framesOf(bytes) : [];
    bytes.set(forgery.bytes.subarray(0, Math.max(0, bytes.length - forgery.at)), Math.min(forgery.at, bytes.length));
    if (forgery.mend && name.startsWith('part_')) mendSegment(bytes, frames);
  } else forgeSegment(bytes, forgery);
  return { ...files, [name]: bytes };
}
