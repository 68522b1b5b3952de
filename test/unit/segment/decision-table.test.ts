/** The rows of the decision table have the same letters in the code, on its page, and in the names of the tests. */
import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';

const ROOT = new URL('../../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, ROOT), 'utf8');

/** First groups of all matches, sorted. */
const letters = (text: string, pattern: RegExp): string =>
  [...new Set([...text.matchAll(pattern)].map((match) => match[1]))].sort().join('');

const code = ['recovery', 'segment-heads', 'seals', 'log-end', 'rewind']
  .map((name) => read(`src/segment/${name}.ts`))
  .join('');
const page = read('docs/recovery.md');
const tests = read('test/unit/segment/recovery.test.ts');

test('each row is on the page, in an example, and tested', () => {
  const rows = letters(code, /^ \* {3}([A-Z]) {2}/gm);
  expect(rows).toBe('ABCDEFGHIJ');
  expect(letters(page, /^\| ([A-Z]) {3}\|/gm)).toBe(rows);
  expect(letters(page, /^\*\*([A-Z])[.,]/gm)).toBe(rows);
  expect(letters(tests, /^describe\('recovery ([A-Z]):/gm)).toBe(rows);
});

test('each refusal of recovery is in the table of messages, with its row', () => {
  // What `damaged` and the local `fault` are given, and the two that one condition chooses from.
  const messages = [
    ...code.matchAll(/(?:damaged\([^'`]*?|fault\([^'`]*?|corruption\(|[?:] )(['`])((?:[A-Z])[^'`]{12,}?)\1/g),
  ]
    .map((match) => (match[2] as string).replace(/ \(?\$\{.*$/, '').trim())
    .filter((message) => !message.startsWith('Partition'));
  expect(messages.length).toBeGreaterThan(12);
  const table = page.slice(page.indexOf('| the message begins with'), page.indexOf('Then, in this order'));
  const firstColumn = table.replace(/^(\| .*?) \|.*$/gm, '$1');
  const known = [...firstColumn.matchAll(/`([^`]+)`/g)].map((match) => (match[1] as string).replace(/ …$/, ''));
  const missing = messages.filter((message) => !known.some((start) => message.startsWith(start)));
  expect(missing).toEqual([]);
  for (const start of known) expect(code).toContain(start);
});
