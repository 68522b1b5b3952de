/**
 * The rules that a log keeps about the order of what it does to a disk, and what a record of it breaks.
 *
 * They hold for any schedule and any disk; a crash between two operations is harmless because of them.
 */
import { OPEN_FRAME_SIZE } from '../segment/frame.js';
import { DATA_OFFSET } from '../segment/header.js';
import { MANIFEST_NAME, parseSegmentName } from '../segment/names.js';
import type { OrderEvent, SegmentContent } from './order-events.js';

export type OrderRule =
  /** Nothing is acknowledged before a sync that began after its hand-over has succeeded. */
  | 'sync before acknowledgement'
  /** A directory sync lies between giving a segment its name and the first acknowledgement of what is in it. */
  | 'name before acknowledgement'
  /** The open frame of a segment is handed over when a sync of the one before, with its seal, has succeeded. */
  | 'old segment before new'
  /** A recovery shows only what has been synced since the log was locked, in a directory that has been. */
  | 'recovery syncs before it trusts'
  /** A segment at the beginning goes only when a durable manifest says so. */
  | 'mark before removal'
  /** Of several, the oldest goes first (or, where the end is cut off, the newest): never one in the middle. */
  | 'oldest first';

export interface OrderViolation {
  readonly rule: OrderRule;
  /** Index of the event that breaks it. */
  readonly at: number;
  readonly what: string;
}

type Marks = Readonly<Record<number, number>>;
type Begin = Extract<OrderEvent, { what: 'begin' }>;

/** Everything in the record that breaks a rule. */
export function orderViolations(events: readonly OrderEvent[]): OrderViolation[] {
  const judge = new Judge();
  for (const event of events) judge.next(event);
  return judge.violations;
}

class Judge {
  readonly violations: OrderViolation[] = [];
  #at = -1;
  readonly #underWay = new Map<number, Begin>();
  /** By name, what the last sync of the segment that has succeeded has covered. */
  readonly #synced = new Map<string, SegmentContent>();
  /** Names of segments that exist, and of these those that no directory sync has covered. */
  readonly #segments = new Set<string>();
  readonly #loose = new Set<string>();
  /** By directory sync that is under way, the names that it covers, and the marks. */
  readonly #covering = new Map<number, { names: string[]; marks: Marks | undefined }>();
  /** By partition, of the manifest that bears its name, and of the durable one; undefined where the record shows none. */
  #marks: Marks | undefined;
  #durableMarks: Marks | undefined;
  #directorySynced = false;
  /** Since the log was locked: segments whose records were read before a sync; those written to since their last one. */
  readonly #believed = new Set<string>();
  readonly #dirty = new Set<string>();

  next(event: OrderEvent): void {
    this.#at++;
    switch (event.what) {
      case 'begin':
        this.#underWay.set(event.id, event);
        this.#begin(event);
        return;
      case 'end': {
        const begun = this.#underWay.get(event.id);
        this.#underWay.delete(event.id);
        if (begun !== undefined && !event.failed) this.#end(begun);
        return;
      }
      case 'opened':
        this.#opened(event.partition, event.segment);
        return;
      case 'acknowledged':
        this.#acknowledged(event.partition, event.lsn);
        return;
      case 'shown':
        this.#shown(event.partition, event.lsn);
        return;
    }
  }

  #begin(event: Begin): void {
    const { kind, file, id } = event;
    if (kind === 'syncDirectory') this.#covering.set(id, { names: [...this.#loose], marks: this.#marks });
    // A segment that was there before the record began is known by what is done to it.
    if (kind !== 'create' && parseSegmentName(file) !== undefined) this.#segments.add(file);
    if (kind === 'write') this.#dirty.add(file);
    if (kind === 'sync') this.#dirty.delete(file); // until it has ended, what it covers is not in `#synced`
    const records = event.offset !== undefined && event.offset >= DATA_OFFSET + OPEN_FRAME_SIZE;
    if (kind === 'read' && records && !this.#synced.has(file)) this.#believed.add(file);
    if (kind === 'unlink' || kind === 'rename') this.#removes(file);
  }

  #end(begun: Begin): void {
    const { kind, file, to, id } = begun;
    switch (kind) {
      case 'lock':
        // Another life of the log: what it was told by the one before, it must find out again.
        this.#synced.clear();
        this.#directorySynced = false;
        this.#believed.clear();
        this.#dirty.clear();
        return;
      case 'sync':
        if (begun.holds !== undefined) this.#synced.set(file, begun.holds);
        return;
      case 'create':
        this.#named(file);
        return;
      case 'unlink':
        this.#forget(file);
        return;
      case 'rename': {
        const content = this.#synced.get(file);
        this.#forget(file);
        if (to === MANIFEST_NAME) this.#marks = begun.marks ?? {};
        if (to === undefined) return;
        this.#named(to);
        if (content !== undefined) this.#synced.set(to, content);
        return;
      }
      case 'syncDirectory': {
        const { names = [], marks } = this.#covering.get(id) ?? {};
        for (const name of names) this.#loose.delete(name);
        this.#durableMarks = marks;
        this.#directorySynced = true;
        return;
      }
      default:
    }
  }

  #named(name: string): void {
    if (parseSegmentName(name) === undefined) return;
    this.#segments.add(name);
    this.#loose.add(name);
  }

  #forget(name: string): void {
    this.#segments.delete(name);
    this.#loose.delete(name);
    this.#synced.delete(name);
  }

  #removes(name: string): void {
    const id = parseSegmentName(name);
    if (id === undefined) return;
    const indexes = this.#indexes(id.partition);
    if (id.index === Math.max(...indexes) && indexes.length > 1) return; // the end is cut off, or was never opened
    if (id.index !== Math.min(...indexes)) this.#broken('oldest first', `${name} goes while older ones are there`);
    const mark = this.#durableMarks?.[id.partition] ?? 0;
    if (mark <= id.index && this.#durableMarks !== undefined) {
      this.#broken('mark before removal', `${name} goes, but the durable mark is ${mark}`);
    }
  }

  #opened(partition: number, segment: number): void {
    const older = this.#indexes(partition).filter((index) => index < segment);
    if (older.length === 0) return;
    const before = Math.max(...older);
    if (this.#syncedOf(partition).some((content) => content.segment === before && content.sealed)) return;
    this.#broken(
      'old segment before new',
      `segment ${segment} is opened, and no sync has covered the seal of ${before}`,
    );
  }

  #acknowledged(partition: number, lsn: number): void {
    const contents = this.#syncedOf(partition);
    // An open frame that is durable answers for all segments before it.
    if (!this.#covers(partition, lsn)) this.#broken('sync before acknowledgement', `no sync has covered LSN ${lsn}`);
    for (const { opened, baseLsn, segment } of contents) {
      const name = [...this.#loose].find((loose) => parseSegmentName(loose)?.index === segment);
      if (opened && baseLsn <= lsn && name !== undefined && parseSegmentName(name)?.partition === partition) {
        this.#broken('name before acknowledgement', `LSN ${lsn} is in ${name}, a name that is not durable`);
      }
    }
  }

  #shown(partition: number, lsn: number): void {
    const rule = 'recovery syncs before it trusts';
    if (!this.#directorySynced) this.#broken(rule, 'the directory was not synced');
    if (this.#indexes(partition).length === 0) return;
    if (!this.#covers(partition, lsn)) this.#broken(rule, `LSN ${lsn} is shown, and no sync has covered it`);
    for (const [name, { opened, lastLsn, partition: of }] of this.#synced) {
      if (of !== partition || !opened || lastLsn < lsn) continue;
      if (this.#believed.has(name)) this.#broken(rule, `${name} was read before it was synced`);
      if (this.#dirty.has(name)) this.#broken(rule, `what was written again to ${name} was not synced`);
    }
  }

  #covers(partition: number, lsn: number): boolean {
    return lsn === 0 || this.#syncedOf(partition).some(({ opened, lastLsn }) => opened && lastLsn >= lsn);
  }

  #syncedOf(partition: number): SegmentContent[] {
    return [...this.#synced.values()].filter((content) => content.partition === partition);
  }

  #indexes(partition: number): number[] {
    return [...this.#segments].flatMap((name) => {
      const id = parseSegmentName(name);
      return id?.partition === partition ? [id.index] : [];
    });
  }

  #broken(rule: OrderRule, what: string): void {
    this.violations.push({ rule, at: this.#at, what });
  }
}
