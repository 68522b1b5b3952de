/** What users import. */

export type { SpaceState } from './actors/allocator.js';
export type { PartitionActor, PartitionState } from './actors/partition-machine.js';
export type { Aggregate, AggregateOptions, Decide, Handled, Loaded } from './adapter/event-store/aggregate.js';
export type { BackupProgress, BackupReport, RestoreReport } from './adapter/event-store/backup.js';
export type { StoredCheckpoint } from './adapter/event-store/checkpoints.js';
export type { EventCodec } from './adapter/event-store/codec.js';
export type { CodecName } from './adapter/event-store/codec-registry.js';
export type { Consumer, ConsumerStatus } from './adapter/event-store/consumer.js';
export type {
  ConsumeOptions,
  EventHandler,
  HandlerContext,
  RetryOptions,
} from './adapter/event-store/consumer-options.js';
export type { EventFilter } from './adapter/event-store/event-filter.js';
export type { EventInput } from './adapter/event-store/event-input.js';
export type { EventStore } from './adapter/event-store/event-store.js';
export type {
  AllFrom,
  AppendToStreamOptions,
  AppendToStreamResult,
  BackupOptions,
  EventStoreOptions,
  ExportOptions,
  ImportOptions,
  ListStreamsOptions,
  PurgeOptions,
  ReadAllOptions,
  ReadStreamOptions,
  ScavengeOptions,
  StreamAppend,
  StreamAppendResult,
  SubscribeOptions,
  SubscribeToStreamOptions,
} from './adapter/event-store/event-store-options.js';
export type { ExpectedRevision } from './adapter/event-store/expected-revision.js';
export { openEventStore } from './adapter/event-store/open-event-store.js';
export type { ParkedError, ParkedEvent, ReplayHandler, ReplayResult } from './adapter/event-store/parking-lot.js';
export {
  type Checkpoint,
  formatCheckpoint,
  formatPosition,
  parseCheckpoint,
  parsePosition,
} from './adapter/event-store/position.js';
export type { PurgeProgress, PurgeReport, PurgeStop } from './adapter/event-store/purge.js';
export type { RecordedEvent } from './adapter/event-store/recorded-event.js';
export { type RestoreOptions, restoreBackup } from './adapter/event-store/restore-backup.js';
export type { ScavengeProgress, ScavengeReport, ScavengeStop } from './adapter/event-store/scavenge.js';
export type {
  SaveSnapshotResult,
  Snapshot,
  SnapshotInfo,
  SnapshotInput,
  SnapshotQuery,
} from './adapter/event-store/snapshots.js';
export type { ListedStream, StreamPage } from './adapter/event-store/stream-list.js';
export type { StreamMetadataInput } from './adapter/event-store/stream-metadata.js';
export type { StreamMetadata } from './adapter/event-store/stream-state.js';
export type { ExportProgress } from './adapter/event-store/transfer-export.js';
export type { ImportProgress } from './adapter/event-store/transfer-import.js';
export type { ArchivedSegment } from './adapter/event-store/units.js';
export type { Upcast, Upcaster, VersionedEvent } from './adapter/event-store/upcasters.js';
export type {
  AllocateMode,
  Disk,
  DiskFeatures,
  DiskFile,
  DiskLock,
  DiskMapping,
  FilePiece,
  OpenMode,
} from './disk/disk.js';

export { realDisk } from './disk/real-disk.js';
export { VarveError, type VarveErrorCode, type VarveErrorFields } from './errors.js';
export type { LogEmitter, LogEvents } from './events.js';
export { type Log, type LogStorage, openLog } from './log.js';
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
export type { LogRecord, Position } from './segment/records.js';
export type { RecoveryReport } from './segment/recovery.js';
export type { Salvaged, SalvageGap } from './segment/salvage.js';
export type { ProgressOptions, VerifyResult } from './segment/verify.js';
export type { LatencySummary, Stats } from './stats.js';
export type { LiveStream, PullStream, SubscriptionMessage, SubscriptionStatus } from './streams/pull-stream.js';
export type { FollowStatus, FollowStream, RecordStream } from './streams/record-stream.js';
