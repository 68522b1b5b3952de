/**
 * Makes flights-2001.csv.gz out of flights-20k.json of the npm package vega-datasets:
 *
 *   npm install --prefix "$(mktemp -d)" vega-datasets@3.2.1
 *   node examples/data/make-flights.js <where it was installed>/node_modules/vega-datasets/data/flights-20k.json
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const [input] = process.argv.slice(2);
if (input === undefined) throw new Error('Give the path of flights-20k.json.');

const columns = ['date', 'origin', 'destination', 'distance', 'delay'];
const flights = JSON.parse(readFileSync(input, 'utf8'));
const lines = [columns, ...flights.map((flight) => columns.map((column) => flight[column]))];
const csv = `${lines.map((line) => line.join(',')).join('\n')}\n`;

const output = new URL('flights-2001.csv.gz', import.meta.url);
writeFileSync(output, gzipSync(csv, { level: 9, memLevel: 9 }));
console.log(`${flights.length} flights, ${readFileSync(output).length} bytes`);
