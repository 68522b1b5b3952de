/** docs/charts: bars of the figures, drawn by ECharts without a browser. */
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { formatNumber } from './rows.js';

const WIDTH = 860;
const BAR_HEIGHT = 24;
/** Of the widest fonts that may stand in for the one that is asked for. */
const CHARACTER_WIDTH = 7.5;
const VARVE = '#2f6f8f';
const PEER = '#b9b4a8';

/**
 * Draws what the groups ask for; resolves with the names of the files by group.
 *
 * @param {readonly import('./run.js').GroupResults[]} groups
 * @param {URL} directory
 * @returns {Promise<Map<string, { file: string, title: string }[]>>}
 */
export async function drawCharts(groups, directory) {
  const echarts = await import('echarts');
  await mkdir(directory, { recursive: true });
  for (const name of await readdir(directory)) if (name.endsWith('.svg')) await rm(new URL(name, directory));
  const drawn = new Map();
  for (const { name, rows, charts } of groups) {
    const files = [];
    for (const chart of charts) {
      const bars = chart.bars.flatMap(({ label, rows: ids }) =>
        barsOf(
          label,
          ids.flatMap((id) => rows.filter((row) => row.id === id)),
        ),
      );
      if (bars.length === 0) continue;
      const file = `${chart.name}.svg`;
      await writeFile(new URL(file, directory), draw(echarts, chart, bars));
      files.push({ file, title: chart.title });
    }
    drawn.set(name, files);
  }
  return drawn;
}

/**
 * Varve once, and each of the peers of these rows.
 *
 * @param {string} label
 * @param {readonly import('./rows.js').Row[]} rows
 */
function barsOf(label, rows) {
  const first = rows[0];
  if (first === undefined) return [];
  const name = (/** @type {string} */ who) => (label === '' ? who : `${label}: ${who}`);
  return [
    { name: name('Varve'), value: first.varve.value, color: VARVE },
    ...rows.flatMap(({ peer }) => (peer === null ? [] : [{ name: name(peer.what), value: peer.value, color: PEER }])),
  ];
}

/** @param {any} echarts @param {import('./groups.js').Chart} chart @param {{ name: string, value: number, color: string }[]} bars */
function draw(echarts, { title, unit, logarithmic }, bars) {
  const drawing = echarts.init(null, null, {
    renderer: 'svg',
    ssr: true,
    width: WIDTH,
    height: bars.length * BAR_HEIGHT + 80,
  });
  drawing.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    textStyle: { fontFamily: 'Helvetica, Arial, sans-serif' },
    title: { text: title, left: 'center', textStyle: { fontSize: 14 } },
    grid: {
      left: Math.max(...bars.map(({ name }) => name.length)) * CHARACTER_WIDTH + 16,
      right: 120,
      top: 40,
      bottom: 32,
    },
    xAxis: {
      type: logarithmic ? 'log' : 'value',
      ...(logarithmic ? { min: 10 ** Math.floor(Math.log10(Math.min(...bars.map(({ value }) => value)))) } : {}),
      axisLabel: { formatter: axisLabel(unit), hideOverlap: true },
    },
    yAxis: { type: 'category', inverse: true, data: bars.map((bar) => bar.name), axisTick: { show: false } },
    series: [
      {
        type: 'bar',
        data: bars.map(({ value, color }) => ({ value, itemStyle: { color } })),
        label: {
          show: true,
          position: 'right',
          formatter: (/** @type {{ value: number }} */ { value }) => `${formatNumber(value)} ${unit}`,
        },
      },
    ],
  });
  const svg = drawing.renderToSVGString();
  drawing.dispose();
  return `${svg}\n`;
}

/** @param {string} unit */
const axisLabel = (unit) => (/** @type {number} */ value) => `${value.toLocaleString('en-US')} ${unit}`;
