/** Graphs of LangGraph: what they do on a saver that prunes all the time is what they do in memory. */
import { describe, expect, test } from '@jest/globals';
import {
  Annotation,
  Command,
  DeltaChannel,
  END,
  interrupt,
  MemorySaver,
  Send,
  START,
  StateGraph,
} from '@langchain/langgraph';
import type { BaseCheckpointSaver } from '@langchain/langgraph-checkpoint';
import { withSaver } from '../../support/threads.js';

const append = (before: string[], now: string[]) => before.concat(now);
const Log = Annotation.Root({
  log: Annotation<string[]>({ reducer: append, default: () => [] }),
  count: Annotation<number>,
});
const thread = { configurable: { thread_id: 't' } };

/** A graph that calls a subgraph, which asks somebody and calls another one; branches; and a loop around it. */
function nested(checkpointer: BaseCheckpointSaver) {
  const deep = new StateGraph(Log)
    .addNode('ask', () => ({ log: [`deep: ${interrupt('deep?')}`] }))
    .addEdge(START, 'ask')
    .compile();
  const inner = new StateGraph(Log)
    .addNode('first', () => ({ log: ['inner first'] }))
    .addNode('ask', () => ({ log: [`inner: ${interrupt('inner?')}`] }))
    .addNode('deep', deep)
    .addEdge(START, 'first')
    .addEdge('first', 'ask')
    .addEdge('ask', 'deep')
    .compile();
  return new StateGraph(Log)
    .addNode('begin', ({ count }) => ({ log: [`begin ${count}`], count: count + 1 }))
    .addNode('inner', async ({ count }) => {
      const { log } = await inner.invoke({ log: [], count });
      return { log };
    })
    .addNode('branch', ({ log }) => ({ log: [`branch ${log.length}`] }))
    .addNode('join', () => ({}))
    .addEdge(START, 'begin')
    .addEdge('begin', 'inner')
    .addConditionalEdges('inner', () => [new Send('branch', { log: ['a'] }), new Send('branch', { log: ['a', 'b'] })])
    .addEdge('branch', 'join')
    .addConditionalEdges('join', ({ count }) => (count < 2 ? 'begin' : END))
    .compile({ checkpointer });
}

async function run(checkpointer: BaseCheckpointSaver, between: () => Promise<unknown>) {
  const graph = nested(checkpointer);
  await graph.invoke({ count: 0 }, thread);
  const questions: unknown[] = [];
  for (let i = 0; i < 10; i++) {
    await between();
    const { next, tasks } = await graph.getState(thread);
    if (next.length === 0) break;
    questions.push(tasks.map(({ name, interrupts }) => [name, interrupts.map(({ value }) => value)]));
    await graph.invoke(new Command({ resume: `answer ${i}` }), thread);
  }
  const { values } = await graph.getState(thread);
  return { questions, values };
}

describe('graphs', () => {
  test('with subgraphs that wait for somebody, branches and loops', () =>
    withSaver(async (saver) => {
      const expected = await run(new MemorySaver(), async () => {});
      expect(expected.questions.length).toBe(4);
      expect(await run(saver, () => saver.prune({ keep: 1 }))).toEqual(expected);
      await saver.prune({ keep: 1 });
      let left = 0;
      for await (const _tuple of saver.list(thread)) left++;
      expect(left).toBe(1);
    }));

  test('whose state is made of the writes to a delta channel', () =>
    withSaver(async (saver) => {
      const State = Annotation.Root({
        log: () =>
          new DeltaChannel<string[], string>((state, writes) => (state ?? []).concat(writes), { snapshotFrequency: 5 }),
        count: Annotation<number>,
      } as never) as typeof Log;
      const results: unknown[] = [];
      for (const checkpointer of [new MemorySaver(), saver]) {
        const graph = new StateGraph(State)
          .addNode('step', ({ count }) => ({ log: `step ${count}` as never, count: count + 1 }))
          .addEdge(START, 'step')
          .addConditionalEdges('step', ({ count }) => (count % 4 === 0 ? END : 'step'))
          .compile({ checkpointer });
        for (let i = 0; i < 4; i++) {
          await graph.invoke({ count: 4 * i }, thread);
          if (checkpointer === saver) await saver.prune({ keep: 1 });
        }
        results.push((await graph.getState(thread)).values);
      }
      expect((results[0] as { log: unknown[] }).log).toHaveLength(16);
      expect(results[1]).toEqual(results[0]);
    }));

  test('that are forked, changed from outside, and copied', () =>
    withSaver(async (saver) => {
      const results: unknown[] = [];
      for (const checkpointer of [new MemorySaver(), saver]) {
        const graph = new StateGraph(Log)
          .addNode('a', ({ count }) => ({ log: [`a${count}`], count: count + 1 }))
          .addNode('b', ({ count }) => ({ log: [`b${count}`] }))
          .addEdge(START, 'a')
          .addEdge('a', 'b')
          .compile({ checkpointer });
        await graph.invoke({ count: 1 }, thread);
        const history = [];
        for await (const state of graph.getStateHistory(thread)) history.push(state);
        const before = history.find(({ next }) => next[0] === 'b')!;
        const forked = await graph.updateState(before.config, { count: 10 }, 'a');
        await graph.invoke(null, forked);
        const copied = await graph.updateState(before.config, null, '__copy__');
        await graph.invoke(null, copied);
        const all = [];
        for await (const { values, next, metadata } of graph.getStateHistory(thread))
          all.push({ values, next, step: metadata?.step });
        results.push(all);
      }
      expect(results[1]).toEqual(results[0]);
    }));

  test.each(['sync', 'async', 'exit'] as const)('with durability %s', (durability) =>
    withSaver(async (saver) => {
      const results: unknown[] = [];
      for (const checkpointer of [new MemorySaver(), saver]) {
        const graph = new StateGraph(Log)
          .addNode('step', ({ count }) => ({ log: [`${count}`], count: count + 1 }))
          .addEdge(START, 'step')
          .addConditionalEdges('step', ({ count }) => (count % 3 === 0 ? END : 'step'))
          .compile({ checkpointer });
        for (let i = 0; i < 3; i++) await graph.invoke({ count: 3 * i }, { ...thread, durability });
        const all = [];
        for await (const { values, next } of graph.getStateHistory(thread)) all.push({ values, next });
        results.push(all);
      }
      expect(results[1]).toEqual(results[0]);
    }),
  );
});
