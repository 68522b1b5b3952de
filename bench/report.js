/** The tables on the screen. */
import { formatNumber, formatSpread, formatTargets, withoutRepetition } from './rows.js';

/** @typedef {import('./rows.js').Row} Row */

const HEADINGS = ['', 'Varve', 'p10 – p90', 'against', 'it', 'p10 – p90', 'ratio', 'p10 – p90', 'target', ''];

/** @param {readonly Row[]} rows */
export function renderTable(rows) {
  const lines = [HEADINGS, ...withoutRepetition(rows.map(cells))];
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
  const { varve, peer, ratio, targets, unit } = row;
  return [
    row.what,
    `${formatNumber(varve.value)} ${unit}`,
    formatSpread(varve),
    peer === null ? '' : peer.what,
    peer === null ? '' : `${formatNumber(peer.value)} ${unit}`,
    peer === null ? '' : formatSpread(peer),
    ratio === null ? '' : `${formatNumber(ratio.value)}×`,
    ratio === null ? '' : formatSpread(ratio),
    formatTargets(row).join(', '),
    targets.map(({ met }) => (met ? 'met' : 'NOT MET')).join(', '),
  ];
}

/** @param {readonly Row[]} rows */
export function renderNotes(rows) {
  return [...new Set(rows.map((row) => row.note))].filter((note) => note !== '');
}

/** @param {readonly Row[]} rows */
export function renderSummary(rows) {
  const targets = rows.flatMap((row) => row.targets);
  const missed = rows.flatMap((row) => {
    const texts = formatTargets(row);
    return row.targets.flatMap(({ met }, i) => (met ? [] : [`  not met: ${row.id}, ${texts[i]}`]));
  });
  return [`${targets.length - missed.length} of ${targets.length} targets met`, ...missed].join('\n');
}
