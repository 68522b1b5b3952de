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
export { type ActorHost, createActorHost } from './host.js';
export type { ActorHostOptions, ActorHostStats, ActorProblem, MachineOf } from './host-options.js';
export type { Interrupted, MachineOptions, Supervision, TimerPolicy, Unhandled } from './machine-plan.js';
export type { ParkedMessage } from './parked-messages.js';
export type { Inspect } from './turn.js';
