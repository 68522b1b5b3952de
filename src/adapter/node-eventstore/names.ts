/**
 * Where things are: the streams of the event store, by what node-eventstore calls them.
 *
 *   eventstore/hr/person-42            events of aggregate 42, a person, in the context hr
 *   eventstore.snapshots/hr/person-42  its snapshots
 *   eventstore.places-42               contexts and aggregates in which there is a 42, as queries may leave them out
 *   eventstore.dispatched              which events were dispatched
 *   eventstore.positions               which positions were given out
 *   eventstore.generation              how often everything was cleared: what comes behind it is `eventstore~1/…`
 */
import { checkAll, invalid } from '../../options.js';

/** Which aggregate. */
export interface Place {
  readonly context: string;
  readonly aggregate: string;
  readonly aggregateId: string;
}

/** What is left out fits all. */
export type Query = Partial<Place>;

export const ROOT = 'eventstore';
export const GENERATION_STREAM = `${ROOT}.generation`;
/** What node-eventstore's own stores call a context or aggregate that was not given. */
const GENERAL = '_general';

const FIELDS = ['context', 'aggregate', 'aggregateId'] as const;

/** Slash and dash part the names of streams. */
const escaped = (text: string) => text.replace(/[%/-]/g, (sign) => `%${sign.charCodeAt(0).toString(16)}`);

export class Names {
  readonly root: string;

  constructor(generation: number) {
    this.root = generation === 0 ? ROOT : `${ROOT}~${generation}`;
  }

  get dispatched(): string {
    return `${this.root}.dispatched`;
  }

  get positions(): string {
    return `${this.root}.positions`;
  }

  places(aggregateId: string): string {
    return `${this.root}.places-${aggregateId}`;
  }

  events({ context, aggregate, aggregateId }: Place): string {
    return `${this.root}/${escaped(context)}/${escaped(aggregate)}-${aggregateId}`;
  }

  snapshots({ context, aggregate, aggregateId }: Place): string {
    return `${this.root}.snapshots/${escaped(context)}/${escaped(aggregate)}-${aggregateId}`;
  }

  /** All events that a query can mean are in streams that begin with it. */
  eventsPrefix({ context, aggregate }: Query): string {
    if (context === undefined) return `${this.root}/`;
    return aggregate === undefined
      ? `${this.root}/${escaped(context)}/`
      : `${this.root}/${escaped(context)}/${escaped(aggregate)}-`;
  }

  /** True of streams of this generation; not of the one that counts generations. */
  includes(stream: string): boolean {
    return stream !== GENERATION_STREAM && (stream.startsWith(`${this.root}/`) || stream.startsWith(`${this.root}.`));
  }
}

/** The place that an event, a snapshot or a query names. Throws where there is no aggregate id. */
export function placeOf(given: object): Place {
  const { context = GENERAL, aggregate = GENERAL, aggregateId } = fieldsOf(given);
  if (aggregateId === undefined) throw new Error('aggregateId not defined!'); // as node-eventstore's own stores say it
  return { context, aggregate, aggregateId };
}

/** Throws `ERR_VARVE_INVALID_OPTION` for a field that cannot be queried. */
export function checkQuery(query: unknown): Query {
  if (query === undefined || query === null) return {};
  const anything = () => {};
  checkAll(query, { context: anything, aggregate: anything, aggregateId: anything }, 'query');
  return fieldsOf(query as object);
}

export function isFitting(query: Query, place: Place): boolean {
  return FIELDS.every((field) => query[field] === undefined || query[field] === place[field]);
}

/** What is null or empty was not given. */
function fieldsOf(given: object): Query {
  const fields: Record<string, string> = {};
  for (const field of FIELDS) {
    const value = (given as Record<string, unknown>)[field];
    if (value === undefined || value === null || value === '') continue;
    if (typeof value !== 'string') throw invalid(field, value, 'a string');
    fields[field] = value;
  }
  return fields;
}
