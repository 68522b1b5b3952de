/** What fault runs count; like those of crashes, each of these must have happened. */
import type { Fault } from './faults.js';
import type { Operation } from './operations.js';

export interface FaultCounts {
  runs: number;
  /** Runs in which an operation of the log told of it. */
  told: number;
  /** Power losses behind the next opening. */
  losses: number;
  /** Operations that failed: syncs, reads, writes that came short, and others. */
  failedSyncs: number;
  failedReads: number;
  shortWrites: number;
  otherFailures: number;
  slowSyncs: number;
  /** Times that the log told of a lack of space, and that appends waited for it. */
  lacks: number;
  blocked: number;
  /** What was damaged. */
  misdirectedWrites: number;
  flippedReads: number;
  flips: number;
  badSectors: number;
  /** Damaged logs that were refused, or of which a part was; and those of which nothing was. */
  refused: number;
  unharmed: number;
}

export function newFaultCounts(): FaultCounts {
  return {
    runs: 0,
    told: 0,
    losses: 0,
    failedSyncs: 0,
    failedReads: 0,
    shortWrites: 0,
    otherFailures: 0,
    slowSyncs: 0,
    lacks: 0,
    blocked: 0,
    misdirectedWrites: 0,
    flippedReads: 0,
    flips: 0,
    badSectors: 0,
    refused: 0,
    unharmed: 0,
  };
}

/** Counts a fault that was applied. */
export function noteFault(counts: FaultCounts, fault: Fault, { kind }: Operation): void {
  if ('flip' in fault) counts.flippedReads++;
  else if ('misdirect' in fault) counts.misdirectedWrites++;
  else if ('delay' in fault || 'hold' in fault) counts.slowSyncs++;
  else if (kind === 'sync') counts.failedSyncs++;
  else if (kind === 'read' || kind === 'readSync') counts.failedReads++;
  else if (kind === 'write' && 'error' in fault && fault.after !== undefined) counts.shortWrites++;
  else counts.otherFailures++;
}
