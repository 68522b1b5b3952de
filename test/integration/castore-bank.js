/** A bank on Castore: accounts in one event store, transfers in another, and a command over both. */
import { Command, EventStore, EventType, tuple } from '@castore/core';

export const ACCOUNTS = ['ada', 'bob', 'cleo', 'dan'];
export const OPENING_BALANCE = 1000;

/** @param {import('@castore/core').EventStorageAdapter} eventStorageAdapter */
export function bank(eventStorageAdapter) {
  const accounts = new EventStore({
    eventStoreId: 'ACCOUNTS',
    eventTypes: [
      /** @type {EventType<'OPENED', { amount: number }>} */ (new EventType({ type: 'OPENED' })),
      /** @type {EventType<'BOOKED', { amount: number, transfer: string }>} */ (new EventType({ type: 'BOOKED' })),
    ],
    /** @returns {{ aggregateId: string, version: number, balance: number }} */
    reducer: (/** @type {any} */ account, { aggregateId, version, payload }) => ({
      aggregateId,
      version,
      balance: (account?.balance ?? 0) + payload.amount,
    }),
    eventStorageAdapter,
  });
  const transfers = new EventStore({
    eventStoreId: 'TRANSFERS',
    eventTypes: [/** @type {EventType<'MADE', { reference: string }>} */ (new EventType({ type: 'MADE' }))],
    /** @returns {{ aggregateId: string, version: number, reference: string }} */
    reducer: (_transfer, { aggregateId, version, payload: { reference } }) => ({ aggregateId, version, reference }),
    eventStorageAdapter,
  });
  const transfer = new Command({
    commandId: 'TRANSFER',
    requiredEventStores: tuple(accounts, transfers),
    eventAlreadyExistsRetries: 100,
    /** @param {{ id: string, from: string, to: string, amount: number }} input */
    handler: async ({ id, from, to, amount }) => {
      const booked = async (/** @type {string} */ aggregateId, /** @type {number} */ difference) => {
        const { aggregate } = await accounts.getExistingAggregate(aggregateId);
        const payload = { amount: difference, transfer: id };
        return accounts.groupEvent({ aggregateId, version: aggregate.version + 1, type: 'BOOKED', payload });
      };
      await EventStore.pushEventGroup(
        await booked(from, -amount),
        await booked(to, amount),
        transfers.groupEvent({ aggregateId: id, version: 1, type: 'MADE', payload: { reference: 'none' } }),
      );
    },
  });
  return { accounts, transfers, transfer };
}
