/** Keys of automerge-repo: lists of strings, of which the first names a document, and so a stream. */
import { invalid } from '../../options.js';

export type Key = readonly string[];

/** Streams of documents begin with it; it is their category. */
export const STREAM_PREFIX = 'automerge-';

/** Throws `ERR_VARVE_INVALID_OPTION`. */
export function checkPrefix(key: unknown): Key {
  if (!Array.isArray(key) || key.some((part) => typeof part !== 'string')) {
    throw invalid('key', key, 'an array of strings');
  }
  return [...key]; // the caller may go on changing it
}

/** Throws `ERR_VARVE_INVALID_OPTION`. */
export function checkKey(key: unknown): Key {
  const checked = checkPrefix(key);
  if (checked.length === 0) throw invalid('key', key, 'an array of at least one string');
  return checked;
}

export function streamOf([document]: Key): string {
  return `${STREAM_PREFIX}${document}`;
}

export function beginsWith(key: Key, prefix: Key): boolean {
  return prefix.every((part, i) => key[i] === part);
}
