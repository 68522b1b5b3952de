/**
 * Errors as data. What a promise was rejected with is a part of the history, so an Error in an event or in a snapshot is
 * kept as its name, message, stack, cause and own fields, and comes back as an `Error`; its class does not. Fields that the
 * codec cannot keep, such as a request or a socket, are left out: an error must not be lost for them.
 */
import { inspect } from 'node:util';
import { checkEncodable } from '../event-store/json-codec.js';

const KEY = 'varve$error';
const LOST = Symbol('lost');
/** Errors whose fields are being looked at. */
const packing = new Set<Error>();

/** `value`, with data in place of each Error. What holds none is given back itself. */
export function packErrors(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Error) {
    if (packing.has(value)) throw new TypeError('An error that holds itself cannot be kept.');
    packing.add(value);
    const { name, message, stack, cause } = value;
    const own = Object.entries({ ...value, ...(cause === undefined ? {} : { cause }) });
    const fields = own.map(([key, field]) => [key, packed(field)] as const).filter(([, field]) => field !== LOST);
    packing.delete(value);
    return { [KEY]: { ...Object.fromEntries(fields), name, message, stack } };
  }
  return isPlain(value) ? copyChanged(value, packErrors) : value;
}

/** What was thrown, if the journal can keep it; else an error that says what it was. */
export function keepable(thrown: unknown): unknown {
  return packed(thrown) === LOST ? new Error(inspect(thrown, { depth: 1 })) : thrown;
}

function packed(field: unknown): unknown {
  try {
    const data = packErrors(field);
    checkEncodable(data, 'error');
    return data;
  } catch {
    return LOST; // it is not plain data, or holds itself
  }
}

export function unpackErrors(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !isPlain(value)) return value;
  if (!Object.hasOwn(value, KEY)) return copyChanged(value, unpackErrors);
  const { message, ...fields } = unpackErrors((value as Record<string, unknown>)[KEY]) as Record<string, unknown>;
  const error = new Error(String(message));
  for (const [key, field] of Object.entries(fields)) {
    const enumerable = key !== 'name' && key !== 'stack' && key !== 'cause';
    Object.defineProperty(error, key, { value: field, enumerable, writable: true, configurable: true });
  }
  return error;
}

function copyChanged<T extends object>(value: T, change: (field: unknown) => unknown): T {
  let copy: T | undefined;
  for (const key of Object.keys(value)) {
    const field = value[key as keyof T];
    const changed = change(field);
    if (changed === field) continue;
    copy ??= Array.isArray(value) ? (value.slice() as unknown as T) : { ...value };
    copy[key as keyof T] = changed as T[keyof T];
  }
  return copy ?? value;
}

export function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null || Array.isArray(value);
}
