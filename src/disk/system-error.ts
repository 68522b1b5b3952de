/**
 * System errors as this folder throws them: one name for each error number, and the path where it is known.
 *
 * Node's own errors fall short in three places, and the layers above decide by `code` alone: libuv has no name for
 * EDQUOT ("Unknown system error -122"), it calls 95 ENOTSUP where Linux's manual says EOPNOTSUPP, and an error that
 * crosses to another thread keeps nothing but its message. Everything in this folder may call it, on any thread.
 */
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';

/** `errno` is negative, as in Node's own errors. */
export interface SystemError extends Error {
  code: string;
  errno?: number;
  syscall?: string;
  path?: string;
}

/** A system error as plain data, fit for `postMessage`. */
export interface Failure {
  message: string;
  code?: string;
  errno?: number;
  syscall?: string;
  path?: string;
}

const names = new Map<number, string>();
for (const [name, errno] of Object.entries(constants.errno)) if (!names.has(errno)) names.set(errno, name);
names.set(constants.errno.EOPNOTSUPP, 'EOPNOTSUPP'); // on Linux the same number as ENOTSUP, which comes first

/** Name of a positive Linux error number, `UNKNOWN` where it has none. */
export function errorName(errno: number): string {
  return names.get(errno) ?? 'UNKNOWN';
}

/**
 * The error of a failed system call, or of one that was refused without being made; then `why` says so. `errno` is
 * positive, as the kernel counts.
 */
export function systemError(errno: number, syscall: string, path?: string, why?: string): SystemError {
  const code = errorName(errno);
  const meaning = why ?? getSystemErrorMap().get(-errno)?.[1] ?? `error number ${errno}`;
  const error = new Error(`${code}: ${meaning}, ${syscall}${path === undefined ? '' : ` '${path}'`}`);
  return Object.assign(error, { code, errno: -errno, syscall }, path === undefined ? undefined : { path });
}

/**
 * Brings a caught error to the form promised above, in place, and returns it: the name that belongs to its number,
 * and `path` unless it has one. What is not a system error (no numeric `errno`) passes unchanged.
 */
export function named(caught: unknown, path?: string): unknown {
  if (typeof caught !== 'object' || caught === null) return caught;
  const error = caught as SystemError;
  if (typeof error.errno !== 'number') return caught;
  if (process.platform !== 'win32' && names.has(-error.errno)) error.code = errorName(-error.errno);
  if (path !== undefined && error.path === undefined) error.path = path;
  return error;
}

/** The fields of an error that must survive the way to another thread. */
export function toFailure(caught: unknown): Failure {
  const { message, code, errno, syscall, path } = named(caught) as SystemError;
  return {
    message: String(message),
    ...(code !== undefined && { code }),
    ...(errno !== undefined && { errno }),
    ...(syscall !== undefined && { syscall }),
    ...(path !== undefined && { path }),
  };
}

/** The error that `toFailure` took apart; `path` is used where the failing call did not know it. */
export function fromFailure(failure: Failure, path?: string): Error {
  const { message, ...fields } = failure;
  return Object.assign(new Error(message), path === undefined ? undefined : { path }, fields);
}
