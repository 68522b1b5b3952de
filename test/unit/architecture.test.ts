import { readdirSync, readFileSync } from 'node:fs';
import { posix, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import ts from 'typescript';

/**
 * Which room may import which. A room is a folder of src/, or one of the files named in `roomOfFile`.
 * A file may always import its own room.
 */
const mayImport: Record<string, readonly string[]> = {
  disk: ['shared'],
  segment: ['disk', 'shared'],
  actors: ['segment', 'disk', 'shared'],
  streams: ['segment', 'disk', 'shared'],
  log: ['actors', 'streams', 'segment', 'disk', 'shared'],
  // An adapter knows the event store, and the event store the log: never a segment.
  adapter: ['log', 'streams', 'shared'],
  'adapter/xstate': ['adapter', 'log', 'streams', 'shared'],
  index: ['adapter', 'log', 'actors', 'streams', 'segment', 'disk', 'shared'],
  testing: ['index', 'adapter', 'log', 'actors', 'streams', 'segment', 'disk', 'shared'],
  cli: ['testing', 'index', 'adapter', 'log', 'actors', 'streams', 'segment', 'disk', 'shared'],
  shared: [],
};

/** A type leaves no trace at run time, so options and the event store may speak of the Disk port that is handed to them. */
const mayImportTypes: Record<string, readonly string[]> = {
  shared: ['disk'],
  adapter: ['disk'],
  'adapter/xstate': ['disk'],
};

/** Folders that are rooms of their own. */
const roomOfFolder: Record<string, string> = {
  // Actors of its users, not of the log: the one adapter that runs on xstate.
  'src/adapter/xstate/': 'adapter/xstate',
  'src/partition/': 'log', // what stands behind partition.ts
};

const roomOfFile: Record<string, string> = {
  'src/index.ts': 'index',
  'src/log.ts': 'log',
  'src/partition.ts': 'log',
  'src/directory.ts': 'log',
  'src/events.ts': 'log',
  'src/salvage.ts': 'log',
  'src/stats.ts': 'log',
  'src/errors.ts': 'shared',
  'src/options.ts': 'shared',
  // Arithmetic over bytes, whoever they belong to: the event store's index files have checksums too.
  'src/segment/checksum.ts': 'shared',
  'src/segment/integers.ts': 'shared',
};

/** Packages that live in a few rooms only. */
const homesOfPackage: Record<string, readonly string[]> = {
  xstate: ['actors', 'adapter/xstate'],
  rxjs: ['streams'],
  koffi: ['disk'],
  piscina: ['disk'],
  'node:fs': ['disk', 'cli'],
};

/** Packages that may be imported anywhere but here. */
const bannedFromRooms: Record<string, readonly string[]> = {
  eventemitter3: ['segment', 'disk'],
};

interface Import {
  readonly specifier: string;
  readonly typeOnly: boolean;
}

/** Every module that a source names: static imports, re-exports, `import()`, `require()` and types by `import('…')`. */
function importsOf(file: string, source: string): Import[] {
  const found: Import[] = [];
  const add = (specifier: ts.Node | undefined, typeOnly: boolean): void => {
    if (specifier !== undefined && ts.isStringLiteralLike(specifier))
      found.push({ specifier: specifier.text, typeOnly });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      add(node.moduleSpecifier, node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword);
    } else if (ts.isExportDeclaration(node)) {
      add(node.moduleSpecifier, node.isTypeOnly);
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      add(node.argument.literal, true);
    } else if (ts.isCallExpression(node)) {
      const callee = node.expression;
      const isRequire = ts.isIdentifier(callee) && callee.text === 'require';
      if (callee.kind === ts.SyntaxKind.ImportKeyword || isRequire) add(node.arguments[0], false);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(file, source, ts.ScriptTarget.ES2022));
  return found;
}

function roomOf(file: string): string | undefined {
  const named = roomOfFile[file];
  if (named !== undefined) return named;
  for (const [folder, room] of Object.entries(roomOfFolder)) if (file.startsWith(folder)) return room;
  const [, folder, rest] = file.split('/');
  return rest !== undefined && folder !== undefined && Object.hasOwn(mayImport, folder) ? folder : undefined;
}

/** `xstate/graph` → `xstate`, `@scope/name/part` → `@scope/name`, `fs/promises` and `node:fs/promises` → `node:fs`. */
function packageOf(specifier: string): string {
  const name = specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
  return name === 'fs' ? 'node:fs' : name;
}

/** The forbidden imports among these files (path from the root of the repository → source), one sentence each. */
function violations(files: Record<string, string>): string[] {
  const found: string[] = [];
  for (const [file, source] of Object.entries(files)) {
    const room = roomOf(file);
    if (room === undefined) {
      found.push(`${file} is in no known room: move it into a folder of the design, or name it in this test`);
      continue;
    }
    for (const { specifier, typeOnly } of importsOf(file, source)) {
      const refuse = (why: string): void => {
        found.push(`${file} imports '${specifier}': ${why}`);
      };
      if (!specifier.startsWith('.')) {
        const name = packageOf(specifier);
        const homes = homesOfPackage[name];
        if (homes !== undefined && !homes.includes(room)) refuse(`only ${homes.join(', ')} may import ${name}`);
        if (bannedFromRooms[name]?.includes(room)) refuse(`${room} must not know ${name}`);
        continue;
      }
      const target = posix.join(posix.dirname(file), specifier).replace(/\.js$/, '.ts');
      if (!target.startsWith('src/')) {
        // package.json lies beside src/ and dist/ alike, and is part of the package.
        if (target !== 'package.json') refuse('it lies outside src');
        continue;
      }
      const targetRoom = roomOf(target);
      if (targetRoom === undefined) {
        refuse('it is in no known room');
      } else if (
        targetRoom !== room &&
        !mayImport[room]?.includes(targetRoom) &&
        !(typeOnly && mayImportTypes[room]?.includes(targetRoom))
      ) {
        refuse(`${room} must not know ${targetRoom}`);
      }
    }
  }
  return found;
}

function sources(): Record<string, string> {
  const root = fileURLToPath(new URL('../../src/', import.meta.url));
  const files: Record<string, string> = {};
  for (const name of readdirSync(root, { recursive: true, encoding: 'utf8' })) {
    if (name.endsWith('.ts')) files[`src/${name.split(sep).join('/')}`] = readFileSync(root + name, 'utf8');
  }
  return files;
}

describe('the architecture', () => {
  test('src/ keeps to the rooms and arrows of the design', () => {
    const files = sources();
    expect(Object.keys(files)).toContain('src/errors.ts');
    expect(violations(files)).toEqual([]);
  });
});

describe('the check itself', () => {
  test.each([
    [
      'an arrow that runs upwards',
      'src/segment/a.ts',
      `import { x } from '../actors/b.js';`,
      'segment must not know actors',
    ],
    [
      'a type that runs upwards',
      'src/disk/a.ts',
      `import type { X } from '../segment/b.js';`,
      'disk must not know segment',
    ],
    ['an arrow between siblings', 'src/actors/a.ts', `import '../streams/b.js';`, 'actors must not know streams'],
    ['a re-export', 'src/streams/a.ts', `export * from '../partition.js';`, 'streams must not know log'],
    ['a dynamic import', 'src/log.ts', `const x = await import('./cli/main.js');`, 'log must not know cli'],
    ['an imported type expression', 'src/log.ts', `let x: import('./adapter/a.js').X;`, 'log must not know adapter'],
    [
      'an adapter that knows a segment',
      'src/adapter/a.ts',
      `import '../segment/b.js';`,
      'adapter must not know segment',
    ],
    [
      'an adapter that uses a disk of its own',
      'src/adapter/a.ts',
      `import { realDisk } from '../disk/real-disk.js';`,
      'adapter must not know disk',
    ],
    [
      'shared code that uses the disk',
      'src/options.ts',
      `import { d } from './disk/d.js';`,
      'shared must not know disk',
    ],
    ['tests as a dependency', 'src/index.ts', `export * from './testing/a.js';`, 'index must not know testing'],
    ['the command line as a dependency', 'src/testing/a.ts', `import '../cli/main.js';`, 'testing must not know cli'],
    [
      'xstate outside actors',
      'src/partition.ts',
      `import { createActor } from 'xstate';`,
      'only actors, adapter/xstate may import xstate',
    ],
    [
      'a part of xstate',
      'src/log.ts',
      `import type { X } from 'xstate/graph';`,
      'only actors, adapter/xstate may import xstate',
    ],
    [
      'rxjs outside streams',
      'src/adapter/a.ts',
      `import { map } from 'rxjs/operators';`,
      'only streams may import rxjs',
    ],
    ['files outside disk', 'src/segment/a.ts', `import fs from 'node:fs';`, 'only disk, cli may import node:fs'],
    ['files as promises', 'src/log.ts', `import fs from 'node:fs/promises';`, 'only disk, cli may import node:fs'],
    ['files by the old name', 'src/log.ts', `import fs from 'fs';`, 'only disk, cli may import node:fs'],
    ['koffi by require', 'src/segment/a.ts', `const k = require('koffi');`, 'only disk may import koffi'],
    ['piscina outside disk', 'src/cli/a.ts', `import { Piscina } from 'piscina';`, 'only disk may import piscina'],
    ['events in segment', 'src/segment/a.ts', `import E from 'eventemitter3';`, 'segment must not know eventemitter3'],
    ['events in disk', 'src/disk/a.ts', `import E from 'eventemitter3';`, 'disk must not know eventemitter3'],
    ['a room that is not there', 'src/log.ts', `import './helpers/a.js';`, 'it is in no known room'],
    ['code outside src', 'src/log.ts', `import '../test/runs.js';`, 'it lies outside src'],
  ])('finds %s', (_case, file, source, why) => {
    const specifier = importsOf(file, source)[0]?.specifier;
    expect(violations({ [file]: source })).toEqual([`${file} imports '${specifier}': ${why}`]);
  });

  test('finds a file without a room', () => {
    expect(violations({ 'src/utils.ts': '', 'src/utils/a.ts': '' })).toEqual([
      expect.stringContaining('src/utils.ts is in no known room'),
      expect.stringContaining('src/utils/a.ts is in no known room'),
    ]);
  });

  test('names every forbidden import of a file', () => {
    const source = `import 'rxjs';\nimport '../log.js';\nimport '../disk/disk.js';`;
    expect(violations({ 'src/segment/a.ts': source })).toEqual([
      `src/segment/a.ts imports 'rxjs': only streams may import rxjs`,
      `src/segment/a.ts imports '../log.js': segment must not know log`,
    ]);
  });

  test('accepts what the design allows', () => {
    expect(
      violations({
        'src/index.ts': `export * from './log.js'; export * from './adapter/event-store.js'; export * from './errors.js';`,
        'src/log.ts': `import E from 'eventemitter3'; import './partition.js'; import './actors/a.js'; import './disk/d.js';`,
        'src/partition.ts': `import './log.js'; import './streams/a.js'; import './segment/a.js';`,
        'src/options.ts': `import type { Disk } from './disk/disk.js'; import './errors.js';`,
        'src/segment/deep/a.ts': `import '../b.js'; import '../../disk/d.js'; import '../../errors.js';`,
        'src/disk/a.ts': `import 'node:fs/promises'; import 'koffi'; import { Piscina } from 'piscina';`,
        'src/actors/a.ts': `import { setup } from 'xstate'; import '../segment/a.js';`,
        'src/streams/a.ts': `import { Observable } from 'rxjs';`,
        'src/testing/a.ts': `import '../disk/d.js'; import '../log.js'; import '../index.js';`,
        'src/cli/main.ts': `import 'node:fs'; import '../segment/a.js'; import '../../package.json';`,
        'src/adapter/a.ts': `import '../log.js'; import './b.js'; import 'node:crypto';`,
        'src/adapter/xstate/a.ts': `import 'xstate'; import '../event-store/b.js';`,
        'src/adapter/b.ts': `import type { Disk } from '../disk/disk.js'; import '../segment/checksum.js';`,
        // Neither a comment nor a string is an import.
        'src/segment/c.ts': `// import 'xstate';\nconst text = "import 'rxjs'";`,
      }),
    ).toEqual([]);
  });
});
