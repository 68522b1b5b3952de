/**
 * Appends to three partitions until it is killed, and tells its parent of each append before and after: the list of
 * what was acknowledged is kept outside of the process that dies. What is in the pipe survives it.
 *
 * Lines:  ready {io} · try {partition} {id} · ack {partition} {lsn} {id} · purged {partition} {oldest}
 *         rotated · reused {count}
 * Arguments: directory, first id, then the options of the log as JSON.
 */
import { writeSync } from 'node:fs';
import { openLog } from '../../dist/index.js';
import { killPayload } from './kill-payload.js';

const [directory = '', firstId, options = '{}'] = process.argv.slice(2);
let id = Number(firstId);
/** @param {string} line */
const tell = (line) => writeSync(1, `${line}\n`);

const log = await openLog({ directory, ...JSON.parse(options) });
log.events.on('rotated', () => tell('rotated'));
tell(`ready ${log.io}`);

/** @param {number} number */
async function user(number, seed) {
  const partition = await log.partition(number);
  for (let turn = seed; ; turn++) {
    const ack = turn % 3 === 0 ? 'written' : 'durable';
    if (turn % 7 === 0) {
      const ids = [id++, id++, id++];
      for (const one of ids) tell(`try ${number} ${one}`);
      const { firstLsn } = await partition.appendBatch(ids.map(killPayload), { ack });
      for (const [i, one] of ids.entries()) tell(`ack ${number} ${firstLsn + i} ${one}`);
    } else {
      const one = id++;
      tell(`try ${number} ${one}`);
      const { lsn } = await partition.append(killPayload(one), { ack });
      tell(`ack ${number} ${lsn} ${one}`);
    }
    if (turn % 9 === 0) await partition.rotate();
    if (turn % 8 === 0 && partition.durableLsn > 30) {
      tell(`purging ${number} ${partition.durableLsn - 25}`);
      const { oldestLsn } = await partition.purgeBefore(partition.durableLsn - 25);
      tell(`purged ${number} ${oldestLsn}`);
      tell(`reused ${log.stats().reused}`);
    }
  }
}
await Promise.all([user(1, 1), user(1, 5), user(1, 11), user(2, 2), user(2, 9), user(3, 4)]);
