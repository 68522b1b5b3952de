/**
 * SIGKILL in the middle of Castore's commands: transfers that were acknowledged are there, none is there by half, and no
 * money was made or lost.
 */
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { openEventStore } from 'varve';
import { VarveEventStorageAdapter } from 'varve/castore';
import { killed, said } from '../support/killed.js';
import { temporaryDirectory } from '../support/logs.js';
import { ACCOUNTS, bank, OPENING_BALANCE } from './castore-bank.js';

describe.each([1, 2])('commands on %d partitions', (partitions) => {
  test('survive SIGKILL, again and again', async () => {
    const directory = path.join(temporaryDirectory(), 'store');
    const lines: string[] = [];
    for (const count of [17, 60, 91]) {
      const firstId = String(said(lines, 'try').length);
      lines.push(...(await killed('castore-kill-child.js', [directory, String(partitions), firstId], count)));

      const store = await openEventStore({ directory, segmentSize: 64 * 1024 });
      const { accounts, transfers } = bank(new VarveEventStorageAdapter({ store }));
      const { aggregateIds } = await transfers.listAggregateIds();
      const made = aggregateIds.map(({ aggregateId }) => aggregateId);
      const tried = new Set(said(lines, 'try'));
      expect(made.filter((id) => !tried.has(id))).toEqual([]);
      expect(said(lines, 'ack').filter((id) => !made.includes(id))).toEqual([]);

      // Every transfer is in the books of two accounts, and nothing else is.
      const booked: string[] = [];
      let total = 0;
      for (const account of ACCOUNTS) {
        const { aggregate, events } = await accounts.getExistingAggregate(account);
        expect(events.map(({ version }) => version)).toEqual(events.map((_, i) => i + 1));
        for (const { type, payload } of events) if (type === 'BOOKED') booked.push(payload.transfer);
        total += aggregate.balance;
      }
      expect(total).toBe(ACCOUNTS.length * OPENING_BALANCE);
      expect(booked.sort()).toEqual([...made, ...made].sort());

      const correcting = new Set(said(lines, 'correcting'));
      const corrected = new Set(said(lines, 'corrected'));
      for (const id of made) {
        const { aggregate, events } = await transfers.getExistingAggregate(id);
        expect(events).toHaveLength(1);
        if (corrected.has(id)) expect(aggregate.reference).toBe(id);
        else if (!correcting.has(id)) expect(aggregate.reference).toBe('none');
      }
      await store.close();
    }
    expect(said(lines, 'ack').length).toBeGreaterThan(3);
    expect(said(lines, 'corrected').length).toBeGreaterThan(0);
  }, 180_000);
});
