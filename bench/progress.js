/** One line that is written over and over; where there is no terminal, one line a group. */

const { stderr } = process;
const MIN_INTERVAL_MS = 100;

export class Progress {
  #prefix = '';
  #shownAt = 0;

  /** @param {string} prefix */
  begin(prefix) {
    this.#prefix = prefix;
    if (stderr.isTTY) this.#write(prefix);
    else stderr.write(`${prefix} …\n`);
  }

  /** @param {string} text */
  show(text) {
    if (!stderr.isTTY || performance.now() - this.#shownAt < MIN_INTERVAL_MS) return;
    this.#write(`${this.#prefix}: ${text}`);
  }

  end() {
    if (stderr.isTTY) stderr.write('\r\x1b[K');
  }

  /** @param {string} line */
  #write(line) {
    this.#shownAt = performance.now();
    stderr.write(`\r\x1b[K${line.slice(0, (stderr.columns ?? 80) - 1)}`);
  }
}
