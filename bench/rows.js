/** Rows: one figure of Varve, the peer's, their ratio, and the target. */
import { quantile } from './measure.js';

/** @typedef {'µs' | 'ms' | '/s' | 'GB/s' | 'KiB' | 'MiB'} Unit */

/**
 * `value` is the median of the rounds, or a statistic over all operations where `Row.statistic` says so. `p10` and `p90`
 * are always those of the rounds' own values.
 *
 * @typedef {{ value: number, p10: number, p90: number }} Figure
 */

/**
 * @typedef {object} Target
 * @property {'value' | 'ratio'} of
 * @property {'<' | '≤' | '≥'} is
 * @property {number} than
 */

/**
 * @typedef {object} Row
 * @property {string} id
 * @property {string} what
 * @property {string} durability what holds when the timed operation is over
 * @property {string} statistic
 * @property {Unit} unit
 * @property {number} rounds
 * @property {Figure} varve
 * @property {(Figure & { what: string }) | null} peer
 * @property {Figure | null} ratio Varve's value by the peer's, round by round
 * @property {(Target & { met: boolean }) | null} target
 * @property {string} note
 */

/** @type {{ written: string, handedOver: string, durable: string, read: string, opened: string, none: string }} */
export const DURABILITY = {
  written: 'written: survives the death of the process, not power loss',
  handedOver: 'handed over when the timed part ends: survives the death of the process, not power loss',
  durable: 'durable: an fdatasync that began after the write has returned',
  read: 'reads durable records',
  opened: 'opens a log that was closed in good order, all of it durable',
  none: '—',
};

/**
 * @param {object} given
 * @param {string} given.id
 * @param {string} given.what
 * @param {string} given.durability
 * @param {Unit} given.unit
 * @param {number[]} given.values one a round
 * @param {number} [given.overall] the statistic over all operations
 * @param {string} [given.statistic]
 * @param {{ what: string, values: number[], overall?: number }} [given.peer]
 * @param {Target} [given.target]
 * @param {string} [given.note]
 * @returns {Row}
 */
export function makeRow({ statistic = 'median', peer, target, note = '', ...given }) {
  const { id, what, durability, unit, values } = given;
  const varve = figure(values, given.overall);
  const ratios = peer?.values.map((theirs, round) => /** @type {number} */ (values[round]) / theirs);
  const ratio = ratios === undefined ? null : figure(ratios);
  return {
    id,
    what,
    durability,
    statistic,
    unit,
    rounds: values.length,
    varve,
    peer: peer === undefined ? null : { what: peer.what, ...figure(peer.values, peer.overall) },
    ratio,
    target: target === undefined ? null : { ...target, met: isMet(target, varve, ratio) },
    note,
  };
}

/** @param {number[]} values @param {number} [overall] @returns {Figure} */
function figure(values, overall) {
  return { value: overall ?? quantile(values, 0.5), p10: quantile(values, 0.1), p90: quantile(values, 0.9) };
}

/** @param {Target} target @param {Figure} varve @param {Figure | null} ratio */
function isMet({ of, is, than }, varve, ratio) {
  const { value } = of === 'ratio' && ratio !== null ? ratio : varve;
  return is === '<' ? value < than : is === '≤' ? value <= than : value >= than;
}

/** @param {number} value */
export function formatNumber(value) {
  const digits = value === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** @param {Figure} figure */
export function formatSpread({ p10, p90 }) {
  return `${formatNumber(p10)} – ${formatNumber(p90)}`;
}

/** @param {Row} row */
export function formatTarget({ target, unit }) {
  if (target === null) return '';
  const than = target.than.toLocaleString('en-US');
  return `${target.is} ${than}${target.of === 'ratio' ? '×' : ` ${unit}`}`;
}
