/** What the quick start shows: on a terminal, with a line that is redrawn; elsewhere, in plain lines. */
import { styleText } from 'node:util';

const { stdout } = process;
/** False where the output is no terminal, NO_COLOR is set, or the terminal has no colours. */
const coloured = stdout.isTTY && stdout.hasColors();

const BAR_WIDTH = 24;
/** Without a terminal, progress is told so often on the whole way. */
const PLAIN_STEPS = 4;

/** @param {string} text */
export const bold = (text) => (coloured ? styleText('bold', text) : text);
/** @param {string} text */
export const red = (text) => (coloured ? styleText('red', text) : text);
/** @param {string} text */
export const green = (text) => (coloured ? styleText('green', text) : text);
/** @param {string} text */
const blue = (text) => (coloured ? styleText('blue', text) : text);

/** @param {string} line */
export function say(line = '') {
  console.log(line);
}

/** @param {number} value */
export const count = (value) => value.toLocaleString('en-US');
/** @param {number} bytes */
export const kib = (bytes) => `${count(Math.round(bytes / 1024))} KiB`;

/** @param {number} part  0 to 1. */
export function bar(part) {
  const filled = Math.round(Math.min(1, Math.max(0, part)) * BAR_WIDTH);
  return blue('█'.repeat(filled)) + '░'.repeat(BAR_WIDTH - filled);
}

/** Shows how far something is. Call the result with the part that is done, 0 to 1, and what is to be told of it. */
export function startProgress() {
  let step = 0;
  let line = '';
  return {
    /** @param {number} part @param {string} text */
    show(part, text) {
      line = `   ${bar(part)}  ${text}`;
      if (stdout.isTTY) stdout.write(`\r\x1b[2K${line}`);
      else if (part * PLAIN_STEPS >= step + 1) {
        step = Math.floor(part * PLAIN_STEPS);
        say(line);
      }
    },
    end() {
      if (stdout.isTTY && line !== '') stdout.write('\n');
    },
  };
}
