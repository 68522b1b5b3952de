/**
 * The writer, a process of its own: appends the flights that are not in the log yet, and tells its parent of every
 * acknowledgement. The parent may kill it at any moment; it ends in good order when the parent asks for it.
 */
import { once } from 'node:events';
import { auditTime, combineLatest } from 'rxjs';
import { decode, encode, FLIGHT_PARTITIONS, loadFlights, partitionOf } from './flights.js';
import { openFlightLog } from './log.js';

/** Appends of one partition that are on their way at the same time: they share one fdatasync. */
const IN_FLIGHT = 32;
const PROGRESS_MS = 40;

const { directory, io, count } = JSON.parse(process.argv[2] ?? 'null');

/** @param {object} message */
function tell(message) {
  if (process.connected) process.send?.(message);
}

// Ctrl-C reaches parent and child: the parent decides what comes of it.
process.on('SIGINT', () => {});
// A parent that lets go has died: nobody is left to be told.
const orphaned = () => process.exit(1);
process.once('disconnect', orphaned);

try {
  const log = await openFlightLog({ directory, io });
  const partitions = await Promise.all(FLIGHT_PARTITIONS.map((number) => log.partition(number)));

  combineLatest(partitions.map(({ durableLsn$ }) => durableLsn$))
    .pipe(auditTime(PROGRESS_MS))
    .subscribe({
      next: (durableLsns) => tell({ type: 'durable', durableLsns }),
      error: () => {}, // a partition has failed: its appends reject, and that is told
    });

  const flights = loadFlights(count);
  const counts = await Promise.all(
    partitions.map((partition) => {
      const own = flights.filter((flight) => partitionOf(flight) === partition.number);
      return appendMissing(partition, own);
    }),
  );
  const appended = counts.reduce((sum, count) => sum + count, 0);
  const { rotations } = log.stats();
  tell({ type: 'finished', counted: { found: flights.length - appended, appended, rotations } });
  await once(process, 'message');
  await log.close();
  process.off('disconnect', orphaned);
  process.disconnect();
} catch (error) {
  process.send?.({ type: 'failed', reason: String(error) }, () => process.exit(1));
}

/**
 * Goes on behind the last flight that the partition holds. The log alone can say which that is: an earlier writer may
 * have been killed when its last records were durable and nobody had been told yet.
 *
 * @param {import('varve').Partition} partition
 * @param {import('./flights.js').Flight[]} flights  In order.
 * @returns How many were appended.
 */
async function appendMissing(partition, flights) {
  const [last] = await partition.read({ direction: 'backward', limit: 1 }).toArray();
  const lastNumber = last === undefined ? 0 : decode(last.payload).number;
  const missing = flights.filter(({ number }) => number > lastNumber);
  for (let at = 0; at < missing.length; at += IN_FLIGHT) {
    await Promise.all(
      missing.slice(at, at + IN_FLIGHT).map(async (flight) => {
        const { lsn } = await partition.append(encode(flight));
        tell({ type: 'acknowledged', partition: partition.number, lsn, flight: flight.number });
      }),
    );
  }
  return missing.length;
}
