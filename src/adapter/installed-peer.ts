/**
 * Which version of a framework is installed beside an adapter, held against the versions that the adapter was made for.
 *
 * Adapters call this where their users begin, so that another version is one clear error there, and not a strange one
 * later on.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { VarveError } from '../errors.js';

/** The first version that an adapter takes; all later ones of the same major version are taken, too. */
export interface PeerVersion {
  readonly name: string;
  readonly major: number;
  readonly minor: number;
}

/**
 * Throws `ERR_VARVE_UNSUPPORTED` (`option`: the name of the package) for a version out of range. Where the package cannot
 * be found, as in a bundle, nothing can be told of its version, and nothing is thrown. `from`: the module that imports it.
 */
export function checkPeer({ name, major, minor }: PeerVersion, from: string = import.meta.url): void {
  const version = installedVersion(name, from);
  if (version === undefined) return;
  const [installedMajor = 0, installedMinor = 0] = version.split('.').map(Number);
  if (installedMajor === major && installedMinor >= minor) return;
  throw new VarveError(
    'ERR_VARVE_UNSUPPORTED',
    `${name} ${version} is installed; this adapter was made for ${major}.${minor} and later versions of ${major}. ` +
      `Install one of them: npm install ${name}@^${major}.${minor}.0`,
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
