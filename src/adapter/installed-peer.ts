/**
 * Which version of a framework is installed beside an adapter, held against the versions that the adapter was made for.
 *
 * Adapters call this where their users begin, so that another version is one clear error there, and not a strange one
 * later on.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { VarveError } from '../errors.js';

/**
 * Throws `ERR_VARVE_UNSUPPORTED` (`option`: the name of the package) for a version out of range. `firsts`: of each major
 * version that the adapter takes the first minor one, such as `2.4`. Where the package cannot be found, as in a bundle,
 * nothing can be told of its version, and nothing is thrown. `from`: the module that imports it.
 */
export function checkPeer(
  name: string,
  firsts: readonly `${number}.${number}`[],
  from: string = import.meta.url,
): void {
  const version = installedVersion(name, from);
  if (version === undefined) return;
  const [major, minor = 0] = version.split('.').map(Number);
  const taken = firsts.some((first) => {
    const [firstMajor, firstMinor = 0] = first.split('.').map(Number);
    return major === firstMajor && minor >= firstMinor;
  });
  if (taken) return;
  const range = firsts.map((first) => `^${first}.0`).join(' || ');
  throw new VarveError(
    'ERR_VARVE_UNSUPPORTED',
    `${name} ${version} is installed; this adapter was made for ${range}. Run: npm install '${name}@${range}'`,
    { option: name },
  );
}

/** Looked for where Node looks: packages need not export their package.json. */
function installedVersion(name: string, from: string): string | undefined {
  const require = createRequire(from);
  for (const folder of require.resolve.paths(name) ?? []) {
    try {
      const { version } = require(join(folder, name, 'package.json')) as { version?: unknown };
      return typeof version === 'string' ? version : undefined;
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'MODULE_NOT_FOUND') throw error;
    }
  }
  return undefined;
}
