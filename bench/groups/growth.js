import { setImmediate as nextTurn } from 'node:timers/promises';
import { KIB, makePayload } from '../logs.js';
import { check, quantile } from '../measure.js';
import { DURABILITY, makeRow } from '../rows.js';
import { openLog } from '../varve.js';

const SIZE = 128;
const SEGMENT = 256 * KIB;
/** As many as 100 GiB are in segments of the default size. */
const SEGMENTS = 1_600;
/** Compared: the first so many, and the last. */
const COMPARED = 160;
const TURN = 64;

/** @type {import('../groups.js').Group} */
export const group = {
  title: 'Appending while the log grows',
  method:
    `Appends of ${SIZE} B, each awaited until it is written, into ${SEGMENTS.toLocaleString('en-US')} segments of ` +
    `${SEGMENT / KIB} KiB: as many as a log of 100 GiB has with segments of the default size. The event loop gets its turn ` +
    `after every ${TURN} appends. Time of a whole segment, its rotation included, by the number of its appends: the last ` +
    `${COMPARED} segments against the first ${COMPARED}. Default io.`,
  async run({ quick, workspace, progress }) {
    const count = quick ? 40 : SEGMENTS;
    const compared = quick ? 5 : COMPARED;
    const log = await openLog({ directory: workspace.makeDirectory(), segmentSize: SEGMENT });
    const partition = await log.partition(1);
    const payload = makePayload(SIZE);
    const segments = [];
    let inSegment = 0;
    let index = 1;
    let began = performance.now();
    for (let appends = 1; segments.length < count; appends++) {
      const { position } = await partition.append(payload, { ack: 'written' });
      inSegment++;
      if (position.segmentIndex !== index) {
        const now = performance.now();
        segments.push(((now - began) * 1000) / inSegment);
        [index, began, inSegment] = [position.segmentIndex, now, 0];
        progress(`segment ${index} of ${count}`);
      }
      if (appends % TURN === 0) await nextTurn();
    }
    check(partition.segments().length === count + 1, `${partition.segments().length} segments`);
    await log.close();
    const first = segments.slice(compared, 2 * compared); // the very first ones compile the code
    const last = segments.slice(-compared);
    return [
      makeRow({
        id: 'growth',
        what: `the last ${compared} of ${count.toLocaleString('en-US')} segments, per append`,
        durability: DURABILITY.written,
        statistic: 'median of the segments',
        unit: 'µs',
        values: last,
        overall: quantile(last, 0.5),
        peer: { what: `segments ${compared + 1} to ${2 * compared}`, values: first },
      }),
    ];
  },
};
