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

type Listener = (...args: never[]) => void;

/**
 * The emitter of a log. What a listener throws reaches neither the log's own code nor the listeners behind it: it is
 * thrown again in a task of its own, where it is an uncaught exception like any other.
 */
export class LogEmitter extends EventEmitter<LogEvents> {
  readonly #wrapped = new WeakMap<Listener, Listener>();

  override on<K extends keyof LogEvents>(name: K, listener: (...args: LogEvents[K]) => void, context?: unknown): this {
    return super.on(name, this.#wrap(listener) as never, context);
  }

  override addListener<K extends keyof LogEvents>(
    name: K,
    listener: (...args: LogEvents[K]) => void,
    context?: unknown,
  ): this {
    return this.on(name, listener, context);
  }

  override once<K extends keyof LogEvents>(
    name: K,
    listener: (...args: LogEvents[K]) => void,
    context?: unknown,
  ): this {
    return super.once(name, this.#wrap(listener) as never, context);
  }

  override off<K extends keyof LogEvents>(
    name: K,
    listener?: (...args: LogEvents[K]) => void,
    context?: unknown,
    once?: boolean,
  ): this {
    const wrapped = listener && this.#wrapped.get(listener as unknown as Listener);
    return super.off(name, (wrapped ?? listener) as never, context, once);
  }

  override removeListener<K extends keyof LogEvents>(
    name: K,
    listener?: (...args: LogEvents[K]) => void,
    context?: unknown,
    once?: boolean,
  ): this {
    return this.off(name, listener, context, once);
  }

  #wrap(listener: unknown): Listener {
    const known = this.#wrapped.get(listener as Listener);
    if (known !== undefined) return known;
    const wrapped = function (this: unknown, ...args: never[]): void {
      try {
        (listener as Listener).apply(this, args);
      } catch (error) {
        setImmediate(() => {
          throw error;
        });
      }
    };
    this.#wrapped.set(listener as Listener, wrapped);
    return wrapped;
  }
}
