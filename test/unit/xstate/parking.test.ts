/** Messages whose receivers throw again and again: tried with pauses, then parked, durably and visibly. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { createActorHost, durable, type ParkedMessage } from 'varve/xstate';
import { assign, createMachine, sendTo } from 'xstate';
import { Random } from '../../../src/testing/random.js';
import { unheardRejections } from '../../support/unheard.js';
import { closeAll, code, made, world } from './xstate-kit.js';

const unheard = unheardRejections();
afterEach(async () => {
  await closeAll();
  expect(unheard()).toEqual([]);
});

const turns = async (count = 40) => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

type World = Awaited<ReturnType<typeof world>>;

/** Lets pauses go by until nothing is under way. */
async function letPass({ clock, host }: Pick<World, 'clock' | 'host'>) {
  let over = false;
  const settled = host.settled().then(() => {
    over = true;
  });
  while (!over) {
    await turns(20);
    clock.increment(1000);
  }
  await settled;
}

const sender = createMachine({
  types: {} as { events: { type: 'TELL'; n: number; to: string } },
  on: {
    TELL: {
      actions: sendTo(
        ({ event }) => durable('receiver', event.to),
        ({ event }) => ({ type: 'HEARD', n: event.n }),
      ),
    },
  },
});

/** Throws for what is below 0, as often as `times` says; counts what it was asked. */
function receiving(times = Number.POSITIVE_INFINITY) {
  const asked: number[] = [];
  const machine = createMachine({
    types: {} as { context: { heard: number[] }; events: { type: 'HEARD'; n: number } },
    context: { heard: [] },
    on: {
      HEARD: {
        actions: assign(({ context, event }) => {
          if (event.n < 0) asked.push(event.n);
          if (event.n < 0 && asked.length <= times)
            throw Object.assign(new Error('no such account'), { code: 'E_ACCOUNT' });
          return { heard: [...context.heard, event.n] };
        }),
      },
    },
  });
  return { machine, asked };
}

async function parkedOne(snapshotEvery = 100) {
  const { machine: receiver, asked } = receiving();
  const told: ParkedMessage[] = [];
  const machines = { sender: { machine: sender, snapshotEvery, supervision: { attempts: 3 } }, receiver };
  const one = await made(world(machines, { onParked: (parked) => void told.push(parked) }));
  const actor = await one.host.actor('sender', 's');
  await actor.send({ type: 'TELL', n: -1, to: 'r' });
  await actor.send({ type: 'TELL', n: 2, to: 'r' });
  await actor.send({ type: 'TELL', n: 3, to: 'other' });
  return { ...one, machines, actor, asked, told };
}

const heardBy = async ({ host }: { host: World['host'] }, id: string) =>
  ((await host.find('receiver', id))?.getSnapshot() as { context: { heard: number[] } } | undefined)?.context.heard;

describe('a message whose receiver throws', () => {
  test('is handed over again, and holds up those behind it only', async () => {
    const { machine: receiver, asked } = receiving(2);
    const one = await made(world({ sender, receiver }));
    const actor = await one.host.actor('sender', 's');
    await actor.send({ type: 'TELL', n: -1, to: 'r' });
    await actor.send({ type: 'TELL', n: 2, to: 'r' });
    await actor.send({ type: 'TELL', n: 3, to: 'other' });
    await turns();
    expect(asked).toEqual([-1]);
    expect(await heardBy(one, 'other')).toEqual([3]);
    await letPass(one);
    expect(await heardBy(one, 'r')).toEqual([-1, 2]);
    expect(asked).toEqual([-1, -1, -1]);
    expect(one.host.stats().parked).toBe(0);
    expect(one.problems).toEqual([]);
  });

  test('is parked when that was too often, and the next one goes on', async () => {
    const one = await parkedOne();
    await letPass(one);
    expect(one.asked).toEqual([-1, -1, -1]);
    expect(await heardBy(one, 'r')).toEqual([2]);
    expect(await heardBy(one, 'other')).toEqual([3]);
    const expected = {
      machine: 'sender',
      id: 's',
      revision: 2,
      to: { machine: 'receiver', id: 'r' },
      event: { type: 'HEARD', n: -1 },
      attempts: 3,
      error: { message: 'no such account', code: 'E_ACCOUNT' },
    };
    expect(one.told).toMatchObject([expected]);
    expect(one.host.stats().parked).toBe(1);
    expect(await one.host.parkedMessages().toArray()).toMatchObject([expected]);
    expect(one.problems).toEqual([]);
  });

  test('without onParked, onError is told of it', async () => {
    const { machine: receiver } = receiving();
    const one = await made(world({ sender: { machine: sender, supervision: { attempts: 1 } }, receiver }));
    await (await one.host.actor('sender', 's')).send({ type: 'TELL', n: -1, to: 'r' });
    await letPass(one);
    expect(one.problems).toMatchObject([
      { stream: 'sender-s', what: 'a message to receiver-r, which is parked,', error: { message: 'no such account' } },
    ]);
  });

  test('is not parked because another host runs the receiver', async () => {
    const { machine: receiver } = receiving();
    const one = await made(world({ sender: { machine: sender, supervision: { attempts: 1 } }, receiver }));
    const other = await createActorHost({ store: one.store, machines: { receiver }, clock: one.clock });
    await other.actor('receiver', 'r');
    await (await one.host.actor('sender', 's')).send({ type: 'TELL', n: 1, to: 'r' });
    for (let i = 0; i < 5; i++) {
      await turns();
      one.clock.increment(10_000);
    }
    await other.shutdown();
    await letPass(one);
    expect(one.host.stats().parked).toBe(0);
    expect(await heardBy(one, 'r')).toEqual([1]);
  });

  test('is left to the next life where the host is shut down before', async () => {
    const one = await parkedOne();
    await turns();
    await one.close();
    expect(one.told).toEqual([]);
    const after = await made(world(one.machines, { disk: one.disk, clock: one.clock }));
    await letPass(after);
    expect(after.host.stats().parked).toBe(1);
    expect(await heardBy(after, 'r')).toEqual([2]);
  });
});

describe.each([1, 100])('what is parked, with a snapshot each %i entries,', (snapshotEvery) => {
  test('is parked over a crash, and known before its sender is awake', async () => {
    const one = await parkedOne(snapshotEvery);
    await letPass(one);
    const after = await made(one.crash());
    await letPass(after);
    expect(after.host.stats()).toMatchObject({ parked: 1, active: 0 });
    expect(one.asked).toEqual([-1, -1, -1]);
    const [parked] = await after.host.parkedMessages().toArray();
    expect(parked).toMatchObject({ event: { type: 'HEARD', n: -1 }, attempts: 3, error: { code: 'E_ACCOUNT' } });
    expect(parked?.error).toBeInstanceOf(Error);
    await after.host.actor('sender', 's');
    await letPass(after);
    expect(one.asked).toEqual([-1, -1, -1]);
  });

  test('is handed over again when it is replayed: once', async () => {
    const one = await parkedOne(snapshotEvery);
    await letPass(one);
    const { machine: receiver } = receiving(0);
    const after = await made(one.crash({ ...one.machines, receiver }));
    const [parked] = (await after.host.parkedMessages().toArray()) as [ParkedMessage];
    const both = await Promise.all([after.host.replayParked(parked), after.host.replayParked(parked)]);
    expect(both.sort()).toEqual([false, true]);
    await letPass(after);
    expect(await heardBy(after, 'r')).toEqual([2, -1]);
    expect(after.host.stats().parked).toBe(0);
    expect(await after.host.replayParked(parked)).toBe(false);
    const last = await made(after.crash());
    await letPass(last);
    expect(last.host.stats().parked).toBe(0);
    expect(await last.host.parkedMessages().toArray()).toEqual([]);
    expect(await heardBy(last, 'r')).toEqual([2, -1]);
  });

  test('is parked again where it fails again', async () => {
    const one = await parkedOne(snapshotEvery);
    await letPass(one);
    const [first] = one.told as [ParkedMessage];
    await one.host.replayParked(first);
    await letPass(one);
    expect(one.asked.length).toBe(6);
    expect(one.host.stats().parked).toBe(1);
    const [again] = (await one.host.parkedMessages().toArray()) as [ParkedMessage];
    expect(again.event).toEqual(first.event);
    expect(again.revision).toBeGreaterThan(first.revision);
  });

  test('is gone when it is discarded', async () => {
    const one = await parkedOne(snapshotEvery);
    await letPass(one);
    const [parked] = one.told as [ParkedMessage];
    expect(await one.host.discardParked(parked)).toBe(true);
    expect(await one.host.discardParked(parked)).toBe(false);
    expect(one.host.stats().parked).toBe(0);
    const after = await made(one.crash());
    await letPass(after);
    expect(await after.host.parkedMessages().toArray()).toEqual([]);
    expect(one.asked.length).toBe(3);
    expect(await heardBy(after, 'r')).toEqual([2]);
  });
});

test('what was replayed is not taken for carried out with what was sent before it', async () => {
  const one = await parkedOne();
  await letPass(one);
  const { receiver } = one.machines;
  const other = await createActorHost({ store: one.store, machines: { receiver }, clock: one.clock });
  await other.actor('receiver', 'elsewhere');
  await one.actor.send({ type: 'TELL', n: 5, to: 'elsewhere' });
  await one.host.replayParked(one.told[0] as ParkedMessage);
  await turns();
  await other.shutdown();
  one.clock.increment(100);
  const marks = async () =>
    (await one.store.readStream('sender-s').toArray()).filter(({ metadata }) => {
      const { kind, done } = metadata as { kind: string; done?: number };
      return kind === 'mark' && (done ?? 0) > 6;
    });
  while ((await marks()).length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(one.asked.length).toBeLessThan(6);
  const after = await made(one.crash());
  await letPass(after);
  expect(after.host.stats().parked).toBe(1);
});

test('what is parked while an earlier message is under way is not handed over again in the next life', async () => {
  const { machine: receiver, asked } = receiving();
  const machines = { sender: { machine: sender, supervision: { attempts: 2 } }, receiver };
  const one = await made(world(machines, { onParked: () => {} }));
  const other = await createActorHost({ store: one.store, machines: { receiver }, clock: one.clock });
  await other.actor('receiver', 'elsewhere');
  const actor = await one.host.actor('sender', 's');
  await actor.send({ type: 'TELL', n: 5, to: 'elsewhere' });
  await actor.send({ type: 'TELL', n: -1, to: 'r' });
  while (one.host.stats().parked === 0) {
    await turns();
    one.clock.increment(100);
  }
  expect(asked).toEqual([-1, -1]);
  const after = await made(one.crash());
  await letPass(after);
  expect(await heardBy(after, 'elsewhere')).toEqual([5]);
  expect(after.host.stats().parked).toBe(1);
  expect(asked).toEqual([-1, -1]);
  await other.shutdown();
});

test('wherever the power fails, a message is taken or parked, and never both', async () => {
  const random = new Random(5);
  const { machine: receiver } = receiving();
  const machines = { sender: { machine: sender, snapshotEvery: 2, supervision: { attempts: 2 } }, receiver };
  const one = await made(world(machines, { onParked: () => {} }));
  const disks: ReturnType<typeof one.disk.crashed>[] = [];
  const actor = await one.host.actor('sender', 's');
  for (let n = 1; n <= 4; n++) {
    await actor.send({ type: 'TELL', n: n % 2 === 0 ? n : -n, to: 'r' });
    for (let step = 0; step < 5; step++) {
      await turns(1 + random.below(4));
      one.clock.increment(50);
      disks.push(one.disk.crashed(random));
    }
  }
  await letPass(one);
  for (const disk of disks) {
    const after = await made(world(machines, { disk, clock: one.clock, onParked: () => {} }));
    await letPass(after);
    const sent = (await (await after.host.find('sender', 's'))?.history().toArray())?.filter(
      ({ kind }) => kind === 'message',
    );
    const numbers = sent?.map(({ event }) => event.n as number) ?? [];
    const parked = (await after.host.parkedMessages().toArray()).map(({ event }) => event.n as number);
    const heard = (await heardBy(after, 'r')) ?? [];
    expect(heard).toEqual(numbers.filter((n) => n > 0));
    expect(parked).toEqual(numbers.filter((n) => n < 0));
    expect(after.host.stats().parked).toBe(parked.length);
    await after.close();
  }
});

test('a machine that is not there yet: the message is parked at once, and replayed when it is', async () => {
  const one = await made(world({ sender }, { onParked: () => {} }));
  await (await one.host.actor('sender', 's')).send({ type: 'TELL', n: 1, to: 'r' });
  await one.host.settled();
  expect(one.host.stats().parked).toBe(1);
  const { machine: receiver } = receiving();
  const after = await made(one.crash({ sender, receiver }));
  for await (const parked of after.host.parkedMessages()) {
    expect(parked.error).toMatchObject(code('ERR_VARVE_INVALID_OPTION'));
    await after.host.replayParked(parked);
  }
  await letPass(after);
  expect(await heardBy(after, 'r')).toEqual([1]);
});

test('bad input', async () => {
  const { host } = await made(world({ sender }));
  await expect(host.replayParked({ machine: 'x', id: 's', revision: 1 })).rejects.toMatchObject(
    code('ERR_VARVE_INVALID_OPTION'),
  );
  await expect(host.discardParked({ machine: 'sender', id: 's', revision: -1 })).rejects.toMatchObject(
    code('ERR_VARVE_INVALID_OPTION'),
  );
  expect(await host.replayParked({ machine: 'sender', id: 'unknown', revision: 1 })).toBe(false);
  expect(await host.find('sender', 'unknown')).toBeUndefined();
});

test('what cannot be kept of an error is left out, and the message is parked all the same', async () => {
  const self: Record<string, unknown> = {};
  self.self = self;
  const receiver = createMachine({
    on: {
      HEARD: {
        actions: assign(() => {
          const error = new Error('refused');
          throw Object.assign(error, {
            request: { send() {} },
            socket: new AbortController(),
            self,
            error,
            status: 503,
          });
        }),
      },
    },
  });
  const one = await made(world({ sender: { machine: sender, supervision: { attempts: 1 } }, receiver }));
  await (await one.host.actor('sender', 's')).send({ type: 'TELL', n: 1, to: 'r' });
  await letPass(one);
  const after = await made(one.crash());
  const [parked] = await after.host.parkedMessages().toArray();
  expect(parked?.error).toMatchObject({ message: 'refused', status: 503 });
  expect(Object.keys(parked?.error as object)).toEqual(['status']);
});
