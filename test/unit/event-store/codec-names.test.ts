import { expect, test } from '@jest/globals';
import type { EventCodec } from 'varve';
import { SimulatedDisk } from '../../../src/testing/index.js';
import { openStore } from '../../support/small-stores.js';

const own = (name: string, shift: number): EventCodec => ({
  name,
  encode: (value) => Uint8Array.of(Number(value) + shift),
  decode: (bytes) => (bytes[0] as number) - shift,
});

test('an event of another own codec is refused by both names, and read again with its own', async () => {
  const disk = new SimulatedDisk();
  const [a, b] = [own('a', 1), own('b', 2)];
  const first = await openStore(disk, { codec: a });
  await first.appendToStream('s', { type: 'T', data: 5 });
  await first.close();
  const second = await openStore(disk, { codec: b });
  await second.appendToStream('t', { type: 'T', data: 6 });
  const reading = second.readStream('s').toArray();
  await expect(reading).rejects.toMatchObject({ code: 'ERR_VARVE_INVALID_EVENT' });
  await expect(reading).rejects.toThrow(/'a'.*'b'/);
  expect((await second.readStream('t').toArray())[0]?.data).toBe(6);
  await second.close();
  const third = await openStore(disk);
  await expect(third.readStream('t').toArray()).rejects.toThrow(/'b'.*'json'/);
  await third.close();
  const fourth = await openStore(disk, { codec: a });
  expect((await fourth.readStream('s').toArray())[0]?.data).toBe(5);
  await fourth.close();
});
