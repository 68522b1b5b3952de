/** Places in threads as LangGraph names them: in the `configurable` of a config. For this folder only. */
import { type BaseCheckpointSaver, getCheckpointId } from '@langchain/langgraph-checkpoint';
import { VarveError } from '../../errors.js';
import { invalid } from '../../options.js';

/** What LangGraph calls a RunnableConfig: of it `configurable` is used, with `thread_id`, `checkpoint_ns`, `checkpoint_id`. */
export type ThreadConfig = Parameters<BaseCheckpointSaver['getTuple']>[0];

/** What identifies a thread or a checkpoint. Throws `ERR_VARVE_INVALID_OPTION`. */
export function textCheck(value: unknown, option: string): asserts value is string {
  if (typeof value !== 'string' || value === '') throw invalid(option, value, 'a string that is not empty');
}

/** Where a config leads to. Throws `ERR_VARVE_INVALID_OPTION` for what cannot be a place. */
export function addressOf(config: ThreadConfig): { threadId: string | undefined; ns: string | undefined } {
  const { thread_id: threadId, checkpoint_ns: ns } = config?.configurable ?? {};
  if (threadId !== undefined) textCheck(threadId, 'configurable.thread_id');
  if (ns !== undefined && typeof ns !== 'string') throw invalid('configurable.checkpoint_ns', ns, 'a string');
  return { threadId, ns };
}

export function checkpointIdOf(config: ThreadConfig): string | undefined {
  const id: unknown = getCheckpointId(config ?? {}) || undefined;
  if (id !== undefined) textCheck(id, 'configurable.checkpoint_id');
  return id as string | undefined;
}

export const configOf = (thread_id: string, checkpoint_ns: string, checkpoint_id: string): ThreadConfig => ({
  configurable: { thread_id, checkpoint_ns, checkpoint_id },
});

export function missing(field: string, what: string): VarveError {
  return new VarveError(
    'ERR_VARVE_INVALID_OPTION',
    `Cannot ${what}: the config has no '${field}' in its 'configurable'. Name the thread when you run a graph: ` +
      "graph.invoke(input, { configurable: { thread_id: 'thread-1' } }).",
    { option: `configurable.${field}` },
  );
}
