/** Which partition a stream is in. What belongs to a stream lies where the stream does. On disk this holds for ever. */

/** Prefixes of streams that belong to another one, or to one consumer, and lie in one partition with it. */
const BELONGING = /^(?:\$\$|\$snapshot-|\$checkpoint-|\$parked-)+/;

/** Of the partition of a stream, from 0. */
export function partitionIndex(stream: string, partitions: number): number {
  return partitions === 1 ? 0 : hash(homeOf(stream)) % partitions;
}

function homeOf(stream: string): string {
  return stream.startsWith('$') ? stream.replace(BELONGING, '') : stream;
}

/** FNV-1a over UTF-16 code units, its bits mixed once more. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  return (h ^ (h >>> 13)) >>> 0;
}
