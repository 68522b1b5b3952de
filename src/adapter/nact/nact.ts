/** Which nact is installed beside Varve: an engine needs nothing of it, but it must be one that asks what this one answers. */
import { createRequire } from 'node:module';
import { VarveError } from '../../errors.js';

const SUPPORTED = 'nact 7, from 7.6 on';

/** Throws `ERR_VARVE_UNSUPPORTED` unless nact is there, in a version that is supported. `load` stands in for `require` in tests. */
export function checkNact(load: (name: string) => unknown = createRequire(import.meta.url)): void {
  let version: unknown;
  try {
    ({ version } = load('nact/package.json') as { version: unknown });
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'MODULE_NOT_FOUND') throw error;
    throw unsupported('it is not installed', error);
  }
  const [, minor] = /^7\.(\d+)\./.exec(String(version)) ?? [];
  if (minor === undefined || Number(minor) < 6) throw unsupported(`${version} is installed`);
}

function unsupported(problem: string, cause?: unknown): VarveError {
  const message = `varve/nact works with ${SUPPORTED}, and ${problem}: npm install nact@7.6`;
  return new VarveError('ERR_VARVE_UNSUPPORTED', message, { option: 'nact' }, cause);
}
