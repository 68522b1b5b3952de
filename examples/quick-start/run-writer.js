/** The parent's side of the writer: starts it, listens to it, kills it. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const WRITER = fileURLToPath(new URL('writer.js', import.meta.url));

/**
 * Runs a writer to its end, and to a sudden one if `killAfter` is given: SIGKILL, at that many acknowledgements.
 *
 * @param {object} run
 * @param {{ directory: string, io: string, count: number }} run.settings
 * @param {number} [run.killAfter]
 * @param {(acknowledgement: { partition: number, lsn: number, flight: number }) => void} run.onAcknowledged
 * @param {(durableLsns: number[]) => void} run.onDurable  By partition, from the log's own observables.
 * @param {AbortSignal} run.signal  Kills the writer, too.
 * @returns {Promise<{ acknowledged: number, found: number, appended: number, rotations: number }>} What was received here,
 *   and what the writer has counted itself: 0 where it was killed.
 */
export async function runWriter({ settings, killAfter, onAcknowledged, onDurable, signal }) {
  signal.throwIfAborted();
  const writer = fork(WRITER, [JSON.stringify(settings)]);
  const kill = () => writer.kill('SIGKILL');
  signal.addEventListener('abort', kill);
  const result = { acknowledged: 0, found: 0, appended: 0, rotations: 0 };
  let failure;
  writer.on('message', (/** @type {any} */ message) => {
    switch (message.type) {
      case 'acknowledged':
        result.acknowledged++;
        onAcknowledged(message);
        // What it has told in its last moments still arrives, and counts.
        if (result.acknowledged === killAfter) kill();
        break;
      case 'durable':
        onDurable(message.durableLsns);
        break;
      case 'finished':
        if (killAfter !== undefined) break; // it waits to be killed
        Object.assign(result, message.counted);
        writer.send('end');
        break;
      case 'failed':
        failure = message.reason;
    }
  });
  try {
    // 'close', unlike 'exit', comes when the last message has been delivered.
    const [code, killedBy] = await once(writer, 'close');
    signal.throwIfAborted();
    const asPlanned = killAfter === undefined ? code === 0 : killedBy === 'SIGKILL';
    if (!asPlanned) throw new Error(failure ?? `the writer has ended with ${killedBy ?? `code ${code}`}`);
    return result;
  } finally {
    signal.removeEventListener('abort', kill);
  }
}
