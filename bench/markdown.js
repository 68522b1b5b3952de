/** docs/benchmarks.md, made from the results and from nothing else. */
import { formatNumber, formatSpread, formatTarget } from './rows.js';

/** @typedef {import('./rows.js').Row} Row */

const NOT_MEASURED = [
  'Power loss. What is durable here is what fdatasync says; a drive that lies about its cache is not found out.',
  'Other file systems, other disks, and disks that are busy with something else.',
  'Reading from a cold page cache: bytes that are read have been written or read shortly before.',
  'Recovery after a crash, which also writes what nothing proves to be durable once more, and cuts a torn tail.',
  'Records larger than 16 KiB, and many partitions that are written to at the same time.',
  'Adapters, observables, followers, and a reader in another process.',
];

/** @param {import('./run.js').Results} results */
export function renderDocs(results) {
  const { machine, groups } = results;
  const rows = groups.flatMap((group) => group.rows);
  const targets = rows.filter((row) => row.target !== null);
  const met = targets.filter((row) => row.target?.met).length;
  const cpu = `${machine.cpu}, ${machine.cores} cores${machine.virtual ? ', virtual machine' : ''}`;
  return `${[
    '# Benchmarks',
    '',
    '<!-- Written by `npm run bench -- --write-docs`. Do not edit. -->',
    '',
    'Figures of one machine on one day. Ratios travel better than times; run them where it matters to you.',
    '',
    '| | |',
    '|---|---|',
    `| Processor | ${cpu} |`,
    `| Memory | ${machine.memoryGiB} GiB |`,
    `| Kernel | ${machine.kernel} |`,
    `| File system | ${machine.fileSystem} |`,
    `| Node.js | ${machine.node} |`,
    `| Varve | ${results.varve} |`,
    `| Load average before the run | ${machine.loadBefore} |`,
    `| Date | ${results.date} |`,
    `| Command | \`${results.command}\` |`,
    `| Duration | ${Math.ceil(results.seconds / 60)} min |`,
    '',
    `${met} of ${targets.length} targets are met. A missed target fails nothing.`,
    '',
    '## How it is measured',
    '',
    'Varve and the raw system calls run in one process, in rounds, in turn, and which of them begins changes with each',
    'round. Rounds that warm up come before and do not count. What is set up, synced afterwards or checked is not timed.',
    'After each timed part the numbers of records, and the last LSN, are compared with what they must be.',
    '',
    'A figure is the median of the rounds unless its row names another statistic; p10 – p90 is the spread of the rounds’',
    'own values. The ratio is Varve’s value by the peer’s, taken round by round; its median counts for the target.',
    ...groups.flatMap((group) => [
      '',
      `## ${group.title}`,
      '',
      group.method,
      '',
      ...table(group.rows),
      ...legend(group.rows),
    ]),
    '',
    '## What is not measured',
    '',
    ...NOT_MEASURED.map((line) => `- ${line}`),
  ].join('\n')}\n`;
}

/** @param {readonly Row[]} rows */
function table(rows) {
  const peers = rows.some((row) => row.peer !== null);
  const targets = rows.some((row) => row.target !== null);
  const headings = ['', 'Varve', 'p10 – p90'];
  if (peers) headings.push('peer', 'p10 – p90', 'ratio', 'p10 – p90');
  if (targets) headings.push('target', 'met');
  return [
    `| ${headings.join(' | ')} |`,
    `|---|${'---:|'.repeat(headings.length - 1)}`,
    ...rows.map((row) => `| ${cells(row, peers, targets).join(' | ')} |`),
  ];
}

/** @param {Row} row @param {boolean} peers @param {boolean} targets */
function cells(row, peers, targets) {
  const { what, varve, peer, ratio, target, unit } = row;
  const line = [what, `${formatNumber(varve.value)} ${unit}`, formatSpread(varve)];
  if (peers) {
    line.push(peer === null ? '' : `${formatNumber(peer.value)} ${unit}`, peer === null ? '' : formatSpread(peer));
    line.push(ratio === null ? '' : `${formatNumber(ratio.value)}×`, ratio === null ? '' : formatSpread(ratio));
  }
  if (targets) line.push(formatTarget(row), target === null ? '' : target.met ? 'yes' : '**no**');
  return line;
}

/** Durability, peer and statistic of the rows, each said once for all the rows that share it. @param {readonly Row[]} rows */
function legend(rows) {
  const facts = [
    ...shared(rows, 'Durability', (row) => row.durability),
    ...shared(rows, 'Peer', (row) => row.peer?.what ?? ''),
    ...shared(rows, 'Statistic', (row) => row.statistic),
    ...shared(rows, 'Note', (row) => row.note),
    ...shared(rows, 'Rounds', (row) => String(row.rounds)),
  ];
  return facts.length === 0 ? [] : ['', ...facts];
}

/** @param {readonly Row[]} rows @param {string} name @param {(row: Row) => string} fact */
function shared(rows, name, fact) {
  /** @type {Map<string, string[]>} */
  const byFact = new Map();
  for (const row of rows) byFact.set(fact(row), [...(byFact.get(fact(row)) ?? []), row.what]);
  return [...byFact]
    .filter(([value]) => value !== '' && value !== '—')
    .map(([value, whats]) => `- ${name}${byFact.size === 1 ? '' : ` (${whats.join('; ')})`}: ${value}.`);
}
