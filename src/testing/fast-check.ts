/**
 * fast-check, which only the properties and arbitraries of this folder need: an optional peer dependency, loaded when the
 * first of them is made, so that `varve/testing` can be imported without it.
 */
import { createRequire } from 'node:module';
import type fc from 'fast-check';

type FastCheck = typeof fc;

/** What `require('fast-check')` gives. `load` stands in for it in tests. */
export function fastCheck(
  user: string,
  load: (name: string) => unknown = createRequire(import.meta.url) as (name: string) => unknown,
): FastCheck {
  try {
    return (load('fast-check') as { default: FastCheck }).default;
  } catch (error) {
    throw new Error(`${user} of varve/testing needs the package fast-check: npm install --save-dev fast-check@4`, {
      cause: error,
    });
  }
}
