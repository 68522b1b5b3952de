/**
 * Changes documents of a Repo until it is killed, and gives back space all the while; or tells what is in them.
 *
 * Lines:  doc {url} · try {url} {number} · ack {url} {number} · compacted {times}
 *         content {url} {numbers, as JSON}
 * Arguments: directory, 'write' or 'read', urls of the documents that are there.
 */
import { writeSync } from 'node:fs';
import { Repo } from '@automerge/automerge-repo';
import { VarveStorageAdapter } from '../../dist/adapter/automerge-repo/index.js';

/** @typedef {import('@automerge/automerge-repo').AutomergeUrl} Url */
/** @typedef {{ numbers: number[], text: string }} Content */

const [directory = '', mode, ...known] = process.argv.slice(2);
/** @param {string} line */
const tell = (line) => writeSync(1, `${line}\n`);

const storage = new VarveStorageAdapter({ directory, storeOptions: { segmentSize: 16 * 1024 } });
const repo = new Repo({ storage });

/** @type {import('@automerge/automerge-repo').DocHandle<Content>[]} */
const handles = [];
for (const url of known) handles.push(await repo.find(/** @type {Url} */ (url)));

if (mode === 'read') {
  for (const { url, doc } of handles.map((handle) => ({ url: handle.url, doc: handle.doc() }))) {
    tell(`content ${url} ${JSON.stringify(doc.numbers)}`);
  }
  await repo.shutdown();
  await storage.close();
} else {
  while (handles.length < 3) {
    const handle = repo.create({ numbers: [], text: '' });
    await repo.flush([handle.documentId]);
    tell(`doc ${handle.url}`);
    handles.push(handle);
  }
  const compacting = async () => {
    for (let times = 1; ; times++) {
      await storage.compact();
      tell(`compacted ${times}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  await Promise.all([
    compacting(),
    ...handles.map(async (handle) => {
      for (;;) {
        const next = handle.doc().numbers.length;
        tell(`try ${handle.url} ${next}`);
        handle.change((doc) => {
          doc.numbers.push(next);
          doc.text = `${next} `.repeat(50);
        });
        await repo.flush([handle.documentId]);
        tell(`ack ${handle.url} ${next}`);
      }
    }),
  ]);
}
