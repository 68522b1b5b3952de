/** What a partition that is written to shares with the rest of its log. */
import type { SegmentHandles } from '../segment/handles.js';
import type { ManifestKeeper } from '../segment/manifest.js';
import type { IntakeLimits } from './intake.js';
import type { SupplyConfig } from './supply.js';

export interface PartitionConfig extends SupplyConfig, IntakeLimits {
  readonly directory: string;
  readonly segmentSize: number;
  readonly handles: SegmentHandles;
  readonly manifest: ManifestKeeper;
}
