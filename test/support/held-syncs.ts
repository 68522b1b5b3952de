/** Appends that are written and not durable yet, for as long as a test likes. */
import type { SimulatedDisk } from '../../src/testing/index.js';

/** Holds back the syncs of segments; what is given lets them go. */
export function holdSyncs(disk: SimulatedDisk): () => void {
  let release = () => {};
  const hold = new Promise<void>((resolve) => {
    release = resolve;
  });
  const lift = disk.faults.add({ kind: 'sync', file: 'part_*', nth: 1, times: 1000, fault: { hold } });
  return () => {
    lift();
    release();
  };
}
