/** The events of a log, and an emitter whose listeners cannot harm the log. */
import { EventEmitter } from 'eventemitter3';
import type { SpacePressure } from './options.js';
import type { RecoveryReport } from './segment/recovery.js';

export interface LogEvents {
  /** A partition was recovered, at its first use. */
  recovered: [event: RecoveryReport];
  /** A partition went on in its next segment; the one before is sealed and durable. */
  rotated: [event: { partition: number; sealed: number; active: number; lastLsn: number }];
  /** A group commit: all up to `durableLsn` is durable. `duration` in milliseconds. */
  synced: [event: { partition: number; durableLsn: number; records: number; duration: number }];
  /** A purge gave up segments. `bytes` is the size of their files. */
  purged: [event: { partition: number; segments: number; bytes: number; oldestLsn: number }];
  /** The tail was rewound: `lastLsn` is the last that is left. */
  truncated: [event: { partition: number; lastLsn: number }];
  /** Space for coming segments is lacking. Once per episode. */
  spacePressure: [event: SpacePressure];
  /** Space has returned. */
  spaceRestored: [event: { freeBytes: number }];
  /** An option asks for more than the machine can do; `used` is done instead. */
  degraded: [event: { option: string; wanted: string; used: string; reason: string }];
  /** A partition has failed; it needs a close and an open. */
  failed: [event: { partition: number; cause: unknown }];
  /** A partition, or the log (no `partition`), was closed. */
  closed: [event: { partition?: number }];
}

export type LogEmitter = EventEmitter<LogEvents>;

export function createEmitter(): LogEmitter {
  return new EventEmitter<LogEvents>();
}

/**
 * Emits. What a listener throws does not reach the log's own code: it is thrown again in a task of its own, where it
 * is an uncaught exception like any other.
 */
export function emitSafely<K extends keyof LogEvents>(emitter: LogEmitter, name: K, ...args: LogEvents[K]): void {
  if (emitter.listenerCount(name) === 0) return;
  try {
    (emitter.emit as (name: K, ...args: unknown[]) => boolean).call(emitter, name, ...args);
  } catch (error) {
    setImmediate(() => {
      throw error;
    });
  }
}
