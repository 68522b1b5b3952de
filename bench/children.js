/** Runs a part of a benchmark in a process of its own, so that what others have compiled and allocated does not count. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/**
 * Runs `children/{name}.js` with `global.gc`; resolves with its answer.
 *
 * @param {string} name
 * @param {string[]} args
 * @param {(text: string) => void} [progress]
 * @returns {Promise<any>}
 */
export function runChild(name, args, progress) {
  const script = fileURLToPath(new URL(`./children/${name}.js`, import.meta.url));
  return new Promise((resolve, reject) => {
    const child = fork(script, args, { execArgv: ['--expose-gc'] });
    /** @type {{ answer: unknown } | undefined} */
    let answered;
    child.on('message', (/** @type {any} */ message) => {
      if (typeof message === 'object' && 'progress' in message) progress?.(message.progress);
      else answered = message;
    });
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      if (code === 0 && answered !== undefined) resolve(answered.answer);
      else reject(new Error(`children/${name}.js ${args[0] ?? ''} has ended with ${signal ?? `code ${code}`}`));
    });
  });
}

const abandoned = () => process.exit(1);

/** In the child: ends with its parent. */
export function endWithParent() {
  process.once('disconnect', abandoned);
}

/** In the child: what it is doing. @param {string} text */
export function tell(text) {
  process.send?.({ progress: text });
}

/** In the child, once: the answer. @param {object} message */
export function answer(message) {
  process.off('disconnect', abandoned);
  process.send?.({ answer: message }, () => process.disconnect());
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
