/**
 * Faults by rule: which operation fails (kind, file, occurrence), and how.
 *
 * ```ts
 * disk.faults.add({ kind: 'sync', file: 'part_1_*', nth: 3, fault: { error: 'EIO' } });
 * ```
 */
import type { WritebackFailure } from './inode.js';
import type { Operation, OperationKind } from './operations.js';

export type Fault =
  /** The operation fails and does nothing; a write or allocate may do its first `after` bytes (a short write). */
  | { readonly error: string; readonly after?: number }
  /** Virtual milliseconds pass. */
  | { readonly delay: number }
  /** The operation ends only after this has resolved; not for those on the calling thread. */
  | { readonly hold: Promise<unknown> }
  /**
   * A failed fsync: what is dirty does not reach the disk and is called clean. 'now': this sync says so (EIO).
   * 'next': this sync keeps its word; what is written from then on until the next sync of the file is lost, and that one says so.
   */
  | { readonly writeback: WritebackFailure; readonly report?: 'now' | 'next' }
  /** The read gets bytes with one bit turned: bit `bit` of the byte at `offset` of the file, if that is read. */
  | { readonly flip: { readonly offset: number; readonly bit: number } }
  /** The write goes to another place, `misdirect` bytes away. */
  | { readonly misdirect: number };

export interface FaultRule {
  readonly kind: OperationKind;
  /** File name: a pattern with `*` and `?`, or a regular expression. */
  readonly file: string | RegExp;
  /** The first matching operation that it applies to: 1 is the next one. Default 1. */
  readonly nth?: number;
  /** To how many it applies. Default 1. */
  readonly times?: number;
  readonly fault: Fault;
}

interface Counted {
  readonly rule: FaultRule;
  readonly pattern: RegExp;
  seen: number;
}

export class Faults {
  #rules: Counted[] = [];
  /** Operations that a rule was applied to. */
  readonly applied: { readonly operation: Operation; readonly fault: Fault }[] = [];

  /** Adds a rule; returns a function that lifts it. Of several that match, the one added first applies. */
  add(rule: FaultRule): () => void {
    const counted = { rule, pattern: globToRegExp(rule.file), seen: 0 };
    this.#rules.push(counted);
    return () => {
      this.#rules = this.#rules.filter((other) => other !== counted);
    };
  }

  /** The fault of this operation, if a rule has one for it. */
  match(operation: Operation): Fault | undefined {
    if (this.#rules.length === 0) return undefined;
    const name = operation.path.slice(operation.path.lastIndexOf('/') + 1);
    let found: Fault | undefined;
    for (const counted of this.#rules) {
      const { kind, nth = 1, times = 1, fault } = counted.rule;
      if (kind !== operation.kind || !counted.pattern.test(name)) continue;
      counted.seen++;
      if (found === undefined && counted.seen >= nth && counted.seen < nth + times) found = fault;
    }
    if (found !== undefined) this.applied.push({ operation, fault: found });
    return found;
  }
}

function globToRegExp(glob: string | RegExp): RegExp {
  if (typeof glob !== 'string') return glob;
  const escaped = glob.replace(/[.+^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`);
}
