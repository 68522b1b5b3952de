/** The crash property for users, held to what it is for: it passes a right application and finds each mistake in a wrong one. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type CrashRecoveryOptions, CrashRecoveryViolation, command, crashRecovery } from '../../src/testing/index.js';
import { runs } from '../runs.js';
import { encode, newWorld, Shop, type World } from '../support/shop.js';

const id = fc.integer({ min: 1, max: 9 });

/** Everything that the shop promises. */
function shopOf(Kind: typeof Shop): CrashRecoveryOptions<Shop, World> {
  return {
    setup: ({ disk, segmentSize, model }) => Kind.open(disk, segmentSize, model),
    model: newWorld,
    commands: [
      command('sell', id, async (shop, ticket, world) => {
        world.asked.push(ticket);
        await shop.sell(ticket);
        world.confirmed.push(ticket);
      }),
      command('move', id, (shop, amount) => shop.move(amount)),
      command('compact', fc.constant(undefined), (shop) => shop.compact()),
      command('query while selling', id, async (shop, ticket, world) => {
        world.asked.push(ticket);
        const selling = shop.sell(ticket);
        world.told = Math.max(world.told, shop.state.sold.length);
        await selling;
      }),
    ],
    invariant: ({ app: { state }, model }) => {
      for (const ticket of model.confirmed) expect(state.sold).toContain(ticket);
      for (const ticket of state.sold) expect(model.asked).toContain(ticket);
      for (const ticket of state.sold) expect(state.posted).toContain(ticket);
      expect(state.sold.length).toBeGreaterThanOrEqual(model.told);
      expect(Object.values(model.letters).every((letters) => letters === 1)).toBe(true);
      expect(state.moved).toBe(0);
    },
    teardown: (shop) => shop.close(),
  };
}

const MISTAKES: Record<string, typeof Shop> = {
  'confirms what is written, not durable': class extends Shop {
    override async sell(ticket: number) {
      await this.append({ kind: 'sold', id: ticket, amount: 0 }, { ack: 'written' });
      this.state.posted.push(ticket);
    }
  },
  'shows what is not durable': class extends Shop {
    override async sell(ticket: number) {
      const entry = { kind: 'sold', id: ticket, amount: 0 } as const;
      this.apply(this.events.write(encode(entry)), entry);
      await this.events.sync();
      await this.post(ticket);
    }
  },
  'appends the halves of a transfer one by one': class extends Shop {
    override async move(amount: number) {
      for (const part of [-amount, amount]) await this.append({ kind: 'moved', id: 0, amount: part });
    }
  },
  'purges before its snapshot is durable': class extends Shop {
    override async saveSnapshot() {
      await this.snapshots.append(encode(this.state), { ack: 'written' });
    }
  },
  'forgets its snapshot at the start': class extends Shop {
    override async recover() {
      await this.events.read({ from: this.events.oldestLsn }).toArray();
    }
  },
  'sends letters again': class extends Shop {
    override async post(ticket: number) {
      this.world.letters[ticket] = (this.world.letters[ticket] ?? 0) + 1;
      await this.append({ kind: 'posted', id: ticket, amount: 0 });
    }
  },
};

/** Other programs each time would be other tests each time: a mistake might not be found. */
const seed = 4;

test('a right application passes', async () => {
  await fc.assert(crashRecovery(shopOf(Shop)), { numRuns: runs(20) });
});

describe('finds, shrinks and replays an application that', () => {
  test.each(Object.entries(MISTAKES))('%s', async (_mistake, Kind) => {
    const property = crashRecovery(shopOf(Kind));
    const found = await fc.check(property, { numRuns: 60, seed });
    const { message } = found.errorInstance as CrashRecoveryViolation;
    expect(found.errorInstance).toBeInstanceOf(CrashRecoveryViolation);
    const [scenario] = found.counterexample ?? [];
    expect([...(scenario?.program ?? []), ...(scenario?.afterwards ?? [])].flat().length).toBeLessThanOrEqual(3);

    const path = found.counterexamplePath ?? '';
    const again = await fc.check(property, { seed, path, endOnFailure: true });
    expect((again.errorInstance as Error).message).toBe(message);
  });
});
