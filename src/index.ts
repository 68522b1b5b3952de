/** What users import. */

export type { SpaceState } from './actors/allocator.js';
export type { PartitionActor, PartitionState } from './actors/partition-machine.js';
export type { AllocateMode, Disk, DiskFeatures, DiskFile, DiskLock, DiskMapping, OpenMode } from './disk/disk.js';
export { realDisk } from './disk/real-disk.js';
export { VarveError, type VarveErrorCode, type VarveErrorFields } from './errors.js';
export type { LogEmitter, LogEvents } from './events.js';
export { type Log, openLog } from './log.js';
export type {
  Ack,
  AppendOptions,
  FollowOptions,
  IoMode,
  OpenLogOptions,
  PreallocateOptions,
  ReadFrom,
  ReadOptions,
  SpacePressure,
} from './options.js';
export type { PurgeResult } from './partition/backend.js';
export type { Appended, AppendedBatch } from './partition/tail.js';
export type { Partition } from './partition.js';
export { type SalvageOptions, salvage } from './salvage.js';
export type { SegmentDescription, SegmentState } from './segment/catalogue.js';
export type { LogRecord, Position } from './segment/reader.js';
export type { RecoveryReport } from './segment/recovery.js';
export type { Salvaged, SalvageGap } from './segment/salvage.js';
export type { ProgressOptions, VerifyResult } from './segment/verify.js';
export type { LatencySummary, Stats } from './stats.js';
export type { FollowStatus, FollowStream, RecordStream } from './streams/record-stream.js';
