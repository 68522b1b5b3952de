/**
 * Upcasters: events of an old shape become events of the present shape while they are read; the log keeps the old ones.
 *
 * Each event carries a schema version, 1 … 65,535. An upcaster leads from one version of a type to another version, of
 * the same type or of a renamed one. Upcasters are chained until none fits:
 *
 *     ItemAdded@1 ──▶ ItemAdded@2 ──▶ ItemPutInCart@1 ──▶ ItemPutInCart@2
 *
 * The chains are checked before the first event is read. Refused: two upcasters from one place; a chain that never
 * ends; a chain that ends where a later upcaster of the same type begins, because the one between was forgotten.
 */
import { VarveError } from '../../errors.js';
import { invalid } from '../../options.js';

/** What upcasters look at. `schemaVersion`: 1 … 65,535. */
export interface VersionedEvent {
  readonly type: string;
  readonly schemaVersion: number;
  readonly data: unknown;
  readonly metadata?: unknown;
}

export interface Upcast {
  readonly data: unknown;
  /** Absent: the metadata stay as they are. */
  readonly metadata?: unknown;
  /** Needed only where `toType` names several types: which of them this event becomes. */
  readonly type?: string;
}

export interface Upcaster {
  /** Type of the events that it takes. */
  readonly type: string;
  /** Version of the events that it takes: 1 … 65,534. */
  readonly from: number;
  /** Version of the events that it makes. Default `from + 1`. Without `toType` it must be greater than `from`. */
  readonly to?: number;
  /** Type, or types, of the events that it makes. Default `type`. */
  readonly toType?: string | readonly string[];
  /** Pure and synchronous. What it throws becomes the cause of `ERR_VARVE_INVALID_EVENT`. */
  upcast(event: VersionedEvent): Upcast;
}

export interface Upcasters {
  /**
   * The event in its present shape: itself where no upcaster fits, else a copy whose `type`, `schemaVersion`, `data` and
   * `metadata` are the new ones. An event of a version past all upcasters is left as it is.
   * `ERR_VARVE_INVALID_EVENT`, with `eventType` and `schemaVersion`, where an upcaster fails, or where there are
   * upcasters for later versions of the type but none for this one.
   */
  apply<E extends VersionedEvent>(event: E): E;
  /** Every type in which events that have `type` now may have been written, `type` among them. */
  writtenAs(type: string): readonly string[];
}

const VERSION_MAX = 65_535;

interface Step extends Upcaster {
  readonly to: number;
  readonly toTypes: readonly string[];
}
/** Steps of each type, by the version that they start from. */
type Steps = ReadonlyMap<string, ReadonlyMap<number, Step>>;

/** Checks the list and makes the chains. `ERR_VARVE_INVALID_OPTION` with `option`, such as `upcasters[2].from`. */
export function makeUpcasters(list: readonly Upcaster[]): Upcasters {
  if (!Array.isArray(list)) throw invalid('upcasters', list, 'an array');
  const steps = new Map<string, Map<number, Step>>();
  list.forEach((given: unknown, i) => {
    const step = checked(given, `upcasters[${i}]`);
    const ofType = steps.get(step.type) ?? new Map<number, Step>();
    if (ofType.has(step.from)) {
      throw refusal(`upcasters[${i}]`, `there are two upcasters from ${place(step.type, step.from)}`);
    }
    steps.set(step.type, ofType.set(step.from, step));
  });
  checkChains(steps);
  return {
    apply(event) {
      let current = event;
      for (;;) {
        const ofType = steps.get(current.type);
        if (ofType === undefined) return current;
        const step = ofType.get(current.schemaVersion);
        if (step !== undefined) current = applied(step, current);
        else if (stepAfter(ofType, current.schemaVersion) === undefined) return current;
        else throw failure(current, 'no upcaster takes this version, though there are some for later versions');
      }
    },
    writtenAs(type) {
      const types = new Set([type]);
      for (const found of types) {
        for (const [from, ofType] of steps) {
          if ([...ofType.values()].some(({ toTypes }) => toTypes.includes(found))) types.add(from);
        }
      }
      return [...types];
    },
  };
}

function applied<E extends VersionedEvent>(step: Step, event: E): E {
  let made: unknown;
  try {
    made = step.upcast(event);
  } catch (error) {
    throw failure(event, `its upcaster threw: ${error instanceof Error ? error.message : String(error)}`, error);
  }
  // A promise has no data either.
  if (typeof made !== 'object' || made === null || !('data' in made)) {
    throw failure(event, 'its upcaster did not return { data }');
  }
  const { data, metadata = event.metadata, type = onlyOne(step.toTypes) } = made as Upcast;
  if (type === undefined || !step.toTypes.includes(type)) {
    throw failure(event, `its upcaster returned the type ${JSON.stringify(type)}, which 'toType' does not name`);
  }
  return { ...event, type, schemaVersion: step.to, data, metadata };
}

function onlyOne(types: readonly string[]): string | undefined {
  return types.length === 1 ? types[0] : undefined;
}

function stepAfter(ofType: ReadonlyMap<number, Step>, version: number): Step | undefined {
  return [...ofType.values()].find(({ from }) => from > version);
}

/** Walks all chains, depth first. Where a chain meets itself it never ends. */
function checkChains(steps: Steps): void {
  const done = new Set<Step>();
  const chain: Step[] = [];
  const follow = (step: Step): void => {
    const start = chain.indexOf(step);
    if (start >= 0) {
      const places = [...chain.slice(start), step].map(({ type, from }) => place(type, from));
      throw refusal('upcasters', `the chain never ends: ${places.join(' → ')}`);
    }
    if (done.has(step)) return;
    chain.push(step);
    for (const type of step.toTypes) {
      const ofType = steps.get(type);
      const next = ofType?.get(step.to);
      if (next !== undefined) follow(next);
      const later = next === undefined && ofType !== undefined ? stepAfter(ofType, step.to) : undefined;
      if (later !== undefined) {
        const [end, far] = [place(type, step.to), place(type, later.from)];
        throw refusal(
          'upcasters',
          `a step is missing: a chain ends at ${end}, though there is an upcaster from ${far}`,
        );
      }
    }
    chain.pop();
    done.add(step);
  };
  for (const ofType of steps.values()) for (const step of ofType.values()) follow(step);
}

function checked(given: unknown, option: string): Step {
  if (typeof given !== 'object' || given === null) throw invalid(option, given, 'an upcaster');
  const upcaster = given as Partial<Upcaster>;
  const { type, from, toType = type, upcast } = upcaster;
  if (!isType(type)) throw invalid(`${option}.type`, type, 'a type: a string that is not empty');
  if (!isVersion(from) || from === VERSION_MAX) {
    throw invalid(`${option}.from`, from, `an integer from 1 to ${VERSION_MAX - 1}`);
  }
  const { to = from + 1 } = upcaster;
  if (!isVersion(to)) throw invalid(`${option}.to`, to, `an integer from 1 to ${VERSION_MAX}`);
  const toTypes = typeof toType === 'string' ? [toType] : toType;
  if (!Array.isArray(toTypes) || toTypes.length === 0 || !toTypes.every(isType)) {
    throw invalid(`${option}.toType`, toType, 'a type or types: strings that are not empty');
  }
  if (toTypes.includes(type) && to <= from) throw invalid(`${option}.to`, to, `greater than 'from', which is ${from}`);
  if (typeof upcast !== 'function') throw invalid(`${option}.upcast`, upcast, 'a function');
  return { type, from, to, toTypes, upcast: (event) => upcast.call(upcaster, event) };
}

function isType(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function isVersion(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= VERSION_MAX;
}

function place(type: string, version: number): string {
  return `${type}@${version}`;
}

function refusal(option: string, why: string): VarveError {
  return new VarveError('ERR_VARVE_INVALID_OPTION', `Option '${option}': ${why}.`, { option });
}

function failure(event: VersionedEvent, why: string, cause?: unknown): VarveError {
  const { type: eventType, schemaVersion } = event;
  const message = `An event of type '${eventType}', schema version ${schemaVersion}, cannot be upcast: ${why}.`;
  return new VarveError('ERR_VARVE_INVALID_EVENT', message, { eventType, schemaVersion }, cause);
}
