/** Rows: one figure of Varve, a peer's, their ratio, and the targets. */
import { quantile } from './measure.js';
import { TARGETS } from './targets.js';

/** @typedef {'ns' | 'µs' | 'ms' | 's' | '/s' | 'GB/s' | 'KiB' | 'MiB' | '×'} Unit */

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
 * @property {(Figure & { what: string, durability: string }) | null} peer
 * @property {Figure | null} ratio Varve's value by the peer's, round by round
 * @property {(Target & { met: boolean })[]} targets
 * @property {string} note
 */

/** Cells of a line that tell of Varve alone. */
const OURS = 3;

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
 * @param {{ what: string, durability?: string, values: number[], overall?: number }} [given.peer] the same durability if none is named
 * @param {string} [given.note]
 * @returns {Row}
 */
export function makeRow({ statistic = 'median', peer, note = '', ...given }) {
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
    peer:
      peer === undefined
        ? null
        : { what: peer.what, durability: peer.durability ?? durability, ...figure(peer.values, peer.overall) },
    ratio,
    targets: (TARGETS[id] ?? []).map((target) => ({ ...target, met: isMet(target, varve, ratio) })),
    note,
  };
}

/**
 * A row for each peer that the same figures of Varve are compared with.
 *
 * @param {Omit<Parameters<typeof makeRow>[0], 'peer'>} given its id gets `-vs-` and the peer's
 * @param {readonly { id: string, name: string, durability: string, values: number[], overall?: number }[]} peers
 */
export function rowsAgainst(given, peers) {
  return peers.map(({ id, name, ...peer }) =>
    makeRow({ ...given, id: `${given.id}-vs-${id}`, peer: { what: name, ...peer } }),
  );
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
export function formatTargets({ targets, unit }) {
  return targets.map(({ is, than, of }) => `${is} ${than.toLocaleString('en-US')}${of === 'ratio' ? '×' : ` ${unit}`}`);
}

/**
 * The cells of a table, without those of Varve where they are the same as in the line above: the same row, against
 * another peer.
 *
 * @param {string[][]} lines
 */
export function withoutRepetition(lines) {
  const same = (/** @type {string[]} */ line, /** @type {string[] | undefined} */ above) =>
    line.slice(0, OURS).every((cell, column) => cell === above?.[column]);
  return lines.map((line, i) =>
    same(line, lines[i - 1]) ? [...Array.from({ length: OURS }, () => ''), ...line.slice(OURS)] : line,
  );
}
