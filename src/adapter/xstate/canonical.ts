/**
 * One form for states that are the same: the order of keys, and of the states that a history state remembers, means nothing.
 * That of active states does, and stands in their configuration (seam.ts).
 */
import { isPlain } from './error-data.js';

/** A copy in which keys are sorted, and remembered states as well. */
export function canonical(value: unknown, key = ''): unknown {
  if (typeof value !== 'object' || value === null || !isPlain(value)) return value;
  if (Array.isArray(value)) return value.map((item) => canonical(item));
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  const remembered = key === 'historyValue';
  return Object.fromEntries(
    entries.map(([name, field]) => [name, remembered && Array.isArray(field) ? byId(field) : canonical(field, name)]),
  );
}

function byId(states: readonly { readonly id: string }[]): readonly { readonly id: string }[] {
  return [...states].sort((a, b) => (a.id < b.id ? -1 : 1));
}
