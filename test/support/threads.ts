/** LangGraph threads on small stores. */
import { type Checkpoint, type CheckpointTuple, emptyCheckpoint, uuid6 } from '@langchain/langgraph-checkpoint';
import { type EventStore, type EventStoreOptions, openEventStore } from 'varve';
import { type ThreadConfig, VarveSaver, type VarveSaverOptions } from 'varve/langgraph';
import { SimulatedDisk } from '../../src/testing/index.js';

export const DIRECTORY = '/threads';

export function openThreads(disk: SimulatedDisk, options: Partial<EventStoreOptions> = {}): Promise<EventStore> {
  return openEventStore({ directory: DIRECTORY, disk, segmentSize: 32 * 1024, ...options });
}

export async function withSaver(
  work: (saver: VarveSaver, disk: SimulatedDisk) => Promise<void>,
  options: VarveSaverOptions = {},
): Promise<void> {
  const disk = new SimulatedDisk();
  const store = await openThreads(disk);
  const saver = new VarveSaver(store, options);
  try {
    await work(saver, disk);
  } finally {
    await saver.close();
    await store.close();
  }
}

let clock = 0;

/** Ids that grow, as those of LangGraph do, however fast they are made. */
export const nextId = (): string => uuid6(clock++ % 0x3fff);

export const configOf = (thread_id: string, checkpoint_ns = '', checkpoint_id?: string): ThreadConfig => ({
  configurable: { thread_id, checkpoint_ns, ...(checkpoint_id === undefined ? {} : { checkpoint_id }) },
});

export function checkpointOf(values: Record<string, unknown>, versions: Record<string, number>): Checkpoint {
  return { ...emptyCheckpoint(), id: nextId(), channel_values: values, channel_versions: versions };
}

export const metadataOf = (step = 0, more: object = {}) => ({ source: 'loop' as const, step, parents: {}, ...more });

/** Puts a child of what `config` names, with these channels changed. Resolves with the child's config. */
export async function grow(
  saver: VarveSaver,
  config: ThreadConfig,
  changed: Record<string, unknown>,
  more: object = {},
): Promise<ThreadConfig> {
  const parent = config.configurable?.checkpoint_id === undefined ? undefined : await saver.getTuple(config);
  const { channel_values = {}, channel_versions = {} } = parent?.checkpoint ?? {};
  const version = Math.max(0, ...Object.values(channel_versions).map(Number)) + 1;
  const newVersions = Object.fromEntries(Object.keys(changed).map((channel) => [channel, version]));
  const checkpoint = checkpointOf(
    { ...channel_values, ...changed },
    { ...(channel_versions as Record<string, number>), ...newVersions },
  );
  return saver.put(config, checkpoint, metadataOf(version, more), newVersions);
}

export async function valuesOf(saver: VarveSaver, config: ThreadConfig): Promise<Record<string, unknown> | undefined> {
  return (await saver.getTuple(config))?.checkpoint.channel_values;
}

export async function listed(saver: VarveSaver, ...args: Parameters<VarveSaver['list']>): Promise<CheckpointTuple[]> {
  const tuples: CheckpointTuple[] = [];
  for await (const tuple of saver.list(...args)) tuples.push(tuple);
  return tuples;
}

export const idOf = (config: ThreadConfig): string => config.configurable?.checkpoint_id;
