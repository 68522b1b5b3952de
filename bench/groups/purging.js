import { fillSegments, KIB } from '../logs.js';
import { check } from '../measure.js';
import { makeRow } from '../rows.js';
import { openLog } from '../varve.js';

const SEGMENT = 64 * KIB;
const LAYOUTS = [100, 1_000];
const ROUNDS = 5;

/** @type {import('../groups.js').Group} */
export const group = {
  title: 'Purging',
  method:
    `partition.purgeBefore() of all sealed segments of a partition, ${SEGMENT / KIB} KiB each, default options: until the ` +
    'promise resolves. A few files are kept to be used again, the others are removed.',
  async run({ quick, rounds: wanted, workspace, progress }) {
    const rounds = Math.min(wanted, ROUNDS);
    const rows = [];
    for (const given of LAYOUTS) {
      const sealed = quick ? given / 10 : given;
      const values = [];
      for (let round = -1; round < rounds; round++) {
        const tell = (/** @type {string} */ text) => progress(`${sealed} segments, ${text}`);
        const directory = workspace.makeDirectory();
        await fillSegments(directory, sealed, SEGMENT, tell);
        await workspace.settle();
        const log = await openLog({ directory, segmentSize: SEGMENT });
        const partition = await log.partition(1);
        const started = performance.now();
        const { segments } = await partition.purgeBefore(partition.durableLsn + 1);
        const took = performance.now() - started;
        check(segments === sealed, `${segments} segments were purged, not ${sealed}`);
        await log.close();
        workspace.removeDirectory(directory);
        if (round >= 0) values.push(took);
      }
      rows.push(
        makeRow({
          id: `purging-${given}`,
          what: `${sealed.toLocaleString('en-US')} segments`,
          durability: 'durable: the directory was synced',
          unit: 'ms',
          values,
        }),
      );
    }
    return rows;
  },
};
