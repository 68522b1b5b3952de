import { describe, expect, test } from '@jest/globals';
import { VarveError } from 'varve';
import { makeUpcasters, type Upcaster, type VersionedEvent } from '../../../src/adapter/event-store/upcasters.js';

const event = (type: string, schemaVersion: number, data: unknown = []): VersionedEvent => ({
  type,
  schemaVersion,
  data,
  metadata: { by: 'ada' },
});

/** An upcaster that notes in the data that it was there. */
const step = (type: string, from: number, rest: Partial<Upcaster> = {}): Upcaster => ({
  type,
  from,
  upcast: ({ data }) => ({ data: [...(data as string[]), `${type}@${from}`] }),
  ...rest,
});

function thrown(act: () => unknown): VarveError {
  try {
    act();
  } catch (error) {
    if (error instanceof VarveError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('upcasters', () => {
  test('are chained, from wherever an event stands, until none fits', () => {
    const { apply } = makeUpcasters([step('A', 2), step('A', 1), step('B', 1), step('A', 3, { to: 7 })]);
    expect(apply(event('A', 1))).toEqual(event('A', 7, ['A@1', 'A@2', 'A@3']));
    expect(apply(event('A', 3))).toEqual(event('A', 7, ['A@3']));
    expect(apply(event('B', 1))).toEqual(event('B', 2, ['B@1']));
  });

  test('leave an event that is up to date, newer than all of them, or of another type as it is: the same object', () => {
    const { apply } = makeUpcasters([step('A', 1)]);
    for (const given of [event('A', 2), event('A', 65_535), event('C', 1), event('constructor', 1), event('', 1)]) {
      expect(apply(given)).toBe(given);
    }
    const given = event('A', 1);
    expect(makeUpcasters([]).apply(given)).toBe(given);
  });

  test('change a copy, which keeps what else the event carries', () => {
    const given = Object.freeze({ ...event('A', 1), id: 'e1', revision: 5n });
    const made = makeUpcasters([step('A', 1)]).apply(given);
    expect(made).toEqual({ ...given, schemaVersion: 2, data: ['A@1'] });
    expect(given.data).toEqual([]);
    expect(made.revision).toBe(5n);
  });

  test('see the event as it stands in the chain, and their own `this`', () => {
    const seen: VersionedEvent[] = [];
    class Noted implements Upcaster {
      readonly type = 'A';
      readonly from = 2;
      readonly word = 'noted';
      upcast(given: VersionedEvent) {
        seen.push(given);
        return { data: this.word };
      }
    }
    const { apply } = makeUpcasters([step('A', 1), new Noted()]);
    expect(apply(event('A', 1)).data).toBe('noted');
    expect(seen).toEqual([event('A', 2, ['A@1'])]);
  });

  test('may change metadata, and keep it by saying nothing; data may become undefined', () => {
    const { apply } = makeUpcasters([
      step('A', 1, { upcast: ({ metadata }) => ({ data: undefined, metadata: { was: metadata } }) }),
      step('A', 2, { upcast: ({ data }) => ({ data }) }),
    ]);
    expect(apply(event('A', 1))).toEqual({ ...event('A', 3), data: undefined, metadata: { was: { by: 'ada' } } });
  });

  test('may rename the type; the chain goes on under the new one', () => {
    const { apply } = makeUpcasters([
      step('Old', 1),
      step('Old', 2, { toType: 'New', to: 1 }),
      step('New', 1),
      step('Other', 1, { toType: 'New' }),
    ]);
    expect(apply(event('Old', 1))).toEqual(event('New', 2, ['Old@1', 'Old@2', 'New@1']));
    // Without `to` the version goes on counting.
    expect(apply(event('Other', 1))).toEqual(event('New', 2, ['Other@1']));
  });

  test('may split a type into several, by what the event holds', () => {
    const { apply } = makeUpcasters([
      step('Paid', 1, {
        toType: ['PaidByCard', 'PaidInCash'],
        upcast: ({ data }) => ({ data, type: (data as string[]).includes('card') ? 'PaidByCard' : 'PaidInCash' }),
      }),
      step('PaidInCash', 2),
    ]);
    expect(apply(event('Paid', 1, ['card']))).toEqual(event('PaidByCard', 2, ['card']));
    expect(apply(event('Paid', 1))).toEqual(event('PaidInCash', 3, ['PaidInCash@2']));
  });

  test('that throw are reported with the type and version of the event that they were given', () => {
    const cause = new TypeError('no price');
    const { apply } = makeUpcasters([
      step('A', 1),
      step('A', 2, {
        upcast: () => {
          throw cause;
        },
      }),
    ]);
    const error = thrown(() => apply(event('A', 1)));
    expect(error).toMatchObject({ code: 'ERR_VARVE_INVALID_EVENT', eventType: 'A', schemaVersion: 2, cause });
    expect(error.message).toContain(`'A', schema version 2`);
    expect(error.message).toContain('no price');
  });

  test.each<[string, Partial<Upcaster>]>([
    ['nothing', { upcast: () => undefined as never }],
    ['null', { upcast: () => null as never }],
    ['a string', { upcast: () => 'data' as never }],
    ['an object without data', { upcast: () => ({ metadata: {} }) as never }],
    ['a promise', { upcast: (async () => ({ data: 1 })) as never }],
    ['another type than the one it announced', { upcast: () => ({ data: 1, type: 'B' }) }],
    ['its old type where it renames', { toType: 'B', upcast: () => ({ data: 1, type: 'A' }) }],
    ['no type where it announced several', { toType: ['B', 'C'], upcast: () => ({ data: 1 }) }],
    ['a type that is none of the several', { toType: ['B', 'C'], upcast: () => ({ data: 1, type: 'A' }) }],
  ])('that return %s are refused when they run', (_what, rest) => {
    const { apply } = makeUpcasters([step('A', 1, rest)]);
    expect(thrown(() => apply(event('A', 1)))).toMatchObject({
      code: 'ERR_VARVE_INVALID_EVENT',
      eventType: 'A',
      schemaVersion: 1,
    });
  });

  test('refuse an event that is older than all of them, or falls between two', () => {
    const { apply } = makeUpcasters([step('A', 2, { to: 4 }), step('A', 4)]);
    for (const version of [1, 3]) {
      expect(thrown(() => apply(event('A', version)))).toMatchObject({
        code: 'ERR_VARVE_INVALID_EVENT',
        eventType: 'A',
        schemaVersion: version,
      });
    }
    expect(apply(event('A', 2)).schemaVersion).toBe(5);
  });
});

describe('a list of upcasters', () => {
  const refused = (list: unknown): VarveError => {
    const error = thrown(() => makeUpcasters(list as Upcaster[]));
    expect(error.code).toBe('ERR_VARVE_INVALID_OPTION');
    return error;
  };

  test.each<[string, string, unknown[]]>([
    ['A@2', 'A@3', [step('A', 1), step('A', 3)]],
    ['B@1', 'B@2', [step('A', 1, { toType: 'B', to: 1 }), step('B', 2)]],
    ['B@2', 'B@3', [step('A', 1, { toType: ['C', 'B'] }), step('B', 3)]],
  ])('with a missing step is refused: at %s, before %s', (end, far, list) => {
    expect(refused(list)).toMatchObject({
      option: 'upcasters',
      message: `Option 'upcasters': a step is missing: a chain ends at ${end}, though there is an upcaster from ${far}.`,
    });
  });

  test.each<[string, unknown[]]>([
    ['A@1 → B@1 → A@1', [step('A', 1, { toType: 'B', to: 1 }), step('B', 1, { toType: 'A', to: 1 })]],
    [
      'B@2 → C@2 → B@2',
      [
        step('A', 1, { toType: ['Z', 'B'] }),
        step('B', 2, { toType: 'C', to: 2 }),
        step('C', 2, { toType: ['Y', 'B'], to: 2 }),
      ],
    ],
    [
      'A@2 → A@3 → B@4 → A@2',
      [step('A', 1), step('A', 2), step('A', 3, { toType: 'B' }), step('B', 4, { toType: 'A', to: 2 })],
    ],
  ])('with a chain that never ends is refused: %s', (chain, list) => {
    expect(refused(list).message).toBe(`Option 'upcasters': the chain never ends: ${chain}.`);
  });

  test('with two upcasters from one place is refused', () => {
    expect(refused([step('A', 1), step('B', 1), step('A', 1, { to: 3 })])).toMatchObject({
      option: 'upcasters[2]',
      message: expect.stringContaining('A@1'),
    });
  });

  test('may meet in one place, and go on from there', () => {
    const { apply } = makeUpcasters([
      step('A', 1, { toType: 'C', to: 1 }),
      step('B', 1, { toType: 'C', to: 1 }),
      step('C', 1),
    ]);
    expect(apply(event('A', 1))).toEqual(event('C', 2, ['A@1', 'C@1']));
    expect(apply(event('B', 1))).toEqual(event('C', 2, ['B@1', 'C@1']));
  });

  test('may part and meet again many times: each upcaster is followed once, not once for each way to it', () => {
    const list = Array.from({ length: 50 }, (_, i) => [
      step('A', i + 1, { toType: ['A', 'B'], upcast: ({ data }) => ({ data, type: 'B' }) }),
      step('B', i + 1, { toType: ['A', 'B'], upcast: ({ data }) => ({ data, type: 'A' }) }),
    ]).flat();
    expect(makeUpcasters(list).apply(event('A', 1))).toEqual(event('A', 51));
  });

  test('may use the whole range of versions', () => {
    const { apply } = makeUpcasters([step('A', 1, { to: 65_534 }), step('A', 65_534)]);
    expect(apply(event('A', 1)).schemaVersion).toBe(65_535);
  });

  test.each<[string, unknown]>([
    ['upcasters', {}],
    ['upcasters', null],
    ['upcasters[0]', [null]],
    ['upcasters[0]', ['A']],
    ['upcasters[1].type', [step('A', 1), { from: 1, upcast: () => ({ data: 1 }) }]],
    ['upcasters[0].type', [step('', 1)]],
    ['upcasters[0].from', [step('A', 0)]],
    ['upcasters[0].from', [step('A', 1.5)]],
    ['upcasters[0].from', [step('A', 65_535)]],
    ['upcasters[0].from', [step('A', '1' as never)]],
    ['upcasters[0].to', [step('A', 2, { to: 2 })]],
    ['upcasters[0].to', [step('A', 2, { to: 1 })]],
    ['upcasters[0].to', [step('A', 1, { to: 65_536 })]],
    ['upcasters[0].to', [step('A', 1, { to: 0, toType: 'B' })]],
    ['upcasters[0].to', [step('A', 2, { to: 2, toType: ['B', 'A'] })]],
    ['upcasters[0].toType', [step('A', 1, { toType: '' })]],
    ['upcasters[0].toType', [step('A', 1, { toType: [] })]],
    ['upcasters[0].toType', [step('A', 1, { toType: ['B', ''] })]],
    ['upcasters[0].toType', [step('A', 1, { toType: 5 as never })]],
    ['upcasters[0].upcast', [{ type: 'A', from: 1 }]],
  ])('is refused by the name %s (%#)', (option, list) => {
    expect(refused(list).option).toBe(option);
  });
});
