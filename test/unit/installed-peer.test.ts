import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { checkPeer } from '../../src/adapter/installed-peer.js';
import { temporaryDirectory } from '../support/logs.js';

const NAME = '@some/framework';

/** A module beside which a package of this version is installed, two folders further up. */
function moduleBeside(packageJson: string | undefined): string {
  const root = temporaryDirectory();
  const folder = path.join(root, 'node_modules', '@some', 'framework');
  mkdirSync(folder, { recursive: true });
  if (packageJson !== undefined) writeFileSync(path.join(folder, 'package.json'), packageJson);
  return pathToFileURL(path.join(root, 'dist', 'adapter', 'index.js')).href;
}

const version = (text: string) => JSON.stringify({ name: NAME, version: text, exports: './nothing.js' });

describe('a peer', () => {
  test.each(['2.4.0', '2.4.17', '2.10.0', '2.5.0-beta.1', '5.0.0', '5.1.0'])('of version %s is taken', (installed) => {
    expect(() => checkPeer(NAME, ['2.4', '5.0'], moduleBeside(version(installed)))).not.toThrow();
  });

  test.each(['2.3.9', '1.9.0', '3.0.0', '4.9.0', '20.4.0', 'next'])('of version %s is refused', (installed) => {
    expect(() => checkPeer(NAME, ['2.4', '5.0'], moduleBeside(version(installed)))).toThrow(
      expect.objectContaining({
        code: 'ERR_VARVE_UNSUPPORTED',
        option: '@some/framework',
        message:
          `@some/framework ${installed} is installed; this adapter was made for ^2.4.0 || ^5.0.0. ` +
          "Run: npm install '@some/framework@^2.4.0 || ^5.0.0'",
      }),
    );
  });

  test('that cannot be found, or tells no version, is no reason to refuse', () => {
    expect(() => checkPeer(NAME, ['2.4', '5.0'], moduleBeside(undefined))).not.toThrow();
    expect(() => checkPeer(NAME, ['2.4', '5.0'], moduleBeside('{}'))).not.toThrow();
  });
});
