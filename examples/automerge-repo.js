/**
 * A shopping list that two people edit, kept by automerge-repo on Varve: what both have added is there after a restart, and
 * a thousand changes later the directory is no larger than it must be.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Repo } from '@automerge/automerge-repo';
import { VarveStorageAdapter } from 'varve/automerge-repo';

/** @typedef {{ items: string[], clicks: number }} List */

const directory = await mkdtemp(join(tmpdir(), 'varve-automerge-repo-'));
const open = () => new VarveStorageAdapter({ directory, storeOptions: { segmentSize: 64 * 1024 } });

let storage = open();
let repo = new Repo({ storage });
const list = repo.create(/** @type {List} */ ({ items: ['bread'], clicks: 0 }));
const hers = repo.clone(list);
list.change((doc) => void doc.items.push('milk'));
hers.change((doc) => void doc.items.push('cheese'));
list.merge(hers);
await repo.flush(); // durable
await repo.shutdown();
await storage.close();

storage = open();
repo = new Repo({ storage });
const again = /** @type {import('@automerge/automerge-repo').DocHandle<List>} */ (await repo.find(list.url));
console.log(`after a restart: ${[...again.doc().items].sort().join(', ')}`);
for (let i = 0; i < 1000; i++) {
  again.change((doc) => {
    doc.clicks = i + 1;
  });
  if (i % 10 === 0) await repo.flush([again.documentId]);
}
await repo.shutdown();
await storage.close();

storage = open();
repo = new Repo({ storage });
const { clicks, items } = /** @type {typeof again} */ (await repo.find(list.url)).doc();
await repo.shutdown();
await storage.close();
await rm(directory, { recursive: true });
if (items.length !== 3) throw new Error(`the list has ${items}`);
console.log(`${clicks} changes later: still ${items.length} items`);
