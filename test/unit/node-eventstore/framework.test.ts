/** node-eventstore itself, with its dispatcher, its mappings and its events, on the store. */
import { expect, test } from '@jest/globals';
import { VarveStore } from 'varve/node-eventstore';
import { call, type EventStream, eventstore, onVarve, type StoredEvent } from '../../support/node-eventstore.js';
import { range, withStore } from '../../support/small-stores.js';

async function commit(es: object, query: unknown, ...events: object[]): Promise<EventStream> {
  const stream = await call<EventStream>(es, 'getEventStream', query);
  stream.addEvents(events);
  return call(stream, 'commit');
}

test('commits, loads and pages', () =>
  withStore(async (varve) => {
    const es = await onVarve(varve, { trackPosition: true });
    const person = { aggregateId: '1', aggregate: 'person', context: 'hr' };
    await commit(es, person, { n: 0 }, { n: 1 });
    const { eventsToDispatch, lastRevision } = await commit(es, person, { n: 2 });
    expect([eventsToDispatch.length, lastRevision]).toEqual([1, 2]);
    const loaded = await call<EventStream>(es, 'getEventStream', '1', 1, 3);
    expect(loaded.events).toMatchObject([
      { ...person, streamRevision: 1, commitSequence: 1, restInCommitStream: 0, position: 2, payload: { n: 1 } },
      { ...person, streamRevision: 2, commitSequence: 0, position: 3, payload: { n: 2 } },
    ]);
    expect(loaded.events[0]?.commitStamp).toBeInstanceOf(Date);

    const page = await call<StoredEvent[] & { next: unknown }>(es, 'getEvents', 0, 2);
    expect(page.map(({ streamRevision }) => streamRevision)).toEqual([0, 1]);
    expect((await call<StoredEvent[]>(page, 'next')).map(({ payload }) => payload)).toEqual([{ n: 2 }]);
    expect((await call<EventStream>(es, 'getLastEventAsStream', '1')).lastRevision).toBe(2);
    expect(await call(es, 'getEventsSince', new Date(0), 1)).toHaveLength(2);
    const streamed: number[] = [];
    for await (const { streamRevision } of es.streamEvents('1')) streamed.push(streamRevision);
    expect(streamed).toEqual([0, 1, 2]);
    expect(await call(es, 'getNewId')).toMatch(/^[0-9a-f-]{36}$/);
  }));

test('a commit that comes too late leaves its events to be committed', () =>
  withStore(async (varve) => {
    const es = await onVarve(varve);
    const late = await call<EventStream & { uncommittedEvents: object[] }>(es, 'getEventStream', '1');
    late.addEvent({ n: 'late' });
    await commit(es, '1', { n: 'first' });
    await expect(call(late, 'commit')).rejects.toMatchObject({ name: 'ConcurrencyError' });
    expect(late.uncommittedEvents).toHaveLength(1);
    expect(await call(es, 'getEvents', '1')).toHaveLength(1);
  }));

test('goes on from snapshots, of which it keeps so many', () =>
  withStore(async (varve) => {
    const es = await onVarve(varve, { maxSnapshotsCount: 2 });
    for (const n of range(0, 7)) {
      const { lastRevision } = await commit(es, 'a', { n });
      if (n % 2 === 1) await call(es, 'createSnapshot', { streamId: 'a', revision: lastRevision, data: { n } });
    }
    const from = (revMax: number) =>
      new Promise<[{ revision: number } | null, EventStream]>((resolve, reject) => {
        (es as unknown as { getFromSnapshot: (...args: unknown[]) => void }).getFromSnapshot(
          'a',
          revMax,
          (error: unknown, snapshot: { revision: number } | null, stream: EventStream) =>
            error ? reject(error) : resolve([snapshot, stream]),
        );
      });
    const [newest, rest] = await from(-1);
    expect([newest?.revision, rest.events.length, rest.lastRevision]).toEqual([7, 0, 7]);
    const [older, behind] = await from(6);
    expect([older?.revision, behind.events.length]).toEqual([5, 0]);
    expect((await from(4))[0]).toBeNull(); // it was cleaned up
  }));

test('publishes what was committed, and after a restart what was not published', () =>
  withStore(async (varve) => {
    const published: unknown[] = [];
    const es = eventstore({ type: VarveStore, store: varve });
    es.defineEventMappings({ id: 'id', streamRevision: 'revision' });
    es.useEventPublisher((event, callback) => {
      published.push(event);
      if (published.length !== 2) callback(null); // of the second nobody hears again
    });
    await call(es, 'init');
    await commit(es, '1', { n: 0 }, { n: 1 }, { n: 2 });
    expect(published).toMatchObject([0, 1, 2].map((n) => ({ n, revision: n, id: expect.any(String) })));
    const left = async () => (await call<StoredEvent[]>(es, 'getUndispatchedEvents')).map(({ payload }) => payload);
    while ((await left()).length > 1);
    expect(await left()).toEqual([published[1]]);

    const again = eventstore({ type: VarveStore, store: varve });
    const publishedAgain: unknown[] = [];
    again.useEventPublisher((event, callback) => {
      publishedAgain.push(event);
      callback(null);
    });
    await call(again, 'init');
    expect(publishedAgain).toEqual([published[1]]);
    while ((await left()).length > 0);
  }));

test('tells before and after what it does, if it is asked to', () =>
  withStore(async (varve) => {
    const es = await onVarve(varve, { emitStoreEvents: true });
    const heard: string[] = [];
    for (const name of ['before-add-events', 'after-add-events', 'before-clear', 'after-clear']) {
      es.on(name, () => heard.push(name));
    }
    await commit(es, '1', { n: 0 });
    await call(es.store, 'clear');
    expect(heard).toEqual(['before-add-events', 'after-add-events', 'before-clear', 'after-clear']);
  }));

test('init hands over why the store cannot be opened', () =>
  withStore(async (varve) => {
    await varve.close();
    await expect(onVarve(varve)).rejects.toMatchObject({ code: 'ERR_VARVE_CLOSED' });
  }));
