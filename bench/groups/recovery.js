import fs from 'node:fs';
import { join } from 'node:path';
import { fill, GIB, KIB, MIB, SEGMENT_SIZE } from '../logs.js';
import { check, interleave } from '../measure.js';
import { DURABILITY, makeRow } from '../rows.js';
import { openLog } from '../varve.js';

const WINDOW = MIB;
const ROUNDS = 5;
/** Smaller logs than the others', to see what recovery costs by size. */
const SMALL = [64 * MIB, 256 * MIB];

/** @type {{ id: string, what: string, recordSize: number, frames: 'single' | 'shared' }[]} */
const SHAPES = [
  { id: '1k', what: '1 KiB records, a frame each', recordSize: KIB, frames: 'single' },
  { id: '1k-shared', what: '1 KiB records in 64 KiB frames', recordSize: KIB, frames: 'shared' },
  { id: '16k', what: '16 KiB records, a frame each', recordSize: 16 * KIB, frames: 'single' },
];

/** Reads the files of the segments with raw system calls: to compare, and to have them in the page cache. */
class RawReader {
  #window = new Uint8Array(WINDOW);

  /** @param {string} directory @param {readonly import('varve').SegmentDescription[]} segments */
  read(directory, segments) {
    let read = 0;
    for (const { name, bytes } of segments) {
      const fd = fs.openSync(join(directory, name), 'r');
      for (let at = 0; at < bytes; at += WINDOW) {
        read += fs.readSync(fd, this.#window, 0, Math.min(WINDOW, bytes - at), at);
      }
      fs.closeSync(fd);
    }
    return read;
  }
}

/** @type {import('../groups.js').Group} */
export const group = {
  title: 'Recovery of one partition',
  method:
    'openLog and log.partition together, after a clean close, page cache warm: bytes of the log (frames included) per ' +
    'second, GB = 10⁹. Sealed: segments of 64 MiB, all of which are verified (verify: full). Unsealed: one segment of ' +
    'more than 1 GiB, the only one, so that all of it is verified by default. Against reading the same bytes with ' +
    'fs.readSync in windows of 1 MiB, without looking at them. The files are read once before each timed part. Logs of ' +
    '1 GiB, and smaller ones to see how it grows.',
  async run({ quick, rounds: wanted, workspace, progress }) {
    const rounds = Math.min(wanted, ROUNDS);
    const full = quick ? 32 * MIB : GIB;
    const sealedSize = quick ? 4 * MIB : SEGMENT_SIZE;
    await workspace.needSpace(full * 3);
    const layouts = [
      { id: 'sealed', what: 'sealed segments', bytes: full, verify: /** @type {const} */ ('full') },
      { id: 'unsealed', what: 'unsealed segment', bytes: full, verify: /** @type {const} */ ('tail') },
      ...SMALL.map((size) => {
        const bytes = quick ? size / 16 : size;
        return {
          id: 'unsealed',
          what: `unsealed segment, ${bytes / MIB} MiB`,
          bytes,
          verify: /** @type {const} */ ('tail'),
        };
      }),
    ];
    const rows = [];
    for (const layout of layouts) {
      for (const shape of layout.bytes === full ? SHAPES : SHAPES.slice(0, 1)) {
        const { bytes, verify } = layout;
        // Frames take more than the records in them.
        const segmentSize = verify === 'full' ? sealedSize : bytes + bytes / 16;
        const what = `${layout.what}, ${shape.what}`;
        const tell = (/** @type {string} */ text) => progress(`${what}: ${text}`);
        const directory = workspace.makeDirectory();
        // No file of another GiB ahead of need.
        const options = { directory, segmentSize, verify, preallocate: { segments: verify === 'full' ? 1 : 0 } };
        const log = await openLog(options);
        const partition = await log.partition(1);
        const records = await fill(partition, { bytes, ...shape }, tell);
        const segments = partition.segments();
        check((verify === 'full') === segments.length > 1, `${segments.length} segments`);
        await log.close();

        const used = segments.reduce((sum, segment) => sum + segment.bytes, 0);
        const raw = new RawReader();
        const values = await interleave({
          rounds,
          warmUp: 1,
          progress: tell,
          contestants: {
            async varve() {
              raw.read(directory, segments);
              return recover(options, records, shape.frames === 'single' ? records : bytes / (64 * KIB), used);
            },
            async raw() {
              raw.read(directory, segments);
              const started = performance.now();
              const read = raw.read(directory, segments);
              const took = performance.now() - started;
              check(read === used, `${read} bytes were read, not ${used}`);
              return used / took / 1e6;
            },
          },
        });
        rows.push(
          makeRow({
            id: `recovery-${layout.id}-${shape.id}${bytes === full ? '' : `-${bytes / MIB}m`}`,
            what,
            durability: DURABILITY.opened,
            unit: 'GB/s',
            values: values.varve,
            peer: { what: 'fs.readSync', values: values.raw },
          }),
        );
        workspace.removeDirectory(directory);
      }
    }
    return rows;
  },
};

/**
 * GB/s.
 *
 * @param {import('varve').OpenLogOptions} options
 * @param {number} records
 * @param {number} frames verified at least
 * @param {number} bytes
 */
async function recover(options, records, frames, bytes) {
  const started = performance.now();
  const log = await openLog(options);
  let verified = 0;
  log.events.on('recovered', (report) => {
    verified = report.framesVerified;
  });
  const partition = await log.partition(1);
  const took = performance.now() - started;
  check(partition.durableLsn === records, `the log ends with LSN ${partition.durableLsn}, not ${records}`);
  check(verified >= frames, `${verified} frames were verified, not ${frames}`);
  await log.close();
  return bytes / took / 1e6;
}
