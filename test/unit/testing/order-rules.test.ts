import { describe, expect, test } from '@jest/globals';
import type { OperationKind } from '../../../src/testing/operations.js';
import type { OrderEvent, SegmentContent } from '../../../src/testing/order-events.js';
import { type OrderRule, orderViolations } from '../../../src/testing/order-rules.js';

const A = 'part_1_0000000001.wal';
const B = 'part_1_0000000002.wal';
const C = 'part_1_0000000003.wal';

let ids = 0;
type More = Partial<Extract<OrderEvent, { what: 'begin' }>>;
const begin = (kind: OperationKind, file: string, more: More = {}, id = ++ids): OrderEvent => {
  return { what: 'begin', id, kind, file, ...more };
};
/** An operation from its beginning to its end. */
const done = (kind: OperationKind, file: string, more: More = {}, failed = false): OrderEvent[] => {
  const id = ++ids;
  return [begin(kind, file, more, id), { what: 'end', id, failed }];
};
const holds = (
  segment: number,
  baseLsn: number,
  lastLsn: number,
  more: Partial<SegmentContent> = {},
): SegmentContent => {
  return { partition: 1, segment, opened: true, baseLsn, lastLsn, sealed: false, ...more };
};
const sync = (file: string, content: SegmentContent) => done('sync', file, { holds: content });
const names = () => done('syncDirectory', '/data');
const named = (file: string) => [...done('rename', 'ready_0000000001', { to: file }), ...names()];
const acknowledged = (lsn: number): OrderEvent => ({ what: 'acknowledged', partition: 1, lsn });
const opened = (segment: number): OrderEvent => ({ what: 'opened', partition: 1, segment });
const shown = (lsn: number): OrderEvent => ({ what: 'shown', partition: 1, lsn });
const manifest = (firstSegment: number) =>
  done('rename', 'MANIFEST.tmp', { to: 'MANIFEST', marks: { 1: firstSegment } });

const lateSync = (): OrderEvent[] => {
  const early = begin('sync', A, { holds: holds(1, 1, 1) }, 900);
  return [...named(A), opened(1), early, { what: 'end', id: 900, failed: false }, acknowledged(2)];
};
const overtaken = (): OrderEvent[] => {
  const syncing = begin('syncDirectory', '/data', {}, 901);
  const rename = done('rename', 'ready_0000000001', { to: A });
  return [syncing, ...rename, { what: 'end', id: 901, failed: false }, ...sync(A, holds(1, 1, 1)), acknowledged(1)];
};
const two = () => [...named(A), ...named(B)];

describe.each<[OrderRule, [string, () => OrderEvent[]][], [string, () => OrderEvent[]][]]>([
  [
    'sync before acknowledgement',
    [
      ['a sync that began behind the hand-over', () => [...named(A), ...sync(A, holds(1, 1, 2)), acknowledged(2)]],
      ['the open frame of the next segment answers', () => [...two(), ...sync(B, holds(2, 3, 2)), acknowledged(2)]],
      [
        'a synced file keeps its content under a new name',
        () => [...sync('ready_0000000001', holds(1, 1, 1)), ...named(A), acknowledged(1)],
      ],
    ],
    [
      ['none at all', () => [...named(A), acknowledged(1)]],
      ['one that began before the hand-over', lateSync],
      ['one that is under way', () => [...named(A), begin('sync', A, { holds: holds(1, 1, 1) }), acknowledged(1)]],
      ['one that failed', () => [...named(A), ...done('sync', A, { holds: holds(1, 1, 1) }, true), acknowledged(1)]],
      [
        'one of a segment without an open frame',
        () => [...named(A), ...sync(A, holds(1, 1, 1, { opened: false })), acknowledged(1)],
      ],
      ['one of another partition', () => [...named(A), ...sync(A, holds(1, 1, 1, { partition: 2 })), acknowledged(1)]],
      [
        'one of a file that was removed',
        () => [...named(A), ...sync(A, holds(1, 1, 1)), ...done('unlink', A), acknowledged(1)],
      ],
    ],
  ],
  [
    'name before acknowledgement',
    [['a directory sync behind the rename', () => [...named(A), ...sync(A, holds(1, 1, 1)), acknowledged(1)]]],
    [
      ['none', () => [...done('rename', 'ready_0000000001', { to: A }), ...sync(A, holds(1, 1, 1)), acknowledged(1)]],
      ['none behind a create', () => [...done('create', A), ...sync(A, holds(1, 1, 1)), acknowledged(1)]],
      ['one that had begun before', overtaken],
    ],
  ],
  [
    'old segment before new',
    [
      ['the first one', () => [...named(A), opened(1)]],
      ['a sync that covers the seal', () => [...two(), ...sync(A, holds(1, 1, 2, { sealed: true })), opened(2)]],
    ],
    [
      ['a sync without the seal', () => [...two(), ...sync(A, holds(1, 1, 2)), opened(2)]],
      ['a sync under way', () => [...two(), begin('sync', A, { holds: holds(1, 1, 2, { sealed: true }) }), opened(2)]],
    ],
  ],
  [
    'recovery syncs before it trusts',
    [
      ['directory and file', () => [...done('lock', 'LOCK'), ...names(), ...sync(A, holds(1, 1, 3)), shown(3)]],
      ['nothing is there', () => [...done('lock', 'LOCK'), ...names(), shown(0)]],
    ],
    [
      ['no directory sync', () => [...done('lock', 'LOCK'), ...sync(A, holds(1, 1, 3)), shown(3)]],
      ['a file that was only read', () => [...done('lock', 'LOCK'), ...names(), ...done('read', A), shown(3)]],
      ['synced by the life before', () => [...sync(A, holds(1, 1, 3)), ...done('lock', 'LOCK'), ...names(), shown(3)]],
      [
        'read before it was synced',
        () => [
          ...done('lock', 'LOCK'),
          ...names(),
          ...done('read', A, { offset: 5000 }),
          ...sync(A, holds(1, 1, 3)),
          shown(3),
        ],
      ],
      [
        'written again, and not synced',
        () => [
          ...done('lock', 'LOCK'),
          ...names(),
          ...sync(A, holds(1, 1, 3)),
          ...done('write', A, { offset: 5000 }),
          shown(3),
        ],
      ],
      ['more than was synced', () => [...done('lock', 'LOCK'), ...names(), ...sync(A, holds(1, 1, 2)), shown(3)]],
    ],
  ],
  [
    'mark before removal',
    [
      ['the mark is durable', () => [...two(), ...manifest(2), ...names(), ...done('unlink', A)]],
      ['the newest is cut off', () => [...two(), ...manifest(1), ...names(), ...done('unlink', B)]],
    ],
    [
      ['no mark', () => [...two(), ...manifest(1), ...names(), ...done('unlink', A)]],
      [
        'a mark that is not durable',
        () => [
          ...two(),
          ...manifest(1),
          ...names(),
          ...manifest(2),
          ...done('rename', A, { to: 'recycle_0000000001' }),
        ],
      ],
    ],
  ],
  [
    'oldest first',
    [
      [
        'oldest first',
        () => [...two(), ...named(C), ...manifest(3), ...names(), ...done('unlink', A), ...done('unlink', B)],
      ],
    ],
    [['one in the middle', () => [...two(), ...named(C), ...manifest(3), ...names(), ...done('unlink', B)]]],
  ],
])('%s', (rule, kept, broken) => {
  test.each(kept)('kept: %s', (_what, events) => {
    expect(orderViolations(events())).toEqual([]);
  });

  test.each(broken)('broken: %s', (_what, events) => {
    const record = events();
    const violations = orderViolations(record);
    expect(violations.map((violation) => violation.rule)).toEqual([rule]);
    expect(violations[0]?.at).toBeLessThan(record.length);
  });
});
