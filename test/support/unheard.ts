/** Rejections that nobody hears of, while the tests of a file run. */
import { afterAll, beforeAll } from '@jest/globals';

/** Returns a function that gives what has come since it was last called. */
export function unheardRejections(): () => unknown[] {
  const unheard: unknown[] = [];
  const note = (error: unknown) => unheard.push(error);
  beforeAll(() => {
    process.on('unhandledRejection', note);
  });
  afterAll(() => {
    process.off('unhandledRejection', note);
  });
  return () => unheard.splice(0);
}
