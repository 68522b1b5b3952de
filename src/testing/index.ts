/** What users import as varve/testing. */

export type { CrashChoice, Extreme } from './crash.js';
export { fsyncRun, type Rates, randomRun, smallRuns } from './crash-campaign.js';
export { type CrashCounts, type CrashRun, CrashViolation, exploreCrashes, newCounts } from './crash-explorer.js';
export { exploreFault, type FaultCounts, type FaultRun, FaultViolation, newFaultCounts } from './fault-runs.js';
export type { Fault, FaultRule, Faults } from './faults.js';
export type { WritebackFailure } from './inode.js';
export { changesDisk, type Operation, type OperationHook, type OperationKind, type Schedule } from './operations.js';
export { Random } from './random.js';
export { SimulatedDisk, type SimulatedDiskOptions } from './simulated-disk.js';
export { type Command, command } from './application/command.js';
export { type CrashRecoveryOptions, crashRecovery, type CrashScenario } from './application/crash-recovery.js';
export type { Crash } from './application/crash-points.js';
export type { Application, InvariantContext, Program, SetupContext } from './application/life.js';
export { CrashRecoveryViolation } from './application/violation.js';
