/**
 * Where the events of one partition are: its layers, oldest first, one for each kept file and one for each segment.
 *
 * Derived from the log, and never asked for more than that: what is lost is made again by reading.
 */
import { type IndexLayer, type Key, MemoryLayer, type Postings } from './index-layer.js';

/** The newest event of a stream. */
export interface Head {
  readonly revision: number;
  readonly lsn: number;
}

export class StreamIndex {
  /** Oldest first: of kept files, then of segments. Another array after a purge: who goes through it is not disturbed. */
  #layers: IndexLayer[] = [];
  /** So many of them are of kept files. */
  #kept = 0;
  /** Grows whenever a layer has moved: what was found out before may lack its newest events. */
  moves = 0;

  /** The layer of the newest segment. */
  get newest(): IndexLayer | undefined {
    return this.#layers.length > this.#kept ? this.#layers[this.#layers.length - 1] : undefined;
  }

  get layers(): readonly IndexLayer[] {
    return this.#layers;
  }

  /** The layer of a segment that the log has. */
  ofSegment(segment: number): IndexLayer | undefined {
    return this.#layers.slice(this.#kept).find((layer) => layer.segment === segment);
  }

  push(layer: IndexLayer): void {
    this.#layers.push(layer);
  }

  /** A segment's layer has moved, from memory into a file. */
  replace(layer: IndexLayer): void {
    const at = this.#layers.findIndex(({ segment }, i) => i >= this.#kept && segment === layer.segment);
    if (at < 0) return;
    this.#layers[at] = layer;
    this.moves++;
  }

  /** Forgets the layers of segments before `segment`, which were purged, and has `kept` for the kept files. */
  dropBefore(segment: number, kept: readonly IndexLayer[]): IndexLayer[] {
    const ofLog = this.#layers.slice(this.#kept);
    const dropped = ofLog.filter((layer) => layer.segment < segment);
    dropped.push(...this.#layers.slice(0, this.#kept).filter((layer) => !kept.includes(layer)));
    this.#layers = [...kept, ...ofLog.filter((layer) => layer.segment >= segment)];
    this.#kept = kept.length;
    this.moves++;
    return dropped;
  }

  /** The newest event of `stream`; undefined where there is none. */
  async head(stream: string): Promise<Head | undefined> {
    const key: Key = { kind: 'stream', name: stream };
    const layers = this.#layers;
    for (let i = layers.length - 1; i >= 0; i--) {
      const found = (layers[i] as IndexLayer).find(key);
      const postings = found instanceof Promise ? await found : found;
      if (postings === undefined) continue;
      const last = postings.lsns.length - 1;
      return { revision: postings.firstRevision + last, lsn: postings.lsns[last] as number };
    }
    return undefined;
  }

  /** LSN of the newest event of `stream` in the layers in memory; `otherwise` where they have none. At once. */
  newestLsn(stream: string, otherwise: number | undefined): number | undefined {
    for (let i = this.#layers.length - 1; i >= 0; i--) {
      const layer = this.#layers[i] as IndexLayer;
      if (!(layer instanceof MemoryLayer)) break;
      const lsns = layer.find({ kind: 'stream', name: stream })?.lsns;
      if (lsns !== undefined) return lsns[lsns.length - 1];
    }
    return otherwise;
  }

  /** The postings of `key`, segment by segment, oldest first or newest first. Layers that come later are not seen. */
  async *find(key: Key, backward = false): AsyncGenerator<Postings> {
    const layers = backward ? [...this.#layers].reverse() : [...this.#layers];
    for (const layer of layers) {
      const found = layer.find(key);
      const postings = found instanceof Promise ? await found : found;
      if (postings !== undefined) yield postings;
    }
  }

  /** LSNs of a stream's events [from, to], segment by segment, in the order asked for. */
  async *lsnsOf(stream: string, from: number, to: number, backward = false): AsyncGenerator<number[]> {
    for await (const { firstRevision, lsns } of this.find({ kind: 'stream', name: stream }, backward)) {
      const range = lsns.slice(Math.max(0, from - firstRevision), Math.max(0, to - firstRevision + 1));
      if (range.length > 0) yield backward ? range.reverse() : range;
      if (backward ? firstRevision <= from : firstRevision + lsns.length > to) return;
    }
  }
}
