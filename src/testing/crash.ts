/**
 * What a disk holds after a power loss: one of the states that its file system may leave.
 *
 * Data: of every write (and every sector stored through a mapping) that no sync has covered, all may have reached the
 * disk, or nothing, or some of its 512-byte sectors, or some of a sector's bytes; each write by itself and in any order,
 * except that what is written to the same byte is applied in the order of the calls.
 * Sizes: changes of one file's size reach the disk in order, so that any prefix of them may have.
 * Names: each create, rename and unlink is atomic, and may have happened or not; those that share a name happen in order,
 * so that a rename only survives after the create of what it renames. Names and data know nothing of each other.
 */
import { type Inode, type Pending, SECTOR_BYTES } from './inode.js';
import type { Chance } from './random.js';

export interface CrashChoice {
  /** How much of the data survives: nothing, everything, each piece by chance, or each whole sector by chance. */
  readonly data: 'none' | 'all' | 'some' | 'sectors';
  /** The same for names; 'prefix' keeps the first ones, as a journal does. */
  readonly names: 'none' | 'all' | 'some' | 'prefix';
  /** The same for changes of size. */
  readonly sizes: 'none' | 'all' | 'some';
}

export type Extreme = 'none' | 'all';

/** A choice for a crash whose sampling is left to chance; the extremes come often. */
export function chooseCrash(random: Chance): CrashChoice {
  const data = random.pick(['none', 'all', 'some', 'some', 'some', 'some'] as const);
  const names = random.pick(['none', 'all', 'all', 'some', 'some', 'prefix'] as const);
  return { data, names, sizes: random.pick(['none', 'all', 'some'] as const) };
}

/** Content of a file after the power loss. */
export function crashedContent(inode: Inode, choice: CrashChoice, random: Chance): Uint8Array {
  const pending = inode.allPending();
  if (pending.length === 0) return inode.synced;
  const sizes = pending.filter((change) => change.kind === 'size').length;
  let keptSizes = choice.sizes === 'all' ? sizes : choice.sizes === 'none' ? 0 : random.below(sizes + 1);
  /** How likely a piece survives: few, half, nearly all. */
  const odds = choice.data === 'some' ? random.pick([0.15, 0.5, 0.85]) : 0.5;

  let capacity = inode.synced.length;
  for (const change of pending) {
    capacity = Math.max(capacity, change.kind === 'size' ? change.size : change.offset + change.bytes.length);
  }
  const content = new Uint8Array(capacity);
  content.set(inode.synced);
  let size = inode.synced.length;
  for (const change of pending) {
    if (change.kind === 'size') {
      if (keptSizes-- <= 0) continue;
      if (change.size < size) content.fill(0, change.size);
      size = change.size;
    } else if (choice.data === 'all') {
      content.set(change.bytes, change.offset);
    } else if (choice.data === 'some') {
      writePart(content, change, odds, random);
    } else if (choice.data === 'sectors') {
      writeSectors(content, change, random);
    }
  }
  return content.slice(0, size);
}

type Write = Extract<Pending, { kind: 'write' }>;

/** The places of [0, length) of a write at `offset` where sectors begin and end. */
function* sectors({ offset, bytes }: Write): Generator<[from: number, to: number]> {
  for (let from = 0; from < bytes.length; ) {
    const to = Math.min(bytes.length, from + SECTOR_BYTES - ((offset + from) % SECTOR_BYTES));
    yield [from, to];
    from = to;
  }
}

/** Only what would change anything is left to chance. */
function writeSectors(content: Uint8Array, write: Write, random: Chance): void {
  for (const [from, to] of sectors(write)) {
    const sector = write.bytes.subarray(from, to);
    const before = content.subarray(write.offset + from, write.offset + to);
    if (Buffer.compare(sector, before) !== 0 && random.chance(0.5)) before.set(sector);
  }
}

function writePart(content: Uint8Array, write: Write, odds: number, random: Chance): void {
  const { offset, bytes } = write;
  const manner = random.below(3);
  if (manner === 0) {
    if (random.chance(odds)) content.set(bytes, offset);
    return;
  }
  for (const [from, to] of sectors(write)) {
    let [start, end] = random.chance(odds) ? [from, to] : [from, from];
    if (manner === 2 && random.chance(0.3)) {
      // A torn sector: its beginning, its end, or something in the middle.
      const cut = from + random.below(to - from + 1);
      [start, end] = random.pick([
        [from, cut],
        [cut, to],
        [cut, Math.min(to, cut + random.below(to - from + 1))],
      ] as const);
    }
    content.set(bytes.subarray(start, end), offset + start);
  }
}

/** A change of names that no sync of the directory has covered. */
export type NameChange =
  | { readonly kind: 'create'; readonly name: string; readonly inode: Inode }
  | { readonly kind: 'rename'; readonly name: string; readonly to: string }
  | { readonly kind: 'unlink'; readonly name: string };

/** Does one change of names. */
export function applyChange(entries: Map<string, Inode>, change: NameChange): void {
  if (change.kind === 'create') {
    entries.set(change.name, change.inode);
    return;
  }
  const inode = entries.get(change.name);
  entries.delete(change.name);
  if (change.kind === 'rename' && inode !== undefined) entries.set(change.to, inode);
}

/** Names after the power loss. */
export function crashedNames(
  synced: ReadonlyMap<string, Inode>,
  pending: readonly NameChange[],
  choice: CrashChoice,
  random: Chance,
): Map<string, Inode> {
  const entries = new Map(synced);
  if (choice.names === 'none') return entries;
  const prefix = choice.names === 'prefix' ? random.below(pending.length + 1) : pending.length;
  /** Names of which a change was lost: the later ones are lost with it. */
  const lost = new Set<string>();
  for (const change of pending.slice(0, prefix)) {
    const names = change.kind === 'rename' ? [change.name, change.to] : [change.name];
    if (names.some((name) => lost.has(name)) || (choice.names === 'some' && random.chance(0.5))) {
      for (const name of names) lost.add(name);
    } else {
      applyChange(entries, change);
    }
  }
  return entries;
}
