/** What a host was told of one kind of actor: checked, with defaults. */
import type { AnyEventObject, AnyStateMachine } from 'xstate';
import { type Check, callback, checkAll, integer, invalid, oneOf } from '../../options.js';
import type { PersistedSnapshot } from './restore.js';

/** What becomes of a promise, callback or observable that ran when the process ended. */
export type Interrupted = 'restart' | 'fail' | 'ignore';
/** What a restart of the host means to delayed events. */
export type TimerPolicy = 'deadline' | 'remaining' | 'restart';
/** What becomes of an event that the machine cannot take in its present state. */
export type Unhandled = 'ignore' | 'reject' | 'journal';

export interface Supervision {
  /** 'restart': again, after a pause; 'stop': the actor ends; 'escalate': `onError` of the host decides. Default 'restart'. */
  strategy?: 'restart' | 'stop' | 'escalate';
  /** Calls in all before a restarted actor is stopped: 1 … 1,000,000. Default 5. */
  attempts?: number;
  /** Milliseconds before the second call. Default 100. */
  minDelay?: number;
  /** Most milliseconds between two calls. Default 10,000. */
  maxDelay?: number;
  /** Each pause is so many times the one before: 1 … 100. Default 2. */
  factor?: number;
}

export interface MachineOptions {
  machine: AnyStateMachine;
  /** Written into each entry. Default: the machine's own `version`, or '1'. */
  version?: string;
  /** Makes a snapshot of an earlier version one of this version. */
  migrate?: (snapshot: PersistedSnapshot, fromVersion: string) => PersistedSnapshot;
  /** Makes an event of an earlier version one of this version, at replay. */
  upcast?: (event: AnyEventObject, fromVersion: string) => AnyEventObject;
  /** For all logic, or by the name of the logic; `'*'` for those that are not named. Default 'restart'. */
  interrupted?: Interrupted | Readonly<Record<string, Interrupted>>;
  /** Default 'deadline'. */
  timers?: TimerPolicy;
  /** Default 'ignore'. */
  unhandled?: Unhandled;
  /** A snapshot after so many entries, or bytes of events. Default 100 entries. */
  snapshotEvery?: number | { entries?: number; bytes?: number };
  /** A checksum of the state after so many entries: 1 … 1,000,000. Default 50. */
  hashEvery?: number;
  supervision?: Supervision;
}

export interface MachinePlan {
  readonly name: string;
  readonly machine: AnyStateMachine;
  readonly version: string;
  readonly migrate: MachineOptions['migrate'];
  readonly upcast: MachineOptions['upcast'];
  readonly interrupted: (logic: string) => Interrupted;
  readonly timers: TimerPolicy;
  readonly unhandled: Unhandled;
  readonly snapshotEntries: number;
  readonly snapshotBytes: number;
  readonly hashEvery: number;
  readonly supervision: Required<Supervision>;
}

const many = integer(1, 1_000_000);
const pause = integer(0, 2 ** 31);
const interrupted = oneOf('restart', 'fail', 'ignore');

const SUPERVISION_CHECKS = {
  strategy: oneOf('restart', 'stop', 'escalate'),
  attempts: many,
  minDelay: pause,
  maxDelay: pause,
  factor: ((value, option) => {
    if (typeof value !== 'number' || !(value >= 1 && value <= 100))
      throw invalid(option, value, 'a number from 1 to 100');
  }) satisfies Check,
};

const CHECKS: Readonly<Record<keyof MachineOptions, Check>> = {
  machine: (value, option) => {
    if (!isMachine(value)) throw invalid(option, typeof value, 'a machine of XState');
  },
  version: (value, option) => {
    if (typeof value !== 'string' || value === '' || value.length > 256)
      throw invalid(option, value, 'a string of 1 to 256 characters');
  },
  migrate: callback,
  upcast: callback,
  interrupted: (value, option) => {
    if (typeof value !== 'object' || value === null) return interrupted(value, option);
    for (const [logic, policy] of Object.entries(value)) interrupted(policy, `${option}.${logic}`);
  },
  timers: oneOf('deadline', 'remaining', 'restart'),
  unhandled: oneOf('ignore', 'reject', 'journal'),
  snapshotEvery: (value, option) => {
    if (typeof value === 'number') return many(value, option);
    checkAll(value, { entries: many, bytes: integer(1, Number.MAX_SAFE_INTEGER) }, option);
  },
  hashEvery: many,
  supervision: (value, option) => checkAll(value, SUPERVISION_CHECKS, option),
};

/** Throws `ERR_VARVE_INVALID_OPTION`. */
export function planMachine(name: string, given: AnyStateMachine | MachineOptions): MachinePlan {
  const where = `machines.${name}`;
  if (name === '' || name.includes('-') || name.startsWith('$') || name.length > 256) {
    throw invalid(where, name, 'named without dashes: the part of a stream before its first dash is its category');
  }
  const options: MachineOptions = isMachine(given) ? { machine: given } : given;
  checkAll(options, CHECKS, where);
  const { machine, snapshotEvery = 100, interrupted: policy = 'restart' } = options;
  if (machine === undefined) throw invalid(`${where}.machine`, undefined, 'a machine of XState');
  const { entries = Number.POSITIVE_INFINITY, bytes = Number.POSITIVE_INFINITY } =
    typeof snapshotEvery === 'number' ? { entries: snapshotEvery } : snapshotEvery;
  return {
    name,
    machine,
    version: options.version ?? machine.version ?? '1',
    migrate: options.migrate,
    upcast: options.upcast,
    interrupted: (logic) => (typeof policy === 'string' ? policy : (policy[logic] ?? policy['*'] ?? 'restart')),
    timers: options.timers ?? 'deadline',
    unhandled: options.unhandled ?? 'ignore',
    snapshotEntries: entries,
    snapshotBytes: bytes,
    hashEvery: options.hashEvery ?? 50,
    supervision: {
      strategy: options.supervision?.strategy ?? 'restart',
      attempts: options.supervision?.attempts ?? 5,
      minDelay: options.supervision?.minDelay ?? 100,
      maxDelay: options.supervision?.maxDelay ?? 10_000,
      factor: options.supervision?.factor ?? 2,
    },
  };
}

function isMachine(value: unknown): value is AnyStateMachine {
  return typeof value === 'object' && value !== null && '__xstatenode' in value;
}
