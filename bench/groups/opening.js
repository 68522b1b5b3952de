import { fillSegments, KIB } from '../logs.js';
import { check, interleave } from '../measure.js';
import { DURABILITY, makeRow } from '../rows.js';
import { openLog } from '../varve.js';

/** Segments as small as these, so that ten thousand of them are soon made. */
const LAYOUTS = [
  { sealed: 1_000, segmentSize: 64 * KIB },
  { sealed: 10_000, segmentSize: 16 * KIB },
];

/** @type {import('../groups.js').Group} */
export const group = {
  title: 'Opening a partition of many sealed segments',
  method:
    'openLog and log.partition together, after a clean close, page cache warm, default options, segments of ' +
    `${LAYOUTS.map(({ segmentSize }) => `${segmentSize / KIB} KiB`).join(' and ')} full of records of 1 KiB: links and ` +
    'seals of all, and the frames of the last are verified.',
  async run({ quick, longRounds, workspace, progress }) {
    const rows = [];
    for (const { segmentSize, ...given } of LAYOUTS) {
      const sealed = quick ? given.sealed / 20 : given.sealed;
      const directory = workspace.makeDirectory();
      const records = await fillSegments(directory, sealed, segmentSize, progress);
      const values = await interleave({
        rounds: longRounds,
        progress,
        contestants: {
          async varve() {
            const started = performance.now();
            const log = await openLog({ directory, segmentSize });
            const partition = await log.partition(1);
            const took = performance.now() - started;
            check(partition.durableLsn === records, `the log ends with LSN ${partition.durableLsn}, not ${records}`);
            check(partition.segments().length === sealed + 1, `${partition.segments().length} segments`);
            await log.close();
            return took;
          },
        },
      });
      workspace.removeDirectory(directory);
      rows.push(
        makeRow({
          id: `opening-${given.sealed}`,
          what: `${sealed.toLocaleString('en-US')} sealed segments`,
          durability: DURABILITY.opened,
          unit: 'ms',
          values: values.varve,
        }),
      );
    }
    return rows;
  },
};
