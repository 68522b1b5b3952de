/**
 * Waking an actor: its latest snapshot, and the entries behind it through the same computation as when they came. No
 * effect is carried out; those that nobody knows to have been are handed back, to be carried out (again).
 */
import type { AnyEventObject } from 'xstate';
import { crc32c } from '../../segment/checksum.js';
import type { EventStore } from '../event-store/event-store.js';
import { jsonCodec } from '../event-store/json-codec.js';
import type { RecordedEvent } from '../event-store/recorded-event.js';
import { diverged, incomplete, otherVersion } from './actor-errors.js';
import type { DurableParent } from './address.js';
import { canonical } from './canonical.js';
import { type EntryMetadata, entryInput, metadataOf } from './entries.js';
import { packErrors, unpackErrors } from './error-data.js';
import type { MachinePlan } from './machine-plan.js';
import type { Parked } from './parked-messages.js';
import type { Tree } from './tree.js';
import type { Effect, TreeState, Turn, UserEffect } from './turn.js';

/** Effects of one entry that still have to be carried out. */
export interface Undone {
  readonly revision: number;
  readonly effects: UserEffect[];
}

/** A message of another actor's, of which only the newest one counts: earlier ones have been received. */
export type Inbox = Map<string, number>;

/** What a snapshot in the store holds. */
export interface ActorState {
  readonly version: string;
  readonly at: number;
  /** Entries that may not have been carried out yet: messages only. */
  readonly undone: readonly { readonly revision: number; readonly effects: readonly UserEffect[] }[];
  readonly inbox: readonly (readonly [string, number])[];
  /** Snapshots of earlier versions have none. */
  readonly parked?: readonly (readonly [number, Parked])[];
  readonly ended: Ended | undefined;
  readonly parent: DurableParent | undefined;
  readonly tree: unknown;
}

/** It was ended from outside of its machine. */
export interface Ended {
  readonly status: 'error' | 'stopped';
  readonly error?: unknown;
}

export interface Woken {
  /** Of the newest event in the journal. */
  readonly revision: number;
  readonly undone: Undone[];
  readonly inbox: Inbox;
  readonly parked: Map<number, Parked>;
  /** Time of the newest entry. */
  readonly at: number;
  /** Entries since the latest snapshot. */
  readonly entries: number;
  readonly ended: Ended | undefined;
  readonly parent: DurableParent | undefined;
}

/** How far to go: the whole journal, or up to a revision. */
export interface WakeOptions {
  readonly upTo?: number;
  /** Without looking at snapshots. */
  readonly fromStart?: boolean;
}

type Journal = Pick<EventStore, 'readSnapshot' | 'readStream' | 'streamHead'>;

/**
 * Brings `tree`, which is new, to where the journal ends; undefined where there is none. Rejects with
 * `ERR_VARVE_DIVERGED`, `ERR_VARVE_MACHINE_VERSION`, `ERR_VARVE_CORRUPT`, and as reading does.
 */
export async function wakeUp(
  journal: Journal,
  plan: MachinePlan,
  stream: string,
  tree: Tree,
  { upTo, fromStart = false }: WakeOptions = {},
): Promise<Woken | undefined> {
  if ((await journal.streamHead(stream)) === undefined) return undefined; // cheaper than to look for what is not there
  const query = upTo === undefined ? {} : { atOrBefore: BigInt(upTo) };
  const snapshot = fromStart ? undefined : await journal.readSnapshot<ActorState>(stream, query);
  const replay = new Replay(plan, stream, tree);
  if (snapshot !== undefined) replay.restore(snapshot.state, Number(snapshot.revision));
  const range = {
    ...(snapshot === undefined ? {} : { fromRevision: snapshot.revision + 1n }),
    ...(upTo === undefined ? {} : { toRevision: BigInt(upTo) }),
  };
  for await (const batch of journal.readStream(stream, range).batches()) {
    for (const event of batch) replay.apply(event);
  }
  return replay.result();
}

/** A checksum of what an actor would be restored from, and how many bytes that has. */
export function hashOf(tree: Tree): { readonly hash: number; readonly bytes: number } {
  const bytes = jsonCodec.encode(canonical(packErrors(tree.persist())));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return { hash: crc32c(view, 0, bytes.length), bytes: bytes.length };
}

export function stateOf(tree: Tree, rest: Omit<ActorState, 'tree'>): ActorState {
  const { ended, parked } = packErrors({ ended: rest.ended, parked: rest.parked }) as typeof rest;
  return { ...rest, ended, ...(parked === undefined ? {} : { parked }), tree: packErrors(tree.persist()) };
}

class Replay {
  readonly #plan: MachinePlan;
  readonly #stream: string;
  readonly #tree: Tree;
  #revision = -1;
  #at = 0;
  #entries = 0;
  #undone: Undone[] = [];
  #inbox: Inbox = new Map();
  #parked = new Map<number, Parked>();
  #ended: Ended | undefined;
  #parent: DurableParent | undefined;
  /** Behind the last entry whose checksum was right. */
  #trusted = 0;

  constructor(plan: MachinePlan, stream: string, tree: Tree) {
    this.#plan = plan;
    this.#stream = stream;
    this.#tree = tree;
  }

  restore({ version, at, undone, inbox, parked, ended, parent, tree }: ActorState, revision: number): void {
    const { migrate } = this.#plan;
    this.#ended = unpackErrors(ended) as Ended | undefined;
    this.#parent = parent;
    let state = unpackErrors(tree) as TreeState;
    if (version !== this.#plan.version) {
      if (migrate === undefined) throw otherVersion(this.#stream, version, this.#plan.version);
      const { configurations: _, ...rest } = state; // of the machine as it was
      state = { ...rest, snapshot: migrate(state.snapshot, version) };
    }
    this.#tree.restore(state, parent);
    this.#revision = revision;
    this.#trusted = revision + 1;
    this.#at = at;
    this.#undone = undone.map((of) => ({ revision: of.revision, effects: [...of.effects] }));
    this.#inbox = new Map(inbox);
    this.#parked = new Map(unpackErrors(parked ?? []) as [number, Parked][]);
  }

  apply(event: RecordedEvent): void {
    const metadata = metadataOf(event);
    const revision = Number(event.revision);
    if (this.#revision < 0 ? metadata.kind !== 'start' : revision !== this.#revision + 1) {
      throw incomplete(this.#stream, event.revision);
    }
    this.#revision = revision;
    this.#entries++;
    this.#at = metadata.at;
    const { done, from, kind } = metadata;
    if (done !== undefined) this.#undone = this.#undone.filter((of) => of.revision > done);
    if (from !== undefined) noteMessage(this.#inbox, from);
    if (kind === 'message') this.#message(unpackErrors(event.data) as AnyEventObject, metadata, revision);
    else if (kind === 'ended') {
      this.#ended = unpackErrors(event.data) as Ended;
      this.#undone.push({ revision, effects: [] }); // of the messages that may stand behind it
    } else if (kind === 'parked' || kind === 'unparked') this.#park(event, metadata, revision);
    else if (kind === 'resumed') this.#tree.timers.shift(metadata.shift ?? 0, metadata.at);
    else this.#compute(event, metadata, revision);
  }

  result(): Woken | undefined {
    if (this.#revision < 0) return undefined;
    return {
      revision: this.#revision,
      undone: this.#undone.filter(({ effects }) => effects.length > 0),
      inbox: this.#inbox,
      parked: this.#parked,
      at: this.#at,
      entries: this.#entries,
      ended: this.#ended,
      parent: this.#parent,
    };
  }

  #compute(event: RecordedEvent, metadata: EntryMetadata, revision: number): void {
    const { kind, at, version, hash } = metadata;
    const old = version !== this.#plan.version;
    let turn: Turn;
    if (kind === 'start') {
      this.#parent = metadata.parent;
      turn = this.#tree.start((event.data as { input?: unknown }).input, at, metadata.parent);
    } else {
      let input = entryInput(event.data, metadata);
      if (input === undefined) return;
      const { upcast } = this.#plan;
      if (old && upcast !== undefined && input.kind !== 'timer') {
        input = { ...input, event: upcast(input.event, version) };
      }
      turn = this.#tree.run(input, at);
    }
    if (turn.thrown !== undefined) throw this.#diverged(event, 'throws an error', turn.thrown.error);
    this.#tree.show(turn);
    if (turn.effects.length > 0) {
      // Messages are taken from the journal, where they stand behind this entry.
      const effects = turn.effects.filter(isUserEffect).filter((effect) => effect.kind !== 'message');
      this.#undone.push({ revision, effects });
    }
    if (hash === undefined) return;
    const checked = !old || (this.#plan.migrate === undefined && this.#plan.upcast === undefined);
    if (checked && hash !== hashOf(this.#tree).hash) throw this.#diverged(event, 'leads to another state than before');
    this.#trusted = revision + 1;
  }

  #park({ data }: RecordedEvent, { kind, message }: EntryMetadata, revision: number): void {
    if (message === undefined) return;
    if (kind === 'parked') {
      this.#parked.set(message, unpackErrors(data) as Parked);
      for (const { effects } of this.#undone) {
        const at = effects.findIndex((effect) => effect.kind === 'message' && effect.revision === message);
        if (at >= 0) effects.splice(at, 1);
      }
    } else {
      this.#parked.delete(message);
      this.#undone.push({ revision, effects: [] }); // of the message that may stand behind it
    }
  }

  #message(event: AnyEventObject, { to, child }: EntryMetadata, revision: number): void {
    if (to === undefined) return;
    let of = this.#undone.at(-1);
    if (of === undefined) {
      of = { revision, effects: [] };
      this.#undone.push(of);
    }
    of.effects.push({ kind: 'message', to, event, revision, ...(child === undefined ? {} : { child }) });
  }

  #diverged({ revision, type }: RecordedEvent, why: string, cause?: unknown) {
    const since = cause === undefined ? BigInt(this.#trusted) : revision;
    return diverged(this.#stream, revision, type, since, why, cause);
  }
}

export function isUserEffect(effect: Effect): effect is UserEffect {
  return effect.kind === 'action' || effect.kind === 'emit' || effect.kind === 'message';
}

/** Messages are known by the sender's stream and their revision in it. */
export const messageId = (stream: string, revision: number): string => `${stream}@${revision}`;

function parseMessageId(id: string): readonly [string, number] {
  const at = id.lastIndexOf('@');
  return [id.slice(0, at), Number(id.slice(at + 1))];
}

export function noteMessage(inbox: Inbox, id: string): void {
  const [sender, revision] = parseMessageId(id);
  inbox.set(sender, revision);
}

export const senderOf = (id: string): string => parseMessageId(id)[0];

/** A message that has been received before. */
export function isKnown(inbox: Inbox, id: string): boolean {
  const [sender, revision] = parseMessageId(id);
  return revision <= (inbox.get(sender) ?? -1);
}
