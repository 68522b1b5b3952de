import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { setup } from 'xstate';
import { allTransitions, descendants, diagramOf } from '../../../scripts/diagram-of.js';
import { allocatorPage, partitionPage } from '../../../scripts/machine-pages.js';
import { allocatorMachine } from '../../../src/actors/allocator-machine.js';
import { partitionMachine } from '../../../src/actors/partition-machine.js';

const machines = [
  ['partition', partitionMachine, partitionPage],
  ['allocator', allocatorMachine, allocatorPage],
] as const;

describe.each(machines)('the page about the %s machine', (_name, machine, page) => {
  test('is what `npm run diagram` makes of the sources', () => {
    const committed = readFileSync(fileURLToPath(new URL(`../../../${page.file}`, import.meta.url)), 'utf8');
    expect(committed).toBe(diagramOf(machine, page));
  });

  test('shows every state and every transition', () => {
    const drawn = diagramOf(machine, page);
    const lines = drawn.slice(drawn.indexOf('```mermaid'), drawn.lastIndexOf('```')).split('\n');
    for (const state of descendants(machine.root)) {
      expect(lines.join('\n')).toContain(`state "${state.key}" as ${state.path.join('_')}`);
      const own = lines.filter((line) => new RegExp(`^ *${state.path.join('_')} (:|-->) `).test(line));
      const fromAbove = state.path.length === 1 && machine.root.transitions.size > 0 && state.type !== 'final' ? 1 : 0;
      const ending = state.type === 'final' ? 1 : 0;
      const defined = allTransitions(state).reduce((sum, [, transitions]) => sum + transitions.length, 0);
      expect([state.path.join('.'), own.length]).toEqual([state.path.join('.'), defined + fromAbove + ending]);
    }
  });
});

describe('the page of any machine', () => {
  const { createMachine } = setup({
    types: { events: {} as { type: 'GO' } | { type: 'STAY' } },
    delays: { soon: 1 },
    guards: { may: () => true },
    actions: { note: () => {}, tell: (_, _params: { to: string }) => {} },
  });
  const machine = createMachine({
    id: 'lamp',
    initial: 'off',
    states: {
      off: {
        on: {
          GO: [
            { guard: 'may', target: 'on' },
            { target: 'off', reenter: true },
          ],
        },
      },
      on: {
        entry: { type: 'tell', params: { to: 'all' } },
        on: { STAY: { actions: 'note' } },
        after: { soon: 'out' },
        always: { guard: 'may', target: 'out' },
      },
      out: { type: 'final' },
    },
  });
  const page = { title: 'A lamp', source: 'lamp.ts', introduction: 'It shines.' };
  const meanings = { off: 'Dark.', on: 'Bright.', out: 'Burnt.' };

  test('labels arrows with event, guard and actions', () => {
    const drawn = diagramOf(machine, { ...page, meanings });
    const lines = drawn.split('\n').map((line) => line.trim());
    expect(lines).toEqual(
      expect.arrayContaining([
        '# A lamp',
        'It shines.',
        '[*] --> off',
        'off --> on : GO [may]',
        'off --> off : GO [else]',
        'on : STAY / note',
        'on --> out : after soon',
        'on --> out : [may]',
        'out --> [*]',
        '| `on` | Bright. | `tell(all)` |',
      ]),
    );
  });

  test('fails for a state without a sentence', () => {
    const { out: _, ...rest } = meanings;
    expect(() => diagramOf(machine, { ...page, meanings: rest })).toThrow("The state 'out' has no sentence");
  });

  test('fails for a sentence without a state', () => {
    const more = { ...meanings, dim: 'In between.' };
    expect(() => diagramOf(machine, { ...page, meanings: more })).toThrow("There is no state 'dim'");
  });

  test('fails for an action without a name', () => {
    const nameless = setup({}).createMachine({ initial: 'a', states: { a: { on: { X: { actions: [() => {}] } } } } });
    expect(() => diagramOf(nameless, { ...page, meanings: { a: 'A.' } })).toThrow('has no name');
  });
});
