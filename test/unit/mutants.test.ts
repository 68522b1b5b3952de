/** The list of mutants (test/mutants) keeps up with the sources; whether they die is for `npm run test:mutants` to say. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { transformSync } from '@swc/core';
import { mutants, SHORT } from '../mutants/index.js';
import { mutate } from '../mutants/mutant.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const sourceOf = (file: string) => readFileSync(root + file, 'utf8');

describe('the mutants', () => {
  test('have ids of their own, each a few words', () => {
    const ids = mutants.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.filter((id) => !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(id))).toEqual([]);
  });

  test.each(mutants.map((mutant) => [mutant.id, mutant] as const))('%s fits the source, once', (_id, mutant) => {
    const source = sourceOf(mutant.file);
    expect(mutant.file).toMatch(/^src\/.+\.ts$/);
    expect(mutate(mutant, source)).not.toBe(source);
    expect(mutant.breaks).toMatch(/^\S.*\.$/);
    expect(mutant.tests).not.toEqual([]);
    expect(mutant.tests.filter((file) => !existsSync(root + file))).toEqual([]);
  });

  test('are still programs', () => {
    const parser = { syntax: 'typescript', target: 'es2022' } as const;
    for (const mutant of mutants) {
      expect(() => transformSync(mutate(mutant, sourceOf(mutant.file)), { jsc: { parser } })).not.toThrow();
    }
  });

  test('all stand in the list', () => {
    const ids = new Set(mutants.map(({ id }) => id));
    const named = readdirSync(`${root}test/mutants/lists`).flatMap((name) =>
      [...sourceOf(`test/mutants/lists/${name}`).matchAll(/^ {4}id: '(.+)',$/gm)].map((match) => match[1]),
    );
    expect(named.filter((id) => id === undefined || !ids.has(id))).toEqual([]);
  });

  test('of the short run are among them', () => {
    expect(SHORT.filter((id) => !mutants.some((mutant) => mutant.id === id))).toEqual([]);
    expect(SHORT.length).toBeGreaterThan(0);
  });
});

describe('a mutant', () => {
  const mutant = { id: 'm', breaks: 'It.', file: 'src/a.ts', search: 'b', replace: '$&c', tests: ['t'] };

  test('stands in the place of what it searches for, as it is', () => {
    expect(mutate(mutant, 'abc')).toBe('a$&cc');
  });

  test.each([
    ['acc', 0],
    ['abcb', 2],
  ])('is refused where that is not there once: %s', (source, count) => {
    expect(() => mutate(mutant, source)).toThrow(`m: its search text occurs ${count} times in src/a.ts, not once`);
  });

  test('is refused where it changes nothing', () => {
    expect(() => mutate({ ...mutant, replace: 'b' }, 'abc')).toThrow('m: it changes nothing');
  });
});
