/**
 * Pokemons and their trainers as event stores of Castore, on one Varve store: a catch is told in both at once, and of two
 * trainers who throw at the same time one catches. Then the program is started again, so to speak.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, EventStore, EventType, tuple } from '@castore/core';
import { openEventStore } from 'varve';
import { VarveEventStorageAdapter } from 'varve/castore';

/** @typedef {{ aggregateId: string, version: number, name: string, trainer: string | undefined }} Pokemon */
/** @typedef {{ aggregateId: string, version: number, caught: string[] }} Trainer */

const directory = await mkdtemp(join(tmpdir(), 'varve-castore-'));
let store = await openEventStore({ directory, segmentSize: 1024 * 1024 });

const pokemons = new EventStore({
  eventStoreId: 'POKEMONS',
  eventTypes: [
    /** @type {EventType<'APPEARED', { name: string }>} */ (new EventType({ type: 'APPEARED' })),
    /** @type {EventType<'CAUGHT', { trainer: string }>} */ (new EventType({ type: 'CAUGHT' })),
  ],
  reducer: (/** @type {Pokemon} */ pokemon, event) => {
    const { aggregateId, version } = event;
    return event.type === 'APPEARED'
      ? { aggregateId, version, name: event.payload.name, trainer: undefined }
      : { ...pokemon, version, trainer: event.payload.trainer };
  },
  eventStorageAdapter: new VarveEventStorageAdapter({ store }),
});

const trainers = new EventStore({
  eventStoreId: 'TRAINERS',
  eventTypes: [/** @type {EventType<'CAUGHT', { pokemon: string }>} */ (new EventType({ type: 'CAUGHT' }))],
  reducer: (/** @type {Trainer | undefined} */ trainer, { aggregateId, version, payload: { pokemon } }) => {
    return { aggregateId, version, caught: [...(trainer?.caught ?? []), pokemon] };
  },
  eventStorageAdapter: new VarveEventStorageAdapter({ store }),
});

const catchPokemon = new Command({
  commandId: 'CATCH_POKEMON',
  requiredEventStores: tuple(pokemons, trainers),
  /** @param {{ pokemon: string, trainer: string }} input */
  handler: async ({ pokemon, trainer }) => {
    const { aggregate: prey } = await pokemons.getExistingAggregate(pokemon);
    if (prey.trainer !== undefined) return false;
    const { aggregate: hunter } = await trainers.getAggregate(trainer);
    await EventStore.pushEventGroup(
      pokemons.groupEvent({
        aggregateId: pokemon,
        version: prey.version + 1,
        type: 'CAUGHT',
        payload: { trainer },
      }),
      trainers.groupEvent({
        aggregateId: trainer,
        version: (hunter?.version ?? 0) + 1,
        type: 'CAUGHT',
        payload: { pokemon },
      }),
    );
    return true;
  },
});

for (const name of ['Pikachu', 'Bulbasaur', 'Snorlax']) {
  await pokemons.pushEvent({ aggregateId: name.toLowerCase(), version: 1, type: 'APPEARED', payload: { name } });
}

// Both have read that nobody has it. One of the two is told that the version is taken, looks again, and is too late.
const throws = await Promise.all(
  ['ash', 'misty'].map((trainer) => catchPokemon.handler({ pokemon: 'pikachu', trainer }, [pokemons, trainers])),
);
console.log(`${throws.filter(Boolean).length} of ${throws.length} has caught Pikachu`);
await catchPokemon.handler({ pokemon: 'snorlax', trainer: 'ash' }, [pokemons, trainers]);

// An event that was wrong from the beginning is superseded: what was there stays in the log, and is not read any more.
const corrected = { aggregateId: 'bulbasaur', version: 1, type: /** @type {const} */ ('APPEARED') };
await pokemons.pushEvent({ ...corrected, payload: { name: 'Bulbasaur the Third' } }, { force: true });

await store.close();
store = await openEventStore({ directory, segmentSize: 1024 * 1024 });
pokemons.eventStorageAdapter = new VarveEventStorageAdapter({ store });
trainers.eventStorageAdapter = new VarveEventStorageAdapter({ store });

let caught = 0;
/** @type {string | undefined} */
let pageToken;
do {
  const page = await pokemons.listAggregateIds({ limit: 2, ...(pageToken === undefined ? {} : { pageToken }) });
  for (const { aggregateId } of page.aggregateIds) {
    const { name, trainer } = (await pokemons.getExistingAggregate(aggregateId)).aggregate;
    console.log(`${name}: ${trainer === undefined ? 'free' : 'caught'}`);
    if (trainer === undefined) continue;
    const { aggregate } = await trainers.getExistingAggregate(trainer);
    if (!aggregate.caught.includes(aggregateId)) throw new Error(`${trainer} knows nothing of ${name}`);
    caught++;
  }
  pageToken = page.nextPageToken;
} while (pageToken !== undefined);
await store.close();
await rm(directory, { recursive: true });
console.log(`${caught} are caught, and their trainers know it`);
