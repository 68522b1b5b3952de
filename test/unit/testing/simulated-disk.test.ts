import { SimulatedDisk } from '../../../src/testing/simulated-disk.js';
import { diskContract } from '../disk/contract.js';

const makeDirectory = async (disk: SimulatedDisk) => {
  await disk.makeDirectory('/data');
  return '/data';
};

for (const schedule of ['order', 'random', 'slow sync', 'slow names'] as const) {
  diskContract(
    `A simulated disk, schedule '${schedule}'`,
    () => new SimulatedDisk({ schedule }),
    (disk) => makeDirectory(disk as SimulatedDisk),
  );
}

diskContract(
  'A simulated disk that neither maps nor allocates',
  () => new SimulatedDisk({ map: false, fallocate: false }),
  (disk) => makeDirectory(disk as SimulatedDisk),
);
