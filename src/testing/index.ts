/** What users import as varve/testing. */

export {
  type DurableState,
  DurableStateConcurrencyError,
  type DurableStateStore,
} from '../adapter/journal/durable-state-store.js';
export {
  type Journal,
  JournalConcurrencyError,
  type JournalEvent,
  type JournalRange,
  type PersistenceIdPage,
  type StoredEvent,
  type TaggedEvent,
  type TagRange,
} from '../adapter/journal/journal.js';
export type { SaveOptions, Snapshot, SnapshotCriteria, SnapshotStore } from '../adapter/journal/snapshot-store.js';
export { type Command, command } from './application/command.js';
export type { Crash } from './application/crash-points.js';
export { type CrashRecoveryOptions, type CrashScenario, crashRecovery } from './application/crash-recovery.js';
export type { Application, InvariantContext, Program, SetupContext } from './application/life.js';
export { CrashRecoveryViolation } from './application/violation.js';
export {
  batch,
  type LogStep,
  logProgram,
  logStep,
  maxPayloadSize,
  type PayloadOptions,
  payload,
  runStep,
} from './arbitraries.js';
export { type ConformanceCase, registerCases, type TestRunner } from './conformance/case.js';
export {
  type DurableStateConformanceOptions,
  durableStateConformance,
} from './conformance/durable-state-conformance.js';
export { type JournalConformanceOptions, journalConformance } from './conformance/journal-conformance.js';
export type { JournalOptions } from './conformance/journal-fixture.js';
export type { JournalCapabilities } from './conformance/journal-queries.js';
export { type SnapshotConformanceOptions, snapshotStoreConformance } from './conformance/snapshot-conformance.js';
export type { CrashChoice, Extreme } from './crash.js';
export { FAULT_KINDS, type FaultKind, faultRun, type Rates, randomRun, smallRuns } from './crash-campaign.js';
export { addCounts, type CrashCounts, newCounts } from './crash-counts.js';
export { type CrashRun, CrashViolation, exploreCrashes } from './crash-explorer.js';
export { STEPS, type Step } from './crash-programs.js';
export { type FaultCounts, newFaultCounts } from './fault-counts.js';
export { exploreFault, type FaultRun, FaultViolation } from './fault-runs.js';
export type { Fault, FaultRule, Faults } from './faults.js';
export type { WritebackFailure } from './inode.js';
export {
  changesDisk,
  type Operation,
  type OperationHook,
  type OperationKind,
  type Schedule,
  type Turn,
} from './operations.js';
export { type OrderEvent, type SegmentContent, segmentContent } from './order-events.js';
export { OrderRecorder } from './order-recorder.js';
export { type OrderRule, type OrderViolation, orderViolations } from './order-rules.js';
export { Random } from './random.js';
export { SimulatedDisk, type SimulatedDiskOptions } from './simulated-disk.js';
