/** Command line of the benchmarks. */
import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { GROUPS } from './groups.js';

const DEFAULT_ROUNDS = 20;
const QUICK_ROUNDS = 2;

export const HELP = `Compares Varve with its peers and with raw system calls, in interleaved rounds, each group of rows in a process of its own.

  npm run bench -- [options]

  --quick             tiny sizes and few rounds: to see that it works; its figures mean nothing
  --only <name>       only these rows; may be given more than once, or with commas:
                      ${GROUPS.slice(0, 10).join(', ')},
                      ${GROUPS.slice(10).join(', ')}
  --no-peers          without the packages that it is compared with; they are not installed either
  --rounds <n>        rounds, default ${DEFAULT_ROUNDS} (${QUICK_ROUNDS} with --quick); rows that take long make a part of them
  --directory <path>  where the files are made, and removed again; default: the system's temporary directory
  --write-docs        also writes docs/benchmarks.md and docs/charts; only for a full run
  --docs-only         writes them from bench/results/published.json, measuring nothing
  --help

Results go to bench/results/latest.json.`;

export class OptionError extends Error {}

/**
 * @typedef {object} Options
 * @property {boolean} help
 * @property {boolean} quick
 * @property {boolean} peers
 * @property {boolean} writeDocs
 * @property {boolean} docsOnly
 * @property {string[]} only names of groups; empty for all
 * @property {string} directory
 * @property {number} rounds
 */

/** @param {string[]} args @returns {Options} */
export function readOptions(args) {
  const { values } = parse(args);
  const quick = values.quick === true;
  const writeDocs = values['write-docs'] === true;
  const only = (values.only ?? []).flatMap((names) => names.split(','));
  for (const name of only) {
    if (!GROUPS.some((group) => group === name)) {
      throw new OptionError(`--only ${name}: known are ${GROUPS.join(', ')}`);
    }
  }
  const rounds = values.rounds === undefined ? (quick ? QUICK_ROUNDS : DEFAULT_ROUNDS) : Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 10_000) {
    throw new OptionError(`--rounds ${values.rounds}: it must be an integer from 1 to 10000`);
  }
  const peers = values['no-peers'] !== true;
  if (writeDocs && (quick || only.length > 0 || !peers)) {
    throw new OptionError(
      '--write-docs publishes figures, so it takes a full run: without --quick, --only and --no-peers',
    );
  }
  const directory = resolve(values.directory ?? tmpdir());
  const docsOnly = values['docs-only'] === true;
  return { help: values.help === true, quick, peers, writeDocs, docsOnly, only, directory, rounds };
}

/** @param {string[]} args */
function parse(args) {
  try {
    return parseArgs({
      args,
      options: {
        help: { type: 'boolean' },
        quick: { type: 'boolean' },
        only: { type: 'string', multiple: true },
        rounds: { type: 'string' },
        directory: { type: 'string' },
        'no-peers': { type: 'boolean' },
        'write-docs': { type: 'boolean' },
        'docs-only': { type: 'boolean' },
      },
    });
  } catch (error) {
    throw new OptionError(/** @type {Error} */ (error).message);
  }
}

/**
 * The command that gave the figures, without the paths of the machine it ran on.
 *
 * @param {Options} options
 */
export function commandOf(options) {
  const parts = [];
  if (options.quick) parts.push('--quick');
  for (const name of options.only) parts.push(`--only ${name}`);
  if (options.rounds !== (options.quick ? QUICK_ROUNDS : DEFAULT_ROUNDS)) parts.push(`--rounds ${options.rounds}`);
  if (options.directory !== resolve(tmpdir())) parts.push('--directory …');
  if (!options.peers) parts.push('--no-peers');
  if (options.writeDocs) parts.push('--write-docs');
  return parts.length === 0 ? 'npm run bench' : `npm run bench -- ${parts.join(' ')}`;
}
