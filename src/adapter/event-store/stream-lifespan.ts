/**
 * How long a stream lives, and how much of it: its metadata, truncation, deletion, tombstones, and a later beginning. All
 * of that is told by its metadata.
 */
import { checkAll } from '../../options.js';
import { checkStream } from './event-input.js';
import { anything, revision } from './event-store-options.js';
import { checkExpectedRevision, type ExpectedRevision, tombstoned, wrongRevision } from './expected-revision.js';
import { streamNotFound } from './read-stream.js';
import type { StoreCore } from './store-core.js';
import { checkMetadata, metadataWrite, type StreamMetadataInput } from './stream-metadata.js';
import { exists, type StreamMetadata, type StreamState } from './stream-state.js';
import type { Committed } from './stream-write.js';

export interface ChangeOptions {
  expectedRevision?: ExpectedRevision;
}

const CHANGE_CHECKS = { expectedRevision: anything };

export async function getMetadata(core: StoreCore, stream: string): Promise<StreamMetadata> {
  check(core, stream);
  return (await core.states.of(stream)).metadata;
}

/** All of it, but what the store itself keeps there. */
export async function setMetadata(
  core: StoreCore,
  stream: string,
  metadata: StreamMetadataInput,
  options: ChangeOptions,
): Promise<Committed> {
  check(core, stream);
  const given = checkMetadata(metadata);
  checkAll(options, CHANGE_CHECKS, 'options');
  const expected = checkExpectedRevision(options.expectedRevision);
  const { lane } = core.partitionOf(stream);
  return lane.change(stream, 'any', ({ metadata: { head } }) =>
    metadataWrite(core, stream, head === undefined ? given : { ...given, head }, expected),
  );
}

export async function truncateStream(core: StoreCore, stream: string, revisionToKeep: bigint): Promise<void> {
  check(core, stream);
  revision(revisionToKeep, 'revisionToKeep');
  const wanted = Number(revisionToKeep);
  await changeMetadata(core, stream, {}, ({ head, metadata: { truncateBefore = 0 } }) => ({
    truncateBefore: Math.max(truncateBefore, Math.min(wanted, head + 1)),
  }));
}

export async function deleteStream(core: StoreCore, stream: string, options: ChangeOptions): Promise<void> {
  check(core, stream);
  const change = ({ head }: StreamState) => ({ truncateBefore: head + 1, deletedBefore: head + 1 });
  await changeMetadata(core, stream, options, change);
}

export async function tombstoneStream(core: StoreCore, stream: string, options: ChangeOptions): Promise<void> {
  check(core, stream);
  await changeMetadata(core, stream, options, () => ({ tombstoned: true }));
}

/** Changes some of the metadata of a stream that can be read, unless a revision is expected, and leaves the rest. */
async function changeMetadata(
  core: StoreCore,
  stream: string,
  options: ChangeOptions,
  change: (state: StreamState) => Partial<StreamMetadata>,
): Promise<void> {
  checkAll(options, CHANGE_CHECKS, 'options');
  const { expectedRevision } = options;
  const { lane } = core.partitionOf(stream);
  await lane.change(stream, checkExpectedRevision(expectedRevision), (state) => {
    if (expectedRevision === undefined && !exists(state)) throw streamNotFound(stream);
    return metadataWrite(core, stream, { ...state.metadata, ...change(state) });
  });
}

export async function beginStreamAt(core: StoreCore, stream: string, first: bigint): Promise<void> {
  check(core, stream);
  revision(first, 'first');
  await core.partitionOf(stream).lane.insert(async () => {
    const state = await core.states.of(stream);
    const { metadata, nextHead } = state;
    if (metadata.tombstoned) throw tombstoned(stream);
    if (nextHead + 1 >= first) return [];
    // Events of which the disk has none are known by their newest revision in the metadata alone.
    if (nextHead !== (metadata.head ?? -1)) throw wrongRevision(stream, 'noStream', state);
    return [metadataWrite(core, stream, { ...metadata, truncateBefore: Number(first), head: Number(first) - 1 })];
  });
}

function check(core: StoreCore, stream: string): void {
  core.refuseClosed();
  checkStream(stream);
}
