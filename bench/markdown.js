/** docs/benchmarks.md, made from the results and from nothing else. */
import { EXPLANATIONS } from './explanations.js';
import { formatNumber, formatSpread, formatTargets, withoutRepetition } from './rows.js';

/** @typedef {import('./rows.js').Row} Row */

const NOT_MEASURED = [
  'Power loss. What is durable here is what fdatasync says; a drive that lies about its cache is not found out.',
  'Other file systems, other disks, and disks that are busy with something else.',
  'Reading from a cold page cache: bytes that are read have been written or read shortly before.',
  'Recovery after a crash, which also writes what nothing proves to be durable once more, and cuts a torn tail.',
  'Recovery of records larger than 16 KiB.',
  'Adapters, observables, and a reader in another process.',
];

/** @typedef {{ title: string, command: string, rows: { what: string, value: string }[], date: string, seconds: number }} Scale */

/**
 * @param {import('./run.js').Results} results
 * @param {Map<string, { file: string, title: string }[]>} charts
 * @param {Scale | undefined} scale what `npm run bench:scale` has left
 */
export function renderDocs(results, charts, scale) {
  const { machine, groups } = results;
  const targets = groups.flatMap((group) => group.rows.flatMap((row) => row.targets));
  const met = targets.filter((target) => target.met).length;
  const cpu = `${machine.cpu}, ${machine.cores} cores${machine.virtual ? ', virtual machine' : ''}`;
  const peers = Object.entries(results.peers).map(([name, version]) => `${name} ${version}`);
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
    `| Compared with | ${peers.join(', ')} |`,
    `| Load average before the run | ${machine.loadBefore} |`,
    `| Date | ${results.date} |`,
    `| Command | \`${results.command}\` |`,
    `| Duration | ${Math.ceil(results.seconds / 60)} min |`,
    '',
    `${met} of ${targets.length} targets are met. A missed target fails nothing.`,
    '',
    '## How it is measured',
    '',
    'Each group of rows runs in a process of its own, one after the other. In it, Varve, its peers and the raw system',
    'calls run in rounds, in turn, and which of them begins changes with each round. Rounds that warm up come before and',
    'do not count. What is set up, synced afterwards or checked is not timed. After each timed part the numbers of',
    'records, and the last LSN, are compared with what they must be.',
    '',
    'A figure is the median of the rounds unless its row names another statistic; p10 – p90 is the spread of the rounds’',
    'own values. The ratio is Varve’s value by the other’s, taken round by round; its median counts for the target. Times',
    'are better when they are lower, rates (/s, GB/s) when they are higher.',
    '',
    'Each peer is set up at the durability of the row, in the way that suits it best; where its durability is another, the',
    'row says so. Varve has its default options unless the group says otherwise.',
    ...groups.flatMap((group) => [
      '',
      `## ${group.title}`,
      '',
      group.method,
      ...(charts.get(group.name) ?? []).flatMap(({ file, title }) => ['', `![${title}](charts/${file})`]),
      '',
      ...table(group.rows),
      ...legend(group),
      ...explained(group),
    ]),
    ...(scale === undefined ? [] : scaleSection(scale)),
    '',
    '## What is not measured',
    '',
    ...NOT_MEASURED.map((line) => `- ${line}`),
  ].join('\n')}\n`;
}

/** @param {Scale} scale */
function scaleSection({ title, command, rows, date, seconds }) {
  return [
    '',
    `## ${title}`,
    '',
    `Measured by \`${command}\`, which takes long (${Math.ceil(seconds / 60)} min), on ${date}.`,
    '',
    '| | |',
    '|---|---:|',
    ...rows.map(({ what, value }) => `| ${what} | ${value} |`),
  ];
}

/** @param {readonly Row[]} rows */
function table(rows) {
  const peers = rows.some((row) => row.peer !== null);
  const targets = rows.some((row) => row.targets.length > 0);
  const headings = ['', 'Varve', 'p10 – p90'];
  if (peers) headings.push('against', 'it', 'p10 – p90', 'ratio', 'p10 – p90');
  if (targets) headings.push('target', 'met');
  return [
    `| ${headings.join(' | ')} |`,
    `|${headings.map((heading) => (heading === '' || heading === 'against' ? '---|' : '---:|')).join('')}`,
    ...withoutRepetition(rows.map((row) => cells(row, peers, targets))).map((line) => `| ${line.join(' | ')} |`),
  ];
}

/** @param {Row} row @param {boolean} withPeers @param {boolean} withTargets */
function cells(row, withPeers, withTargets) {
  const { what, varve, peer, ratio, targets, unit } = row;
  const line = [what, `${formatNumber(varve.value)} ${unit}`, formatSpread(varve)];
  if (withPeers) {
    line.push(
      ...(peer === null ? ['', '', ''] : [peer.what, `${formatNumber(peer.value)} ${unit}`, formatSpread(peer)]),
    );
    line.push(...(ratio === null ? ['', ''] : [`${formatNumber(ratio.value)}×`, formatSpread(ratio)]));
  }
  if (withTargets) {
    line.push(formatTargets(row).join(', '), targets.map(({ met }) => (met ? 'yes' : '**no**')).join(', '));
  }
  return line;
}

/** What is the same for many rows, each said once. @param {import('./run.js').GroupResults} group */
function legend({ rows, skipped }) {
  /** @type {Map<string, string>} */
  const ofPeers = new Map();
  for (const { peer, durability } of rows) {
    if (peer !== null && peer.durability !== durability) ofPeers.set(peer.what, peer.durability);
  }
  const facts = [
    ...shared(rows, 'Durability', (row) => row.durability),
    ...[...ofPeers].map(([what, durability]) => `- Durability of ${what}: ${durability}.`),
    ...shared(rows, 'Statistic', (row) => row.statistic),
    ...shared(rows, 'Note', (row) => row.note),
    ...shared(rows, 'Rounds', (row) => String(row.rounds)),
    ...skipped.map((line) => `- ${line}.`),
  ];
  return facts.length === 0 ? [] : ['', ...facts];
}

/** @param {import('./run.js').GroupResults} group */
function explained({ name, rows }) {
  const paragraphs = EXPLANATIONS[name];
  if (paragraphs === undefined || !rows.some((row) => isBehind(row))) return [];
  return ['', '*Where Varve is behind:*', ...paragraphs.flatMap((paragraph) => ['', paragraph])];
}

/** @param {Row} row */
function isBehind({ unit, ratio, targets }) {
  const more = unit === '/s' || unit === 'GB/s';
  return targets.some(({ met }) => !met) || (ratio !== null && (more ? ratio.value < 1 : ratio.value > 1));
}

/** What holds for most rows, and then for which another holds. @param {readonly Row[]} rows @param {string} name @param {(row: Row) => string} fact */
function shared(rows, name, fact) {
  /** @type {Map<string, string[]>} */
  const byFact = new Map();
  for (const row of rows) byFact.set(fact(row), [...(byFact.get(fact(row)) ?? []), row.what]);
  return [...byFact]
    .sort(([, a], [, b]) => b.length - a.length)
    .map(([value, whats], i) => ({ value, of: i === 0 ? '' : ` (${[...new Set(whats)].join('; ')})` }))
    .filter(({ value }) => value !== '' && value !== '—' && value !== 'none')
    .map(({ value, of }) => `- ${name}${of}: ${value}.`);
}
