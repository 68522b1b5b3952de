/** A LangGraph thread on the event store: it waits for a person, survives a restart, is looked back at and made shorter. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Annotation, Command, END, interrupt, START, StateGraph } from '@langchain/langgraph';
import { VarveSaver } from 'varve/langgraph';

const directory = await mkdtemp(join(tmpdir(), 'varve-langgraph-'));
const thread = { configurable: { thread_id: 'order-1' } };

/** @type {string[]} */
const NOTHING_YET = [];

const State = Annotation.Root({
  amount: Annotation(),
  /** What has happened so far. */
  log: Annotation({
    reducer: (/** @type {string[]} */ before, /** @type {string[]} */ now) => before.concat(now),
    default: () => NOTHING_YET,
  }),
});

/** The graph on the threads in the directory, as a process finds it that has just started. */
async function open() {
  const checkpointer = await VarveSaver.open({ directory, segmentSize: 1024 * 1024 });
  const graph = new StateGraph(State)
    .addNode('draft', () => ({ log: ['drafted'] }))
    .addNode('approve', ({ amount }) => ({ log: [`approved by ${interrupt(`Pay ${amount} €?`)}`] }))
    .addNode('pay', ({ amount }) => ({ log: [`paid ${amount} €`] }))
    .addEdge(START, 'draft')
    .addEdge('draft', 'approve')
    .addEdge('approve', 'pay')
    .addEdge('pay', END)
    .compile({ checkpointer });
  return { checkpointer, graph };
}

const before = await open();
await before.graph.invoke({ amount: 40 }, thread);
const [task] = (await before.graph.getState(thread)).tasks;
console.log('it waits:', task?.interrupts[0]?.value);
await before.checkpointer.close();

// Days later, in another process.
const { checkpointer, graph } = await open();
const { log } = await graph.invoke(new Command({ resume: 'Ada' }), thread);
console.log('it went on:', log.join(', '));

for await (const { metadata, values } of graph.getStateHistory(thread)) {
  console.log(`  step ${metadata?.step}: ${values.log.at(-1) ?? '-'}`);
}
const { removed, kept } = await checkpointer.prune({ keep: 1 });
console.log(`${removed} checkpoints were given up, ${kept} is kept`);

const { values } = await graph.getState(thread);
await checkpointer.deleteThread('order-1');
const after = await graph.getState(thread);
await checkpointer.close();
await rm(directory, { recursive: true });

if (after.values.log !== undefined && after.values.log.length > 0) throw new Error('the thread is still there');
console.log(`the last state was: ${values.log.join(', ')}`);
