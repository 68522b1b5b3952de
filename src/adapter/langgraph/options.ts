/** What a saver and its pruning are told, and the checks that refuse a bad option by name. */
import type { SerializerProtocol } from '@langchain/langgraph-checkpoint';
import { boolean, callback, integer, invalid, signalCheck } from '../../options.js';
import { textCheck } from './config.js';

export interface VarveSaverOptions {
  /** Streams are called `<prefix>-<thread id>`. No dash, no `$`. Default 'langgraph'. */
  prefix?: string;
  /** Default: LangGraph's own, JSON with what JSON loses. */
  serde?: SerializerProtocol;
  /** Prunes a thread in the background when one of its namespaces has twice so many checkpoints: from 1. Default: never. */
  keep?: number;
  /** Told why pruning in the background failed; no `put` fails by it. Default: a warning of the process. */
  onPruneError?: (error: unknown) => void;
}

export interface PruneOptions {
  /** Newest checkpoints that are kept, in each namespace: from 1. */
  keep: number;
  /** Default: all threads. */
  threadId?: string;
  /**
   * Also writes anew what is kept of threads of which nothing has to go, so that none of them holds back older parts of
   * the log. Default false.
   */
  rewrite?: boolean;
  /** Ends it between two threads. */
  signal?: AbortSignal;
}

export interface PruneReport {
  /** Threads that were made shorter, or written anew. */
  readonly threads: number;
  /** Checkpoints that went. */
  readonly removed: number;
  /** Checkpoints that are left in all threads that were looked at. */
  readonly kept: number;
}

const prefixCheck = (value: unknown, option: string) => {
  if (typeof value !== 'string' || !/^[^$-][^-]*$/u.test(value)) {
    throw invalid(option, value, 'a string without a dash that does not begin with $');
  }
};
const serdeCheck = (value: unknown, option: string) => {
  const { dumpsTyped, loadsTyped } = (value ?? {}) as Partial<SerializerProtocol>;
  if (typeof dumpsTyped !== 'function' || typeof loadsTyped !== 'function') {
    throw invalid(option, value, 'a serializer with dumpsTyped and loadsTyped');
  }
};
export const keepCheck = integer(1, 1_000_000);
export const SAVER_CHECKS = { prefix: prefixCheck, serde: serdeCheck, keep: keepCheck, onPruneError: callback };
export const PRUNE_CHECKS = { keep: keepCheck, threadId: textCheck, rewrite: boolean, signal: signalCheck };
