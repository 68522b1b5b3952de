/** LangGraph's own suite for savers, against every way in which the bytes can lie in the store. */
import { expect } from '@jest/globals';
import { deltaChannelHistoryTests, validate } from '@langchain/langgraph-checkpoint-validation';
import { VarveSaver } from 'varve/langgraph';
import { SimulatedDisk } from '../../../src/testing/index.js';

// The suite is written for Vitest, whose `expect.soft` goes on to the next expectation after one has failed.
Object.assign(expect, { soft: expect });

for (const codec of ['raw', 'json'] as const) {
  const initializer: Parameters<typeof validate<VarveSaver>>[0] = {
    checkpointerName: `VarveSaver, codec ${codec}`,
    createCheckpointer: () =>
      VarveSaver.open({ directory: '/threads', disk: new SimulatedDisk(), segmentSize: 64 * 1024, codec }),
    destroyCheckpointer: (saver) => saver.close(),
  };
  validate(initializer);
  deltaChannelHistoryTests(initializer);
}
