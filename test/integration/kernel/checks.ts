/** What must be true of the lines of every child, whatever was done to it. */
import { expect } from '@jest/globals';
import type { Line } from './account.js';

/** Codes that need no cause: waiting for space has ended without it. */
const WITHOUT_SPACE = ['ERR_VARVE_NO_SPACE', 'ERR_VARVE_CLOSED', 'ERR_VARVE_BACKPRESSURE'];

/** Every error has a code of ours and says what the kernel said: `cause`, or nothing where there may be no error. */
export function checkErrors(lines: readonly Line[], cause: string | undefined): void {
  for (const { error, failed, pressure } of lines) {
    if (cause === undefined) expect([error, failed, pressure]).toEqual([undefined, undefined, undefined]);
    if (failed !== undefined) expect(failed).toBe(cause);
    if (pressure !== undefined) expect([pressure, cause]).toEqual(['ENOSPC', 'ENOSPC']);
    if (error?.code === 'ERR_VARVE_IO' || error?.code === 'ERR_VARVE_PARTITION_FAILED') {
      expect(error).toMatchObject({ cause });
    } else if (error !== undefined) {
      expect(cause).toBe('ENOSPC');
      expect(WITHOUT_SPACE).toContain(error.code);
    }
  }
}
