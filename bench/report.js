/** The tables on the screen. */
import { formatNumber, formatSpread, formatTarget } from './rows.js';

/** @typedef {import('./rows.js').Row} Row */

const HEADINGS = ['', 'Varve', 'p10 – p90', 'peer', 'p10 – p90', 'ratio', 'p10 – p90', 'target', ''];

/** @param {readonly Row[]} rows */
export function renderTable(rows) {
  const lines = [HEADINGS, ...rows.map(cells)];
  const used = HEADINGS.map((_, column) => rows.length === 0 || lines.slice(1).some((line) => line[column] !== ''));
  const widths = HEADINGS.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .filter((_, column) => used[column])
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** @param {Row} row */
function cells(row) {
  const { varve, peer, ratio, target, unit } = row;
  return [
    row.what,
    `${formatNumber(varve.value)} ${unit}`,
    formatSpread(varve),
    peer === null ? '' : `${formatNumber(peer.value)} ${unit}`,
    peer === null ? '' : formatSpread(peer),
    ratio === null ? '' : `${formatNumber(ratio.value)}×`,
    ratio === null ? '' : formatSpread(ratio),
    formatTarget(row),
    target === null ? '' : target.met ? 'met' : 'NOT MET',
  ];
}

/** @param {readonly Row[]} rows */
export function renderNotes(rows) {
  return [...new Set(rows.map((row) => row.note))].filter((note) => note !== '').map((note) => `  ${note}`);
}

/** @param {readonly Row[]} rows */
export function renderSummary(rows) {
  const targets = rows.flatMap((row) => (row.target === null ? [] : [row]));
  const missed = targets.filter((row) => row.target?.met === false);
  return [
    `${targets.length - missed.length} of ${targets.length} targets met`,
    ...missed.map((row) => `  not met: ${row.id}, ${formatTarget(row)}`),
  ].join('\n');
}
