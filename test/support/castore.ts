/** A small Castore application, and storage adapters on simulated disks. */
import { EventStore, EventType } from '@castore/core';
import type { EventStore as VarveStore } from 'varve';
import { VarveEventStorageAdapter } from 'varve/castore';

export const boarded = new EventType<'BOARDED', { name: string }>({ type: 'BOARDED' });
export const moved = new EventType<'MOVED', { to: string }, { by: string }>({ type: 'MOVED' });

export interface Passenger {
  aggregateId: string;
  version: number;
  name: string;
  places: string[];
}

export const passengers = (eventStorageAdapter: VarveEventStorageAdapter, eventStoreId = 'PASSENGERS') =>
  new EventStore({
    eventStoreId,
    eventTypes: [boarded, moved],
    reducer: (passenger: Passenger, event): Passenger => {
      const { aggregateId, version } = event;
      if (event.type === 'BOARDED') return { aggregateId, version, name: event.payload.name, places: [] };
      return { ...passenger, version, places: [...passenger.places, event.payload.to] };
    },
    eventStorageAdapter,
  });

export const adapterOn = (store: VarveStore) => new VarveEventStorageAdapter({ store });
