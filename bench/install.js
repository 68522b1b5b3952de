/** Installs what the benchmarks compare with, once. */
import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const WANTED = new URL('package-lock.json', import.meta.url);
/** npm writes it when all is in place. */
const INSTALLED = new URL('node_modules/.package-lock.json', import.meta.url);

function areInstalled() {
  const installed = statSync(INSTALLED, { throwIfNoEntry: false });
  return installed !== undefined && installed.mtimeMs >= statSync(WANTED).mtimeMs;
}

/** @param {(text: string) => void} say */
export async function installPeers(say) {
  if (areInstalled()) return;
  say(
    'Installing the peers (npm ci in bench/); those that are not prebuilt here are compiled, which takes some minutes …',
  );
  const { status, error } = spawnSync('npm', ['ci', '--prefix', HERE, '--no-audit', '--no-fund'], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (error !== undefined || status !== 0) {
    const why = error?.message ?? `npm has ended with code ${status}`;
    throw new Error(`The peers could not be installed: ${why}. Without them: npm run bench -- --no-peers`);
  }
}
