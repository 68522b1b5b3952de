/** What the figures were measured on. No names and no paths: they go into the documentation. */
import fs from 'node:fs';
import os from 'node:os';

const GIB = 1024 ** 3;

/**
 * @typedef {object} Machine
 * @property {string} cpu
 * @property {number} cores
 * @property {boolean} virtual
 * @property {number} memoryGiB
 * @property {string} kernel
 * @property {string} fileSystem
 * @property {boolean} mapped io 'mmap' works here
 * @property {string} node
 * @property {number} loadBefore load average of the minute before the run
 */

/** @param {import('./workspace.js').Workspace} workspace @returns {Promise<Machine>} */
export async function describeMachine(workspace) {
  const cpus = os.cpus();
  const { fileSystem, map } = await workspace.disk.features(workspace.directory);
  return {
    cpu: cpus[0]?.model.trim() ?? 'unknown',
    cores: cpus.length,
    virtual: isVirtual(),
    memoryGiB: Math.round(os.totalmem() / GIB),
    kernel: `${os.type()} ${os.release()} ${os.machine()}`,
    fileSystem,
    mapped: map,
    node: process.version,
    loadBefore: Math.round((os.loadavg()[0] ?? 0) * 100) / 100,
  };
}

function isVirtual() {
  try {
    return /^flags\s*:.*\bhypervisor\b/m.test(fs.readFileSync('/proc/cpuinfo', 'utf8'));
  } catch {
    return false; // not Linux: nothing says so
  }
}
