/** What has happened to an actor, as it is told: each entry with its revision and time. */
import type { AnyEventObject, AnyMachineSnapshot } from 'xstate';
import { invalid } from '../../options.js';
import { PullStream } from '../../streams/pull-stream.js';
import type { EventStore } from '../event-store/event-store.js';
import type { RecordedEvent } from '../event-store/recorded-event.js';
import type { DurableAddress } from './address.js';
import { type EntryKind, metadataOf } from './entries.js';
import { unpackErrors } from './error-data.js';
import type { MachinePlan } from './machine-plan.js';
import { bareTree } from './tree.js';
import { wakeUp } from './wake-up.js';

export interface HistoryEntry {
  /** Place in the journal, from 0: `at(revision)` is the state behind it. */
  readonly revision: number;
  /** By the host's clock. */
  readonly time: Date;
  readonly kind: EntryKind;
  /** The event that was taken, emitted, or sent to another actor. */
  readonly event: AnyEventObject;
  /** Version of the machine. */
  readonly version: string;
  /** Address in the tree, where it was not for the root. */
  readonly target?: string;
  /** The child or the actor's timer that it came from. */
  readonly source?: string;
  /** A message from another durable actor: its id. */
  readonly from?: string;
  /** A message to another durable actor. */
  readonly to?: DurableAddress;
}

const BOOKKEEPING: ReadonlySet<EntryKind> = new Set(['mark', 'resumed', 'parked', 'unparked']);

/** An entry of any actor of a machine, as `host.entries` tells it. */
export interface MachineEntry extends HistoryEntry {
  readonly machine: string;
  readonly id: string;
  /** Place among all events of the store: where a read model goes on after a restart. */
  readonly position: bigint;
}

/** Undefined for entries that only keep the books. */
export function machineEntry(recorded: RecordedEvent): MachineEntry | undefined {
  const { stream, position } = recorded;
  const dash = stream.indexOf('-');
  const entry = historyEntry(recorded);
  return entry && { ...entry, machine: stream.slice(0, dash), id: stream.slice(dash + 1), position };
}

/** Undefined for entries that only keep the books. */
export function historyEntry(recorded: RecordedEvent): HistoryEntry | undefined {
  const metadata = metadataOf(recorded);
  const { kind, at, version, target, source, from, to, timer } = metadata;
  if (BOOKKEEPING.has(kind)) return undefined;
  const event = kind === 'timer' ? { type: timer as string } : (unpackErrors(recorded.data) as AnyEventObject);
  return {
    revision: Number(recorded.revision),
    time: new Date(at),
    kind,
    event,
    version,
    ...(target === undefined ? {} : { target }),
    ...(source === undefined ? {} : { source }),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
  };
}

/** `ready`: what is waited for before it is read. */
export function readHistory(
  store: EventStore,
  stream: string,
  from: number,
  ready: () => Promise<void>,
): PullStream<HistoryEntry> {
  const events = store.readStream(stream, { fromRevision: BigInt(from) });
  return new PullStream(async function* (signal) {
    await ready();
    for await (const batch of events.batches()) {
      signal?.throwIfAborted();
      const entries = batch.map(historyEntry).filter((entry) => entry !== undefined);
      if (entries.length > 0) yield entries;
    }
  });
}

/** The state as it was behind a revision. Rejects as waking does. */
export async function snapshotAt(
  store: EventStore,
  plan: MachinePlan,
  stream: string,
  revision: number,
): Promise<AnyMachineSnapshot> {
  const tree = bareTree(plan, stream);
  const woken = await wakeUp(store, plan, stream, tree, { upTo: revision });
  if (woken === undefined || woken.revision < revision) {
    throw invalid('revision', revision, `one that ${stream} has: 0 to ${woken?.revision ?? 'none'}`);
  }
  const { visible } = tree;
  return woken.ended === undefined ? visible : ({ ...visible, ...woken.ended } as typeof visible);
}
