/** Rounds and their statistics. */

/** Rounds before those that count: until the code is compiled and the files have been touched. */
export const WARM_UP_ROUNDS = 3;

/** On a slow disk or a slow machine there are fewer rounds than were asked for, so that a run always comes to its end. */
const ENOUGH_MS = 30_000;
const LEAST_ROUNDS = 3;

/**
 * Runs every contestant once a round, first to last and last to first in turn, so that what drifts (clock rate, caches,
 * neighbours) meets all of them alike. A contestant does its own timing, so that what it prepares and checks stays out.
 *
 * @template {string} Name
 * @param {object} race
 * @param {number} race.rounds
 * @param {number} [race.warmUp]
 * @param {Record<Name, (round: number) => Promise<number>>} race.contestants each resolves with the value of one round
 * @param {(text: string) => void} race.progress
 * @returns {Promise<Record<Name, number[]>>} the values of each, round by round
 */
export async function interleave({ rounds, warmUp = WARM_UP_ROUNDS, contestants, progress }) {
  const names = /** @type {Name[]} */ (Object.keys(contestants));
  const values = /** @type {Record<Name, number[]>} */ ({});
  for (const name of names) values[name] = [];
  const started = performance.now();
  for (let round = -warmUp; round < rounds; round++) {
    if (round >= LEAST_ROUNDS && performance.now() - started > ENOUGH_MS) break;
    progress(round < 0 ? 'warm-up' : `round ${round + 1} of ${rounds}`);
    for (const name of round % 2 === 0 ? names : [...names].reverse()) {
      const value = await contestants[name](round);
      if (round >= 0) values[name].push(value);
    }
  }
  return values;
}

/**
 * @param {ArrayLike<number>} values
 * @param {number} q 0 … 1; in between values it is interpolated
 */
export function quantile(values, q) {
  const sorted = Float64Array.from(values).sort();
  if (sorted.length === 0) throw new Error('No values were measured');
  const at = (sorted.length - 1) * q;
  const low = /** @type {number} */ (sorted[Math.floor(at)]);
  const high = /** @type {number} */ (sorted[Math.ceil(at)]);
  return low + (high - low) * (at - Math.floor(at));
}

/** @param {ArrayLike<number>} values */
export function mean(values) {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += /** @type {number} */ (values[i]);
  return sum / values.length;
}

/**
 * A figure that does not fit what was done is worse than none.
 *
 * @param {boolean} holds
 * @param {string} what
 * @returns {asserts holds}
 */
export function check(holds, what) {
  if (!holds) throw new Error(`The benchmark is wrong: ${what}`);
}
