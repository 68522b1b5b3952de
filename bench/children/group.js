/** Measures one group of rows. Arguments: its name, and what it takes as JSON. */
import { answer, endWithParent, tell } from '../children.js';
import { loadGroup } from '../groups.js';
import { Peers } from '../peers/index.js';
import { Workspace } from '../workspace.js';

/** A message for every step would burden what is measured. */
const PROGRESS_MS = 200;

endWithParent();
const [name = '', given = ''] = process.argv.slice(2);
/** @type {{ directory: string, quick: boolean, rounds: number, longRounds: number, peers: boolean }} */
const { directory, peers: wanted, ...bench } = JSON.parse(given);
const { title, method, charts = [], run } = await loadGroup(name);
const workspace = new Workspace(directory);
const peers = new Peers(wanted);
let toldAt = 0;
await workspace.settle();
const rows = await run({
  ...bench,
  workspace,
  peers,
  progress(text) {
    const now = performance.now();
    if (now - toldAt < PROGRESS_MS) return;
    toldAt = now;
    tell(text);
  },
});
await workspace.close();
answer({ name, title, method, rows, charts, skipped: peers.skipped });
