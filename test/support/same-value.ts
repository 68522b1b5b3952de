import assert from 'node:assert/strict';
import { inspect, types } from 'node:util';

/**
 * Asserts that two values are of the same kinds and contents all through, in the same order; numbers by `Object.is`.
 * Unlike `deepStrictEqual`: invalid dates are equal, holes count as undefined, and a plain object is expected where
 * `expected` has no prototype.
 */
export function assertSameValue(actual: unknown, expected: unknown, at = 'value'): void {
  if (typeof expected !== 'object' || expected === null) {
    assert.ok(Object.is(actual, expected), `${at}: ${inspect(actual)} is not ${inspect(expected)}`);
    return;
  }
  assert.ok(typeof actual === 'object' && actual !== null, `${at} is ${inspect(actual)}, not an object`);
  const prototype = Object.getPrototypeOf(expected) ?? Object.prototype;
  assert.equal(Object.getPrototypeOf(actual), prototype, `${at}: another prototype`);
  const list = (items: Iterable<unknown>, expectedItems: Iterable<unknown>, what: string): void => {
    const [a, b] = [[...items], [...expectedItems]];
    assert.equal(a.length, b.length, `${at}: another number of ${what}`);
    for (const [i, item] of b.entries()) assertSameValue(a[i], item, `${at}, ${what} ${i}`);
  };
  if (types.isDate(expected)) {
    assert.ok(Object.is((actual as Date).getTime(), expected.getTime()), `${at}: another time`);
  } else if (types.isRegExp(expected)) {
    assert.equal(String(actual), String(expected), at);
  } else if (types.isAnyArrayBuffer(expected)) {
    list(new Uint8Array(actual as ArrayBuffer), new Uint8Array(expected), 'byte');
  } else if (types.isDataView(expected)) {
    const bytes = ({ buffer, byteOffset, byteLength }: DataView) => new Uint8Array(buffer, byteOffset, byteLength);
    list(bytes(actual as DataView), bytes(expected), 'byte');
  } else if (Array.isArray(expected) || types.isTypedArray(expected) || types.isSet(expected)) {
    list(actual as Iterable<unknown>, expected as Iterable<unknown>, 'element');
  } else if (types.isMap(expected)) {
    const map = actual as Map<unknown, unknown>;
    list(map.keys(), expected.keys(), 'key');
    list(map.values(), expected.values(), 'entry');
  } else {
    const [fields, expectedFields] = [actual as Record<string, unknown>, expected as Record<string, unknown>];
    assert.deepEqual(Object.keys(fields), Object.keys(expectedFields), `${at}: other keys`);
    for (const key of Object.keys(expectedFields)) assertSameValue(fields[key], expectedFields[key], `${at}.${key}`);
  }
}
