/** Runs a part of a benchmark in a process of its own. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/**
 * Runs `children/{name}.js` with `global.gc`; resolves with the message that it sends.
 *
 * @param {string} name
 * @param {string[]} args
 * @returns {Promise<any>}
 */
export function runChild(name, args) {
  const script = fileURLToPath(new URL(`./children/${name}.js`, import.meta.url));
  return new Promise((resolve, reject) => {
    const child = fork(script, args, { execArgv: ['--expose-gc'] });
    /** @type {unknown} */
    let answer;
    child.on('message', (message) => {
      answer = message;
    });
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      if (code === 0 && answer !== undefined) resolve(answer);
      else reject(new Error(`children/${name}.js has ended with ${signal ?? `code ${code}`}`));
    });
  });
}

const abandoned = () => process.exit(1);

/** In the child: ends with its parent. */
export function endWithParent() {
  process.once('disconnect', abandoned);
}

/** In the child, once: the answer. @param {object} message */
export function answer(message) {
  process.off('disconnect', abandoned);
  process.send?.(message, () => process.disconnect());
}

/** In the child: collects garbage until nothing more comes of it, and tells what is used. */
export async function usedMemory() {
  const { gc } = globalThis;
  if (gc === undefined) throw new Error('needs --expose-gc');
  for (let i = 0; i < 4; i++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 20)); // finalizers run in turns of their own
  }
  return process.memoryUsage();
}
