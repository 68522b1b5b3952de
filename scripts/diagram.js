/** Writes the pages of docs/ about the state machines: `npm run diagram`. They are made from the compiled machines. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { allocatorMachine } from '../dist/actors/allocator-machine.js';
import { partitionMachine } from '../dist/actors/partition-machine.js';
import { diagramOf } from './diagram-of.js';
import { allocatorPage, partitionPage } from './machine-pages.js';

for (const [machine, page] of [
  /** @type {const} */ ([partitionMachine, partitionPage]),
  /** @type {const} */ ([allocatorMachine, allocatorPage]),
]) {
  writeFileSync(fileURLToPath(new URL(`../${page.file}`, import.meta.url)), diagramOf(machine, page));
  console.log(`wrote ${page.file}`);
}
