/** What a campaign counts. Each of these must have happened: a campaign in which one stays 0 proves little. */

export interface CrashCounts {
  /** Programs that were crashed at every operation. */
  programs: number;
  /** Crash states whose promises were checked. */
  states: number;
  /** Of these, disks that had not been met before in the same program: each was recovered, and used afterwards. */
  distinct: number;
  /** Moments in small programs, and those of them of which every state was taken, but for torn sectors. */
  moments: number;
  momentsExhausted: number;
  /** Ends of the process alone. */
  processCrashes: number;
  /** Crashes inside a recovery, or behind one. */
  secondStates: number;
  /** Logs opened: by programs, by recoveries, and once more behind them. */
  openings: number;
  rotations: number;
  /** Segments prepared, and of these those that were made out of purged ones. */
  prepared: number;
  recycled: number;
  /** Purges and truncations that removed something. */
  purges: number;
  truncations: number;
  /** What recoveries found. */
  tornTails: number;
  unopenedSegments: number;
  interruptedPurges: number;
  rewindsRedone: number;
}

export function newCounts(): CrashCounts {
  return {
    programs: 0,
    states: 0,
    distinct: 0,
    moments: 0,
    momentsExhausted: 0,
    processCrashes: 0,
    secondStates: 0,
    openings: 0,
    rotations: 0,
    prepared: 0,
    recycled: 0,
    purges: 0,
    truncations: 0,
    tornTails: 0,
    unopenedSegments: 0,
    interruptedPurges: 0,
    rewindsRedone: 0,
  };
}

/** What one session has done, over all its openings. */
export type SessionCounts = Pick<CrashCounts, 'openings' | 'rotations' | 'purges' | 'truncations' | 'tornTails'>;

export function newSessionCounts(): SessionCounts {
  return { openings: 0, rotations: 0, purges: 0, truncations: 0, tornTails: 0 };
}

/** Adds what was counted to `total`. */
export function addCounts<T extends { [K in keyof T]: number }>(total: T, counts: { [K in keyof T]?: number }): void {
  for (const key of Object.keys(counts) as (keyof T)[]) (total[key] as number) += counts[key] ?? 0;
}
