/**
 * Named checkpoints: where a consumer goes on, as events of the stream `$checkpoint-<name>`, written with
 * compare-and-set on its revision.
 */
import { VarveError } from '../../errors.js';
import { invalid } from '../../options.js';
import type { ExpectedRevision } from './expected-revision.js';
import { type Checkpoint, formatCheckpoint, parseCheckpoint } from './position.js';
import type { FoundRecord } from './record-reader.js';
import type { Committed, StreamWrite } from './stream-write.js';
import type { SystemStreams } from './system-streams.js';

/** Those before it are of no use to anyone but a person who wonders. */
const KEPT = 4;
const MAX_NAME_BYTES = 256;

export interface StoredCheckpoint {
  /** What `from: { checkpoint }` takes. */
  readonly checkpoint: string;
  /** What the next `writeCheckpoint` can expect. */
  readonly revision: bigint;
  readonly stored: Date;
}

/** Throws `ERR_VARVE_INVALID_OPTION` for what cannot name a consumer: 1 to 256 bytes of UTF-8. */
export function checkConsumerName(name: unknown): string {
  if (typeof name !== 'string' || name === '' || Buffer.byteLength(name) > MAX_NAME_BYTES || /\p{Cs}/u.test(name)) {
    throw invalid('name', name, `a text of 1 to ${MAX_NAME_BYTES} bytes of UTF-8`);
  }
  return name;
}

export const checkpointStreamOf = (name: string): string => `$checkpoint-${name}`;

export class Checkpoints {
  readonly #system: SystemStreams;

  constructor(system: SystemStreams) {
    this.#system = system;
  }

  async read(name: string): Promise<StoredCheckpoint | undefined> {
    for await (const record of this.#system.backwards(checkpointStreamOf(name))) return this.#decode(name, record);
    return undefined;
  }

  /** Checks a checkpoint that a user gives: it must not be ahead of the store, or what comes would be left out. */
  check(text: string): Checkpoint {
    const { core } = this.#system;
    const checkpoint = parseCheckpoint(text, core.options.partitions);
    for (const [i, { log }] of core.partitions.entries()) {
      if ((checkpoint[i] as number) > log.durableLsn) {
        throw invalid('checkpoint', text, `behind what is durable: LSN ${log.durableLsn} in partition ${log.number}`);
      }
    }
    return checkpoint;
  }

  /**
   * Stores a checkpoint, and `others` with it, in one batch. Resolves, when it is durable, with its revision. Rejects with
   * `ERR_VARVE_CHECKPOINT_CONFLICT`.
   */
  async write(
    name: string,
    checkpoint: Checkpoint,
    expected: ExpectedRevision,
    others: readonly StreamWrite[] = [],
  ): Promise<readonly Committed[]> {
    const stream = checkpointStreamOf(name);
    try {
      return await this.#system.insert(stream, async () => [
        ...(await this.#writes(name, checkpoint, expected)),
        ...others,
      ]);
    } catch (error) {
      throw asConflict(error, name);
    }
  }

  /**
   * Writes the newest checkpoint again, or the one that `begin` makes where there is none: whoever wrote it before can no
   * longer, and where reading began is known from now on.
   */
  async claim(name: string, begin: () => Promise<Checkpoint>): Promise<{ checkpoint: Checkpoint; revision: bigint }> {
    const stream = checkpointStreamOf(name);
    let claimed: Checkpoint = [];
    const [committed] = await this.#system.insert(stream, async () => {
      claimed = (await this.#newest(name)) ?? (await begin());
      return this.#writes(name, claimed, 'any');
    });
    return { checkpoint: claimed, revision: revisionOf(committed as Committed) };
  }

  async #newest(name: string): Promise<Checkpoint | undefined> {
    for await (const record of this.#system.backwards(checkpointStreamOf(name), 'written')) {
      return parseCheckpoint(this.#decode(name, record).checkpoint, this.#system.core.options.partitions);
    }
    return undefined;
  }

  async #writes(name: string, checkpoint: Checkpoint, expected: ExpectedRevision): Promise<StreamWrite[]> {
    const stream = checkpointStreamOf(name);
    const data = { checkpoint: formatCheckpoint(checkpoint) };
    const writes = [this.#system.write(stream, { type: '$checkpoint', data }, expected)];
    const { head } = await this.#system.core.states.of(stream);
    if (head < 0) writes.push(await this.#system.metadata(stream, { maxCount: KEPT }));
    return writes;
  }

  #decode(name: string, record: FoundRecord): StoredCheckpoint {
    const { core } = this.#system;
    const event = core.decode(core.partitionOf(checkpointStreamOf(name)).log, record);
    const { checkpoint } = event.data as { checkpoint: string };
    return { checkpoint, revision: event.revision, stored: event.created };
  }
}

export function revisionOf({ nextRevision }: Committed): bigint {
  return BigInt(nextRevision - 1);
}

function asConflict(error: unknown, name: string): unknown {
  if (!(error instanceof VarveError) || error.code !== 'ERR_VARVE_WRONG_REVISION') return error;
  const { expected, actual } = error;
  return new VarveError(
    'ERR_VARVE_CHECKPOINT_CONFLICT',
    `The checkpoint '${name}' is at revision ${actual}, not at the expected ${expected}: somebody else has written it.`,
    { consumer: name, ...(expected === undefined ? {} : { expected }), ...(actual === undefined ? {} : { actual }) },
    error,
  );
}
