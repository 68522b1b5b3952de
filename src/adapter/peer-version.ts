/**
 * Framework packages are optional peers: which versions an adapter was tested with is checked where it is imported, so
 * that another one is one clear error there and no riddle later. For adapters only.
 */
import { createRequire } from 'node:module';
import { VarveError } from '../errors.js';

/**
 * Throws `ERR_VARVE_UNSUPPORTED` unless the installed version of `name` has one of these major versions. A version that
 * cannot be found out, as in a bundle, is let pass: a package that is missing altogether was told by the import itself.
 */
export function requirePeer(adapter: string, name: string, majors: readonly number[], from = import.meta.url): void {
  const version = versionOf(name, from);
  if (version === undefined || majors.includes(Number.parseInt(version, 10))) return;
  const range = majors.map((major) => `^${major}.0.0`).join(' || ');
  throw new VarveError(
    'ERR_VARVE_UNSUPPORTED',
    `${adapter} works with ${name} ${range}, and ${version} is installed. Run: npm install '${name}@${range}'`,
    { option: name },
  );
}

function versionOf(name: string, from: string): string | undefined {
  try {
    const { version } = createRequire(from)(`${name}/package.json`) as { version?: unknown };
    return typeof version === 'string' ? version : undefined;
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (code === 'MODULE_NOT_FOUND' || code === 'ERR_PACKAGE_PATH_NOT_EXPORTED') return undefined;
    throw error;
  }
}
