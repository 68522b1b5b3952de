/** What users import as varve/xstate. */

export { type DurableAddress, durable } from './address.js';
export {
  type CheckMachinesOptions,
  checkMachines,
  type MachineProblem,
  type MachinesReport,
} from './check-machines.js';
export type { Clock } from './clock.js';
export { DurableActor } from './durable-actor.js';
export { durableChild } from './durable-child.js';
export type { EntryKind } from './entries.js';
export type { HistoryEntry, MachineEntry } from './history.js';
export {
  type ActorHost,
  type ActorHostOptions,
  type ActorHostStats,
  type ActorProblem,
  createActorHost,
  type MachineOf,
} from './host.js';
export type { Interrupted, MachineOptions, Supervision, TimerPolicy, Unhandled } from './machine-plan.js';
export type { Inspect } from './turn.js';
