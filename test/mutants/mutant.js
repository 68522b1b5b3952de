/** What a mutant is, and applying one. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/**
 * One small patch that breaks one promise of the log.
 *
 * @typedef {object} Mutant
 * @property {string} id Unique; lower-case words with hyphens.
 * @property {string} breaks One line: what is wrong with the log that has this patch.
 * @property {string} file From the root of the repository: `src/…`.
 * @property {string} search Text that occurs exactly once in the file.
 * @property {string} replace What stands there instead.
 * @property {string[]} tests The test files that should notice, quickest first.
 * @property {number} [runs] VARVE_TEST_RUNS for them, where the usual few do not suffice.
 */

/**
 * `source` with the mutant's patch. Throws where the text to be replaced does not occur exactly once, or changes nothing.
 *
 * @param {Mutant} mutant
 * @param {string} source
 * @returns {string}
 */
export function mutate(mutant, source) {
  const count = source.split(mutant.search).length - 1;
  if (mutant.search === '' || count !== 1) {
    throw new Error(`${mutant.id}: its search text occurs ${count} times in ${mutant.file}, not once`);
  }
  if (mutant.search === mutant.replace) throw new Error(`${mutant.id}: it changes nothing`);
  // Not a plain string, in which `$` would have a meaning.
  return source.replace(mutant.search, () => mutant.replace);
}

/**
 * Applies the mutant in the tree at `root`; returns what takes it back.
 *
 * @param {Mutant} mutant
 * @param {string} root
 * @returns {() => void}
 */
export function applyMutant(mutant, root) {
  const file = path.join(root, mutant.file);
  const source = readFileSync(file, 'utf8');
  writeFileSync(file, mutate(mutant, source));
  return () => writeFileSync(file, source);
}
