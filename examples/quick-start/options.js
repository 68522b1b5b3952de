/** The command line of the quick start. */
import { parseArgs } from 'node:util';

export const HELP = `npm start [-- options]

Appends real flights to a log in a child process, kills it in the middle, recovers, proves that nothing was lost,
goes on, answers a question out of the log, and purges it.

  --directory DIR   Put the log in a new directory DIR/run-N and keep it. Default: a temporary directory.
  --keep            Keep the temporary directory.
  --flights N       How many flights, 1 to 20000. Default: 20000.
  --kill-after N    Kill the writer at this many acknowledgements. Default: half of the flights.
  --io MODE         How the log writes: auto, mmap or write. Default: auto.
  --help            Show this.

With VARVE_NATIVE=0 in the environment it runs without native parts, with NO_COLOR=1 without colours.
Exit code: 0 nothing was lost, 1 failed, 2 wrong options, 130 interrupted.`;

const ALL_FLIGHTS = 20_000;
const IO_MODES = ['auto', 'mmap', 'write'];

/** A wrong option; the message names it. */
export class OptionError extends Error {}

/** @param {string[]} args */
export function readOptions(args) {
  const { directory, keep = false, io = 'auto', help = false, ...given } = parse(args);
  if (directory === '') throw new OptionError('--directory is empty; it must be a path.');
  if (!IO_MODES.includes(io)) throw new OptionError(`--io is '${io}'; it must be ${IO_MODES.join(' or ')}.`);
  const flights = wholeNumber('--flights', given.flights, ALL_FLIGHTS) ?? ALL_FLIGHTS;
  const killAfter = wholeNumber('--kill-after', given['kill-after'], flights) ?? Math.ceil(flights / 2);
  return { directory, keep, io: /** @type {import('varve').IoMode} */ (io), help, flights, killAfter };
}

/** @param {string[]} args */
function parse(args) {
  try {
    return parseArgs({
      args,
      options: {
        directory: { type: 'string' },
        keep: { type: 'boolean' },
        flights: { type: 'string' },
        'kill-after': { type: 'string' },
        io: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    // The first sentence says what is wrong; the rest of Node's message is about positional arguments.
    const [sentence] = /** @type {Error} */ (error).message.split(/\.? To |\. |\.?\n/);
    throw new OptionError(`${sentence}.`);
  }
}

/**
 * @param {string} option
 * @param {string | undefined} text
 * @param {number} max
 */
function wholeNumber(option, text, max) {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > max) {
    throw new OptionError(`${option} is '${text}'; it must be a whole number from 1 to ${max}.`);
  }
  return value;
}
