import { openLog } from 'varve';
import { KIB, makePayload } from '../logs.js';
import { check, interleave } from '../measure.js';
import { DURABILITY, makeRow } from '../rows.js';

const SEGMENT = 64 * KIB;

/** @type {import('../groups.js').Group} */
export const opening = {
  name: 'opening',
  title: 'Opening a partition of many sealed segments',
  method:
    `openLog and log.partition together, after a clean close, page cache warm, default options, segments of ${SEGMENT / KIB} KiB ` +
    'full of records of 1 KiB: links and seals of all, and the frames of the last are verified.',
  async run({ quick, rounds, workspace, progress }) {
    const sealed = quick ? 50 : 1_000;
    const directory = workspace.makeDirectory();
    const payload = makePayload(KIB);
    const log = await openLog({ directory, segmentSize: SEGMENT });
    const partition = await log.partition(1);
    let index = 0;
    while (index <= sealed) {
      index = (await partition.append(payload, { ack: 'written' })).position.segmentIndex;
      progress(`filling, segment ${index} of ${sealed}`);
    }
    await log.close();
    const records = partition.durableLsn;

    const values = await interleave({
      rounds,
      progress,
      contestants: {
        async varve() {
          const started = performance.now();
          const reopened = await openLog({ directory, segmentSize: SEGMENT });
          const again = await reopened.partition(1);
          const took = performance.now() - started;
          check(again.durableLsn === records, `the log ends with LSN ${again.durableLsn}, not ${records}`);
          check(again.segments().length === sealed + 1, `${again.segments().length} segments`);
          await reopened.close();
          return took;
        },
      },
    });
    return [
      makeRow({
        id: 'opening-1000',
        what: `${sealed.toLocaleString('en-US')} sealed segments`,
        durability: DURABILITY.opened,
        unit: 'ms',
        values: values.varve,
        target: { of: 'value', is: '<', than: 150 },
      }),
    ];
  },
};
