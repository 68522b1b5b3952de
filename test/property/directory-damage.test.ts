/**
 * Every small damage to every file of small directories, one at a time, held against what is known of them.
 *
 * Asserted of each:
 * - Opening rejects with a code that names damage; or the log opens, and all that is read is what was written, in order;
 *   reading to the end either reaches the last acknowledged record, or rejects. Never less in silence, never wrong data.
 * - The one exception, which the documentation names: zeros over both the cookie and the frames of the last segment. What
 *   is lost then is seen with `minDurableLsn`, and is so here.
 * - Where reading rejects, so does `verify`; where all could be read, appending, rotating and opening again work.
 * - Salvage never yields wrong data, and yields every record whose frame and header are whole.
 */
import { describe, expect, jest, test } from '@jest/globals';
import { VarveError } from '../../src/errors.js';
import { type OpenLogOptions, openLog, salvage } from '../../src/index.js';
import { DATA_OFFSET } from '../../src/segment/header.js';
import { runs } from '../runs.js';
import { type Damage, damagesOf } from '../support/damages.js';
import { type Files, KNOWN_LOGS, type KnownLog, knownOptions } from '../support/known-logs.js';
import { framesOf, NOWHERE } from '../unit/segment/logs.js';
import { MemoryDisk } from '../unit/segment/memory-disk.js';

jest.setTimeout(600_000); // only against hanging: VARVE_TEST_RUNS may ask for all bits

const CODES = new Set([
  'ERR_VARVE_CORRUPT',
  'ERR_VARVE_FOREIGN',
  'ERR_VARVE_UNSUPPORTED_VERSION',
  'ERR_VARVE_LEGACY_WAL',
]);
/** How much of it is done; 1 as a rule, all from 8 on (`npm run test:damage`). */
const EFFORT = runs(100) / 100;
/** So many of the eight bits of each byte are flipped. */
const BITS = Math.min(8, Math.max(1, Math.floor(EFFORT)));
/** In these logs every damage is tried, in the others as a rule one of this many, evenly spread. */
const ALWAYS = ['one active segment with an unsynced tail', 'two sealed segments and an active one'];
const ONE_OF = 4;
/** Of this many logs that can be opened one is appended to, too. */
const GOES_ON = 7;

type Outcome = 'whole' | 'refused' | 'refused when read' | 'shorter';

const damageCode = (error: unknown): string => {
  if (!(error instanceof VarveError) || !CODES.has(error.code)) throw error;
  return error.code;
};

/** Opens and reads all. Throws if what is read is wrong. */
async function outcomeOf(
  known: KnownLog,
  files: Files,
  options: Partial<OpenLogOptions>,
  goOn: boolean,
): Promise<Outcome> {
  const disk = new MemoryDisk(files, 99);
  const log = await openLog(knownOptions({ disk, ...options })).catch(damageCode);
  if (typeof log === 'string') return 'refused';
  try {
    const partition = await log.partition(1).catch(damageCode);
    if (typeof partition === 'string') return 'refused';
    const { oldestLsn } = partition;
    if (oldestLsn < known.oldest[0] || oldestLsn > known.oldest[1]) throw new Error(`it begins at LSN ${oldestLsn}`);
    let next = oldestLsn;
    try {
      for await (const { lsn, payload } of partition.read()) {
        const text = Buffer.from(payload).toString();
        if (lsn !== next || known.payloads.get(lsn) !== text) throw new Error(`wrong data at LSN ${lsn}: '${text}'`);
        next++;
      }
    } catch (error) {
      damageCode(error);
      const verified = await partition.verify().catch(damageCode);
      if (verified !== 'ERR_VARVE_CORRUPT') throw new Error('verify finds nothing', { cause: error });
      return 'refused when read';
    }
    if (next - 1 !== partition.durableLsn) throw new Error(`read up to ${next - 1}, not to ${partition.durableLsn}`);
    if (next - 1 < known.durable) return 'shorter';
    if (goOn) {
      await partition.append(Buffer.from('and on'));
      await partition.rotate();
      await partition.append(Buffer.from('and on'));
    }
  } finally {
    await log.close();
  }
  if (goOn) await reopened(known, disk, options);
  return 'whole';
}

async function reopened(known: KnownLog, disk: MemoryDisk, options: Partial<OpenLogOptions>): Promise<void> {
  const log = await openLog(knownOptions({ disk, ...options }));
  try {
    const records = await (await log.partition(1)).read().toArray();
    const texts = records.map(({ payload }) => Buffer.from(payload).toString());
    expect(texts.slice(-2)).toEqual(['and on', 'and on']);
    for (const [i, { lsn }] of records.slice(0, -2).entries()) expect(texts[i]).toBe(known.payloads.get(lsn));
  } finally {
    await log.close();
  }
}

const isSegment = (name: string): boolean => name.startsWith('part_') && name.endsWith('.wal');

/** Where each record's frame lies. */
interface Place {
  readonly lsn: number;
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

function placesOf(known: KnownLog): Place[] {
  const places: Place[] = [];
  for (const [name, bytes] of Object.entries(known.files)) {
    if (!isSegment(name)) continue;
    for (const { offset, length, kind, firstLsn } of framesOf(bytes)) {
      const count = kind === 2 ? new DataView(bytes.buffer, bytes.byteOffset).getUint32(offset + 24, true) : 0;
      for (let i = 0; i < count; i++) places.push({ lsn: firstLsn + i, name, from: offset, to: offset + length });
    }
  }
  return places;
}

/** LSNs of the records that stand in whole frames behind whole headers. */
function wholeRecords(places: readonly Place[], name: string, damage: Damage): number[] {
  const touched = (from: number, to: number) => damage.from < to && damage.to > from;
  return places
    .filter((place) => place.name !== name || !(touched(0, 128) || touched(place.from, place.to)))
    .map(({ lsn }) => lsn);
}

async function checkSalvage(known: KnownLog, files: Files, whole: readonly number[]): Promise<void> {
  let last = 0;
  const found = new Set<number>();
  for await (const item of salvage({ directory: NOWHERE, partition: 1, disk: new MemoryDisk(files) })) {
    if ('gap' in item) continue;
    const { lsn, payload } = item.record;
    const text = Buffer.from(payload).toString();
    if (lsn <= last || known.payloads.get(lsn) !== text) throw new Error(`salvaged '${text}' as LSN ${lsn}`);
    last = lsn;
    found.add(lsn);
  }
  for (const lsn of whole) if (!found.has(lsn)) throw new Error(`salvage has not found LSN ${lsn}, which is whole`);
}

/** Zeros over both what the last segment's header page says of its end and the end itself. */
function takesCookieAndFrames(known: KnownLog, name: string, { what, from, to }: Damage): boolean {
  const last = Object.keys(known.files).filter(isSegment).sort().at(-1);
  return what.startsWith('4096') && name === last && from < 1568 && to > DATA_OFFSET;
}

describe.each(Object.entries(KNOWN_LOGS))('%s', (title, make) => {
  test('that is not damaged is whole', async () => {
    const known = await make();
    expect(await outcomeOf(known, known.files, { minDurableLsn: { 1: known.durable } }, true)).toBe('whole');
    await checkSalvage(
      known,
      known.files,
      placesOf(known).map(({ lsn }) => lsn),
    );
  });

  test('every small damage to every file: exact data, or a refusal', async () => {
    const known = await make();
    const places = placesOf(known);
    const oneOf = Math.ceil((ALWAYS.includes(title) ? 1 : ONE_OF) / EFFORT);
    const seen: Partial<Record<Outcome, number>> = {};
    let met = 0;
    let tried = 0;
    for (const [name, whole] of Object.entries(known.files)) {
      // Bytes that nothing is ever read from are flipped here and there, unless there is time.
      const wanted = (at: number) => EFFORT >= 8 || whole[at] !== 0 || at % 61 === 0 || isUsed(whole, name, at);
      for (const damage of damagesOf(whole, BITS, wanted)) {
        if (met++ % oneOf !== 0) continue;
        tried++;
        const files = { ...known.files, [name]: damage.bytes };
        const options: Partial<OpenLogOptions> = { verify: tried % 2 === 0 ? 'full' : 'tail', recycle: 2 };
        try {
          const goOn = !isSegment(name) || tried % GOES_ON === 0;
          const outcome = await outcomeOf(known, files, options, goOn);
          seen[outcome] = (seen[outcome] ?? 0) + 1;
          if (outcome === 'shorter') {
            if (!takesCookieAndFrames(known, name, damage)) throw new Error('records are missing in silence');
            const told = await outcomeOf(known, files, { ...options, minDurableLsn: { 1: known.durable } }, false);
            if (told !== 'refused') throw new Error(`with minDurableLsn it is ${told}`);
          }
          if (isSegment(name)) await checkSalvage(known, files, wholeRecords(places, name, damage));
        } catch (cause) {
          throw new Error(`${damage.what} at ${damage.from}–${damage.to} of ${name}`, { cause });
        }
      }
    }
    process.stdout.write(`${title}: ${JSON.stringify({ tried, ...seen })}\n`);
    expect(seen.whole).toBeGreaterThan(0);
    expect(seen.refused).toBeGreaterThan(0);
  });
});

/** Bytes that mean something although they may be zero: header, cursors, cookies, frames and what comes behind them. */
function isUsed(bytes: Uint8Array, name: string, at: number): boolean {
  if (!isSegment(name)) return false;
  if (at < DATA_OFFSET) {
    return at < 128 || (at >= 512 && at < 520) || (at >= 1024 && at < 1056) || (at >= 1536 && at < 1568);
  }
  const last = framesOf(bytes).at(-1);
  return at < (last === undefined ? DATA_OFFSET : last.offset + last.length) + 48;
}
