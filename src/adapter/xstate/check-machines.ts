/**
 * A rehearsal before a deployment: the journals that are there through the machines that are to come. Nothing is written,
 * no effect is carried out.
 */
import type { AnyStateMachine } from 'xstate';
import { VarveError } from '../../errors.js';
import { type Check, callback, checkAll, invalid, signalCheck } from '../../options.js';
import { EventStore } from '../event-store/event-store.js';
import { type MachineOptions, type MachinePlan, planMachine } from './machine-plan.js';
import { checkXState } from './seam.js';
import { bareTree } from './tree.js';
import { wakeUp } from './wake-up.js';

export interface CheckMachinesOptions {
  store: EventStore;
  /** As `createActorHost` takes them. */
  machines: Readonly<Record<string, AnyStateMachine | MachineOptions>>;
  /** Which part of the actors is looked at: more than 0, up to 1. Default 1. The same ones each time. */
  sample?: number;
  signal?: AbortSignal;
  /** Told after each actor. */
  onProgress?: (progress: { readonly checked: number; readonly problems: number }) => void;
}

export interface MachineProblem {
  readonly machine: string;
  readonly id: string;
  readonly stream: string;
  /** Of the first event that is concerned, where that is known. */
  readonly revision?: bigint;
  /** Code of the error, or its name. */
  readonly code: string;
  readonly message: string;
  readonly error: unknown;
}

export interface MachinesReport {
  readonly checked: number;
  readonly problems: readonly MachineProblem[];
}

const CHECKS: Readonly<Record<keyof CheckMachinesOptions, Check>> = {
  store: (value, option) => {
    if (!(value instanceof EventStore)) throw invalid(option, typeof value, 'an event store');
  },
  machines: (value, option) => {
    if (typeof value !== 'object' || value === null) throw invalid(option, value, 'an object of machines by name');
  },
  sample: (value, option) => {
    if (typeof value !== 'number' || !(value > 0 && value <= 1)) throw invalid(option, value, 'more than 0, up to 1');
  },
  signal: signalCheck,
  onProgress: callback,
};

/**
 * Wakes each actor as a host with these machines would, and replays its journal from the beginning where that is there.
 * A state that is another than before, a machine that throws, a version that nothing migrates from: each is a problem of
 * the report. Rejects with `ERR_VARVE_INVALID_OPTION`, `ERR_VARVE_UNSUPPORTED`, and with the reason of its signal.
 */
export async function checkMachines(options: CheckMachinesOptions): Promise<MachinesReport> {
  checkXState();
  checkAll(options, CHECKS, 'options');
  for (const name of ['store', 'machines'] as const) {
    if (options[name] === undefined) throw invalid(name, undefined, 'given');
  }
  const { store, machines, sample = 1, signal, onProgress } = options;
  const plans = Object.entries(machines).map(([name, machine]) => planMachine(name, machine));
  const problems: MachineProblem[] = [];
  let checked = 0;
  for (const plan of plans) {
    for await (const { stream } of store.streams({ prefix: `${plan.name}-` })) {
      signal?.throwIfAborted();
      if (!isInSample(stream, sample)) continue;
      const problem = await problemOf(store, plan, stream);
      if (problem !== undefined) problems.push(problem);
      checked++;
      onProgress?.({ checked, problems: problems.length });
    }
  }
  return { checked, problems };
}

async function problemOf(store: EventStore, plan: MachinePlan, stream: string): Promise<MachineProblem | undefined> {
  const id = stream.slice(plan.name.length + 1);
  try {
    await wakeUp(store, plan, stream, bareTree(plan, stream));
    // Behind a snapshot an event may lead elsewhere, too. A migration stands for what was before it.
    if (plan.migrate === undefined && (await isComplete(store, stream))) {
      await wakeUp(store, plan, stream, bareTree(plan, stream), { fromStart: true });
    }
    return undefined;
  } catch (error) {
    const known = error instanceof VarveError ? error : undefined;
    return {
      machine: plan.name,
      id,
      stream,
      ...(known?.revision === undefined ? {} : { revision: known.revision }),
      code: known?.code ?? (error instanceof Error ? error.name : 'Error'),
      message: error instanceof Error ? error.message : String(error),
      error,
    };
  }
}

async function isComplete(store: EventStore, stream: string): Promise<boolean> {
  for await (const { metadata } of store.readStream(stream, { maxCount: 1 })) {
    return (metadata as { kind?: unknown } | undefined)?.kind === 'start';
  }
  return false;
}

/** By the name of the stream, so that it is the same ones each time. */
function isInSample(stream: string, sample: number): boolean {
  let hash = 0x811c9dc5;
  for (let i = 0; i < stream.length; i++) hash = Math.imul(hash ^ stream.charCodeAt(i), 0x01000193);
  return (hash >>> 0) / 2 ** 32 < sample;
}
