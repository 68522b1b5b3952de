import { once } from 'node:events';
import { expect, test } from '@jest/globals';
import { Lane } from '../../../src/disk/lane.js';

const unheard = () => {
  throw new Error('an answer was heard');
};

test('a lane whose thread has ended gives what it answered last, and closes its port', async () => {
  const answered = new Lane(unheard);
  answered.start.port.postMessage(null);
  expect(answered.bury()).toEqual({ failure: null });

  const failed = new Lane(unheard);
  failed.start.port.postMessage({ message: 'no', code: 'EIO' });
  expect(failed.bury()).toEqual({ failure: { message: 'no', code: 'EIO' } });

  const silent = new Lane(unheard);
  const closed = once(silent.start.port, 'close');
  expect(silent.bury()).toBeUndefined();
  await closed;
});
