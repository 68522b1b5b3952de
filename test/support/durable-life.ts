/**
 * A durable actor of a machine by chance, in one life of its host after the other; and what it must show for what it was
 * asked: held against plain XState, which is shown the journal.
 */
import assert from 'node:assert/strict';
import { type EventStore, openEventStore } from 'varve';
import { type ActorHost, createActorHost, type DurableActor } from 'varve/xstate';
import { type AnyEventObject, type AnyMachineSnapshot, SimulatedClock } from 'xstate';
import type { SimulatedDisk } from '../../src/testing/simulated-disk.js';
import { PlainActor, type Shown } from './plain-actor.js';
import { buildMachine, type MachineModel, type World } from './random-machines.js';

export interface Settings {
  readonly snapshotEvery: number;
  readonly hashEvery: number;
  readonly ack: 'durable' | 'written';
  readonly unhandled: 'ignore' | 'journal' | 'reject';
  readonly passivateAfter: number;
}

export type Command =
  | { readonly do: 'send'; readonly type: string; readonly wait: boolean }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'finish'; readonly which: number; readonly well: boolean }
  | { readonly do: 'settle' }
  | { readonly do: 'yield' }
  | { readonly do: 'restart' };

interface Sent {
  readonly n: number;
  readonly life: number;
}

/** What the outside knows. */
export class Account {
  readonly sent: Sent[];
  /** What it was answered, by number of the event. */
  readonly acknowledged: Map<number, unknown>;
  readonly refused: Set<number>;
  /** What actions did, in all lives: each life's on its own. */
  readonly ran: string[][];

  constructor(from?: Account) {
    this.sent = [...(from?.sent ?? [])];
    this.acknowledged = new Map(from?.acknowledged);
    this.refused = new Set(from?.refused);
    this.ran = (from?.ran ?? []).map((life) => [...life]);
  }
}

interface Pending {
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

const FAILED = 'it failed';
const REFUSALS = new Set(['ERR_VARVE_ACTOR_ENDED', 'ERR_VARVE_EVENT_REFUSED']);

export class Life {
  readonly account: Account;
  readonly clock = new SimulatedClock();
  readonly #disk: SimulatedDisk;
  readonly #model: MachineModel;
  readonly #settings: Settings;
  readonly #problems: unknown[] = [];
  #store!: EventStore;
  #host!: ActorHost;
  #actor!: DurableActor;
  #jobs: Pending[] = [];
  #sending: Promise<void>[] = [];

  constructor(disk: SimulatedDisk, model: MachineModel, settings: Settings, account: Account, now: number) {
    this.#disk = disk;
    this.#model = model;
    this.#settings = settings;
    this.account = account;
    this.clock.set(now);
  }

  async open(): Promise<void> {
    this.account.ran.push([]);
    const ran = this.account.ran.at(-1) as string[];
    const jobs: Pending[] = [];
    this.#jobs = jobs;
    const world: World = {
      note: (what) => {
        ran.push(what);
        return what.startsWith('slow') ? new Promise((resolve) => setImmediate(resolve)) : undefined;
      },
      job: () => new Promise((resolve, reject) => jobs.push({ resolve, reject })),
      callback: (_, sendBack) => (event) => sendBack({ type: 'ECHO', n: event.n }),
    };
    const { ack, passivateAfter, ...options } = this.#settings;
    this.#store = await openEventStore({ directory: '/data', disk: this.#disk, segmentSize: 256 * 1024 });
    this.#host = await createActorHost({
      store: this.#store,
      machines: { m: { machine: buildMachine(this.#model, world), supervision: { strategy: 'stop' }, ...options } },
      clock: this.clock,
      ack,
      passivateAfter,
      onError: (error) => void ((error as Error).message === FAILED || this.#problems.push(error)),
    });
    this.#actor = await this.#host.actor('m', '1');
  }

  async close(): Promise<void> {
    await this.#host.shutdown();
    await Promise.all(this.#sending.splice(0));
    await this.#store.close();
    if (this.#problems.length > 0) throw this.#problems[0];
  }

  async step(command: Command): Promise<void> {
    if (command.do === 'send') await this.#send(command.type, command.wait);
    else if (command.do === 'pass') this.clock.increment(command.ms);
    else if (command.do === 'settle') await this.settle();
    else if (command.do === 'yield') await new Promise((resolve) => setImmediate(resolve));
    else if (command.do === 'restart') {
      await this.close();
      await this.open();
    } else {
      const [job] = this.#jobs.splice(command.which % Math.max(1, this.#jobs.length), 1);
      if (command.well) job?.resolve(command.which);
      else job?.reject(new Error(FAILED));
      for (let i = 0; i < 8; i++) await null;
    }
  }

  /** Nothing is under way but promises and delayed events that are not due. */
  async settle(): Promise<void> {
    await Promise.all(this.#sending.splice(0));
    await this.#host.settled();
    this.clock.increment(0);
    await this.#host.settled();
    if (this.#problems.length > 0) throw this.#problems[0];
  }

  async #send(type: string, wait: boolean): Promise<void> {
    const { account } = this;
    const n = account.sent.length;
    account.sent.push({ n, life: account.ran.length });
    const sending = this.#actor.send({ type, n } as never).then(
      (snapshot) => void account.acknowledged.set(n, view(snapshot as AnyMachineSnapshot)),
      (error: { code?: string }) => {
        if (REFUSALS.has(error.code ?? '')) account.refused.add(n);
        else this.#problems.push(error);
      },
    );
    this.#sending.push(sending);
    if (wait) await sending;
  }

  /** Throws unless the actor is what it must be. It has settled. */
  async check(): Promise<void> {
    const { account } = this;
    const entries = await this.#actor.history().toArray();
    const plain = new PlainActor(this.#model, entries[0] as Shown);
    try {
      const journalled: number[] = [];
      const emitted: AnyEventObject[] = [];
      for (const entry of entries.slice(1)) {
        if (entry.kind === 'emitted') {
          if (entry.source === undefined) emitted.push(entry.event);
          continue;
        }
        const { due } = plain;
        if (entry.kind !== 'timer' && due !== undefined && due < entry.time.getTime()) {
          throw new Error(`'${entry.event.type}' was taken at ${entry.time.getTime()} before what was due at ${due}`);
        }
        await plain.take(entry);
        if (entry.kind !== 'event') continue;
        const { n } = entry.event as unknown as Sent;
        journalled.push(n);
        const answered = account.acknowledged.get(n);
        if (answered !== undefined) assert.deepEqual(answered, view(plain.snapshot), `answer to event ${n}`);
      }
      this.#checkOrder(journalled);
      assert.deepEqual(view(this.#actor.getSnapshot() as AnyMachineSnapshot), view(plain.snapshot));
      assert.deepEqual(plainData(await this.#actor.getPersistedSnapshot()), plainData(plain.persisted()));
      assert.deepEqual(emitted, plain.emitted, 'emitted events');
      const { due } = plain;
      if (due !== undefined && plain.snapshot.status === 'active') {
        assert.ok(due > this.clock.now(), `a delayed event is missing: it was due at ${due}`);
      }
      checkEffects(account.ran, plain.effects);
    } catch (error) {
      const journal = entries.map(
        ({ kind, time, source = '', event }) => `${kind} ${time.getTime()} ${source} ${event.type}`,
      );
      throw new Error(`${(error as Error).message}\n  now ${this.clock.now()}, journal:\n${journal.join('\n')}`, {
        cause: error,
      });
    } finally {
      plain.stop();
    }
  }

  #checkOrder(journalled: readonly number[]): void {
    const { sent, refused, acknowledged } = this.account;
    const there = new Set(journalled);
    const last = (life: number) => Math.max(-1, ...journalled.filter((n) => sent[n]?.life === life));
    assert.deepEqual(
      journalled,
      [...there].sort((a, b) => a - b),
      'events in the order of their sending, once',
    );
    for (const { n, life } of sent) {
      if (refused.has(n)) assert.ok(!there.has(n), `event ${n} was refused and is in the journal`);
      else if (this.#settings.unhandled === 'journal' && !there.has(n)) {
        assert.ok(!acknowledged.has(n), `event ${n} was acknowledged and is lost`);
        assert.ok(n > last(life), `event ${n} is missing before ${last(life)}`);
      }
    }
  }
}

/** Each life goes on where the journal knew that the one before had come to, and leaves nothing out. */
function checkEffects(lives: readonly (readonly string[])[], expected: readonly string[]): void {
  let reached = 0;
  const from: number[] = [];
  lives.forEach((ran, i) => {
    let start = reached;
    while (start >= 0 && !ran.every((what, j) => expected[start + j] === what)) start--;
    if (start < 0) {
      assert.deepEqual(
        { ran, behind: reached },
        { ran: expected, behind: 0 },
        `what life ${i} did (of ${lives.length})`,
      );
    }
    from.push(start);
    reached = Math.max(reached, start + ran.length);
  });
  assert.equal(reached, expected.length, `actions were left out: ${JSON.stringify({ lives, expected })}`);
}

export function view(snapshot: AnyMachineSnapshot): unknown {
  const { value, status, tags, context, output } = snapshot;
  const { kids, ...rest } = context as { kids: readonly { id: string }[] };
  const can = ['E0', 'E1', 'E2', 'E3', 'PING'].filter((type) => snapshot.can({ type, n: 1 }));
  const children = Object.keys(snapshot.children).sort();
  return plainData({
    value,
    status,
    tags: [...tags].sort(),
    ...rest,
    kids: kids.map(({ id }) => id),
    output,
    can,
    children,
  });
}

function plainData(value: unknown): unknown {
  const text = JSON.stringify(value, (key, field) => {
    if (field instanceof Error) return { error: field.message };
    if (key !== 'historyValue') return field;
    // Their order is that of entering them, or of the machine.
    const remembered = Object.entries(field as Record<string, { id: string }[]>);
    return Object.fromEntries(remembered.map(([name, states]) => [name, states.map(({ id }) => id).sort()]));
  });
  return JSON.parse(text);
}
