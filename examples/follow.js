/** Following a partition: what is there already, then what comes, as RxJS observables. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { filter, firstValueFrom, lastValueFrom, map, scan, takeWhile, tap } from 'rxjs';
import { openLog } from 'varve';

const directory = await mkdtemp(join(tmpdir(), 'varve-follow-'));
const log = await openLog({ directory, segmentSize: 1024 * 1024 });
const partition = await log.partition(1);

/** @param {number} celsius */
const append = (celsius) => partition.append(Buffer.from(String(celsius)));

// What was there before anybody followed.
for (const celsius of [4, 7, 9]) await append(celsius);

// The current mark at once, then each advance; marks that follow quickly on each other are joined.
const marks = partition.durableLsn$.subscribe((lsn) => console.log(`durable up to ${lsn}`));

const stream = partition.follow({ from: 1 });
const statuses = stream.status$.subscribe((status) => console.log(status));

const warmest = stream.toObservable().pipe(
  map(({ lsn, payload }) => ({ lsn, celsius: Number(Buffer.from(payload)) })),
  scan((max, { lsn, celsius }) => ({ lsn, celsius: Math.max(max.celsius, celsius) }), { lsn: 0, celsius: -273 }),
  tap(({ lsn, celsius }) => console.log(`after record ${lsn} the maximum is ${celsius} °C`)),
  takeWhile(({ lsn }) => lsn < 6, true), // a follower has no end of its own: unsubscribing ends it
);
const result = lastValueFrom(warmest);

// From here on it is level with the log, and hears of each record as it becomes durable.
await firstValueFrom(stream.status$.pipe(filter((status) => status === 'caughtUp')));
for (const celsius of [12, 11, 8]) await append(celsius);

const { celsius } = await result;
marks.unsubscribe();
statuses.unsubscribe();
await log.close();
await rm(directory, { recursive: true });
console.log(`maximum of 6 readings: ${celsius} °C`);
