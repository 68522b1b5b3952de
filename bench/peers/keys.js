/** Keys of stores that order bytes. */

/** Eight bytes, big-endian: in order as numbers are. @param {number} number */
export function keyOf(number) {
  const key = Buffer.allocUnsafe(8);
  key.writeUInt32BE(Math.floor(number / 2 ** 32), 0);
  key.writeUInt32BE(number >>> 0, 4);
  return key;
}
