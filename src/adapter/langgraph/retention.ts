/**
 * Making a thread shorter: what is kept is written anew behind all the rest, then the stream is truncated before it.
 *
 *     0 1 2 3 4 5 6 7 8          │ 9 10 11
 *     · · · · · k k · k          │ k' k' k'        truncate before 9
 *
 * A crash on the way leaves both, and a copy says nothing else than what it was made of. Whoever calls must be alone with the
 * thread, but for readers: what is written between the copies and the cut would lean on what goes.
 */
import type { EventInput } from '../event-store/event-input.js';
import { SENDS_ARE_A_CHANNEL, type Thread, Values } from './thread.js';
import { checkpointEvent, type Serialized, type StoredValue, writesEvent } from './thread-format.js';
import {
  type CheckpointEntry,
  lineage,
  type Namespace,
  newestFirst,
  placeOf,
  type WriteEntry,
} from './thread-index.js';

export interface Pruned {
  readonly rewritten: boolean;
  readonly removed: number;
  readonly kept: number;
}

/** Of a namespace: ids of the checkpoints that stay, and among them those that are still listed. */
interface Kept {
  readonly listed: ReadonlySet<string>;
  readonly all: Set<string>;
}

interface Copy {
  readonly revision: bigint;
  readonly make: () => Promise<EventInput>;
}

/** Copies that are made durable together. */
const COPIES_AT_ONCE = 16;

export async function pruneThread(thread: Thread, keep: number, rewrite: boolean): Promise<Pruned> {
  const { index, store, stream } = thread;
  await index.refresh();
  const { next, namespaces } = index;
  let [removed, kept] = [0, 0];
  const copies: Copy[] = [];
  let dead = false;
  for (const [ns, { listed, all }] of plan(namespaces, keep)) {
    const namespace = namespaces.get(ns) as Namespace;
    const before = newestFirst(namespace).length;
    removed += before - listed.size;
    kept += listed.size;
    const writes = liveWrites(namespace, all);
    copies.push(...checkpointCopies(thread, namespace, all, listed), ...writesCopies(thread, ns, writes));
    dead ||= all.size < namespace.checkpoints.size || writes.size < namespace.writes.size;
  }
  if (namespaces.size === 0 || !(dead || rewrite || removed > 0)) return { rewritten: false, removed, kept };
  copies.sort((a, b) => Number(a.revision - b.revision));
  for (let i = 0; i < copies.length; i += COPIES_AT_ONCE) {
    const some = copies.slice(i, i + COPIES_AT_ONCE);
    await Promise.all(some.map(async ({ make }) => store.appendToStream(stream, await make())));
  }
  await store.truncateStream(stream, next);
  return { rewritten: true, removed, kept };
}

/** What stays of each namespace. Exported for its tests. */
export function plan(namespaces: ReadonlyMap<string, Namespace>, keep: number): Map<string, Kept> {
  const plans = new Map<string, Kept>();
  // The namespace of a subgraph begins with that of its graph, so it comes behind it.
  for (const [ns, namespace] of [...namespaces].sort(([a], [b]) => a.length - b.length)) {
    const candidates = newestFirst(namespace).filter((id) => !isOrphan(ns, namespace.checkpoints.get(id), plans));
    const listed = new Set(candidates.slice(0, keep));
    const all = new Set(listed);
    for (const id of listed) for (const needed of ancestorsNeeded(namespace, id)) all.add(needed);
    plans.set(ns, { listed, all });
  }
  return plans;
}

/**
 * A subgraph that keeps nothing between its calls has a namespace for each call, with the id of the task in it: it is of
 * use as long as the checkpoint is there in which it was called. That one may also be on its way.
 */
function isOrphan(ns: string, entry: CheckpointEntry | undefined, plans: ReadonlyMap<string, Kept>): boolean {
  if (!ns.includes(':')) return false;
  return Object.entries(entry?.header.parents ?? {}).some(([of, id]) => {
    const listed = plans.get(of)?.listed;
    return listed !== undefined && !listed.has(id) && [...listed].some((newer) => newer > id);
  });
}

const holds = ({ header }: CheckpointEntry, channel: string): boolean =>
  header.stored.some(([name]) => name === channel) || header.carried.some(([name]) => name === channel);

/**
 * Ancestors without which a checkpoint can't be read: channels that are made of writes need them up to the nearest
 * ancestor that holds a value, and in old formats what was sent is with the parent.
 */
function ancestorsNeeded(namespace: Namespace, id: string): Set<string> {
  const needed = new Set<string>();
  const [entry, ...ancestors] = lineage(namespace, id) as Iterable<CheckpointEntry> as [CheckpointEntry];
  let open = [...namespace.deltas].filter((channel) => !holds(entry, channel));
  let sends = entry.header.v < SENDS_ARE_A_CHANNEL;
  for (const ancestor of ancestors as CheckpointEntry[]) {
    if (open.length === 0 && !sends) break;
    needed.add(ancestor.header.id);
    open = open.filter((channel) => !holds(ancestor, channel));
    sends = false;
  }
  return needed;
}

/** Writes to what stays, and to checkpoints that are still to come: putting one may take longer than a task. */
function liveWrites({ writes, checkpoints }: Namespace, all: ReadonlySet<string>): Map<string, WriteEntry[]> {
  const live = new Map<string, WriteEntry[]>();
  const newest = [...checkpoints.keys()].reduce((a, b) => (a > b ? a : b), '');
  for (const [id, entries] of writes) if (all.has(id) || id > newest) live.set(id, [...entries.values()]);
  return live;
}

function checkpointCopies(
  thread: Thread,
  namespace: Namespace,
  all: ReadonlySet<string>,
  listed: ReadonlySet<string>,
): Copy[] {
  const filled = new Map<string, ReadonlySet<string>>();
  // Ids grow with time: ancestors first, so that what they are filled with need not be stored again.
  return [...all].sort().map((id) => {
    const entry = namespace.checkpoints.get(id) as CheckpointEntry;
    const { body: _body, metadata: _metadata, stored, carried, ...rest } = entry.header;
    const lacking = carried.filter(([channel, version]) => {
      for (const { header } of lineage(namespace, rest.parent)) {
        if (!all.has(header.id)) return true;
        if (placeOf(header, channel, version) >= 0 || filled.get(header.id)?.has(channel)) return false;
      }
      return true;
    });
    filled.set(id, new Set(lacking.map(([channel]) => channel)));
    const make = async (): Promise<EventInput> => {
      const values = new Values(thread);
      const [body, metadata, ...own] = (await values.of(entry.revision)) as [Serialized, Serialized, ...Serialized[]];
      const channels: StoredValue[] = stored.map(([channel, version], i) => ({
        channel,
        version,
        value: own[i] as Serialized,
      }));
      for (const [channel, version] of lacking) {
        channels.push({ channel, version, value: await values.carried(namespace, rest.parent, channel, version) });
      }
      const left = carried.filter((one) => !lacking.includes(one));
      const header = { ...rest, carried: left, ...(listed.has(id) ? {} : { hidden: true }) };
      return checkpointEvent(header, body, metadata, channels);
    };
    return { revision: entry.revision, make };
  });
}

function writesCopies(thread: Thread, ns: string, live: ReadonlyMap<string, readonly WriteEntry[]>): Copy[] {
  const copies: Copy[] = [];
  for (const [id, entries] of live) {
    const byRevision = new Map<bigint, WriteEntry[]>();
    for (const entry of entries) byRevision.set(entry.revision, [...(byRevision.get(entry.revision) ?? []), entry]);
    for (const [revision, written] of byRevision) {
      const { task, path } = written[0] as WriteEntry;
      const make = async () => {
        const values = await new Values(thread).of(revision);
        const writes = written.map(({ idx, channel, at }) => ({ idx, channel, value: values[at] as Serialized }));
        return writesEvent({ ns, id, task, path }, writes);
      };
      copies.push({ revision, make });
    }
  }
  return copies;
}
