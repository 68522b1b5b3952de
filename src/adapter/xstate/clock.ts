/** The time by which actors live: of the system, or of a test. */
import { type Check, invalid } from '../../options.js';

/** What time it is, and timeouts. XState's `SimulatedClock` is one. */
export interface Clock {
  /** Milliseconds, since the epoch as a rule. It goes on over the restarts of a host. */
  now(): number;
  setTimeout(run: () => void, ms: number): unknown;
  // biome-ignore lint/suspicious/noExplicitAny: whatever its setTimeout gave
  clearTimeout(handle: any): void;
}

export const systemClock: Clock = {
  now: Date.now,
  setTimeout: (run, ms) => setTimeout(run, ms),
  clearTimeout: (handle) => clearTimeout(handle),
};

export const clockCheck: Check = (value, option) => {
  const clock = value as Partial<Clock> | null;
  if (
    typeof clock?.now !== 'function' ||
    typeof clock.setTimeout !== 'function' ||
    typeof clock.clearTimeout !== 'function'
  ) {
    throw invalid(option, value, 'a clock: { now, setTimeout, clearTimeout }');
  }
};
