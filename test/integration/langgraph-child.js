/**
 * Runs a graph of LangGraph on a thread until it is killed, and tells its parent of each step when it is known to be
 * durable: when the step behind it begins.
 *
 * Lines:  step {n} · done {turns}
 * Arguments: directory, thread, turns, keep.
 */
import { writeSync } from 'node:fs';
import { Annotation, END, START, StateGraph } from '@langchain/langgraph';
import { VarveSaver } from '../../dist/adapter/langgraph/index.js';

const [directory = '', thread_id, turns, keep] = process.argv.slice(2);
/** @param {string} line */
const tell = (line) => writeSync(1, `${line}\n`);

const checkpointer = await VarveSaver.open({ directory, segmentSize: 64 * 1024, keep: Number(keep) });
/** @type {number[]} */
const NONE = [];
const State = Annotation.Root({
  sum: Annotation({ reducer: (/** @type {number} */ a, /** @type {number} */ b) => a + b, default: () => 0 }),
  trail: Annotation({
    reducer: (/** @type {number[]} */ a, /** @type {number[]} */ b) => a.concat(b).slice(-8),
    default: () => NONE,
  }),
  limit: Annotation(),
  once: Annotation(),
});
const graph = new StateGraph(State)
  .addNode('add', ({ sum }) => {
    tell(`step ${sum}`); // with durability 'sync' what came before is durable now
    return { sum: 1, trail: [sum + 1] };
  })
  .addNode('look', () => ({}))
  .addEdge(START, 'add')
  .addEdge('add', 'look')
  .addConditionalEdges('look', ({ sum, limit }) => (sum < Number(limit) ? 'add' : END))
  .compile({ checkpointer });

const config = { configurable: { thread_id }, durability: /** @type {const} */ ('sync'), recursionLimit: 10_000 };
const { next } = await graph.getState(config);
const input = next.length > 0 ? null : { limit: Number(turns), once: 'from the beginning' };
const { sum } = await graph.invoke(input, config);
await checkpointer.close();
tell(`done ${sum}`);
