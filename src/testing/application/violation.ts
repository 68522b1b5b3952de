/** What a property about crashes throws: what went wrong, and the life that led to it. */
import type { Crash } from './crash-points.js';

export class CrashRecoveryViolation extends Error {
  /** The crashes before it, in the order of time. */
  readonly crashes: readonly Crash[];
  /** What was done, one line each. */
  readonly history: readonly string[];

  constructor(what: string, history: readonly string[], crashes: readonly Crash[], cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    super(`${what}: ${why}\n${history.map((line, i) => `  ${i + 1}. ${line}`).join('\n')}`, { cause });
    this.name = 'CrashRecoveryViolation';
    this.crashes = crashes;
    this.history = history;
  }
}
