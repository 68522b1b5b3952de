/**
 * The payload that goes with an id: its digits, then bytes that follow from it. Up to 240 bytes.
 *
 * @param {number} id
 */
export function killPayload(id) {
  const bytes = new Uint8Array(8 + ((id * 7919) % 233)).fill(id & 0xff);
  bytes.set(new TextEncoder().encode(String(id).padStart(8, '0')));
  return bytes;
}
